/**
 * Counts of any number of keys in a fixed amount of memory, with a known error: a count-min sketch.
 *
 * An estimate is never below the truth, as long as nothing is decremented that wasn't incremented. It is above it by more than
 * e ÷ slots × (all counts together) with a chance of at most e^−hashes: 4 × 8192 counters, 128 KiB, count ten million events of a
 * million keys to within 3 300, with a chance of 2 % to be worse. Keys with large counts, the ones that limits are for, hardly notice.
 *
 * Source: Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications" (2005).
 */
import { checkNumber } from '@ferrata/error';
import type { TextHasher } from '@ferrata/hash';
import type { CounterRows } from './internal/counter-rows.ts';
import { type Region, sharedMemoryOf } from './internal/region.ts';
import { openSketch } from './internal/sketch.ts';
import { checkStep, mostHashes, mostSlots, type SketchOptions, sketchParameters } from './options.ts';

/** Options of an `Estimator`: 4 hashes and 8192 slots by default, 128 KiB. */
export type EstimatorOptions = SketchOptions;

/** The size of a sketch. */
export interface SketchSize {
  readonly hashes: number;
  readonly slots: number;
}

/** The error that a sketch may have. */
export interface SketchError {
  /** The part of all counts together by which an estimate may be too large: 1.63e-7 (e ÷ 2²⁴) to 1. */
  readonly epsilon: number;
  /** The chance that an estimate is off by more: 1.13e-7 (e^−16) to 1. */
  readonly delta: number;
}

/** A count-min sketch of text keys, on memory that threads can share. */
export class Estimator {
  readonly #region: Region<'hashes' | 'slots'>;
  readonly #hasher: TextHasher;
  readonly #rows: CounterRows;

  /**
   * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
   * @throws {TypeError} when `memory` isn't an estimator's
   */
  constructor(options: EstimatorOptions = {}) {
    const { region, hasher, rows } = openSketch('Estimator', options);
    this.#region = region;
    this.#hasher = hasher;
    this.#rows = rows;
  }

  /**
   * Returns the size for an error that is good enough: `new Estimator(Estimator.sizeFor({ epsilon: 0.001, delta: 0.01 }))`.
   *
   * @throws {RangeError} when a number is out of its range
   */
  static sizeFor({ epsilon, delta }: SketchError): SketchSize {
    checkNumber('epsilon', epsilon, { min: Math.E / mostSlots, max: 1 });
    checkNumber('delta', delta, { min: Math.exp(-mostHashes), max: 1 });
    // The least delta may come out as a digit more than its own logarithm.
    const hashes = Math.min(mostHashes, Math.max(1, Math.ceil(Math.log(1 / delta))));
    return { hashes, slots: sketchParameters.slots(Math.ceil(Math.E / epsilon)) };
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
   * Counts a key's events.
   *
   * @param by a whole number from 0 to 2³¹ − 1; counters stay at 2 130 706 432 when they get there
   * @returns the new estimate
   * @throws {RangeError} when `by` is anything else
   */
  increment(key: string, by = 1): number {
    checkStep('by', by);
    return this.#rows.addSaturating(this.#hasher.hash53(key), by);
  }

  /**
   * Takes back what was counted; more than that makes the estimates of other keys too small, and so does taking back from a counter that
   * has stayed at its end.
   *
   * @param by a whole number from 0 to 2³¹ − 1
   * @returns the new estimate, below zero if more was taken back than counted
   * @throws {RangeError} when `by` is anything else
   */
  decrement(key: string, by = 1): number {
    checkStep('by', by);
    return this.#rows.addSaturating(this.#hasher.hash53(key), -by);
  }

  /** The estimate of a key's count. */
  estimate(key: string): number {
    return this.#rows.least(this.#hasher.hash53(key));
  }

  /** Forgets all counts. What other threads count meanwhile may be forgotten too, in all rows or in some. */
  reset(): void {
    this.#rows.clear();
  }
}
