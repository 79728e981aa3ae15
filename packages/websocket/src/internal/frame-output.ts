/** Frames on their way out of a machine, as few chunks as is cheap. */
import { type ByteWriter, EMPTY_BYTES } from '@ferrata/bytes';
import { writeFrameBytes, writeHeader } from '../frame-writer.ts';

/** Payloads from this size on go out by reference, where no mask has to be put on them: a copy costs more than a second vector. */
const COPY_BELOW_BYTES = 4096;

/** Appends frames; `take` moves them out. */
export class FrameOutput {
  readonly #writer: ByteWriter;
  #chunks: Uint8Array[] = [];
  /** Where the last chunk lies if it was joined of more. */
  #block: Uint8Array = EMPTY_BYTES;
  #byteLength = 0;

  /** @param writer may be shared by all connections of a thread, as it is empty between calls */
  constructor(writer: ByteWriter) {
    this.#writer = writer;
  }

  /** Bytes that wait to be taken. */
  byteLength(): number {
    return this.#byteLength;
  }

  /** @param key of the mask, or -1 for none */
  push(first: number, payload: Uint8Array, key: number): void {
    const writer = this.#writer;
    if (key >= 0 || payload.length < COPY_BELOW_BYTES) {
      writeFrameBytes(writer, first, payload, key);
      this.#append(writer.take());
      return;
    }
    writeHeader(writer, first, payload.length, key);
    this.#append(writer.take());
    this.#chunks.push(payload);
    this.#byteLength += payload.length;
  }

  /** Moves everything out; an empty array if nothing waits. */
  take(): Uint8Array[] {
    if (this.#byteLength === 0) return [];
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#block = EMPTY_BYTES;
    this.#byteLength = 0;
    return chunks;
  }

  /** Frames made one after the other lie one behind the other: two views become one, and many small messages one write. */
  #append(chunk: Uint8Array): void {
    this.#byteLength += chunk.length;
    const chunks = this.#chunks;
    const last = chunks[chunks.length - 1];
    if (last !== undefined && last.buffer === chunk.buffer && last.byteOffset + last.length === chunk.byteOffset) {
      chunks[chunks.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + chunk.length);
      return;
    }
    if (last !== undefined && last.length + chunk.length <= COPY_BELOW_BYTES) chunks[chunks.length - 1] = this.#join(last, chunk);
    else chunks.push(chunk);
  }

  /**
   * Others have written in between: what waits for a slow peer must not keep their slabs alive, 32 KiB for a frame of some bytes. Each byte is copied
   * once, and those of the first chunk.
   */
  #join(last: Uint8Array, chunk: Uint8Array): Uint8Array {
    if (last.buffer !== this.#block.buffer) {
      this.#block = new Uint8Array(COPY_BELOW_BYTES);
      this.#block.set(last);
    }
    this.#block.set(chunk, last.length);
    return this.#block.subarray(0, last.length + chunk.length);
  }
}
