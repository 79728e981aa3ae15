/** Options of `listen`, checked once. */

import { checkWholeNumber } from '@ferrata/error';
import { type AcceptConfig, type AcceptOptions, acceptOptionNames, resolveAcceptOptions } from './accept-options.ts';
import { type AddressLike, type NetAddress, toNetAddress } from './address.ts';
import { checkOptionNames } from './option-names.ts';

/** Where and how to listen. Exactly one of `address`, `host` with `port`, `path` and `fd` says where. */
export interface ListenOptions extends AcceptOptions {
  readonly address?: AddressLike;
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** A descriptor that listens already, inherited from another process. It belongs to the listener from then on: `close()` closes it. */
  readonly fd?: number;
  /** Connections that the kernel holds until they are accepted, 1 to 65535; Linux cuts it to `net.core.somaxconn`. Default 4096. */
  readonly backlog?: number;
  /** Lets several sockets listen on one port, the kernel spreading connections among them (Linux). Default false. */
  readonly reusePort?: boolean;
  /** On an IPv6 address, does not take IPv4 too. Default false. */
  readonly ipv6Only?: boolean;
  /**
   * Connections above a cap that wait for a place, unread, instead of being closed; 0 to 65 535, default 0. Each holds a descriptor, so
   * `maxConnections` and this number together must stay below the limit. Node cannot leave them in the kernel's queue: it has no way to pause
   * accepting.
   */
  readonly maxWaiting?: number;
  /** How long a connection may wait for its place before it is closed, 1 to 600 000 ms; default 5 000. */
  readonly waitTimeoutMs?: number;
  /** Sends small writes at once (TCP_NODELAY). Default true; false saves packets for peers that write byte by byte and costs them up to 40 ms. */
  readonly noDelay?: boolean;
  /** Silence after which TCP asks whether the peer still lives; 0: never. Default 60 000. Finds peers that vanished; costs one packet each time. */
  readonly keepAliveMs?: number;
  /** Bytes written and not yet sent from which on `write` returns false. Default 65 536. This much memory a slow reader can hold. */
  readonly highWaterBytes?: number;
  /**
   * Unsent bytes on top of which a further write aborts the stream with `STREAM_WRITE_OVERFLOW`, at least `highWaterBytes`; `Infinity`: never.
   * Default 1 048 576. A writer that waits for `onDrain` never meets it.
   */
  readonly hardLimitBytes?: number;
  /** Permissions of a Unix socket's file, as for `chmod`: 0o660. Default: what the umask leaves. */
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
  const options: ListenOptions = typeof where === 'string' || 'kind' in where ? { address: where } : where;
  checkOptionNames('listen', options, listenOptionNames);
  return Object.freeze({
    target: targetOf(options),
    backlog: checkWholeNumber('backlog', options.backlog ?? 4096, { min: 1, max: 65_535 }),
    reusePort: options.reusePort ?? false,
    ipv6Only: options.ipv6Only ?? false,
    maxWaiting: checkWholeNumber('maxWaiting', options.maxWaiting ?? 0, { min: 0, max: 65_535 }),
    waitTimeoutMs: checkWholeNumber('waitTimeoutMs', options.waitTimeoutMs ?? 5_000, { min: 1, max: 600_000 }),
    noDelay: options.noDelay ?? true,
    keepAliveMs: checkWholeNumber('keepAliveMs', options.keepAliveMs ?? 60_000, { min: 0, max: 2_147_483_647 }),
    highWaterBytes: checkWholeNumber('highWaterBytes', options.highWaterBytes ?? 65_536, { min: 1, max: 2_147_483_647 }),
    hardLimitBytes: hardLimit(options.hardLimitBytes, options.highWaterBytes ?? 65_536),
    mode: options.mode === undefined ? null : checkWholeNumber('mode', options.mode, { min: 0, max: 0o777 }),
    accept: resolveAcceptOptions(options),
  });
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
  const limit = limitBytes ?? Math.max(1_048_576, highWaterBytes);
  if (!(limit >= highWaterBytes)) throw new RangeError(`hardLimitBytes must be at least highWaterBytes (${highWaterBytes}), not ${limit}`);
  return limit;
}
