/** The time-outs of the hooks that one request waits for: they end with the request, however long its hooks take. */
import type { Deadline } from '@ferrata/timeout';

/** Time-outs that run, and a few that are over. */
export class HookDeadlines {
  readonly #deadlines: Deadline[] = [];

  /** Adds one that runs; it takes the place of one that is over, as a body may have a wait for each of its pieces. */
  add(deadline: Deadline): void {
    const free = this.#deadlines.findIndex(({ isArmed }) => !isArmed);
    if (free < 0) this.#deadlines.push(deadline);
    else this.#deadlines[free] = deadline;
  }

  /** Nobody waits any more. */
  cancel(): void {
    for (const deadline of this.#deadlines) deadline.cancel();
  }
}
