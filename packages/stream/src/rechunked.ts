/**
 * A stream whose bytes come, or go, cut in another way: the same bytes, other chunks.
 *
 * For tests above all: what a peer sees as one write may reach us in any pieces, and no code may depend on them.
 */
import { ByteQueue } from '@ferrata/bytes';
import type { Defer } from './defer.ts';
import { deferToMicrotask } from './defer.ts';
import type { L4Stream } from './l4-stream.ts';
import { type FilterOutlet, filtered, type StreamFilter } from './stream-filter.ts';

/** Sizes of the pieces: a list, used in a circle; or a function asked for each next size. Sizes are whole numbers ≥ 1. */
export type Chunking = readonly number[] | (() => number);

/** How `rechunked` cuts. A direction without a chunking is left alone. */
export interface RechunkOptions {
  readonly incoming?: Chunking;
  readonly outgoing?: Chunking;
  /**
   * Also joins chunks that are smaller than the next piece, as far as they come before the next deferred task; an incomplete piece goes out
   * then. Default false: only cuts.
   */
  readonly merge?: boolean;
  /** Default: microtasks. */
  readonly defer?: Defer;
}

/** `stream` with its bytes cut by `options`. @throws {RangeError} if a list of sizes is empty, or (in use) if a size is not a whole number ≥ 1 */
export function rechunked(stream: L4Stream, options: RechunkOptions): L4Stream {
  const { incoming, outgoing, merge = false, defer = deferToMicrotask } = options;
  const make = (chunking: Chunking) => {
    const nextSize = sizesOf(chunking);
    return (outlet: FilterOutlet) => new RechunkFilter(outlet, nextSize, merge ? defer : null);
  };
  return filtered(stream, {
    incoming: incoming === undefined ? undefined : make(incoming),
    outgoing: outgoing === undefined ? undefined : make(outgoing),
    defer,
  });
}

function sizesOf(chunking: Chunking): () => number {
  if (typeof chunking === 'function') return () => checkSize(chunking());
  if (chunking.length === 0) throw new RangeError('a chunking needs at least one size');
  for (const size of chunking) checkSize(size);
  let next = 0;
  return () => chunking[next++ % chunking.length] as number;
}

function checkSize(size: number): number {
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`a piece must have a whole number of bytes, at least 1, not ${size}`);
  return size;
}

class RechunkFilter implements StreamFilter {
  readonly isBlocked = false;
  readonly #outlet: FilterOutlet;
  readonly #nextSize: () => number;
  /** Null: pieces are never joined, so nothing is held either. */
  readonly #defer: Defer | null;
  readonly #held = new ByteQueue();
  /** Bytes missing until the present piece is complete. */
  #missing: number;
  #isFlushDue = false;

  constructor(outlet: FilterOutlet, nextSize: () => number, defer: Defer | null) {
    this.#outlet = outlet;
    this.#nextSize = nextSize;
    this.#defer = defer;
    this.#missing = nextSize();
  }

  get heldBytes(): number {
    return this.#held.byteLength;
  }

  data(chunk: Uint8Array): void {
    this.#held.push(chunk);
    while (this.#held.byteLength >= this.#missing) {
      this.#outlet.data(this.#held.take(this.#missing));
      this.#missing = this.#nextSize();
    }
    if (this.#held.byteLength === 0) return;
    if (this.#defer === null) this.#flush();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      this.#defer(() => this.#flush());
    }
  }

  end(): void {
    this.#flush();
    this.#outlet.end();
  }

  close(): void {
    this.#held.clear();
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#held.byteLength === 0) return;
    this.#missing -= this.#held.byteLength;
    this.#outlet.data(this.#held.takeAll());
  }
}
