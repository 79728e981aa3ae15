/**
 * One direction of a body that a filter sees: each piece goes through it, and the body is held while it works on one. Made only where there is
 * such a filter; a body that nobody looks at never comes by here.
 */
import type { HeaderMap } from '@ferrata/headers';
import { checkPiece, isPromise } from './hook-result.ts';
import type { Awaitable, BodyFilterResult } from './proxy-hooks.ts';

/** Where a body goes behind its filter. */
export interface FilteredBodyTarget {
  /** The filter works: no more pieces until `endWork`. */
  beginWork(): void;
  endWork(): void;
  pass(piece: Uint8Array): void;
  end(trailers: HeaderMap | null): void;
}

/** A filter and the exchange that it is part of. */
export interface BodyFilterRun {
  /** The hook; null stands for the end of the body. */
  filter(chunk: Uint8Array | null): Awaitable<BodyFilterResult> | undefined;
  /** Calls `next` when the hook's promise is fulfilled, unless the request is over by then. */
  wait(promise: PromiseLike<BodyFilterResult>, next: (piece: BodyFilterResult) => void): void;
  isOver(): boolean;
}

/** A body, piece by piece through its filter. */
export class FilteredBody {
  readonly #run: BodyFilterRun;
  readonly #target: FilteredBodyTarget;

  constructor(run: BodyFilterRun, target: FilteredBodyTarget) {
    this.#run = run;
    this.#target = target;
  }

  /** @param chunk null at the end of the body @throws what the hook throws */
  take(chunk: Uint8Array | null, trailers: HeaderMap | null): void {
    if (this.#run.isOver()) return;
    const filtered = this.#run.filter(chunk);
    if (!isPromise(filtered)) {
      this.#pass(filtered, chunk === null, trailers);
      return;
    }
    this.#target.beginWork();
    this.#run.wait(filtered, (piece) => {
      this.#pass(piece, chunk === null, trailers);
      this.#target.endWork();
    });
  }

  #pass(filtered: BodyFilterResult | undefined, isLast: boolean, trailers: HeaderMap | null): void {
    if (this.#run.isOver()) return;
    const piece = checkPiece(filtered);
    if (piece !== null && piece.length > 0) this.#target.pass(piece);
    if (isLast) this.#target.end(trailers);
  }
}
