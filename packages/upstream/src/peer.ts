/** A peer: where to connect to, and how. Two peers with the same key may share connections. */

import { checkNumber, checkWholeNumber } from '@ferrata/error';
import {
  type Http1ClientOptions,
  type Http2ClientOptions,
  type ResolvedHttp1ClientOptions,
  type ResolvedHttp2ClientOptions,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
} from '@ferrata/http';
import type { ClientConnectionOptions } from '@ferrata/http1';
import {
  type AddressLike,
  formatNetAddress,
  identityOf,
  type NetAddress,
  type TlsClientOptions,
  toNetAddress,
  usualTotalTimeoutMs,
} from '@ferrata/net';
import { ClientPeers, headerWithoutClient, type ProxyHeaderVersion } from './client-peers.ts';
import type { OpenStream } from './open-stream.ts';
import {
  type OpenSession,
  type PeerTls,
  resolveTls,
  TIMER_RANGE,
  type TlsConnector,
  type UpstreamProtocol,
  withoutHttp2,
} from './peer-tls.ts';
import { type PeerVia, type PeerViaOptions, resolveVia } from './peer-via.ts';
import { refuseOption } from './refused-options.ts';
import { resolveSourceAddresses } from './source-addresses.ts';
import type { ConnectionTracer } from './stream-opener.ts';

/** How to reach a peer and how long to wait for it. Times in milliseconds; those of connecting in whole ones, up to 2 147 483 647. */
export interface PeerOptions {
  /** Until the connection stands. Default 3 000. Raising it makes a black hole hold its requests for longer. */
  readonly connectTimeoutMs?: number;
  /**
   * Of a name with several addresses, how long one may take before it is given up for the next; the last one has what is left of `connectTimeoutMs`. Default 250; at least 10.
   * Raise it where peers are farther away than that, and `connectTimeoutMs` with it. Raising it makes each dead address delay connecting for longer.
   */
  readonly attemptTimeoutMs?: number;
  /**
   * How long a clean idle connection is kept. Default 50 000, or what the server's `Keep-Alive` promises less a second, if that is shorter.
   * Raising it makes it likelier that a request meets the server's own close.
   */
  readonly idleTimeoutMs?: number;
  /** Age at which a connection is not used again. Default 3 600 000. Raising it keeps traffic on addresses that DNS has long given up. */
  readonly maxConnectionAgeMs?: number;
  /** The IP address to connect from; not to a Unix socket. Default: the kernel's choice. */
  readonly localAddress?: string;
  /**
   * IP addresses to connect from: one of them by chance for each connection, of a family that the peer has. Several give more ports than the some 28 000 of one
   * address. Not with `localAddress`. Default: the kernel's choice.
   */
  readonly localAddresses?: readonly string[];
  /**
   * Silence after which TCP asks whether the peer still lives: 1 000 to 32 767 000 in whole seconds, or 0: never. Default 60 000. Lowering it sends more packets over
   * idle connections.
   */
  readonly keepAliveMs?: number;
  /** Keeps connections apart from those of other groups to the same address. Default: none. */
  readonly group?: string;
  /**
   * Makes the stream to this peer, instead of the connector's own way: a tunnel, a pair in memory, a socket with options of your own. TLS, if set, runs over
   * it. Connections are shared only among peers with the very same function, whoever asks for them: so what it does, and what it writes in front (a PROXY header),
   * must be the same each time. Where it differs, give each header a function, or a `group`, of its own.
   */
  readonly connect?: OpenStream;
  /**
   * A proxy in front, which is asked by CONNECT; TLS to the peer, if set, runs through it. It looks the name up, and comes under `connectTimeoutMs`. Connections through
   * different proxies, or with different fields, are never shared. Not with `connect`, nor to a Unix socket. Default: none.
   */
  readonly via?: PeerViaOptions;
  /**
   * Begins each connection with a PROXY header of that version, before TLS. Whom it tells of is said by `peerForClient(peer, info)`; the peer itself, as a health
   * check uses it, speaks for nobody (`LOCAL`, in version 1 `UNKNOWN`). Each client has connections of its own then. Default: none.
   */
  readonly sendProxyHeader?: ProxyHeaderVersion;
  /** Told when a connection stands and when it has ended. Default: nobody; a connection with one costs two more calls a chunk. */
  readonly tracer?: ConnectionTracer;
  /**
   * TLS: `true` for the defaults of `TlsClient` of @ferrata/net, its options, or a client that many peers share (with its sessions for resumption).
   * Verified is the host of the address, unless the options name another. Default: none.
   */
  readonly tls?: TlsConnector | TlsClientOptions | boolean;
  /** How long a TLS handshake may take. Default 5 000. Raising it makes a peer that accepts and then is silent hold its requests for longer. */
  readonly tlsTimeoutMs?: number;
  /**
   * With TLS: until the connection is usable, transport and handshake together. Default 5 000 while the times of both have their defaults, else their sum
   * (`usualTotalTimeoutMs` of @ferrata/net). Raising it makes a peer that is slow in both hold its requests for longer.
   */
  readonly totalTimeoutMs?: number;
  /**
   * Protocols of your own, by the names that ALPN offers for them, before those of HTTP. A server that chooses one gets a session made by its function;
   * what it chooses else is HTTP. Needs `tls`. Default: none.
   */
  readonly customProtocols?: Readonly<Record<string, OpenSession>>;
  /**
   * What to speak. Default `http1`. With `http2` many requests share a connection: over TLS it must be agreed on by ALPN, without TLS both know it
   * before (RFC 9113 §3.3). `auto` leaves the choice to ALPN; without TLS nothing can choose, and it is `http1`.
   */
  readonly protocol?: UpstreamProtocol;
  /** HTTP/1: limits and time-outs of responses. */
  readonly connection?: ClientConnectionOptions;
  /** HTTP/1: how long a peer that reads nothing may hold a request. Default 30 000. */
  readonly writeTimeoutMs?: number;
  /** HTTP/2: limits and time-outs of connections. */
  readonly http2?: Http2ClientOptions;
  /**
   * HTTP/2: requests at once on one connection. Default 100, at least 1; what the peer itself allows is kept too. Raising it puts more requests
   * behind one loss of a packet, and under one failure of a connection.
   */
  readonly maxStreamsPerConnection?: number;
  /**
   * Connections at once, idle ones included; at least 1. HTTP/1: default 1 024, to which those that became tunnels do not count; to a number given they do. HTTP/2: default 64, but for those that
   * only finish what they carry; one more is made only when the others are full, and with few, clients that hold their streams would take all places. With `auto` the
   * number given holds for each of the two. Raising it costs descriptors at both ends.
   */
  readonly maxConnections?: number;
  /** Requests that may wait when every connection is full, and no other may be made. Default 1 024; 0: none. Raising it holds more clients that may be told 503 at once. */
  readonly maxPending?: number;
  /** How long such a request waits; over HTTP/2 beside the time in which a connection is made. Default 5 000. */
  readonly pendingTimeoutMs?: number;
}

const names: Readonly<Record<keyof PeerOptions, true>> = {
  connectTimeoutMs: true,
  attemptTimeoutMs: true,
  idleTimeoutMs: true,
  maxConnectionAgeMs: true,
  localAddress: true,
  localAddresses: true,
  keepAliveMs: true,
  group: true,
  connect: true,
  via: true,
  sendProxyHeader: true,
  tracer: true,
  tls: true,
  tlsTimeoutMs: true,
  totalTimeoutMs: true,
  customProtocols: true,
  protocol: true,
  connection: true,
  writeTimeoutMs: true,
  http2: true,
  maxStreamsPerConnection: true,
  maxConnections: true,
  maxPending: true,
  pendingTimeoutMs: true,
};

/** A peer, ready for use. Make it once, with `peer`, and use it for many requests. */
export interface Peer {
  readonly address: NetAddress;
  /** Connections are shared between peers of one key, and only between them. */
  readonly key: string;
  /** What is remembered of the peer itself, whoever its client is, goes by this: `key`, but for what `peerForClient` has made. */
  readonly originKey: string;
  /** What a request without a Host is sent with. */
  readonly authority: string;
  readonly connectTimeoutMs: number;
  /** Of each address but the last. */
  readonly attemptTimeoutMs: number;
  /** Transport and handshake together; without TLS the same as `connectTimeoutMs`. */
  readonly totalTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionAgeMs: number;
  /** Those to connect from; none: the kernel's choice. */
  readonly localAddresses: readonly string[];
  readonly keepAliveMs: number;
  /** Null: the connector's own way. */
  readonly connect: OpenStream | null;
  /** Null: no proxy in front. */
  readonly via: PeerVia | null;
  /** What is said before everything else; null: nothing. */
  readonly proxyHeader: Uint8Array | null;
  /** The peers of its clients, for `peerForClient`; null where no client is told of. */
  readonly clients: ClientPeers | null;
  readonly tracer: ConnectionTracer | null;
  /** Null: none. */
  readonly tls: PeerTls | null;
  /** `auto` only over TLS. */
  readonly protocol: UpstreamProtocol;
  /**
   * With `auto`, the same peer by HTTP/1 only, for requests that ask to switch protocols: HTTP/2 knows nothing of that (RFC 9113 §8.6). Null: the peer itself
   * will do.
   */
  readonly forUpgrade: Peer | null;
  readonly client: ResolvedHttp1ClientOptions;
  /** Null where only HTTP/1 is spoken. */
  readonly http2: ResolvedHttp2ClientOptions | null;
  readonly maxStreamsPerConnection: number;
  /** Of HTTP/2. */
  readonly maxConnections: number;
  /** Of HTTP/1. */
  readonly maxHttp1Connections: number;
  /** Of HTTP/1: a connection that became a tunnel has its place until it is closed. */
  readonly areTunnelsCounted: boolean;
  readonly maxPending: number;
  readonly pendingTimeoutMs: number;
}

/**
 * Describes a peer.
 *
 * Its key is made of all that makes connections different: address, local addresses, group, protocol, the function that connects, the proxy in front and what it
 * is asked with, the PROXY header, all of TLS that can make two connections unequal, and the limits and time-outs of responses, as a connection keeps
 * those it was made with; also how many connections there may be and who waits for them, where that is said. The other times (connecting, handshakes,
 * idleness, age) of shared connections are those of the first of their peers.
 *
 * @param address `host:port`, `tcp://host:port`, `unix:/path`, `{ host, port }` or `{ path }`
 * @throws {TypeError} when an address cannot be read, an option is of the wrong kind or has a name that nobody knows
 * @throws {RangeError} when an option makes no sense
 * @throws {WireError} `TLS_…` when certificates, keys or ciphers cannot work
 */
export function peer(address: AddressLike, options: PeerOptions = {}): Peer {
  const where = toNetAddress(address);
  checkKinds(options);
  const { protocol = 'http1' } = options;
  if (protocol !== 'http1' && protocol !== 'http2' && protocol !== 'auto')
    throw new RangeError(`protocol must be http1, http2 or auto, not ${String(protocol)}`);
  const tls = resolveTls(options, protocol, where);
  const via = resolveVia(options, where);
  return describe(where, options, { tls, via, protocol: tls === null && protocol === 'auto' ? 'http1' : protocol });
}

/** What takes more than a look to check. */
interface Resolved {
  readonly tls: PeerTls | null;
  readonly via: PeerVia | null;
  readonly protocol: UpstreamProtocol;
}

function describe(where: NetAddress, options: PeerOptions, { tls, via, protocol }: Resolved): Peer {
  const http1: Http1ClientOptions = {
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.writeTimeoutMs === undefined ? {} : { writeTimeoutMs: options.writeTimeoutMs }),
  };
  const sharing = {
    maxStreamsPerConnection: checkWholeNumber('maxStreamsPerConnection', options.maxStreamsPerConnection ?? 100, { min: 1 }),
    maxConnections: checkWholeNumber('maxConnections', options.maxConnections ?? 64, { min: 1 }),
    maxHttp1Connections: options.maxConnections ?? 1_024,
    maxPending: checkWholeNumber('maxPending', options.maxPending ?? 1_024, { min: 0 }),
    pendingTimeoutMs: checkNumber('pendingTimeoutMs', options.pendingTimeoutMs ?? 5_000, { above: 0 }),
  };
  const http2 = { ...options.http2, ...sharing };
  const connectTimeoutMs = checkWholeNumber('connectTimeoutMs', options.connectTimeoutMs ?? 3_000, TIMER_RANGE);
  const handshakeTimeoutMs = tls?.details.handshakeTimeoutMs ?? 0;
  const { totalTimeoutMs = usualTotalTimeoutMs(connectTimeoutMs, handshakeTimeoutMs) } = options;
  const bounded1 = { ...http1, ...saidOf(options) };
  const http = { http1: bounded1, http2, auto: { http1, http2 } }[protocol];
  const key = keyOf(where, options, { http, protocol, tls, via });
  const { sendProxyHeader = null } = options;
  const clients: ClientPeers | null =
    sendProxyHeader === null ? null : new ClientPeers(sendProxyHeader, (header, name) => forClient(described, header, name));
  const described: Peer = Object.freeze({
    address: where,
    key,
    originKey: key,
    authority: authorityOf(where, tls === null ? 80 : 443),
    connectTimeoutMs,
    attemptTimeoutMs: checkWholeNumber('attemptTimeoutMs', options.attemptTimeoutMs ?? 250, { ...TIMER_RANGE, min: 10 }),
    totalTimeoutMs: tls === null ? connectTimeoutMs : checkWholeNumber('totalTimeoutMs', totalTimeoutMs, TIMER_RANGE),
    idleTimeoutMs: checkNumber('idleTimeoutMs', options.idleTimeoutMs ?? 50_000, { above: 0 }),
    maxConnectionAgeMs: checkNumber('maxConnectionAgeMs', options.maxConnectionAgeMs ?? 3_600_000, { above: 0 }),
    localAddresses: resolveSourceAddresses(options, where),
    keepAliveMs: checkKeepAlive(options.keepAliveMs ?? 60_000),
    connect: options.connect ?? null,
    via,
    proxyHeader: sendProxyHeader === null ? null : headerWithoutClient(sendProxyHeader),
    clients,
    tracer: options.tracer ?? null,
    tls,
    protocol,
    forUpgrade: tls === null || protocol !== 'auto' ? null : describe(where, options, { tls: withoutHttp2(tls), via, protocol: 'http1' }),
    client: resolveHttp1ClientOptions(http1),
    http2: protocol === 'http1' ? null : resolveHttp2(options.http2, sharing.maxStreamsPerConnection, tls !== null),
    areTunnelsCounted: options.maxConnections !== undefined,
    ...sharing,
  });
  return described;
}

/** The same peer, but that its connections begin with `header`, and belong to whom it tells of. @param name tells that header from all others */
function forClient(peer: Peer, header: Uint8Array, name: string): Peer {
  const { forUpgrade } = peer;
  return Object.freeze({
    ...peer,
    key: JSON.stringify([peer.key, name]),
    proxyHeader: header,
    // It speaks for one client, and for no other.
    clients: null,
    forUpgrade: forUpgrade === null ? null : forClient(forUpgrade, header, name),
  });
}

/** @throws {TypeError} */
function checkKinds(options: PeerOptions): void {
  for (const name of Object.keys(options)) if (!Object.hasOwn(names, name)) refuseOption(name);
  const { connect, group, sendProxyHeader, tracer } = options;
  if (connect !== undefined && typeof connect !== 'function') throw new TypeError('connect must be a function that makes a stream');
  if (group !== undefined && typeof group !== 'string') throw new TypeError('group must be text');
  if (sendProxyHeader !== undefined && sendProxyHeader !== 'v1' && sendProxyHeader !== 'v2')
    throw new TypeError(`sendProxyHeader must be v1 or v2, not ${String(sendProxyHeader)}`);
  if (tracer === undefined) return;
  if (typeof tracer !== 'object' || tracer === null)
    throw new TypeError('tracer must be an object with onConnected, onDisconnected, or both');
  for (const name of ['onConnected', 'onDisconnected'] as const)
    if (tracer[name] !== undefined && typeof tracer[name] !== 'function') throw new TypeError(`tracer.${name} must be a function`);
}

/** @throws {RangeError} */
function checkKeepAlive(keepAliveMs: number): number {
  const value = checkWholeNumber('keepAliveMs', keepAliveMs, { min: 0, max: 32_767_000 });
  if (value > 0 && value < 1_000)
    throw new RangeError(`keepAliveMs must be 0, or 1000 to 32767000, not ${value}: the kernel counts in seconds`);
  return value;
}

/** HTTP/1: what was said of the number of connections and of who waits for them. */
function saidOf({ maxConnections, maxPending, pendingTimeoutMs }: PeerOptions): object {
  return {
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(maxPending === undefined ? {} : { maxPending }),
    ...(pendingTimeoutMs === undefined ? {} : { pendingTimeoutMs }),
  };
}

/** The connection itself, too, opens no more streams than are shared out. */
function resolveHttp2(
  options: Http2ClientOptions | undefined,
  maxConcurrentStreams: number,
  isSecure: boolean,
): ResolvedHttp2ClientOptions {
  // RFC 9113 §8.3.1: the scheme is that of the target URI, which for us is that of the connection.
  const scheme = isSecure ? 'https' : 'http';
  return resolveHttp2ClientOptions({ ...options, connection: { maxConcurrentStreams, scheme, ...options?.connection } });
}

interface KeyParts {
  readonly http: object;
  readonly protocol: UpstreamProtocol;
  readonly tls: PeerTls | null;
  readonly via: PeerVia | null;
}

/** As JSON, no part can be taken for another, whatever it holds. */
function keyOf(address: NetAddress, options: PeerOptions, { http, protocol, tls, via }: KeyParts): string {
  const where = formatNetAddress(address);
  const { localAddresses, localAddress, group, connect, sendProxyHeader, tracer, keepAliveMs } = options;
  const others = [
    localAddresses ?? localAddress ?? null,
    keepAliveMs ?? null,
    group ?? null,
    connect === undefined ? null : identityOf(connect),
    via === null ? null : via.key,
    sendProxyHeader ?? null,
    tracer === undefined ? null : identityOf(tracer),
    isEmpty(http) ? null : http,
    tls === null ? null : tls.key,
    protocol === 'http1' ? null : protocol,
  ];
  return others.every((other) => other === null) ? where : JSON.stringify([where, ...others], endless);
}

/** JSON knows no Infinity, and would make it what null is. No option is text like this. */
function endless(_name: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? 'Infinity' : value;
}

function isEmpty(options: object): boolean {
  return Object.keys(options).length === 0;
}

function authorityOf(address: NetAddress, defaultPort: number): string {
  if (address.kind === 'unix') return 'localhost';
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return address.port === defaultPort ? host : `${host}:${address.port}`;
}
