/** Options of an `Lru`, and their check. */
import { type Random, systemRandom } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';

/** Options of an `Lru`. One of the two limits must be given; `Infinity` says that there is none. */
export interface LruOptions<K> {
  /** Most weight of all entries together, a whole number of 1 or more, in whatever unit the entries' weights have; default `Infinity`. */
  readonly maxWeight?: number;
  /**
   * Most entries, a whole number from 1 to 2²³ for each shard; default `Infinity`, and then the shards' own maximum is the limit. An entry
   * takes 53 to 138 bytes beside its key and its value, because V8's `Map` doubles, and 8 more for weights other than 1.
   */
  readonly maxCount?: number;
  /**
   * How many shards the entries are spread over by their keys, 1 to 4096; default 1, which keeps the exact order of use over all entries.
   * More shards make the longest pause shorter: now and then V8 rebuilds a `Map` in one go, one of a million keys in 100 to 250 ms, and
   * sixteen smaller ones at sixteen times. They cost a hash of each whole key, and what is evicted is then the least recently used of one
   * shard.
   */
  readonly shards?: number;
  /**
   * Chooses a key's shard: a 32-bit integer, of which the remainder by `shards` is taken; the same key must always give the same. It
   * should spread the keys evenly: the shards share the limits, so the short ones lose what the long ones hold. Default: strings and
   * numbers are spread by a keyed hash. With more than one shard it is needed for keys of other types.
   */
  readonly shardOf?: (key: K) => number;
  /**
   * Where the hash's secret and the shard to evict from are drawn when there is more than one shard; default `systemRandom`, which needs the
   * platform's `crypto`.
   */
  readonly random?: Random;
}

/**
 * Most entries of a shard. V8's `Map` has room for 2²⁴ keys, of which deleted ones count until it is rebuilt; it rebuilds in place when at
 * least half of them are deleted, and else tries to double and throws. So beyond half of it, a map in which keys come and go fails.
 */
const highestShardSize = 0x80_0000;

/** A lower maximum for a shard: not exported from the package, but for its own tests, for which filling one would take too long. */
export const maxShardSizeKey: unique symbol = /* @__PURE__ */ Symbol('maxShardSize');

/** The options that the package's own tests have. */
export interface InternalLruOptions<K> extends LruOptions<K> {
  readonly [maxShardSizeKey]?: number;
}

/** The options with their defaults filled in. */
export interface LruConfig<K> {
  readonly maxWeight: number;
  readonly maxCount: number;
  readonly shards: number;
  readonly shardOf: ((key: K) => number) | null;
  readonly random: Random;
  readonly maxShardSize: number;
}

/** Fills in the defaults. @throws {RangeError} when a value is out of its range, or no limit is given */
export function resolveLruOptions<K>(options: InternalLruOptions<K>): LruConfig<K> {
  if (options.maxWeight === undefined && options.maxCount === undefined) {
    throw new RangeError('maxWeight or maxCount must be given; Infinity says that there is no limit');
  }
  const { maxWeight = Infinity, maxCount = Infinity, shards = 1, shardOf = null, random = systemRandom } = options;
  const { [maxShardSizeKey]: maxShardSize = highestShardSize } = options;
  checkWholeNumber('shards', shards, { min: 1, max: 4096 });
  checkWholeNumber('maxCount', maxCount, { min: 1, max: Infinity });
  if (maxCount !== Infinity && maxCount > shards * maxShardSize) {
    throw new RangeError(`maxCount must be ${maxShardSize} or less for each of the shards, of which there are ${shards}, not ${maxCount}`);
  }
  return Object.freeze({
    maxWeight: checkWholeNumber('maxWeight', maxWeight, { min: 1, max: Infinity }),
    maxCount,
    shards,
    shardOf,
    random,
    maxShardSize,
  });
}
