/**
 * Two sketches of counters that turn into each other with time, for any number of threads: what `Rate` stands on.
 *
 * ```
 *   interval   …   6      7      8      9   …           a counter, 32 bits
 *   half           0      1      0      1               ┌───────────┬──────────────────────┐
 *   tag            3      3      4      4               │ tag, 6    │ count, 26            │
 *                                                       └───────────┴──────────────────────┘
 * ```
 * The naive way clears a sketch when its turn comes round, and loses what other threads count while one of them clears. Here nothing
 * is cleared at a turn: each counter carries the interval that it belongs to, and the first addition in a new one replaces count and
 * tag in one atomic operation. So a turn costs nothing, no thread waits for another, and one that dies leaves nothing half done.
 *
 * - An interval is announced before anything is counted in it. So who finds a counter of another interval than its own and sees after that
 *   that its own is still the latest knows the counter to be old. Else it is late itself, and counts in the latest: a thread that was
 *   interrupted for however long takes nothing from those that weren't.
 * - A tag comes round after 128 intervals. What is neither of the running interval nor of the one before is swept out in time: each turn
 *   sweeps one part in 32, and one after a pause of 16 intervals or more sweeps everything, before the new interval is announced. A
 *   sweeper that finds it announced already is late, and stops.
 * - Swept is a count of 0 with the tag of an interval that is read, so an addition on its way to the counter isn't lost.
 */
import { lowHalf } from './halves.ts';
import { headerBytes } from './region.ts';
import { columnOf, highBitsOf } from './row-index.ts';

const countBits = 26;
const countMask = 2 ** countBits - 1;
const tagMask = 63;
/** Larger steps are added by exchange, smaller ones by plain atomic addition. */
const safeStep = 2 ** 13;
/** The most that a counter says: from here no fewer than 128 threads between reading and adding could reach the tag. */
const largestCount = 2 ** countBits - 128 * safeStep;

const stripes = 32;
/** A pause of so many intervals leaves nothing that anybody may read. */
const longPause = stripes / 2;

/** The word that says which interval has begun has a line of the processor's cache for itself. */
const stateWords = 16;

/** Bytes of two halves of so many rows and columns. */
export function intervalCounterBytes(hashes: number, slots: number): number {
  return stateWords * 4 + 2 * hashes * slots * 4;
}

/** Counters of the running interval and the one before. Intervals are whole numbers; all but `enter` know their low 32 bits. */
export class IntervalCounters {
  readonly #latest: BigInt64Array;
  /** The same in halves: its low one says whether it has changed. */
  readonly #latestHalves: Int32Array;
  readonly #counters: Int32Array;
  readonly #rows: number;
  readonly #slots: number;
  readonly #mask: number;

  /** @param slots a power of two */
  constructor(buffer: SharedArrayBuffer | ArrayBuffer, hashes: number, slots: number) {
    this.#latest = new BigInt64Array(buffer, headerBytes, 1);
    this.#latestHalves = new Int32Array(buffer, headerBytes, 2);
    this.#counters = new Int32Array(buffer, headerBytes + stateWords * 4, 2 * hashes * slots);
    this.#rows = hashes;
    this.#slots = slots;
    this.#mask = slots - 1;
  }

  /** Sets the interval that memory begins with; only before others have it. */
  begin(interval: number): void {
    Atomics.store(this.#latest, 0, BigInt(interval));
  }

  /** Goes on to an interval, unless a later one has begun. @returns the latest of them */
  enter(interval: number): number {
    const latest = this.#latest;
    const wanted = BigInt(interval);
    let seen = Atomics.load(latest, 0);
    while (wanted > seen) {
      this.#sweep(seen, wanted);
      const found = Atomics.compareExchange(latest, 0, seen, wanted);
      if (found === seen) return interval;
      seen = found;
    }
    return Number(seen);
  }

  /** Whether no later interval has begun. */
  isLatest(interval: number): boolean {
    return Atomics.load(this.#latestHalves, lowHalf) === interval;
  }

  /** Adds to a key's counters in an interval, or in the latest if the counters went on to it. @returns the least of them as this left it */
  add(hash: number, interval: number, by: number): number {
    const counters = this.#counters;
    const rows = this.#rows;
    const slots = this.#slots;
    const mask = this.#mask;
    const tag = tagOf(interval);
    const half = (interval & 1) * rows * slots;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largestCount;
    for (let row = 0; row < rows; row++) {
      const index = half + row * slots + columnOf(low, high, row, mask);
      const counter = counters[index] as number;
      let sum: number;
      if (counter >>> countBits === tag && (counter & countMask) < largestCount && by <= safeStep) {
        // Should the turn come between reading and adding, this counts in the interval that runs.
        sum = (Atomics.add(counters, index, by) & countMask) + by;
      } else {
        sum = this.#addByExchange(index, interval, by);
        if (sum < 0) return this.add(hash, Atomics.load(this.#latestHalves, lowHalf), by);
      }
      if (sum < least) least = sum;
    }
    return least;
  }

  /** The least of a key's counters in an interval. */
  least(hash: number, interval: number): number {
    const counters = this.#counters;
    const tag = tagOf(interval);
    const half = (interval & 1) * this.#rows * this.#slots;
    const low = hash | 0;
    const high = highBitsOf(hash);
    let least = largestCount;
    for (let row = 0; row < this.#rows; row++) {
      const counter = Atomics.load(counters, half + row * this.#slots + columnOf(low, high, row, this.#mask));
      const count = counter >>> countBits === tag ? counter & countMask : 0;
      if (count < least) least = count;
    }
    return least;
  }

  /** Adds once in each interval, and large steps. @returns the sum; −1 if a later interval has begun and the counter isn't the caller's */
  #addByExchange(index: number, interval: number, by: number): number {
    const counters = this.#counters;
    const tag = tagOf(interval);
    for (;;) {
      // An atomic reading, which the one of the latest interval can't overtake.
      const counter = Atomics.load(counters, index);
      const isOwn = counter >>> countBits === tag;
      if (!isOwn && !this.isLatest(interval)) return -1;
      const count = isOwn ? counter & countMask : 0;
      const sum = Math.min(largestCount, count + by);
      if (Atomics.compareExchange(counters, index, counter, (tag << countBits) | sum) === counter) return sum;
    }
  }

  #sweep(seen: bigint, wanted: bigint): void {
    const { length } = this.#counters;
    const last = Number(BigInt.asIntN(32, seen));
    const next = Number(BigInt.asIntN(32, wanted));
    if (wanted - seen >= longPause) {
      this.#sweepPart(0, length, { last, readable: next, isAll: true });
      return;
    }
    for (let interval = next; interval !== last; interval = (interval - 1) | 0) {
      const stripe = interval & (stripes - 1);
      const from = Math.floor((stripe * length) / stripes);
      this.#sweepPart(from, Math.floor(((stripe + 1) * length) / stripes), { last, readable: last, isAll: false });
    }
  }

  /**
   * Empties counters: those that are neither of the interval that is readable nor of the one before, or all.
   *
   * A thread interrupted between its look at the latest interval and its exchange could undo only a counter that others have meanwhile
   * brought to the same tag and the same count, which takes 128 intervals.
   */
  #sweepPart(from: number, end: number, { last, readable, isAll }: { last: number; readable: number; isAll: boolean }): void {
    const counters = this.#counters;
    const oddFrom = counters.length / 2;
    for (let index = from; index < end; index++) {
      const counter = Atomics.load(counters, index);
      if ((counter & countMask) === 0) continue;
      const half = index >= oddFrom ? 1 : 0;
      const tag = tagOf((readable & 1) === half ? readable : readable - 1);
      if (!isAll && counter >>> countBits === tag) continue;
      if (!this.isLatest(last)) return;
      Atomics.compareExchange(counters, index, counter, tag << countBits);
    }
  }
}

function tagOf(interval: number): number {
  return (interval >>> 1) & tagMask;
}
