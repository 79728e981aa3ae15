/**
 * The body of one direction of a subrequest on its way: what was sent, and not yet taken.
 *
 * Bounded in bytes and in pieces, as many tiny ones cost far more than their bytes. From `FULL_BYTES` on the sender is asked to wait; one that does not care may
 * pile up some more, and is then cut off.
 */
import { ByteQueue } from '@ferrata/bytes';
import { takeBack } from '@ferrata/stream';

/** From here on the sender is to wait, until half of it is left. */
export const FULL_BYTES = 65_536;
const FULL_CHUNKS = 1_024;
/** How much of what is full may be piled on top. */
const OVERFLOW = 16;

/** Bytes between two sides, of which one may be slow. */
export class BodyQueue {
  readonly #chunks = new ByteQueue();
  #isFull = false;

  /** The sender was told to wait, and not yet that it may go on. */
  get isFull(): boolean {
    return this.#isFull;
  }
  get byteLength(): number {
    return this.#chunks.byteLength;
  }
  get chunkCount(): number {
    return this.#chunks.chunkCount;
  }

  /** So much waits that nothing more is taken. */
  get isOverflowing(): boolean {
    return this.#chunks.byteLength >= FULL_BYTES * OVERFLOW || this.#chunks.chunkCount >= FULL_CHUNKS * OVERFLOW;
  }

  /** Takes a chunk, which belongs to the queue and then to whoever takes it. @returns false: wait for `takeDrain` */
  push(chunk: Uint8Array): boolean {
    // The receiver may keep it.
    takeBack(chunk);
    this.#chunks.push(chunk);
    if (this.#chunks.byteLength >= FULL_BYTES || this.#chunks.chunkCount >= FULL_CHUNKS) this.#isFull = true;
    return !this.#isFull;
  }

  /** The next chunk; undefined if there is none. */
  take(): Uint8Array | undefined {
    return this.#chunks.takeChunk();
  }

  /** @returns true once, when a sender that waits may go on */
  takeDrain(): boolean {
    if (!this.#isFull || this.#chunks.byteLength > FULL_BYTES / 2 || this.#chunks.chunkCount > FULL_CHUNKS / 2) return false;
    this.#isFull = false;
    return true;
  }

  clear(): void {
    this.#chunks.clear();
  }
}
