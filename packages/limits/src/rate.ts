/**
 * How often keys occur, by counting in two intervals that follow each other: the one that runs, and the last that ended.
 *
 * ```
 *              ended: previous            runs: current
 *        ├────────────────────────────┼───────────┬────────────────┤
 *                                          fraction     now
 * ```
 * Rules:
 * - Intervals begin at multiples of `intervalMs` on the clock, so all threads turn together without asking each other.
 * - No count is lost at a turn, nor is anything cleared.
 * - After an interval in which a key didn't occur its rate is 0; after two without a call everything is.
 * - Time never goes back: a clock that does keeps counting in the latest interval that any thread has begun, until it has caught up. So
 *   after a clock was ahead for once, everything is one interval until it has come there again.
 * - A thread that was interrupted between reading the time and counting counts in the interval that it read, as long as that one is read
 *   by anybody, or else in the one that runs; it never undoes what others have counted. Reading is always of the interval that runs.
 * - Counts are those of a count-min sketch: the truth or more. A counter stays at 66 060 288 in an interval: count bytes in KiB.
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber } from '@ferrata/error';
import { TextHasher } from '@ferrata/hash';
import { IntervalCounters, intervalCounterBytes } from './internal/interval-counters.ts';
import { openRegion, type Region, type RegionLayout, sharedMemoryOf } from './internal/region.ts';
import { checkStep, checkTime, type JoinOptions, type SketchOptions, sketchParameters } from './options.ts';

/** Options of a `Rate`: 4 hashes and 1024 slots by default, 32 KiB. */
export interface RateOptions extends SketchOptions {
  /** Length of an interval in milliseconds, 1 to 2³¹ − 1. */
  readonly intervalMs: number;
  /** Its `now()` must have the same origin on all threads; `systemClock`'s has. */
  readonly clock: Clock;
}

/** What a key's rate is made of. */
export interface RateComponents {
  /** Events in the last interval that ended. */
  readonly previous: number;
  /** Events in the interval that runs. */
  readonly current: number;
  readonly intervalMs: number;
  /** How much of the running interval is over, 0 to 1. */
  readonly fraction: number;
}

const layout: RegionLayout<'intervalMs' | 'hashes' | 'slots'> = {
  kind: 'Rate',
  hasKeys: true,
  parameters: { intervalMs: (value) => checkNumber('intervalMs', value, { min: 1, max: 0x7fff_ffff }), ...sketchParameters },
  dataBytes: ({ hashes, slots }) => intervalCounterBytes(hashes, slots),
};

/** Rates of text keys, on memory that threads can share. */
export class Rate {
  readonly #region: Region<'intervalMs' | 'hashes' | 'slots'>;
  readonly #hasher: TextHasher;
  readonly #counters: IntervalCounters;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  /** The interval that this thread counts in, its low 32 bits, and its bounds on the clock. */
  #interval: number;
  #startsAt: number;
  #endsAt: number;

  /**
   * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
   * @throws {TypeError} when `memory` isn't a `Rate`'s
   */
  constructor(options: RateOptions | (JoinOptions & Partial<RateOptions>)) {
    const { intervalMs, hashes, slots, clock, memory, random } = options;
    const parameters = memory === undefined ? { intervalMs, hashes: hashes ?? 4, slots: slots ?? 1024 } : { intervalMs, hashes, slots };
    this.#region = openRegion(layout, { parameters, memory, random });
    this.#hasher = new TextHasher(this.#region.key);
    this.#counters = new IntervalCounters(this.#region.buffer, this.#region.parameters.hashes, this.#region.parameters.slots);
    this.#clock = clock;
    this.#intervalMs = this.#region.parameters.intervalMs;
    this.#interval = 0;
    this.#startsAt = 0;
    this.#endsAt = 0;
    const now = clock.now();
    checkTime(now);
    if (memory === undefined) this.#counters.begin(Math.floor(now / this.#intervalMs));
    this.#enter(now);
  }

  /** Length of an interval in milliseconds. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Rows of counters in each half. */
  get hashes(): number {
    return this.#region.parameters.hashes;
  }

  /** Counters in a row. */
  get slots(): number {
    return this.#region.parameters.slots;
  }

  /** Its memory, to post to other threads. @throws {TypeError} when the realm has no `SharedArrayBuffer` */
  get memory(): SharedArrayBuffer {
    return sharedMemoryOf(this.#region);
  }

  /**
   * Counts a key's events.
   *
   * @param by a whole number from 0 to 2³¹ − 1
   * @param now the clock's time, if the caller has just read it: reading it is a quarter of the cost
   * @returns the estimate for the running interval, these included
   * @throws {RangeError} when `by` is anything else, or `now` is not a time
   */
  observe(key: string, by = 1, now = this.#clock.now()): number {
    checkStep('by', by);
    checkTime(now);
    if (now >= this.#endsAt) this.#enter(now);
    return this.#counters.add(this.#hasher.hash53(key), this.#interval, by);
  }

  /** Events a second in the last interval that ended: steady, but up to an interval late. */
  rate(key: string, now = this.#clock.now()): number {
    return (this.#read(key, now).previous * 1000) / this.#intervalMs;
  }

  /**
   * Events a second in a window of one interval that ends now, taking it that those of the last interval came evenly: the previous count
   * by the part of its interval that the window still covers, and the current one.
   */
  proportionalRate(key: string, now = this.#clock.now()): number {
    const { previous, current, fraction } = this.#read(key, now);
    return ((previous * (1 - fraction) + current) * 1000) / this.#intervalMs;
  }

  /** Returns what your own formula makes of a key's counts. */
  rateWith<Result>(key: string, formula: (components: RateComponents) => Result, now = this.#clock.now()): Result {
    return formula(this.#read(key, now));
  }

  #read(key: string, now: number): RateComponents {
    checkTime(now);
    if (now >= this.#endsAt) this.#enter(now);
    const hash = this.#hasher.hash53(key);
    for (;;) {
      const interval = this.#interval;
      const previous = this.#counters.least(hash, (interval - 1) | 0);
      const current = this.#counters.least(hash, interval);
      // Else counters that were read may have gone on meanwhile, and would seem empty.
      if (this.#counters.isLatest(interval)) {
        const fraction = Math.min(1, Math.max(0, (now - this.#startsAt) / this.#intervalMs));
        return { previous, current, intervalMs: this.#intervalMs, fraction };
      }
      this.#enter(now);
    }
  }

  #enter(now: number): void {
    // Another thread may be further on.
    const number = this.#counters.enter(Math.floor(now / this.#intervalMs));
    this.#interval = number | 0;
    this.#startsAt = number * this.#intervalMs;
    this.#endsAt = (number + 1) * this.#intervalMs;
  }
}
