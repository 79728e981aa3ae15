/**
 * A token bucket for each key, in a table of fixed size: the rate limiter of clients, tenants and addresses.
 *
 * Rules:
 * - Each key begins with a full bucket. In any span of time it gets no more than `burst` and what its rate brings in that span,
 *   whatever threads do and however many other keys there are.
 * - The table never grows, and no key in use is pushed out by another: a place is free again once its bucket is full.
 * - A new key that finds no place is refused, or let pass uncounted, as `whenFull` says; `fullCount` counts these.
 * - A key shares its bucket with another one in use with a chance of one in 190 000 while `maxKeys` are in use, and of one in 65 536 at most:
 *   both together then get less, never more. The hash has a secret key, so nobody can choose keys that do.
 * - Time is counted in ticks of at most 16 µs: a token may come early or late by so much. A jump of the clock forward fills buckets, no more;
 *   with a clock that goes back keys get nothing until it has caught up.
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { TextHasher } from '@ferrata/hash';
import { checkWindow, largestRatePerMs, planTicks, taggedTimeBits } from './internal/arrival-words.ts';
import { BucketTable, bucketTableBytes, waysPerSet } from './internal/bucket-table.ts';
import { openRegion, type Region, type RegionLayout, sharedMemoryOf } from './internal/region.ts';
import { checkCount, checkTime, type JoinOptions, type KeyedOptions } from './options.ts';

/** Options of a `KeyedGcra`. */
export interface KeyedGcraOptions extends KeyedOptions {
  /** For each key: above 0 and at most 128 000; fractions are allowed. */
  readonly tokensPerSecond: number;
  /** Most tokens of a key at once: a whole number, 1 or more, that comes back in 2³² ms (49 days) or less. */
  readonly burst: number;
  /**
   * How many keys are in use at once, that is, have taken what has not come back yet: 1 to 2²⁴. The table has three times as many places of
   * 8 bytes, in sets of 16, as a key may have only those of its set: with `maxKeys` in use, one new key in some 6000 finds none.
   */
  readonly maxKeys: number;
  /** What becomes of a key that finds no place; default `refuse`. Each thread decides for itself. */
  readonly whenFull?: 'refuse' | 'admit';
  /** Its `now()` must have the same origin on all threads; `systemClock`'s has. */
  readonly clock: Clock;
}

const layout: RegionLayout<'tokensPerSecond' | 'burst' | 'maxKeys'> = {
  kind: 'KeyedGcra',
  hasKeys: true,
  parameters: {
    tokensPerSecond: (value) => checkNumber('tokensPerSecond', value, { above: 0, max: largestRatePerMs(taggedTimeBits) * 1000 }),
    burst: (value) => checkWholeNumber('burst', value, { min: 1 }),
    maxKeys: (value) => checkWholeNumber('maxKeys', value, { min: 1, max: 0x100_0000 }),
  },
  dataBytes: ({ maxKeys }) => bucketTableBytes(setsFor(maxKeys)),
};

/** Token buckets by text keys, on memory that threads can share. */
export class KeyedGcra {
  readonly #region: Region<'tokensPerSecond' | 'burst' | 'maxKeys'>;
  readonly #hasher: TextHasher;
  readonly #table: BucketTable;
  readonly #clock: Clock;
  readonly #admitsWhenFull: boolean;
  readonly #burst: number;
  readonly #ticksPerToken: number;

  /**
   * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
   * @throws {TypeError} when `memory` isn't a `KeyedGcra`'s
   */
  constructor(options: KeyedGcraOptions | (JoinOptions & Partial<KeyedGcraOptions>)) {
    const { tokensPerSecond, burst, maxKeys, whenFull = 'refuse', clock, memory, random } = options;
    if (whenFull !== 'refuse' && whenFull !== 'admit')
      throw new RangeError(`whenFull must be 'refuse' or 'admit', not ${String(whenFull)}`);
    this.#region = openRegion(layout, { parameters: { tokensPerSecond, burst, maxKeys }, memory, random });
    const { parameters } = this.#region;
    const tokensPerMs = parameters.tokensPerSecond / 1000;
    checkWindow('burst', parameters.burst, tokensPerMs);
    const plan = planTicks(taggedTimeBits, tokensPerMs, parameters.burst);
    this.#hasher = new TextHasher(this.#region.key);
    this.#table = new BucketTable(this.#region.buffer, setsFor(parameters.maxKeys), plan);
    this.#clock = clock;
    this.#admitsWhenFull = whenFull === 'admit';
    this.#burst = parameters.burst;
    this.#ticksPerToken = plan.ticksPerToken;
  }

  /** Tokens that come to each key in a second. */
  get tokensPerSecond(): number {
    return this.#region.parameters.tokensPerSecond;
  }

  /** Most tokens of a key at once. */
  get burst(): number {
    return this.#burst;
  }

  /** Keys in use at once that the table is made for. */
  get maxKeys(): number {
    return this.#region.parameters.maxKeys;
  }

  /** How often, on all threads, a key found no place; comes round at 2³². */
  get fullCount(): number {
    return this.#table.fullCount;
  }

  /** Its memory, to post to other threads. @throws {TypeError} when the realm has no `SharedArrayBuffer` */
  get memory(): SharedArrayBuffer {
    return sharedMemoryOf(this.#region);
  }

  /**
   * Takes so many of a key's tokens, or none.
   *
   * @param count a whole number, 0 or more; more than `burst` are never there
   * @param now the clock's time, if the caller has just read it
   * @returns false if there aren't that many, or the key finds no place and `whenFull` is `refuse`
   * @throws {RangeError} when `count` is anything else, or `now` is not a time
   */
  tryTake(key: string, count = 1, now = this.#clock.now()): boolean {
    checkCount(count);
    checkTime(now);
    if (count > this.#burst) return false;
    if (count === 0) return true;
    return this.#table.take(this.#hasher.hash53(key), count * this.#ticksPerToken, now) ?? this.#admitsWhenFull;
  }

  /** Whole tokens that a key may take now; for one that finds no place 0, or `burst` where it would be let pass. */
  remaining(key: string, now = this.#clock.now()): number {
    const ahead = this.#table.ahead(this.#hasher.hash53(key), now);
    if (ahead === undefined) return this.#admitsWhenFull ? this.#burst : 0;
    return Math.max(0, Math.floor(this.#burst - ahead / this.#ticksPerToken));
  }

  /**
   * Milliseconds until a key may take so many, if nobody else takes any: 0 for now, `Infinity` for more than `burst`. For a key that finds
   * no place, the time until one is free.
   */
  retryAfterMs(key: string, count = 1, now = this.#clock.now()): number {
    checkCount(count);
    checkTime(now);
    if (count > this.#burst) return Infinity;
    const hash = this.#hasher.hash53(key);
    const ahead = this.#table.ahead(hash, now);
    if (ahead !== undefined) return this.#table.waitMs(ahead + (count - this.#burst) * this.#ticksPerToken, now);
    return this.#admitsWhenFull ? 0 : this.#table.waitMs(this.#table.roomInTicks(hash, now), now);
  }

  /** Milliseconds until a key's bucket is full. */
  resetMs(key: string, now = this.#clock.now()): number {
    return this.#table.waitMs(this.#table.ahead(this.#hasher.hash53(key), now) ?? 0, now);
  }
}

/** Fewer keys than a set has ways always find room in one. With a third of all places taken, one set in some 6000 has none left; with half, one in 120. */
function setsFor(maxKeys: number): number {
  return maxKeys < waysPerSet ? 1 : Math.ceil((3 * maxKeys) / waysPerSet);
}
