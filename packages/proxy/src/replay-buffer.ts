/**
 * What was sent of a request's body, kept so that it can be sent again.
 *
 * Bounded in bytes by `maxReplayBytes`, and in objects too: many tiny pieces are joined, as each would hold the memory of the read it came in.
 */
import { concatBytes } from '@ferrata/bytes';

const MAX_PIECES = 64;

export class ReplayBuffer {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #byteLength = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** All pieces, in order. */
  get pieces(): readonly Uint8Array[] {
    return this.#pieces;
  }

  /** Keeps a piece. @returns false if that would be more than may be kept: it is as it was before */
  add(piece: Uint8Array): boolean {
    if (this.#byteLength + piece.length > this.#maxBytes) return false;
    this.#byteLength += piece.length;
    this.#pieces.push(piece);
    if (this.#pieces.length > MAX_PIECES) this.#pieces = [concatBytes(this.#pieces)];
    return true;
  }
}
