/** Options of UDP endpoints, checked once; and the addresses that UDP takes. */
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import type { StreamAddress } from '@ferrata/stream';
import { type AddressLike, parseAddress, toNetAddress } from '../address.ts';
import { checkOptionNames } from '../option-names.ts';

/** An address of UDP: `kind` is `ip`, `host` an address, never a name. */
export type UdpAddress = Extract<StreamAddress, { kind: 'ip' }>;

/** What a datagram that is kept costs besides its bytes, about: a buffer, a view and a place in a list, an empty one's too. */
export const KEPT_DATAGRAM_BYTES = 256;

/** Options that both ways of opening an endpoint have. */
export interface UdpSocketOptions {
  /**
   * Datagrams kept while paused; more are dropped and counted. Default 1 024. Node reads a socket whether we are ready or not, so this, not the
   * kernel's buffer, is what holds back. Raising it lets a slow consumer hold so many datagrams of up to 64 KiB: see `maxReceiveBytes`.
   */
  readonly maxReceiveQueue?: number;
  /** Bytes of datagrams kept while paused, each with 256 more for itself. Default 1 048 576. This much memory a slow consumer can hold. */
  readonly maxReceiveBytes?: number;
  /**
   * Bytes of datagrams that wait for the kernel to take them, each with 256 more for itself; one that finds more waiting is dropped and counted.
   * Default 1 048 576. Raising it keeps more when the kernel's buffer is full, and makes them later.
   */
  readonly maxSendBytes?: number;
  /** SO_RCVBUF in bytes, 1 to 2³¹ − 1; the kernel may cut it (`net.core.rmem_max`). Default: the kernel's. Raising it outlasts longer pauses of the thread. */
  readonly receiveBufferBytes?: number;
  /** SO_SNDBUF in bytes, 1 to 2³¹ − 1; the kernel may cut it (`net.core.wmem_max`). Default: the kernel's. */
  readonly sendBufferBytes?: number;
  /** Hops that a datagram lives (IP_TTL), 1 to 255. Default: the kernel's, 64 on Linux. */
  readonly ttl?: number;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

/** Where to receive. One of `address`, `host` with `port`, and `fd` says where. */
export interface UdpBindOptions extends UdpSocketOptions {
  readonly address?: AddressLike;
  readonly host?: string;
  /** 0: the kernel chooses. */
  readonly port?: number;
  /**
   * A descriptor of a socket that is bound already, inherited from another process. It belongs to the endpoint from then on: `close()` closes it. How it is bound is
   * settled, so `reusePort`, `reuseAddr` and `ipv6Only` make no sense beside it. Of sockets that share a port each is to be read by one thread alone.
   */
  readonly fd?: number;
  /** Lets several sockets have one port, the kernel spreading peers among them (SO_REUSEPORT; Linux). Default false. */
  readonly reusePort?: boolean;
  /** Takes a port that another socket has (SO_REUSEADDR; on Linux the last one to bind then gets the datagrams). Default false. */
  readonly reuseAddr?: boolean;
  /** On an IPv6 address, does not take IPv4 too. Default false. */
  readonly ipv6Only?: boolean;
}

/** Whom to speak with. One of `address` and `host` with `port` says whom. */
export interface UdpConnectOptions extends UdpSocketOptions {
  readonly address?: AddressLike;
  readonly host?: string;
  readonly port?: number;
  /** The address to send from. Default: the kernel chooses. */
  readonly localAddress?: string;
  /** The port to send from, 0: the kernel chooses. Default 0. */
  readonly localPort?: number;
}

/** `UdpSocketOptions` with every field settled; null: the kernel's own. */
export interface UdpSocketConfig {
  readonly maxReceiveQueue: number;
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly receiveBufferBytes: number | null;
  readonly sendBufferBytes: number | null;
  readonly ttl: number | null;
  readonly clock: Clock;
}

/** `UdpBindOptions` with every field settled. */
export interface UdpBindConfig extends UdpSocketConfig {
  /** If it isn't null, it says where, and the host is empty. */
  readonly fd: number | null;
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly reuseAddr: boolean;
  readonly ipv6Only: boolean;
}

/** `UdpConnectOptions` with every field settled. */
export interface UdpConnectConfig extends UdpSocketConfig {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string | null;
  readonly localPort: number;
}

const socketNames: Record<keyof UdpSocketOptions, true> = {
  maxReceiveQueue: true,
  maxReceiveBytes: true,
  maxSendBytes: true,
  receiveBufferBytes: true,
  sendBufferBytes: true,
  ttl: true,
  clock: true,
};

/** Names of the options of `bindUdp`. */
export const udpBindNames: Record<keyof UdpBindOptions, true> = {
  address: true,
  host: true,
  port: true,
  fd: true,
  reusePort: true,
  reuseAddr: true,
  ipv6Only: true,
  ...socketNames,
};

const connectNames: Record<keyof UdpConnectOptions, true> = {
  address: true,
  host: true,
  port: true,
  localAddress: true,
  localPort: true,
  ...socketNames,
};

/**
 * Settles every option of binding.
 *
 * @throws {TypeError} if an address is malformed or missing, or an option is not known
 * @throws {RangeError} if a number is out of range
 */
export function resolveUdpBindOptions(where: AddressLike | UdpBindOptions): UdpBindConfig {
  const options = toUdpOptions<UdpBindOptions>(where);
  checkOptionNames('bindUdp', options, udpBindNames);
  return resolveKnownBindOptions(options);
}

/** The same for options whose names have been checked, those of others among them. */
export function resolveKnownBindOptions(options: UdpBindOptions): UdpBindConfig {
  const { reusePort = false, reuseAddr = false, ipv6Only = false } = options;
  const target = options.fd === undefined ? { ...udpTarget(options), fd: null } : descriptorTarget(options, options.fd);
  return Object.freeze({ ...target, reusePort, reuseAddr, ipv6Only, ...resolveSocketOptions(options) });
}

/**
 * Settles every option of a connected endpoint.
 *
 * @throws {TypeError} if an address is malformed or missing, or an option is not known
 * @throws {RangeError} if a number is out of range
 */
export function resolveUdpConnectOptions(where: AddressLike | UdpConnectOptions): UdpConnectConfig {
  const options = toUdpOptions<UdpConnectOptions>(where);
  checkOptionNames('connectUdp', options, connectNames);
  const target = udpTarget(options);
  if (target.port === 0) throw new RangeError('port must be a whole number from 1 to 65535 to connect to, not 0');
  const { localAddress, localPort = 0 } = options;
  return Object.freeze({
    ...target,
    localAddress: localAddress === undefined ? null : toNetTarget({ host: localAddress, port: 0 }).host,
    localPort: checkWholeNumber('localPort', localPort, { max: 65_535 }),
    ...resolveSocketOptions(options),
  });
}

function resolveSocketOptions(options: UdpSocketOptions): UdpSocketConfig {
  const { maxReceiveQueue = 1024, maxReceiveBytes = 0x10_0000, maxSendBytes = 0x10_0000, clock = systemClock } = options;
  const { receiveBufferBytes, sendBufferBytes, ttl } = options;
  const int32 = { min: 1, max: 0x7fff_ffff };
  return {
    maxReceiveQueue: checkWholeNumber('maxReceiveQueue', maxReceiveQueue),
    maxReceiveBytes: checkWholeNumber('maxReceiveBytes', maxReceiveBytes),
    maxSendBytes: checkWholeNumber('maxSendBytes', maxSendBytes),
    receiveBufferBytes: receiveBufferBytes === undefined ? null : checkWholeNumber('receiveBufferBytes', receiveBufferBytes, int32),
    sendBufferBytes: sendBufferBytes === undefined ? null : checkWholeNumber('sendBufferBytes', sendBufferBytes, int32),
    ttl: ttl === undefined ? null : checkWholeNumber('ttl', ttl, { min: 1, max: 255 }),
    clock,
  };
}

/** An address as such, or an object of options that holds one. */
export function toUdpOptions<Options extends UdpBindOptions | UdpConnectOptions>(where: AddressLike | Options): Options {
  if (typeof where === 'string') return { address: where } as unknown as Options;
  if (Object.keys(where).every((name) => addressNames.has(name)) && ('kind' in where || 'path' in where)) {
    return { address: where } as unknown as Options;
  }
  if (!('kind' in where)) return where as Options;
  // An address that was spread together with options: none of them may get lost.
  const { kind: _kind, ...options } = where;
  return options as unknown as Options;
}

const addressNames: ReadonlySet<string> = new Set(['kind', 'host', 'port', 'path']);

function udpTarget({ address, host, port }: UdpBindOptions): { readonly host: string; readonly port: number } {
  if (address !== undefined) {
    if (host !== undefined || port !== undefined) throw new TypeError('give either address, or host and port');
    return toNetTarget(typeof address === 'string' ? withoutScheme(address) : address);
  }
  if (host === undefined || port === undefined) throw new TypeError('say where: an address, or host and port');
  return toNetTarget({ host, port });
}

/** @throws {TypeError} for what would bind a socket that is bound already */
function descriptorTarget(options: UdpBindOptions, fd: number): { readonly host: string; readonly port: number; readonly fd: number } {
  const { address, host, port, reusePort, reuseAddr, ipv6Only } = options;
  if (address !== undefined || host !== undefined || port !== undefined)
    throw new TypeError('say where to receive by exactly one of address, host with port, and fd');
  for (const [name, value] of Object.entries({ reusePort, reuseAddr, ipv6Only }))
    if (value === true) throw new TypeError(`${name} is for a socket that is yet to be bound, and fd is bound already`);
  // Node takes 0 for no descriptor at all.
  return { host: '', port: 0, fd: checkWholeNumber('fd', fd, { min: 1, max: 0x7fff_ffff }) };
}

/** `udp://` is known here; every other scheme is left for the parser to refuse. */
function withoutScheme(text: string): string {
  if (/^tcp:/i.test(text))
    throw new TypeError(`invalid address ${JSON.stringify(text.slice(0, 160))}: it is of TCP; write udp://host:port`);
  return /^udp:\/\//i.test(text) ? text.slice('udp://'.length) : text;
}

function toNetTarget(address: AddressLike): { readonly host: string; readonly port: number } {
  const target = typeof address === 'string' ? parseAddress(address) : toNetAddress(address);
  if (target.kind === 'unix') throw new TypeError(`Node has no datagrams over Unix sockets: ${target.path}`);
  return { host: target.host, port: target.port };
}
