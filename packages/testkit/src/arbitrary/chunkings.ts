/** Ways to cut bytes into chunks. */
import fc from 'fast-check';

/** The same bytes, whole and in pieces. */
export interface CutBytes {
  readonly bytes: Uint8Array;
  readonly chunks: readonly Uint8Array[];
}

/**
 * Sizes of pieces that together make `byteLength`: now and then one byte each or all in one, mostly a few cuts at places drawn. Shrinks to one
 * piece.
 */
export function chunkings(byteLength: number): fc.Arbitrary<readonly number[]> {
  if (byteLength < 2) return fc.constant(byteLength === 0 ? [] : [1]);
  const cuts = fc
    .uniqueArray(fc.integer({ min: 1, max: byteLength - 1 }), { maxLength: 12 })
    .map((places) => sizesBetween(places, byteLength));
  const even = fc.integer({ min: 1, max: Math.min(byteLength, 9) }).map((size) => evenSizes(size, byteLength));
  return fc.oneof({ weight: 4, arbitrary: cuts }, { weight: 1, arbitrary: even });
}

/** Bytes drawn, and cut. */
export function cutBytes(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<CutBytes> {
  return bytes.chain((whole) => chunkings(whole.byteLength).map((sizes) => ({ bytes: whole, chunks: cut(whole, sizes) })));
}

/** `bytes` in copies of these sizes; what is left over makes the last piece. Copies, so that a view kept too long shows. */
export function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= bytes.byteLength) break;
    chunks.push(copyOf(bytes.subarray(at, at + size)));
    at += size;
  }
  if (at < bytes.byteLength) chunks.push(copyOf(bytes.subarray(at)));
  return chunks;
}

/** A copy of its own memory, a Buffer of a Buffer: `slice` of that would be the same memory. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? Buffer.from(bytes) : bytes.slice();
}

function sizesBetween(places: readonly number[], byteLength: number): number[] {
  const sorted = [0, ...places.toSorted((a, b) => a - b), byteLength];
  return sorted.slice(1).map((place, i) => place - (sorted[i] ?? 0));
}

function evenSizes(size: number, byteLength: number): number[] {
  const sizes: number[] = new Array<number>(Math.floor(byteLength / size)).fill(size);
  const left = byteLength % size;
  return left === 0 ? sizes : [...sizes, left];
}
