/**
 * How often keys were written of late: a count-min sketch of 8-bit counters that saturate, and are halved from time to time (Cormode and
 * Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications", 2005; Einziger, Friedman and Manes, "TinyLFU:
 * a highly efficient cache admission policy", 2017).
 *
 * A key has four counters. Others may share each of them, so each is at least the key's count, and the least of the four is the estimate.
 * The four lie in one block of 64 bytes, to be fetched together, each in a quarter of its own (as in Caffeine's sketch):
 * ```
 *              block: low bits of the hash                                                    place in each quarter: 4 bits
 *   … │ . . 3 . . . . . . . . . . 1 . . │ . . . 7 . . . . . . 2 . . . . . │ … │ … │ …         of another mix of the hash
 *       quarter 0                         quarter 1                         2   3
 * ```
 */
import { mix32 } from '@ferrata/hash';

const highestCounter = 0xff;
const blockBytes = 64;
const quarterBytes = 16;

/** Estimates the recent frequency of keys, given as hashes. */
export class FrequencySketch {
  readonly #counters: Uint8Array;
  /** The counters by fours, for halving. */
  readonly #words: Uint32Array;
  readonly #blockMask: number;
  readonly #incrementsPerAge: number;
  #increments = 0;

  /**
   * @param counters least number of counters, each a byte; rounded up to a power of two
   * @param incrementsPerAge how many increments there are between halvings
   */
  constructor(counters: number, incrementsPerAge: number) {
    const blocks = 2 ** Math.ceil(Math.log2(Math.max(1, counters / blockBytes)));
    this.#counters = new Uint8Array(blocks * blockBytes);
    this.#words = new Uint32Array(this.#counters.buffer);
    this.#blockMask = blocks - 1;
    this.#incrementsPerAge = incrementsPerAge;
  }

  /** Counts a key once. @returns its estimate, this time included: 1 to 255 */
  increment(hash: number): number {
    if (this.#increments === this.#incrementsPerAge) this.#age();
    this.#increments++;
    const counters = this.#counters;
    const start = (hash & this.#blockMask) * blockBytes;
    let places = mix32(hash) | 0;
    let least = highestCounter;
    for (let quarter = start; quarter < start + blockBytes; quarter += quarterBytes) {
      const at = quarter + (places & 0xf);
      const counter = counters[at] as number;
      if (counter < highestCounter) {
        counters[at] = counter + 1;
        if (counter + 1 < least) least = counter + 1;
      }
      places >>>= 8;
    }
    return least;
  }

  /** Estimates how often a key was counted, halvings included: never too few. @returns 0 to 255 */
  estimate(hash: number): number {
    const counters = this.#counters;
    const start = (hash & this.#blockMask) * blockBytes;
    let places = mix32(hash) | 0;
    let least = highestCounter;
    for (let quarter = start; quarter < start + blockBytes; quarter += quarterBytes) {
      const counter = counters[quarter + (places & 0xf)] as number;
      if (counter < least) least = counter;
      places >>>= 8;
    }
    return least;
  }

  /** Forgets everything. */
  clear(): void {
    this.#counters.fill(0);
    this.#increments = 0;
  }

  /** Halves all counters, four in a step: the bit that each would shift into its neighbour is masked out. */
  #age(): void {
    const words = this.#words;
    for (let index = 0; index < words.length; index++) words[index] = ((words[index] as number) >>> 1) & 0x7f7f_7f7f;
    this.#increments = 0;
  }
}
