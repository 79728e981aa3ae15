/** A peer: where to connect to, and how. Two peers with the same key may share connections. */

import { checkNumber } from '@ferrata/error';
import { type Http1ClientOptions, type ResolvedHttp1ClientOptions, resolveHttp1ClientOptions } from '@ferrata/http';
import type { ClientConnectionOptions } from '@ferrata/http1';
import { type AddressLike, formatNetAddress, type NetAddress, toNetAddress } from '@ferrata/net';

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
  /** Limits and time-outs of responses. */
  readonly connection?: ClientConnectionOptions;
  /** How long a peer that reads nothing may hold a request. Default 30 000. */
  readonly writeTimeoutMs?: number;
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
  readonly client: ResolvedHttp1ClientOptions;
}

/**
 * Describes a peer.
 *
 * Its key is made of all that makes connections different: address, local address, group, and the limits and time-outs of responses, as a
 * connection keeps those it was made with.
 *
 * @param address `host:port`, `tcp://host:port`, `unix:/path`, `{ host, port }` or `{ path }`
 * @throws {TypeError} when the address cannot be read
 * @throws {RangeError} when an option makes no sense
 */
export function peer(address: AddressLike, options: PeerOptions = {}): Peer {
  const where = toNetAddress(address);
  const { localAddress } = options;
  const http: Http1ClientOptions = {
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.writeTimeoutMs === undefined ? {} : { writeTimeoutMs: options.writeTimeoutMs }),
  };
  return Object.freeze({
    address: where,
    key: keyOf(where, options, http),
    authority: authorityOf(where),
    connectTimeoutMs: checkNumber('connectTimeoutMs', options.connectTimeoutMs ?? 3_000, { above: 0 }),
    idleTimeoutMs: checkNumber('idleTimeoutMs', options.idleTimeoutMs ?? 50_000, { above: 0 }),
    maxConnectionAgeMs: checkNumber('maxConnectionAgeMs', options.maxConnectionAgeMs ?? 3_600_000, { above: 0 }),
    localAddress,
    client: resolveHttp1ClientOptions(http),
  });
}

/** As JSON, no part can be taken for another, whatever it holds. */
function keyOf(address: NetAddress, options: PeerOptions, http: Http1ClientOptions): string {
  const where = formatNetAddress(address);
  const others = [options.localAddress ?? null, options.group ?? null, Object.keys(http).length === 0 ? null : http];
  return others.every((other) => other === null) ? where : JSON.stringify([where, ...others]);
}

function authorityOf(address: NetAddress): string {
  if (address.kind === 'unix') return 'localhost';
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return address.port === 80 ? host : `${host}:${address.port}`;
}
