/**
 * HalfSipHash-1-3 of text: SipHash's little sibling for 32-bit machines, which JavaScript's integers are (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012; HalfSipHash is in the authors' reference code).
 *
 * A sketch or a table of slots that peers' keys fall into needs a hash whose collisions peers cannot compute: with one that they can,
 * an attacker spends other people's allowance or hides among them. Unkeyed hashes, and keyed ones with known collisions for every key (FNV,
 * Murmur), don't have that; HalfSipHash does, as far as is known, with a key of 64 bits and one round for each word and three to finish. The
 * hash-table variant: it is no message authentication code.
 *
 * ```
 *   key (k0, k1)  ──▶  v0 v1 v2 v3  ──▶  a round for each word of input  ──▶  3 rounds  ──▶  v1 ^ v3   ──▶ 3 rounds ──▶  v1 ^ v3
 *                                                                                          low word                   high word
 * ```
 * The input is the text in UTF-16, little-endian, so every text hashes apart, also those with lone surrogates, and nothing is encoded:
 * two units make a word. The last word holds an odd last unit and the low byte of the length in bytes.
 */
/** The key: two words of 32 bits. Hashers with the same key agree, on whatever thread they are. */
export interface TextHasherKey {
  readonly k0: number;
  readonly k1: number;
}

/** A keyed hash of text. */
export class TextHasher {
  readonly #k0: number;
  readonly #k1: number;

  /**
   * @param key secret where peers choose the texts
   * @throws {RangeError} when one of its words is not a whole number of 32 bits, signed or not
   */
  constructor(key: TextHasherKey) {
    this.#k0 = keyWord('k0', key.k0);
    this.#k1 = keyWord('k1', key.k1);
  }

  /** Its key, for a hasher elsewhere that has to agree. */
  get key(): TextHasherKey {
    return { k0: this.#k0 >>> 0, k1: this.#k1 >>> 0 };
  }

  /**
   * Hashes a text to 32 bits.
   *
   * @returns a signed 32-bit integer, which V8 keeps unboxed
   * @throws {TypeError} when it isn't text
   */
  hash32(text: string): number {
    if (typeof text !== 'string') throw notText(text);
    return halfSipHash(text, this.#k0, this.#k1, false);
  }

  /**
   * Hashes a text to 53 bits, all that a number holds exactly.
   *
   * @returns 0 to 2⁵³ − 1; unrelated to `hash32`
   * @throws {TypeError} when it isn't text
   */
  hash53(text: string): number {
    if (typeof text !== 'string') throw notText(text);
    return halfSipHash(text, this.#k0, this.#k1, true);
  }
}

/**
 * HalfSipHash-1-3 of a text's UTF-16LE bytes.
 *
 * @returns a signed 32-bit integer; with `isWide` the 64-bit variant's low word and 21 bits of its high word, as 0 to 2⁵³ − 1
 */
function halfSipHash(text: string, k0: number, k1: number, isWide: boolean): number {
  const { length } = text;
  const evenLength = length & ~1;
  let v0 = k0;
  let v1 = isWide ? k1 ^ 0xee : k1;
  let v2 = 0x6c79_6765 ^ k0;
  let v3 = 0x7465_6462 ^ k1;
  // The round stands twice below: a function can't change four variables, and one loop with a branch for the end takes half as long again.
  for (let at = 0; at < evenLength; at += 2) {
    const word = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  let lastWord = (length & 0x7f) << 25;
  if (evenLength < length) lastWord |= text.charCodeAt(evenLength);
  let endMark = isWide ? 0xee : 0xff;
  let low = 0;
  v3 ^= lastWord;
  // One round for the last word, three to finish, and three more for the high word.
  const rounds = isWide ? 7 : 4;
  for (let round = 1; round <= rounds; round++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= lastWord;
    v2 ^= endMark;
    lastWord = 0;
    endMark = 0;
    if (round === 4 && isWide) {
      low = v1 ^ v3;
      v1 ^= 0xdd;
    }
  }
  const last = v1 ^ v3;
  return isWide ? (last & 0x1f_ffff) * 0x1_0000_0000 + (low >>> 0) : last;
}

/** Fractions and NaN would all become 0, and a hash without a secret. */
function keyWord(name: string, word: number): number {
  if ((word | 0) === word || word >>> 0 === word) return word | 0;
  throw new RangeError(`${name} must be a whole number of 32 bits, not ${String(word)}`);
}

function notText(value: unknown): TypeError {
  return new TypeError(`only text can be hashed, not ${typeof value}`);
}
