/** The facts about a stream over one of Node's sockets, looked up when somebody asks: an idle connection should not pay for them. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { StreamAddress, StreamInfo, StreamTiming, TlsDigest } from '@ferrata/stream';
import { parseIp, words } from './ip-bits.ts';

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

/** An `ip` address from its parts. IPv4 in IPv6 (RFC 4291 §2.5.5.2), in whatever spelling, is shown as the IPv4 address that it is. */
export function ipAddress(host: string | undefined, port: number | undefined): StreamAddress {
  if (host === undefined || port === undefined) return unset;
  if (!host.includes(':') || parseIp(host) !== 4) return { kind: 'ip', host, port };
  const word = words[3] as number;
  return { kind: 'ip', host: `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`, port };
}
