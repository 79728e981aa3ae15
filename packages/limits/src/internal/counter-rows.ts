/**
 * Rows of 32-bit counters that any number of threads add to: what `Estimator` and `Inflight` stand on.
 *
 * A count-min sketch (Cormode and Muthukrishnan, "An improved data stream summary", 2005): a key has one counter in each row, shared
 * with all keys that fall there, so each counter is the key's count or more, and the least of them is the estimate.
 *
 * Rules:
 * - No count is lost, whatever threads do at once: every change is one atomic operation on one counter.
 * - At ±2 130 706 432 counters stay (`addSaturating`: what comes beyond is forgotten, so taking it back isn't exact), or an addition is
 *   refused in all rows (`addExactly`: what was added can be taken back).
 */

import { headerBytes } from './region.ts';
import { columnOf, highBitsOf } from './row-index.ts';

/** Larger steps are added by exchange, smaller ones by plain atomic addition. */
const safeStep = 0x1_0000;
/** The most that a counter says: from here no fewer than 256 threads between reading and adding could overflow it. */
export const largestSum = 0x8000_0000 - 256 * safeStep;

/** Bytes of so many rows and columns. */
export function counterBytes(hashes: number, slots: number): number {
  return hashes * slots * 4;
}

/** A sketch's counters. */
export class CounterRows {
  readonly #counters: Int32Array;
  readonly #rows: number;
  readonly #slots: number;
  readonly #mask: number;

  /** @param slots a power of two */
  constructor(buffer: SharedArrayBuffer | ArrayBuffer, hashes: number, slots: number) {
    this.#counters = new Int32Array(buffer, headerBytes, hashes * slots);
    this.#rows = hashes;
    this.#slots = slots;
    this.#mask = slots - 1;
  }

  /** Adds to a key's counters, as far as they go. @returns the least of them as this addition left it */
  addSaturating(hash: number, by: number): number {
    const counters = this.#counters;
    const rows = this.#rows;
    const slots = this.#slots;
    const mask = this.#mask;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largestSum;
    for (let row = 0; row < rows; row++) {
      const index = row * slots + columnOf(low, high, row, mask);
      const count = hasRoom(counters[index] as number, by) ? Atomics.add(counters, index, by) + by : saturate(counters, index, by);
      if (count < least) least = count;
    }
    return least;
  }

  /** Adds to all of a key's counters or none. @returns the least of them as this addition left it; NaN if one of them has no room */
  addExactly(hash: number, by: number): number {
    const counters = this.#counters;
    const rows = this.#rows;
    const slots = this.#slots;
    const mask = this.#mask;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largestSum;
    for (let row = 0; row < rows; row++) {
      const index = row * slots + columnOf(low, high, row, mask);
      const count = hasRoom(counters[index] as number, by) ? Atomics.add(counters, index, by) + by : addIfRoom(counters, index, by);
      if (Number.isNaN(count)) {
        this.#takeBack(hash, by, row);
        return count;
      }
      if (count < least) least = count;
    }
    return least;
  }

  /** Takes back what `addExactly` has added. */
  takeBack(hash: number, by: number): void {
    this.#takeBack(hash, by, this.#rows);
  }

  /** The least of a key's counters. */
  least(hash: number): number {
    const counters = this.#counters;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largestSum;
    for (let row = 0; row < this.#rows; row++) {
      const count = Atomics.load(counters, row * this.#slots + columnOf(low, high, row, this.#mask));
      if (count < least) least = count;
    }
    return least;
  }

  /** Sets all counters to zero, one after the other. */
  clear(): void {
    const counters = this.#counters;
    for (let index = 0; index < counters.length; index++) Atomics.store(counters, index, 0);
  }

  #takeBack(hash: number, by: number, rows: number): void {
    const counters = this.#counters;
    const low = hash | 0;
    const high = highBitsOf(hash);
    for (let row = 0; row < rows; row++) Atomics.sub(counters, row * this.#slots + columnOf(low, high, row, this.#mask), by);
  }
}

function hasRoom(count: number, by: number): boolean {
  const sum = count + by;
  return sum <= largestSum && sum >= -largestSum && by <= safeStep && by >= -safeStep;
}

function saturate(counters: Int32Array, index: number, by: number): number {
  for (;;) {
    const count = Atomics.load(counters, index);
    const sum = Math.max(-largestSum, Math.min(largestSum, count + by));
    if (Atomics.compareExchange(counters, index, count, sum) === count) return sum;
  }
}

function addIfRoom(counters: Int32Array, index: number, by: number): number {
  for (;;) {
    const count = Atomics.load(counters, index);
    const sum = count + by;
    if (sum > largestSum || sum < -largestSum) return Number.NaN;
    if (Atomics.compareExchange(counters, index, count, sum) === count) return sum;
  }
}
