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
 * A tag comes round after 128 intervals. Old counters are swept out before: each new interval sweeps one part in 32, and after a pause
 * of 16 intervals or more everything is. That is done before the new interval is announced, by each thread that would announce it, so a
 * thread that counts in an interval finds no counter older than 64.
 */
import { headerBytes } from './region.ts';
import { columnOf, highBitsOf } from './row-index.ts';

const countBits = 26;
/** The most that one counter holds. */
export const largestCount = 2 ** countBits - 1;
const tagMask = 63;
/** Up to here a plain atomic addition can't reach the tag unless 64 threads are between reading and adding at once. */
const safeCount = 2 ** (countBits - 1);
const safeStep = 2 ** (countBits - 7);

const stripes = 32;
/** A pause of so many intervals leaves nothing that anybody may read. */
const longPause = stripes / 2;
/** How old, in turns of its half, a counter is when it is swept: others may still be reading what is younger. */
const sweptAge = 4;

/** The word that says which interval has begun has a line of the processor's cache for itself. */
const stateWords = 16;

/** Bytes of two halves of so many rows and columns. */
export function intervalCounterBytes(hashes: number, slots: number): number {
  return stateWords * 4 + 2 * hashes * slots * 4;
}

/** Counters of the running interval and the one before. Intervals are numbered modulo 2³². */
export class IntervalCounters {
  readonly #latest: Int32Array;
  readonly #counters: Int32Array;
  readonly #rows: number;
  readonly #slots: number;
  readonly #mask: number;

  /** @param slots a power of two */
  constructor(buffer: SharedArrayBuffer | ArrayBuffer, hashes: number, slots: number) {
    this.#latest = new Int32Array(buffer, headerBytes, 1);
    this.#counters = new Int32Array(buffer, headerBytes + stateWords * 4, 2 * hashes * slots);
    this.#rows = hashes;
    this.#slots = slots;
    this.#mask = slots - 1;
  }

  /** Sets the interval that memory begins with; only before others have it. */
  begin(interval: number): void {
    Atomics.store(this.#latest, 0, interval);
  }

  /** Goes on to an interval, unless a later one has begun. @returns the latest of them, as a signed 32-bit number */
  enter(interval: number): number {
    const latest = this.#latest;
    let seen = Atomics.load(latest, 0);
    while (((interval - seen) | 0) > 0) {
      this.#sweep(seen, interval);
      const found = Atomics.compareExchange(latest, 0, seen, interval);
      if (found === seen) return interval | 0;
      seen = found;
    }
    return seen;
  }

  /** Adds to a key's counters in an interval. @returns the least of them as this addition left it */
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
      const count = addTagged(counters, half + row * slots + columnOf(low, high, row, mask), tag, by);
      if (count < least) least = count;
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
      const count = counter >>> countBits === tag ? counter & largestCount : 0;
      if (count < least) least = count;
    }
    return least;
  }

  #sweep(seen: number, interval: number): void {
    const { length } = this.#counters;
    const turned = (interval - seen) | 0;
    if (turned >= longPause) {
      this.#sweepAll(seen);
      return;
    }
    for (let back = 0; back < turned; back++) {
      const stripe = (interval - back) & (stripes - 1);
      this.#sweepPart(Math.floor((stripe * length) / stripes), Math.floor(((stripe + 1) * length) / stripes), interval);
    }
  }

  #sweepPart(from: number, end: number, interval: number): void {
    const counters = this.#counters;
    const oddFrom = counters.length / 2;
    for (let index = from; index < end; index++) {
      const counter = Atomics.load(counters, index);
      if (counter === 0) continue;
      // The interval of this half that runs or ended last.
      const current = interval - (index >= oddFrom === ((interval & 1) === 1) ? 0 : 1);
      const age = ageOf(counter, tagOf(current));
      if (age >= sweptAge && !isLater(age)) Atomics.compareExchange(counters, index, counter, 0);
    }
  }

  /**
   * Everything was counted before the pause, as long as nobody has announced its end: then what was read may be new. (A thread interrupted
   * between that look and its exchange could undo only a counter that others have meanwhile brought to the same tag and the same count.)
   */
  #sweepAll(seen: number): void {
    const counters = this.#counters;
    for (let index = 0; index < counters.length; index++) {
      const counter = Atomics.load(counters, index);
      if (counter === 0) continue;
      if (Atomics.load(this.#latest, 0) !== seen) return;
      Atomics.compareExchange(counters, index, counter, 0);
    }
  }
}

function tagOf(interval: number): number {
  return (interval >>> 1) & tagMask;
}

/** How many turns of its half ago a counter was counted in; the upper half of the numbers means later than `tag`. */
function ageOf(counter: number, tag: number): number {
  return (tag - (counter >>> countBits)) & tagMask;
}

function isLater(age: number): boolean {
  return age > tagMask >>> 1;
}

function addTagged(counters: Int32Array, index: number, tag: number, by: number): number {
  let counter = counters[index] as number;
  for (;;) {
    const age = ageOf(counter, tag);
    // Who was interrupted for two intervals counts in the one that runs: nobody would see it in its own. An empty counter has no tag.
    const isCurrent = age === 0 || (isLater(age) && counter !== 0);
    const count = isCurrent ? counter & largestCount : 0;
    // Should the turn come between reading and adding, the same holds.
    if (isCurrent && count < safeCount && by <= safeStep) return (Atomics.add(counters, index, by) & largestCount) + by;
    const sum = Math.min(largestCount, count + by);
    const next = (isCurrent ? counter & ~largestCount : tag << countBits) | sum;
    const found = Atomics.compareExchange(counters, index, counter, next);
    if (found === counter) return sum;
    counter = found;
  }
}
