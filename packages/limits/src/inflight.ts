/**
 * How much of each key is under way right now, over all threads, in a fixed amount of memory: requests of a client, connections to a
 * backend.
 *
 * Rules:
 * - A guard takes its count back once, at `release()` or at the end of a `using` block, however often that is said.
 * - Counts are those of a count-min sketch: never below the truth, so `tryAcquire` never admits more than `max`. A key that
 *   shares each of its counters with others is refused too early: with the 4 × 8192 counters of the default, one key in 5 700 while 1000
 *   keys are under way, one in 47 million with 100.
 * - At 2 130 706 432 a count is full: what would go beyond is refused whole, so whatever was counted can be taken back.
 * - Two threads that ask at once for the last place may both be refused; they never both get it.
 * - The counts of a thread that died with guards in its hands stay. A supervisor that replaces workers makes a new `Inflight` for them,
 *   or gives the memory to threads that end in order.
 */
import { checkWholeNumber } from '@ferrata/error';
import type { TextHasher } from '@ferrata/hash';
import { type CounterRows, largestSum } from './internal/counter-rows.ts';
import { type Region, sharedMemoryOf } from './internal/region.ts';
import { openSketch } from './internal/sketch.ts';
import { checkStep, type SketchOptions } from './options.ts';

/** Options of an `Inflight`: 4 hashes and 8192 slots by default, 128 KiB. */
export type InflightOptions = SketchOptions;

/** Counts of what is under way by key, on memory that threads can share. */
export class Inflight {
  readonly #region: Region<'hashes' | 'slots'>;
  readonly #hasher: TextHasher;
  readonly #rows: CounterRows;

  /**
   * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
   * @throws {TypeError} when `memory` isn't an `Inflight`'s
   */
  constructor(options: InflightOptions = {}) {
    const { region, hasher, rows } = openSketch('Inflight', options);
    this.#region = region;
    this.#hasher = hasher;
    this.#rows = rows;
  }

  /** Rows of counters. */
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
   * Counts something that begins.
   *
   * @param by a whole number from 0 to 2³¹ − 1
   * @throws {RangeError} when `by` is anything else, or more than there is room for
   */
  acquire(key: string, by = 1): InflightGuard {
    checkStep('by', by);
    const hash = this.#hasher.hash53(key);
    return new InflightGuard(this.#rows, hash, by, addOrThrow(this.#rows, hash, by));
  }

  /**
   * Counts something that begins, if no more than `max` are then under way.
   *
   * @param max a whole number, 0 or more
   * @param by a whole number from 0 to 2³¹ − 1
   * @returns null if there is no room
   * @throws {RangeError} when a number is out of its range
   */
  tryAcquire(key: string, max: number, by = 1): InflightGuard | null {
    checkWholeNumber('max', max, { max: Infinity });
    checkStep('by', by);
    if (by > max) return null;
    const rows = this.#rows;
    const hash = this.#hasher.hash53(key);
    // The sum of a first reading may be right for no moment, since others add to the rows in between: two that share the last place could
    // each see itself first, in different rows. Of any that have finished adding, the last one sees all of them in every row.
    const estimate = rows.addExactly(hash, by);
    if (Number.isNaN(estimate)) return null;
    if (estimate <= max && rows.least(hash) <= max) return new InflightGuard(rows, hash, by, estimate);
    rows.takeBack(hash, by);
    return null;
  }

  /**
   * Counts without a guard.
   *
   * @returns the new estimate
   * @throws {RangeError} when `by` is not a whole number from 0 to 2³¹ − 1, or more than there is room for
   */
  increment(key: string, by = 1): number {
    checkStep('by', by);
    return addOrThrow(this.#rows, this.#hasher.hash53(key), by);
  }

  /**
   * Takes back what `increment` has counted.
   *
   * @returns the new estimate
   * @throws {RangeError} when `by` is not a whole number from 0 to 2³¹ − 1, or two thousand million more are taken back than were counted
   */
  decrement(key: string, by = 1): number {
    checkStep('by', by);
    return addOrThrow(this.#rows, this.#hasher.hash53(key), -by);
  }

  /** How much of a key is under way: this or less. */
  estimate(key: string): number {
    return this.#rows.least(this.#hasher.hash53(key));
  }
}

/** Something under way, until it is released. */
export class InflightGuard implements Disposable {
  readonly #rows: CounterRows;
  readonly #hash: number;
  #count: number;
  #isHeld: boolean;
  /** The estimate for its key when it began, itself included. */
  readonly estimateAtStart: number;

  /** Made by `Inflight`. */
  constructor(rows: CounterRows, hash: number, count: number, estimateAtStart: number) {
    this.#rows = rows;
    this.#hash = hash;
    this.#count = count;
    this.#isHeld = true;
    this.estimateAtStart = estimateAtStart;
  }

  /** How much of its key is under way now: this or less. */
  get estimate(): number {
    return this.#rows.least(this.#hash);
  }

  /** How much it will give back; 0 once released. */
  get count(): number {
    return this.#count;
  }

  /**
   * Counts more, which is given back with the rest.
   *
   * @returns the new estimate
   * @throws {RangeError} when `by` is not a whole number from 0 to 2³¹ − 1, or more than there is room for
   * @throws {TypeError} when it is released
   */
  increment(by = 1): number {
    if (!this.#isHeld) throw new TypeError('a released guard counts nothing');
    checkStep('by', by);
    const estimate = addOrThrow(this.#rows, this.#hash, by);
    this.#count += by;
    return estimate;
  }

  /** Gives back what it counts; does nothing the second time. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#rows.takeBack(this.#hash, this.#count);
    this.#count = 0;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function addOrThrow(rows: CounterRows, hash: number, by: number): number {
  const estimate = rows.addExactly(hash, by);
  if (Number.isNaN(estimate)) throw new RangeError(`by must leave a count within ${largestSum}, which ${Math.abs(by)} does not`);
  return estimate;
}
