/**
 * The octets of values that a table holds, in the order in which they came and will go:
 *
 * ```
 *   start                                       limit            start                                       limit
 *   |  free  |  oldest  |  …  |  newest  |  free  |     or       |  …  |  newest  |  free  |  oldest  |  lost  |
 *            ^tail                       ^head                                    ^head    ^tail
 * ```
 * A run never goes round the end, so each is one slice. The first kilobyte is cut out of an array that sixteen rings share: an array of its own costs a
 * new connection a microsecond, and the last connection of the sixteen keeps 16 KiB alive at most.
 */
import { EMPTY_BYTES } from '@ferrata/bytes';

/** What the first value brings. */
const FIRST_LENGTH = 1_024;

const SHARED_LENGTH = 16 * FIRST_LENGTH;

/** Where the next rings begin. Each part is given out once: no ring ever reads what another one wrote. */
let shared: Uint8Array = EMPTY_BYTES;
let sharedAt = 0;

/** First in, first out. */
export class ValueRing {
  bytes: Uint8Array = EMPTY_BYTES;
  #start = 0;
  #limit = 0;
  #head = 0;
  #tail = 0;
  #count = 0;

  /** @returns where `length` octets can be written; −1 if there is no room: see `restart` */
  roomFor(length: number): number {
    if (this.#count === 0) {
      this.#head = this.#start;
      this.#tail = this.#start;
    }
    const head = this.#head;
    if (head >= this.#tail) {
      if (head + length <= this.#limit) return head;
      // Strictly less: head and tail meet only where all that is behind them is free.
      return this.#start + length < this.#tail ? this.#start : -1;
    }
    return head + length < this.#tail ? head : -1;
  }

  /** Counts the run that ends at `end` as the newest one. */
  push(end: number): void {
    this.#head = end;
    this.#count += 1;
  }

  /** Frees the oldest run, which ends at `end`. */
  shift(end: number): void {
    this.#tail = end;
    this.#count -= 1;
  }

  /** Begins anew with room for `length` octets. What is kept has to be pushed again, the oldest first. @returns the bytes before */
  restart(length: number): Uint8Array {
    const before = this.bytes;
    let size = this.#limit - this.#start;
    if (size === 0 && length <= FIRST_LENGTH) {
      if (sharedAt === shared.length) {
        shared = new Uint8Array(SHARED_LENGTH);
        sharedAt = 0;
      }
      this.bytes = shared;
      this.#start = sharedAt;
      sharedAt += FIRST_LENGTH;
      this.#limit = sharedAt;
    } else {
      size = Math.max(size, FIRST_LENGTH);
      while (size < length) size *= 4;
      this.bytes = new Uint8Array(size);
      this.#start = 0;
      this.#limit = size;
    }
    this.#head = this.#start;
    this.#tail = this.#start;
    this.#count = 0;
    return before;
  }

  /** Gives the memory back. */
  drop(): void {
    this.bytes = EMPTY_BYTES;
    this.#start = 0;
    this.#limit = 0;
    this.#count = 0;
  }
}
