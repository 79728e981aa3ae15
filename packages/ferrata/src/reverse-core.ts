/**
 * What the reverse proxy consists of, wherever it runs: all of it in one thread (`startReverseProxy`), or in each thread of a server (`reverse-server.ts`).
 *
 * The proxy asks its origins in turn, the server's limits follow from the descriptors that there are, and TLS has its own share of them.
 */
import { setTimeout } from 'node:timers/promises';
import { checkWholeNumber, ioError, protocolError, type WireError } from '@ferrata/error';
import type { HttpEnvironment, HttpServerOptions, ResponseInit } from '@ferrata/http';
import { compression } from '@ferrata/http-modules';
import { descriptorLimit, type ListenOptions, TlsClient, TlsServer, type TlsServerOptions } from '@ferrata/net';
import { appendForwarded, BackendTries, HttpProxy, type ProxyHooks } from '@ferrata/proxy';
import { type Peer, peer, peerForClient, type UpstreamConnector } from '@ferrata/upstream';
import { connectionShare, type HandshakeShares, handshakeShares } from './descriptor-shares.ts';
import { applyHeaderEdits, type HeaderEdit, parseHeaderEdits } from './header-edits.ts';
import type { GroupList, GroupOrigin, OriginGroup, OriginGroups } from './origin-groups.ts';
import type { ReverseProxyOptions } from './reverse-options.ts';
import { originsOf, RouteTable, routesOf } from './routes.ts';
import type { ListenAddress, OriginAddress } from './urls.ts';

/** How long a new connection may take to send its first byte; a shorter `idleTimeoutMs` holds for it too. */
const FIRST_BYTE_TIMEOUT_MS = 15_000;

/** How long the rest of a connection's preface may take; the same as without `idleTimeoutMs`. */
const PREFACE_TIMEOUT_MS = 10_000;

/**
 * How often a request is sent again, unless it is said: where that cannot do it twice. Origins to which no connection could be made do not count, each of them may be asked, nor do
 * those that have not read it (a GOAWAY in time); but a request that makes origins fall over must not meet them all.
 */
const USUAL_RETRIES = 1;

/** At the end, handshakes under way get so long to become connections whose request may be on its way; and how often that is looked at. */
const LAST_HANDSHAKES_MS = 3_000;
const LOOK_AGAIN_MS = 10;

/** How many discovered origins that cannot be connected to a request asks for. */
const MOST_DISCOVERED_TRIES = 5;

/** No process has so many descriptors. */
const MAX_UNSAID_CONNECTIONS = 10_000_000;

/** What a handshake with an origin adds to the time of connecting. */
const HANDSHAKE_SHARE_MS = 2_000;

/**
 * HTTP/1 requests on one connection to an origin. Enough for the cost of a connection to vanish, and few enough that origins behind an address which is
 * shared out by connection get their part again.
 */
const MAX_REQUESTS_UPSTREAM = 100_000;

/** What is answered where there is no route: the next reload may bring one, so no cache is to keep it, as it may a 404 (RFC 9111 §4.2.2). */
const NO_ROUTE: ResponseInit = { headers: { 'Cache-Control': 'private, no-store' }, body: '404 Not Found\n' };

/** What is spoken over TLS, the preferred one first (RFC 9113 §3.3). */
const ALPN = ['h2', 'http/1.1'] as const;

/** What the proxy remembers of a request on its way. */
export interface Progress {
  /** Null: there are no origins for it. */
  readonly group: OriginGroup | null | 'doubtful';
  /** Null: there is nothing to choose, or nothing was chosen yet. */
  tries: BackendTries<GroupOrigin> | null;
  sentCount: number;
  unreachableCount: number;
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
  /** What outlives this proxy of its origins. */
  readonly groups: OriginGroups;
}

/** The proxy. @throws {TypeError} for changes of fields, or prefixes, that are none @throws {RangeError} for a number out of range, and without any origin */
export function proxyFor(options: ReverseProxyOptions, parts: UpstreamParts): HttpProxy<Progress> {
  const { environment, connector, tls } = parts;
  const { onRefused, onHookFailed, balancing = {}, secretSticky } = options;
  const retries = checkWholeNumber('retries', options.retries ?? USUAL_RETRIES, { min: 0 });
  const routes = routesOf(options);
  const groups = parts.groups.prepare(
    routes,
    {
      balancing,
      tls,
      isSecure: options.listen.every(({ isSecure }) => isSecure === true),
      peerFor: (address) => peerFor(address, tls, options),
      onNotice: (text, isGood) => options.onOriginNotice?.(text, isGood),
    },
    secretSticky,
  );
  const table = new RouteTable(groups);
  // An origin that refuses connections is no reason to stop before the others of its group were asked.
  const mostOrigins = Math.max(0, ...routes.map(({ to, discover }) => (discover === undefined ? to.length : MOST_DISCOVERED_TRIES)));
  return new HttpProxy<Progress>(hooksFor(options, { groups, table, retries }), {
    environment,
    maxRetries: Math.max(retries, mostOrigins - 1),
    ...(options.compression === undefined ? {} : { modules: [compression(options.compression)] }),
    ...(connector === undefined ? {} : { connector }),
    ...(onRefused === undefined ? {} : { onRefused }),
    ...(onHookFailed === undefined ? {} : { onHookFailed }),
  });
}

interface Routed {
  readonly groups: GroupList;
  readonly table: RouteTable<OriginGroup>;
  readonly retries: number;
}

function hooksFor(options: ReverseProxyOptions, { table, retries, groups }: Routed): ProxyHooks<Progress> {
  const { onOriginFailed, sendProxyHeader } = options;
  const edits = { up: parseHeaderEdits(options.headerUp ?? [], 'up'), down: parseHeaderEdits(options.headerDown ?? [], 'down') };
  return {
    newContext({ request }) {
      return { group: table.find(request.target), tries: null, sentCount: 0, unreachableCount: 0 };
    },
    requestFilter(session, { group }) {
      if (group === 'doubtful') throw doubtfulPath();
      // The request is as good as any, and so is its connection.
      if (group === null) session.respond(404, NO_ROUTE);
      return group === null;
    },
    upstreamPeer(session, progress) {
      const { only, plan } = groupOf(progress);
      if (progress.sentCount - session.refusedCount > retries) throw noAnswer(retries + 1);
      const chosen = only === null ? (progress.tries ??= new BackendTries(planOf(plan), undefined)).choose(session) : only.peer;
      return sendProxyHeader === undefined ? chosen : peerForClient(chosen, session.client);
    },
    failToConnect(_session, peer, error, progress) {
      const { only, plan } = groupOf(progress);
      const { tries } = progress;
      const failed = tries?.backendFor(peer)?.extension ?? only;
      if (failed !== null) onOriginFailed?.(failed.address, error);
      tries?.handleUnreachable(peer, error);
      // What else is never to be tried again is no fault of the origin: no descriptors here, or as many requests as it may have.
      if (error.retry !== 'always') return;
      // There may be more tries than this group has origins.
      if (++progress.unreachableCount >= (plan === null ? 1 : plan.balancer.backends.length)) error.retry = 'never';
    },
    upstreamRequestFilter(session, request, progress) {
      progress.sentCount++;
      appendForwarded(session, request);
      applyHeaderEdits(request.headers, edits.up);
    },
    ...answerHooks(options, groups, edits.down),
  };
}

/** Those that are needed: each costs every request a call. */
function answerHooks(options: ReverseProxyOptions, groups: GroupList, down: readonly HeaderEdit[]): Partial<ProxyHooks<Progress>> {
  const { onSession } = options;
  const isBalanced = groups.some(([, { plan }]) => plan !== null);
  const isSticky = groups.some(([, { plan }]) => plan !== null && plan.sticky !== null);
  const isJudging = groups.some(([, group]) => group.isJudging);
  const hooks: Partial<ProxyHooks<Progress>> = {};
  if (isBalanced) hooks.errorWhileProxy = (_session, peer, error, { tries }) => tries?.handleFailed(peer, error);
  if (isJudging) hooks.upstreamResponseFilter = (session, _response, { tries }) => tries?.handleAnswer(session);
  if (isSticky)
    hooks.responseFilter = (session, response, { tries }) => {
      tries?.setCookie(session, response);
      applyHeaderEdits(response.headers, down);
    };
  else if (down.length > 0) hooks.responseFilter = (_session, { headers }) => applyHeaderEdits(headers, down);
  if (isBalanced)
    hooks.logging = (session, error, { tries }) => {
      tries?.end(session, error);
      onSession?.(session, error);
    };
  else if (onSession !== undefined) hooks.logging = onSession;
  return hooks;
}

function groupOf({ group }: Progress): OriginGroup {
  if (group === null || group === 'doubtful') throw new TypeError('a request without origins has come past requestFilter');
  return group;
}

function planOf(plan: OriginGroup['plan']): NonNullable<OriginGroup['plan']> {
  if (plan === null) throw new TypeError('a group without an origin of its own has a plan');
  return plan;
}

/** Null where no origin needs one. @throws {WireError} for authorities that are none */
export function tlsClientFor(options: Pick<ReverseProxyOptions, 'to' | 'routes' | 'upstreamTls'>): TlsClient | null {
  return originsOf(options).some(({ isSecure }) => isSecure === true) ? new TlsClient(options.upstreamTls) : null;
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
  {
    acceptProxy,
    onHandshakeFailed,
    onProxyHeaderFailed,
  }: Pick<ReverseProxyOptions, 'acceptProxy' | 'onHandshakeFailed' | 'onProxyHeaderFailed'>,
): Pick<ListenOptions, 'proxyProtocol' | 'onHeaderFailed' | 'tls' | 'onHandshakeFailed'> {
  const isOverTls = isSecure === true && tls !== null;
  return {
    ...(acceptProxy === undefined ? {} : { proxyProtocol: acceptProxy }),
    ...(acceptProxy === undefined || onProxyHeaderFailed === undefined ? {} : { onHeaderFailed: onProxyHeaderFailed }),
    ...(isOverTls ? { tls } : {}),
    ...(isOverTls && onHandshakeFailed !== undefined ? { onHandshakeFailed } : {}),
  };
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
      // WebSocket (RFC 8441).
      extendedConnect: true,
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

function noAnswer(count: number): WireError {
  const connections = count === 1 ? 'the connection' : `${count} connections`;
  return ioError('UPSTREAM_GAVE_NO_ANSWER', `${connections} ended without a byte of answer`, {
    source: 'upstream',
    retry: 'never',
    wire: { status: 502 },
  });
}

/** Two readers of this path would not see the same one. */
function doubtfulPath(): WireError {
  return protocolError('ROUTE_PATH_DOUBTFUL', 'the path can be read in two ways, which lead to different origins', {
    source: 'downstream',
    wire: { status: 400 },
  });
}

function peerFor(
  { protocol = 'http1', isSecure, weight: _, isBackup: __, ...address }: OriginAddress,
  tls: TlsClient | null,
  options: ReverseProxyOptions,
): Peer {
  const { connectTimeoutMs, readTimeoutMs, upstreamStreams, upstreamConnections, sendProxyHeader } = options;
  const times = readTimeoutMs === undefined ? {} : { firstByteTimeoutMs: readTimeoutMs, readTimeoutMs };
  const isOverTls = isSecure === true && tls !== null;
  return peer(address, {
    protocol,
    ...(isOverTls ? { tls } : {}),
    ...(sendProxyHeader === undefined ? {} : { sendProxyHeader }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    // Whoever shortens the one wants another origin soon, and one that stalls in its handshake is as dead.
    ...(isOverTls && connectTimeoutMs !== undefined ? { totalTimeoutMs: connectTimeoutMs + HANDSHAKE_SHARE_MS } : {}),
    connection: { maxRequests: MAX_REQUESTS_UPSTREAM, ...times },
    ...(readTimeoutMs === undefined ? {} : { http2: { connection: times } }),
    ...(upstreamStreams === undefined ? {} : { maxStreamsPerConnection: upstreamStreams }),
    ...connectionsOf(protocol, upstreamConnections),
  });
}

/**
 * Unless it is said, an HTTP/1 origin gets a connection for each request, as many as the descriptors allow clients: a line to wait in would be filled by whoever holds his
 * requests, and everybody else would wait behind him.
 */
function connectionsOf(protocol: OriginAddress['protocol'], given: number | undefined): { readonly maxConnections?: number } {
  if (given !== undefined) return { maxConnections: given };
  return protocol === 'http1' ? { maxConnections: MAX_UNSAID_CONNECTIONS } : {};
}
