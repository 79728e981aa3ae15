/**
 * A keyed hash of map keys, which are texts or numbers, to 32 bits.
 *
 * Texts go through HalfSipHash. Numbers go through two rounds of a mixer with a secret word before each: weaker, but far from what
 * somebody who sees only hits and misses could invert. Numbers that a `Map` holds equal (0 and −0, one NaN and another) hash alike.
 */
import { mix32 } from './mix32.ts';
import { TextHasher, type TextHasherKey } from './text-hasher.ts';

/** A keyed hash of texts and numbers. */
export class KeyHasher {
  readonly #texts: TextHasher;
  readonly #k0: number;
  readonly #k1: number;
  /** A number, and its bits. */
  readonly #double: Float64Array;
  readonly #words: Uint32Array;

  /** @param key secret where peers choose the keys @throws {RangeError} as `TextHasher` */
  constructor(key: TextHasherKey) {
    this.#texts = new TextHasher(key);
    this.#k0 = key.k0 | 0;
    this.#k1 = key.k1 | 0;
    this.#double = new Float64Array(1);
    this.#words = new Uint32Array(this.#double.buffer);
  }

  /**
   * Hashes a key to 32 bits.
   *
   * @returns a signed 32-bit integer
   * @throws {TypeError} when the key is neither text nor a number
   */
  hash32(key: string | number): number {
    if (typeof key === 'string') return this.#texts.hash32(key);
    if (typeof key !== 'number') throw new TypeError(`a key must be a string or a number, not ${typeof key}`);
    // Small whole numbers, −0 among them, need no look at their bits.
    if ((key | 0) === key) return this.#mix(key, 0);
    // There are many NaNs in bits, but one among keys.
    this.#double[0] = Number.isNaN(key) ? Number.NaN : key;
    return this.#mix(this.#words[0] as number, this.#words[1] as number);
  }

  #mix(low: number, high: number): number {
    return mix32(mix32(low ^ this.#k0) ^ high ^ this.#k1) | 0;
  }
}
