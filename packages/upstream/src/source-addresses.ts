/** The addresses that connections come from: checked once, and picked from for each connection. */
import { checkLocalAddress, type NetAddress } from '@ferrata/net';
import type { PeerOptions } from './peer.ts';

/**
 * @returns those that can reach the peer; none: the kernel's choice
 * @throws {TypeError} when one of them is no IP address, both options are given, or none can reach the peer's own address
 * @throws {RangeError} when the list is empty
 */
export function resolveSourceAddresses({ localAddress, localAddresses }: PeerOptions, to: NetAddress): readonly string[] {
  if (localAddresses === undefined) {
    checkLocalAddress(localAddress);
    if (localAddress !== undefined && to.kind === 'unix') throw unreachable('localAddress');
    return localAddress === undefined ? [] : [localAddress];
  }
  if (localAddress !== undefined) throw new TypeError('say localAddress or localAddresses, and not both');
  if (!isList(localAddresses)) throw new TypeError('localAddresses must be a list of IP addresses');
  if (localAddresses.length === 0) throw new RangeError('localAddresses must not be empty');
  if (to.kind === 'unix') throw unreachable('localAddresses');
  for (const address of localAddresses) {
    if (typeof address !== 'string') throw new TypeError('localAddresses must be a list of IP addresses');
    checkLocalAddress(address);
  }
  const fitting = localAddresses.filter((address) => !isIpLiteral(to.host) || isIpv6(address) === isIpv6(to.host));
  if (fitting.length === 0) throw new TypeError(`none of localAddresses is of the family of ${to.host}`);
  return Object.freeze(fitting);
}

function unreachable(option: string): TypeError {
  return new TypeError(`a Unix socket is reached from no IP address: ${option} cannot be kept`);
}

function isList(value: readonly string[]): boolean {
  return Array.isArray(value);
}

/** An address, and no name: names have no colon and end with no number. */
function isIpLiteral(host: string): boolean {
  return host.includes(':') || /^[0-9.]+$/.test(host);
}

/** Of what is an IP address. */
export function isIpv6(address: string): boolean {
  return address.includes(':');
}
