/** The suite `soak`: that what it makes of figures finds faults, and its command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@ferrata/clock';
import type { ProxyFigures } from '../rig/proxy-process.ts';
import { fitLine, growthOf, leftOver, logProblem, type Sample, tooMuch } from '../soak/figures.ts';
import { DEED_COUNT, drawDeed } from '../soak/traffic.ts';

const MIB = 1_048_576;

describe('a line through points', () => {
  test('has the slope of points that lie on it, and no error', () => {
    const { slope, error } = fitLine([
      [0, 5],
      [1, 7],
      [2, 9],
      [10, 25],
    ]);
    assert.ok(Math.abs(slope - 2) < 1e-9);
    assert.ok(error < 1e-9);
  });

  test('has the error that a table of least squares gives', () => {
    // y = 0, 1, 1, 2 at x = 0 … 3: slope 0.6, rest 0.2, error √(0.2 / 2 / 5).
    const { slope, error } = fitLine([
      [0, 0],
      [1, 1],
      [2, 1],
      [3, 2],
    ]);
    assert.ok(Math.abs(slope - 0.6) < 1e-9);
    assert.ok(Math.abs(error - Math.sqrt(0.02)) < 1e-9);
  });

  test('needs three points that are not above each other', () => {
    assert.throws(() => fitLine([]), RangeError);
    assert.throws(
      () =>
        fitLine([
          [0, 0],
          [1, 1],
        ]),
      RangeError,
    );
    assert.throws(
      () =>
        fitLine([
          [1, 0],
          [1, 1],
          [1, 2],
        ]),
      RangeError,
    );
  });
});

describe('growth of memory', () => {
  const samplesOf = (bytesPerMinute: number, noise: number): readonly Sample[] =>
    Array.from({ length: 20 }, (_, index) => {
      const bytes = 100 * MIB + (index / 20) * bytesPerMinute + (index % 2 === 0 ? noise : -noise);
      return { atMs: index * 3_000, residentBytes: bytes, liveBytes: bytes };
    });

  test('is found where it is, under noise too', () => {
    assert.match(tooMuch('memory', growthOf(samplesOf(2 * MIB, 0), 'residentBytes')) ?? '', /^memory grows by 2\.00 ± 0\.00 MiB a minute$/);
    assert.match(tooMuch('memory', growthOf(samplesOf(10 * MIB, MIB), 'liveBytes')) ?? '', /^memory grows by /);
  });

  test('is not found where there is none', () => {
    assert.equal(tooMuch('memory', growthOf(samplesOf(0, MIB / 2), 'residentBytes')), null);
    assert.equal(tooMuch('memory', growthOf(samplesOf(0.9 * MIB, 0), 'residentBytes')), null);
    assert.equal(tooMuch('memory', growthOf(samplesOf(-5 * MIB, 0), 'residentBytes')), null);
  });
});

test('memory that comes and goes so much that growth would not be seen is a failure, and says so', () => {
  const samples = Array.from({ length: 20 }, (_, index): Sample => {
    const bytes = 100 * MIB + (index % 2 === 0 ? 3 : -3) * MIB;
    return { atMs: index * 3_000, residentBytes: bytes, liveBytes: bytes };
  });
  const line = growthOf(samples, 'residentBytes');
  assert.match(
    tooMuch('memory', line) ?? '',
    /^whether memory grows cannot be told: by -?\d\.\d\d ± \d\.\d\d MiB a minute, where 1\.00 are allowed$/,
  );
  assert.equal(tooMuch('memory', line, 8 * MIB), null);
});

const quiet: ProxyFigures = {
  residentBytes: 1,
  liveBytes: 1,
  descriptors: 20,
  resources: { TCPServerWrap: 4, PipeWrap: 2 },
  deadlines: 0,
  clientConnections: 0,
  acceptedConnections: 4,
  upstreamConnections: 0,
  idleUpstream: 0,
  begun: 10,
  logged: 10,
  loggedTwice: 0,
  refused: 0,
  hookFailures: 0,
  outcomes: {},
};

test('what is left over is named: descriptors, deadlines, connections, and whatever keeps the process alive', () => {
  assert.equal(leftOver(quiet, quiet), null);
  assert.equal(leftOver(quiet, { ...quiet, descriptors: 19, resources: {} }), null);
  assert.equal(leftOver(quiet, { ...quiet, descriptors: 21 }), 'descriptors: 20, then 21');
  assert.equal(leftOver(quiet, { ...quiet, deadlines: 1 }), 'deadlines: 0, then 1');
  assert.equal(leftOver(quiet, { ...quiet, clientConnections: 2 }), 'connections of clients: 0, then 2');
  assert.equal(leftOver(quiet, { ...quiet, upstreamConnections: 3 }), 'connections to origins: 0, then 3');
  assert.equal(
    leftOver(quiet, { ...quiet, resources: { ...quiet.resources, TCPSocketWrap: 1, Timeout: 2 } }),
    'TCPSocketWrap: 0, then 1; Timeout: 0, then 2',
  );
});

test('each request has its one line in the log, or it is said what is wrong', () => {
  const counts = { sent: 12, answered: 8 };
  assert.equal(logProblem(quiet, counts), null);
  for (const [figures, problem] of [
    [{ logged: 9 }, /10 requests were begun, and 9 lines logged/],
    [{ logged: 11 }, /and 11 lines logged/],
    [{ loggedTwice: 1 }, /had one/],
    [{ begun: 13, logged: 13 }, /only 12 sent/],
    [{ begun: 7, logged: 7 }, /8 requests were answered, and only 7 begun/],
    [{ refused: 1 }, /1 requests were refused/],
    [{ hookFailures: 1 }, /1 hooks failed/],
  ] as const) {
    assert.match(logProblem({ ...quiet, ...figures }, counts) ?? 'nothing', problem);
  }
});

test('what is counted as done is what was done: nobody waits for the time-out of an origin that has another', () => {
  const namesOf = (isOriginHttp1: boolean): ReadonlySet<string> => {
    const random = seededRandom(1);
    return new Set(Array.from({ length: 5_000 }, () => drawDeed(random, { isOriginHttp1 })[0]));
  };
  assert.equal(namesOf(true).size, DEED_COUNT);
  const others = namesOf(false);
  assert.equal(others.size, DEED_COUNT - 2);
  for (const name of ['stall until the proxy gives up', 'stall amid a download']) assert.ok(!others.has(name), name);
});

test('a wrong command line ends with 2 and one sentence', () => {
  const run = fileURLToPath(new URL('../soak/run.ts', import.meta.url));
  for (const [args, sentence] of [
    [['--seed', 'x'], /^--seed takes a whole number/],
    [['--minutes', '0'], /^--minutes must be at least 1/],
    [['--nonsense'], /nonsense/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [run, ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, sentence);
  }
});
