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
  checkLocalAddress,
  formatNetAddress,
  identityOf,
  type NetAddress,
  type TlsClientOptions,
  toNetAddress,
  usualTotalTimeoutMs,
} from '@ferrata/net';
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

/** How to reach a peer and how long to wait for it. Times in milliseconds; those of connecting in whole ones, up to 2 147 483 647. */
export interface PeerOptions {
  /** Until the connection stands. Default 3 000. Raising it makes a black hole hold its requests for longer. */
  readonly connectTimeoutMs?: number;
  /**
   * How long a clean idle connection is kept. Default 50 000, or what the server's `Keep-Alive` promises less a second, if that is shorter.
   * Raising it makes it likelier that a request meets the server's own close.
   */
  readonly idleTimeoutMs?: number;
  /** Age at which a connection is not used again. Default 3 600 000. Raising it keeps traffic on addresses that DNS has long given up. */
  readonly maxConnectionAgeMs?: number;
  /** The IP address to connect from. Default: the kernel's choice. */
  readonly localAddress?: string;
  /** Keeps connections apart from those of other groups to the same address. Default: none. */
  readonly group?: string;
  /**
   * Makes the stream to this peer, instead of the connector's own way: a tunnel, a pair in memory, a socket with options of your own. TLS, if set, runs over
   * it. Connections are shared only among peers with the very same function, whoever asks for them: so what it does, and what it writes in front (a PROXY header),
   * must be the same each time. Where it differs, give each header a function, or a `group`, of its own.
   */
  readonly connect?: OpenStream;
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
   * HTTP/2: connections at once, but for those that only finish what they carry. Default 64, at least 1. One more is made only when the others are full;
   * with few, clients that hold their streams would take all places. Raising it costs descriptors at both ends.
   */
  readonly maxConnections?: number;
  /** HTTP/2: requests that may wait when every connection is full. Default 1 024; 0: none. Raising it holds more clients that may be told 503 at once. */
  readonly maxPending?: number;
  /** HTTP/2: how long such a request waits, beside the time in which a connection is made. Default 5 000. */
  readonly pendingTimeoutMs?: number;
}

const names: Readonly<Record<keyof PeerOptions, true>> = {
  connectTimeoutMs: true,
  idleTimeoutMs: true,
  maxConnectionAgeMs: true,
  localAddress: true,
  group: true,
  connect: true,
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
  /** What a request without a Host is sent with. */
  readonly authority: string;
  readonly connectTimeoutMs: number;
  /** Transport and handshake together; without TLS the same as `connectTimeoutMs`. */
  readonly totalTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionAgeMs: number;
  readonly localAddress: string | undefined;
  /** Null: the connector's own way. */
  readonly connect: OpenStream | null;
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
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly pendingTimeoutMs: number;
}

/**
 * Describes a peer.
 *
 * Its key is made of all that makes connections different: address, local address, group, protocol, the function that connects, all of TLS that can
 * make two connections unequal, and the limits and time-outs of responses, as a connection keeps those it was made with; for HTTP/2 also how
 * connections are shared. The other times (connecting, handshakes, idleness, age) of shared connections are those of the first of their peers.
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
  const secured = resolveTls(options, protocol, where);
  return describe(where, options, { tls: secured, protocol: secured === null && protocol === 'auto' ? 'http1' : protocol });
}

function describe(where: NetAddress, options: PeerOptions, { tls, protocol }: { tls: PeerTls | null; protocol: UpstreamProtocol }): Peer {
  const http1: Http1ClientOptions = {
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.writeTimeoutMs === undefined ? {} : { writeTimeoutMs: options.writeTimeoutMs }),
  };
  const sharing = {
    maxStreamsPerConnection: checkWholeNumber('maxStreamsPerConnection', options.maxStreamsPerConnection ?? 100, { min: 1 }),
    maxConnections: checkWholeNumber('maxConnections', options.maxConnections ?? 64, { min: 1 }),
    maxPending: checkWholeNumber('maxPending', options.maxPending ?? 1_024, { min: 0 }),
    pendingTimeoutMs: checkNumber('pendingTimeoutMs', options.pendingTimeoutMs ?? 5_000, { above: 0 }),
  };
  const http2 = { ...options.http2, ...sharing };
  const connectTimeoutMs = checkWholeNumber('connectTimeoutMs', options.connectTimeoutMs ?? 3_000, TIMER_RANGE);
  const handshakeTimeoutMs = tls?.details.handshakeTimeoutMs ?? 0;
  const { totalTimeoutMs = usualTotalTimeoutMs(connectTimeoutMs, handshakeTimeoutMs) } = options;
  const http = { http1, http2, auto: { http1, http2 } }[protocol];
  return Object.freeze({
    address: where,
    key: keyOf(where, options, { http, protocol, tls }),
    authority: authorityOf(where, tls === null ? 80 : 443),
    connectTimeoutMs,
    totalTimeoutMs: tls === null ? connectTimeoutMs : checkWholeNumber('totalTimeoutMs', totalTimeoutMs, TIMER_RANGE),
    idleTimeoutMs: checkNumber('idleTimeoutMs', options.idleTimeoutMs ?? 50_000, { above: 0 }),
    maxConnectionAgeMs: checkNumber('maxConnectionAgeMs', options.maxConnectionAgeMs ?? 3_600_000, { above: 0 }),
    localAddress: checkLocalAddress(options.localAddress),
    connect: options.connect ?? null,
    tls,
    protocol,
    forUpgrade: tls === null || protocol !== 'auto' ? null : describe(where, options, { tls: withoutHttp2(tls), protocol: 'http1' }),
    client: resolveHttp1ClientOptions(http1),
    http2: protocol === 'http1' ? null : resolveHttp2(options.http2, sharing.maxStreamsPerConnection, tls !== null),
    ...sharing,
  });
}

/** @throws {TypeError} */
function checkKinds(options: PeerOptions): void {
  for (const name of Object.keys(options))
    if (!Object.hasOwn(names, name)) throw new TypeError(`a peer has no option ${JSON.stringify(name)}`);
  const { connect, group } = options;
  if (connect !== undefined && typeof connect !== 'function') throw new TypeError('connect must be a function that makes a stream');
  if (group !== undefined && typeof group !== 'string') throw new TypeError('group must be text');
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
}

/** As JSON, no part can be taken for another, whatever it holds. */
function keyOf(address: NetAddress, options: PeerOptions, { http, protocol, tls }: KeyParts): string {
  const where = formatNetAddress(address);
  const others = [
    options.localAddress ?? null,
    options.group ?? null,
    options.connect === undefined ? null : identityOf(options.connect),
    isEmpty(http) ? null : http,
    tls === null ? null : tls.key,
    protocol === 'http1' ? null : protocol,
  ];
  return others.every((other) => other === null) ? where : JSON.stringify([where, ...others]);
}

function isEmpty(options: object): boolean {
  return Object.keys(options).length === 0;
}

function authorityOf(address: NetAddress, defaultPort: number): string {
  if (address.kind === 'unix') return 'localhost';
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return address.port === defaultPort ? host : `${host}:${address.port}`;
}
