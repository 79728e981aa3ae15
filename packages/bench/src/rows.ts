/**
 * What the benches with one table have in common: a line says what one operation costs us and a peer, in the same run, and by which bar the
 * ratio is judged.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type BenchCase, compare, type MeasureOptions } from './harness.ts';

/** One line of the table. */
export interface BenchRow {
  /** What is measured, in a few words. */
  readonly operation: string;
  readonly unit: 'ns' | 'bytes' | '%' | 'ms' | 'keys';
  readonly ours: number;
  /** Who is measured beside us. */
  readonly peer: string;
  readonly theirs: number;
  /** Ours ÷ theirs, from the same rounds where there are rounds. */
  readonly ratio: number;
  /** What has to hold: the ratio at most so much, our figure at most so much, or our figure at least the peer's less so many points. */
  readonly bar?: BenchBar;
}

/** What a figure is judged by. */
export type BenchBar = { readonly maxRatio: number } | { readonly maxOurs: number } | { readonly minDifference: number };

/** One bench: a part of a table. */
export interface RowBench {
  /** What the table puts before its operations; of a structure, the package's folder. */
  readonly name: string;
  /** Measures; a `quick` run checks that all of it works and gives no figures to believe. */
  run(options: RunOptions): readonly BenchRow[] | Promise<readonly BenchRow[]>;
}

/** How a bench is to be run. */
export interface RunOptions {
  /** A short run that checks that all of it works. */
  readonly isQuick: boolean;
  /** For what belongs under the table: a distribution, a second table. */
  readonly note: (text: string) => void;
}

/** Whether a line keeps its bar; null if it has none. */
export function keepsBar({ bar, ours, theirs, ratio }: BenchRow): boolean | null {
  if (bar === undefined) return null;
  if ('maxRatio' in bar) return ratio <= bar.maxRatio;
  if ('maxOurs' in bar) return ours <= bar.maxOurs;
  return ours - theirs >= bar.minDifference;
}

/** A comparison of time: the first case is ours, each other one a peer that does the same. */
export interface TimeComparison {
  readonly operation: string;
  readonly ours: () => unknown;
  /** By the name that the table shows. */
  readonly peers: Readonly<Record<string, () => unknown>>;
  /** How it is measured, where the usual way does not suit; a quick run is quick all the same. */
  readonly measure?: Pick<MeasureOptions, 'rounds' | 'roundMs' | 'warmUpMs'>;
  /** Operations in one call; default 1. */
  readonly operationsPerCall?: number;
  /** By the peer's name. */
  readonly bars?: Readonly<Record<string, BenchBar>>;
}

/** Measures ours and the peers in turns. @returns a line for each peer, in ns of CPU time an operation */
export function compareTimes(comparison: TimeComparison, { isQuick }: RunOptions): readonly BenchRow[] {
  const { operation, ours, peers, measure = {}, operationsPerCall = 1, bars = {} } = comparison;
  const cases: BenchCase[] = [
    { name: 'ferrata', run: ours, isBaseline: true },
    ...Object.entries(peers).map(([name, run]) => ({ name, run })),
  ];
  const options: MeasureOptions = isQuick ? { rounds: 5, roundMs: 1, warmUpMs: 1 } : { rounds: 7, roundMs: 60, warmUpMs: 300, ...measure };
  const { measurements } = compare(operation, cases, { ...options, operationsPerCall, print: () => {}, jsonFile: null });
  const [own, ...others] = measurements;
  if (own === undefined) return [];
  return others.map((peer) => {
    const bar = bars[peer.name];
    return {
      operation,
      unit: 'ns',
      ours: own.nsPerOperation,
      peer: peer.name,
      theirs: peer.nsPerOperation,
      ratio: 1 / peer.ratio,
      ...(bar === undefined ? {} : { bar }),
    };
  });
}

/**
 * Returns how many bytes of memory something takes: heap and array buffers (shared ones too) after it was made less those before, each after
 * a full collection.
 *
 * @param make returns the thing, which is kept alive until the second reading
 */
export function bytesOf(make: () => object): number {
  const before = bytesInUse();
  const kept = [make()];
  const bytes = bytesInUse() - before;
  // Emptied after the reading: until then the compiler cannot know that nobody needs it.
  kept.length = 0;
  return bytes;
}

function bytesInUse(): number {
  // Two: finalisers run after the first, and what they free goes with the second.
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Collects all garbage; without `--expose-gc` too. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
