/**
 * Many deadlines on a shared wake-up of the clock.
 *
 * A protocol arms a deadline for nearly every message and cancels nearly all of them. A platform timer for each costs an object, a
 * place in a list and a lookup; a deadline here is made once per connection and armed again and again. Those that last are filed in a
 * timing wheel (`internal/timer-wheel.ts`); while arming is frequent, one that is cancelled at once never gets there
 * (`internal/scheduler.ts`).
 *
 * Rules:
 * - Time is cut into ticks, and a deadline is due at the first tick at or after its time: never early, up to one tick late, and later
 *   if the event loop is busy then.
 * - The time of many armings close together is taken once, when the event loop comes round: their delays begin then, a millisecond or two
 *   after the arming if the loop is free. If it was blocked in between, they begin after the block, and the deadlines are later by as much;
 *   a synchronous run of many armings takes the time every 32. A time given to `arm` holds as it is, and so does every arming while few
 *   are armed.
 * - Deadlines run by tick, and within a tick in the order of arming, once each, also after a long pause of the loop.
 * - After a block of the loop (a wake-up 10 ms late or more) the loop reads its input once before what passed in the block runs.
 * - One wake-up of the clock is pending for the next tick, and one more while deadlines wait for the time. Cancelling leaves them: the next
 *   arming uses them, or they lapse, and an idle queue asks for no other.
 * - A callback may do anything with any deadline, and with the queue. What it arms runs with a later wake-up, never in the same round.
 * - A callback that throws stops nobody: the round goes on, and then the error is thrown to the clock (several as an
 *   `AggregateError`). With `systemClock` that is an uncaught exception, as from `setTimeout`.
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber } from '@ferrata/error';
import type { Deadline } from './deadline.ts';
import { ScheduledDeadline, Scheduler } from './internal/scheduler.ts';

/** Shorter ticks than the clock's wake-ups can follow would only make the longest delay short. */
const minTickMs = 0.1;
/** A day: longer ticks would be a mistake. */
const maxTickMs = 86_400_000;

/** Options of a `DeadlineQueue`. */
export interface DeadlineQueueOptions {
  /** Where time and the wake-up come from. */
  readonly clock: Clock;
  /**
   * Milliseconds of a tick; default 10, 0.1 to a day. Smaller: deadlines come closer to their time, the clock wakes up more often, and
   * the longest delay is shorter.
   */
  readonly tickMs?: number;
}

/** A queue of deadlines that share one clock. Everything on a thread may share one queue. */
export class DeadlineQueue {
  readonly clock: Clock;
  /** The longest delay that can be armed: 2²⁹ ticks, 62 days with ticks of 10 ms. */
  readonly maxDelayMs: number;
  readonly #scheduler: Scheduler;

  /** @throws {RangeError} when `tickMs` is not 0.1 to a day */
  constructor(options: DeadlineQueueOptions) {
    const { clock, tickMs = 10 } = options;
    checkNumber('tickMs', tickMs, { min: minTickMs, max: maxTickMs });
    this.clock = clock;
    this.#scheduler = new Scheduler(clock, tickMs);
    this.maxDelayMs = this.#scheduler.maxDelayMs;
  }

  /** Deadlines that are armed. Counting those that wait for the time takes up to a microsecond. */
  get size(): number {
    return this.#scheduler.size;
  }

  /** The clock's monotonic time in milliseconds. */
  now(): number {
    return this.clock.now();
  }

  /**
   * Makes a deadline that isn't armed yet and may be armed as often as wanted.
   *
   * @param onExpire called once for each arming that isn't cancelled or moved in time; the deadline is no longer armed then
   */
  deadline(onExpire: () => void): Deadline {
    return new ScheduledDeadline(this.#scheduler, onExpire);
  }

  /** Makes a deadline and arms it. @throws {RangeError} when `delayMs` is not 0 to `maxDelayMs` */
  after(delayMs: number, onExpire: () => void): Deadline {
    const deadline = this.deadline(onExpire);
    deadline.arm(delayMs);
    return deadline;
  }

  /**
   * Settles as `promise` does, or rejects with `makeError()` if that takes longer than `delayMs`.
   *
   * The work behind the promise goes on; what it settles to afterwards is dropped, a rejection too. After `close()` there is no time
   * limit. A `delayMs` out of range rejects with the `RangeError`.
   */
  withTimeout<T>(promise: PromiseLike<T>, delayMs: number, makeError: () => Error): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const deadline = this.deadline(() => {
        try {
          reject(makeError());
        } catch (thrown) {
          reject(thrown);
        }
      });
      let isSettled = false;
      promise.then(
        (value) => {
          isSettled = true;
          deadline.cancel();
          resolve(value);
        },
        (reason: unknown) => {
          isSettled = true;
          deadline.cancel();
          reject(reason);
        },
      );
      // Last, and not if a thenable has settled at once: whatever throws here rejects, leaves no deadline, and no rejection unhandled.
      if (!isSettled) deadline.arm(delayMs);
    });
  }

  /** Cancels every deadline and the wake-up. From now on arming does nothing, so that connections may be torn down in any order. */
  close(): void {
    this.#scheduler.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
