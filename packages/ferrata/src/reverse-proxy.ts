/** The reverse proxy that the command runs: listeners, a proxy whose origins take turns, and an end in order. */
import { setImmediate, setTimeout } from 'node:timers/promises';
import { ioError, type WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, type HttpServerOptions, type Refusal } from '@ferrata/http';
import { descriptorLimit, type Listener, listen, TlsClient, type TlsClientOptions, TlsServer, type TlsServerOptions } from '@ferrata/net';
import { appendForwarded, HttpProxy, type ProxySession } from '@ferrata/proxy';
import type { StreamInfo } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';
import { connectionShare, type HandshakeShares, handshakeShares } from './descriptor-shares.ts';
import { OriginRing, type Turn } from './origin-ring.ts';
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

/** Sockets close within a turn or two; more is not waited for. */
const MAX_CLOSING_TURNS = 100;

/** At the end, handshakes under way get so long to become connections whose request may be on its way; and how often that is looked at. */
const LAST_HANDSHAKES_MS = 3_000;
const LOOK_AGAIN_MS = 10;

/** What a handshake with an origin adds to the time of connecting. */
const HANDSHAKE_SHARE_MS = 2_000;

/** What is spoken over TLS, the preferred one first (RFC 9113 §3.3). */
const ALPN = ['h2', 'http/1.1'] as const;

/** What to run. Times in milliseconds. */
export interface ReverseProxyOptions {
  /** Where to accept connections; at least one. */
  readonly listen: readonly ListenAddress[];
  /** Where requests go, in turn; at least one. */
  readonly to: readonly OriginAddress[];
  /**
   * TLS of the listeners with `isSecure`, which need it: certificates, and whatever else. Unless it says otherwise, `alpn` is `h2` and `http/1.1`, `maxHandshakes`
   * 1 024 and `maxPending` 8 192, or less: both together are at most a quarter of the open files, and with few of them an eighth each.
   */
  readonly tls?: TlsServerOptions;
  /** TLS towards the origins with `isSecure`. Default: verified by the authorities that Node comes with. */
  readonly upstreamTls?: TlsClientOptions;
  /** Called for each connection whose TLS handshake failed, with the facts of the connection below. Must not throw. */
  readonly onHandshakeFailed?: (error: WireError, info: StreamInfo) => void;
  /** Called each time no connection could be made to an origin. Must not throw. */
  readonly onOriginFailed?: (origin: OriginAddress, error: WireError) => void;
  /** HTTP/2: requests at once on one connection to an origin. Default 100. */
  readonly upstreamStreams?: number;
  /** HTTP/2: connections at once to one origin. Default 64. */
  readonly upstreamConnections?: number;
  /** Until a connection to an origin stands. Default 3 000. */
  readonly connectTimeoutMs?: number;
  /** Until an origin sends the first byte of its response, and between two bytes of it. Default 60 000. */
  readonly readTimeoutMs?: number;
  /** How long a client's connection may stay without a request. Default 60 000; a new connection has 15 000 for its first byte in any case. */
  readonly idleTimeoutMs?: number;
  /** Bytes of a request's head. Default 32 768. Raising it lets each connection hold more memory. */
  readonly maxHeaderBytes?: number;
  /** Called once for each request that reached the proxy. */
  readonly onSession?: (session: ProxySession, error: WireError | null) => void;
  /** Called once for each request that was refused before. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Called with what `onSession` threw; the request itself is not affected. Must not throw. Default: nothing. */
  readonly onHookFailed?: (error: WireError) => void;
}

/** A running reverse proxy. */
export interface ReverseProxy {
  readonly listeners: readonly Listener[];
  /** Stops accepting, lets what runs end within `graceMs`, cuts the rest. @returns how many connections were cut */
  stop(graceMs: number): Promise<number>;
  /** Cuts every connection of a client at once; fulfilled when their requests have been told of (`onSession`). */
  cut(): Promise<void>;
}

/**
 * Starts to listen and to proxy.
 * @throws {WireError} when an address cannot be listened on, or certificates cannot work; whatever was opened is closed again
 * @throws {TypeError} when a listener has TLS and there is no certificate
 */
export async function startReverseProxy(options: ReverseProxyOptions): Promise<ReverseProxy> {
  const environment = new HttpEnvironment();
  const tlsClient = options.to.some(({ isSecure }) => isSecure === true) ? new TlsClient(options.upstreamTls) : null;
  const peers = options.to.map((address) => peerFor(address, tlsClient, options));
  const ring = new OriginRing(peers, PASS_OVER_MS, () => environment.recentNow);
  const { onSession, onOriginFailed } = options;
  const proxy = new HttpProxy<Progress>(
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
      ...(options.onRefused === undefined ? {} : { onRefused: options.onRefused }),
      ...(options.onHookFailed === undefined ? {} : { onHookFailed: options.onHookFailed }),
    },
  );
  const limit = descriptorLimit();
  const handshakes = options.listen.some(({ isSecure }) => isSecure === true) ? handshakesOf(options.tls, limit) : null;
  const server = new HttpServer(proxy, {
    environment,
    maxConnections: connectionShare(limit, handshakes),
    connection: {
      ...(options.idleTimeoutMs === undefined
        ? {}
        : { idleTimeoutMs: options.idleTimeoutMs, firstByteTimeoutMs: Math.min(options.idleTimeoutMs, FIRST_BYTE_TIMEOUT_MS) }),
      ...(options.maxHeaderBytes === undefined ? {} : { decoder: { maxHeadBytes: options.maxHeaderBytes } }),
    },
    http2: http2Limits(options),
  });
  const tls = tlsServerFor(options, handshakes);
  const listeners = await listenAll(options, tls, server);
  return {
    listeners,
    async stop(graceMs) {
      await Promise.all(listeners.map((listener) => listener.close()));
      if (tls !== null) await untilShaken(tls, Math.min(graceMs, LAST_HANDSHAKES_MS));
      const cut = await server.drain(graceMs);
      proxy.close();
      await tls?.close();
      await untilClosed(server);
      return cut;
    },
    async cut() {
      server.close();
      await untilClosed(server);
    },
  };
}

/** A connection that was cut says so in a later turn of the event loop, and only then its request gets its line in the log. */
async function untilClosed(server: HttpServer): Promise<void> {
  for (let turn = 0; turn < MAX_CLOSING_TURNS && server.connectionCount > 0; turn++) await setImmediate();
}

/** What the proxy remembers of a request on its way. */
interface Progress {
  readonly turn: Turn;
  sentCount: number;
}

function noAnswer(): WireError {
  return ioError('UPSTREAM_GAVE_NO_ANSWER', `${MAX_SENT} connections ended without a byte of answer`, {
    source: 'upstream',
    retry: 'never',
    wire: { status: 502 },
  });
}

/** Null where no listener needs one. */
function tlsServerFor({ tls }: ReverseProxyOptions, handshakes: HandshakeShares | null): TlsServer | null {
  if (handshakes === null) return null;
  if (tls === undefined) throw new TypeError('a listener with TLS needs a certificate: give tls');
  return new TlsServer({ alpn: ALPN, ...tls, ...handshakes });
}

/** What is not asked for is what there are descriptors for. */
function handshakesOf(tls: TlsServerOptions | undefined, limit: number): HandshakeShares {
  const shares = handshakeShares(limit);
  return { maxHandshakes: tls?.maxHandshakes ?? shares.maxHandshakes, maxPending: tls?.maxPending ?? shares.maxPending };
}

/** A client whose handshake is under way has connected in good faith, as far as anybody can tell. */
async function untilShaken(tls: TlsServer, withinMs: number): Promise<void> {
  for (let waited = 0; waited < withinMs && tls.handshakeCount > 0; waited += LOOK_AGAIN_MS) await setTimeout(LOOK_AGAIN_MS);
}

async function listenAll(options: ReverseProxyOptions, tls: TlsServer | null, server: HttpServer): Promise<Listener[]> {
  const listeners: Listener[] = [];
  const { onHandshakeFailed } = options;
  try {
    for (const { isSecure, ...address } of options.listen) {
      const secure = isSecure === true && tls !== null ? { tls, ...(onHandshakeFailed === undefined ? {} : { onHandshakeFailed }) } : {};
      listeners.push(await listen({ address, ...secure }, (stream) => server.accept(stream)));
    }
    return listeners;
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    await tls?.close();
    throw error;
  }
}

/** What the options of the proxy are for clients that speak HTTP/2. */
function http2Limits({ idleTimeoutMs, maxHeaderBytes }: ReverseProxyOptions): Exclude<HttpServerOptions['http2'], undefined> {
  const connection = {
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs, prefaceTimeoutMs: Math.min(idleTimeoutMs, PREFACE_TIMEOUT_MS) }),
    ...(maxHeaderBytes === undefined ? {} : { maxHeaderListBytes: maxHeaderBytes }),
  };
  return { connection };
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
    ...(readTimeoutMs === undefined ? {} : { connection: times, http2: { connection: times } }),
    ...(upstreamStreams === undefined ? {} : { maxStreamsPerConnection: upstreamStreams }),
    ...(upstreamConnections === undefined ? {} : { maxConnections: upstreamConnections }),
  });
}
