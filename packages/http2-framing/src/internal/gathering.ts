/** Joins bytes that come in several chunks: the header of a frame that is cut, or its payload. */
import { EMPTY_BYTES } from '@ferrata/bytes';

/** Least and first memory. */
const FIRST_BYTES = 256;

export class Gathering {
  /** How many bytes are there. */
  length = 0;
  #memory: Uint8Array = EMPTY_BYTES;

  /**
   * Adds `count` bytes of a chunk. Memory grows by doubling, so that copying stays linear, and a peer that only announces much can't make us
   * allocate it.
   *
   * @param most how many there will be in all
   */
  add(chunk: Uint8Array, at: number, count: number, most: number): void {
    const needed = this.length + count;
    if (needed > this.#memory.length) {
      const grown = new Uint8Array(Math.min(most, Math.max(needed, this.#memory.length * 2, FIRST_BYTES)));
      grown.set(this.#memory);
      this.#memory = grown;
    }
    // A loop beats `subarray` and `set` for the few bytes that are usual.
    if (count < 32) for (let i = 0; i < count; i++) this.#memory[this.length + i] = chunk[at + i] as number;
    else this.#memory.set(chunk.subarray(at, at + count), this.length);
    this.length = needed;
  }

  /** Moves out what is there: from index 0 on, `length` bytes as it was before; never rewritten after that. */
  take(): Uint8Array {
    const memory = this.#memory;
    this.clear();
    return memory;
  }

  /** Forgets the bytes and lets go of their memory. */
  clear(): void {
    this.#memory = EMPTY_BYTES;
    this.length = 0;
  }
}
