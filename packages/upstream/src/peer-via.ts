/** The proxy in front of a peer: checked once. */
import { type HeaderInit, HeaderMap, type ReadonlyHeaderMap, type RequestHead, type ResponseHead } from '@ferrata/headers';
import { identityOf, type NetAddress } from '@ferrata/net';
import type { Peer, PeerOptions } from './peer.ts';

/** A proxy in front. */
export interface PeerViaOptions {
  /**
   * Who is asked by CONNECT, over HTTP/1.1: over TCP, TLS or a Unix socket, and by a proxy in front of its own if it has one. Made by `peer`, with its own times,
   * its own TLS and the limits of its answer (`connection`).
   */
  readonly proxy: Peer;
  /** Fields beside Host, which is the authority (RFC 9110 §7.2): Proxy-Authorization, User-Agent. Default none. */
  readonly headers?: HeaderInit;
  /**
   * Reads what a 2xx says; what it returns is the `userData` of `proxyDigestOf(info)`. A throw refuses the connection: with the `WireError` thrown, else with
   * `CONNECT_PROXY_READER_THREW`. Default: nothing.
   */
  readonly readResponse?: (response: ResponseHead, request: RequestHead) => unknown;
}

/** `PeerViaOptions`, checked. */
export interface PeerVia {
  readonly proxy: Peer;
  readonly headers: ReadonlyHeaderMap;
  readonly readResponse: PeerViaOptions['readResponse'] | null;
  /** What of it makes connections unequal. */
  readonly key: readonly unknown[];
}

const names: Readonly<Record<keyof PeerViaOptions, true>> = { proxy: true, headers: true, readResponse: true };

/** Fields that are ours to say, or that would give CONNECT a body. */
const REFUSED_FIELDS: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade']);

/**
 * @returns null for none
 * @throws {TypeError} when the proxy is none that can be asked, an option of the peer has no meaning behind it, or a field is invalid
 */
export function resolveVia(options: PeerOptions, to: NetAddress): PeerVia | null {
  const { via } = options;
  if (via === undefined) return null;
  if (typeof via !== 'object' || via === null) throw new TypeError('via must be { proxy, headers?, readResponse? }');
  for (const name of Object.keys(via)) if (!Object.hasOwn(names, name)) throw new TypeError(`via has no option ${JSON.stringify(name)}`);
  const { proxy, headers, readResponse } = via;
  if (typeof proxy !== 'object' || proxy === null || typeof proxy.key !== 'string' || typeof proxy.protocol !== 'string')
    throw new TypeError('via.proxy must be made by peer()');
  if (proxy.protocol !== 'http1') throw new TypeError('a proxy is asked over HTTP/1.1: via.proxy must have the protocol http1');
  if (readResponse !== undefined && typeof readResponse !== 'function') throw new TypeError('via.readResponse must be a function');
  if (to.kind === 'unix') throw new TypeError('a Unix socket cannot be reached through a proxy: via needs host:port');
  if (to.port === 0) throw new TypeError('CONNECT needs a port');
  for (const name of ['connect', 'localAddress', 'localAddresses', 'keepAliveMs', 'attemptTimeoutMs'] as const)
    if (options[name] !== undefined) throw new TypeError(`with via the proxy is connected to: ${name} belongs to the options of via.proxy`);
  // A copy: the user's may change.
  const fields = headers === undefined ? new HeaderMap() : HeaderMap.from(headers);
  const lines: string[] = [];
  for (let line = 0; line < fields.size; line++) {
    const name = fields.nameAt(line);
    if (REFUSED_FIELDS.has(name.toLowerCase())) throw new TypeError(`via.headers cannot say ${name}`);
    lines.push(name, fields.valueAt(line));
  }
  return {
    proxy,
    headers: fields,
    readResponse: readResponse ?? null,
    key: [proxy.key, lines, readResponse === undefined ? null : identityOf(readResponse)],
  };
}
