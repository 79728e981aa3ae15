/** Options of `listen`, checked once. */

import { type Clock, systemClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { checkWholeNumber } from '@ferrata/error';
import type { StreamAddress } from '@ferrata/stream';
import { type AddressLike, type NetAddress, toNetAddress } from './address.ts';
import { ConnectionCap } from './connection-cap.ts';

/** Where and how to listen. Exactly one of `address`, `host` with `port`, `path` and `fd` says where. */
export interface ListenOptions {
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
   * Open connections of this listener, at most; more are closed as soon as they are accepted. Default `Infinity`. Keep it below the limit of
   * descriptors with a reserve, see `ConnectionCap`.
   */
  readonly maxConnections?: number;
  /** A count shared with other listeners and connectors; holds in addition to `maxConnections`. Default: none. */
  readonly connectionCap?: ConnectionCap;
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
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Called for each connection closed because of a cap, with the peer's address. Default: nothing. */
  readonly onShed?: (peer: StreamAddress) => void;
  /** Called for a failure of the listening socket after it had begun to listen. Default: nothing. */
  readonly onError?: (error: WireError) => void;
}

/** `ListenOptions` with every field settled. */
export interface ListenConfig {
  readonly target: NetAddress | { readonly kind: 'fd'; readonly fd: number };
  readonly backlog: number;
  readonly reusePort: boolean;
  readonly ipv6Only: boolean;
  readonly ownCap: ConnectionCap;
  readonly sharedCap: ConnectionCap | null;
  readonly noDelay: boolean;
  readonly keepAliveMs: number;
  readonly highWaterBytes: number;
  readonly hardLimitBytes: number;
  readonly mode: number | null;
  readonly clock: Clock;
  readonly onShed: ((peer: StreamAddress) => void) | null;
  readonly onError: ((error: WireError) => void) | null;
}

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number out of range @throws {TypeError} if it is not clear where to listen
 */
export function resolveListenOptions(where: AddressLike | ListenOptions): ListenConfig {
  const options: ListenOptions = typeof where === 'string' || 'kind' in where ? { address: where } : where;
  return Object.freeze({
    target: targetOf(options),
    backlog: checkWholeNumber('backlog', options.backlog ?? 4096, { min: 1, max: 65_535 }),
    reusePort: options.reusePort ?? false,
    ipv6Only: options.ipv6Only ?? false,
    ownCap: new ConnectionCap(options.maxConnections ?? Infinity),
    sharedCap: options.connectionCap ?? null,
    noDelay: options.noDelay ?? true,
    keepAliveMs: checkWholeNumber('keepAliveMs', options.keepAliveMs ?? 60_000, { min: 0, max: 2_147_483_647 }),
    highWaterBytes: checkWholeNumber('highWaterBytes', options.highWaterBytes ?? 65_536, { min: 1, max: 2_147_483_647 }),
    hardLimitBytes: hardLimit(options.hardLimitBytes, options.highWaterBytes ?? 65_536),
    mode: options.mode === undefined ? null : checkWholeNumber('mode', options.mode, { min: 0, max: 0o777 }),
    clock: options.clock ?? systemClock,
    onShed: options.onShed ?? null,
    onError: options.onError ?? null,
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
