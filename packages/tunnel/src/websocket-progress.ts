/**
 * Whether a peer that says nothing is still taking what we have said: then it cannot have heard our ping or our Close yet, and must not be judged by them.
 *
 * Rules of this file:
 * - Bytes that leave are a sign of life. A stream tells of them in the pieces in which they were written, so one large write seems to stand still for all the
 *   time that it takes: it is granted the time of a slow line.
 * - A time that was granted runs once for what waits: a peer that takes a byte now and then gains nothing behind our Close.
 */

/** The slowest line that is waited for: 16 KiB a second, so that 1 MiB has about a minute, and the 16 MiB of `hardLimitBytes` seventeen. */
const LEAST_BYTES_PER_MS = 16;
const NEVER = -1;

/** @returns milliseconds in which so many bytes leave on the slowest line */
export function patienceFor(bytes: number): number {
  return bytes / LEAST_BYTES_PER_MS;
}

/** Watches bytes leave. */
export class SendProgress {
  #leftBefore = 0;
  #wasWaiting = false;
  #grantedUntil = NEVER;

  /**
   * Judges by what has changed since the last call, when something is due.
   *
   * @param left bytes that have left so far
   * @param waiting bytes that have not
   * @param hasSaidGoodbye our Close is among them: progress alone grants no more time
   * @returns whether to go on waiting
   */
  isUnderWay(left: number, waiting: number, hasSaidGoodbye: boolean, now: number): boolean {
    const hasMoved = left > this.#leftBefore && (waiting > 0 || this.#wasWaiting);
    const wasGranted = this.#grantedUntil !== NEVER;
    this.#leftBefore = left;
    this.#wasWaiting = waiting > 0;
    if (waiting > 0 && (!wasGranted || (hasMoved && !hasSaidGoodbye))) this.#grantedUntil = now + patienceFor(waiting);
    const isInTime = now < this.#grantedUntil;
    // All has left, and only just: what waited last may not have been heard yet. Once; and the next time that bytes wait is another.
    if (waiting === 0 && !hasSaidGoodbye) this.#grantedUntil = NEVER;
    return hasMoved && !hasSaidGoodbye ? true : isInTime && (waiting > 0 || hasMoved);
  }
}
