/**
 * The shards of a cache, and which of them a key belongs to.
 *
 * Keys are hashed whole, with a secret of the cache's own. A hash that left something out, or that a peer could compute, would let one
 * shard become long and all others short: the limits are those of all shards, so what is asked for often would be evicted from the short
 * ones, although the cache is full of what is not.
 */
import type { Random } from '@ferrata/clock';
import { KeyHasher } from '@ferrata/hash';
import type { LruConfig } from '../options.ts';
import { Shard } from './shard.ts';
import type { Tally } from './tally.ts';

export class ShardTable<K, V> {
  readonly all: readonly Shard<K, V>[];
  /** The one shard, for which no key need be hashed; null if there are more. */
  readonly #only: Shard<K, V> | null;
  readonly #shardOf: ((key: K) => number) | null;
  readonly #random: Random;
  /** Null where no key need be hashed. */
  readonly #hasher: KeyHasher | null;

  constructor(config: LruConfig<K>, tally: Tally) {
    const { shards, shardOf, random, maxCount, maxShardSize } = config;
    // How the entries will spread over several shards isn't known.
    const expectedSize = shards === 1 ? maxCount : Infinity;
    this.all = Array.from({ length: shards }, () => new Shard<K, V>(tally, maxShardSize, expectedSize));
    this.#only = shards === 1 ? (this.all[0] as Shard<K, V>) : null;
    this.#shardOf = shardOf;
    this.#random = random;
    this.#hasher = shards === 1 || shardOf !== null ? null : new KeyHasher({ k0: random.uint32(), k1: random.uint32() });
  }

  /** The shard that a key belongs to. @throws {TypeError} when its type can't be hashed and there is no `shardOf` */
  of(key: K): Shard<K, V> {
    return this.#only ?? (this.all[this.indexOf(key)] as Shard<K, V>);
  }

  /** The number of that shard. */
  indexOf(key: K): number {
    if (this.#hasher !== null) return scale(this.#hasher.hash32(checkHashable(key)), this.all.length);
    return this.#shardOf === null || this.#only !== null ? 0 : (this.#shardOf(key) >>> 0) % this.all.length;
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
}

function checkHashable(key: unknown): string | number {
  if (typeof key === 'string' || typeof key === 'number') return key;
  throw new TypeError(`shardOf must be given for keys of type ${typeof key} when there is more than one shard`);
}

/** A word's upper half as a number below `count`, without a division. Off by at most 1 part in 16 for the odd count near 4096. */
function scale(word: number, count: number): number {
  return ((word >>> 16) * count) >>> 16;
}
