/** Makes the header that tells of a connection: the family follows from the addresses. */
import { formatIpv4, formatIpv6, isIpv4Mapped, readIpv4, readIpv6 } from '@ferrata/bytes';
import type { ProxyAddress, ProxyHeader, ProxyTlv } from './proxy-header.ts';

/** What a header is to say. */
export interface ProxyHeaderFields {
  /** Where the connection came from, as the addresses of a stream have it; `null` and `unset`: not known. */
  readonly source: ProxyAddress | { readonly kind: 'unset' } | null;
  /** Where it went to. */
  readonly destination: ProxyAddress | { readonly kind: 'unset' } | null;
  /** Default 2. */
  readonly version?: 1 | 2;
  /** Default `stream`. */
  readonly transport?: 'stream' | 'datagram';
  /** Default none. Left out in version 1, which has none. */
  readonly tlvs?: readonly ProxyTlv[];
}

/**
 * Makes a header with the command `proxy`.
 *
 * IPv4-mapped addresses of both ends (`::ffff:192.0.2.1`, as sockets that take both versions name their peers) become IPv4; if the ends differ,
 * both become IPv6. A zone (`%eth0`) is cut off, as no other machine knows it. What the version cannot say (an end unknown, Unix and IP at the two
 * ends; in version 1 also Unix and datagrams) becomes `unspecified`, and the receiver keeps the addresses of the connection.
 *
 * @throws {TypeError} when a host is no IP address
 */
export function createProxyHeader({ source, destination, version = 2, transport = 'stream', tlvs = [] }: ProxyHeaderFields): ProxyHeader {
  const kept = version === 1 ? [] : tlvs;
  const mayTellIp = version === 2 || transport === 'stream';
  if (source?.kind === 'ip' && destination?.kind === 'ip' && mayTellIp) {
    const from = ipBytes(source.host);
    const to = ipBytes(destination.host);
    const family = isIpv4Mapped(from, 0) && isIpv4Mapped(to, 0) ? 'inet' : 'inet6';
    const textOf = (bytes: Uint8Array): string => (family === 'inet' ? formatIpv4(bytes, 12) : formatIpv6(bytes, 0));
    return {
      version,
      command: 'proxy',
      family,
      transport,
      source: { kind: 'ip', host: textOf(from), port: source.port },
      destination: { kind: 'ip', host: textOf(to), port: destination.port },
      tlvs: kept,
    };
  }
  if (source?.kind === 'unix' && destination?.kind === 'unix' && version === 2) {
    return { version, command: 'proxy', family: 'unix', transport, source, destination, tlvs: kept };
  }
  return { version, command: 'proxy', family: 'unspecified', transport: 'unspecified', source: null, destination: null, tlvs: kept };
}

/** 16 bytes, IPv4 as `::ffff:0:0/96`. */
function ipBytes(host: string): Uint8Array {
  const zone = host.indexOf('%');
  const text = zone === -1 ? host : host.slice(0, zone);
  const bytes = new Uint8Array(16);
  if (readIpv4(text, bytes, 12)) {
    bytes.fill(0xff, 10, 12);
    return bytes;
  }
  if (!readIpv6(text, bytes.fill(0), 0)) throw new TypeError(`not an IP address: ${host}`);
  return bytes;
}
