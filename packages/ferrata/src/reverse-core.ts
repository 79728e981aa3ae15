/**
 * What the reverse proxy consists of, wherever it runs: all of it in one thread (`startReverseProxy`), or in each thread of a server (`reverse-server.ts`).
 *
 * The proxy asks its origins in turn, the server's limits follow from the descriptors that there are, and TLS has its own share of them.
 */
import { setTimeout } from 'node:timers/promises';
import { ioError, type WireError } from '@ferrata/error';
import type { HttpEnvironment, HttpServerOptions } from '@ferrata/http';
import { descriptorLimit, type ListenOptions, TlsClient, TlsServer, type TlsServerOptions } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { type Peer, peer, type UpstreamConnector } from '@ferrata/upstream';
import { connectionShare, type HandshakeShares, handshakeShares } from './descriptor-shares.ts';
import { OriginRing, type Turn } from './origin-ring.ts';
import type { ReverseProxyOptions } from './reverse-options.ts';
import type { ListenAddress, OriginAddress } from './urls.ts';

/** How long an origin that could not be connected to is passed over while there are others. */
const PASS_OVER_MS = 1_000;

/** How long a new connection may take to send its first byte; a shorter `idleTimeoutMs` holds for it too. */
const FIRST_BYTE_TIMEOUT_MS = 15_000;

/** How long the rest of a connection's preface may take; the same as without `idleTimeoutMs`. */
const PREFACE_TIMEOUT_MS = 10_000;

/**
 * How often one request is sent at most: once, and once more where that cannot do it twice. Origins to which no connection could be made do not
 * count, each of them may be asked, nor do those that have not read it (a GOAWAY in time); but a request that makes origins fall over must not meet them all.
 */
const MAX_SENT = 2;

/** At the end, handshakes under way get so long to become connections whose request may be on its way; and how often that is looked at. */
const LAST_HANDSHAKES_MS = 3_000;
const LOOK_AGAIN_MS = 10;

/** What a handshake with an origin adds to the time of connecting. */
const HANDSHAKE_SHARE_MS = 2_000;

/**
 * HTTP/1 requests on one connection to an origin. Enough for the cost of a connection to vanish, and few enough that origins behind an address which is
 * shared out by connection get their part again.
 */
const MAX_REQUESTS_UPSTREAM = 100_000;

/** What is spoken over TLS, the preferred one first (RFC 9113 §3.3). */
const ALPN = ['h2', 'http/1.1'] as const;

/** What the proxy remembers of a request on its way. */
export interface Progress {
  readonly turn: Turn;
  sentCount: number;
}

/** Of the descriptors of the process, what one thread may have. */
export interface Shares {
  readonly maxConnections: number;
  /** Null where no listener has TLS. */
  readonly handshakes: HandshakeShares | null;
}

/** With whom the requests of a proxy go upstream. */
export interface UpstreamParts {
  readonly environment: HttpEnvironment;
  /** Default: one of the proxy's own, which ends with it. */
  readonly connector?: UpstreamConnector;
  /** Needed where an origin has TLS. */
  readonly tls: TlsClient | null;
}

/** The proxy. */
export function proxyFor(options: ReverseProxyOptions, { environment, connector, tls }: UpstreamParts): HttpProxy<Progress> {
  const peers = options.to.map((address) => peerFor(address, tls, options));
  const ring = new OriginRing(peers, PASS_OVER_MS, () => environment.recentNow);
  const { onSession, onOriginFailed, onRefused, onHookFailed } = options;
  return new HttpProxy<Progress>(
    {
      newContext: () => ({ turn: ring.begin(), sentCount: 0 }),
      upstreamPeer(session, progress) {
        if (progress.sentCount - session.refusedCount >= MAX_SENT) throw noAnswer();
        return ring.take(progress.turn);
      },
      failToConnect(_session, _peer, error, { turn }) {
        onOriginFailed?.(options.to[turn.at] as OriginAddress, error);
        // Whoever cannot prove who it is will not be able to a moment later; another one may, and nothing was sent.
        if (peers.length > 1 && error.type === 'tls' && error.fault === 'remote') error.retry = 'always';
        // What else is never to be tried again is no fault of the origin: no descriptors here, or as many requests as it may have.
        if (error.retry === 'always') ring.markFailed(turn);
      },
      upstreamRequestFilter(session, request, progress) {
        progress.sentCount++;
        appendForwarded(session, request);
      },
      ...(onSession === undefined ? {} : { logging: onSession }),
    },
    {
      environment,
      maxRetries: Math.max(1, peers.length - 1),
      ...(connector === undefined ? {} : { connector }),
      ...(onRefused === undefined ? {} : { onRefused }),
      ...(onHookFailed === undefined ? {} : { onHookFailed }),
    },
  );
}

/** Null where no origin needs one. @throws {WireError} for authorities that are none */
export function tlsClientFor({ to, upstreamTls }: Pick<ReverseProxyOptions, 'to' | 'upstreamTls'>): TlsClient | null {
  return to.some(({ isSecure }) => isSecure === true) ? new TlsClient(upstreamTls) : null;
}

/** What is not asked for is what there are descriptors for. @param threads that share them */
export function sharesOf({ listen, tls }: Pick<ReverseProxyOptions, 'listen' | 'tls'>, threads = 1): Shares {
  const limit = descriptorLimit();
  const isSecure = listen.some((address) => address.isSecure === true);
  const handshakes = isSecure ? handshakesOf(tls, handshakeShares(limit, threads)) : null;
  return { maxConnections: connectionShare(limit, handshakes, threads), handshakes };
}

function handshakesOf(tls: TlsServerOptions | undefined, shares: HandshakeShares): HandshakeShares {
  return { maxHandshakes: tls?.maxHandshakes ?? shares.maxHandshakes, maxPending: tls?.maxPending ?? shares.maxPending };
}

/** For the listeners that have TLS. @throws {TypeError} without a certificate @throws {WireError} for one that cannot work */
export function tlsServerFor(tls: TlsServerOptions | undefined, handshakes: HandshakeShares): TlsServer {
  if (tls === undefined) throw new TypeError('a listener with TLS needs a certificate: give tls');
  return new TlsServer({ alpn: ALPN, ...tls, ...handshakes });
}

/** How the connections of a listener are accepted. */
export function acceptFor(
  { isSecure }: Pick<ListenAddress, 'isSecure'>,
  tls: TlsServer | null,
  { onHandshakeFailed }: Pick<ReverseProxyOptions, 'onHandshakeFailed'>,
): Pick<ListenOptions, 'tls' | 'onHandshakeFailed'> {
  if (isSecure !== true || tls === null) return {};
  return { tls, ...(onHandshakeFailed === undefined ? {} : { onHandshakeFailed }) };
}

/** The limits of the server in front of the proxy. */
export function httpOptionsFor(options: ReverseProxyOptions, { maxConnections }: Shares): HttpServerOptions {
  const { idleTimeoutMs, maxHeaderBytes } = options;
  return {
    maxConnections,
    connection: {
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs, firstByteTimeoutMs: Math.min(idleTimeoutMs, FIRST_BYTE_TIMEOUT_MS) }),
      ...(maxHeaderBytes === undefined ? {} : { decoder: { maxHeadBytes: maxHeaderBytes } }),
    },
    // The same for clients that speak HTTP/2.
    http2: {
      connection: {
        ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs, prefaceTimeoutMs: Math.min(idleTimeoutMs, PREFACE_TIMEOUT_MS) }),
        ...(maxHeaderBytes === undefined ? {} : { maxHeaderListBytes: maxHeaderBytes }),
      },
    },
  };
}

/** A client whose handshake is under way has connected in good faith, as far as anybody can tell: it gets some time, `withinMs` at most. */
export async function untilShaken(tls: TlsServer | null, withinMs: number): Promise<void> {
  const patienceMs = Math.min(withinMs, LAST_HANDSHAKES_MS);
  for (let waited = 0; tls !== null && waited < patienceMs && tls.handshakeCount > 0; waited += LOOK_AGAIN_MS)
    await setTimeout(LOOK_AGAIN_MS);
}

function noAnswer(): WireError {
  return ioError('UPSTREAM_GAVE_NO_ANSWER', `${MAX_SENT} connections ended without a byte of answer`, {
    source: 'upstream',
    retry: 'never',
    wire: { status: 502 },
  });
}

function peerFor({ protocol = 'http1', isSecure, ...address }: OriginAddress, tls: TlsClient | null, options: ReverseProxyOptions): Peer {
  const { connectTimeoutMs, readTimeoutMs, upstreamStreams, upstreamConnections } = options;
  const times = readTimeoutMs === undefined ? {} : { firstByteTimeoutMs: readTimeoutMs, readTimeoutMs };
  const isOverTls = isSecure === true && tls !== null;
  return peer(address, {
    protocol,
    ...(isOverTls ? { tls } : {}),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    // Whoever shortens the one wants another origin soon, and one that stalls in its handshake is as dead.
    ...(isOverTls && connectTimeoutMs !== undefined ? { totalTimeoutMs: connectTimeoutMs + HANDSHAKE_SHARE_MS } : {}),
    connection: { maxRequests: MAX_REQUESTS_UPSTREAM, ...times },
    ...(readTimeoutMs === undefined ? {} : { http2: { connection: times } }),
    ...(upstreamStreams === undefined ? {} : { maxStreamsPerConnection: upstreamStreams }),
    ...(upstreamConnections === undefined ? {} : { maxConnections: upstreamConnections }),
  });
}
