/**
 * Sets of well-known field names: two machine words, so that a question about a whole set costs two bit operations.
 */
import type { KnownHeader } from './known-header.ts';

/** A set of well-known names; bit `id` of `low` for numbers below 32, bit `id - 32` of `high` for the others. */
export interface KnownHeaderSet {
  readonly low: number;
  readonly high: number;
}

/** Makes a set once, at the start of a program, to be used for every message. */
export function knownHeaderSet(...ids: readonly KnownHeader[]): KnownHeaderSet {
  let low = 0;
  let high = 0;
  for (const id of ids) {
    if (id < 32) low |= 1 << id;
    else high |= 1 << (id - 32);
  }
  return Object.freeze({ low, high });
}

/** Whether the set has this name; never, if `id` is 0. */
export function isInKnownHeaderSet(set: KnownHeaderSet, id: KnownHeader | 0): boolean {
  // A shift takes its count modulo 32.
  return (((id < 32 ? set.low : set.high) >>> id) & 1) !== 0;
}
