/**
 * A request's body on its way from the client to the upstream, whichever that is in the end.
 *
 * It is held while there is no upstream, while the upstream is full, and while a filter works on a piece; when the last of these reasons is
 * gone, it goes on. What was passed on is kept, so that a retry can send it again, until it is too much or `forget` is called. What a filter gives
 * while there is no upstream waits for the next one, however much it is.
 */
import type { HeaderMap } from '@ferrata/headers';
import type { ClientExchange, ServerExchange } from '@ferrata/http';
import { ReplayBuffer } from './replay-buffer.ts';

/** The body of one request that has one. */
export class RequestBody {
  readonly #exchange: ServerExchange;
  #upstream: ClientExchange | null = null;
  /** Null: what was passed on is not all kept any more. */
  #kept: ReplayBuffer | null;
  /** All of the body so far, where that is too much to be kept, and waits for an upstream. */
  #waiting: Uint8Array[] | null = null;
  #isUpstreamFull = false;
  /** Pieces that filters work on. */
  #workCount = 0;
  #isEnded = false;
  #trailers: HeaderMap | null = null;

  constructor(exchange: ServerExchange, maxReplayBytes: number) {
    this.#exchange = exchange;
    this.#kept = new ReplayBuffer(maxReplayBytes);
  }

  /** All that was passed on so far can be sent, once more or for the first time. */
  get canReplay(): boolean {
    return this.#kept !== null || this.#waiting !== null;
  }

  /** There is no upstream (any more): the body waits at the client. */
  hold(): void {
    this.#upstream = null;
    if (!this.#isEnded) this.#exchange.pauseRequest();
  }

  /** Goes to an upstream, beginning with what came so far: in an earlier attempt, or while filters worked. */
  flowTo(upstream: ClientExchange): void {
    this.#upstream = upstream;
    this.#isUpstreamFull = false;
    const pieces = this.#kept === null ? this.#waiting : this.#kept.pieces;
    this.#waiting = null;
    if (pieces !== null) for (const piece of pieces) if (!upstream.sendData(piece)) this.#isUpstreamFull = true;
    if (this.#isEnded) upstream.sendEnd(this.#trailers);
    else this.#resume();
  }

  pass(piece: Uint8Array): void {
    const upstream = this.#upstream;
    if (this.#waiting !== null) this.#waiting.push(piece);
    else if (this.#kept !== null && !this.#kept.add(piece)) {
      if (upstream === null) this.#waiting = [...this.#kept.pieces, piece];
      this.#kept = null;
    }
    if (upstream === null || upstream.sendData(piece)) return;
    this.#isUpstreamFull = true;
    this.#exchange.pauseRequest();
  }

  end(trailers: HeaderMap | null): void {
    this.#isEnded = true;
    this.#trailers = trailers;
    this.#upstream?.sendEnd(trailers);
  }

  /** A filter works on a piece. */
  beginWork(): void {
    this.#workCount++;
    this.#exchange.pauseRequest();
  }

  endWork(): void {
    this.#workCount--;
    this.#resume();
  }

  /** The upstream takes bytes again. */
  handleDrain(): void {
    this.#isUpstreamFull = false;
    this.#resume();
  }

  /** There will be no retry. */
  forget(): void {
    this.#kept = null;
    this.#waiting = null;
  }

  #resume(): void {
    if (this.#upstream !== null && !this.#isUpstreamFull && this.#workCount === 0) this.#exchange.resumeRequest();
  }
}
