/** What the simulated worlds must show, whatever the seed: the sentences of the guide as checks. */
import { type Outcome, outcomeOf } from '../runner.ts';
import { isQuiet } from './jobs.ts';
import { type AlgorithmId, WORLD } from './scenarios.ts';
import type { SimulationResult } from './simulation.ts';

/** All worlds of one seed. */
export class Worlds {
  readonly results: readonly SimulationResult[];

  constructor(results: readonly SimulationResult[]) {
    this.results = results;
  }

  /** @throws {RangeError} when it was not simulated */
  of(scenario: string, algorithm: AlgorithmId, ejects: boolean): SimulationResult {
    const found = this.results.find((result) => result.scenario === scenario && result.algorithm === algorithm && result.ejects === ejects);
    if (found === undefined) throw new RangeError(`${scenario} with ${algorithm} was not simulated`);
    return found;
  }
}

/** One claim: what is wrong in the worlds of a seed. */
interface Claim {
  readonly id: string;
  problems(worlds: Worlds): readonly string[];
}

const CHOOSING: readonly AlgorithmId[] = ['leastRequests', 'powerOfTwo', 'peakEwma'];
const KEYLESS: readonly AlgorithmId[] = ['roundRobin', ...CHOOSING];

/** A tick of the deadlines, and one of the world. */
const SLACK_MS = 30;

const CLAIMS: readonly Claim[] = [
  {
    id: 'no request goes to a backend that is not ready while others are',
    problems: ({ results }) =>
      results.filter(({ sentToUnready }) => sentToUnready > 0).map((result) => `${nameOf(result)}: ${result.sentToUnready}`),
  },
  {
    id: 'never more than maxEjectedShare are out',
    problems: ({ results }) =>
      results
        .filter(({ mostEjected }) => mostEjected > WORLD.backends * WORLD.outliers.maxEjectedShare)
        .map((result) => `${nameOf(result)}: ${result.mostEjected} were out`),
  },
  {
    id: 'what is under way is counted to the last request',
    problems: ({ results }) =>
      results.filter(({ miscounted }) => miscounted !== 0).map((result) => `${nameOf(result)}: off by ${result.miscounted}`),
  },
  {
    id: 'where nothing goes wrong nothing fails, and nobody is put out',
    problems: ({ results }) =>
      results
        .filter(({ scenario, failed, ejections }) => isQuiet(scenario) && failed + ejections > 0)
        .map((result) => `${nameOf(result)}: ${result.failed} failed, ${result.ejections} put out`),
  },
  {
    id: 'where nothing goes wrong ejection changes nothing',
    problems: (worlds) =>
      worlds.results
        .filter(({ scenario, ejects }) => ejects && isQuiet(scenario))
        .filter((result) => bodyOf(result) !== bodyOf(worlds.of(result.scenario, result.algorithm, false)))
        .map(nameOf),
  },
  {
    id: 'one slow backend: whoever looks at requests or times has a p99 of a fifth of round robin’s at most',
    problems: (worlds) =>
      CHOOSING.flatMap((algorithm) => atMost(worlds.of('slow', algorithm, false), 'p99', worlds.of('slow', 'roundRobin', false).p99 / 5)),
  },
  {
    id: 'one slow backend: peak EWMA has a lower p99.9 than power of two',
    problems: (worlds) => atMost(worlds.of('slow', 'peakEwma', false), 'p999', worlds.of('slow', 'powerOfTwo', false).p999 * 0.75),
  },
  {
    id: 'one slow backend: with ejection the p99 of round robin falls to a fifth at most',
    problems: (worlds) => atMost(worlds.of('slow', 'roundRobin', true), 'p99', worlds.of('slow', 'roundRobin', false).p99 / 5),
  },
  {
    id: 'one that answers errors at once draws least requests most',
    problems: (worlds) => {
      const { failed } = worlds.of('errors', 'leastRequests', false);
      const most = Math.max(...KEYLESS.filter((id) => id !== 'leastRequests').map((id) => worlds.of('errors', id, false).failed));
      return failed > 1.5 * most ? [] : [`${failed} failed, and ${most} with another`];
    },
  },
  {
    id: 'one that answers errors at once: with ejection at most a tenth of the requests fail',
    problems: (worlds) =>
      KEYLESS.flatMap((algorithm) => {
        const { failed } = worlds.of('errors', algorithm, false);
        // Where hardly any failed before, the rest would say nothing.
        return failed < 500 ? [`only ${failed} failed without`] : atMost(worlds.of('errors', algorithm, true), 'failed', failed / 10);
      }),
  },
  {
    id: 'one that is gone, or comes and goes, costs one request in a thousand at most',
    problems: ({ results }) =>
      results
        .filter(({ scenario }) => scenario === 'gone' || scenario === 'flapping')
        .flatMap((result) => atMost(result, 'failed', result.requests / 1_000)),
  },
  {
    id: 'one that returns is found within an interval and its jitter, and used at once',
    problems: ({ results }) =>
      results
        .filter(({ scenario }) => scenario === 'gone')
        .filter(({ foundAfterMs, usedAfterMs }) => {
          const latest = WORLD.checkIntervalMs * (1 + WORLD.checkJitter) + SLACK_MS;
          // Its first turn: at a tenth of its weight it may be a hundredth of the requests.
          return foundAfterMs === null || usedAfterMs === null || foundAfterMs > latest || usedAfterMs - foundAfterMs > 500;
        })
        .map((result) => `${nameOf(result)}: found after ${String(result.foundAfterMs)} ms, used after ${String(result.usedAfterMs)} ms`),
  },
  {
    id: 'one that returns begins slowly, and has all its share in the end',
    problems: ({ results }) =>
      results
        .filter(({ scenario }) => scenario === 'gone')
        .filter(({ algorithm, shareAtFirst, shareAtLast }) => {
          const [first, last, fair] = [shareAtFirst ?? Number.NaN, shareAtLast ?? Number.NaN, 1 / WORLD.backends];
          // Whoever has nothing to do is the least busy, however little he weighs.
          const most = algorithm === 'leastRequests' ? 1 : 0.85;
          return !(first < most * fair && Math.abs(last - fair) < 0.25 * fair);
        })
        .map((result) => `${nameOf(result)}: ${String(result.shareAtFirst)} of the tries at first, ${String(result.shareAtLast)} at last`),
  },
  {
    id: 'unequal backends: whoever looks at requests or times needs no weights',
    problems: (worlds) =>
      CHOOSING.flatMap((algorithm) =>
        atMost(worlds.of('unequal', algorithm, false), 'p99', worlds.of('unequal', 'roundRobin', false).p99 * 0.75),
      ),
  },
  {
    id: 'a few keys that all want: with bounded loads nothing fails, and nobody is put out',
    problems: ({ results }) =>
      results
        .filter(
          ({ scenario, algorithm, failed, ejections }) => scenario === 'keyed' && algorithm === 'boundedLoad' && failed + ejections > 0,
        )
        .map((result) => `${nameOf(result)}: ${result.failed} failed, ${result.ejections} put out`),
  },
  {
    id: 'a few keys that all want: bounded loads keep the p99 below 0.7 of the plain ring’s',
    problems: (worlds) => atMost(worlds.of('keyed', 'boundedLoad', false), 'p99', worlds.of('keyed', 'ketama', false).p99 * 0.7),
  },
];

/** Holds the worlds of one seed against all claims. @param name stands before the ids */
export async function checkClaims(name: string, results: readonly SimulationResult[]): Promise<readonly Outcome[]> {
  const worlds = new Worlds(results);
  return await Promise.all(
    CLAIMS.map(({ id, problems }) =>
      outcomeOf(`${name}/${id}`, () => {
        const found = problems(worlds);
        return found.length === 0 ? null : found.join('; ');
      }),
    ),
  );
}

function atMost(result: SimulationResult, what: 'failed' | 'p99' | 'p999', most: number): readonly string[] {
  return result[what] <= most ? [] : [`${nameOf(result)}: ${what} is ${result[what].toFixed(1)}, above ${most.toFixed(1)}`];
}

function nameOf({ scenario, algorithm, ejects }: SimulationResult): string {
  return `${scenario} with ${algorithm}${ejects ? ', ejecting' : ''}`;
}

/** All but which job it was. */
function bodyOf({ ejects: _, ...body }: SimulationResult): string {
  return JSON.stringify(body);
}
