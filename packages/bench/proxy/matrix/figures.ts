/** What the matrix makes of its samples: rows of a table, bars, the rate for latencies. */
import { median, medianRatio, spread } from '../../src/statistics.ts';
import { type Cell, formatFigure } from '../../src/table.ts';
import type { Bar } from '../command-line.ts';
import type { CpuSample } from '../cpu-sample.ts';
import type { PacedLoadReport } from './paced-load.ts';
import type { MatrixScenario } from './scenarios.ts';

/** One contender, one round. */
export interface MatrixSample extends CpuSample {
  readonly failures: number;
}

/** What a program on Node allocates for a request. */
export interface AllocationPerRequest {
  readonly heapBytes: number;
  readonly externalBytes: number;
}

/** All that was found of one contender. */
export interface MatrixResult {
  readonly name: string;
  readonly samples: readonly MatrixSample[];
  readonly paced: readonly PacedLoadReport[];
  /** Null for what does not run on Node. */
  readonly allocation: AllocationPerRequest | null;
}

/** A rate that was reached less than this was too much, and latencies under it are those of a queue. */
const LEAST_REACHED_SHARE = 0.97;

export const MATRIX_HEADINGS = [
  '',
  'CPU us/req',
  'user',
  'system',
  'subject ÷ it',
  'spread',
  'req/s',
  'core',
  'paced p50 ms',
  'p99 ms',
  'reached',
  'heap B/req',
  'buffers B/req',
  'RSS MiB',
  'failed',
] as const;

/** Returns the rows of a scenario's table, in the order of the results. */
export function rowsOf({ subject }: Pick<MatrixScenario, 'subject'>, results: readonly MatrixResult[]): readonly (readonly Cell[])[] {
  const own = results.find(({ name }) => name === subject);
  return results.map(({ name, samples, paced, allocation }) => {
    const middle = (pick: (sample: MatrixSample) => number): number => median(samples.map(pick));
    const failures = failureCount({ samples, paced });
    return [
      name === subject ? { text: name, style: 'bold' } : name,
      formatFigure(middle((sample) => sample.cpuUs)),
      formatFigure(middle((sample) => sample.userUs)),
      formatFigure(middle((sample) => sample.systemUs)),
      own === undefined ? '-' : medianRatio(cpuTimes(own.samples), cpuTimes(samples)).toFixed(2),
      `${(spread(cpuTimes(samples)) * 100).toFixed(0)} %`,
      formatFigure(middle((sample) => sample.requestsPerSecond)),
      percent(middle((sample) => sample.coreUse)),
      ...pacedCells(paced),
      allocation === null ? '-' : formatFigure(Math.round(allocation.heapBytes)),
      allocation === null ? '-' : formatFigure(Math.round(allocation.externalBytes)),
      (middle((sample) => sample.residentBytes) / 2 ** 20).toFixed(0),
      failures === 0 ? '0' : { text: String(failures), style: 'red' },
    ];
  });
}

/** Judges a scenario; what was not measured leaves its bars without a value. */
export function barsOf(
  scenario: Pick<MatrixScenario, 'name' | 'subject' | 'bars'>,
  results: readonly Pick<MatrixResult, 'name' | 'samples'>[],
): readonly Bar[] {
  const samplesOf = (name: string): readonly MatrixSample[] => results.find((one) => one.name === name)?.samples ?? [];
  return scenario.bars.map(({ than, limit }) => {
    const [own, others] = [samplesOf(scenario.subject), samplesOf(than)];
    const value = own.length === 0 || others.length === 0 ? null : medianRatio(cpuTimes(own), cpuTimes(others));
    return { name: `${scenario.name}, ${scenario.subject}, CPU per request, x ${than}`, limit, value, unit: 'x' };
  });
}

/** Whether something failed at one of those that the bars compare: what fails at a peer flatters the subject. A rate that was too much is no failure. */
export function hasFailures({ subject, bars }: Pick<MatrixScenario, 'subject' | 'bars'>, results: readonly MatrixResult[]): boolean {
  const judged = new Set([subject, ...bars.map(({ than }) => than)]);
  return results.some((result) => judged.has(result.name) && failureCount(result) > 0);
}

function failureCount({ samples, paced }: Pick<MatrixResult, 'samples' | 'paced'>): number {
  return [...samples, ...paced].reduce((sum, { failures }) => sum + failures, 0);
}

function pacedCells(paced: readonly PacedLoadReport[]): readonly Cell[] {
  if (paced.length === 0) return ['-', '-', '-'];
  const reached = median(paced.map(({ reachedShare }) => reachedShare));
  return [
    formatFigure(median(paced.map(({ p50Ms }) => p50Ms))),
    formatFigure(median(paced.map(({ p99Ms }) => p99Ms))),
    reached < LEAST_REACHED_SHARE ? { text: percent(reached), style: 'yellow' } : percent(reached),
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function cpuTimes(samples: readonly MatrixSample[]): readonly number[] {
  return samples.map((sample) => sample.cpuUs);
}
