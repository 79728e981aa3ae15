/**
 * A count of connections with a ceiling, shared by any number of listeners and connectors.
 *
 * Node gives no sign when descriptors run out: it accepts a connection and closes it at once, with no event, while connecting, opening files and
 * looking up names fail with errors that point elsewhere. So we count ourselves, and stay below the limit.
 *
 * Rules:
 * - Places that become free go to those who have waited longest, over all listeners with this cap: each draws a ticket, and the lowest one that
 *   can use a place is served. Who could not use one (because of a cap of its own) is passed over, and keeps its ticket.
 * - A new connection of a listener does not pass those who wait. A connector does: it cannot wait, and serves a connection that has its place
 *   already; giving way would let in more and more clients, none of which could be served.
 */
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { checkOptionNames } from '../option-names.ts';
import { descriptorLimit } from './descriptor-limit.ts';

/** Who waits for places: one queue, of a listener. */
export interface CapWaiter {
  /** The ticket of the one who has waited longest here; `Infinity` if there is none, or none who could use a place now. */
  firstTicket(): number;
  /** Takes a place and uses it. @returns false if it has taken none; it is not asked again before the next place becomes free */
  serveFirst(): boolean;
}

/** Which part of the descriptors a cap takes. */
export interface DescriptorShare {
  /** Descriptors left for files, logs, name look-ups and all else, ≥ 0; default 256, but at most half of the limit. */
  readonly reserve?: number;
  /** The part of the others, above 0 and up to 1: 1 ÷ threads, for a cap of each thread. Default 1. */
  readonly share?: number;
}

const shareNames: Readonly<Record<keyof DescriptorShare, true>> = { reserve: true, share: true };

/** Counts open connections against a ceiling. */
export class ConnectionCap {
  #max: number;
  #count = 0;
  #lastTicket = 0;
  #isServing = false;
  readonly #waiters = new Set<CapWaiter>();

  /** @param max the ceiling, ≥ 0; `Infinity` counts only. @throws {RangeError} if it is not such a number */
  constructor(max: number) {
    this.#max = checkWholeNumber('maxConnections', max, { max: Infinity });
  }

  /**
   * A cap below the limit of descriptors of this process (`ulimit -n`), for listeners and connectors together. A proxied connection takes two
   * places, as it takes two descriptors.
   *
   * @throws {RangeError} if a number is out of range, or nothing is left @throws {TypeError} for an unknown option
   */
  static ofDescriptors(options: DescriptorShare = {}): ConnectionCap {
    checkOptionNames('ConnectionCap.ofDescriptors', options, shareNames);
    const limit = descriptorLimit();
    const share = checkNumber('share', options.share ?? 1, { above: 0, max: 1 });
    const reserve = options.reserve === undefined ? Math.min(256, limit / 2) : checkWholeNumber('reserve', options.reserve);
    if (limit === Infinity) return new ConnectionCap(Infinity);
    const max = Math.floor((limit - reserve) * share);
    if (max < 1) throw new RangeError(`a reserve of ${reserve} and a share of ${share} leave no descriptor: the limit is ${limit}`);
    return new ConnectionCap(max);
  }

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  /** Moves the ceiling; connections above a lower one stay open. */
  set max(max: number) {
    this.#max = checkWholeNumber('maxConnections', max, { max: Infinity });
    this.serveWaiters();
  }

  /** Whether a place is free. */
  hasPlace(): boolean {
    return this.#count < this.#max;
  }

  /** Whether somebody waits who could use a place: newcomers of listeners do not pass them. */
  hasWaiters(): boolean {
    for (const waiter of this.#waiters) if (waiter.firstTicket() !== Infinity) return true;
    return false;
  }

  /** Takes a place. @returns false if none is free */
  tryTake(): boolean {
    if (this.#count >= this.#max) return false;
    this.#count++;
    return true;
  }

  /** Gives a place back. @throws {RangeError} if none was taken */
  release(): void {
    if (this.#count === 0) throw new RangeError('a connection cap was released more often than taken');
    this.#count--;
    this.serveWaiters();
  }

  /** A number above all that were drawn before: the order of those who wait. */
  drawTicket(): number {
    return ++this.#lastTicket;
  }

  /** Serves `waiter` as places become free, until `stopWaiting`. */
  waitForPlace(waiter: CapWaiter): void {
    this.#waiters.add(waiter);
  }

  stopWaiting(waiter: CapWaiter): void {
    this.#waiters.delete(waiter);
  }

  /** Gives out free places, soon: a place is given back from inside the closing of a stream, whose sink has not been told yet. */
  serveWaiters(): void {
    if (this.#isServing || this.#waiters.size === 0) return;
    this.#isServing = true;
    process.nextTick(ConnectionCap.#serve, this);
  }

  static #serve(cap: ConnectionCap): void {
    cap.#isServing = false;
    const unable = new Set<CapWaiter>();
    while (cap.#count < cap.#max) {
      const next = cap.#next(unable);
      if (next === null) return;
      if (!next.serveFirst()) unable.add(next);
    }
  }

  #next(unable: ReadonlySet<CapWaiter>): CapWaiter | null {
    let first = Infinity;
    let next: CapWaiter | null = null;
    for (const waiter of this.#waiters) {
      const ticket = unable.has(waiter) ? Infinity : waiter.firstTicket();
      if (ticket >= first) continue;
      first = ticket;
      next = waiter;
    }
    return next;
  }
}
