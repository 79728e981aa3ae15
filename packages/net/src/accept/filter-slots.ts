/**
 * How many filters may take their time at once; the same for any callback that decides by a promise about what strangers begin.
 *
 * A slot is held until the promise settles, also when nobody waits for it any more: what it has begun (a look-up, a request) runs on, and
 * that is what the number bounds. One that never settles would close the listener for good when it has happened often enough, so a slot is taken
 * back after a while all the same.
 */

/** After how many time-outs a promise that has not settled is taken for one that never will. */
const timeoutsUntilLost = 10;

/** Slots for the promises of one callback. `Owner` is what each of them decides about. */
export class FilterSlots<Owner extends object> {
  readonly #max: number;
  readonly #lostAfterMs: number;
  #count = 0;
  /** Those that nobody waits for any more, and when they are lost; in this order, as the time-out is the same for all. */
  readonly #givenUp = new Map<Owner, number>();

  /** @param timeoutMs for how long an answer is waited for */
  constructor(max: number, timeoutMs: number) {
    this.#max = max;
    this.#lostAfterMs = (timeoutsUntilLost - 1) * timeoutMs;
  }

  /** Slots that are held. */
  get count(): number {
    return this.#count;
  }

  /** Whether the callback may not be asked now. @param now monotonic milliseconds */
  isFull(now: number): boolean {
    if (this.#count < this.#max) return false;
    for (const [owner, lostAt] of this.#givenUp) {
      if (lostAt > now) break;
      this.#givenUp.delete(owner);
      this.#count--;
    }
    return this.#count >= this.#max;
  }

  /** Its promise is waited for. */
  take(): void {
    this.#count++;
  }

  /** Nobody waits for the promise any more. */
  giveUp(owner: Owner, now: number): void {
    this.#givenUp.set(owner, now + this.#lostAfterMs);
  }

  /** The promise has settled. @param wasGivenUp `giveUp` came before */
  settle(owner: Owner, wasGivenUp: boolean): void {
    if (!wasGivenUp || this.#givenUp.delete(owner)) this.#count--;
  }
}
