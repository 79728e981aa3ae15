/** Reads big-endian (network order) numbers and views from one byte array, from front to back. */
import { viewOf } from './byte-array.ts';

/**
 * A reading position in a byte array.
 *
 * A codec asks `remaining` before it reads what a peer sent: reading past the end is a mistake of the program and throws. A read that
 * throws doesn't move the position.
 */
export class ByteCursor {
  readonly #bytes: Uint8Array;
  #position = 0;

  /** @param bytes read in place, never copied */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  /** @throws {RangeError} when nothing remains */
  u8(): number {
    const at = this.#advance(1);
    return this.#bytes[at] as number;
  }

  /** @throws {RangeError} when fewer than 2 bytes remain */
  u16(): number {
    const at = this.#advance(2);
    const bytes = this.#bytes;
    return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  }

  /** @throws {RangeError} when fewer than 3 bytes remain */
  u24(): number {
    const at = this.#advance(3);
    const bytes = this.#bytes;
    return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
  }

  /** @throws {RangeError} when fewer than 4 bytes remain */
  u32(): number {
    const at = this.#advance(4);
    const bytes = this.#bytes;
    const value =
      ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    return value >>> 0;
  }

  /** A view of the next `count` bytes, not a copy. @throws {RangeError} when fewer remain, or `count` is not a whole number ≥ 0 */
  bytes(count: number): Uint8Array {
    if (!Number.isInteger(count) || count < 0) throw new RangeError(`count must be a whole number, 0 or more: ${String(count)}`);
    const at = this.#advance(count);
    return viewOf(this.#bytes, at, count);
  }

  /** @returns where the bytes that were asked for begin */
  #advance(count: number): number {
    const at = this.#position;
    if (count > this.#bytes.length - at) throw new RangeError(`${count} bytes asked for at ${at}, ${this.remaining} remain`);
    this.#position = at + count;
    return at;
  }
}
