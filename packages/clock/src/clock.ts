/** Time as a value to inject. Nothing below floor 3 reads the time or arms a timer in any other way. */

/** A wake-up that has been asked for. */
export interface Wakeup {
  /** Forgets the wake-up; does nothing if it has fired or was cancelled. */
  cancel(): void;
}

/** Where time comes from. */
export interface Clock {
  /**
   * Monotonic time in milliseconds, with fractions, from an arbitrary origin, which the threads of a process share. Never goes back,
   * never jumps with the wall clock.
   */
  now(): number;
  /** Wall-clock time in milliseconds since 1970 (UTC). May jump; only for headers, logs and certificates. */
  wallNow(): number;
  /**
   * Calls `wake` once, not before `delayMs` milliseconds from now. The wake-up does not keep a program alive.
   *
   * @param delayMs ≥ 0; fractions are allowed
   */
  schedule(delayMs: number, wake: () => void): Wakeup;
}
