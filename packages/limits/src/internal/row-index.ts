/**
 * Where a key falls in each row of a sketch, from one hash of 53 bits.
 *
 * Each row multiplies the two parts of the hash by odd numbers of its own and takes the high bits (multiply-shift: Dietzfelbinger and
 * others, "A reliable randomized algorithm for the closest-pair problem", 1997). Double hashing (Kirsch and Mitzenmacher, "Less Hashing,
 * Same Performance", 2006) is cheaper by 1 ns a row, but two keys that meet in two rows then meet in all; here each row meets by
 * its own chance. Mixing the hash anew for each row costs three times as much.
 */
import { mix32 } from '@ferrata/hash';

/** The most rows that a sketch has. */
export const mostRows = 16;

/** Two for each row. They need not be secret: the hash is. */
const multipliers = /* @__PURE__ */ Int32Array.from({ length: 2 * mostRows }, (_, index) => mix32(index + 1) | 1);

/**
 * The column of a key in one row.
 *
 * The hash is split by the caller, once for all rows: numbers above 2³² cost more than all the rest of this.
 *
 * @param low the low 32 bits of the hash, signed
 * @param high its high bits
 * @param mask the number of columns, a power of two, less one
 */
export function columnOf(low: number, high: number, row: number, mask: number): number {
  const word = Math.imul(low, multipliers[2 * row] as number) + Math.imul(high, multipliers[2 * row + 1] as number);
  // A single column has no bits to take, and then the mask decides.
  return (word >>> Math.clz32(mask)) & mask;
}

/** The high bits of a hash, 0 to 2²¹ − 1. */
export function highBitsOf(hash: number): number {
  return (hash / 0x1_0000_0000) | 0;
}
