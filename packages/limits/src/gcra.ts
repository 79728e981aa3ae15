/**
 * One event each so many milliseconds, and some tolerance for those that come early: the generic cell rate algorithm in its own words.
 *
 * It is the pacer where `TokenBucket` is the allowance: with no tolerance events are spread evenly, with more of it so much may be made
 * up for. `tolerance = (burst − 1) × interval` makes the two the same.
 *
 * Rules:
 * - An event conforms if it comes no earlier than `toleranceMs` before the time that the even pace gives it; only those that conform count.
 * - One atomic operation an event: no locks, no timers, 192 bytes.
 * - Time is counted in ticks of at most 1 µs. A jump of the clock forward earns the tolerance, no more; a clock that goes back gets
 *   nothing until it has caught up.
 *
 * Source: ITU-T I.371, annex A (virtual scheduling).
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber } from '@ferrata/error';
import { aloneTimeBits, largestRatePerMs, longestWindowMs, planTicks } from './internal/arrival-words.ts';
import { openRegion, type Region, type RegionLayout, sharedMemoryOf } from './internal/region.ts';
import { SingleBucket, singleBucketBytes } from './internal/single-bucket.ts';
import { checkCount, checkTime, type JoinOptions, type MemoryOptions } from './options.ts';

/** Options of a `Gcra`. */
export interface GcraOptions extends MemoryOptions {
  /** Milliseconds from one event to the next: 1/65 536 to 2³². */
  readonly intervalMs: number;
  /** How much earlier an event may come: 0 or more, with `intervalMs` at most 2³² (49 days); default 0. */
  readonly toleranceMs?: number;
  /** Its `now()` must have the same origin on all threads; `systemClock`'s has. */
  readonly clock: Clock;
}

const layout: RegionLayout<'intervalMs' | 'toleranceMs'> = {
  kind: 'Gcra',
  hasKeys: false,
  parameters: {
    intervalMs: (value) => checkNumber('intervalMs', value, { min: 1 / largestRatePerMs(aloneTimeBits), max: longestWindowMs }),
    toleranceMs: (value) => checkNumber('toleranceMs', value, { min: 0, max: longestWindowMs }),
  },
  dataBytes: () => singleBucketBytes,
};

/** A pacer of events, on memory that threads can share. */
export class Gcra {
  readonly #region: Region<'intervalMs' | 'toleranceMs'>;
  readonly #clock: Clock;
  readonly #bucket: SingleBucket;
  readonly #ticksPerEvent: number;
  readonly #windowEvents: number;

  /**
   * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
   * @throws {TypeError} when `memory` isn't a `Gcra`'s
   */
  constructor(options: GcraOptions | (JoinOptions & Partial<GcraOptions>)) {
    const { intervalMs, toleranceMs, clock, memory } = options;
    const parameters = memory === undefined ? { intervalMs, toleranceMs: toleranceMs ?? 0 } : { intervalMs, toleranceMs };
    this.#region = openRegion(layout, { parameters, memory });
    const eventsPerMs = 1 / this.intervalMs;
    this.#windowEvents = wholeIfClose(1 + this.toleranceMs / this.intervalMs);
    checkNumber('toleranceMs', this.toleranceMs, { min: 0, max: longestWindowMs - this.intervalMs });
    const plan = planTicks(aloneTimeBits, eventsPerMs, this.#windowEvents);
    this.#clock = clock;
    this.#bucket = new SingleBucket(this.#region.buffer, plan);
    this.#ticksPerEvent = plan.ticksPerToken;
    if (memory === undefined) this.#bucket.begin(clock);
  }

  /** Milliseconds from one event to the next. */
  get intervalMs(): number {
    return this.#region.parameters.intervalMs;
  }

  /** How much earlier an event may come. */
  get toleranceMs(): number {
    return this.#region.parameters.toleranceMs;
  }

  /** Its memory, to post to other threads. @throws {TypeError} when the realm has no `SharedArrayBuffer` */
  get memory(): SharedArrayBuffer {
    return sharedMemoryOf(this.#region);
  }

  /**
   * Lets so many events pass at once, or none.
   *
   * @param count a whole number, 0 or more
   * @param now the clock's time, if the caller has just read it
   * @returns false if they come too early, and then they don't count
   * @throws {RangeError} when `count` is anything else, or `now` is not a time
   */
  tryPass(count = 1, now = this.#clock.now()): boolean {
    checkCount(count);
    checkTime(now);
    return count <= this.#windowEvents && this.#bucket.take(count * this.#ticksPerEvent, now);
  }

  /** Milliseconds until so many may pass, if no others do: 0 for now, `Infinity` for more than the tolerance ever allows. */
  retryAfterMs(count = 1, now = this.#clock.now()): number {
    checkCount(count);
    checkTime(now);
    return count > this.#windowEvents ? Infinity : this.#bucket.waitMs(count * this.#ticksPerEvent, now);
  }
}

/** A number that is off a whole one by a few of its last digits, as (burst − 1) × interval ÷ interval may be: then the whole one. */
function wholeIfClose(value: number): number {
  const whole = Math.round(value);
  return Math.abs(value - whole) <= whole * 2 ** -50 ? whole : value;
}
