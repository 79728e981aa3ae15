/** The one deadline of a session, which waits for the first of many things. */
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';

/** Armed only when it would come too late: one that comes too early finds nothing due and is armed again, which is cheaper than moving it each time. */
export class SessionDeadline {
  readonly #deadline: Deadline;
  readonly #maxDelayMs: number;
  /** What it is armed for. Its own `expiresAt` is some ticks later, and costs more to ask. */
  #armedFor = Number.POSITIVE_INFINITY;

  /** @param onDue asks for the time, does what is due, and watches again */
  constructor(deadlines: DeadlineQueue, onDue: () => void) {
    this.#maxDelayMs = deadlines.maxDelayMs;
    this.#deadline = deadlines.deadline(() => {
      this.#armedFor = Number.POSITIVE_INFINITY;
      onDue();
    });
  }

  /** @param next when something is due; `Infinity`: nothing is */
  watch(next: number, now: number): void {
    if (next >= this.#armedFor) return;
    this.#armedFor = next;
    this.#deadline.arm(Math.min(Math.max(0, next - now), this.#maxDelayMs));
  }

  cancel(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    this.#deadline.cancel();
  }
}
