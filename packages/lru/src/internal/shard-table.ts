/**
 * The shards of a cache, and which of them a key belongs to.
 *
 * Numbers are mixed whole; of long strings, the end and some characters before it, so that no key costs more than 64. With
 * a seed of its own each cache spreads differently. A peer who finds keys that all fall into one shard gains nothing: that shard is longer
 * then, and eviction prefers longer ones.
 */
import type { Random } from '@ferrata/clock';
import { mix32 } from '@ferrata/hash';
import type { LruConfig } from '../options.ts';
import { Shard } from './shard.ts';
import type { Tally } from './tally.ts';

/** So many of the last characters count, where keys differ most often, and about as many of all before them. */
const countedChars = 32;

export class ShardTable<K, V> {
  readonly all: readonly Shard<K, V>[];
  /** The one shard, for which no key need be hashed; null if there are more. */
  readonly #only: Shard<K, V> | null;
  readonly #shardOf: ((key: K) => number) | null;
  readonly #random: Random;
  readonly #seed: number;
  /** One number as the two words of its bits. */
  readonly #number = new Float64Array(1);
  readonly #words = new Uint32Array(this.#number.buffer);

  constructor(config: LruConfig<K>, tally: Tally) {
    const { shards, shardOf, random, maxCount } = config;
    // How the entries will spread over several shards isn't known.
    const expectedSize = shards === 1 ? maxCount : Infinity;
    this.all = Array.from({ length: shards }, () => new Shard<K, V>(tally, expectedSize));
    this.#only = shards === 1 ? (this.all[0] as Shard<K, V>) : null;
    this.#shardOf = shardOf;
    this.#random = random;
    this.#seed = shards === 1 ? 0 : random.uint32() | 0;
  }

  /** The shard that a key belongs to. @throws {TypeError} when its type can't be hashed and there is no `shardOf` */
  of(key: K): Shard<K, V> {
    return this.#only ?? (this.all[this.indexOf(key)] as Shard<K, V>);
  }

  /** The number of that shard. */
  indexOf(key: K): number {
    if (this.#only !== null) return 0;
    return this.#shardOf === null ? scale(this.#hash(key), this.all.length) : (this.#shardOf(key) >>> 0) % this.all.length;
  }

  /**
   * Chooses a shard to evict from: the one with more entries of two drawn by lot ("the power of two choices", Mitzenmacher, 2001), or if
   * both are empty the next one that isn't. It looks at counts and not at weights: what is evicted is then old wherever it is, and not
   * young because it lies in a shard with one heavy entry.
   *
   * At least one shard must not be empty.
   */
  toEvictFrom(): Shard<K, V> {
    if (this.#only !== null) return this.#only;
    const { all } = this;
    // One word for both: for a choice like this, halves are even enough.
    const word = this.#random.uint32();
    const first = scale(word, all.length);
    const second = scale(word << 16, all.length);
    let index = (all[second] as Shard<K, V>).size > (all[first] as Shard<K, V>).size ? second : first;
    while ((all[index] as Shard<K, V>).size === 0) index = (index + 1) % all.length;
    return all[index] as Shard<K, V>;
  }

  #hash(key: unknown): number {
    if (typeof key === 'string') return hashSample(key, this.#seed);
    if (typeof key === 'number') return this.#hashNumber(key);
    throw new TypeError(`shardOf must be given for keys of type ${typeof key} when there is more than one shard`);
  }

  #hashNumber(key: number): number {
    if ((key | 0) === key) return mix32(key ^ this.#seed);
    // Keys that a map takes for the same must hash the same, and not every NaN has the same bits.
    this.#number[0] = Number.isNaN(key) ? 0 : key;
    return mix32((this.#words[0] as number) ^ mix32((this.#words[1] as number) ^ this.#seed));
  }
}

/** A word's upper half as a number below `count`, without a division. Off by at most 1 part in 16 for the odd count near 4096. */
function scale(word: number, count: number): number {
  return ((word >>> 16) * count) >>> 16;
}

/** FNV-1a over characters in place of bytes (its words are mixed at the end, as its low bits are weak). */
function hashSample(text: string, seed: number): number {
  const end = Math.max(0, text.length - countedChars);
  // At least 1; up to 63 characters where the division leaves a remainder.
  const step = end < countedChars ? 1 : (end / countedChars) >>> 0;
  let hash = seed ^ text.length;
  for (let index = 0; index < end; index += step) hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  for (let index = end; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  return mix32(hash);
}
