/** How far a client that pipelines is read ahead: in bytes, or in chunks, as many tiny ones cost far more than their bytes. */

/** The bounds of reading ahead. */
export interface LookAheadBounds {
  readonly maxLookAheadBytes: number;
  readonly maxLookAheadChunks: number;
}

/** Counts what waits of the next requests on one connection. */
export class LookAhead {
  readonly #bounds: LookAheadBounds;
  /** Chunks that came since the machine last wanted one. */
  #chunks = 0;

  constructor(bounds: LookAheadBounds) {
    this.#bounds = bounds;
  }

  /**
   * Whether more waits than is to.
   *
   * @param waitingBytes 0: nothing waits, or what does is wanted now
   * @param newChunks how many have come since this was asked before
   */
  isTooFar(waitingBytes: number, newChunks: number): boolean {
    if (waitingBytes === 0) {
      this.#chunks = 0;
      return false;
    }
    this.#chunks += newChunks;
    return waitingBytes > this.#bounds.maxLookAheadBytes || this.#chunks > this.#bounds.maxLookAheadChunks;
  }
}
