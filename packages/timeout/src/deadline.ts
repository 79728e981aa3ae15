/** A point in time after which a callback runs unless it is cancelled or moved first. Made by a `DeadlineQueue`. */
export interface Deadline {
  /** True from `arm` until the callback is called or `cancel`. */
  readonly isArmed: boolean;
  /**
   * The time on the queue's clock from which the callback runs, a whole number of ticks; `Infinity` while not armed. Asking settles it for
   * a deadline whose time has not been taken yet, which costs a reading of the clock.
   */
  readonly expiresAt: number;
  /**
   * Sets the deadline to `delayMs` from now, in place of what it was set to before. O(1), allocates nothing. While armings are frequent,
   * "now" is when the event loop comes round, so that one reading of the clock does for all of them: if the loop is blocked before that,
   * the deadline is later by the block. Give `now` where that matters.
   *
   * @param delayMs 0 to the queue's `maxDelayMs`
   * @param now the queue's `now()`, for a caller that has just read it: where arming is rare, reading the clock is most of the cost. A
   *   stale one makes the deadline early by as much, one ahead of the clock late by as much.
   * @throws {RangeError} when `delayMs` is out of range, or `now` is not finite, or lies so far ahead that it can't be a time of the clock:
   *   up to `maxDelayMs` ahead is always accepted, more than four times that never. The deadline stays as it was
   */
  arm(delayMs: number, now?: number): void;
  /** Takes the deadline back; does nothing if it isn't armed. O(1). */
  cancel(): void;
}
