/** A body that is gathered, up to a bound. Copied, as each of many tiny pieces would otherwise hold the memory of the read it came in. */
import { ByteWriter } from '@ferrata/bytes';

/** Larger bodies are no job for memory. */
export const MAX_COLLECTED_BYTES = 0x4000_0000;

/** Bytes of a body, in order. */
export class CollectedBody {
  readonly #maxBytes: number;
  readonly #writer = new ByteWriter();

  /** @param maxBytes 0 to `MAX_COLLECTED_BYTES` */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @returns false: that would be too much, and nothing of the chunk was added */
  add(chunk: Uint8Array): boolean {
    if (this.#writer.length + chunk.length > this.#maxBytes) return false;
    this.#writer.writeBytes(chunk);
    return true;
  }

  /** All that was added. */
  take(): Uint8Array {
    return this.#writer.take();
  }
}
