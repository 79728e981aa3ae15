/** Options of `holdSockets`, checked once. */
import { isIPv4 } from 'node:net';
import { checkWholeNumber } from '@ferrata/error';
import { toNetAddress } from '../address.ts';
import { checkBoolean, checkObject } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import type { HolderRequest } from './holder-messages.ts';

/** A socket to open and hold. An option that means nothing to its transport is a `TypeError`. */
export interface SocketToHold {
  readonly transport: 'tcp' | 'unix' | 'udp';
  /** TCP and UDP: an address, or a name, which is looked up once. */
  readonly host?: string;
  /** TCP and UDP. 0: the kernel chooses. */
  readonly port?: number;
  /** Unix. */
  readonly path?: string;
  /** TCP and Unix: connections that the kernel holds until they are accepted, 1 to 65535; Linux cuts it to `net.core.somaxconn`. Default 4096. */
  readonly backlog?: number;
  /** On an IPv6 address, does not take IPv4 too. Default false. */
  readonly ipv6Only?: boolean;
  /** Permissions of a Unix socket's file, as for `listen`. Default: what the umask leaves. */
  readonly mode?: number;
  /**
   * UDP: how many sockets share the port (SO_REUSEPORT), 1 to 1 024; default 1. The kernel spreads peers among them, and each peer stays with its socket. With 1 nobody
   * else can share the port.
   */
  readonly count?: number;
}

const names: Readonly<Record<keyof SocketToHold, true>> = {
  transport: true,
  host: true,
  port: true,
  path: true,
  backlog: true,
  ipv6Only: true,
  mode: true,
  count: true,
};

/** @throws {TypeError} if it does not say where, or says what means nothing there @throws {RangeError} for a number out of range */
export function resolveSocketToHold(socket: SocketToHold): HolderRequest {
  checkObject('a socket to hold', socket);
  checkOptionNames('holdSockets', socket, names);
  const { transport } = socket;
  if (transport === 'unix') return resolveUnix(socket);
  if (transport !== 'tcp' && transport !== 'udp')
    throw new TypeError(`transport must be tcp, unix or udp, not ${String(transport).slice(0, 100)}`);
  const { host, port, count, ipv6Only } = socket;
  refuse(socket, transport, transport === 'tcp' ? ['path', 'mode', 'count'] : ['path', 'mode', 'backlog']);
  if (host === undefined || port === undefined) throw new TypeError(`a socket of ${transport} needs a host and a port`);
  // Checks both, as they are written nowhere else.
  toNetAddress({ host, port });
  if (ipv6Only === true && isIPv4(host)) throw new TypeError('ipv6Only is for an IPv6 address');
  const place = { host, port, ipv6Only: checkBoolean('ipv6Only', ipv6Only, false) };
  if (transport === 'tcp') return { transport, ...place, backlog: backlogOf(socket) };
  return { transport, ...place, count: checkWholeNumber('count', count ?? 1, { min: 1, max: 1_024 }) };
}

function resolveUnix(socket: SocketToHold): HolderRequest {
  const { path, mode } = socket;
  refuse(socket, 'unix', ['host', 'port', 'ipv6Only', 'count']);
  if (path === undefined) throw new TypeError('a Unix socket needs a path');
  toNetAddress({ path });
  const permissions = mode === undefined ? null : checkWholeNumber('mode', mode, { min: 0, max: 0o777 });
  return { transport: 'unix', path, backlog: backlogOf(socket), mode: permissions };
}

function backlogOf({ backlog }: SocketToHold): number {
  return checkWholeNumber('backlog', backlog ?? 4096, { min: 1, max: 65_535 });
}

function refuse(socket: SocketToHold, transport: string, meaningless: readonly (keyof SocketToHold)[]): void {
  for (const name of meaningless)
    if (socket[name] !== undefined && socket[name] !== false) throw new TypeError(`${name} means nothing to a socket of ${transport}`);
}
