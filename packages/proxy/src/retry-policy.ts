/** Whether a request that got no answer may be sent again (RFC 9110 §9.2.2, RFC 9112 §9.3.1). */

import type { WireError } from '@ferrata/error';
import { checkNumber } from '@ferrata/error';

/** Methods whose effect is the same however often they are sent. Names are case-sensitive (RFC 9110 §9.1). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** RFC 9110 §9.2.2. */
export function isIdempotent(method: string): boolean {
  return idempotent.has(method);
}

/**
 * True if sending again cannot do the request twice: either nothing of it was read (`always`), or the connection ended without a byte of
 * answer (`ifReused`) and the method is idempotent. A connection that was never used before counts as well: the peer may have restarted.
 */
export function maySendAgain(error: WireError, method: string): boolean {
  return error.retry === 'always' || (error.retry === 'ifReused' && idempotent.has(method));
}

/** How often, and for how long, a request may lose its place before it is told so. */
const MAX_LOST = 100;
const MAX_LOST_MS = 10_000;

/**
 * Places on connections that were gone before the request was sent on them. That is nobody's refusal, and no try: a peer of few streams that says
 * GOAWAY after each answer takes a place from one request for each that it serves. But it must end.
 */
export class LostPlaces {
  count = 0;
  #since = 0;

  /** One was lost. @returns true if it is for nothing: the request may wait for another one, and has lost no try */
  add(now: number): boolean {
    if (this.count === 0) this.#since = now;
    if (this.count >= MAX_LOST || now - this.#since > MAX_LOST_MS) return false;
    this.count++;
    return true;
  }
}

/** Keeps retries a small share of the traffic, so that a failing upstream is not buried under them. */
export class RetryBudget {
  readonly #share: number;
  readonly #least: number;
  #active = 0;
  #retrying = 0;

  /**
   * @param share of the active requests that may be retries, 0 to 1
   * @param least retries that are allowed however few requests are active
   * @throws {RangeError} when one of them makes no sense
   */
  constructor(share: number, least: number) {
    checkNumber('retryShare', share, { min: 0, max: 1 });
    checkNumber('the least number of retries', least, { min: 0 });
    this.#share = share;
    this.#least = least;
  }

  /** Requests that are counted now. */
  get activeCount(): number {
    return this.#active;
  }
  /** Requests among them that hold a retry. */
  get retryingCount(): number {
    return this.#retrying;
  }

  /** A request begins. */
  begin(): void {
    this.#active++;
  }

  /** A request is over. @param isRetrying whether `tryRetry` was granted for it */
  end(isRetrying: boolean): void {
    this.#active--;
    if (isRetrying) this.#retrying--;
  }

  /** Asks for the first retry of a request. @returns true if it may be made; it then counts until `end` */
  tryRetry(): boolean {
    if (this.#retrying >= Math.max(this.#least, this.#active * this.#share)) return false;
    this.#retrying++;
    return true;
  }
}
