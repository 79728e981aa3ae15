/**
 * Bytes in the order of their arrival, kept as the chunks they came in.
 *
 * ```
 *   ring of chunks, by ordinal:   head ──────────────────────────▶ tail
 *                                 [ used | unused ] [ chunk ] [ chunk ]
 *                                        ^headOffset
 * ```
 * Rules:
 * - A chunk pushed belongs to the queue, a chunk taken belongs to the caller, and nobody rewrites its bytes.
 * - Bytes are copied only by `take` and `takeAll`, and only when they lie in more than one chunk.
 * - Each operation is O(1), amortised, besides the bytes it copies or looks at; `peekByte` and `indexOf` remember the last chunk they
 *   looked into, so that going on from there is linear whatever the split.
 */
import { EMPTY_BYTES, viewOf } from './byte-array.ts';

/** A first-in first-out queue of bytes. */
export class ByteQueue {
  /** Its length is a power of two; the chunk with ordinal n sits in slot n modulo length. */
  #ring: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(4).fill(undefined);
  #head = 0;
  #tail = 0;
  #headOffset = 0;
  #byteLength = 0;
  /** The chunk last looked into, and the index (as in `peekByte`) of its first byte; -1 or less when the head has been cut. */
  #seenChunk = 0;
  #seenBase = 0;

  /** Bytes in the queue. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Chunks that hold them. A limit on bytes alone lets a peer pile up one-byte chunks. */
  get chunkCount(): number {
    return this.#tail - this.#head;
  }

  /** Appends a chunk, which from now on belongs to the queue. An empty one is ignored. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#tail - this.#head === this.#ring.length) this.#growRing();
    this.#ring[this.#tail & (this.#ring.length - 1)] = chunk;
    this.#tail++;
    this.#byteLength += chunk.length;
  }

  /** The byte at `index`, 0 being the next to be taken. @returns -1 when the queue doesn't reach that far */
  peekByte(index: number): number {
    if (!(index >= 0 && index < this.#byteLength)) return -1;
    this.#seek(index);
    return this.#chunkAt(this.#seenChunk)[index - this.#seenBase] as number;
  }

  /** The index of the first `byte` at or after index `from`. @returns -1 if there is none */
  indexOf(byte: number, from = 0): number {
    if (from >= this.#byteLength) return -1;
    this.#seek(Math.max(0, from));
    let searchFrom = Math.max(0, from);
    for (;;) {
      const found = this.#chunkAt(this.#seenChunk).indexOf(byte, searchFrom - this.#seenBase);
      if (found >= 0) return this.#seenBase + found;
      if (this.#seenChunk + 1 === this.#tail) return -1;
      searchFrom = this.#seekNext();
    }
  }

  /**
   * Takes exactly `count` bytes: a view if they lie in one chunk, else a copy.
   *
   * @throws {RangeError} when fewer are there, or `count` is not a whole number ≥ 0
   */
  take(count: number): Uint8Array {
    if (!Number.isInteger(count) || count < 0 || count > this.#byteLength) {
      throw new RangeError(`can't take ${String(count)} bytes of ${this.#byteLength}`);
    }
    if (count === 0) return EMPTY_BYTES;
    const available = this.#chunkAt(this.#head).length - this.#headOffset;
    if (count <= available) return this.#takeFromHead(count);

    const copy = new Uint8Array(count);
    let copied = 0;
    while (copied < count) {
      const part = this.takeUpTo(count - copied);
      copy.set(part, copied);
      copied += part.length;
    }
    return copy;
  }

  /** Takes what can be had without copying: at most `count` bytes, at least one unless `count` is 0 or the queue is empty. */
  takeUpTo(count: number): Uint8Array {
    if (!(count >= 1) || this.#byteLength === 0) return EMPTY_BYTES;
    const available = this.#chunkAt(this.#head).length - this.#headOffset;
    return this.#takeFromHead(Math.min(Math.floor(count), available));
  }

  /** Takes the first chunk, or what is left of it. @returns undefined if the queue is empty */
  takeChunk(): Uint8Array | undefined {
    return this.#byteLength === 0 ? undefined : this.takeUpTo(this.#byteLength);
  }

  /** Takes everything as one array. @returns `EMPTY_BYTES` if the queue is empty */
  takeAll(): Uint8Array {
    return this.take(this.#byteLength);
  }

  /** Forgets everything. */
  clear(): void {
    this.#ring = new Array<Uint8Array | undefined>(4).fill(undefined);
    this.#byteLength = 0;
    this.#restart();
  }

  /** @param count 1 to the number of bytes left in the first chunk */
  #takeFromHead(count: number): Uint8Array {
    const chunk = this.#chunkAt(this.#head);
    const offset = this.#headOffset;
    this.#byteLength -= count;
    this.#seenBase -= count;
    if (offset + count < chunk.length) {
      this.#headOffset = offset + count;
      return viewOf(chunk, offset, count);
    }
    // The slot is cleared at once: a queue never keeps bytes alive that somebody has taken.
    this.#ring[this.#head & (this.#ring.length - 1)] = undefined;
    this.#head++;
    this.#headOffset = 0;
    if (this.#head === this.#tail) this.#restart();
    return offset === 0 ? chunk : viewOf(chunk, offset, count);
  }

  /** Ordinals begin anew whenever the queue runs empty, so they stay small integers. */
  #restart(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#headOffset = 0;
    this.#seenChunk = 0;
    this.#seenBase = 0;
  }

  /** Makes `seenChunk` the chunk that holds `index`; walks forward from the chunk seen last, if that isn't behind it. */
  #seek(index: number): void {
    if (this.#seenChunk < this.#head || this.#seenBase > index) {
      this.#seenChunk = this.#head;
      this.#seenBase = -this.#headOffset;
    }
    while (index >= this.#seenBase + this.#chunkAt(this.#seenChunk).length) this.#seekNext();
  }

  /** @returns the index of the first byte of the next chunk */
  #seekNext(): number {
    this.#seenBase += this.#chunkAt(this.#seenChunk).length;
    this.#seenChunk++;
    return this.#seenBase;
  }

  #chunkAt(ordinal: number): Uint8Array {
    return this.#ring[ordinal & (this.#ring.length - 1)] as Uint8Array;
  }

  #growRing(): void {
    const old = this.#ring;
    const ring = new Array<Uint8Array | undefined>(old.length * 2).fill(undefined);
    for (let ordinal = this.#head; ordinal < this.#tail; ordinal++) ring[ordinal & (ring.length - 1)] = old[ordinal & (old.length - 1)];
    this.#ring = ring;
  }
}
