/**
 * Origins that take turns.
 *
 * Each request begins with the origin after that of the request before, and goes on to the next one when it is tried again: whatever other
 * requests do meanwhile, a second try never meets the same origin while there is another. An origin to which no connection could be made is passed over
 * for `passOverMs`, so that a dead one costs a request now and then and not each time its turn comes. When all are in that state, all count as sound.
 */

/** Origins in their order, with what is known about each. */
export class OriginRing<Origin> {
  readonly #origins: readonly Origin[];
  readonly #passOverMs: number;
  readonly #now: () => number;
  /** For each origin: until when it is passed over. */
  readonly #soundAgainAt: Float64Array;
  #turn = 0;

  /** @param origins at least one @param passOverMs 0: never pass over @param now monotonic milliseconds */
  constructor(origins: readonly Origin[], passOverMs: number, now: () => number) {
    if (origins.length === 0) throw new RangeError('a ring needs an origin');
    this.#origins = origins;
    this.#passOverMs = passOverMs;
    this.#now = now;
    this.#soundAgainAt = new Float64Array(origins.length);
  }

  /** The turn of a new request: hand it to `take` for each of its tries. */
  begin(): Turn {
    const at = this.#turn;
    this.#turn = (at + 1) % this.#origins.length;
    return { at, isFirst: true };
  }

  /** The origin for this try, and the next one for the next try. */
  take(turn: Turn): Origin {
    const origins = this.#origins;
    if (origins.length > 1) {
      const { isFirst } = turn;
      turn.at = this.#soundFrom(isFirst ? turn.at : (turn.at + 1) % origins.length);
      turn.isFirst = false;
      // The next request begins behind the origin that this one got, so that all sound ones share what a dead one does not take.
      if (isFirst) this.#turn = (turn.at + 1) % origins.length;
    }
    return origins[turn.at] as Origin;
  }

  /** No connection could be made to the origin that `take` gave last. */
  markFailed(turn: Turn): void {
    if (this.#origins.length > 1) this.#soundAgainAt[turn.at] = this.#now() + this.#passOverMs;
  }

  /** The first sound origin from `at` on, or `at` if there is none. */
  #soundFrom(at: number): number {
    const count = this.#origins.length;
    for (let step = 0; step < count; step++) {
      const index = (at + step) % count;
      const soundAgainAt = this.#soundAgainAt[index] as number;
      // The time is asked for only where something has failed before.
      if (soundAgainAt === 0 || soundAgainAt <= this.#now()) return index;
    }
    return at;
  }
}

/** Where a request stands in the ring. */
export interface Turn {
  at: number;
  isFirst: boolean;
}
