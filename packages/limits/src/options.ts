/** Options that several structures have in common, and the checks of their parameters. */
import type { Clock, Random } from '@ferrata/clock';
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { mostRows } from './internal/row-index.ts';

/** Where a structure's memory comes from. */
export interface MemoryOptions {
  /**
   * The `memory` of a structure of the same class, on whatever thread: both are then one. Parameters come from the memory, and one that
   * is given too has to agree, so the same line makes the structure on the main thread and joins it in workers. Default: memory of its
   * own, on a `SharedArrayBuffer` where the realm has those.
   */
  readonly memory?: SharedArrayBuffer | undefined;
}

/** Options of structures that hash keys. */
export interface KeyedOptions extends MemoryOptions {
  /**
   * Draws the key of the hash, for new memory only; default `systemRandom`. Who can foresee it can choose keys that fall together, so a
   * seed is for tests.
   */
  readonly random?: Random;
}

/** Options of a count-min sketch. */
export interface SketchOptions extends KeyedOptions {
  /** Rows, each with a hash of its own: 1 to 16. The estimate is off by more than expected with a chance of e^−hashes; each row costs some 15 ns. */
  readonly hashes?: number;
  /** Counters in a row: 1 to 2²⁴, rounded up to a power of two. The error is expected to stay below e ÷ slots of all counts together. */
  readonly slots?: number;
}

/** Joins memory that another thread has made, with nothing but a clock. */
export interface JoinOptions {
  readonly memory: SharedArrayBuffer;
  /** Its `now()` must have the same origin on all threads; `systemClock`'s has. */
  readonly clock: Clock;
}

/** The times that are understood: to 285 000 years from the clock's origin, so that a millisecond is always there. */
const furthestTime = Number.MAX_SAFE_INTEGER;

/** How many events one call may count. */
export const largestStep = 0x7fff_ffff;
/** The most rows and columns of a sketch. */
export const mostHashes = mostRows;
export const mostSlots = 0x100_0000;

/** Checks the parameters of a sketch. */
export const sketchParameters = {
  hashes: (value: number): number => checkWholeNumber('hashes', value, { min: 1, max: mostHashes }),
  slots: (value: number): number => powerOfTwoFrom(checkWholeNumber('slots', value, { min: 1, max: mostSlots })),
} as const;

/** Checks how many events a call counts. @throws {RangeError} when it isn't a whole number from 0 to 2³¹ − 1 */
export function checkStep(name: string, by: number): void {
  if ((by | 0) === by && by >= 0) return;
  checkWholeNumber(name, by, { max: largestStep });
}

/** Checks how many tokens or events are taken at once. @throws {RangeError} when it isn't a whole number, 0 or more */
export function checkCount(count: number): void {
  if ((count | 0) === count && count >= 0) return;
  checkWholeNumber('count', count);
}

/**
 * Checks a time: NaN and infinities would stay in shared memory, for all threads.
 *
 * @throws {RangeError} when it isn't a number from −2⁵³ + 1 to 2⁵³ − 1
 */
export function checkTime(now: number): void {
  if (now >= -furthestTime && now <= furthestTime) return;
  checkNumber('now', now, { min: -furthestTime, max: furthestTime });
}

/** The least power of two that is at least so much. */
export function powerOfTwoFrom(value: number): number {
  return value <= 1 ? 1 : 2 ** (32 - Math.clz32(value - 1));
}
