/** Options of a `ConnectServer`, with their defaults. */
import { checkNumber, checkWholeNumber, type WireError } from '@ferrata/error';
import type { ResponseHead } from '@ferrata/headers';
import type { HttpApplication, HttpEnvironment } from '@ferrata/http';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import type { ConnectRequest } from './accept-connect.ts';

/** What to do with a CONNECT: make the tunnel (`true`, or the head of a 2xx), or refuse it (`false` for 403, or the head of another answer). */
export type ConnectAnswer = boolean | ResponseHead;

/** Options of a `ConnectServer`. */
export interface ConnectServerOptions {
  /** Where time comes from; the same as the HTTP server's. */
  readonly environment: HttpEnvironment;
  /**
   * Decides about each CONNECT. There is no default: a server that connects to wherever it is told opens all that it can reach to whoever reaches it.
   * A throw or a rejection is a 500.
   */
  readonly decide: (request: ConnectRequest) => ConnectAnswer | Promise<ConnectAnswer>;
  /**
   * Takes each tunnel. Default: they wait for whoever iterates over the server, see `listenTo` of @ferrata/net. A throw, or the rejection of an `async`
   * function, resets the tunnel.
   */
  readonly onTunnel?: (stream: L4Stream, request: ConnectRequest) => void;
  /** Answers what is no CONNECT to a host: other methods, and extended CONNECT; and hears of what was refused as no request. Default: 405. */
  readonly fallback?: HttpApplication;
  /** How long `decide` may take, above 0; default 10 000 ms. The answer is 503 then. Raising it holds clients longer. */
  readonly decideTimeoutMs?: number;
  /**
   * Promises of `decide` that may be pending at once, at least 1; default 1 024. Above it the answer is 503, and `decide` is not asked. One counts until
   * it settles, also when it took too long or its client has gone, so what `decide` waits for should have a time-out of its own; after ten times
   * `decideTimeoutMs` it is taken for one that never will. Raising it allows more work at once.
   */
  readonly maxPending?: number;
  /** Tunnels that may wait to be iterated over, at least 1; default 1 024. Above it the answer is 503. Each holds what its client sends, one window. */
  readonly maxWaiting?: number;
  /**
   * Told of a throw or rejection of one of the callbacks, a decision that took too long, a tunnel refused because too many wait, and a client that takes
   * no head of the answer's size (`limit H2_PEER_HEADER_LIST`). Default: nothing.
   * What it throws itself, or rejects with, is dropped.
   */
  readonly onError?: (error: WireError, info: StreamInfo) => void;
}

/** `ConnectServerOptions` with every default filled in. */
export interface ResolvedConnectServerOptions {
  readonly environment: HttpEnvironment;
  readonly decide: (request: ConnectRequest) => ConnectAnswer | Promise<ConnectAnswer>;
  readonly onTunnel: ((stream: L4Stream, request: ConnectRequest) => void) | null;
  readonly fallback: HttpApplication | null;
  readonly decideTimeoutMs: number;
  readonly maxPending: number;
  readonly maxWaiting: number;
  readonly onError: ((error: WireError, info: StreamInfo) => void) | null;
}

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number out of range @throws {TypeError} without `decide`
 */
export function resolveConnectServerOptions(options: ConnectServerOptions): ResolvedConnectServerOptions {
  const { environment, decide } = options;
  if (typeof decide !== 'function') throw new TypeError('decide must be a function: who may connect to where');
  const max = environment.deadlines.maxDelayMs;
  return Object.freeze({
    environment,
    decide,
    onTunnel: options.onTunnel ?? null,
    fallback: options.fallback ?? null,
    decideTimeoutMs: checkNumber('decideTimeoutMs', options.decideTimeoutMs ?? 10_000, { above: 0, max }),
    maxPending: checkWholeNumber('maxPending', options.maxPending ?? 1_024, { min: 1 }),
    maxWaiting: checkWholeNumber('maxWaiting', options.maxWaiting ?? 1_024, { min: 1 }),
    onError: options.onError ?? null,
  });
}
