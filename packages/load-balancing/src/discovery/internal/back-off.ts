/**
 * Pauses that grow: each failure doubles the next one, up to a longest.
 *
 * A pause is drawn between half of its length and the whole: a registry that comes back is not asked by everybody at once.
 */
import type { Random } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';

/** The first pause and the longest, in milliseconds. */
export interface BackOffRange {
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
}

/** The longest pause that can be asked for: a day. */
const MAX_MS = 86_400_000;

/** @throws {RangeError} when a pause is no whole number from 1 to a day, or the longest is below the first */
export function checkBackOff(minRetryMs: number, maxRetryMs: number): BackOffRange {
  checkWholeNumber('minRetryMs', minRetryMs, { min: 1, max: MAX_MS });
  return { minRetryMs, maxRetryMs: checkWholeNumber('maxRetryMs', maxRetryMs, { min: minRetryMs, max: MAX_MS }) };
}

/** The pauses of one thing that is tried again and again. */
export class BackOff {
  /** The last pause; 0 before the first. */
  lastMs = 0;
  readonly #range: BackOffRange;
  readonly #random: Random;
  #nextMs: number;

  constructor(range: BackOffRange, random: Random) {
    this.#range = range;
    this.#random = random;
    this.#nextMs = range.minRetryMs;
  }

  /** @returns the pause before the next try, in milliseconds */
  next(): number {
    const wholeMs = this.#nextMs;
    this.#nextMs = Math.min(wholeMs * 2, this.#range.maxRetryMs);
    this.lastMs = wholeMs * (0.5 + this.#random.next() / 2);
    return this.lastMs;
  }

  /** It went well: the next failure begins anew. */
  reset(): void {
    this.lastMs = 0;
    this.#nextMs = this.#range.minRetryMs;
  }
}
