/** A walk along the ring: the distinct nodes from a key on, in the order in which they would inherit it. */
import { hashOf } from './internal/key-hash.ts';
import type { PointTable } from './internal/point-table.ts';
import type { ResolvedKetamaNode } from './ketama-ring.ts';

/**
 * The addresses of the distinct nodes from a place on the ring, each once. Made by `KetamaRing.nodesFrom`; it is its own iterator, so it can
 * be walked once, until it is restarted.
 */
export class RingWalk implements IterableIterator<string> {
  readonly #nodes: readonly ResolvedKetamaNode[];
  readonly #table: PointTable;
  #place: number;
  /** Points not yet looked at. */
  #pointsLeft: number;
  /** Nodes not yet met; a node all of whose points others have is never met. */
  #nodesLeft: number;
  /** A bit for each node that was met; made with the second step, since most walks end after the first. */
  #met: Uint32Array | null = null;
  #first = -1;
  #hasMet = false;

  /** @internal */
  constructor(nodes: readonly ResolvedKetamaNode[], table: PointTable, hash: number) {
    this.#nodes = nodes;
    this.#table = table;
    this.#place = table.find(hash);
    this.#pointsLeft = table.count;
    this.#nodesLeft = nodes.length;
  }

  /**
   * Steps to the next node; allocates nothing from the third step on.
   *
   * @returns its place in the ring's `nodes`; −1 when each was met
   */
  nextIndex(): number {
    const { owners, count } = this.#table;
    if (this.#nodesLeft === 0) return -1;
    while (this.#pointsLeft > 0) {
      const owner = owners[this.#place] as number;
      this.#place = this.#place + 1 === count ? 0 : this.#place + 1;
      this.#pointsLeft -= 1;
      if (this.#meet(owner)) return owner;
    }
    return -1;
  }

  /**
   * Begins anew with another key, and allocates nothing: one walk may serve all look-ups of a thread.
   *
   * @throws {TypeError} when the key is neither text nor bytes
   */
  restartFrom(key: string | Uint8Array): void {
    this.restartFromHash(hashOf(key));
  }

  /** `restartFrom` for a key whose hash the caller has. @param hash its low 32 bits count */
  restartFromHash(hash: number): void {
    this.#place = this.#table.find(hash >>> 0);
    this.#pointsLeft = this.#table.count;
    this.#nodesLeft = this.#nodes.length;
    this.#first = -1;
    if (!this.#hasMet) return;
    this.#met?.fill(0);
    this.#hasMet = false;
  }

  next(): IteratorResult<string, undefined> {
    const index = this.nextIndex();
    return index === -1 ? { done: true, value: undefined } : { done: false, value: (this.#nodes[index] as ResolvedKetamaNode).address };
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** @returns whether the node is met for the first time */
  #meet(owner: number): boolean {
    if (this.#first === -1) {
      this.#first = owner;
    } else {
      if (owner === this.#first) return false;
      this.#met ??= new Uint32Array((this.#nodes.length + 31) >>> 5);
      const word = this.#met[owner >>> 5] as number;
      const bit = 1 << (owner & 31);
      if ((word & bit) !== 0) return false;
      this.#met[owner >>> 5] = word | bit;
      this.#hasMet = true;
    }
    this.#nodesLeft -= 1;
    return true;
  }
}
