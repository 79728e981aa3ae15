/**
 * Points sorted by hash, and an index by the hashes' leading bits, so that finding one takes a step or two however many there are.
 *
 * ```
 *   hash ──leading bits──▶ starts[bucket], starts[bucket + 1] ──▶ hashes[…] between them, searched in halves ──▶ owners[…]
 * ```
 * Hashes are spread evenly, so there are as many buckets as points, to the power of two below: 1 to 2 points in each. Searching in halves
 * within a bucket costs the same for these and keeps the bound of log₂ n for addresses made to crowd one. Measured with 10, 100 and 1000
 * nodes (`pnpm bench ketama`): 32, 36 and 49 ns for a hash, where searching all points in halves takes 98, 150 and 207; laid out as a
 * breadth-first tree they took two thirds of that.
 */
import type { Points } from './points.ts';

/** What a table consists of; `table-build.ts` makes it. */
export interface TableParts {
  /** Distinct hashes, ascending, and their owners. */
  readonly points: Points;
  /** Points whose hash another one has, so that they are not found. A ring that goes on from this one may need them. */
  readonly hidden: Points;
  /** By bucket: the place of the first point in it or behind it; one more at the end. */
  readonly starts: Uint32Array;
}

/** The table. */
export class PointTable {
  /** The number of points. */
  readonly count: number;
  /** By place, ascending. */
  readonly hashes: Uint32Array;
  /** By place: the index of the node that owns the point. */
  readonly owners: Uint16Array;
  readonly hidden: Points;
  readonly #starts: Uint32Array;
  readonly #shift: number;

  constructor({ points, hidden, starts }: TableParts) {
    this.count = points.hashes.length;
    this.hashes = points.hashes;
    this.owners = points.owners;
    this.hidden = hidden;
    this.#starts = starts;
    this.#shift = 32 - bucketBits(this.count);
  }

  /**
   * Finds the first point at or after a hash, behind the last one the first.
   *
   * @param hash 0 to 2³² − 1
   * @returns its place; without meaning if there are no points
   */
  find(hash: number): number {
    const bucket = hash >>> this.#shift;
    const hashes = this.hashes;
    let low = this.#starts[bucket] as number;
    let high = this.#starts[bucket + 1] as number;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((hashes[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    return low === this.count ? 0 : low;
  }
}

/** The leading bits that choose the bucket. One at least: a shift by 32 would be none. */
export function bucketBits(count: number): number {
  return Math.max(1, 31 - Math.clz32(count));
}
