/**
 * Peak EWMA: of two members drawn at random the one from which an answer is to be expected sooner.
 *
 * ```
 *   cost  =  latency, a moving average that rises at once and falls slowly  ×  (requests under way + 1)  ÷  weight
 * ```
 * A member whose latency is not known, because it is new or has been silent for long, costs nothing as long as it has nothing to do: the next request that draws it finds out. From then on,
 * until its first answer, it costs more than any that has answered: one request is its probe, and no crowd follows it. Among such members those with fewer requests come first, so a program that
 * has just started balances by requests.
 *
 * Sources: Finagle, `com.twitter.finagle.loadbalancer.PeakEwma` (the same treatment of what is not known); Mitzenmacher 2001, see `power-of-two.ts`.
 */
import type { Candidates, Picker, PickerTools, SelectionAlgorithm } from './algorithm.ts';
import { BestOfPicker, checkChoices } from './best-of-picker.ts';

/** Options of `peakEwma`. */
export interface PeakEwmaOptions {
  /** How many distinct members are drawn, 2 to 16. Default 2. More find fast members sooner, and crowd them sooner. */
  readonly choices?: number;
}

/** Stands for a latency that is not known, once a request is under way: 24 days, longer than any timer of Node. */
const unknownLatencyMs = 2 ** 31;

/**
 * Picks, of two drawn at random, the one that is expected to answer sooner.
 *
 * @throws {RangeError} when `choices` is out of its range
 */
export function peakEwma(options: PeakEwmaOptions = {}): SelectionAlgorithm {
  const choices = checkChoices(options.choices ?? 2);
  return Object.freeze({
    name: 'peak-ewma',
    build: (_members: unknown, { random }: PickerTools): Picker => new BestOfPicker(random, choices, costOf),
  });
}

function costOf(member: number, candidates: Candidates): number {
  const latencyMs = candidates.latencyMs(member);
  const inflight = candidates.inflight(member);
  if (latencyMs === 0 && inflight === 0) return 0;
  return ((latencyMs === 0 ? unknownLatencyMs : latencyMs) * (inflight + 1)) / (candidates.weights[member] as number);
}
