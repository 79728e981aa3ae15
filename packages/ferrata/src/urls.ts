/** Addresses as the command line writes them: `http://127.0.0.1:8080`, `https://[::1]:8443`, `h2c://127.0.0.1:3000`, `http://unix:/path.sock`. */
import { type NetAddress, parseAddress } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import type { UpstreamProtocol } from '@ferrata/upstream';
import { UsageError } from './usage-error.ts';

/** Where to accept connections. */
export type ListenAddress = NetAddress & {
  /** TLS first. Default: no. */
  readonly isSecure?: boolean;
};

/** Where requests go, and what is spoken there. */
export type OriginAddress = NetAddress & {
  /** Default `http1`; over TLS `auto`. */
  readonly protocol?: UpstreamProtocol;
  /** TLS first. Default: no. */
  readonly isSecure?: boolean;
};

const examples = { '--listen': 'http://127.0.0.1:8080', '--to': 'http://127.0.0.1:3000' } as const;

/** @throws {UsageError} when it is no address to listen on */
export function parseListener(url: string): ListenAddress {
  const scheme = schemeOf(url);
  if (scheme === 'h2c')
    throw new UsageError(
      `--listen ${url}: write http${url.slice(scheme.length)}; an http:// listener speaks both, HTTP/1 and HTTP/2 without TLS`,
    );
  const where = parseUrl('--listen', url, scheme);
  return scheme === 'https' ? { ...where, isSecure: true } : where;
}

/** @throws {UsageError} when it is no address of an origin */
export function parseOrigin(url: string): OriginAddress {
  const scheme = schemeOf(url);
  const where = parseUrl('--to', url, scheme);
  if (scheme === 'https') return { ...where, isSecure: true, protocol: 'auto' };
  return scheme === 'h2c' ? { ...where, protocol: 'http2' } : where;
}

/** An address that a URL can be made of. */
type Locatable = ListenAddress | OriginAddress | (StreamAddress & { readonly isSecure?: boolean });

/** The URL of an address. */
export function formatUrl(where: Locatable): string {
  return `${schemeFor(where)}://${formatPlace(where)}`;
}

/** The address alone: where two of them are equal, only one can listen. */
export function formatPlace(where: NetAddress | StreamAddress): string {
  switch (where.kind) {
    case 'unix':
      return `unix:${where.path}`;
    case 'unset':
      return '-';
    default:
      return where.host.includes(':') ? `[${where.host}]:${where.port}` : `${where.host}:${where.port}`;
  }
}

function schemeFor(where: Locatable): string {
  if ('isSecure' in where && where.isSecure) return 'https';
  return 'protocol' in where && where.protocol === 'http2' ? 'h2c' : 'http';
}

function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
}

function parseUrl(option: keyof typeof examples, url: string, scheme: string | undefined): NetAddress {
  if (scheme !== 'http' && scheme !== 'https' && scheme !== 'h2c')
    throw new UsageError(`${option} ${url}: write the address as a URL, such as ${examples[option]} or http://unix:/path.sock`);
  const rest = url.slice(`${scheme}://`.length);
  if (rest.startsWith('unix:')) return address(option, url, rest);
  const authority = rest.endsWith('/') ? rest.slice(0, -1) : rest;
  const path = /[/?#]/.exec(authority);
  if (path !== null)
    throw new UsageError(
      `${option} ${url}: only an address, without '${authority.slice(path.index)}'; write ${scheme}://${authority.slice(0, path.index)}`,
    );
  const hasPort = authority.startsWith('[') ? authority.includes(']:') : authority.includes(':');
  return address(option, url, hasPort ? authority : `${authority}:${scheme === 'https' ? 443 : 80}`);
}

function address(option: string, url: string, text: string): NetAddress {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new UsageError(`${option} ${url}: ${(error as Error).message}`, { cause: error });
  }
}
