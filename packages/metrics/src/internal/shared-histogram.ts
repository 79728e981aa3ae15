/**
 * One series of a distribution. Its cells: a count for each bucket (of its own, not cumulative), one for what is above the last bound, and the
 * sum of the values. The count of all is added up by the reader, so that it can never differ from the buckets.
 */
import type { Histogram } from '../series.ts';
import { type Cells, maxSum } from './cells.ts';

/** Above this number of bounds a binary search finds the bucket sooner than a walk. */
const longestWalk = 16;

export class SharedHistogram implements Histogram {
  readonly firstCell: number;
  readonly #own: Float64Array;
  readonly #bounds: Float64Array;
  readonly #refusedCell: number;

  constructor(cells: Cells, cell: number, refusedCell: number, bounds: Float64Array) {
    this.firstCell = cell;
    this.#own = cells.own;
    this.#bounds = bounds;
    this.#refusedCell = refusedCell;
  }

  observe(value: number): void {
    const own = this.#own;
    const bounds = this.#bounds;
    const sumCell = this.firstCell + bounds.length + 1;
    const sum = typeof value === 'number' ? (own[sumCell] as number) + value : Number.NaN;
    if (!(sum <= maxSum && sum >= -maxSum)) {
      own[this.#refusedCell] = (own[this.#refusedCell] as number) + 1;
      return;
    }
    const cell = this.firstCell + (bounds.length <= longestWalk ? walk(bounds, value) : search(bounds, value));
    own[cell] = (own[cell] as number) + 1;
    own[sumCell] = sum;
  }
}

function walk(bounds: Float64Array, value: number): number {
  let at = 0;
  while (at < bounds.length && value > (bounds[at] as number)) at++;
  return at;
}

function search(bounds: Float64Array, value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (value > (bounds[middle] as number)) low = middle + 1;
    else high = middle;
  }
  return low;
}
