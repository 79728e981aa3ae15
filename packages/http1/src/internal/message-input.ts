/** The chunks fed to a decoder and not yet consumed, and the count of both. */
import { ByteQueue, concatBytes, EMPTY_BYTES } from '@ferrata/bytes';

export class MessageInput {
  /** The chunk at hand; its bytes from `at` on are unread. Owned, so that views of it stay valid. */
  chunk: Uint8Array = EMPTY_BYTES;
  at = 0;
  /** The peer has ended its side. */
  hasEnded = false;
  readonly #waiting = new ByteQueue();
  /** Bytes of the chunks before the one at hand. */
  #bytesBefore = 0;

  /** Adds a chunk, which belongs to the input from now on. */
  feed(chunk: Uint8Array): void {
    if (this.at === this.chunk.length && this.#waiting.byteLength === 0) this.#begin(chunk);
    else this.#waiting.push(chunk);
  }

  /** Makes sure that an unread byte is at `at`. @returns false if there is none */
  hasBytes(): boolean {
    if (this.at < this.chunk.length) return true;
    // A chunk that is read is let go at once: an idle connection must not keep 64 KiB alive.
    this.#begin(this.#waiting.takeChunk() ?? EMPTY_BYTES);
    return this.chunk.length > 0;
  }

  /** Bytes read so far. */
  get takenBytes(): number {
    return this.#bytesBefore + this.at;
  }

  /** Bytes fed and not read. */
  get unreadBytes(): number {
    return this.chunk.length - this.at + this.#waiting.byteLength;
  }

  /** Moves out all that is unread. */
  takeUnread(): Uint8Array {
    const rest = this.chunk.subarray(this.at);
    this.at = this.chunk.length;
    if (this.#waiting.byteLength === 0) return rest;
    const waiting = this.#waiting.takeAll();
    this.#bytesBefore += waiting.length;
    return concatBytes([rest, waiting]);
  }

  /** Throws away all that is unread. */
  discard(): void {
    this.#bytesBefore += this.#waiting.byteLength;
    this.#waiting.clear();
    this.at = this.chunk.length;
  }

  #begin(chunk: Uint8Array): void {
    this.#bytesBefore += this.chunk.length;
    this.chunk = chunk;
    this.at = 0;
  }
}
