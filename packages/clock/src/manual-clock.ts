/**
 * A clock that stands still until it is told to move: for tests, simulated worlds and replays.
 *
 * Rules:
 * - Wake-ups run inside `advance`, `advanceTo` and `runNext`, in the order of their times; equal times in the order of asking.
 * - While a wake-up runs, `now()` is exactly its time.
 * - A wake-up may schedule, cancel and advance. What it schedules within the span of the running `advance` runs in that `advance`.
 * - A wake-up that throws ends the `advance` that ran it, at its own time; the later ones stay and run with the next `advance`.
 */
import type { Clock, Wakeup } from './clock.ts';
import { checkDelay } from './internal/check-delay.ts';

/** How a `ManualClock` starts. */
export interface ManualClockOptions {
  /** Monotonic time at the start, in milliseconds; default 0. */
  readonly now?: number;
  /** Wall-clock time at the start, in milliseconds since 1970; default 0. */
  readonly wallNow?: number;
  /**
   * Most wake-ups that one `advance` runs; default 1 000 000, at least 1. A wake-up that schedules itself again without delay then
   * fails the test with a message where it would hang.
   */
  readonly maxWakeupsPerAdvance?: number;
}

/** A `Clock` moved by hand. */
export class ManualClock implements Clock {
  readonly #maxWakeups: number;
  #now: number;
  /** Wall-clock time minus monotonic time. */
  #wallOffset: number;
  #nextOrder = 0;
  /** Sorted backwards, the earliest last, so that the next one to run is popped. */
  readonly #pending: ManualWakeup[] = [];

  constructor(options: ManualClockOptions = {}) {
    this.#now = checkTime('now', options.now ?? 0);
    this.#wallOffset = checkTime('wallNow', options.wallNow ?? 0) - this.#now;
    this.#maxWakeups = options.maxWakeupsPerAdvance ?? 1_000_000;
    if (!(this.#maxWakeups >= 1)) throw new RangeError(`maxWakeupsPerAdvance must be at least 1: ${String(this.#maxWakeups)}`);
  }

  /** Wake-ups that have neither run nor been cancelled. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  /** The time of the next wake-up; `Infinity` if there is none. */
  get nextWakeAt(): number {
    return this.#pending.at(-1)?.at ?? Infinity;
  }

  now(): number {
    return this.#now;
  }

  /** Wall-clock time: moves along with `now()`, and jumps with `setWallNow`. */
  wallNow(): number {
    return this.#now + this.#wallOffset;
  }

  /** Lets the wall clock jump, forwards or backwards, as an operator or NTP would; `now()` and the wake-ups don't notice. */
  setWallNow(wallMs: number): void {
    this.#wallOffset = checkTime('wallMs', wallMs) - this.#now;
  }

  schedule(delayMs: number, wake: () => void): Wakeup {
    const wakeup = new ManualWakeup(this.#pending, this.#now + checkDelay(delayMs), this.#nextOrder++, wake);
    this.#pending.splice(indexBefore(this.#pending, wakeup), 0, wakeup);
    return wakeup;
  }

  /** Moves time forward by `ms` and runs what falls due; `advance(0)` runs what is due now. @throws {RangeError} when `ms` is negative or not finite */
  advance(ms: number): void {
    this.advanceTo(this.#now + checkDelay(ms));
  }

  /** Moves time forward to `time` and runs what falls due on the way. @throws {RangeError} when `time` lies in the past or is not finite */
  advanceTo(time: number): void {
    if (checkTime('time', time) < this.#now) throw new RangeError(`time can't go back from ${this.#now} to ${time}`);
    for (let count = 0; this.nextWakeAt <= time; count++) {
      if (count >= this.#maxWakeups) throw new Error(`more than ${count} wake-ups in one advance: does one schedule itself without delay?`);
      this.runNext();
    }
    // A wake-up may itself have advanced further.
    if (time > this.#now) this.#now = time;
  }

  /** Moves time to the next wake-up and runs that one only. @returns false if there is none */
  runNext(): boolean {
    const wakeup = this.#pending.pop();
    if (wakeup === undefined) return false;
    // A wake-up that an earlier one overtook with its own `advance` is late, and time never goes back.
    if (wakeup.at > this.#now) this.#now = wakeup.at;
    wakeup.wake();
    return true;
  }
}

class ManualWakeup implements Wakeup {
  readonly at: number;
  readonly order: number;
  readonly wake: () => void;
  readonly #pending: ManualWakeup[];

  constructor(pending: ManualWakeup[], at: number, order: number, wake: () => void) {
    this.#pending = pending;
    this.at = at;
    this.order = order;
    this.wake = wake;
  }

  cancel(): void {
    const index = indexBefore(this.#pending, this);
    if (this.#pending[index] === this) this.#pending.splice(index, 1);
  }
}

/** Where `wakeup` is or belongs in the backwards list: the first place whose wake-up doesn't run after it. */
function indexBefore(pending: readonly ManualWakeup[], wakeup: ManualWakeup): number {
  let low = 0;
  let high = pending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = pending[middle];
    if (other !== undefined && runsAfter(other, wakeup)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function runsAfter(a: ManualWakeup, b: ManualWakeup): boolean {
  return a.at > b.at || (a.at === b.at && a.order > b.order);
}

function checkTime(name: string, time: number): number {
  if (Number.isFinite(time)) return time;
  throw new RangeError(`${name} must be a finite number of milliseconds: ${String(time)}`);
}
