import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { argumentsOf } from '../http2/h2load.ts';
import { isMet, UsageError } from '../proxy/command-line.ts';
import { addedBetween, sumOf } from '../proxy/matrix/allocation-count.ts';
import { barsOf, hasFailures, MATRIX_HEADINGS, type MatrixResult, type MatrixSample, rowsOf } from '../proxy/matrix/figures.ts';
import { expectLines } from '../proxy/matrix/measure.ts';
import { pacedArguments, parsePacedLog } from '../proxy/matrix/paced-load.ts';
import { asksForMatrix, readMatrixOptions } from '../proxy/matrix/run.ts';
import { MATRIX, PACE } from '../proxy/matrix/scenarios.ts';

/** CPU 0 is the one that every machine has. */
const CORES = ['--proxy-cores', '0', '--load-cores', '0'];

test('the matrix is asked for by its name, or by one of its scenarios', () => {
  for (const args of [['--matrix'], ['--scenarios', 'h1-1m'], ['--rounds', '5', '--scenarios=h1-1m']])
    assert.ok(asksForMatrix(args), args.join(' '));
  for (const args of [[], ['--sizes', '100'], ['--only', 'nginx']]) assert.ok(!asksForMatrix(args), args.join(' '));
});

test('the matrix measures all scenarios, or those that are named', () => {
  const all = readMatrixOptions(['--matrix', ...CORES]);
  assert.deepEqual(
    all.scenarios.map(({ name }) => name),
    ['h1-hooks', 'h1-log', 'tls-h1', 'h2tls-h1', 'h2c-h2c', 'grpc-unary', 'h1-1m'],
  );
  assert.deepEqual([all.rounds, all.seconds, all.warmUpSeconds, all.isCpuOnly], [3, 3, 1, false]);
  const some = readMatrixOptions([
    '--scenarios',
    'h1-1m,h1-log',
    '--rounds',
    '5',
    '--warm-up',
    '2',
    '--cpu-only',
    '--only',
    'nginx',
    ...CORES,
  ]);
  assert.deepEqual(
    some.scenarios.map(({ name }) => name),
    ['h1-1m', 'h1-log'],
  );
  assert.deepEqual([some.rounds, some.warmUpSeconds, some.isCpuOnly, some.only], [5, 2, true, new Set(['nginx'])]);
  assert.throws(() => readMatrixOptions(['--scenarios', 'h3', ...CORES]), /no scenario is called h3; there are h1-hooks, /);
  assert.throws(() => readMatrixOptions(['--matrix', '--sizes', '100', ...CORES]), UsageError);
});

test('every bar compares the subject of its scenario with a peer of its own table, and every table has the setter of the pace', () => {
  for (const { name, subject, bars, contenders } of MATRIX) {
    const names = new Set(contenders.map((one) => one.name));
    assert.equal(names.size, contenders.length, name);
    assert.ok(names.has(subject) && names.has(PACE.setter), name);
    assert.ok(bars.length > 0, name);
    for (const { than, limit } of bars) assert.ok(names.has(than) && than !== subject && limit > 0, `${name}: ${than}`);
  }
});

test('the bars are those that were set', () => {
  const limits = MATRIX.flatMap(({ name, bars }) => bars.map(({ than, limit }) => `${name} ${limit} ${than}`));
  assert.deepEqual(limits, [
    'h1-hooks 1.3 nginx',
    'h1-hooks 0.4 http-proxy-3',
    'h1-log 1.45 nginx',
    'tls-h1 1.45 nginx',
    'tls-h1 0.4 http-proxy-3',
    'h2tls-h1 1.3 nginx',
    'h2c-h2c 0.25 nginx',
    'h2c-h2c 1.5 haproxy',
    'grpc-unary 0.25 nginx',
    'grpc-unary 1.5 haproxy',
    'h1-1m 0.9 nginx',
    'h1-1m 0.4 http-proxy-3',
  ]);
});

test('a run of h2load over HTTP/2 never asks for more than a connection may carry', () => {
  for (const { name, load } of MATRIX) {
    if (load.kind === 'http2') assert.ok(load.requests / load.connections <= 9_900, name);
  }
});

// ---- bars --------------------------------------------------------------------------------------------------------------------------

const SCENARIO = { name: 'x', subject: 'ours', bars: [{ than: 'theirs', limit: 1.5 }] } as const;

function resultOf(name: string, cpuUs: readonly number[], changes: Partial<MatrixResult> = {}): MatrixResult {
  const samples = cpuUs.map((cost): MatrixSample => {
    return {
      cpuUs: cost,
      userUs: cost / 2,
      systemUs: cost / 2,
      requestsPerSecond: 1e6 / cost,
      residentBytes: 2 ** 20,
      coreUse: 1,
      failures: 0,
    };
  });
  return { name, samples, paced: [], allocation: null, ...changes };
}

test('a bar is judged by the median of the ratios within the rounds', () => {
  const [bar] = barsOf(SCENARIO, [resultOf('ours', [30, 300, 28]), resultOf('theirs', [20, 200, 10])]);
  assert.equal(bar?.value, 1.5);
  assert.ok(bar !== undefined && isMet(bar));
  const [missed] = barsOf(SCENARIO, [resultOf('ours', [31]), resultOf('theirs', [20])]);
  assert.ok(missed !== undefined && !isMet(missed));
});

test('a bar whose subject or peer was not measured is not met', () => {
  for (const results of [[], [resultOf('ours', [1])], [resultOf('theirs', [1])]]) {
    const [bar] = barsOf(SCENARIO, results);
    assert.equal(bar?.value, null);
    assert.ok(bar !== undefined && !isMet(bar));
  }
});

test('failures count at the subject and at the peers of the bars, under either load, and at nobody else', () => {
  const failing = { p50Ms: 1, p99Ms: 1, reachedShare: 1, failures: 1, statuses: { 502: 1 } };
  assert.ok(hasFailures(SCENARIO, [resultOf('ours', [1], { paced: [failing] })]));
  assert.ok(hasFailures(SCENARIO, [resultOf('ours', [1]), resultOf('theirs', [1], { paced: [failing] })]));
  assert.ok(!hasFailures(SCENARIO, [resultOf('ours', [1]), resultOf('theirs', [1]), resultOf('others', [1], { paced: [failing] })]));
});

test('a row shows the medians, what was reached of the rate, and what a request allocates where that is known', () => {
  const paced = [0.5, 0.9, 0.8].map((reachedShare) => ({ p50Ms: 1, p99Ms: reachedShare * 10, reachedShare, failures: 0, statuses: {} }));
  const allocation = { heapBytes: 7_285.4, externalBytes: 108 };
  const rows = rowsOf(SCENARIO, [resultOf('ours', [10, 20, 30], { paced, allocation }), resultOf('theirs', [10, 10, 10])]);
  const shown = rows.map((row) => Object.fromEntries(MATRIX_HEADINGS.map((heading, column) => [heading, row[column]])));
  assert.deepEqual(shown[0], {
    '': { text: 'ours', style: 'bold' },
    'CPU us/req': '20.0',
    user: '10.0',
    system: '10.0',
    'subject ÷ it': '1.00',
    spread: '100 %',
    'req/s': '50 000',
    core: '100 %',
    'paced p50 ms': '1.00',
    'p99 ms': '8.00',
    reached: { text: '80 %', style: 'yellow' },
    'heap B/req': '7285',
    'buffers B/req': '108',
    'RSS MiB': '1',
    failed: '0',
  });
  assert.equal(shown[1]?.['subject ÷ it'], '2.00');
  assert.deepEqual([shown[1]?.['p99 ms'], shown[1]?.['heap B/req']], ['-', '-']);
  assert.ok(rows.every((row) => row.length === MATRIX_HEADINGS.length));
});

test('a log must have a line for each request that was answered: one that is short by those of the warm-up is refused', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-bench-log-'));
  try {
    const file = join(folder, 'access.log');
    writeFileSync(file, '{}\n'.repeat(400_000));
    await expectLines(file, 400_000);
    await assert.rejects(expectLines(file, 400_001), /it wrote 400000 lines for 400001 requests/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

// ---- loads at a rate ---------------------------------------------------------------------------------------------------------------

const PACED = { url: '', protocol: 'http1', requestsPerSecond: 20_000, seconds: 3, cores: '0' } as const;

function valueOf(args: readonly string[], flag: string): number {
  return Number(args.find((one) => one.startsWith(flag))?.slice(flag.length));
}

test('a rate over HTTP/1 is spread over connections that send less than h2load does in bursts, and that begin one after the other', () => {
  const args = pacedArguments(PACED);
  assert.deepEqual(args, ['--h1', '-c250', '-m1', '-n80000', '-t1', '-r25', '--rate-period=1ms', '--rps=80.000']);
});

test('whatever the rate, as many requests are asked for as the connections give in the time, and none more than a connection of HTTP/2 carries', () => {
  const rates = fc.double({ min: 1, max: 200_000, noNaN: true });
  fc.assert(
    fc.property(rates, fc.integer({ min: 1, max: 30 }), fc.constantFrom('http1', 'http2'), (requestsPerSecond, seconds, protocol) => {
      const args = pacedArguments({ ...PACED, protocol, requestsPerSecond, seconds });
      const connections = valueOf(args, '-c');
      const requests = valueOf(args, '-n');
      assert.ok(connections >= 8 && connections <= 512);
      assert.ok(requests >= connections);
      assert.ok(Math.abs(valueOf(args, '--rps=') * connections - requestsPerSecond) <= connections / 1_000);
      if (protocol === 'http2') assert.ok(requests <= connections * 9_900);
      else assert.ok(requests >= Math.floor(requestsPerSecond * seconds));
    }),
  );
});

test('a POST is told to h2load with its fields', () => {
  assert.deepEqual(argumentsOf(undefined), []);
  assert.deepEqual(argumentsOf({ bodyFile: 'message', fields: ['te: trailers'] }), ['--data=message', '--header=te: trailers']);
});

test('of a load at a rate the first second is left out, and what has failed has no latency', () => {
  // 100 requests a second for two seconds; the latency of each is its number, in ms.
  const lines = Array.from({ length: 200 }, (_, index) => [5_000_000 + index * 10_000, index === 150 ? -1 : 200, index * 1_000].join('\t'));
  const report = parsePacedLog(`${lines.toReversed().join('\n')}\n`, 100);
  assert.equal(report.p50Ms, 149);
  assert.equal(report.p99Ms, 199);
  assert.ok(Math.abs(report.reachedShare - 1) < 0.02, String(report.reachedShare));
  assert.equal(report.failures, 1);
  assert.deepEqual(report.statuses, { '200': 199, '-1': 1 });
  assert.ok(Math.abs(parsePacedLog(lines.join('\n'), 200).reachedShare - 0.5) < 0.01);
});

test('a load that ended within its first second tells nothing', () => {
  assert.throws(() => parsePacedLog('', 100), /no request of the paced load was answered/);
  assert.throws(() => parsePacedLog('1000\t200\t5\n2000\t200\t5\n', 100), /no request of the paced load was answered/);
});

// ---- allocation --------------------------------------------------------------------------------------------------------------------

const heap = (heapBytes: number, externalBytes = 0): { heapBytes: number; externalBytes: number } => ({ heapBytes, externalBytes });

test('what was allocated is what came since the collection before, each time', () => {
  const collections = [
    { before: heap(150, 30), after: heap(60, 10) },
    { before: heap(200, 40), after: heap(70, 10) },
  ];
  assert.deepEqual(addedBetween(heap(100, 20), collections, heap(90, 5)), {
    heapBytes: 50 + 140 + 20,
    externalBytes: 10 + 30,
    collections: 2,
  });
  assert.deepEqual(addedBetween(heap(100), [], heap(130)), { heapBytes: 30, externalBytes: 0, collections: 0 });
});

test('threads are added up', () => {
  assert.deepEqual(
    sumOf([
      { heapBytes: 1, externalBytes: 2, collections: 3 },
      { heapBytes: 10, externalBytes: 20, collections: 30 },
    ]),
    { heapBytes: 11, externalBytes: 22, collections: 33 },
  );
  assert.deepEqual(sumOf([]), { heapBytes: 0, externalBytes: 0, collections: 0 });
});
