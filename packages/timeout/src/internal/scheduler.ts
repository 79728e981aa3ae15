/**
 * Joins the wheel, which knows ticks, to the clock, which knows milliseconds: rounding, the one wake-up, the round of callbacks.
 *
 * The wheel's ticks count from `origin`. When they grow large the wheel is rebased, so a process may run for years with small integers.
 */
import type { Clock, Wakeup } from '@ferrata/clock';
import type { Deadline } from '../deadline.ts';
import { TimerWheel, unfiled, type WheelEntry } from './timer-wheel.ts';

/**
 * The longest delay in ticks, and how far the wheel may come before it is rebased. The pending wake-up lies at most one longest delay
 * ahead of the wheel's time, so a tick is at most three times this, plus what a blocked loop adds: below 2^31, and unboxed, unless the
 * loop was blocked for as long again; and the wheel is right up to 2^32.
 */
export const maxDelayTicks = 0x2000_0000;
const rebaseAbove = maxDelayTicks;

/** `wakeTick` when no wake-up is pending: anything is earlier. */
const never = Infinity;
/** `wakeTick` during a round: nothing is earlier, since the round itself asks for the next wake-up at its end. */
const afterThisRound = -1;

export class Scheduler {
  readonly clock: Clock;
  readonly maxDelayMs: number;
  readonly #tickMs: number;
  readonly #wheel: TimerWheel<ScheduledDeadline>;
  readonly #onWake: () => void;
  /** The time of tick 0, a whole number of ticks. */
  #origin: number;
  /** The tick at which the pending wake-up comes. */
  #wakeTick = never;
  #wakeup: Wakeup | null = null;
  #isClosed = false;

  constructor(clock: Clock, tickMs: number) {
    this.clock = clock;
    this.maxDelayMs = maxDelayTicks * tickMs;
    this.#tickMs = tickMs;
    this.#wheel = new TimerWheel(() => new ScheduledDeadline(this, ignoreExpiry));
    this.#onWake = (): void => this.#runRound();
    this.#origin = Math.floor(clock.now() / tickMs) * tickMs;
  }

  get size(): number {
    return this.#wheel.size;
  }

  timeOf(tick: number): number {
    return this.#origin + tick * this.#tickMs;
  }

  arm(deadline: ScheduledDeadline, delayMs: number, now: number): void {
    if (!(delayMs >= 0 && delayMs <= this.maxDelayMs)) {
      throw new RangeError(`delayMs must be 0 to ${this.maxDelayMs}: ${String(delayMs)}`);
    }
    const wheel = this.#wheel;
    if (deadline.slot !== unfiled) wheel.unfile(deadline);
    if (this.#isClosed) return;
    if (wheel.size === 0) this.#catchUpIdleWheel(now);

    // A time given by the caller may lie behind the wheel's.
    deadline.tick = Math.max(this.#tickAtOrAfter(now + delayMs), wheel.elapsed);
    wheel.file(deadline);
    if (deadline.tick < this.#wakeTick) this.#wakeAt(deadline.tick);
  }

  cancel(deadline: ScheduledDeadline): void {
    if (deadline.slot !== unfiled) this.#wheel.unfile(deadline);
  }

  close(): void {
    this.#isClosed = true;
    this.#wheel.clear();
    this.#wakeup?.cancel();
    this.#wakeup = null;
  }

  #runRound(): void {
    const wheel = this.#wheel;
    this.#wakeup = null;
    this.#wakeTick = afterThisRound;
    try {
      const tick = this.#tickAtOrBefore(this.clock.now());
      if (tick >= wheel.elapsed) wheel.advance(tick);
      if (tick > rebaseAbove) this.#rebase(tick);
      this.#runDue();
    } finally {
      this.#wakeTick = never;
      const next = wheel.nextTick();
      if (next < never) this.#wakeAt(next);
    }
  }

  #runDue(): void {
    const thrown: unknown[] = [];
    for (let deadline = this.#wheel.takeDue(); deadline !== undefined; deadline = this.#wheel.takeDue()) {
      try {
        deadline.onExpire();
      } catch (error) {
        thrown.push(error);
      }
    }
    if (thrown.length === 1) throw thrown[0];
    if (thrown.length > 1) throw new AggregateError(thrown, `${thrown.length} deadlines threw`);
  }

  #wakeAt(tick: number): void {
    this.#wakeup?.cancel();
    this.#wakeTick = tick;
    this.#wakeup = this.clock.schedule(Math.max(0, this.timeOf(tick) - this.clock.now()), this.#onWake);
  }

  /** With nothing filed the wheel's time may be set freely: close behind `now`, deadlines are filed low and the numbers stay small. */
  #catchUpIdleWheel(now: number): void {
    const tick = this.#tickAtOrBefore(now);
    if (tick <= this.#wheel.elapsed) return;
    this.#wheel.elapsed = tick;
    if (tick > rebaseAbove) this.#rebase(tick);
  }

  /** @param ticks at most the wheel's `elapsed` */
  #rebase(ticks: number): void {
    this.#wheel.rebase(ticks);
    this.#origin += ticks * this.#tickMs;
    this.#wakeTick -= ticks;
  }

  /** Rounding in the division may fall on either side of a whole number: `timeOf` has the last word, so that "never early" is exact. */
  #tickAtOrAfter(time: number): number {
    const tick = Math.ceil((time - this.#origin) / this.#tickMs);
    return this.timeOf(tick) < time ? tick + 1 : tick;
  }

  /** The reverse of `timeOf` at every tick: else a wake-up that comes exactly in time would find nothing due, and be asked for again. */
  #tickAtOrBefore(time: number): number {
    const tick = Math.floor((time - this.#origin) / this.#tickMs);
    if (this.timeOf(tick) > time) return tick - 1;
    return this.timeOf(tick + 1) <= time ? tick + 1 : tick;
  }
}

/** A deadline and its place in the wheel. All fields are set here and keep their types: arming is on the hottest path of a connection. */
export class ScheduledDeadline implements Deadline, WheelEntry {
  next: WheelEntry = this;
  previous: WheelEntry = this;
  tick = 0;
  slot: number = unfiled;
  readonly onExpire: () => void;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, onExpire: () => void) {
    this.#scheduler = scheduler;
    this.onExpire = onExpire;
  }

  get isArmed(): boolean {
    return this.slot !== unfiled;
  }

  get expiresAt(): number {
    return this.slot === unfiled ? Infinity : this.#scheduler.timeOf(this.tick);
  }

  arm(delayMs: number, now: number = this.#scheduler.clock.now()): void {
    this.#scheduler.arm(this, delayMs, now);
  }

  cancel(): void {
    this.#scheduler.cancel(this);
  }
}

/** The callback of sentinels, which are never due. */
function ignoreExpiry(): void {}
