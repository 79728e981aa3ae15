/** Options of a `TinyUfo`, and their check. */
import { type Random, systemRandom } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import { KeyHasher } from '@ferrata/hash';

/** Options of a `TinyUfo`. */
export interface TinyUfoOptions<K extends string | number> {
  /**
   * Most that the entries may weigh together: a whole number, 1 or more. What the unit is decides whoever gives `put` its weights: entries (each of
   * weight 1, the default), KiB, cost.
   */
  readonly maxWeight: number;
  /**
   * About how many entries it will hold: a whole number from 1 to 2²⁴, default `maxWeight`, at most 2²⁰. It sizes the sketch of frequencies. Too
   * small lets keys take each other's counts and costs hits; each one more costs 16 to 32 bytes, in the compact form a quarter of one.
   */
  readonly expectedCount?: number;
  /**
   * Most entries, whatever they weigh: a whole number from 1, default and highest 2²³, in the compact form 2²⁶. The default is where the engine's own
   * tables end: V8's `Map` refuses to grow beyond 2²⁴ places, and half of them are needed for what has been deleted.
   */
  readonly maxCount?: number;
  /**
   * Takes 40 to 70 % less memory: an open-addressed table of integers in place of a `Map`, and a small sketch. Default false. It costs up to a point
   * of hit ratio. A look-up has to hash its key, which a `Map` of strings has done before: about 100 ns more for a short text, nothing for a number.
   */
  readonly isCompact?: boolean;
  /** Where the secret key of the hash comes from; default `systemRandom`. With a seeded one a run repeats. */
  readonly random?: Random;
  /**
   * An own hash of keys: any number, whose low 32 bits count. Default: keyed, so that peers who choose keys can't make them collide. Bad hashes cost
   * hits and time, never correctness: entries are told apart by their keys.
   */
  readonly hashOf?: (key: K) => number;
}

/** The options with their defaults filled in. */
export interface TinyUfoConfig<K extends string | number> {
  readonly maxWeight: number;
  readonly expectedCount: number;
  readonly maxCount: number;
  readonly isCompact: boolean;
  readonly hashOf: (key: K) => number;
}

const highestExpectedCount = 2 ** 24;
const highestDefaultExpectedCount = 2 ** 20;
const highestCount = 2 ** 23;
const highestCompactCount = 2 ** 26;

/** Fills in the defaults. @throws {RangeError} when a value is out of its range */
export function resolveTinyUfoOptions<K extends string | number>(options: TinyUfoOptions<K>): TinyUfoConfig<K> {
  const { isCompact = false, random = systemRandom } = options;
  const maxWeight = checkWholeNumber('maxWeight', options.maxWeight, { min: 1 });
  const { expectedCount = Math.min(maxWeight, highestDefaultExpectedCount) } = options;
  const maxCountRange = { min: 1, max: isCompact ? highestCompactCount : highestCount };
  const { maxCount = maxCountRange.max } = options;
  return Object.freeze({
    maxWeight,
    expectedCount: checkWholeNumber('expectedCount', expectedCount, { min: 1, max: highestExpectedCount }),
    maxCount: checkWholeNumber('maxCount', maxCount, maxCountRange),
    isCompact,
    hashOf: options.hashOf ?? defaultHashOf(random),
  });
}

function defaultHashOf(random: Random): (key: string | number) => number {
  const hasher = new KeyHasher({ k0: random.uint32(), k1: random.uint32() });
  return (key) => hasher.hash32(key);
}
