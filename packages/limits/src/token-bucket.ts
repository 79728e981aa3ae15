/**
 * One bucket for everything: so many tokens a second, and up to `burst` of them at once.
 *
 * Rules:
 * - It begins full. In any span of time no more than `burst` and what the rate brings in that span is taken, whatever threads do.
 * - Taking is all or nothing, and one atomic operation: no locks, no timers, 192 bytes.
 * - Time is counted in ticks of at most 1 µs: a token may come early or late by so much.
 * - A jump of the clock forward fills it, no more. A clock that goes back gets nothing until it has caught up.
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { aloneTimeBits, checkWindow, largestRatePerMs, planTicks } from './internal/arrival-words.ts';
import { openRegion, type Region, type RegionLayout, sharedMemoryOf } from './internal/region.ts';
import { SingleBucket, singleBucketBytes } from './internal/single-bucket.ts';
import { checkCount, checkTime, type JoinOptions, type MemoryOptions } from './options.ts';

/** Options of a `TokenBucket`. */
export interface TokenBucketOptions extends MemoryOptions {
  /** Above 0 and at most 65 536 000; fractions are allowed. */
  readonly tokensPerSecond: number;
  /** Most tokens at once: a whole number, 1 or more, that comes back in 2³² ms (49 days) or less. */
  readonly burst: number;
  /** Its `now()` must have the same origin on all threads; `systemClock`'s has. */
  readonly clock: Clock;
}

const layout: RegionLayout<'tokensPerSecond' | 'burst'> = {
  kind: 'TokenBucket',
  hasKeys: false,
  parameters: {
    tokensPerSecond: (value) => checkNumber('tokensPerSecond', value, { above: 0, max: largestRatePerMs(aloneTimeBits) * 1000 }),
    burst: (value) => checkWholeNumber('burst', value, { min: 1 }),
  },
  dataBytes: () => singleBucketBytes,
};

/** A token bucket, on memory that threads can share. */
export class TokenBucket {
  readonly #region: Region<'tokensPerSecond' | 'burst'>;
  readonly #clock: Clock;
  readonly #bucket: SingleBucket;
  readonly #burst: number;
  readonly #ticksPerToken: number;

  /**
   * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
   * @throws {TypeError} when `memory` isn't a `TokenBucket`'s
   */
  constructor(options: TokenBucketOptions | (JoinOptions & Partial<TokenBucketOptions>)) {
    const { tokensPerSecond, burst, clock, memory } = options;
    this.#region = openRegion(layout, { parameters: { tokensPerSecond, burst }, memory });
    const { parameters } = this.#region;
    const tokensPerMs = parameters.tokensPerSecond / 1000;
    checkWindow('burst', parameters.burst, tokensPerMs);
    const plan = planTicks(aloneTimeBits, tokensPerMs, parameters.burst);
    this.#clock = clock;
    this.#bucket = new SingleBucket(this.#region.buffer, plan);
    this.#burst = parameters.burst;
    this.#ticksPerToken = plan.ticksPerToken;
    if (memory === undefined) this.#bucket.begin(clock);
  }

  /** Tokens that come in a second. */
  get tokensPerSecond(): number {
    return this.#region.parameters.tokensPerSecond;
  }

  /** Most tokens at once. */
  get burst(): number {
    return this.#burst;
  }

  /** Its memory, to post to other threads. @throws {TypeError} when the realm has no `SharedArrayBuffer` */
  get memory(): SharedArrayBuffer {
    return sharedMemoryOf(this.#region);
  }

  /**
   * Takes so many tokens, or none.
   *
   * @param count a whole number, 0 or more; more than `burst` are never there
   * @param now the clock's time, if the caller has just read it
   * @returns false if there aren't that many
   * @throws {RangeError} when `count` is anything else, or `now` is not a time
   */
  tryTake(count = 1, now = this.#clock.now()): boolean {
    checkCount(count);
    checkTime(now);
    return count <= this.#burst && this.#bucket.take(count * this.#ticksPerToken, now);
  }

  /** Whole tokens that may be taken now. */
  remaining(now = this.#clock.now()): number {
    return Math.floor(this.#bucket.room(now) / this.#ticksPerToken);
  }

  /** Milliseconds until so many may be taken, if nobody else takes any: 0 for now, `Infinity` for more than `burst`. */
  retryAfterMs(count = 1, now = this.#clock.now()): number {
    checkCount(count);
    checkTime(now);
    return count > this.#burst ? Infinity : this.#bucket.waitMs(count * this.#ticksPerToken, now);
  }

  /** Milliseconds until it is full. */
  resetMs(now = this.#clock.now()): number {
    return this.#bucket.fullInMs(now);
  }
}
