/** Waiting for something to become so, which many different events may bring about. */
import type { Clock } from '@ferrata/clock';

/** Whoever changes something says `changed`; whoever waits says what for. */
export class TurningPoints {
  readonly #clock: Clock;
  readonly #waiters = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something is another way now: looks whether anybody has waited for it. */
  changed(): void {
    for (const look of this.#waiters) look();
  }

  /**
   * Waits until it is so; it may be so already.
   *
   * @param limitMs `Infinity`: waits for ever
   * @returns false if it did not come to be in time
   */
  until(isSo: () => boolean, limitMs: number): Promise<boolean> {
    if (isSo()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (isDone: boolean): void => {
        this.#waiters.delete(look);
        timeout?.cancel();
        resolve(isDone);
      };
      const look = (): void => {
        if (isSo()) finish(true);
      };
      const timeout = limitMs === Infinity ? null : this.#clock.schedule(limitMs, () => finish(false));
      this.#waiters.add(look);
    });
  }
}
