/**
 * Token buckets of 64 bits each, which any number of threads take from: the generic cell rate algorithm in one atomic operation.
 *
 * ```
 *   bit 63            bits 52 or 44                                        0        now                    now + window
 *       ┌─────────────┬────────────────────────────────────────────────────┐         ├───────── ahead ───┐      │
 *       │ tag         │ theoretical arrival time, in ticks                 │   ──────┼───────────────────┼──────┼──▶
 *       └─────────────┴────────────────────────────────────────────────────┘       full                arrival  empty
 * ```
 * A bucket is one time: when it will be full again (ITU-T I.371, annex A: the theoretical arrival time). What lies between now and then is
 * what was taken; taking moves it on by so many tokens, and is allowed while it stays within the window, which is the burst. There is
 * nothing to refill, so nothing to run in the background, and a jump of the clock forward fills a bucket at most.
 *
 * - A token is a whole power of two of ticks, so rates are exact; time is rounded down to ticks.
 * - Ticks come round after years. What lies less than a quarter of that ahead is ahead, anything else is over.
 * - An arrival time only ever grows, so a comparison that still finds the word it read finds nothing changed in between. That, and the next
 *   rule, hold while no clock goes back by more than that quarter.
 * - A clock that goes back finds the arrival further ahead: it admits less, never more.
 */

import { checkTime } from '../options.ts';
import { highHalf, lowHalf } from './halves.ts';

/** How a rate and a burst are counted in ticks. */
export interface TickPlan {
  /** Bits of an arrival time; the others are the tag. */
  readonly timeBits: number;
  readonly ticksPerToken: number;
  readonly ticksPerMs: number;
  /** How far ahead an arrival may be. */
  readonly windowTicks: number;
}

/**
 * Checks that a burst comes back within the longest window.
 *
 * @throws {RangeError} when it doesn't
 */
export function checkWindow(name: string, tokens: number, tokensPerMs: number): void {
  if (tokens / tokensPerMs <= longestWindowMs) return;
  throw new RangeError(
    `${name} must come back within ${longestWindowMs} ms, at this rate at most ${longestWindowMs * tokensPerMs}, not ${tokens}`,
  );
}

/** What came of taking from a word. */
export const Taking = { refused: 0, admitted: 1, otherTag: 2 } as const;
export type Taking = (typeof Taking)[keyof typeof Taking];

/** Bits of a bucket that stands alone, and of one that shares its word with a tag. */
export const aloneTimeBits = 52;
export const taggedTimeBits = 44;

/** The longest window: arrivals within it are a sixteenth of the way round at most. */
export const longestWindowMs = 2 ** 32;
/** The most ticks in a millisecond, as powers of two; the coarser ones of `usual` are taken where a token has at least one of them. */
const finest = { [aloneTimeBits]: 16, [taggedTimeBits]: 7 } as const;
/** Ticks of 1 µs and 16 µs at most: a quarter of the way round takes 17 years and 1 year. */
const usual = { [aloneTimeBits]: 11, [taggedTimeBits]: 7 } as const;

/** The most tokens a millisecond that ticks can tell apart. */
export function largestRatePerMs(timeBits: keyof typeof finest): number {
  return 2 ** finest[timeBits];
}

/** Chooses ticks, a power of two to the token. */
export function planTicks(timeBits: keyof typeof finest, tokensPerMs: number, windowTokens: number): TickPlan {
  const ticksPerToken = 2 ** Math.max(0, Math.floor(Math.log2(2 ** usual[timeBits] / tokensPerMs)));
  return { timeBits, ticksPerToken, ticksPerMs: tokensPerMs * ticksPerToken, windowTicks: Math.floor(windowTokens * ticksPerToken) };
}

/** Arrival times in memory. */
export class ArrivalWords {
  readonly #words: BigInt64Array;
  readonly #ticksPerMs: number;
  readonly #windowTicks: number;
  readonly #modulus: number;
  readonly #highModulus: number;
  /** A word in its making, as one number and as two. */
  readonly #word: BigInt64Array;
  readonly #halves: Int32Array;

  constructor(words: BigInt64Array, plan: TickPlan) {
    this.#words = words;
    this.#ticksPerMs = plan.ticksPerMs;
    this.#windowTicks = plan.windowTicks;
    this.#modulus = 2 ** plan.timeBits;
    this.#highModulus = 2 ** (plan.timeBits - 32);
    this.#word = new BigInt64Array(1);
    this.#halves = new Int32Array(this.#word.buffer);
  }

  /** A time in ticks. @throws {RangeError} when it is not a time */
  ticksAt(now: number): number {
    checkTime(now);
    const ticks = Math.floor(now * this.#ticksPerMs);
    const modulus = this.#modulus;
    return ticks >= 0 && ticks < modulus ? ticks : ticks - Math.floor(ticks / modulus) * modulus;
  }

  /** Milliseconds from a time until so many ticks have passed: who waits exactly so long isn't early by a rounded digit. */
  waitMs(ticks: number, now: number): number {
    if (ticks <= 0) return 0;
    const target = Math.floor(now * this.#ticksPerMs) + ticks;
    let wait = target / this.#ticksPerMs - now;
    for (let step = 1 / this.#ticksPerMs; Math.floor((now + wait) * this.#ticksPerMs) < target; step *= 2) wait += step;
    return wait;
  }

  /** The later of two times in ticks. */
  laterOf(ticks: number, other: number): number {
    return this.ticksUntil(ticks, other) > 0 ? other : ticks;
  }

  /** The word of a bucket that is full. */
  fullWord(tag: number, ticks: number): bigint {
    return this.#pack(tag * this.#highModulus, ticks);
  }

  /** How far ahead of a time a word's arrival is; 0 for a full bucket. */
  aheadOf(word: bigint, ticks: number): number {
    return this.ticksUntil(ticks, this.#arrivalIn(word));
  }

  /** How far a time is ahead of another; 0 for one that is over. */
  ticksUntil(ticks: number, other: number): number {
    const ahead = other - ticks;
    const positive = ahead < 0 ? ahead + this.#modulus : ahead;
    return positive < this.#modulus / 4 ? positive : 0;
  }

  /** The tag of a word that was read. */
  tagOf(word: bigint): number {
    this.#word[0] = word;
    return Math.floor(((this.#halves[highHalf] as number) >>> 0) / this.#highModulus);
  }

  /** Takes from a bucket that has room. @returns `otherTag` when the word is another one's by now */
  take(index: number, tag: number, cost: number, ticks: number): Taking {
    const words = this.#words;
    // One atomic load: only those are sure not to see one half from before and the other from after another thread's change.
    let word = Atomics.load(words, index);
    for (;;) {
      if (this.tagOf(word) !== tag) return Taking.otherTag;
      const ahead = this.aheadOf(word, ticks) + cost;
      if (ahead > this.#windowTicks) return Taking.refused;
      const arrival = ticks + ahead;
      const next = this.#pack(tag * this.#highModulus, arrival < this.#modulus ? arrival : arrival - this.#modulus);
      const found = Atomics.compareExchange(words, index, word, next);
      if (found === word) return Taking.admitted;
      word = found;
    }
  }

  #arrivalIn(word: bigint): number {
    this.#word[0] = word;
    const high = (this.#halves[highHalf] as number) & (this.#highModulus - 1);
    return high * 0x1_0000_0000 + ((this.#halves[lowHalf] as number) >>> 0);
  }

  #pack(tagPart: number, arrival: number): bigint {
    this.#halves[highHalf] = tagPart + Math.floor(arrival / 0x1_0000_0000);
    this.#halves[lowHalf] = arrival;
    return this.#word[0] as bigint;
  }
}
