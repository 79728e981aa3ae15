/**
 * What becomes of exchanges whose client has ended its side: a half-close and a close look alike until something is written. Those on which nothing moves for a grace are
 * given up, as the client is probably gone, unless the exchange wants to serve it all the same.
 *
 * Made only when a client ends its side. At `lookAt` the session asks `takeGone`; an exchange is gone if nothing has moved since it was looked at before. One whose request was not
 * read whole yet, as the application has paused it, is not: what has come is read first. Nor is one that has more bytes before the client than it takes: it is slow, and other times run.
 */
import type { WireError } from '@ferrata/error';
import type { ServerExchange } from '../exchange.ts';
import type { ExchangeSettings } from '../exchange-settings.ts';
import { clientClosed } from './session-errors.ts';

/** An exchange, as far as this must know it. */
export interface HalfClosedExchange extends Pick<ServerExchange, 'requestBytes' | 'responseBytes' | 'writePendingMs' | 'hasResponded'> {
  /** Absent: given up only before its response has begun. */
  readonly settings: Pick<ExchangeSettings, 'abortOnHalfClose'> | null;
  /** Nothing of the request waits to be read. */
  readonly isRequestRead: boolean;
  /** The client has not taken what was sent. */
  readonly isWritePending: boolean;
}

/** Where an exchange stood when it was looked at, and when to look again. */
interface Look {
  readonly moved: number;
  readonly nextAt: number;
  /** As it was set. */
  readonly abortOnHalfClose: boolean | undefined;
}

/** The exchanges of one connection whose client has ended its side. */
export class HalfClose<Exchange extends HalfClosedExchange> {
  /** When to ask `takeGone`; never later than the first that is due. */
  lookAt = Number.POSITIVE_INFINITY;
  readonly #graceMs: number;
  #looks = new Map<Exchange, Look>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** Begins the grace of an exchange that runs as the client ends its side, or begins behind that; not again. */
  watchNew(exchange: Exchange, now: number): void {
    if (!this.#looks.has(exchange)) this.#begin(exchange, now);
  }

  /** The settings of an exchange may have changed: its grace begins anew if it is to be given up by another rule. */
  watchChanged(exchange: Exchange, now: number): void {
    const look = this.#looks.get(exchange);
    if (look === undefined || look.abortOnHalfClose !== exchange.settings?.abortOnHalfClose) this.#begin(exchange, now);
  }

  #begin(exchange: Exchange, now: number): void {
    const abortOnHalfClose = exchange.settings?.abortOnHalfClose;
    this.#keep(exchange, { moved: movedOf(exchange), nextAt: now + this.#graceMs, abortOnHalfClose });
  }

  /** Looks at the one that runs. @returns true if nothing has moved on it */
  isGone(exchange: Exchange, now: number): boolean {
    return now >= this.lookAt && this.takeGone([exchange], now).length > 0;
  }

  /** Looks at those that run, and forgets all others. @returns those on which nothing has moved, once each */
  takeGone(running: Iterable<Exchange>, now: number): Exchange[] {
    const gone: Exchange[] = [];
    const before = this.#looks;
    this.#looks = new Map();
    this.lookAt = Number.POSITIVE_INFINITY;
    for (const exchange of running) {
      if (!isWatched(exchange)) continue;
      const look = before.get(exchange);
      if (look !== undefined && now < look.nextAt) this.#keep(exchange, look);
      else if (look?.moved === movedOf(exchange) && exchange.isRequestRead && !exchange.isWritePending) gone.push(exchange);
      else this.#begin(exchange, now);
    }
    return gone;
  }

  #keep(exchange: Exchange, look: Look): void {
    this.#looks.set(exchange, look);
    this.lookAt = Math.min(this.lookAt, look.nextAt);
  }
}

/** With what an exchange ends whose client is gone. */
export function clientGone({ hasResponded }: HalfClosedExchange): WireError {
  return clientClosed(`the client closed the connection before the response${hasResponded ? ' was whole' : ''}`);
}

function isWatched({ settings, hasResponded }: HalfClosedExchange): boolean {
  const abortOnHalfClose = settings?.abortOnHalfClose;
  return abortOnHalfClose ?? !hasResponded;
}

/** A figure that only grows, with whatever moves: bytes either way, and the time in which bytes waited for a client that has taken them since. */
function movedOf({ requestBytes, responseBytes, writePendingMs, hasResponded, isRequestRead }: HalfClosedExchange): number {
  return requestBytes + responseBytes + writePendingMs + Number(hasResponded) + Number(isRequestRead);
}
