/**
 * Consistent hashing with bounded loads: each key has its member as long as that has not more than its share of the requests under way, times a factor; else the key goes where it would if that
 * member were not open.
 *
 * ```
 *   full   when   requests under way + 1   >   ⌈ factor × (requests under way at all that are ready + 1) × weight ÷ weight of all ⌉
 * ```
 * So one key that everybody wants does not drown one member, and keys move only while there is load to move. As the factor is 1 at least, not all can be full; only if all that are open to a
 * request are (it has been refused by the others), the one with the fewest under way for its weight takes it, above the bound. Threads that pick at the same moment may pass it by one each.
 *
 * What is full is decided by a look at as many members as it takes to know that the sum is large enough: none for a member that has nothing to do, most of them for one near its bound.
 *
 * Source: Vahab Mirrokni, Mikkel Thorup, Morteza Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018 (arXiv:1608.01350). The walk is that of the algorithm below, for a ring the
 * paper's.
 */
import { checkNumber } from '@ferrata/error';
import type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { ketama } from './ketama.ts';

/** Options of `boundedLoad`. */
export interface BoundedLoadOptions {
  /** What chooses among those that are not full. Default `ketama()`. One that asks for a key is meant, but any will do. */
  readonly over?: SelectionAlgorithm;
  /** How far above its share a member may go, 1 to 1000. Default 1.25. Closer to 1: more even, more keys away from home. */
  readonly factor?: number;
}

/**
 * Keeps each member's requests under way below a multiple of its share.
 *
 * @throws {RangeError} when `factor` is out of its range
 * @throws {TypeError} when `over` is no algorithm
 */
export function boundedLoad(options: BoundedLoadOptions = {}): SelectionAlgorithm {
  const { over = ketama(), factor = 1.25 } = options;
  checkNumber('factor', factor, { min: 1, max: 1000 });
  if (typeof over !== 'object' || over === null || typeof over.build !== 'function') throw new TypeError('over must be an algorithm');
  return Object.freeze({
    name: `bounded-load/${over.name}`,
    *build(members: Members, { random, previous }: PickerTools): Generator<void, Picker, void> {
      const before = previous instanceof BoundedLoadPicker ? previous.over : null;
      const built = over.build(members, { random, previous: before });
      return new BoundedLoadPicker('pick' in built ? built : yield* built, factor);
    },
  });
}

class BoundedLoadPicker implements Picker {
  readonly over: Picker;
  readonly #bounded: BoundedCandidates;

  constructor(over: Picker, factor: number) {
    this.over = over;
    this.#bounded = new BoundedCandidates(factor);
  }

  refresh(candidates: Candidates): void {
    this.#bounded.begin(candidates);
    this.over.refresh?.(this.#bounded);
  }

  pick(key: SelectionKey | null, candidates: Candidates): number {
    this.#bounded.begin(candidates);
    const member = this.over.pick(key, this.#bounded);
    return member === -1 ? leastLoaded(candidates) : member;
  }
}

/** Candidates of which those that are full are not open. */
class BoundedCandidates implements Candidates {
  readonly #factor: number;
  #candidates: Candidates = nobody;
  /** Requests under way at the first `#added` of the ready. */
  #sum = 0;
  #added = 0;
  readonly isPlain = false;

  constructor(factor: number) {
    this.#factor = factor;
  }

  /** Begins a pick. */
  begin(candidates: Candidates): void {
    this.#candidates = candidates;
    this.#sum = 0;
    this.#added = 0;
  }

  get memberCount(): number {
    return this.#candidates.memberCount;
  }

  get ready(): Int32Array {
    return this.#candidates.ready;
  }

  get readyCount(): number {
    return this.#candidates.readyCount;
  }

  get weights(): Float64Array {
    return this.#candidates.weights;
  }

  get totalWeight(): number {
    return this.#candidates.totalWeight;
  }

  get isRetry(): boolean {
    return this.#candidates.isRetry === true;
  }

  isOpen(member: number): boolean {
    return this.#candidates.isOpen(member) && this.#hasRoom(member);
  }

  inflight(member: number): number {
    return this.#candidates.inflight(member);
  }

  latencyMs(member: number): number {
    return this.#candidates.latencyMs(member);
  }

  /** A whole number and one are at most ⌈x⌉ just when the whole number is below x; and x grows with the sum, which is added up as far as it matters. */
  #hasRoom(member: number): boolean {
    const { ready, readyCount, weights, totalWeight } = this.#candidates;
    const inflight = this.#candidates.inflight(member);
    const share = (this.#factor * (weights[member] as number)) / totalWeight;
    while (share * (this.#sum + 1) <= inflight) {
      if (this.#added >= readyCount) return false;
      this.#sum += this.#candidates.inflight(ready[this.#added] as number);
      this.#added += 1;
    }
    return true;
  }
}

function leastLoaded(candidates: Candidates): number {
  const { ready, readyCount, weights } = candidates;
  let least = -1;
  let lowest = Infinity;
  for (let place = 0; place < readyCount; place++) {
    const member = ready[place] as number;
    const load = (candidates.inflight(member) + 1) / (weights[member] as number);
    if (load >= lowest || !candidates.isOpen(member)) continue;
    lowest = load;
    least = member;
  }
  return least;
}

/** Before the first pick. */
const nobody: Candidates = {
  memberCount: 0,
  ready: new Int32Array(0),
  readyCount: 0,
  weights: new Float64Array(0),
  totalWeight: 0,
  isPlain: true,
  isOpen: () => false,
  inflight: () => 0,
  latencyMs: () => 0,
};
