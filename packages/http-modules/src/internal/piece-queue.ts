/** Pieces of a body that wait, first in, first out. */
import { EMPTY_BYTES } from '@ferrata/bytes';

/** What a piece is counted with beside its bytes: a limit on bytes alone would let one-byte pieces pile up. */
const ENTRY_BYTES = 64;

/** Slots whose piece has left, from which on the array is cut if they are half of it: each piece is moved once in the mean. */
const CUT_SLOTS = 1024;

/** A queue whose memory is bounded by what waits in it, also where it never runs empty. */
export class PieceQueue {
  #slots: Uint8Array[] = [];
  #start = 0;
  /** What waits, with what each piece costs beside its bytes. */
  cost = 0;

  get isEmpty(): boolean {
    return this.#start === this.#slots.length;
  }

  /** Slots in use, those included whose piece has left. */
  get slotCount(): number {
    return this.#slots.length;
  }

  push(piece: Uint8Array): void {
    this.#slots.push(piece);
    this.cost += piece.length + ENTRY_BYTES;
  }

  /** Only where it is not empty. */
  shift(): Uint8Array {
    const piece = this.#slots[this.#start] as Uint8Array;
    // Nothing that has left is kept alive.
    this.#slots[this.#start++] = EMPTY_BYTES;
    this.cost -= piece.length + ENTRY_BYTES;
    if (this.isEmpty) this.clear();
    else if (this.#start >= CUT_SLOTS && this.#start * 2 >= this.#slots.length) {
      this.#slots = this.#slots.slice(this.#start);
      this.#start = 0;
    }
    return piece;
  }

  clear(): void {
    this.#slots = [];
    this.#start = 0;
    this.cost = 0;
  }
}
