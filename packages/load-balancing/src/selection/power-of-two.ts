/**
 * The power of two choices: of two members drawn at random the one with fewer requests under way for its weight.
 *
 * Two choices bring the longest queue of n members from log n / log log n down to log log n; a third changes little. Unlike the least of all, it costs the same for any number of members, and
 * does not send every thread to the same one when figures lag.
 *
 * Members are drawn by weight, and compared by requests ÷ weight, as nginx's `random two least_conn` does. Were they drawn alike, light members would get as much as heavy ones while all are idle.
 *
 * Sources: Michael Mitzenmacher, "The power of two choices in randomized load balancing", IEEE Transactions on Parallel and Distributed Systems 12(10), 2001; nginx,
 * `ngx_http_upstream_random_module.c`.
 */
import type { Candidates, Picker, PickerTools, SelectionAlgorithm } from './algorithm.ts';
import { BestOfPicker, checkChoices } from './best-of-picker.ts';

/** Options of `powerOfTwo`. */
export interface PowerOfTwoOptions {
  /** How many distinct members are drawn, 2 to 16. Default 2. More come closer to the least of all, at some 20 ns each. */
  readonly choices?: number;
}

/**
 * Picks the least busy of two drawn at random.
 *
 * @throws {RangeError} when `choices` is out of its range
 */
export function powerOfTwo(options: PowerOfTwoOptions = {}): SelectionAlgorithm {
  const choices = checkChoices(options.choices ?? 2);
  return Object.freeze({
    name: 'power-of-two',
    build: (_members: unknown, { random }: PickerTools): Picker => new BestOfPicker(random, choices, loadOf),
  });
}

function loadOf(member: number, candidates: Candidates): number {
  return candidates.inflight(member) / (candidates.weights[member] as number);
}
