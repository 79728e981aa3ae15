/** When an HTTP/1 connection that could go on ends all the same: it has reached its age, the server drains, or the rest of a request that nobody wants does not come. */
import type { ServerConnection } from '@ferrata/http1';

export class ConnectionSpan {
  /** From this time on the next answer is the connection's last. */
  readonly retireAt: number;
  /** When an idle connection is closed, as the server drains. */
  #closeAt = Number.POSITIVE_INFINITY;
  /** How long one that has become idle is kept then. */
  #keepIdleMs = 0;
  /** When the rest of a request must have come. */
  #restBy = Number.POSITIVE_INFINITY;

  /** @param spread 0 to 1: ages are spread by ± 10 %, so that connections made together do not all end together */
  constructor(now: number, maxAgeMs: number, spread: number) {
    this.retireAt = now + maxAgeMs * (0.9 + 0.2 * spread);
  }

  /** An idle connection ends at `closeIdleAt`; if it becomes idle later, after the time that this is from now. */
  drain(closeIdleAt: number, now: number): void {
    this.#closeAt = Math.min(this.#closeAt, closeIdleAt);
    this.#keepIdleMs = closeIdleAt - now;
  }

  /** An exchange is over, and of its request something may be left. @param drainTimeoutMs how long that may take to come */
  endExchange(now: number, drainTimeoutMs: number = Number.POSITIVE_INFINITY): void {
    this.#closeAt = Math.max(this.#closeAt, now + this.#keepIdleMs);
    this.#restBy = now + drainTimeoutMs;
  }

  /** When a connection on which no exchange runs ends. */
  endsAt(machine: ServerConnection): number {
    if (machine.isIdle) return this.#closeAt;
    return machine.isDrainingRest ? this.#restBy : Number.POSITIVE_INFINITY;
  }
}
