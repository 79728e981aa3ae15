/**
 * Tunnels that wait for whoever iterates, and those who iterate and wait for tunnels. One of the two is empty at any time.
 *
 * Rules of this file:
 * - A tunnel is given out once, in order; one that has closed while it waited is not.
 * - An iterator that was left takes no tunnel any more, not even for a `next` that was still waiting.
 */
import type { L4Stream } from '@ferrata/stream';

type Result = IteratorResult<L4Stream, undefined>;

/** A `next` that waits. */
interface Taker {
  readonly visitor: Visitor;
  readonly resolve: (result: Result) => void;
}

export class TunnelQueue {
  readonly #maxWaiting: number;
  readonly #streams = new Set<L4Stream>();
  #takers: Taker[] = [];
  #isClosed = false;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Whether a tunnel would be taken, now or soon; so it is while somebody waits for one, as then none waits. */
  get hasRoom(): boolean {
    return !this.#isClosed && this.#streams.size < this.#maxWaiting;
  }

  put(stream: L4Stream): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#streams.add(stream);
    else taker.resolve({ done: false, value: stream });
  }

  /** The tunnel has closed; nothing happens if it was taken already. */
  remove(stream: L4Stream): void {
    this.#streams.delete(stream);
  }

  iterate(): AsyncIterator<L4Stream, undefined> {
    return new Visitor(this);
  }

  /** Ends all iterations. @returns the tunnels that nobody has taken */
  close(): L4Stream[] {
    this.#isClosed = true;
    for (const { resolve } of this.#takers.splice(0)) resolve(over());
    const left = [...this.#streams];
    this.#streams.clear();
    return left;
  }

  // ---- called by visitors --------------------------------------------------------------------------------------------------------

  next(visitor: Visitor): Promise<Result> {
    for (const stream of this.#streams) {
      this.#streams.delete(stream);
      return Promise.resolve({ done: false, value: stream });
    }
    if (this.#isClosed) return Promise.resolve(over());
    return new Promise((resolve) => this.#takers.push({ visitor, resolve }));
  }

  dismiss(visitor: Visitor): void {
    const leaving = this.#takers.filter((taker) => taker.visitor === visitor);
    this.#takers = this.#takers.filter((taker) => taker.visitor !== visitor);
    for (const { resolve } of leaving) resolve(over());
  }
}

/** One iteration. */
class Visitor implements AsyncIterator<L4Stream, undefined> {
  readonly #queue: TunnelQueue;
  #hasLeft = false;

  constructor(queue: TunnelQueue) {
    this.#queue = queue;
  }

  next(): Promise<Result> {
    return this.#hasLeft ? Promise.resolve(over()) : this.#queue.next(this);
  }

  return(): Promise<Result> {
    this.#hasLeft = true;
    this.#queue.dismiss(this);
    return Promise.resolve(over());
  }
}

function over(): Result {
  return { done: true, value: undefined };
}
