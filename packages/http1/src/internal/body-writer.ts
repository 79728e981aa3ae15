/** Writes one message body in its framing, and refuses to write one that a peer could read as shorter or longer than it is. */
import type { HeaderMap } from '@ferrata/headers';
import { CHUNK_END, formatChunkLine, formatLastChunk } from '../chunk-writer.ts';
import { BodyLength } from '../message-event.ts';
import type { OutputQueue } from './output-queue.ts';

export class BodyWriter {
  readonly #output: OutputQueue;
  /** Bytes still owed when the length is exact; else a `BodyLength`. */
  #left = 0;
  #isBodyless = true;

  constructor(output: OutputQueue) {
    this.#output = output;
  }

  /** @param framing.isBodyless the message may have no body, whatever its length says; data is dropped */
  begin(bodyLength: number, framing: { readonly isBodyless: boolean }): void {
    this.#left = bodyLength;
    this.#isBodyless = framing.isBodyless;
  }

  /** The end of the connection is the end of the body. */
  get isCloseDelimited(): boolean {
    return !this.#isBodyless && this.#left === BodyLength.untilClose;
  }

  /**
   * @returns false: dropped, as the message has no body
   * @throws {RangeError} when the chunk goes beyond the length announced; nothing of it is written
   */
  write(chunk: Uint8Array): boolean {
    if (this.#isBodyless) return false;
    // A chunk of no bytes would be the last one.
    if (chunk.length === 0) return true;
    if (this.#left === BodyLength.chunked) {
      this.#output.pushText(formatChunkLine(chunk.length));
      this.#output.pushBytes(chunk);
      this.#output.pushText(CHUNK_END);
      return true;
    }
    if (this.#left >= 0) {
      if (chunk.length > this.#left) throw new RangeError(`body is longer than announced: ${chunk.length - this.#left} bytes too many`);
      this.#left -= chunk.length;
    }
    this.#output.pushBytes(chunk);
    return true;
  }

  /** @throws {RangeError} when bytes are still owed */
  end(trailers: HeaderMap | null): void {
    if (this.#isBodyless) return;
    if (this.#left === BodyLength.chunked) this.#output.pushText(formatLastChunk(trailers));
    else if (this.#left > 0) throw new RangeError(`body is shorter than announced: ${this.#left} bytes missing`);
    this.#isBodyless = true;
  }
}
