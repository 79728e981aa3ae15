/** Chance as a value to inject: the same code draws from the platform in production and from a seed in a test. */

/** A source of random numbers. */
export interface Random {
  /** A number from 0 (included) to 1 (excluded), with 53 random bits. */
  next(): number;
  /** A whole number from 0 to 2³² − 1. */
  uint32(): number;
  /**
   * A whole number from 0 (included) to `bound` (excluded), each equally likely.
   *
   * @param bound a whole number from 1 to 2³²
   * @throws {RangeError} when `bound` is anything else
   */
  below(bound: number): number;
}

const twoTo32 = 0x1_0000_0000;

/** Derives the other two draws from 32-bit words, so that every source maps words to numbers in the same way. */
export function randomFromWords(uint32: () => number): Random {
  return {
    uint32,
    next(): number {
      // 27 high bits of one word and 26 of another make the 53 bits of a double's fraction.
      const high = uint32() >>> 5;
      const low = uint32() >>> 6;
      return (high * 0x400_0000 + low) / 0x20_0000_0000_0000;
    },
    below(bound: number): number {
      if (!Number.isInteger(bound) || bound < 1 || bound > twoTo32) {
        throw new RangeError(`bound must be a whole number from 1 to 2^32: ${String(bound)}`);
      }
      // A plain remainder would favour small numbers: words from the incomplete last stretch are drawn again (less than one in two).
      const fair = twoTo32 - (twoTo32 % bound);
      let word = uint32();
      while (word >= fair) word = uint32();
      return word % bound;
    },
  };
}
