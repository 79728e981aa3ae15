/**
 * Rows of 32-bit counters that any number of threads add to: what `Estimator` and `Inflight` stand on.
 *
 * A count-min sketch (Cormode and Muthukrishnan, "An improved data stream summary", 2005): a key has one counter in each row, shared
 * with all keys that fall there, so each counter is the key's count or more, and the least of them is the estimate.
 *
 * Rules:
 * - No count is lost, whatever threads do at once: every change is one atomic operation on one counter.
 * - A counter that would leave −2³¹ … 2³¹ − 1 stays at that end.
 */

import { headerBytes } from './region.ts';
import { columnOf, highBitsOf } from './row-index.ts';

const largest = 0x7fff_ffff;
/** Up to here a plain atomic addition can't overflow unless 63 threads are between reading and adding at once. */
const safeCount = 0x4000_0000;
const safeStep = 0x100_0000;

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

  /** Adds to a key's counters. @returns the least of them as this addition left it */
  add(hash: number, by: number): number {
    const counters = this.#counters;
    const rows = this.#rows;
    const slots = this.#slots;
    const mask = this.#mask;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largest;
    for (let row = 0; row < rows; row++) {
      const count = addSaturating(counters, row * slots + columnOf(low, high, row, mask), by);
      if (count < least) least = count;
    }
    return least;
  }

  /** The least of a key's counters. */
  least(hash: number): number {
    const counters = this.#counters;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largest;
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
}

function addSaturating(counters: Int32Array, index: number, by: number): number {
  const count = counters[index] as number;
  if (count < safeCount && count > -safeCount && by <= safeStep && by >= -safeStep) return Atomics.add(counters, index, by) + by;
  return addFarOut(counters, index, by);
}

function addFarOut(counters: Int32Array, index: number, by: number): number {
  for (;;) {
    const count = Atomics.load(counters, index);
    const sum = Math.max(-largest - 1, Math.min(largest, count + by));
    if (Atomics.compareExchange(counters, index, count, sum) === count) return sum;
  }
}
