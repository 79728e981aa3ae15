/** How fast the body of a request comes: when it last moved, and its rate since it began. Looked at only when a time-out may be due. */

import { timeoutError, type WireError } from '@ferrata/error';

/** The bounds of a body's slowness, in milliseconds and bytes per second. */
export interface BodyPaceBounds {
  readonly bodyTimeoutMs: number;
  readonly bodyGraceMs: number;
  readonly minBodyBytesPerSecond: number;
}

/** The clock of one body after another; all fields are set here (hot class). */
export class BodyPace {
  /** Bytes of the body at hand. */
  bytes = 0;
  /** When something last came, or nobody listened. */
  lastAt = 0;
  /** From when on the rate counts. */
  #since = 0;

  /** The head of a request was read. */
  begin(now: number): void {
    this.#since = now;
    this.lastAt = now;
    this.bytes = 0;
  }

  /** A piece has come. */
  move(byteLength: number, now: number): void {
    this.bytes += byteLength;
    this.lastAt = now;
  }

  /** The client has no more reason to hold its body back: the clock begins anew. */
  restart(now: number): void {
    this.#since = now;
    this.lastAt = now;
  }

  /** Somebody listens again: time in which nobody did is not the peer's slowness. */
  resume(now: number): void {
    this.#since += now - this.lastAt;
    this.lastAt = now;
  }

  /** When the body has stalled. */
  stallsAt(bodyTimeoutMs: number): number {
    return this.lastAt + bodyTimeoutMs;
  }

  /** When the body is too slow, by either measure. @param isRated whether its rate counts by now */
  dueAt(bodyTimeoutMs: number, { bodyGraceMs, minBodyBytesPerSecond }: BodyPaceBounds, isRated: boolean): number {
    const byStall = this.stallsAt(bodyTimeoutMs);
    if (!isRated || minBodyBytesPerSecond === 0) return byStall;
    return Math.min(byStall, this.#since + Math.max(bodyGraceMs, (this.bytes / minBodyBytesPerSecond) * 1000));
  }
}

/** A body that was given up. @param isStalled nothing came at all; else too little */
export function slowBody(isStalled: boolean): WireError {
  return isStalled
    ? timeoutError('H1_BODY_TIMEOUT', 'the request body stalled', { wire: { status: 408 } })
    : timeoutError('H1_BODY_TOO_SLOW', 'the request body came below the minimum rate', { wire: { status: 408 } });
}
