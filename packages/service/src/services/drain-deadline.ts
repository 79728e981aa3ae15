/** The end of a drain: a time that a later call may bring forward, and waiting for what ends before it. */
import type { HttpEnvironment } from '@ferrata/http';

/**
 * How often it is looked whether all has ended. Nothing tells of the end of a stream that belongs to its handler: only a wrapper could, and that would hide the socket
 * from those who know one and take a shorter way (TLS takes over its handle).
 */
const LOOK_EACH_MS = 20;

/**
 * What those get at most that are on their way through the filter, the PROXY header or the handshake. A request is on its way only with one that goes on at once; one that
 * stays silent would hold up the end for the whole time that a handshake may take.
 */
const PENDING_LIMIT_MS = 3_000;

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

  /**
   * Waits until no connection is served and none is on its way, for these 3 s at most.
   *
   * @returns how many are served at the end, and have to be cut; those that were still on their way had nothing that could be
   */
  async untilServed(servedCount: () => number, pendingCount: () => number): Promise<number> {
    const patience = new DrainDeadline(this.#environment);
    patience.hasten(PENDING_LIMIT_MS);
    await this.until(() => servedCount() === 0 && (patience.leftMs === 0 || pendingCount() === 0));
    return servedCount();
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
