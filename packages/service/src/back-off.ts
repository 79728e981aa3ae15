/** How long to wait before something that died is started again: longer each time, and short again after a while without deaths. */
import { type Clock, systemClock } from '@ferrata/clock';
import { checkNumber } from '@ferrata/error';

/** Times in milliseconds. */
export interface BackOffOptions {
  /** The first delay. */
  readonly firstMs: number;
  /** The longest one. */
  readonly maxMs: number;
  /** After so long without a death, counted from the end of the last delay, the first delay comes again. Default 60 000. */
  readonly quietMs?: number;
  readonly clock?: Clock;
}

/** The delays of one thing that is started again and again: `firstMs`, doubled each time, `maxMs` at most. */
export class BackOff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #quietMs: number;
  readonly #clock: Clock;
  #lastMs = 0;
  #startedAgainAt = -Infinity;

  constructor(options: BackOffOptions) {
    this.#firstMs = checkNumber('firstMs', options.firstMs, { min: 0 });
    this.#maxMs = checkNumber('maxMs', options.maxMs, { min: options.firstMs });
    this.#quietMs = checkNumber('quietMs', options.quietMs ?? 60_000, { min: 0 });
    this.#clock = options.clock ?? systemClock;
  }

  /** It has died. @returns milliseconds to wait before it is started again */
  nextDelayMs(): number {
    const now = this.#clock.now();
    const isQuiet = now - this.#startedAgainAt >= this.#quietMs;
    // From 0 there is nothing to double: the second delay is then 1 ms.
    this.#lastMs = isQuiet ? this.#firstMs : Math.min(this.#maxMs, Math.max(1, this.#lastMs * 2));
    this.#startedAgainAt = now + this.#lastMs;
    return this.#lastMs;
  }
}
