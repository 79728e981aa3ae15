/**
 * Joins the wheel, which knows ticks, to the clock, which knows milliseconds: rounding, the one wake-up, the round of callbacks.
 *
 * The wheel's ticks count from `origin`. When they grow large the wheel is rebased, so a process may run for years with small integers.
 */
import type { Clock, Wakeup } from '@ferrata/clock';
import type { Deadline } from '../deadline.ts';
import { largestTick, TimerWheel, unfiled, type WheelEntry } from './timer-wheel.ts';

/** The longest delay in ticks: a quarter of the wheel's range. */
export const maxDelayTicks = 0x2000_0000;
/** A wheel that has come this far is rebased. */
const rebaseAbove = 0x4000_0000;

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

    let tick = this.#tickAtOrAfter(now + delayMs);
    if (tick > largestTick) {
      this.#rebase(wheel.elapsed);
      tick = this.#tickAtOrAfter(now + delayMs);
    }
    // A time given by the caller may lie behind the wheel's.
    deadline.tick = Math.max(tick, wheel.elapsed);
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

  /** Rounding in the division may fall on either side: the comparison makes "never early" hold to the last bit. */
  #tickAtOrAfter(time: number): number {
    const tick = Math.ceil((time - this.#origin) / this.#tickMs);
    return this.timeOf(tick) < time ? tick + 1 : tick;
  }

  #tickAtOrBefore(time: number): number {
    const tick = Math.floor((time - this.#origin) / this.#tickMs);
    return this.timeOf(tick) > time ? tick - 1 : tick;
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
