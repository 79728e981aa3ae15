/** One bucket in memory: what `TokenBucket` and `Gcra` have in common. */
import type { Clock } from '@ferrata/clock';
import { ArrivalWords, Taking, type TickPlan } from './arrival-words.ts';
import { headerBytes } from './region.ts';

/** Bytes of one bucket: a line of the processor's cache, so that no other structure's use slows it down. */
export const singleBucketBytes = 64;

/** A bucket, in ticks. */
export class SingleBucket {
  readonly #words: BigInt64Array;
  readonly #arrivals: ArrivalWords;
  readonly #windowTicks: number;

  constructor(buffer: SharedArrayBuffer | ArrayBuffer, plan: TickPlan) {
    this.#words = new BigInt64Array(buffer, headerBytes, 1);
    this.#arrivals = new ArrivalWords(this.#words, plan);
    this.#windowTicks = plan.windowTicks;
  }

  /** Fills it; only before others have the memory. */
  begin(clock: Clock): void {
    Atomics.store(this.#words, 0, this.#arrivals.fullWord(0, this.#arrivals.ticksAt(clock.now())));
  }

  /** Takes so many ticks. @returns false if there is no room */
  take(ticks: number, now: number): boolean {
    return this.#arrivals.take(0, 0, ticks, this.#arrivals.ticksAt(now)) === Taking.admitted;
  }

  /** Ticks that may be taken at once. */
  room(now: number): number {
    return Math.max(0, this.#windowTicks - this.#ahead(now));
  }

  /** Milliseconds until so many ticks may be taken. */
  waitMs(ticks: number, now: number): number {
    return this.#arrivals.waitMs(this.#ahead(now) + ticks - this.#windowTicks, now);
  }

  /** Milliseconds until it is full. */
  fullInMs(now: number): number {
    return this.#arrivals.waitMs(this.#ahead(now), now);
  }

  #ahead(now: number): number {
    return this.#arrivals.aheadOf(Atomics.load(this.#words, 0), this.#arrivals.ticksAt(now));
  }
}
