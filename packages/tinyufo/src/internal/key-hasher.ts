/**
 * A keyed hash of keys that are texts or numbers, to 32 bits.
 *
 * Texts go through HalfSipHash. Numbers go through two rounds of a mixer with a secret word before each: weaker, but far from what
 * somebody who sees only hits and misses could invert. Numbers that a `Map` holds equal (0 and −0, one NaN and another) hash alike.
 */
import type { Random } from '@ferrata/clock';
import { mix32, TextHasher } from '@ferrata/hash';

/** Makes a hash with a key of its own. @returns a function from a key to a 32-bit integer */
export function keyHasher(random: Random): (key: string | number) => number {
  const k0 = random.uint32();
  const k1 = random.uint32();
  const texts = new TextHasher({ k0, k1 });
  const double = new Float64Array(1);
  const words = new Uint32Array(double.buffer);
  return (key) => {
    if (typeof key === 'string') return texts.hash32(key);
    // Small whole numbers, −0 among them, need no look at their bits.
    if ((key | 0) === key) return mix32(mix32(key ^ k0) ^ k1);
    // There are many NaNs in bits, but one among keys.
    double[0] = Number.isNaN(key) ? Number.NaN : key;
    const [low = 0, high = 0] = words;
    return mix32(mix32(low ^ k0) ^ high ^ k1);
  };
}
