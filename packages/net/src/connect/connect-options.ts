/** Options of `connect`, checked once. */

import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { ConnectionCap } from '../accept/connection-cap.ts';
import { checkKeepAlive, hardLimit } from '../accept/listen-options.ts';
import { delayRange } from '../delay-range.ts';
import { checkBoolean, checkCallback, checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { type TlsClient, toTlsClient } from '../tls/tls-client.ts';
import type { TlsClientOptions } from '../tls/tls-client-options.ts';

/** How to connect. */
export interface ConnectOptions {
  /**
   * Time from the start to a connection, name look-up and all attempts included. Default 3 000. Raising it makes a black hole hold its
   * request for longer. A TLS handshake has its own time on top: `TlsClientOptions.handshakeTimeoutMs`.
   */
  readonly connectTimeoutMs?: number;
  /**
   * Time from the start to a usable connection, TLS handshake included. Default, with `tls`: 5 000 while `connectTimeoutMs` and
   * `TlsClientOptions.handshakeTimeoutMs` have their defaults, else the sum of the two (`usualTotalTimeoutMs`); without `tls` `connectTimeoutMs` alone counts.
   */
  readonly totalTimeoutMs?: number;
  /** Makes TLS over the connection, to the name or address given. A `TlsClient` used for many connections resumes sessions. Default: no TLS. */
  readonly tls?: TlsClient | TlsClientOptions;
  /** Of a name with several addresses, the time given to one before it is given up for the next. Default 250. */
  readonly attemptTimeoutMs?: number;
  /** Aborts connecting; has no effect on a stream once connected. */
  readonly signal?: AbortSignal;
  /** The IP address to connect from; of a name then only the first address of its family is tried, which is all that Node does. Default: the kernel chooses. */
  readonly localAddress?: string;
  /** The port to connect from, with `localAddress`. Default: the kernel chooses. */
  readonly localPort?: number;
  /** Sends small writes at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean;
  /** Silence after which TCP asks whether the peer still lives: 1 000 to 32 767 000 in whole seconds, or 0: never. Default 60 000. */
  readonly keepAliveMs?: number;
  /** Bytes written and not yet sent from which on `write` returns false. Default 65 536. */
  readonly highWaterBytes?: number;
  /**
   * Unsent bytes on top of which a further write aborts the stream with `STREAM_WRITE_OVERFLOW`, at least `highWaterBytes`; `Infinity`: never.
   * Default 1 048 576. A writer that waits for `onDrain` never meets it.
   */
  readonly hardLimitBytes?: number;
  /**
   * Replaces `dns.lookup`, which works on four threads and knows nothing of TTLs. May answer with one address or a list; a throw, a rejection, or an
   * answer that is no address fails the connection with `DNS_LOOKUP_FAILED`.
   */
  readonly lookup?: LookupFunction;
  /** Counts the connection from the start of connecting until its close; if it is full, connecting fails with `CONNECTION_CAP_REACHED`. */
  readonly connectionCap?: ConnectionCap;
  /** Keeps the time-out together with a great many others; no time-out may be longer than its `maxDelayMs`. Default: a wake-up of its own from `clock`. */
  readonly deadlines?: DeadlineQueue;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

/** `ConnectOptions` with every field settled. */
export interface ConnectConfig {
  readonly connectTimeoutMs: number;
  /** `Infinity`: none. */
  readonly totalTimeoutMs: number;
  readonly tls: TlsClient | null;
  readonly attemptTimeoutMs: number;
  readonly signal: AbortSignal | null;
  readonly localAddress: string | null;
  readonly localPort: number | null;
  readonly noDelay: boolean;
  readonly keepAliveMs: number;
  readonly highWaterBytes: number;
  readonly hardLimitBytes: number;
  readonly lookup: LookupFunction | null;
  readonly connectionCap: ConnectionCap | null;
  readonly deadlines: DeadlineQueue | null;
  readonly clock: Clock;
}

const USUAL_CONNECT_MS = 3_000;
/** The default of `TlsClientOptions.handshakeTimeoutMs`. */
const USUAL_HANDSHAKE_MS = 5_000;
const USUAL_TOTAL_MS = 5_000;

const names: Readonly<Record<keyof ConnectOptions, true>> = {
  connectTimeoutMs: true,
  totalTimeoutMs: true,
  tls: true,
  attemptTimeoutMs: true,
  signal: true,
  localAddress: true,
  localPort: true,
  noDelay: true,
  keepAliveMs: true,
  highWaterBytes: true,
  hardLimitBytes: true,
  lookup: true,
  connectionCap: true,
  deadlines: true,
  clock: true,
};

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number out of range
 * @throws {TypeError} for an option that is none, is of the wrong kind, or that Node cannot set; if `localAddress` is no IP address; for settings of TLS that
 *   cannot work
 */
export function resolveConnectOptions(options: ConnectOptions): ConnectConfig {
  checkOptionNames('connect', options, names);
  const { lookup, signal, deadlines, connectionCap } = options;
  checkCallback('lookup', lookup);
  if (connectionCap !== undefined) checkMethods('connectionCap', connectionCap, 'a ConnectionCap', ['tryTake', 'release']);
  if (signal !== undefined) checkMethods('signal', signal, 'an AbortSignal', ['addEventListener']);
  if (options.clock !== undefined) checkMethods('clock', options.clock, 'a Clock', ['now', 'schedule']);
  const delay = delayRange(deadlines);
  const connectTimeoutMs = checkWholeNumber('connectTimeoutMs', options.connectTimeoutMs ?? USUAL_CONNECT_MS, delay);
  const tls = options.tls === undefined ? null : toTlsClient(options.tls);
  if (tls !== null) checkWholeNumber('handshakeTimeoutMs', tls.handshakeTimeoutMs, delay);
  return Object.freeze({
    connectTimeoutMs,
    totalTimeoutMs:
      options.totalTimeoutMs === undefined
        ? usualTotalMs(connectTimeoutMs, tls, delay)
        : checkWholeNumber('totalTimeoutMs', options.totalTimeoutMs, delay),
    tls,
    // Node raises anything below 10 to 10.
    attemptTimeoutMs: checkWholeNumber('attemptTimeoutMs', options.attemptTimeoutMs ?? 250, { min: 10, max: 2_147_483_647 }),
    signal: signal ?? null,
    localAddress: checkLocalAddress(options.localAddress) ?? null,
    localPort: options.localPort === undefined ? null : checkWholeNumber('localPort', options.localPort, { min: 0, max: 65_535 }),
    noDelay: checkBoolean('noDelay', options.noDelay, true),
    keepAliveMs: checkKeepAlive(options.keepAliveMs),
    highWaterBytes: checkWholeNumber('highWaterBytes', options.highWaterBytes ?? 65_536, { min: 1, max: 2_147_483_647 }),
    hardLimitBytes: hardLimit(options.hardLimitBytes, options.highWaterBytes ?? 65_536),
    lookup: lookup ?? null,
    connectionCap: connectionCap ?? null,
    deadlines: deadlines ?? null,
    clock: options.clock ?? systemClock,
  });
}

/**
 * The default of `totalTimeoutMs`: 5 000 while the two times have their defaults, 3 000 and 5 000, as few servers are slow in both; else their sum, so that
 * either can run to its end, up to the longest time of a timer (2 147 483 647).
 */
export function usualTotalTimeoutMs(connectTimeoutMs: number, handshakeTimeoutMs: number): number {
  if (connectTimeoutMs === USUAL_CONNECT_MS && handshakeTimeoutMs === USUAL_HANDSHAKE_MS) return USUAL_TOTAL_MS;
  return Math.min(connectTimeoutMs + handshakeTimeoutMs, delayRange(null).max);
}

/** @returns `address` @throws {TypeError} if it is neither an IP address nor undefined */
export function checkLocalAddress(address: string | undefined): string | undefined {
  if (address !== undefined && (typeof address !== 'string' || isIP(address) === 0))
    throw new TypeError(`localAddress must be an IP address, not ${JSON.stringify(address)}`);
  return address;
}

/** @returns `Infinity` for none */
function usualTotalMs(connectTimeoutMs: number, tls: TlsClient | null, { max }: { readonly max: number }): number {
  return tls === null ? Number.POSITIVE_INFINITY : Math.min(usualTotalTimeoutMs(connectTimeoutMs, tls.handshakeTimeoutMs), max);
}
