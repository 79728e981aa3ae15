/** The facts about a stream over one of Node's sockets, looked up when somebody asks: an idle connection should not pay for them. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatIpv4, isIpv4Mapped, readIpv6 } from '@ferrata/bytes';
import type { StreamAddress, StreamInfo, StreamTiming, TlsDigest } from '@ferrata/stream';

const unset: StreamAddress = { kind: 'unset' };

/**
 * `StreamInfo` over a socket. Each address costs a system call at its first reading and is remembered; the kernel forgets it when the
 * connection closes, so an address first read after the close is `unset`.
 */
export class SocketInfo implements StreamInfo {
  readonly kind: string;
  readonly timing: StreamTiming;
  readonly tls: TlsDigest | null = null;
  readonly below: StreamInfo | null = null;
  extension: unknown = undefined;
  readonly #host: Duplex;
  readonly #unixPath: string | null;
  readonly #isAccepted: boolean;
  #localAddress: StreamAddress | null = null;
  #remoteAddress: StreamAddress | null = null;

  constructor(host: Duplex, facts: { kind: string; timing: StreamTiming; unixPath: string | null; isAccepted: boolean }) {
    this.kind = facts.kind;
    this.timing = facts.timing;
    this.#host = host;
    this.#unixPath = facts.unixPath;
    this.#isAccepted = facts.isAccepted;
  }

  get localAddress(): StreamAddress {
    if (this.#localAddress !== null) return this.#localAddress;
    // Only the listening side of a Unix socket has a name.
    if (this.#unixPath !== null) return this.#isAccepted ? { kind: 'unix', path: this.#unixPath } : unset;
    const host = this.#host;
    const address = host instanceof Socket ? ipAddress(host.localAddress, host.localPort) : unset;
    if (address.kind !== 'unset') this.#localAddress = address;
    return address;
  }

  get remoteAddress(): StreamAddress {
    if (this.#remoteAddress !== null) return this.#remoteAddress;
    if (this.#unixPath !== null) return this.#isAccepted ? unset : { kind: 'unix', path: this.#unixPath };
    const host = this.#host;
    const address = host instanceof Socket ? ipAddress(host.remoteAddress, host.remotePort) : unset;
    if (address.kind !== 'unset') this.#remoteAddress = address;
    return address;
  }
}

const ipv6 = new Uint8Array(16);

/** An `ip` address from its parts. IPv4 in IPv6 (RFC 4291 §2.5.5.2), in whatever spelling, is shown as the IPv4 address that it is. */
export function ipAddress(host: string | undefined, port: number | undefined): StreamAddress {
  if (host === undefined || port === undefined) return unset;
  const isMapped = host.includes(':') && readIpv6(host, ipv6, 0) && isIpv4Mapped(ipv6, 0);
  return { kind: 'ip', host: isMapped ? formatIpv4(ipv6, 12) : host, port };
}
