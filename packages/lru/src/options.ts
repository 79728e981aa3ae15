/** Options of an `Lru`, and their check. */
import { type Random, systemRandom } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';

/** Options of an `Lru`. One of the two limits must be given; `Infinity` says that there is none. */
export interface LruOptions<K> {
  /** Most weight of all entries together, a whole number of 1 or more, in whatever unit the entries' weights have; default `Infinity`. */
  readonly maxWeight?: number;
  /**
   * Most entries, a whole number of 1 or more; default `Infinity`. An entry takes about 53 bytes beside its key and its value, 83 in a
   * cache where entries have come and gone for long.
   */
  readonly maxCount?: number;
  /**
   * How many shards the entries are spread over by their keys, 1 to 4096; default 1, which keeps the exact order of use over all entries.
   * More shards make the longest pause shorter: now and then V8 rebuilds a `Map` in one go, one of a million keys in about 200 ms, and
   * sixteen smaller ones at sixteen times. They cost a hash of each key, and what is evicted is then the least recently used of one shard.
   */
  readonly shards?: number;
  /**
   * Chooses a key's shard: a 32-bit integer, of which the remainder by `shards` is taken; the same key must always give the same. Default:
   * strings and numbers are spread by hashing. With more than one shard it is needed for keys of other types.
   */
  readonly shardOf?: (key: K) => number;
  /** Where the hash's seed and the shard to evict from are drawn when there is more than one shard; default `systemRandom`. */
  readonly random?: Random;
}

/** The options with their defaults filled in. */
export interface LruConfig<K> {
  readonly maxWeight: number;
  readonly maxCount: number;
  readonly shards: number;
  readonly shardOf: ((key: K) => number) | null;
  readonly random: Random;
}

/** Fills in the defaults. @throws {RangeError} when a value is out of its range, or no limit is given */
export function resolveLruOptions<K>(options: LruOptions<K>): LruConfig<K> {
  const { maxWeight, maxCount, shards = 1, shardOf = null, random = systemRandom } = options;
  if (maxWeight === undefined && maxCount === undefined) {
    throw new RangeError('maxWeight or maxCount must be given; Infinity says that there is no limit');
  }
  return Object.freeze({
    maxWeight: checkWholeNumber('maxWeight', maxWeight ?? Infinity, { min: 1, max: Infinity }),
    maxCount: checkWholeNumber('maxCount', maxCount ?? Infinity, { min: 1, max: Infinity }),
    shards: checkWholeNumber('shards', shards, { min: 1, max: 4096 }),
    shardOf,
    random,
  });
}
