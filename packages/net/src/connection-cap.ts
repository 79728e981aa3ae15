/**
 * A count of connections with a ceiling, shared by any number of listeners and connectors.
 *
 * Node gives no sign when descriptors run out: it accepts a connection and closes it at once, with no event, while connecting, opening files and
 * looking up names fail with errors that point elsewhere. So we count ourselves, and stay below the limit.
 */
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { descriptorLimit } from './descriptor-limit.ts';

/** Who waits for a place. */
export interface CapWaiter {
  /** There may be a place now. Called from inside `release` and the setter of `max`, so take it later. */
  handlePlaceFree(): void;
}

/** Which part of the descriptors a cap takes. */
export interface DescriptorShare {
  /** Descriptors left for files, logs, name look-ups and all else, ≥ 0; default 256, but at most half of the limit. */
  readonly reserve?: number;
  /** The part of the others, above 0 and up to 1: 1 ÷ threads, for a cap of each thread. Default 1. */
  readonly share?: number;
}

/** Counts open connections against a ceiling. */
export class ConnectionCap {
  #max: number;
  #count = 0;
  readonly #waiters = new Set<CapWaiter>();

  /** @param max the ceiling, ≥ 0; `Infinity` counts only. @throws {RangeError} if it is not such a number */
  constructor(max: number) {
    this.#max = checkWholeNumber('maxConnections', max, { max: Infinity });
  }

  /**
   * A cap below the limit of descriptors of this process (`ulimit -n`), for listeners and connectors together. A proxied connection takes two
   * places, as it takes two descriptors.
   *
   * @throws {RangeError} if a number is out of range
   */
  static ofDescriptors({ reserve, share = 1 }: DescriptorShare = {}): ConnectionCap {
    const limit = descriptorLimit();
    checkNumber('share', share, { above: 0, max: 1 });
    const left = limit - (reserve === undefined ? Math.min(256, limit / 2) : checkWholeNumber('reserve', reserve));
    return new ConnectionCap(limit === Infinity ? Infinity : Math.max(0, Math.floor(left * share)));
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
    this.#wake();
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
    if (this.#waiters.size > 0) this.#wake();
  }

  /** Tells `waiter` of each place that becomes free, until `stopWaiting`. */
  waitForPlace(waiter: CapWaiter): void {
    this.#waiters.add(waiter);
  }

  stopWaiting(waiter: CapWaiter): void {
    this.#waiters.delete(waiter);
  }

  #wake(): void {
    if (this.#count >= this.#max) return;
    for (const waiter of this.#waiters) waiter.handlePlaceFree();
  }
}
