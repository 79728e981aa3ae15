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
import { type AddressLike, formatNetAddress, type NetAddress, toNetAddress } from '@ferrata/net';

/** What is spoken to a peer. `http2` is by prior knowledge (RFC 9113 §3.3): nothing is negotiated, and nothing falls back. */
export type UpstreamProtocol = 'http1' | 'http2';

/** How to reach a peer and how long to wait for it. Times in milliseconds. */
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
  /** The local address to connect from. Default: the kernel's choice. */
  readonly localAddress?: string;
  /** Keeps connections apart from those of other groups to the same address. Default: none. */
  readonly group?: string;
  /** What to speak. Default `http1`. With `http2` many requests share a connection. */
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

/** A peer, ready for use. Make it once, with `peer`, and use it for many requests. */
export interface Peer {
  readonly address: NetAddress;
  /** Connections are shared between peers of one key, and only between them. */
  readonly key: string;
  /** What a request without a Host is sent with. */
  readonly authority: string;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionAgeMs: number;
  readonly localAddress: string | undefined;
  readonly protocol: UpstreamProtocol;
  readonly client: ResolvedHttp1ClientOptions;
  /** Null where HTTP/1 is spoken. */
  readonly http2: ResolvedHttp2ClientOptions | null;
  readonly maxStreamsPerConnection: number;
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly pendingTimeoutMs: number;
}

/**
 * Describes a peer.
 *
 * Its key is made of all that makes connections different: address, local address, group, protocol, and the limits and time-outs of
 * responses, as a connection keeps those it was made with; for HTTP/2 also how connections are shared. The other times (connecting, idleness, age) of shared
 * connections are those of the first of their peers.
 *
 * @param address `host:port`, `tcp://host:port`, `unix:/path`, `{ host, port }` or `{ path }`
 * @throws {TypeError} when the address cannot be read
 * @throws {RangeError} when an option makes no sense
 */
export function peer(address: AddressLike, options: PeerOptions = {}): Peer {
  const where = toNetAddress(address);
  const { localAddress, protocol = 'http1' } = options;
  if (protocol !== 'http1' && protocol !== 'http2') throw new RangeError(`protocol must be http1 or http2, not ${String(protocol)}`);
  const http: Http1ClientOptions = {
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.writeTimeoutMs === undefined ? {} : { writeTimeoutMs: options.writeTimeoutMs }),
  };
  const sharing = {
    maxStreamsPerConnection: checkWholeNumber('maxStreamsPerConnection', options.maxStreamsPerConnection ?? 100, { min: 1 }),
    maxConnections: checkWholeNumber('maxConnections', options.maxConnections ?? 64, { min: 1 }),
    maxPending: checkWholeNumber('maxPending', options.maxPending ?? 1_024, { min: 0 }),
    pendingTimeoutMs: checkNumber('pendingTimeoutMs', options.pendingTimeoutMs ?? 5_000, { above: 0 }),
  };
  return Object.freeze({
    address: where,
    key: keyOf(where, options, protocol === 'http1' ? http : { ...options.http2, ...sharing }),
    authority: authorityOf(where),
    connectTimeoutMs: checkNumber('connectTimeoutMs', options.connectTimeoutMs ?? 3_000, { above: 0 }),
    idleTimeoutMs: checkNumber('idleTimeoutMs', options.idleTimeoutMs ?? 50_000, { above: 0 }),
    maxConnectionAgeMs: checkNumber('maxConnectionAgeMs', options.maxConnectionAgeMs ?? 3_600_000, { above: 0 }),
    localAddress,
    protocol,
    client: resolveHttp1ClientOptions(http),
    http2: protocol === 'http2' ? resolveHttp2(options.http2, sharing.maxStreamsPerConnection) : null,
    ...sharing,
  });
}

/** The connection itself, too, opens no more streams than are shared out. */
function resolveHttp2(options: Http2ClientOptions | undefined, maxConcurrentStreams: number): ResolvedHttp2ClientOptions {
  return resolveHttp2ClientOptions({ ...options, connection: { maxConcurrentStreams, ...options?.connection } });
}

/** As JSON, no part can be taken for another, whatever it holds. */
function keyOf(address: NetAddress, options: PeerOptions, http: object): string {
  const where = formatNetAddress(address);
  const others = [options.localAddress ?? null, options.group ?? null, Object.keys(http).length === 0 ? null : http];
  if (options.protocol === 'http2') others.push('http2');
  return others.every((other) => other === null) ? where : JSON.stringify([where, ...others]);
}

function authorityOf(address: NetAddress): string {
  if (address.kind === 'unix') return 'localhost';
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return address.port === 80 ? host : `${host}:${address.port}`;
}
