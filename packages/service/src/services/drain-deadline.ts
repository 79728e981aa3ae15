/** The end of a drain: a time that a later call may bring forward, and waiting for what ends before it. */
import type { HttpEnvironment } from '@ferrata/http';

/**
 * How often it is looked whether all has ended. Nothing tells of the end of a stream that belongs to its handler: only a wrapper could, and that would hide the socket
 * from those who know one and take a shorter way (TLS takes over its handle).
 */
const LOOK_EACH_MS = 20;

/** When what still runs is cut. */
export class DrainDeadline {
  readonly #environment: HttpEnvironment;
  #at = Number.POSITIVE_INFINITY;
  /** Those who wait, to be told of an earlier end. */
  readonly #waiting = new Set<() => void>();

  constructor(environment: HttpEnvironment) {
    this.#environment = environment;
  }

  /** Milliseconds that are left, 0 and up; `Infinity` before the first `hasten`. */
  get leftMs(): number {
    return Math.max(0, this.#at - this.#environment.now());
  }

  /** Sets the end, unless it is nearer already. */
  hasten(graceMs: number): void {
    this.#at = Math.min(this.#at, this.#environment.now() + Math.max(0, graceMs));
    for (const wake of this.#waiting) wake();
  }

  /** Waits until something is so, at most until the end. @returns whether it is so */
  async until(isSo: () => boolean): Promise<boolean> {
    for (;;) {
      if (isSo()) return true;
      const { leftMs } = this;
      if (leftMs === 0) return false;
      await this.#wait(Math.min(leftMs, LOOK_EACH_MS));
    }
  }

  async #wait(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const deadline = this.#environment.deadlines.after(delayMs, resolve);
    this.#waiting.add(resolve);
    await promise;
    this.#waiting.delete(resolve);
    deadline.cancel();
  }
}
