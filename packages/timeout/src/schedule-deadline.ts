/** A deadline on a clock of its own, for the program that has just one, and no `DeadlineQueue` to share. */
import type { Clock, Wakeup } from '@ferrata/clock';
import { isLate, stepBackMs } from './internal/late-rounds.ts';

/**
 * Runs a callback once, at `delayMs` from now, never early. As a queue does, it lets the loop read its input first if it stood still meanwhile: where the wake-up comes
 * 10 ms late or more, the callback waits until the loop has come round once more, and for an eighth of the lateness (500 ms at most), unless it is cancelled before.
 *
 * It costs a wake-up of the clock, some 500 ns; many deadlines belong on a `DeadlineQueue`, which is 38 KB and then all but free.
 *
 * @param onExpire what it throws goes to the clock
 * @throws {RangeError} if the delay is not a number from 0 on
 */
export function scheduleDeadline(clock: Clock, delayMs: number, onExpire: () => void): Wakeup {
  return new LoneDeadline(clock, delayMs, onExpire);
}

class LoneDeadline implements Wakeup {
  #wakeup: Wakeup;

  constructor(clock: Clock, delayMs: number, onExpire: () => void) {
    const dueAt = clock.now() + delayMs;
    this.#wakeup = clock.schedule(delayMs, () => {
      const lateness = clock.now() - dueAt;
      if (isLate(lateness)) this.#wakeup = clock.schedule(stepBackMs(lateness), onExpire);
      else onExpire();
    });
  }

  cancel(): void {
    this.#wakeup.cancel();
  }
}
