/** The suite `balancing`: that its model of a backend and its claims find what is wrong, and its command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@ferrata/clock';
import { Agenda, SimulatedBackend, type SimulatedTry, WELL } from '../balancing/backends-model.ts';
import { balancingChart, withTable } from '../balancing/chart.ts';
import { checkClaims } from '../balancing/claims.ts';
import { figuresOf } from '../balancing/figures.ts';
import { chartJobs, jobsOf } from '../balancing/jobs.ts';
import type { SimulationJob, SimulationResult } from '../balancing/simulation.ts';

const newTry = (): SimulatedTry => ({ place: 0, state: 'on its way' });

describe('a simulated backend', () => {
  const size = { servers: 1, meanMs: 10, maxWaiting: 1 };
  const setUp = (): readonly [Agenda<SimulatedTry>, SimulatedBackend<SimulatedTry>] => {
    const agenda = new Agenda<SimulatedTry>();
    return [agenda, new SimulatedBackend(size, agenda, seededRandom(1))];
  };

  test('serves one, lets one wait, and has no room for a third', () => {
    const [agenda, backend] = setUp();
    const tries = [newTry(), newTry(), newTry()];
    for (const one of tries) backend.receive(one, 0);
    assert.deepEqual(
      tries.map(({ state }) => state),
      ['served', 'waiting', 'on its way'],
    );
    const ends = new Map([agenda.take(), agenda.take()].map((event) => [event?.subject, event?.end]));
    assert.deepEqual([ends.get(tries[0] as SimulatedTry), ends.get(tries[2] as SimulatedTry)], ['answered', 'full']);
    assert.equal(backend.finish(tries[0] as SimulatedTry, 5), true);
    assert.equal(tries[1]?.state, 'served');
  });

  test('does not serve who has given up while he waited', () => {
    const [, backend] = setUp();
    const [first, second, third] = [newTry(), newTry(), newTry()];
    backend.receive(first, 0);
    backend.receive(second, 0);
    backend.giveUp(second);
    backend.receive(third, 1);
    backend.finish(first, 2);
    assert.deepEqual([second.state, third.state], ['over', 'served']);
  });

  test('resets what it had when it goes, and refuses what comes', () => {
    const [agenda, backend] = setUp();
    const [first, second, third] = [newTry(), newTry(), newTry()];
    backend.receive(first, 0);
    backend.receive(second, 0);
    backend.behave({ ...WELL, refuses: true }, 0);
    backend.receive(third, 0);
    const ends: string[] = [];
    for (let event = agenda.take(); event !== null; event = agenda.take()) if (event.end !== 'answered') ends.push(event.end);
    assert.deepEqual(ends, ['reset', 'reset', 'refused']);
    assert.equal(backend.finish(first, 9), false);
  });
});

test('an agenda gives what was put in by time, and of equal times the first', () => {
  const agenda = new Agenda<SimulatedTry>();
  const random = seededRandom(2);
  const times = Array.from({ length: 200 }, () => random.below(20));
  for (const at of times) agenda.put(at, newTry(), 'answered');
  const taken: (readonly [number, number])[] = [];
  for (let event = agenda.take(); event !== null; event = agenda.take()) taken.push([event.at, event.order]);
  assert.deepEqual(
    taken,
    times.map((at, order) => [at, order] as const).toSorted(([a, first], [b, second]) => a - b || first - second),
  );
});

/** A world in which every claim holds. */
function goodResult(job: SimulationJob): SimulationResult {
  const { scenario, algorithm, ejects } = job;
  const failedBy = { roundRobin: 1_000, leastRequests: 4_000, powerOfTwo: 1_000, peakEwma: 1_000, ketama: 0, boundedLoad: 0 };
  const isBad = !ejects && (algorithm === 'roundRobin' ? scenario === 'slow' || scenario === 'unequal' : algorithm === 'ketama');
  const isGone = scenario === 'gone';
  return {
    ...job,
    requests: 60_000,
    failed: scenario === 'errors' ? failedBy[algorithm] / (ejects ? 100 : 1) : 0,
    p50: 8,
    p99: isBad ? 1_000 : 50,
    p999: algorithm === 'peakEwma' ? 70 : 200,
    sentToUnready: 0,
    mostEjected: 1,
    ejections: 0,
    tries: [],
    ends: { answered: 60_000, refused: 0, reset: 0, failed: 0, full: 0, timedOut: 0 },
    foundAfterMs: isGone ? 500 : null,
    usedAfterMs: isGone ? 520 : null,
    shareAtFirst: isGone ? 0.03 : null,
    shareAtLast: isGone ? 0.1 : null,
    miscounted: 0,
  };
}

describe('the claims', () => {
  const worlds = jobsOf(1, { isWhole: true }).map((job) => ({
    ...goodResult(job),
    ...(job.scenario === 'unequal' && job.ejects ? { p99: goodResult({ ...job, ejects: false }).p99 } : {}),
  }));
  const good = worlds.map((result) => (result.scenario === 'keyed' && result.algorithm === 'ketama' ? { ...result, p99: 1_000 } : result));

  const broken = async (change: (result: SimulationResult) => Partial<SimulationResult>): Promise<readonly string[]> => {
    const outcomes = await checkClaims(
      'x',
      good.map((result) => ({ ...result, ...change(result) })),
    );
    return outcomes.filter(({ problem }) => problem !== null).map(({ id }) => id.slice(2));
  };

  test('hold in a world in which they do', async () => {
    assert.deepEqual(await broken(() => ({})), []);
  });

  test('find each figure that is not as it must be', async () => {
    const found = async (change: (result: SimulationResult) => Partial<SimulationResult>, pattern: RegExp): Promise<void> => {
      const ids = await broken(change);
      assert.ok(
        ids.some((id) => pattern.test(id)),
        `${String(pattern)} is not among ${ids.join(', ')}`,
      );
    };
    await found(() => ({ sentToUnready: 1 }), /not ready/);
    await found(() => ({ mostEjected: 6 }), /maxEjectedShare/);
    await found(() => ({ miscounted: -1 }), /counted/);
    await found(({ scenario }) => (scenario === 'well' ? { failed: 1 } : {}), /nothing goes wrong nothing fails/);
    await found(({ scenario, ejects }) => (scenario === 'well' && ejects ? { p50: 9 } : {}), /ejection changes nothing/);
    await found(
      ({ scenario, algorithm }) => (scenario === 'slow' && algorithm === 'powerOfTwo' ? { p99: 500 } : {}),
      /a fifth of round robin/,
    );
    await found(({ scenario, ejects }) => (scenario === 'errors' && ejects ? { failed: 900 } : {}), /a tenth/);
    await found(({ scenario, ejects }) => (scenario === 'errors' && !ejects ? { failed: 10 } : {}), /a tenth/);
    await found(({ scenario }) => (scenario === 'flapping' ? { failed: 61 } : {}), /one in a thousand|one request in a thousand/);
    await found(({ scenario }) => (scenario === 'gone' ? { foundAfterMs: 1_200 } : {}), /found within/);
    await found(({ scenario }) => (scenario === 'gone' ? { usedAfterMs: null } : {}), /found within/);
    await found(({ scenario }) => (scenario === 'gone' ? { shareAtFirst: 0.1 } : {}), /begins slowly/);
    await found(({ scenario, algorithm }) => (scenario === 'keyed' && algorithm === 'boundedLoad' ? { p99: 900 } : {}), /bounded/);
    await found(
      ({ scenario, algorithm }) => (scenario === 'keyed' && algorithm === 'boundedLoad' ? { ejections: 1 } : {}),
      /bounded loads nothing fails/,
    );
  });
});

test('the chart has a bar for each figure, and a page without a place for the table is refused', () => {
  const figures = figuresOf(chartJobs().map(goodResult));
  const chart = balancingChart(figures);
  assert.equal(chart, balancingChart(figures));
  assert.ok([...chart.matchAll(/width="25"/g)].length >= figures.length);
  assert.throws(() => withTable('# A page\n', figures), RangeError);
});

test('a wrong command line is answered in one sentence and with 2, --help with the usage and 0', () => {
  const run = (...args: readonly string[]): readonly [number | null, string, string] => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [fileURLToPath(new URL('../balancing/run.ts', import.meta.url)), ...args],
      {
        encoding: 'utf8',
      },
    );
    return [status, stdout, stderr];
  };
  assert.deepEqual(run('--seed', 'abc'), [2, '', '--seed takes a whole number of at most 12 digits, not "abc"\n']);
  const [code, output, errors] = run('--nothing');
  assert.deepEqual([code, output], [2, '']);
  assert.match(errors, /^[^\n]+; --help lists the options\n$/);
  const [helped, usage] = run('--help');
  assert.equal(helped, 0);
  assert.match(usage, /^usage: .*--seed N/);
});
