/**
 * Mutations: one to sixteen random changes of one input, from a small table of kinds.
 *
 * Long splices matter most: a request is smuggled by parts of two good requests standing in one, and with splices of at most 24 bytes a
 * planted acceptance of Content-Length beside Transfer-Encoding was not found in 20 s that is found in one with splices of any length. Taking
 * over whole lines of another good request finds it some ten times sooner still.
 */
import type { Random } from '@ferrata/clock';

/** Bytes that parsers treat specially more often than others. */
const TELLING_BYTES = Uint8Array.from([
  0x00, 0x01, 0x09, 0x0a, 0x0b, 0x0d, 0x20, 0x22, 0x23, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x39, 0x3a, 0x3b, 0x3d, 0x40, 0x41, 0x46,
  0x5f, 0x61, 0x66, 0x7f, 0x80, 0xa0, 0xff,
]);

/** Options of a `Mutator`. */
export interface MutatorOptions {
  readonly random: Random;
  /** Longest result in bytes. */
  readonly maxLength: number;
  /** Words to insert or overwrite whole. */
  readonly dictionary: readonly Uint8Array[];
}

/** Changes inputs at random. It works in two buffers of its own; each result is a fresh copy. */
export class Mutator {
  readonly #random: Random;
  readonly #maxLength: number;
  readonly #dictionary: readonly Uint8Array[];
  readonly #buffer: Uint8Array;
  #length = 0;

  constructor(options: MutatorOptions) {
    this.#random = options.random;
    this.#maxLength = options.maxLength;
    this.#dictionary = options.dictionary;
    this.#buffer = new Uint8Array(options.maxLength);
  }

  /**
   * @param base the input to change; not written to
   * @param other an input to take parts from
   * @returns a new input of at most `maxLength` bytes
   */
  mutate(base: Uint8Array, other: Uint8Array): Uint8Array {
    this.#length = Math.min(base.length, this.#maxLength);
    this.#buffer.set(base.subarray(0, this.#length));
    for (let changes = 1 << this.#random.below(5); changes > 0; changes--) this.#change(other);
    return this.#buffer.slice(0, this.#length);
  }

  #change(other: Uint8Array): void {
    const random = this.#random;
    switch (random.below(16)) {
      case 0: {
        if (this.#length > 0) this.#flip(random.below(this.#length), 1 << random.below(8));
        return;
      }
      case 1:
        return this.#put(random.below(256));
      case 2:
      case 3:
        return this.#put(TELLING_BYTES[random.below(TELLING_BYTES.length)] as number);
      case 4:
        return this.#nudgeDigit();
      case 5:
        return this.#insert(this.#position(), Uint8Array.of(TELLING_BYTES[random.below(TELLING_BYTES.length)] as number));
      case 6:
        return this.#delete(this.#position(), 1 + random.below(4));
      case 7:
        return this.#delete(this.#position(), 1 + random.below(64));
      case 8:
        return this.#repeat();
      case 9:
        return this.#swapLines();
      case 10:
      case 11:
        return this.#word();
      case 12:
        return this.#adoptLine(other);
      case 13:
        return this.#insert(this.#position(), this.#part(other));
      case 14:
        return this.#overwrite(this.#position(), this.#part(other));
      default:
        return this.#cross(other);
    }
  }

  /** Any offset, the end included. */
  #position(): number {
    return this.#random.below(this.#length + 1);
  }

  #flip(at: number, mask: number): void {
    this.#buffer[at] = (this.#buffer[at] as number) ^ mask;
  }

  #put(byte: number): void {
    if (this.#length > 0) this.#buffer[this.#random.below(this.#length)] = byte;
  }

  /** Adds to or takes from a decimal or hexadecimal digit: lengths and versions that are off by a little. */
  #nudgeDigit(): void {
    const start = this.#position();
    for (let at = start; at < this.#length && at < start + 64; at++) {
      const byte = this.#buffer[at] as number;
      if (byte >= 0x30 && byte <= 0x39) {
        this.#buffer[at] = 0x30 + this.#random.below(10);
        return;
      }
    }
  }

  #word(): void {
    const { length } = this.#dictionary;
    if (length === 0) return this.#put(this.#random.below(256));
    const word = this.#dictionary[this.#random.below(length)] as Uint8Array;
    if (this.#random.below(3) === 0) this.#overwrite(this.#position(), word);
    else this.#insert(this.#position(), word);
  }

  /** A random stretch of `other`: short ones as often as long ones. */
  #part(other: Uint8Array): Uint8Array {
    if (other.length === 0) return other;
    const start = this.#random.below(other.length);
    const room = other.length - start;
    const length = this.#random.below(2) === 0 ? 1 + this.#random.below(Math.min(24, room)) : 1 + this.#random.below(room);
    return other.subarray(start, start + length);
  }

  /** The beginning of this input, then the end of `other`. */
  #cross(other: Uint8Array): void {
    const at = this.#position();
    this.#length = at;
    this.#insert(at, other.subarray(this.#random.below(other.length + 1)));
  }

  #repeat(): void {
    if (this.#length === 0) return;
    const start = this.#random.below(this.#length);
    const part = this.#buffer.slice(start, start + 1 + this.#random.below(Math.min(64, this.#length - start)));
    for (let times = 1 + this.#random.below(8); times > 0; times--) this.#insert(start, part);
  }

  /** Moves one line to the front of another: the order of fields decides much. */
  #swapLines(): void {
    const from = this.#lineStart(this.#position());
    const end = this.#buffer.indexOf(0x0a, from) + 1;
    if (end === 0 || end > this.#length) return;
    const line = this.#buffer.slice(from, end);
    this.#delete(from, line.length);
    this.#insert(this.#lineStart(this.#position()), line);
  }

  /** Puts a line of `other` in front of one of this input: two fields that contradict each other come from two good messages. */
  #adoptLine(other: Uint8Array): void {
    if (other.length === 0) return;
    const at = this.#random.below(other.length);
    const start = at === 0 ? 0 : other.lastIndexOf(0x0a, at - 1) + 1;
    const end = other.indexOf(0x0a, at) + 1;
    this.#insert(this.#lineStart(this.#position()), other.subarray(start, end === 0 ? other.length : end));
  }

  #lineStart(at: number): number {
    return at === 0 ? 0 : this.#buffer.lastIndexOf(0x0a, at - 1) + 1;
  }

  #insert(at: number, part: Uint8Array): void {
    const length = Math.min(part.length, this.#maxLength - this.#length);
    if (length <= 0) return;
    this.#buffer.copyWithin(at + length, at, this.#length);
    this.#buffer.set(part.subarray(0, length), at);
    this.#length += length;
  }

  #overwrite(at: number, part: Uint8Array): void {
    const length = Math.min(part.length, this.#maxLength - at);
    this.#buffer.set(part.subarray(0, length), at);
    this.#length = Math.max(this.#length, at + length);
  }

  #delete(at: number, count: number): void {
    const end = Math.min(at + count, this.#length);
    this.#buffer.copyWithin(at, end, this.#length);
    this.#length -= end - at;
  }
}
