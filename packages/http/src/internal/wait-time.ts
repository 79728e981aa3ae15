/** How long a peer has not taken what was sent to it, all in all. Made for an exchange when that first happens. */

export class WaitTime {
  #totalMs = 0;
  /** −1: the peer takes what comes. */
  #since = -1;

  /** The peer does not take what was sent, at this moment. */
  get isRunning(): boolean {
    return this.#since >= 0;
  }

  begin(now: number): void {
    if (this.#since < 0) this.#since = now;
  }

  end(now: number): void {
    if (this.#since < 0) return;
    this.#totalMs += now - this.#since;
    this.#since = -1;
  }

  /** Milliseconds up to now. */
  at(now: number): number {
    return this.#since < 0 ? this.#totalMs : this.#totalMs + now - this.#since;
  }
}
