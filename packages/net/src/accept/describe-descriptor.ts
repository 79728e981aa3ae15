/**
 * What is behind the number of a descriptor that somebody else has opened (socket activation, a predecessor), as the kernel's tables tell it on Linux.
 *
 * ```text
 *   /proc/self/net/tcp, tcp6, udp, udp6     sl local_address rem_address st … uid timeout inode …      0100007F:1F90
 *   /proc/self/net/unix                     Num RefCount Protocol Flags Type St Inode Path
 * ```
 * An address is written as 32-bit words in the byte order of the machine, its port as a number.
 *
 * @see proc_pid_net(5)
 */
import { fstatSync, readFileSync } from 'node:fs';
import { SocketAddress } from 'node:net';
import { endianness } from 'node:os';
import { checkWholeNumber } from '@ferrata/error';
import type { StreamAddress } from '@ferrata/stream';
import { ipAddress } from '../socket/socket-info.ts';

/** What can be done with an inherited descriptor, and where it is. */
export interface DescriptorDescription {
  /** `tcp`, `unix`: for `listen({ fd })`. `udp`: for `bindUdp({ fd })` and `listenUdp({ fd })`. */
  readonly transport: 'tcp' | 'unix' | 'udp';
  /** `unset` for a Unix socket that has no file: without a name, or in the abstract namespace. */
  readonly address: StreamAddress;
}

/** States as the tables have them: TCP_LISTEN; of UDP TCP_CLOSE, which is any that is not connected. */
const listening = '0A';
const unconnected = '07';
/** `__SO_ACCEPTCON`: somebody has called `listen`. */
const acceptsConnections = 0x1_0000;

/**
 * Tells what a descriptor is, before anything is done with it.
 *
 * @returns null for what is no listening TCP or Unix socket, and no UDP socket without a peer; and where it cannot be known: on other systems than Linux, without `/proc`,
 *   and for a Unix socket while the name of another one pretends to be its row of the table
 * @throws {RangeError} if it is no number of a descriptor
 */
export function describeDescriptor(fd: number): DescriptorDescription | null {
  const inode = inodeOf(checkWholeNumber('fd', fd, { min: 0, max: 0x7fff_ffff }));
  if (inode === null) return null;
  for (const { table, transport, state } of tables) {
    const row = rowOf(table, inode);
    if (row !== null) return row.state === state ? { transport, address: row.address } : null;
  }
  const path = unixPath(inode);
  if (path === null) return null;
  return { transport: 'unix', address: path === '' ? { kind: 'unset' } : { kind: 'unix', path } };
}

/** @returns the family of a UDP socket; null where it cannot be known */
export function udpFamilyOf(fd: number): 'udp4' | 'udp6' | null {
  const inode = inodeOf(fd);
  if (inode === null) return null;
  if (rowOf('udp', inode) !== null) return 'udp4';
  return rowOf('udp6', inode) === null ? null : 'udp6';
}

/** @returns the path of a listening Unix socket; null if it has none, or where it cannot be known */
export function pathOfDescriptor(fd: number): string | null {
  const inode = inodeOf(fd);
  const path = inode === null ? null : unixPath(inode);
  return path === '' ? null : path;
}

const tables = [
  { table: 'tcp', transport: 'tcp', state: listening },
  { table: 'tcp6', transport: 'tcp', state: listening },
  { table: 'udp', transport: 'udp', state: unconnected },
  { table: 'udp6', transport: 'udp', state: unconnected },
] as const;

/** @returns null for what is no socket, or not open */
function inodeOf(fd: number): string | null {
  if (process.platform !== 'linux') return null;
  try {
    const stat = fstatSync(fd, { bigint: true });
    // Numbers of files and of sockets are counted apart.
    return stat.isSocket() ? String(stat.ino) : null;
  } catch {
    return null;
  }
}

function rowOf(table: string, inode: string): { readonly state: string; readonly address: StreamAddress } | null {
  for (const line of linesOf(table)) {
    const [, local = '', , state = '', , , , , , number] = line.trim().split(/\s+/);
    if (number !== inode) continue;
    const [host = '', port = ''] = local.split(':');
    return { state, address: ipAddress(hostOf(host), Number.parseInt(port, 16)) };
  }
  return null;
}

/** @returns the path of a stream socket that accepts connections; empty if it has no file, null if it is none, or that cannot be known */
function unixPath(inode: string): string | null {
  const rows = linesOf('unix').flatMap((line) => {
    const row = /^\S+ +\S+ +\S+ +(\S+) +(\S+) +\S+ +(\d+)(?: (.*))?$/.exec(line);
    return row?.[3] === inode ? [row] : [];
  });
  // The kernel writes names as they are. Whoever names a socket of his own with a line end in it adds a row of his invention, and no row says which one is true.
  const [row, ...others] = rows;
  if (row === undefined || others.length > 0) return null;
  const [, flags = '', type, , path = ''] = row;
  if (type !== '0001' || (Number.parseInt(flags, 16) & acceptsConnections) === 0) return null;
  // An @ begins the name of an abstract socket, which has no file.
  return path.startsWith('@') ? '' : path;
}

function linesOf(table: string): string[] {
  try {
    return readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n');
  } catch {
    // No /proc in this container, or a kernel without IPv6.
    return [];
  }
}

function hostOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
