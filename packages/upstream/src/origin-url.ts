/**
 * Origins as URLs: a scheme, a host and a port, and nothing else (RFC 6454 §4).
 *
 * ```text
 *   http://127.0.0.1:8080   http://[::1]   http://origin.test/   no TLS, HTTP/1.1; port 80
 *   https://origin.test     https://127.0.0.1:8443               TLS, and what ALPN chooses; port 443
 *   h2c://127.0.0.1:3000                                         HTTP/2 by prior knowledge (RFC 9113 §3.3); port 80
 *   http://unix:/run/app.sock                                    a Unix socket, with each of the schemes
 * ```
 * What else a URL may have would be dropped in silence, and somebody has meant it: a path is part of a request, and a password is a field of it.
 *
 * @see RFC 3986 §3.2 (authority) · RFC 9110 §4.2 (http and https)
 */
import { type NetAddress, parseAddress } from '@ferrata/net';
import { type Peer, type PeerOptions, peer } from './peer.ts';
import type { UpstreamProtocol } from './peer-tls.ts';

/** What keeps a URL from naming an origin: the scheme is unknown or missing, it has a part that no origin has, or its host or port are none. */
export type OriginUrlFault = 'scheme' | 'userinfo' | 'path' | 'query' | 'fragment' | 'address';

/** A URL names no origin. What may be a password is not in its message. */
export class OriginUrlError extends TypeError {
  readonly fault: OriginUrlFault;
  /** What is wrong, and what to write instead; the message without the URL. */
  readonly detail: string;

  constructor(fault: OriginUrlFault, detail: string, { url, cause }: { readonly url: string; readonly cause?: unknown }) {
    const shown = fault === 'userinfo' ? '' : ` ${JSON.stringify(cut(url))}`;
    super(`invalid origin URL${shown}: ${detail}`, cause === undefined ? {} : { cause });
    this.fault = fault;
    this.detail = detail;
  }

  override get name(): string {
    return 'OriginUrlError';
  }
}

/** Where an origin is, and what is spoken there. */
export interface OriginUrl {
  readonly address: NetAddress;
  /** TLS first. */
  readonly isSecure: boolean;
  readonly protocol: UpstreamProtocol;
}

/** The schemes, with the ports that they mean. */
const schemes: ReadonlyMap<string, Omit<OriginUrl, 'address'> & { readonly port: number }> = new Map([
  ['http', { port: 80, isSecure: false, protocol: 'http1' }],
  ['https', { port: 443, isSecure: true, protocol: 'auto' }],
  ['h2c', { port: 80, isSecure: false, protocol: 'http2' }],
]);

/**
 * Reads the URL of an origin; a slash behind the authority is no path.
 *
 * @throws {OriginUrlError} when it is none; `fault` says by what
 */
export function parseOriginUrl(url: string): OriginUrl {
  const prefix = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url);
  const name = prefix?.[1]?.toLowerCase() ?? '';
  const scheme = schemes.get(name);
  if (prefix === null || scheme === undefined)
    throw new OriginUrlError('scheme', `write it as http://host:port, https://host:port or h2c://host:port`, {
      url: url.includes('@') ? '…' : url,
    });
  const { port, ...origin } = scheme;
  const rest = url.slice(prefix[0].length);
  if (rest.startsWith('unix:')) return { ...origin, address: addressOf(rest, url) };
  // Also behind the authority: a password with a slash in it ends that.
  if (rest.includes('@')) throw new OriginUrlError('userinfo', `it has no user name and no password; write ${name}://host:port`, { url });
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  const behind = end < 0 ? '' : rest.slice(end);
  if (behind !== '' && behind !== '/')
    throw new OriginUrlError(faultOf(behind), `only an address, without '${cut(behind)}'; write ${name}://${authority}`, { url });
  const hasPort = authority.startsWith('[') ? authority.includes(']:') : authority.includes(':');
  return { ...origin, address: addressOf(hasPort ? authority : `${authority}:${port}`, url) };
}

/**
 * The peer that a URL names. `https://` is TLS, with `protocol: 'auto'`, `h2c://` is `protocol: 'http2'` without TLS; what the options say of `tls` and `protocol` goes before
 * that where it does not contradict the URL.
 *
 * @throws {OriginUrlError} when the URL names no origin
 * @throws {TypeError} when the options contradict the URL; and what `peer` throws
 */
export function peerFromUrl(url: string | URL, options: PeerOptions = {}): Peer {
  const { address, isSecure, protocol } = parseOriginUrl(String(url));
  const { tls = isSecure } = options;
  if (isSecure !== (tls !== false)) throw new TypeError(isSecure ? 'https:// is TLS: tls cannot be false' : 'tls needs https://');
  if (protocol === 'http2' && (options.protocol ?? protocol) !== protocol)
    throw new TypeError('h2c:// is HTTP/2: protocol can only be http2');
  return peer(address, { protocol, ...options, tls });
}

function faultOf(behind: string): OriginUrlFault {
  const first = /^\/?([?#])/.exec(behind)?.[1];
  if (first === '?') return 'query';
  return first === '#' ? 'fragment' : 'path';
}

function addressOf(text: string, url: string): NetAddress {
  try {
    return parseAddress(text);
  } catch (cause) {
    throw new OriginUrlError('address', (cause as Error).message, { url, cause });
  }
}

/** A text of the configuration may be anything, also a file pasted by mistake. */
function cut(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
