/** How many connections come in a second: two counters and two times, no timer. */

const intervalMs = 1_000;

/** Counts events in intervals of a second, and knows the count of the last whole one. */
export class AcceptRate {
  #startedAt: number;
  #count: number;
  #lastCount: number;

  constructor(now: number) {
    this.#startedAt = now;
    this.#count = 0;
    this.#lastCount = 0;
  }

  /** Counts one. @param now monotonic milliseconds */
  count(now: number): void {
    this.#turn(now);
    this.#count++;
  }

  /** Events in the last whole second. */
  perSecond(now: number): number {
    this.#turn(now);
    return this.#lastCount;
  }

  #turn(now: number): void {
    const passed = now - this.#startedAt;
    if (passed < intervalMs) return;
    this.#lastCount = passed < 2 * intervalMs ? this.#count : 0;
    this.#count = 0;
    this.#startedAt += Math.floor(passed / intervalMs) * intervalMs;
  }
}
