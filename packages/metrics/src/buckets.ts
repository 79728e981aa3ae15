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
 * @throws {RangeError} when `start` is not finite, `width` is not above 0, `count` is not 1 to 512, a bound would not be finite, or `width` is so
 * small beside a bound that the next one would be the same
 */
export function linearBuckets(start: number, width: number, count: number): readonly number[] {
  checkNumber('start', start, { min: -Number.MAX_VALUE, max: Number.MAX_VALUE });
  checkNumber('width', width, { above: 0, max: Number.MAX_VALUE });
  checkWholeNumber('count', count, { min: 1, max: maxBuckets });
  return roundedBounds(count, (at) => start + width * at, `width ${width} is too small beside start ${start}`);
}

/**
 * Returns `count` bounds, each `factor` times the one before: `exponentialBuckets(1, 2, 4)` is 1, 2, 4, 8. Rounded to 15 digits.
 *
 * @throws {RangeError} when `start` is not above 0, `factor` is not above 1, `count` is not 1 to 512, a bound would not be finite, or `factor` is
 * so close to 1 that the next bound would be the same
 */
export function exponentialBuckets(start: number, factor: number, count: number): readonly number[] {
  checkNumber('start', start, { above: 0, max: Number.MAX_VALUE });
  checkNumber('factor', factor, { above: 1, max: Number.MAX_VALUE });
  checkWholeNumber('count', count, { min: 1, max: maxBuckets });
  return roundedBounds(count, (at) => start * factor ** at, `factor ${factor} is too close to 1`);
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

/** @param reason what is wrong when two bounds are the same */
function roundedBounds(count: number, boundAt: (at: number) => number, reason: string): readonly number[] {
  let previous = -Infinity;
  return Array.from({ length: count }, (_, at) => {
    const bound = Number(boundAt(at).toPrecision(15));
    if (!Number.isFinite(bound)) throw new RangeError(`bound ${at + 1} of ${count} would be ${bound}, and buckets must be finite`);
    if (bound <= previous) throw new RangeError(`${reason}: bounds are rounded to 15 digits, and two of them would be ${bound}`);
    previous = bound;
    return bound;
  });
}
