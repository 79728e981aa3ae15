/** Bounds of histogram buckets. */
import { checkNumber, checkWholeNumber } from '@ferrata/error';

/** Buckets of one histogram: more are slower to read than they are worth. */
const maxBuckets = 512;

/** Bounds for durations in seconds, from 5 ms to 10 s: those of Prometheus' own clients. */
export const defaultBuckets: readonly number[] = Object.freeze([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]);

/**
 * Returns `count` bounds, `width` apart: `linearBuckets(0.1, 0.1, 3)` is 0.1, 0.2, 0.3.
 *
 * Bounds are rounded to 15 digits, so that they read as they were meant, and not as 0.30000000000000004.
 *
 * @throws {RangeError} when `start` is not finite, `width` is not above 0, `count` is not 1 to 512, or a bound is not finite
 */
export function linearBuckets(start: number, width: number, count: number): readonly number[] {
  checkNumber('start', start, { min: -Number.MAX_VALUE, max: Number.MAX_VALUE });
  checkNumber('width', width, { above: 0, max: Number.MAX_VALUE });
  checkWholeNumber('count', count, { min: 1, max: maxBuckets });
  return checkBuckets(Array.from({ length: count }, (_, at) => rounded(start + width * at)));
}

/**
 * Returns `count` bounds, each `factor` times the one before: `exponentialBuckets(1, 2, 4)` is 1, 2, 4, 8. Rounded to 15 digits.
 *
 * @throws {RangeError} when `start` is not above 0, `factor` is not above 1, `count` is not 1 to 512, or a bound is not finite
 */
export function exponentialBuckets(start: number, factor: number, count: number): readonly number[] {
  checkNumber('start', start, { above: 0, max: Number.MAX_VALUE });
  checkNumber('factor', factor, { above: 1, max: Number.MAX_VALUE });
  checkWholeNumber('count', count, { min: 1, max: maxBuckets });
  return checkBuckets(Array.from({ length: count }, (_, at) => rounded(start * factor ** at)));
}

/** @throws {RangeError} when bounds are none, too many, not finite or not ascending */
export function checkBuckets(bounds: readonly number[]): readonly number[] {
  checkWholeNumber('the number of buckets', bounds.length, { min: 1, max: maxBuckets });
  let previous = -Infinity;
  for (const bound of bounds) {
    if (!Number.isFinite(bound)) throw new RangeError(`buckets must be finite, not ${String(bound)}`);
    if (bound <= previous) throw new RangeError(`buckets must ascend: ${bound} stands after ${previous}`);
    previous = bound;
  }
  return bounds;
}

function rounded(bound: number): number {
  return Number(bound.toPrecision(15));
}
