/**
 * Where encoders append: a growing run of bytes that is taken as a whole.
 *
 * ```
 *   slab   |  taken  |  taken  |  written, not taken  |  free  |
 *                              ^start                 ^end     ^slab.length
 * ```
 * Rules:
 * - `take` hands out a view of the slab. Those bytes are never written again: the writer goes on behind them, and allocates a new
 *   slab when this one is full. Several small takes thus share one allocation, and keep it alive together.
 * - A write that throws leaves the writer as it was.
 */
import { EMPTY_BYTES, viewOf } from './byte-array.ts';
import { latin1 } from './internal/latin1.ts';

/** Options of a `ByteWriter`. */
export interface ByteWriterOptions {
  /**
   * Bytes of a slab; default 4096, at least 16. A larger one means fewer allocations (4 KiB cost about a microsecond), and more memory
   * for each writer and for each small take that somebody keeps.
   */
  readonly initialCapacity?: number;
  /** Most bytes that may be written and not taken; default 1 GiB. A guard against a caller that forgets to take. */
  readonly maxBytes?: number;
}

/** A growable byte buffer for encoders. All numbers are written big-endian. */
export class ByteWriter {
  readonly #initialCapacity: number;
  readonly #maxBytes: number;
  #slab: Uint8Array = EMPTY_BYTES;
  /** Of the slab: asking a typed array for it is a call into the engine (13 ns), a third of what making a view costs. */
  #buffer: ArrayBufferLike = EMPTY_BYTES.buffer;
  #start = 0;
  #end = 0;

  constructor(options: ByteWriterOptions = {}) {
    const { initialCapacity = 4096, maxBytes = 0x4000_0000 } = options;
    if (!(Number.isSafeInteger(initialCapacity) && initialCapacity >= 16)) {
      throw new RangeError(`initialCapacity must be a whole number of bytes, 16 or more: ${String(initialCapacity)}`);
    }
    if (!(maxBytes >= 1)) throw new RangeError(`maxBytes must be 1 or more: ${String(maxBytes)}`);
    this.#initialCapacity = initialCapacity;
    this.#maxBytes = maxBytes;
  }

  /** Bytes written and not yet taken. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** @throws {RangeError} when `value` is not a byte, or `maxBytes` would be passed */
  writeByte(value: number): void {
    if ((value & 0xff) !== value) throwTooLarge(value, 8);
    const at = this.#reserve(1);
    this.#slab[at] = value;
  }

  /** @throws {RangeError} when `value` is not an unsigned 16-bit number, or `maxBytes` would be passed */
  writeUint16(value: number): void {
    if ((value & 0xffff) !== value) throwTooLarge(value, 16);
    const at = this.#reserve(2);
    const slab = this.#slab;
    slab[at] = value >>> 8;
    slab[at + 1] = value;
  }

  /** @throws {RangeError} when `value` is not an unsigned 24-bit number, or `maxBytes` would be passed */
  writeUint24(value: number): void {
    if ((value & 0xff_ffff) !== value) throwTooLarge(value, 24);
    const at = this.#reserve(3);
    const slab = this.#slab;
    slab[at] = value >>> 16;
    slab[at + 1] = value >>> 8;
    slab[at + 2] = value;
  }

  /** @throws {RangeError} when `value` is not an unsigned 32-bit number, or `maxBytes` would be passed */
  writeUint32(value: number): void {
    if (value >>> 0 !== value) throwTooLarge(value, 32);
    const at = this.#reserve(4);
    const slab = this.#slab;
    slab[at] = value >>> 24;
    slab[at + 1] = value >>> 16;
    slab[at + 2] = value >>> 8;
    slab[at + 3] = value;
  }

  /** Copies `chunk`. @throws {RangeError} when `maxBytes` would be passed */
  writeBytes(chunk: Uint8Array): void {
    const at = this.#reserve(chunk.length);
    this.#slab.set(chunk, at);
  }

  /** Writes one byte a character. @throws {RangeError} when a character lies above U+00FF, or `maxBytes` would be passed */
  writeLatin1(text: string): void {
    const at = this.#reserve(text.length);
    try {
      latin1.encodeInto(text, this.#slab, at);
    } catch (notLatin1) {
      this.#end = at;
      throw notLatin1;
    }
  }

  /**
   * Makes room for encoders that write bytes one by one: `slab[at]` … `slab[at + count - 1]` are yours until the next call of this writer.
   * Nothing counts as written until `commit`. Costs one check for all of them, where `writeByte` has one for each.
   *
   * @returns where the room begins in `slab`, which may be another one than before
   * @throws {RangeError} when `maxBytes` would be passed
   */
  makeRoom(count: number): number {
    const at = this.#reserve(count);
    this.#end = at;
    return at;
  }

  /** The bytes that `makeRoom` speaks of. Ask for it after `makeRoom`. */
  get slab(): Uint8Array {
    return this.#slab;
  }

  /**
   * Counts what was written into the room as written.
   *
   * @param end where in `slab` it ends: between what `makeRoom` returned and its end
   * @throws {RangeError} when it lies elsewhere
   */
  commit(end: number): void {
    if (!(end >= this.#end && end <= this.#slab.length))
      throw new RangeError(`${end} does not lie in the room that begins at ${this.#end}`);
    this.#end = end;
  }

  /** Moves everything written since the last take to the caller. @returns `EMPTY_BYTES` if there is nothing */
  take(): Uint8Array {
    const length = this.#end - this.#start;
    if (length === 0) return EMPTY_BYTES;
    const taken = new Uint8Array(this.#buffer, this.#start, length);
    this.#start = this.#end;
    return taken;
  }

  /** Makes room and counts it as written. @returns where it begins */
  #reserve(count: number): number {
    const at = this.#end;
    if (at + count > this.#slab.length || at + count - this.#start > this.#maxBytes) return this.#reserveInNewSlab(count);
    this.#end = at + count;
    return at;
  }

  /** Kept apart, so that the common path above is small enough to be inlined. */
  #reserveInNewSlab(count: number): number {
    const pending = this.#end - this.#start;
    const needed = pending + count;
    if (needed > this.#maxBytes) throw new RangeError(`${needed} bytes written and not taken, more than maxBytes (${this.#maxBytes})`);
    // Doubling keeps the copying linear. Taken bytes stay behind in the old slab.
    const slab = new Uint8Array(Math.max(this.#initialCapacity, needed, pending * 2));
    slab.set(viewOf(this.#slab, this.#start, pending));
    this.#slab = slab;
    this.#buffer = slab.buffer;
    this.#start = 0;
    this.#end = needed;
    return pending;
  }
}

function throwTooLarge(value: number, bits: number): never {
  throw new RangeError(`not an unsigned ${bits}-bit number: ${String(value)}`);
}
