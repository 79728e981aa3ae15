/**
 * Spreads a 32-bit integer over all 32-bit integers: a bijection in which each bit of the input moves about half of the output's.
 *
 * The constants are those of Chris Wellons' search for low bias ("lowbias32", bias 0.17). Not keyed: numbers that collide after a
 * modulus can be computed. For text of peers take `TextHasher`.
 *
 * @param value its low 32 bits count
 * @returns 0 to 2³² − 1
 */
export function mix32(value: number): number {
  let word = value | 0;
  word = Math.imul(word ^ (word >>> 16), 0x7feb_352d);
  word = Math.imul(word ^ (word >>> 15), 0x846c_a68b);
  return (word ^ (word >>> 16)) >>> 0;
}
