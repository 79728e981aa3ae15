/**
 * One direction of a body that a filter sees: each piece goes through it, and the body is held while it works on one, or delays it. Made only
 * where there is such a filter; a body that nobody looks at never comes by here.
 */
import type { HeaderMap } from '@ferrata/headers';
import type { Deadline } from '@ferrata/timeout';
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

/** A hook; null stands for the end of the body. */
export type BodyFilter = (chunk: Uint8Array | null) => Awaitable<BodyFilterResult> | undefined;

/** The exchange that a filter is part of. */
export interface BodyFilterHost {
  /** Calls `next` when the hook's promise is fulfilled, unless the request is over by then. */
  waitFor<T>(promise: PromiseLike<T>, next: (value: T) => void): void;
  /** Calls `next` after a while, unless the request is over by then. */
  after(delayMs: number, next: () => void): Deadline;
  isOver(): boolean;
}

interface Waiting {
  readonly chunk: Uint8Array | null;
  readonly trailers: HeaderMap | null;
}

/** A body, piece by piece through its filter. */
export class FilteredBody implements FilteredBodyTarget {
  readonly #host: BodyFilterHost;
  readonly #filter: BodyFilter;
  readonly #target: FilteredBodyTarget;
  #isWorking = false;
  /** What came while the filter worked: the little that was on its way when the body was held, and the end. */
  readonly #waiting: Waiting[] = [];
  #delay: Deadline | null = null;

  constructor(host: BodyFilterHost, filter: BodyFilter, target: FilteredBodyTarget) {
    this.#host = host;
    this.#filter = filter;
    this.#target = target;
  }

  /** @param chunk null at the end of the body @throws what the hook throws */
  take(chunk: Uint8Array | null, trailers: HeaderMap | null): void {
    if (this.#host.isOver()) return;
    if (this.#isWorking) this.#waiting.push({ chunk, trailers });
    else this.#work(chunk, trailers);
  }

  /** The exchange is over: nothing is delayed any more. */
  stop(): void {
    this.#delay?.cancel();
    this.#delay = null;
  }

  // ---- as the target of another filter

  pass(piece: Uint8Array): void {
    this.take(piece, null);
  }
  end(trailers: HeaderMap | null): void {
    this.take(null, trailers);
  }
  beginWork(): void {
    this.#target.beginWork();
  }
  endWork(): void {
    this.#target.endWork();
  }

  #work(chunk: Uint8Array | null, trailers: HeaderMap | null): void {
    const filter = this.#filter;
    const filtered = filter(chunk);
    if (!isPromise(filtered)) {
      this.#handle(filtered, chunk === null, trailers);
      return;
    }
    this.#begin();
    this.#host.waitFor(filtered, (result) => {
      this.#isWorking = false;
      this.#handle(result, chunk === null, trailers);
      this.#goOn();
    });
  }

  #handle(result: BodyFilterResult | undefined, isLast: boolean, trailers: HeaderMap | null): void {
    if (this.#host.isOver()) return;
    const checked = checkPiece(result);
    if (checked === null || checked instanceof Uint8Array) {
      this.#pass(checked, isLast, trailers);
      return;
    }
    const { piece, delayMs } = checked;
    this.#begin();
    this.#delay = this.#host.after(delayMs, () => {
      this.#isWorking = false;
      this.#delay = null;
      this.#pass(piece, isLast, trailers);
      this.#goOn();
    });
  }

  #pass(piece: Uint8Array | null, isLast: boolean, trailers: HeaderMap | null): void {
    if (this.#host.isOver()) return;
    if (piece !== null && piece.length > 0) this.#target.pass(piece);
    if (isLast) this.#target.end(trailers);
  }

  #begin(): void {
    this.#isWorking = true;
    this.#target.beginWork();
  }

  /** One piece is done, and its work with it, unless it was delayed. */
  #goOn(): void {
    while (!this.#isWorking && !this.#host.isOver()) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#work(next.chunk, next.trailers);
    }
    this.#target.endWork();
  }
}
