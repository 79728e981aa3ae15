/** How long the time-outs of connectors may be. */
import type { WholeNumberRange } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import { checkMethods } from './option-checks.ts';

/** The longest delay of the platform's timers. */
const longestTimerMs = 2_147_483_647;

/**
 * The time-outs that a queue of deadlines can keep, or the platform's timers without one. Longer ones would fail when they are armed, with a connection
 * half made.
 *
 * @throws {TypeError} if the queue is none
 */
export function delayRange(deadlines: DeadlineQueue | null | undefined): Required<WholeNumberRange> {
  if (deadlines === undefined || deadlines === null) return { min: 1, max: longestTimerMs };
  checkMethods('deadlines', deadlines, 'a DeadlineQueue', ['after', 'deadline']);
  return { min: 1, max: Math.min(longestTimerMs, Math.floor(deadlines.maxDelayMs)) };
}
