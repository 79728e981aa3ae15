/** Bytes gathered from pieces, in one array that doubles: a piece of one byte must not keep alive the chunk that it came in. */
import { EMPTY_BYTES } from '@ferrata/bytes';

const LEAST_CAPACITY = 256;

/** A growing run of bytes. */
export class GrowingBytes {
  #bytes: Uint8Array = EMPTY_BYTES;
  #length = 0;

  byteLength(): number {
    return this.#length;
  }

  push(piece: Uint8Array): void {
    const needed = this.#length + piece.length;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(LEAST_CAPACITY, needed, this.#bytes.length * 2));
      grown.set(this.#length === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = needed;
  }

  /** Moves the bytes to the caller. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = EMPTY_BYTES;
    this.#length = 0;
    return taken;
  }
}
