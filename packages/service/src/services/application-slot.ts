/**
 * Applications of an HTTP service: one for each snapshot of the configuration, swapped while connections stay open.
 *
 * ```
 *   prepared ── commit ──► current ── next commit, or the end ──► replaced ── last exchange ended ──► retired (told once)
 *       └────── discard ────────────────────────────────────────────────────────────────────────────────┘
 * ```
 * An exchange keeps the application that it began with, and several snapshots may have the same one. Exchanges are counted only if somebody wants to hear of retired
 * applications: that costs one object for each exchange, and nothing for each piece of a body.
 */

import type { WireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import type { HttpApplication, Refusal, ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import { callUser, isThenable } from '@ferrata/stream';

/** Told of an application that nothing uses any more. */
export type Retire = (application: HttpApplication) => unknown;

/** One application, and what uses it: snapshots and exchanges. */
export class ApplicationSlot {
  readonly application: HttpApplication;
  /** Null once it was told, too: an application that comes back from there is on its own. */
  #retire: Retire | null;
  readonly #onThrown: (thrown: unknown) => void;
  #useCount = 0;

  constructor(application: HttpApplication, retire: Retire | null, onThrown: (thrown: unknown) => void) {
    this.application = application;
    this.#retire = retire;
    this.#onThrown = onThrown;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    if (this.#retire === null) return this.application.onRequest(exchange);
    this.use();
    let handler: ServerExchangeHandler;
    try {
      handler = this.application.onRequest(exchange);
    } catch (thrown) {
      this.release();
      throw thrown;
    }
    if (typeof handler === 'object' && handler !== null && !isThenable(handler)) return new CountedHandler(handler, this);
    // No handler: the session refuses it, and nobody will hear of the end.
    this.release();
    return handler;
  }

  /** A snapshot, or an exchange, begins to use it; each ends with one `release`. */
  use(): void {
    this.#useCount++;
  }

  release(): void {
    const retire = this.#retire;
    if (--this.#useCount > 0 || retire === null) return;
    this.#retire = null;
    callUser(() => retire(this.application), this.#onThrown);
  }
}

/** The application that the server sees: whichever is current. */
export class CurrentApplication implements HttpApplication {
  slot: ApplicationSlot;

  constructor(slot: ApplicationSlot) {
    this.slot = slot;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    return this.slot.onRequest(exchange);
  }

  /** What it returns is handed on in all these: a promise of the user's that rejects is the session's business. */
  onRefused(refusal: Refusal): void {
    return this.slot.application.onRefused?.(refusal);
  }
}

/** The user's handler, whose end is counted. */
class CountedHandler implements ServerExchangeHandler {
  readonly #handler: ServerExchangeHandler;
  readonly #slot: ApplicationSlot;
  #hasEnded = false;

  constructor(handler: ServerExchangeHandler, slot: ApplicationSlot) {
    this.#handler = handler;
    this.#slot = slot;
  }

  onRequestData(chunk: Uint8Array): void {
    return this.#handler.onRequestData(chunk);
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    return this.#handler.onRequestEnd(trailers);
  }

  onResponseDrain(): void {
    return this.#handler.onResponseDrain();
  }

  onExchangeClose(error: WireError | null): void {
    try {
      return this.#handler.onExchangeClose(error);
    } finally {
      if (!this.#hasEnded) {
        this.#hasEnded = true;
        this.#slot.release();
      }
    }
  }
}
