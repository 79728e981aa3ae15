/** How many pings and pongs a peer may send: a bucket of tokens that fills with time. */
import type { ResolvedWebSocketOptions } from '../options.ts';

export class ControlBudget {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: number;

  constructor(options: ResolvedWebSocketOptions, now: number) {
    this.#perMs = options.maxControlFramesPerSecond / 1000;
    this.#burst = options.maxControlFrameBurst;
    this.#tokens = this.#burst;
    this.#filledAt = now;
  }

  /** @returns false if the peer has spent all */
  take(now: number): boolean {
    if (now > this.#filledAt) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perMs);
      this.#filledAt = now;
    }
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
