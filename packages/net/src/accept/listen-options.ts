/** Options of `listen`, checked once. */

import { isIPv4 } from 'node:net';
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { type AddressLike, type NetAddress, toNetAddress } from '../address.ts';
import { checkBoolean } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { type AcceptConfig, type AcceptOptions, acceptOptionNames, resolveAcceptOptions } from './accept-options.ts';

/**
 * Where and how to listen. Exactly one of `address`, `host` with `port`, `path` and `fd` says where. An option that cannot take effect there is
 * a `TypeError`, but for `noDelay` and `keepAliveMs`, which a Unix socket has no need of.
 */
export interface ListenOptions extends AcceptOptions {
  /** Of an address that was spread into the options (`{ ...address, filter }`); must agree with the rest. */
  readonly kind?: 'tcp' | 'ip' | 'unix';
  readonly address?: AddressLike;
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /**
   * A descriptor that listens already, inherited from another process. It belongs to the listener from then on: `close()` closes it. The file of
   * a Unix socket it leaves alone; the predecessor keeps it by `close({ keepFile: true })`. Node sets the length of its queue anew: to `backlog`.
   */
  readonly fd?: number;
  /** Connections that the kernel holds until they are accepted, 1 to 65535; Linux cuts it to `net.core.somaxconn`. Default 4096. */
  readonly backlog?: number;
  /** Lets several TCP sockets listen on one port, the kernel spreading connections among them (Linux). Default false. */
  readonly reusePort?: boolean;
  /** On an IPv6 address, does not take IPv4 too. Default false. */
  readonly ipv6Only?: boolean;
  /**
   * Connections above a cap that wait for a place, unread, instead of being closed; 0 to 65 535, default 0. The filter is asked as they begin to
   * wait, and while its promise is pending they hold a chair. They are served in their order, over all listeners with the same `connectionCap`.
   * Each holds a descriptor, so `maxConnections` and this number together must stay below the limit. Node cannot leave them in the kernel's
   * queue: it has no way to pause accepting.
   */
  readonly maxWaiting?: number;
  /** How long a connection may wait for its place before it is closed, 1 to 600 000 ms; default 5 000. */
  readonly waitTimeoutMs?: number;
  /** Sends small writes at once (TCP_NODELAY). Default true; false saves packets for peers that write byte by byte and costs them up to 40 ms. */
  readonly noDelay?: boolean;
  /**
   * Silence after which TCP asks whether the peer still lives: 1 000 to 32 767 000 in whole seconds (what is below a second is cut), or 0: never.
   * Default 60 000. Finds peers that vanished; costs one packet each time.
   */
  readonly keepAliveMs?: number;
  /** Bytes written and not yet sent from which on `write` returns false. Default 65 536. This much memory a slow reader can hold. */
  readonly highWaterBytes?: number;
  /**
   * Unsent bytes on top of which a further write aborts the stream with `STREAM_WRITE_OVERFLOW`, at least `highWaterBytes`; `Infinity`: never.
   * Default 1 048 576. A writer that waits for `onDrain` never meets it.
   */
  readonly hardLimitBytes?: number;
  /**
   * Permissions of a Unix socket's file, as for `chmod`: 0o660. Default: what the umask leaves. On the main thread nobody without them can connect
   * at any time; a worker cannot narrow the umask, and sets them right after `bind`, so put the socket into a directory that is closed to others.
   */
  readonly mode?: number;
}

/** `ListenOptions` with every field settled. */
export interface ListenConfig {
  readonly target: NetAddress | { readonly kind: 'fd'; readonly fd: number };
  readonly backlog: number;
  readonly reusePort: boolean;
  readonly ipv6Only: boolean;
  readonly maxWaiting: number;
  readonly waitTimeoutMs: number;
  readonly noDelay: boolean;
  readonly keepAliveMs: number;
  readonly highWaterBytes: number;
  readonly hardLimitBytes: number;
  readonly mode: number | null;
  readonly accept: AcceptConfig;
}

const listenOptionNames: Readonly<Record<keyof ListenOptions, true>> = {
  address: true,
  host: true,
  port: true,
  path: true,
  fd: true,
  kind: true,
  backlog: true,
  reusePort: true,
  ipv6Only: true,
  maxWaiting: true,
  waitTimeoutMs: true,
  noDelay: true,
  keepAliveMs: true,
  highWaterBytes: true,
  hardLimitBytes: true,
  mode: true,
  ...acceptOptionNames,
};

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number out of range
 * @throws {TypeError} if it is not clear where to listen, or for an option that is not known, or that Node cannot set
 * @throws {WireError} for certificates that cannot be used
 */
export function resolveListenOptions(where: AddressLike | ListenOptions): ListenConfig {
  if (typeof where !== 'string' && (typeof where !== 'object' || where === null))
    throw new TypeError('listen needs an address, or options');
  // An address is options too, whatever else it was spread together with: none of them may get lost.
  const options = typeof where === 'string' ? { address: where } : (where as ListenOptions);
  checkOptionNames('listen', options, listenOptionNames);
  const target = targetOf(options);
  checkFit(options, target);
  return Object.freeze({
    target,
    backlog: checkWholeNumber('backlog', options.backlog ?? 4096, { min: 1, max: 65_535 }),
    reusePort: checkBoolean('reusePort', options.reusePort, false),
    ipv6Only: checkBoolean('ipv6Only', options.ipv6Only, false),
    maxWaiting: checkWholeNumber('maxWaiting', options.maxWaiting ?? 0, { min: 0, max: 65_535 }),
    waitTimeoutMs: checkWholeNumber('waitTimeoutMs', options.waitTimeoutMs ?? 5_000, { min: 1, max: 600_000 }),
    noDelay: checkBoolean('noDelay', options.noDelay, true),
    keepAliveMs: checkKeepAlive(options.keepAliveMs),
    highWaterBytes: checkWholeNumber('highWaterBytes', options.highWaterBytes ?? 65_536, { min: 1, max: 2_147_483_647 }),
    hardLimitBytes: hardLimit(options.hardLimitBytes, options.highWaterBytes ?? 65_536),
    mode: options.mode === undefined ? null : checkWholeNumber('mode', options.mode, { min: 0, max: 0o777 }),
    accept: resolveAcceptOptions(options),
  });
}

/** @throws {TypeError} for an option that means nothing there */
function checkFit({ kind, mode, reusePort, ipv6Only }: ListenOptions, target: ListenConfig['target']): void {
  if (kind !== undefined && (kind === 'ip' ? 'tcp' : kind) !== target.kind)
    throw new TypeError(`the kind of the address is ${JSON.stringify(kind)}, but the rest says ${target.kind}`);
  if (mode !== undefined && target.kind !== 'unix') throw new TypeError('mode is for the file of a Unix socket: it needs a path');
  if (reusePort === true && target.kind !== 'tcp') throw new TypeError('reusePort is for a TCP port: it needs a host and a port');
  if (ipv6Only === true && (target.kind !== 'tcp' || isIPv4(target.host))) throw new TypeError('ipv6Only is for an IPv6 address');
}

/** @throws {RangeError} for what Node would silently take for another time, or for none */
export function checkKeepAlive(keepAliveMs: number | undefined): number {
  const value = checkWholeNumber('keepAliveMs', keepAliveMs ?? 60_000, { min: 0, max: 32_767_000 });
  if (value > 0 && value < 1_000)
    throw new RangeError(`keepAliveMs must be 0, or 1000 to 32767000, not ${value}: the kernel counts in seconds`);
  return value;
}

function targetOf(options: ListenOptions): ListenConfig['target'] {
  const { address, host, port, path, fd } = options;
  const ways = [address !== undefined, host !== undefined || port !== undefined, path !== undefined, fd !== undefined];
  if (ways.filter(Boolean).length !== 1) throw new TypeError('say where to listen by exactly one of address, host with port, path, and fd');
  if (fd !== undefined) return { kind: 'fd', fd: checkWholeNumber('fd', fd, { min: 0, max: 2_147_483_647 }) };
  if (address !== undefined) return toNetAddress(address);
  if (path !== undefined) return toNetAddress({ path });
  if (port === undefined || host === undefined) throw new TypeError('a TCP listener needs a host and a port');
  return toNetAddress({ host, port });
}

/** @throws {RangeError} unless the limit is at least `highWaterBytes` */
export function hardLimit(limitBytes: number | undefined, highWaterBytes: number): number {
  return checkNumber('hardLimitBytes', limitBytes ?? Math.max(1_048_576, highWaterBytes), { min: highWaterBytes });
}
