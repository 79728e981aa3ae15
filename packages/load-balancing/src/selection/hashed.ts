/**
 * Hash of the key modulo the weights: the plainest way to give each key its member, and Pingora's.
 *
 * ```
 *   list   a a a a b c                       each member as often as it weighs, ready or not
 *   seed   hash(key)                         first pick: list[seed mod list length]
 *   seed   hash(bytes of the seed before)    further picks: members[seed mod member count], by no weight
 * ```
 * With FNV-1a of 64 bits, and members in Pingora's order, each key has the member it has with Pingora's `Weighted<FnvHasher>`. When the list changes, nearly all keys move: where that matters, take
 * `ketama` or `maglev`.
 *
 * Source: Pingora, `pingora-load-balancing/src/selection/weighted.rs`. Its list of 16-bit numbers is here a list of sums, so weights may be any.
 */
import type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { Fnv1a64Seed, fnv1a32, type KeySeed, Uint32Seed } from './key-hash.ts';
import { WeightedSampler } from './weighted-sampler.ts';

/** A hash of keys. Of what it returns the low 32 bits count. */
export type KeyHash = (key: SelectionKey) => number;

/** Options of `hashed`. */
export interface HashedOptions {
  /**
   * Default `fnv1a64`, Pingora's. `fnv1a32` takes a third of the time for long keys. Or a function of the program's: with a secret in it, nobody can aim keys at one member. A function is given bytes too, which it
   * must not keep.
   */
  readonly hash?: 'fnv1a32' | 'fnv1a64' | KeyHash;
}

/** How many further picks are made, before the rest of the list is tried in its order. */
const maxFurtherPicks = 64;

/**
 * Gives each key the member that its hash names. Without a key it picks at random by weight.
 *
 * @throws {RangeError} when `hash` is none of those
 */
export function hashed(options: HashedOptions = {}): SelectionAlgorithm {
  const { hash = 'fnv1a64' } = options;
  if (hash !== 'fnv1a32' && hash !== 'fnv1a64' && typeof hash !== 'function')
    throw new RangeError(`hash must be fnv1a32, fnv1a64 or a function, not ${String(hash)}`);
  return Object.freeze({
    name: 'hashed',
    build: (members: Members, { random }: PickerTools): Picker => new HashedPicker(members, seedOf(hash), new WeightedSampler(random)),
  });
}

function seedOf(hash: 'fnv1a32' | 'fnv1a64' | KeyHash): KeySeed {
  if (hash === 'fnv1a64') return new Fnv1a64Seed();
  return new Uint32Seed(hash === 'fnv1a32' ? fnv1a32 : hash);
}

class HashedPicker implements Picker {
  readonly #count: number;
  /** By member: the sum of the weights up to it. */
  readonly #sums: Float64Array;
  readonly #total: number;
  /** The weight that all have; 0 if they differ. */
  readonly #each: number;
  readonly #seed: KeySeed;
  readonly #sampler: WeightedSampler;

  constructor(members: Members, seed: KeySeed, sampler: WeightedSampler) {
    this.#count = members.count;
    this.#sums = new Float64Array(members.count);
    let total = 0;
    let each = members.count === 0 ? 0 : members.weight(0);
    for (let member = 0; member < members.count; member++) {
      const weight = members.weight(member);
      if (weight !== each) each = 0;
      total += weight;
      this.#sums[member] = total;
    }
    this.#total = total;
    this.#each = each;
    this.#seed = seed;
    this.#sampler = sampler;
  }

  refresh(): void {
    this.#sampler.refresh();
  }

  pick(key: SelectionKey | null, candidates: Candidates): number {
    if (key === null) return this.#sampler.drawOpen(candidates);
    if (candidates.readyCount === 0 || this.#total === 0) return -1;
    const seed = this.#seed;
    seed.begin(key);
    let member = this.#memberAt(seed.below(this.#total));
    if (candidates.isOpen(member)) return member;
    for (let picks = 0; picks < maxFurtherPicks; picks++) {
      seed.again();
      member = seed.below(this.#count);
      if (candidates.isOpen(member)) return member;
    }
    return this.#firstOpenBehind(member, candidates);
  }

  /** @returns the member at a place of the list in which each stands as often as it weighs */
  #memberAt(place: number): number {
    if (this.#each !== 0) return Math.floor(place / this.#each);
    const sums = this.#sums;
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] as number) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #firstOpenBehind(last: number, candidates: Candidates): number {
    for (let step = 1; step <= this.#count; step++) {
      const member = (last + step) % this.#count;
      if (candidates.isOpen(member)) return member;
    }
    return -1;
  }
}
