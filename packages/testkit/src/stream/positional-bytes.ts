/**
 * Bytes that know their place: the byte at an offset follows from the offset and a seed, so a lost, doubled or swapped byte shows wherever
 * it happens, without keeping what was sent.
 */

/** The byte at `offset` of the endless sequence of `seed`. */
export function positionalByte(offset: number, seed = 0): number {
  let x = Math.imul(offset + 1, 0x9e37_79b1) ^ Math.imul(seed + 1, 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b_3c6d);
  return (x ^ (x >>> 13)) & 0xff;
}

/** `byteLength` bytes of the sequence of `seed`, from `offset` on. */
export function positionalBytes(byteLength: number, seed = 0, offset = 0): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (let i = 0; i < byteLength; i++) bytes[i] = positionalByte(offset + i, seed);
  return bytes;
}

/** The first index at which `bytes` leaves the sequence of `seed` begun at `offset`; -1 if it follows it throughout. */
export function firstMisplacedByte(bytes: Uint8Array, seed = 0, offset = 0): number {
  for (let i = 0; i < bytes.byteLength; i++) if (bytes[i] !== positionalByte(offset + i, seed)) return i;
  return -1;
}
