/**
 * The machine's own time. The one file of floors 0 to 2 that reads the time or arms a timer of the platform; everything else is given
 * a `Clock`. It uses what every JavaScript platform has (`performance`, `Date`, `setTimeout`), and loads where even that is missing.
 */
import type { Clock, Wakeup } from './clock.ts';
import { checkDelay } from './internal/check-delay.ts';

/** The longest delay that platforms accept; above it Node fires after 1 ms (a 32-bit signed number of milliseconds). */
const longestTimerMs = 0x7fff_ffff;

/** What is added to `performance.now()`, which each thread counts from its own start. */
const originMs = /* @__PURE__ */ commonOrigin();

/**
 * Time from `performance.now()` and `Date.now()`, wake-ups from `setTimeout`.
 *
 * All threads of a process see the same `now()`, to within a fraction of a millisecond, so that times may stand in memory they share.
 *
 * Wake-ups never come early: platforms round a timer's start down to whole milliseconds and may fire up to 1 ms too soon, so a timer
 * that did is armed again for the rest. They do not keep a Node process alive. An exception from `wake` is an uncaught exception, as
 * with `setTimeout`.
 */
export const systemClock: Clock = {
  now(): number {
    return performance.now() + originMs;
  },
  wallNow(): number {
    return Date.now();
  },
  schedule(delayMs: number, wake: () => void): Wakeup {
    return new SystemWakeup(checkDelay(delayMs), wake);
  },
};

class SystemWakeup implements Wakeup {
  readonly #dueAt: number;
  readonly #wake: () => void;
  #timer: ReturnType<typeof setTimeout>;

  constructor(delayMs: number, wake: () => void) {
    this.#dueAt = performance.now() + delayMs;
    this.#wake = wake;
    this.#timer = this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  #arm(restMs: number): ReturnType<typeof setTimeout> {
    // Passing the wake-up as an argument of the timer saves a closure.
    const timer = setTimeout(fire, Math.min(Math.ceil(restMs), longestTimerMs), this);
    letProcessEnd(timer);
    return timer;
  }

  fire(): void {
    const restMs = this.#dueAt - performance.now();
    if (restMs > 0) this.#timer = this.#arm(restMs);
    else this.#wake();
  }
}

/**
 * The moment that `performance.now()` counts from, on a clock that all threads share. In Node, Deno and Bun that is the machine's monotonic
 * one; elsewhere `timeOrigin`, which agrees between workers unless the wall clock was set between their starts.
 */
function commonOrigin(): number {
  const { performance, process } = globalThis as Partial<Pick<typeof globalThis, 'performance' | 'process'>>;
  if (performance === undefined) return 0;
  if (process?.hrtime === undefined) return performance.timeOrigin;
  // A thread may be interrupted between two readings: the least of some differences is the one with the least in between.
  let least = Infinity;
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = performance.now();
    const [seconds, nanoseconds] = process.hrtime();
    least = Math.min(least, seconds * 1e3 + nanoseconds / 1e6 - before);
  }
  return least;
}

function fire(wakeup: SystemWakeup): void {
  wakeup.fire();
}

/** Browsers' timers are numbers and need nothing. */
function letProcessEnd(timer: { unref?: () => void } | number): void {
  if (typeof timer === 'object') timer.unref?.();
}
