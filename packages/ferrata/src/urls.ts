/** Addresses as the command line writes them: `http://127.0.0.1:8080`, `https://[::1]:8443`, `h2c://127.0.0.1:3000`, `http://unix:/path.sock`. */
import type { NetAddress } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import { type OriginUrl, OriginUrlError, parseOriginUrl, type UpstreamProtocol } from '@ferrata/upstream';
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
  /** Its share in relation to the others of its route, 0 to 65 535. Default 1. */
  readonly weight?: number;
  /** It gets requests as far as the others are not ready. Default: no. */
  readonly isBackup?: boolean;
};

const examples = { '--listen': 'http://127.0.0.1:8080', '--to': 'http://127.0.0.1:3000' } as const;
const schemes = { '--listen': 'http or https', '--to': 'http, https or h2c' } as const;

/** @throws {UsageError} when it is no address to listen on */
export function parseListener(url: string): ListenAddress {
  const { address, isSecure, protocol } = parseUrl('--listen', url);
  if (protocol === 'http2')
    throw new UsageError(
      `--listen ${url}: write http${url.slice('h2c'.length)}; an http:// listener speaks both, HTTP/1 and HTTP/2 without TLS`,
    );
  return isSecure ? { ...address, isSecure } : address;
}

/** @throws {UsageError} when it is no address of an origin */
export function parseOrigin(url: string): OriginAddress {
  const { address, isSecure, protocol } = parseUrl('--to', url);
  return { ...address, ...(isSecure ? { isSecure } : {}), ...(protocol === 'http1' ? {} : { protocol }) };
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

function parseUrl(option: keyof typeof examples, url: string): OriginUrl {
  try {
    return parseOriginUrl(url);
  } catch (error) {
    if (!(error instanceof OriginUrlError)) throw error;
    const why =
      error.fault === 'scheme'
        ? `write the address as a URL of ${schemes[option]}, such as ${examples[option]} or http://unix:/path.sock`
        : error.detail;
    throw new UsageError(`${option} ${url}: ${why}`, { cause: error });
  }
}
