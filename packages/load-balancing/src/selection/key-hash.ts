/**
 * Hashes of keys: FNV-1a of 32 and of 64 bits, over the bytes of the key or the UTF-8 form of its text, without allocating either.
 *
 * They have no secret: who chooses keys can aim them at one member, as with every hash that several programs must agree on.
 *
 * Source: L. Noll, K. Vo, D. Eastlake, T. Hansen, "The FNV Non-Cryptographic Hash Algorithm", RFC 9923.
 */
import type { SelectionKey } from './algorithm.ts';

const offset32 = 0x811c_9dc5;
const prime32 = 0x0100_0193;

/** Offset basis of 64 bits: cbf29ce484222325. */
const offsetHigh = 0xcbf2_9ce4 | 0;
const offsetLow = 0x8422_2325 | 0;
/** The prime of 64 bits is 2⁴⁰ + 435. */
const primeLow = 435;

/** Texts of up to a third of this are encoded in place. */
const scratch = new Uint8Array(3072);
const encoder = /* @__PURE__ */ new TextEncoder();

/** @returns FNV-1a of 32 bits, 0 to 2³² − 1 */
export function fnv1a32(key: SelectionKey): number {
  if (typeof key !== 'string') return fnv1a32Bytes(key, key.length);
  let hash = offset32;
  for (let index = 0; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    if (unit > 0x7f) return fnv1a32Encoded(key);
    hash = Math.imul(hash ^ unit, prime32);
  }
  return hash >>> 0;
}

function fnv1a32Bytes(bytes: Uint8Array, length: number): number {
  let hash = offset32;
  for (let index = 0; index < length; index++) hash = Math.imul(hash ^ (bytes[index] as number), prime32);
  return hash >>> 0;
}

function fnv1a32Encoded(text: string): number {
  if (text.length * 3 <= scratch.length) return fnv1a32Bytes(scratch, encoder.encodeInto(text, scratch).written);
  const bytes = encoder.encode(text);
  return fnv1a32Bytes(bytes, bytes.length);
}

/** A seed from which picks are made: the hash of a key, then the hash of that, and so on. */
export interface KeySeed {
  /** Begins with the hash of a key. */
  begin(key: SelectionKey): void;
  /** Goes on with the hash of the seed's own bytes, from the low one. */
  again(): void;
  /** @param bound 1 to 2³⁷ @returns the seed modulo `bound` */
  below(bound: number): number;
}

/** FNV-1a of 64 bits, kept in two halves: products of 64 bits are exact only in pieces, and big integers would be allocated. */
export class Fnv1a64Seed implements KeySeed {
  #high = offsetHigh;
  #low = offsetLow;

  begin(key: SelectionKey): void {
    if (typeof key !== 'string') {
      this.#hashBytes(key, key.length);
      return;
    }
    let high = offsetHigh;
    let low = offsetLow;
    for (let index = 0; index < key.length; index++) {
      const unit = key.charCodeAt(index);
      if (unit > 0x7f) {
        this.#hashEncoded(key);
        return;
      }
      const word = low ^ unit;
      const first = (word & 0xffff) * primeLow;
      const second = (word >>> 16) * primeLow + (first >>> 16);
      high = (Math.imul(high, primeLow) + (second >>> 16) + (word << 8)) | 0;
      low = (second << 16) | (first & 0xffff);
    }
    this.#high = high;
    this.#low = low;
  }

  again(): void {
    writeWord(scratch, 0, this.#low);
    writeWord(scratch, 4, this.#high);
    this.#hashBytes(scratch, 8);
  }

  below(bound: number): number {
    return remainder(this.#high >>> 0, this.#low, bound);
  }

  #hashBytes(bytes: Uint8Array, length: number): void {
    let high = offsetHigh;
    let low = offsetLow;
    for (let index = 0; index < length; index++) {
      const word = low ^ (bytes[index] as number);
      const first = (word & 0xffff) * primeLow;
      const second = (word >>> 16) * primeLow + (first >>> 16);
      high = (Math.imul(high, primeLow) + (second >>> 16) + (word << 8)) | 0;
      low = (second << 16) | (first & 0xffff);
    }
    this.#high = high;
    this.#low = low;
  }

  #hashEncoded(text: string): void {
    if (text.length * 3 <= scratch.length) {
      this.#hashBytes(scratch, encoder.encodeInto(text, scratch).written);
      return;
    }
    const bytes = encoder.encode(text);
    this.#hashBytes(bytes, bytes.length);
  }
}

/** A hash of 32 bits. */
export class Uint32Seed implements KeySeed {
  readonly #hash: (key: SelectionKey) => number;
  readonly #bytes = new Uint8Array(4);
  #word = 0;

  constructor(hash: (key: SelectionKey) => number) {
    this.#hash = hash;
  }

  begin(key: SelectionKey): void {
    this.#word = this.#hash(key) >>> 0;
  }

  again(): void {
    writeWord(this.#bytes, 0, this.#word);
    this.begin(this.#bytes);
  }

  below(bound: number): number {
    return remainder(0, this.#word, bound);
  }
}

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
}

/** (high × 2³² + low) modulo `bound`, 16 bits at a time: what is divided stays below 2⁵³. */
function remainder(high: number, low: number, bound: number): number {
  const first = modulo(modulo(high, bound) * 65_536 + (low >>> 16), bound);
  return modulo(first * 65_536 + (low & 0xffff), bound);
}

/** Of whole numbers; five times as fast as `%` where they exceed 32 bits. */
function modulo(value: number, bound: number): number {
  const rest = value - Math.floor(value / bound) * bound;
  // The quotient may have been rounded up to a whole number.
  return rest < 0 ? rest + bound : rest;
}
