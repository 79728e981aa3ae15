/**
 * A count of connections with a ceiling, shared by any number of listeners and connectors.
 *
 * Node gives no sign when descriptors run out: it accepts a connection and closes it at once, with no event, while connecting, opening files and
 * looking up names fail with errors that point elsewhere. So we count ourselves, and stay below the limit.
 */
import { checkWholeNumber } from '@ferrata/error';

/** Counts open connections against a ceiling. */
export class ConnectionCap {
  #max: number;
  #count = 0;

  /** @param max the ceiling, ≥ 0; `Infinity` counts only. @throws {RangeError} if it is not such a number */
  constructor(max: number) {
    this.#max = checkWholeNumber('maxConnections', max, { max: Infinity });
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
  }
}
