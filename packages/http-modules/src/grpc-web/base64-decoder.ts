/**
 * Base64 as gRPC-Web clients send it: pieces, each padded at its own end, one behind the other.
 *
 * Rules of this file:
 * - Groups of four characters, wherever the chunks are cut. Padding ends a group and a piece, not the body.
 * - Strict: the standard alphabet, no blanks, no group that is left open, no bits behind the last byte of a piece that aren't zero (RFC 4648 §3.5). Two
 *   texts never mean the same bytes, so that a filter in front of us and the origin behind us cannot disagree.
 *
 * @see RFC 4648 §4
 */
import { latin1Encode } from '@ferrata/bytes';
import { protocolError } from '@ferrata/error';

const ALPHABET = latin1Encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const INVALID = 0xff;
const PADDING = 0x3d;
/** The value of each character, `INVALID` for all others. */
const VALUES = new Uint8Array(256).fill(INVALID);
ALPHABET.forEach((character, value) => {
  VALUES[character] = value;
});

/** A decoder of one body. */
export class Base64Decoder {
  /** The characters of a group that have come, as bits, and how many, padding included. */
  #bits = 0;
  #characters = 0;
  #padding = 0;

  /** @returns the bytes of the groups that are whole; may be empty @throws {WireError} GRPC_WEB_BASE64_INVALID */
  decode(chunk: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(((this.#characters + chunk.length) >>> 2) * 3);
    let written = 0;
    for (let at = 0; at < chunk.length; at++) {
      this.#take(chunk[at] as number);
      if (this.#characters < 4) continue;
      bytes[written++] = this.#bits >>> 16;
      if (this.#padding < 2) bytes[written++] = this.#bits >>> 8;
      if (this.#padding < 1) bytes[written++] = this.#bits;
      if ((this.#bits & ((1 << (8 * this.#padding)) - 1)) !== 0) throw invalid('bits behind the last byte');
      this.#bits = 0;
      this.#characters = 0;
      this.#padding = 0;
    }
    return written === bytes.length ? bytes : bytes.subarray(0, written);
  }

  /** The body ends. @throws {WireError} GRPC_WEB_BASE64_INVALID within a group */
  end(): void {
    if (this.#characters > 0) throw invalid('the body ends within a group of four characters');
  }

  #take(character: number): void {
    if (character === PADDING) {
      if (this.#characters < 2) throw invalid('padding where none can be');
      this.#padding++;
      this.#bits <<= 6;
    } else {
      const value = VALUES[character] as number;
      if (value === INVALID || this.#padding > 0) throw invalid('a character that may not stand there');
      this.#bits = (this.#bits << 6) | value;
    }
    this.#characters++;
  }
}

function invalid(message: string): Error {
  return protocolError('GRPC_WEB_BASE64_INVALID', message, { source: 'downstream', wire: { status: 400 } });
}
