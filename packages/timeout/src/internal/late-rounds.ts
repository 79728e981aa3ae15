/**
 * How long deadlines step back after a block of the event loop.
 *
 * Platforms run timers before they look what the network has brought meanwhile, so after a block of the loop every deadline that passed in it would run
 * though what it waited for has come. A wake-up that comes late therefore runs nothing at first, and lets the loop come round once more.
 */

/** A wake-up that comes so much later than it was asked for has found the loop busy. Timers alone are 1 to 2 ms late. */
const lateMs = 10;
/** The share of the time that the loop stood still, so that a peer in the middle of a handshake may take one more step. */
const stepBackShare = 1 / 8;
const maxStepBackMs = 500;

/** Whether a wake-up was so late that what it should run has to step back. */
export function isLate(latenessMs: number): boolean {
  return latenessMs >= lateMs;
}

/** For how long: one turn of the loop at least, whatever this is. */
export function stepBackMs(latenessMs: number): number {
  return Math.min(Math.ceil(latenessMs * stepBackShare), maxStepBackMs);
}
