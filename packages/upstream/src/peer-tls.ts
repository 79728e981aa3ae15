/**
 * TLS towards a peer: who makes it, what it offers, and for which name.
 *
 * What is offered by ALPN (RFC 7301) follows from what is to be spoken, so that a server never chooses what nobody here speaks. HTTP/2 over TLS is
 * only what ALPN has agreed on (RFC 9113 §3.3); a server that agrees on nothing speaks HTTP/1.
 */
import { checkWholeNumber } from '@ferrata/error';
import type { ClientSession, ClientSessionOwner, HttpEnvironment } from '@ferrata/http';
import { formatNetAddress, identityOf, type NetAddress, TlsClient, type TlsClientOptions, type TlsConnectSink } from '@ferrata/net';
import { isThenable, type L4Stream, watchAnswer } from '@ferrata/stream';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { PeerOptions } from './peer.ts';

/** What is spoken to a peer: `auto` leaves it to ALPN, HTTP/2 before HTTP/1. */
export type UpstreamProtocol = 'http1' | 'http2' | 'auto';

/** How one connection differs from the settings of its `TlsConnector`. */
export interface TlsConnectDetails {
  /** Whom we connect to: a name, or an IP address, which no SNI tells (RFC 6066 §3). What the settings say goes before it. */
  readonly host: string;
  /** The address, so that servers of one name keep their sessions apart. */
  readonly place: string;
  /** What is offered. */
  readonly alpn: readonly string[];
  readonly handshakeTimeoutMs: number;
  readonly deadlines: DeadlineQueue;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** Makes streams secure. A `TlsClient` of @ferrata/net is one; give another to do TLS, or something in its place, yourself. */
export interface TlsConnector {
  /** Two with the same key make connections of which nobody can tell whose they are: such are shared. */
  readonly key: string;
  /** What it offers of its own accord. Absent, null or empty: what the peer's protocol asks for. */
  readonly alpn?: readonly string[] | null;
  /** How long a handshake may take unless the peer says otherwise. Default 5 000. */
  readonly handshakeTimeoutMs?: number;
  /** Throws a TypeError, at once, if nothing can be verified with this host: told when the peer is made, and not by each request. */
  checkHost?(host: string): void;
  /**
   * Begins the handshake; `stream` is its own from then on. `sink` hears of one outcome, once, and never from inside `connect`. What this throws, or what a promise
   * of it rejects with, is an outcome too: `CONNECT_THREW`.
   */
  connect(stream: L4Stream, sink: TlsConnectSink, details: TlsConnectDetails): unknown;
}

/** Makes a session of a protocol of your own on a connection for which TLS has agreed on it. It must not be shared (`isShared`). */
export type OpenSession = (stream: L4Stream, environment: HttpEnvironment, owner: ClientSessionOwner) => ClientSession;

/** The TLS of a peer, settled. */
export interface PeerTls {
  readonly client: TlsConnector;
  readonly details: Omit<TlsConnectDetails, 'signal' | 'deadlines'>;
  /** By their names in ALPN. */
  readonly customProtocols: ReadonlyMap<string, OpenSession>;
  /** What of it makes connections different. */
  readonly key: readonly unknown[];
}

/** The times of connecting, in milliseconds: what Node's timers can keep. */
export const TIMER_RANGE = { min: 1, max: 2_147_483_647 } as const;

/** RFC 7301 §3.1: a length of one byte. */
const MAX_NAME_BYTES = 255;

/** What every protocol offers, in order of preference. */
const offers: Readonly<Record<UpstreamProtocol, readonly string[]>> = {
  http1: ['http/1.1'],
  http2: ['h2'],
  auto: ['h2', 'http/1.1'],
};

/**
 * @returns null for no TLS
 * @throws {RangeError} when the names for ALPN make no sense, or do not fit the protocol
 * @throws {TypeError} what `TlsClient` says of its options; a connector has no key, or a custom protocol is no function
 */
export function resolveTls(options: PeerOptions, protocol: UpstreamProtocol, address: NetAddress): PeerTls | null {
  const { tls, tlsTimeoutMs, totalTimeoutMs, customProtocols } = options;
  if (tls === undefined || tls === false) {
    if (customProtocols !== undefined) throw new RangeError('customProtocols are agreed on by ALPN, and so need tls');
    if (tlsTimeoutMs !== undefined) throw new RangeError('tlsTimeoutMs needs tls');
    if (totalTimeoutMs !== undefined) throw new RangeError('totalTimeoutMs needs tls');
    return null;
  }
  if (tls !== true && (typeof tls !== 'object' || tls === null)) throw new TypeError('tls must be a TlsClient, its options, or a boolean');
  const custom = checkCustom(customProtocols);
  // What TLS agrees on must be HTTP/2 then, and nothing else.
  if (protocol === 'http2' && custom.size > 0)
    throw new RangeError('with protocol http2 nothing else is spoken: customProtocols need http1 or auto');
  const client: TlsConnector = isConnector(tls) ? tls : new TlsClient(tls === true ? {} : tls);
  // Without one, all such connectors would share connections.
  if (typeof client.key !== 'string') throw new TypeError('a TlsConnector needs a key, a text that tells it from those that differ');
  const ownAlpn = client.alpn ?? null;
  const alpn = ownAlpn === null || ownAlpn.length === 0 ? [...custom.keys(), ...offers[protocol]] : [...ownAlpn];
  checkAlpn(alpn, protocol, custom);
  // A Unix socket has no name; requests without a Host name it so, too.
  const host = address.kind === 'unix' ? 'localhost' : address.host;
  checkHost(client, host);
  return secured(client, custom, {
    host,
    place: formatNetAddress(address),
    alpn,
    handshakeTimeoutMs: checkWholeNumber('tlsTimeoutMs', tlsTimeoutMs ?? client.handshakeTimeoutMs ?? 5_000, TIMER_RANGE),
  });
}

/** The same for connections that have to speak HTTP/1: they offer nothing else. */
export function withoutHttp2({ client, details }: PeerTls): PeerTls {
  return secured(client, new Map(), { ...details, alpn: offers.http1 });
}

function secured(client: TlsConnector, customProtocols: ReadonlyMap<string, OpenSession>, details: PeerTls['details']): PeerTls {
  const custom = [...customProtocols].map(([name, open]) => [name, identityOf(open)]);
  return { client, details, customProtocols, key: [client.key, details.alpn, ...custom] };
}

/** @throws {TypeError} what the connector says, or if it says it later: nobody would hear that */
function checkHost(client: TlsConnector, host: string): void {
  const answer: unknown = client.checkHost?.(host);
  if (!isThenable(answer)) return;
  watchAnswer(answer, () => {});
  throw new TypeError('checkHost must answer at once');
}

/** By its method, as anybody may make one. */
function isConnector(tls: TlsConnector | TlsClientOptions | true): tls is TlsConnector {
  return typeof tls === 'object' && 'connect' in tls && typeof tls.connect === 'function';
}

function checkCustom(protocols: Readonly<Record<string, OpenSession>> | undefined): ReadonlyMap<string, OpenSession> {
  if (protocols !== undefined && (typeof protocols !== 'object' || protocols === null))
    throw new TypeError('customProtocols must be functions by the names of their protocols');
  const custom = new Map(Object.entries(protocols ?? {}));
  for (const [name, open] of custom) {
    if (typeof open !== 'function')
      throw new TypeError(`the custom protocol ${JSON.stringify(name)} must be a function that makes a session`);
    const bytes = new TextEncoder().encode(name).length;
    if (bytes === 0 || bytes > MAX_NAME_BYTES)
      throw new RangeError(`the name of a custom protocol has 1 to ${MAX_NAME_BYTES} bytes, not ${bytes}`);
    if (name === 'h2' || name === 'http/1.1') throw new RangeError(`${name} is no custom protocol: say so by protocol`);
  }
  return custom;
}

/** What the server chooses must be something that is spoken here. */
function checkAlpn(alpn: readonly string[], protocol: UpstreamProtocol, custom: ReadonlyMap<string, OpenSession>): void {
  if (protocol === 'http2' && !alpn.includes('h2')) throw new RangeError('with protocol http2, alpn must offer h2');
  if (protocol === 'http1' && alpn.includes('h2')) throw new RangeError('with protocol http1, alpn must not offer h2; say protocol auto');
  for (const name of alpn) {
    if (name === 'h2' || name === 'http/1.1' || name === 'http/1.0' || custom.has(name)) continue;
    throw new RangeError(`alpn offers ${JSON.stringify(name)}, and customProtocols say nobody who speaks it`);
  }
  for (const name of custom.keys())
    if (!alpn.includes(name)) throw new RangeError(`alpn does not offer the custom protocol ${JSON.stringify(name)}`);
}
