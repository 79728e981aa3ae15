/**
 * A gRPC body as base64 for clients that can only read text.
 *
 * Padding is put behind the last message that is whole, so that a client can read each message when it is there. Within a message up to two bytes wait
 * for the rest of their group.
 *
 * ```text
 *   flags (1) │ length (4, big-endian) │ message
 * ```
 *
 * @see grpc PROTOCOL-WEB.md, "text-encoded streams"; RFC 4648 §4
 */
import { concatBytes, EMPTY_BYTES } from '@ferrata/bytes';

const PREFIX_BYTES = 5;
const GROUP_BYTES = 3;

/** An encoder of one body. */
export class GrpcTextEncoder {
  #carried: Uint8Array = EMPTY_BYTES;
  /** Bytes of the prefix that have come, and those of its length field as a number. */
  #prefixBytes = 0;
  #length = 0;
  /** Bytes of the message that are to come. */
  #messageLeft = 0;

  /** @returns what can be sent, or null if the bytes must wait for the next ones */
  encode(chunk: Uint8Array): Uint8Array | null {
    const messageEnd = this.#follow(chunk);
    const bytes = this.#carried.length === 0 ? chunk : concatBytes([this.#carried, chunk]);
    const wholeEnd = messageEnd === 0 ? 0 : messageEnd + this.#carried.length;
    const end = bytes.length - ((bytes.length - wholeEnd) % GROUP_BYTES);
    // A copy: the chunk may be large, and these are two bytes of it.
    this.#carried = bytes.slice(end);
    if (end === 0) return null;
    if (wholeEnd === 0 || wholeEnd === end) return base64(bytes.subarray(0, end));
    return concatBytes([base64(bytes.subarray(0, wholeEnd)), base64(bytes.subarray(wholeEnd, end))]);
  }

  /** @returns what waited, for a body that broke off within a message, or null */
  end(): Uint8Array | null {
    const rest = this.#carried;
    this.#carried = EMPTY_BYTES;
    return rest.length === 0 ? null : base64(rest);
  }

  /** Keeps count of the messages, and steps over each as a whole. @returns where the last one ends within the chunk, 0 if none does */
  #follow(chunk: Uint8Array): number {
    let lastEnd = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#messageLeft > 0) {
        const taken = Math.min(this.#messageLeft, chunk.length - at);
        this.#messageLeft -= taken;
        at += taken;
      } else {
        if (this.#prefixBytes > 0) this.#length = this.#length * 256 + (chunk[at] as number);
        at++;
        if (++this.#prefixBytes < PREFIX_BYTES) continue;
        this.#messageLeft = this.#length;
        this.#prefixBytes = 0;
        this.#length = 0;
      }
      if (this.#messageLeft === 0) lastEnd = at;
    }
    return lastEnd;
  }
}

/** With padding. */
export function base64(bytes: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'), 'latin1');
}
