/**
 * Joins the wheel, which knows ticks, to the clock, which knows milliseconds: rounding, the wake-ups, the round of callbacks.
 *
 * ```
 *               rare: the clock is read, the tick is known
 *   arm ──┬──────────────────────────────────────────────────▶ wheel ──▶ due ──▶ onExpire
 *         │                                                      ▲
 *         └─▶ intake ────────────────────────────────────────────┘
 *   frequent    at the stamping wake-up, with one reading for all that are still armed
 * ```
 * Reading the clock costs several times what an arming costs otherwise, and nearly all deadlines are cancelled or moved soon. So when
 * arming is frequent, a deadline waits in the intake, and a wake-up that comes as soon as the event loop gets to it takes the time for
 * all. That time is no earlier than any arming it stands for: nothing is early. It is later by as long as the program goes on before the
 * loop comes round, and nothing tells how much of that passed before the arming: only a reading after an arming bounds its time from
 * above. So where much is armed without the loop coming round, the clock is read now and then (`markEvery`). When arming is rare, the
 * wake-up would cost more than the readings it saves. So readings are counted, and wake-ups too; neither path needs a setting.
 *
 * The intake is emptied before anything else looks at ticks (a round, `expiresAt`), and nothing is filed past it: the order in which
 * deadlines are filed is always the order of arming.
 *
 * A round that comes late steps back (`#horizon`; see `late-rounds.ts`): a deadline runs when the loop has come round once more since its time, or if the round
 * was in time.
 *
 * ```
 *    tick ─────── block ──────── late round ── input is read, and cancels or moves ── second round: what is still due runs
 * ```
 *
 * The wheel's ticks count from `origin`. When they grow large the wheel is rebased, so a process may run for years with small integers.
 */
import type { Clock, Wakeup } from '@ferrata/clock';
import { checkNumber, throwCollected } from '@ferrata/error';
import type { Deadline } from '../deadline.ts';
import { Intake, intakeCapacity, markEvery } from './intake.ts';
import { isLate, stepBackMs } from './late-rounds.ts';
import { TimerWheel, unfiled, type WheelEntry } from './timer-wheel.ts';

/**
 * The longest delay in ticks, and how far the wheel may come before it is rebased. The pending wake-up lies at most one longest delay
 * ahead of the wheel's time, so a tick is at most three times this, plus what a blocked loop adds: below 2^31, and unboxed, unless the
 * loop was blocked for as long again; and the wheel is right up to 2^32.
 */
export const maxDelayTicks = 0x2000_0000;
const rebaseAbove = maxDelayTicks;
/** Ticks to which nothing can come by right, so that a time beyond them was given by mistake: the three above and one longest delay more. */
const farthestTick = 4 * maxDelayTicks;

/** `wakeTick` when no wake-up is pending: anything is earlier. */
const never = Infinity;
/** `wakeTick` during a round: nothing is earlier, since the round itself asks for the next wake-up at its end. So too until a round that has stepped back. */
const afterThisRound = -1;

/**
 * Armings within `stampingMs` from which they count as frequent. Measured, a wake-up asked for and come costs 10 to 20 readings of the
 * clock (0.5 to 0.8 µs, 40 ns): at twice as many the change pays, also for those that are filed after all.
 */
const frequentCount = 32;
/** How soon platforms come back to a program that asks for it: what armings have to be frequent within. */
const stampingMs = 1;

export class Scheduler {
  readonly clock: Clock;
  readonly maxDelayMs: number;
  readonly #tickMs: number;
  /** `farthestTick` in milliseconds after tick 0. */
  readonly #farthestMs: number;
  readonly #wheel: TimerWheel<ScheduledDeadline>;
  /** Open to deadlines alone: cancelling is as short as arming. */
  readonly intake: Intake<ScheduledDeadline>;
  readonly #onWake: () => void;
  readonly #onStamp: () => void;
  readonly #file: (deadline: ScheduledDeadline, time: number) => void;
  /** The time of tick 0, a whole number of ticks. */
  #origin: number;
  /** The tick at which the pending wake-up comes. */
  #wakeTick = never;
  /** When the pending wake-up should come. */
  #wakeTime = 0;
  /** When the last round came that stepped back, if no other has come since: what was due by then has had its turn of the loop. */
  #steppedBackAt = -Infinity;
  #wakeup: Wakeup | null = null;
  #stamping: Wakeup | null = null;
  /** Whether armings go to the intake. */
  #isFrequent = false;
  /** Armings since `#countedFrom`, or, while they are frequent, those that left the intake since the last stamping wake-up. */
  #armings = 0;
  #countedFrom = -Infinity;
  /**
   * Armings go to the intake while it holds fewer than this: up to the next mark while they are frequent and the stamping wake-up is
   * pending, else 0. One comparison where there would be three, on the shortest path.
   */
  #intakeLimit = 0;
  #isClosed = false;

  constructor(clock: Clock, tickMs: number) {
    this.clock = clock;
    this.maxDelayMs = maxDelayTicks * tickMs;
    this.#tickMs = tickMs;
    this.#farthestMs = farthestTick * tickMs;
    this.#wheel = new TimerWheel(() => new ScheduledDeadline(this, ignoreExpiry));
    this.intake = new Intake(new ScheduledDeadline(this, ignoreExpiry));
    this.#onWake = (): void => this.#runRound();
    this.#onStamp = (): void => this.#stampAll();
    this.#file = (deadline, time): void => this.#fileAt(deadline, time);
    this.#origin = Math.floor(clock.now() / tickMs) * tickMs;
  }

  get size(): number {
    return this.#wheel.size + this.intake.size;
  }

  timeOf(tick: number): number {
    return this.#origin + tick * this.#tickMs;
  }

  arm(deadline: ScheduledDeadline, delayMs: number, now: number | undefined): void {
    // A number given as text would pass the comparisons, and be joined on as text.
    if (!(typeof delayMs === 'number' && delayMs >= 0 && delayMs <= this.maxDelayMs)) {
      checkNumber('delayMs', delayMs, { min: 0, max: this.maxDelayMs });
    }
    if (now !== undefined && !(typeof now === 'number' && now > -Infinity && now - this.#origin + delayMs <= this.#farthestMs)) {
      this.#checkTime(now, delayMs);
    }
    if (deadline.slot >= 0) this.#wheel.unfile(deadline);
    const intake = this.intake;
    if (intake.count >= this.#intakeLimit) {
      // A deadline that waits already is not to be filed by the emptying that makes room for it.
      deadline.slot = unfiled;
      if (!this.#makeRoom()) return this.#armAtOnce(deadline, delayMs, now);
    }
    if (now === undefined) intake.addDelay(deadline, delayMs);
    else intake.addTime(deadline, now + delayMs);
  }

  unfile(deadline: ScheduledDeadline): void {
    this.#wheel.unfile(deadline);
  }

  /** Works out the ticks of what waits in the intake. */
  emptyIntake(now: number = this.clock.now()): void {
    const intake = this.intake;
    if (intake.count === 0) return;
    this.#armings += intake.count;
    if (this.#intakeLimit > 0) this.#intakeLimit = markEvery;
    // Not beyond what is overdue already, or the overdue would be in the order of arming, where the order of their times is due.
    if (this.#wheel.size === 0) this.#catchUpIdleWheel(Math.min(now, intake.earliest));
    intake.empty(now, this.#file);
    const next = this.#wheel.nextTick();
    if (next < this.#wakeTick) this.#wakeAt(next);
  }

  close(): void {
    this.#isClosed = true;
    this.#isFrequent = false;
    this.#intakeLimit = 0;
    this.intake.empty(0, forget);
    this.#wheel.clear();
    this.#wakeup?.cancel();
    this.#wakeup = null;
    this.#stamping?.cancel();
    this.#stamping = null;
  }

  /** @returns whether the intake takes one more */
  #makeRoom(): boolean {
    if (!this.#isFrequent) return false;
    const intake = this.intake;
    if (intake.count === intakeCapacity) this.emptyIntake();
    else if (intake.count > 0) intake.mark(this.clock.now());
    this.#stamping ??= this.clock.schedule(0, this.#onStamp);
    this.#intakeLimit = Math.min(intake.count + markEvery, intakeCapacity);
    return true;
  }

  /** A time so far ahead that it looks wrong is right if the queue has slept for months: an idle wheel's time stands still. */
  #checkTime(now: number, delayMs: number): void {
    if (!Number.isFinite(now)) throw new RangeError(`now must be a finite number of milliseconds, not ${String(now)}`);
    const actual = this.clock.now();
    if (this.#wheel.size === 0) this.#catchUpIdleWheel(Math.min(actual, this.intake.earliest));
    if (now - this.#origin + delayMs <= this.#farthestMs) return;
    throw new RangeError(`now must be the time of the queue's clock, which is ${actual}, not ${now}`);
  }

  #armAtOnce(deadline: ScheduledDeadline, delayMs: number, known: number | undefined): void {
    if (this.#isClosed) return;
    const now = known ?? this.#readClock();
    if (this.#wheel.size === 0) this.#catchUpIdleWheel(now);
    this.#fileAt(deadline, now + delayMs);
    if (deadline.tick < this.#wakeTick) this.#wakeAt(deadline.tick);
  }

  /** Reads the clock for one arming, and sees whether that has become frequent. */
  #readClock(): number {
    const now = this.clock.now();
    const passed = now - this.#countedFrom;
    if (passed >= 0 && passed < stampingMs) {
      this.#isFrequent = ++this.#armings >= frequentCount;
    } else {
      this.#countedFrom = now;
      this.#armings = 1;
    }
    return now;
  }

  #stampAll(): void {
    this.#stamping = null;
    this.#intakeLimit = 0;
    this.emptyIntake();
    if (this.#armings + this.intake.withdrawn < frequentCount) this.#isFrequent = false;
    this.#armings = 0;
    this.intake.withdrawn = 0;
  }

  /** A time given by the caller may lie behind the wheel's. */
  #fileAt(deadline: ScheduledDeadline, time: number): void {
    deadline.tick = Math.max(this.#tickAtOrAfter(time), this.#wheel.elapsed);
    this.#wheel.file(deadline);
  }

  #runRound(): void {
    const wheel = this.#wheel;
    this.#wakeup = null;
    this.#wakeTick = afterThisRound;
    let lateness = 0;
    try {
      const now = this.clock.now();
      lateness = now - this.#wakeTime;
      this.emptyIntake(now);
      const tick = this.#tickAtOrBefore(now);
      if (tick >= wheel.elapsed) wheel.advance(tick);
      if (tick > rebaseAbove) this.#rebase(tick);
      this.#runDue(this.#horizon(now, lateness));
    } finally {
      if (wheel.hasDue) {
        this.#wakeIn(stepBackMs(lateness));
      } else {
        this.#wakeTick = never;
        const next = wheel.nextTick();
        if (next < never) this.#wakeAt(next);
      }
    }
  }

  /** The last tick of which deadlines run in this round: a late round steps back behind those that passed since the loop last came round. */
  #horizon(now: number, lateness: number): number {
    const before = this.#steppedBackAt;
    this.#steppedBackAt = -Infinity;
    if (!isLate(lateness)) return Infinity;
    this.#steppedBackAt = now;
    return before === -Infinity ? before : this.#tickAtOrBefore(before);
  }

  #runDue(horizon: number): void {
    const thrown: unknown[] = [];
    for (let deadline = this.#wheel.takeDue(horizon); deadline !== undefined; deadline = this.#wheel.takeDue(horizon)) {
      try {
        deadline.onExpire();
      } catch (error) {
        thrown.push(error);
      }
    }
    throwCollected(thrown, `${thrown.length} deadlines threw`);
  }

  #wakeAt(tick: number): void {
    const now = this.clock.now();
    // One that is overdue comes as soon as one asked for now, and knows that it is late.
    if (this.#wakeup !== null && this.#wakeTime <= now) return;
    this.#wakeup?.cancel();
    this.#wakeTick = tick;
    this.#wakeIn(Math.max(0, this.timeOf(tick) - now), now);
  }

  #wakeIn(delayMs: number, now: number = this.clock.now()): void {
    this.#wakeTime = now + delayMs;
    this.#wakeup = this.clock.schedule(delayMs, this.#onWake);
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
    if (this.slot === unfiled) return Infinity;
    if (this.slot < unfiled) this.#scheduler.emptyIntake();
    return this.#scheduler.timeOf(this.tick);
  }

  arm(delayMs: number, now?: number): void {
    this.#scheduler.arm(this, delayMs, now);
  }

  cancel(): void {
    if (this.slot === unfiled) return;
    if (this.slot >= 0) {
      this.#scheduler.unfile(this);
    } else {
      this.#scheduler.intake.withdraw(this);
      this.slot = unfiled;
    }
  }
}

function forget(deadline: ScheduledDeadline): void {
  deadline.slot = unfiled;
}

/** The callback of sentinels, which are never due. */
function ignoreExpiry(): void {}
