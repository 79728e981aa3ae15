/**
 * Random numbers that repeat: one seed, one sequence, on every platform and in every version of this package.
 *
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state with a counter, so no period is shorter than 2³² words.
 * It is for tests, simulations and jitter, not for secrets.
 */
import { type Random, randomFromWords } from './random.ts';

/**
 * Makes a repeatable source of random numbers.
 *
 * @param seed any safe integer; all its bits count
 * @throws {RangeError} when `seed` is not a safe integer
 */
export function seededRandom(seed: number): Random {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`seed must be a safe integer: ${String(seed)}`);
  let a = Math.floor(seed / 0x1_0000_0000) | 0;
  let b = seed | 0;
  let c = 0x9e37_79b9 | 0;
  let counter = 1;

  const uint32 = (): number => {
    const word = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + word) | 0;
    return word >>> 0;
  };

  // The author's own number of rounds until neighbouring seeds have nothing in common.
  for (let round = 0; round < 15; round++) uint32();
  return randomFromWords(uint32);
}
