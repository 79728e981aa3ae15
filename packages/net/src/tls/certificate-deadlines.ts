/** Time-outs for what others answer: a function of the program, a file system. */
import type { Clock, Wakeup } from '@ferrata/clock';
import { scheduleDeadline } from '@ferrata/timeout';

/** Answers that are waited for, each for its time. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #pending = new Set<{ readonly wakeup: Wakeup; readonly fail: (error: Error) => void }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The answer, unless it takes longer.
   *
   * @param answer a promise, of whatever making (any object with a `then`), or the answer itself
   * @param who did not answer, for the message
   */
  within<T>(answer: T | PromiseLike<T>, timeoutMs: number, who: string): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const entry = {
        wakeup: scheduleDeadline(this.#clock, timeoutMs, () =>
          settle(() => reject(new Error(`no answer within ${timeoutMs} ms from ${who}`))),
        ),
        fail: (error: Error): void => settle(() => reject(error)),
      };
      const settle = (how: () => void): void => {
        this.#pending.delete(entry);
        entry.wakeup.cancel();
        how();
      };
      this.#pending.add(entry);
      Promise.resolve(answer).then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }

  /** Ends all waiting: what is waited for has failed. */
  cancelAll(why: string): void {
    // Each takes itself out, which a Set allows while it is gone through.
    for (const { fail } of this.#pending) fail(new Error(why));
  }
}
