/**
 * Round robin: each has its turn, in the order of the list.
 *
 * While all that are ready weigh the same it is a counter. Where weights differ it is nginx's smooth weighted round robin (`smooth-turns.ts`), which gives the same turns for equal weights: so
 * nobody gets a burst for weighing much. A member that is ready but not open loses its turn; requests that come
 * again have turns of their own.
 *
 * Source: nginx, `ngx_http_upstream_round_robin.c`, which begins with the first of the list too.
 */
import type { Random } from '@ferrata/clock';
import type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { matchMembers } from './member-lists.ts';
import { SmoothTurns } from './smooth-turns.ts';
import { haveOneWeight } from './weighted-sampler.ts';

/** Options of `roundRobin`. */
export interface RoundRobinOptions {
  /**
   * Who has the first turn. Default `first`, the first of the list that is ready, as in nginx. `random`: somewhere in the round, so that many threads or programs that begin at the same time do
   * not all send their first requests to the same member.
   */
  readonly start?: 'first' | 'random';
}

/**
 * Takes turns, by weight where weights differ.
 *
 * @throws {RangeError} when `start` is neither `first` nor `random`
 */
export function roundRobin(options: RoundRobinOptions = {}): SelectionAlgorithm {
  const { start = 'first' } = options;
  if (start !== 'first' && start !== 'random') throw new RangeError(`start must be first or random, not ${String(start)}`);
  return Object.freeze({
    name: 'round-robin',
    *build(members: Members, { random, previous }: PickerTools): Generator<void, Picker, void> {
      if (!(previous instanceof RoundRobinPicker)) return new RoundRobinPicker(members, start === 'random' ? random : null);
      const picker = new RoundRobinPicker(members, null);
      picker.inherit(previous, yield* matchMembers(members, previous.members));
      return picker;
    },
  });
}

/** As far as a random start goes into a round of unequal weights. */
const maxFirstTurns = 1024;

class RoundRobinPicker implements Picker {
  readonly members: Members;
  readonly #turns: SmoothTurns;
  /** Draws where to begin; null as soon as it has begun. */
  #start: Random | null;
  #isEqual = true;
  /** The place among the ready that has the next turn, while all weigh the same. */
  #place = 0;
  /** Who had the last turn. */
  #last = -1;

  constructor(members: Members, start: Random | null) {
    this.members = members;
    this.#turns = new SmoothTurns(members.count);
    this.#start = start;
  }

  /** Goes on where another has ended: behind the last that had a turn and is in both lists. */
  inherit(previous: RoundRobinPicker, places: Int32Array): void {
    this.#turns.inherit(previous.#turns, places);
    let behind = -1;
    for (let member = 0; member < places.length; member++) {
      const place = places[member] as number;
      if (place === -1 || place > previous.#last || place <= behind) continue;
      behind = place;
      this.#last = member;
    }
  }

  refresh(candidates: Candidates): void {
    const { ready, readyCount, weights } = candidates;
    this.#turns.settle();
    this.#isEqual = haveOneWeight(ready, readyCount, weights);
    if (this.#start !== null && readyCount > 0) this.#begin(this.#start, candidates);
    this.#place = placeBehind(ready, readyCount, this.#last);
  }

  pick(_key: SelectionKey | null, candidates: Candidates): number {
    if (!this.#isEqual || candidates.isRetry === true) return this.#turns.nextOpen(candidates);
    const { ready, readyCount, isPlain } = candidates;
    for (let count = 0; count < readyCount; count++) {
      const place = this.#place;
      this.#place = place + 1 >= readyCount ? 0 : place + 1;
      const member = ready[place] as number;
      this.#last = member;
      if (isPlain || candidates.isOpen(member)) return member;
    }
    return -1;
  }

  #begin(random: Random, candidates: Candidates): void {
    const { ready, readyCount } = candidates;
    this.#start = null;
    this.#last = (ready[random.below(readyCount)] as number) - 1;
    if (this.#isEqual) return;
    for (let count = random.below(maxFirstTurns); count > 0; count--) this.#turns.next(candidates);
  }
}

/** @returns the place of the first ready member behind one, or 0 */
function placeBehind(ready: Int32Array, readyCount: number, member: number): number {
  let low = 0;
  let high = readyCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ready[middle] as number) <= member) low = middle + 1;
    else high = middle;
  }
  return low === readyCount ? 0 : low;
}
