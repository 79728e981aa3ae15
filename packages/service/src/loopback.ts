/** Which addresses can be reached from this machine alone. */
import { CidrSet, type NetAddress } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';

/** RFC 1122 §3.2.1.3, RFC 4291 §2.5.3. IPv4 addresses in IPv6 are read as what they are. */
const loopback = new CidrSet(['127.0.0.0/8', '::1/128']);

/** Whether an address can be reached from this machine alone: 127.0.0.0/8, `::1`, a Unix socket. `localhost` is taken for one of them (RFC 6761 §6.3). */
export function isLoopback(address: NetAddress | StreamAddress): boolean {
  if (address.kind === 'unix') return true;
  return address.kind !== 'unset' && isLoopbackHost(address.host);
}

/** Whether a host, written without brackets, is a name or an address of loopback. */
export function isLoopbackHost(host: string): boolean {
  return host.toLowerCase() === 'localhost' || loopback.has(host);
}
