/** Options of what lies between the accept and `onStream`, common to all listeners; checked once. */
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber, type WireError } from '@ferrata/error';
import type { StreamAddress, StreamInfo } from '@ferrata/stream';
import { checkCallback, checkClock, checkMethods, checkObject } from '../option-checks.ts';
import { TlsServer } from '../tls/tls-server.ts';
import type { TlsServerOptions } from '../tls/tls-server-options.ts';
import { ConnectionCap } from './connection-cap.ts';
import type { ConnectionFilter } from './connection-filter.ts';
import { type AcceptProxyConfig, type AcceptProxyOptions, resolveAcceptProxyOptions } from './proxy-options.ts';

/**
 * What becomes of a connection before it is a stream of the program: caps, then the filter, then the PROXY header, then TLS. A connection that waits
 * for a place under a cap (`maxWaiting`) is shown to the filter as it begins to wait; while the filter's promise is pending it holds a chair.
 */
export interface AcceptOptions {
  /**
   * Open connections of this listener, at most; more are closed as soon as they are accepted. Default `Infinity`. Keep it below the limit of
   * descriptors with a reserve, see `ConnectionCap`.
   */
  readonly maxConnections?: number;
  /** A count shared with other listeners and connectors; holds in addition to `maxConnections`. Default: none. */
  readonly connectionCap?: ConnectionCap;
  /** Asked about each connection before its first byte; with `proxyProtocol` its `peer` is the proxy, never the client. Default: all are served. */
  readonly filter?: ConnectionFilter;
  /** How long a filter may take that answers by a promise, 1 to 600 000 ms; default 5 000. The connection is refused then. */
  readonly filterTimeoutMs?: number;
  /**
   * Filters that may take their time at once; default 1 024. Above it connections are refused, and the filter is not asked. A promise counts until it
   * settles, also when it took too long; after ten times `filterTimeoutMs` it is taken for one that never will. Raising it allows more work at once.
   */
  readonly maxPendingFilters?: number;
  /** Takes PROXY headers from proxies in front. Default: none, a header would be the first bytes of the stream. */
  readonly proxyProtocol?: AcceptProxyOptions;
  /**
   * Serves TLS. One `TlsServer` may serve several listeners, and is closed by whoever made it; of options the listener makes one of its own,
   * which it closes. Default: none.
   */
  readonly tls?: TlsServer | TlsServerOptions;
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Called for each connection closed because of a cap, with the peer's address. Default: nothing. */
  readonly onShed?: (peer: StreamAddress) => void;
  /** Called for each connection that the filter has refused; the error says why (`CONNECTION_FILTERED`, `FILTER_THREW` …). Default: nothing. */
  readonly onRefused?: (error: WireError, info: StreamInfo) => void;
  /** Called for each connection without a proper PROXY header. Default: nothing. */
  readonly onHeaderFailed?: (error: WireError, info: StreamInfo) => void;
  /** Called for each TLS handshake that has failed; `info` is that of the connection below. Default: nothing. */
  readonly onHandshakeFailed?: (error: WireError, info: StreamInfo) => void;
  /**
   * Called for a failure of the listening socket after it had begun to listen, and for a throw from another callback, from a source or its streams.
   * Default: a warning.
   */
  readonly onError?: (error: WireError) => void;
}

/** `AcceptOptions` with every field settled. */
export interface AcceptConfig {
  readonly ownCap: ConnectionCap;
  readonly sharedCap: ConnectionCap | null;
  readonly filter: ConnectionFilter | null;
  readonly filterTimeoutMs: number;
  readonly maxPendingFilters: number;
  readonly proxyProtocol: AcceptProxyConfig | null;
  readonly tls: TlsServer | null;
  /** The listener has made `tls`, and closes it. */
  readonly ownsTls: boolean;
  readonly clock: Clock;
  readonly onShed: ((peer: StreamAddress) => void) | null;
  readonly onRefused: ((error: WireError, info: StreamInfo) => void) | null;
  readonly onHeaderFailed: ((error: WireError, info: StreamInfo) => void) | null;
  readonly onHandshakeFailed: ((error: WireError, info: StreamInfo) => void) | null;
  readonly onError: ((error: WireError) => void) | null;
}

/** The names of `AcceptOptions`. */
export const acceptOptionNames: Readonly<Record<keyof AcceptOptions, true>> = {
  maxConnections: true,
  connectionCap: true,
  filter: true,
  filterTimeoutMs: true,
  maxPendingFilters: true,
  proxyProtocol: true,
  tls: true,
  clock: true,
  onShed: true,
  onRefused: true,
  onHeaderFailed: true,
  onHandshakeFailed: true,
  onError: true,
};

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number out of range @throws {TypeError} for anything else that makes no sense
 * @throws {WireError} for certificates that cannot be used
 */
export function resolveAcceptOptions(options: AcceptOptions): AcceptConfig {
  const clock = options.clock ?? systemClock;
  const { tls, filter, proxyProtocol } = options;
  checkKinds(options);
  const settled = {
    ownCap: new ConnectionCap(options.maxConnections ?? Infinity),
    sharedCap: options.connectionCap ?? null,
    filter: filter ?? null,
    filterTimeoutMs: checkWholeNumber('filterTimeoutMs', options.filterTimeoutMs ?? 5_000, { min: 1, max: 600_000 }),
    maxPendingFilters: checkWholeNumber('maxPendingFilters', options.maxPendingFilters ?? 1_024, { min: 1 }),
    proxyProtocol: proxyProtocol === undefined ? null : resolveAcceptProxyOptions({ clock, ...proxyProtocol }),
    clock,
    onShed: options.onShed ?? null,
    onRefused: options.onRefused ?? null,
    onHeaderFailed: options.onHeaderFailed ?? null,
    onHandshakeFailed: options.onHandshakeFailed ?? null,
    onError: options.onError ?? null,
  };
  // Last, as it may watch files from now on, which nobody would end if a later check threw.
  const ownsTls = tls !== undefined && !isTlsServer(tls);
  return Object.freeze({ ...settled, tls: ownsTls ? new TlsServer(tls) : (tls ?? null), ownsTls });
}

/** @throws {TypeError} for what is neither a number nor known by its name alone */
function checkKinds(options: AcceptOptions): void {
  const { connectionCap, filter, proxyProtocol, tls, clock } = options;
  if (connectionCap !== undefined) checkMethods('connectionCap', connectionCap, 'a ConnectionCap', ['tryTake', 'release', 'drawTicket']);
  if (filter !== undefined) {
    checkMethods('filter', filter, 'an object with a method shouldAccept', ['shouldAccept']);
    for (const name of ['onClosed', 'onGivenUp'] as const) checkCallback(`${name} of the filter`, filter[name]);
  }
  if (proxyProtocol !== undefined) checkObject('proxyProtocol', proxyProtocol);
  if (tls !== undefined) checkObject('tls', tls);
  checkClock(clock);
  for (const name of ['onShed', 'onRefused', 'onHeaderFailed', 'onHandshakeFailed', 'onError'] as const) checkCallback(name, options[name]);
}

/** By its shape: a program may have this package twice. */
function isTlsServer(tls: TlsServer | TlsServerOptions): tls is TlsServer {
  return 'accept' in tls && typeof tls.accept === 'function';
}
