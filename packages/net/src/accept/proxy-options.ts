/** Options of accepting PROXY headers, checked once. */
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import { type ResolvedProxyHeaderDecoderOptions, resolveProxyHeaderDecoderOptions } from '@ferrata/proxy-protocol';
import { DeadlineQueue } from '@ferrata/timeout';
import { checkBoolean, checkClock, checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { type CidrSet, toCidrSet } from './cidr-set.ts';

/** How to accept connections that begin with a PROXY header. */
export interface AcceptProxyOptions {
  /**
   * The sources whose headers are believed: ranges of addresses, or `all` where nobody else can connect (a firewall, a Unix socket). There is no
   * default: a header says who the client is, and whoever may send one may say anything.
   */
  readonly trusted: CidrSet | readonly string[] | 'all';
  /**
   * Whether every connection must begin with a header. Default true: one without is closed, and so is any from a source that is not trusted.
   *
   * With false, a connection whose first bytes are no header is taken as it is. Only for protocols in which the client speaks first: nothing
   * can be sent before its first bytes have come, or `timeoutMs` has passed. Bytes that may yet become a header, such as CRLF alone, must become one or
   * something else within `timeoutMs`, or the connection is closed (`PROXY_TIMEOUT`). A header from a source that is not trusted closes the connection
   * all the same.
   */
  readonly required?: boolean;
  /** From the accept to the last byte of the header, in milliseconds, 1 to 600 000. Default 5 000. Raising it lets silent peers stay longer. */
  readonly timeoutMs?: number;
  /** Longest header of version 2, 107 to 65 551 bytes. Default 536. Raising it costs memory before anything is known of the peer. */
  readonly maxHeaderBytes?: number;
  /** Versions that are read; default both. */
  readonly versions?: readonly (1 | 2)[];
  /** Keeps the time-out together with a great many others. Default: a queue of its own for all connections with these options. */
  readonly deadlines?: DeadlineQueue;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

/** `AcceptProxyOptions` with every field settled. */
export interface AcceptProxyConfig {
  readonly isResolved: true;
  /** Null: everybody. */
  readonly trusted: CidrSet | null;
  readonly required: boolean;
  readonly timeoutMs: number;
  readonly decoder: ResolvedProxyHeaderDecoderOptions;
  readonly deadlines: DeadlineQueue;
}

const names: Readonly<Record<keyof AcceptProxyOptions, true>> = {
  trusted: true,
  required: true,
  timeoutMs: true,
  maxHeaderBytes: true,
  versions: true,
  deadlines: true,
  clock: true,
};

/**
 * Checks options and fills in defaults.
 *
 * @throws {TypeError} if it is not said who is trusted, a range is malformed, or for an unknown option @throws {RangeError} for a number out of range
 */
export function resolveAcceptProxyOptions(options: AcceptProxyOptions | AcceptProxyConfig): AcceptProxyConfig {
  if ('isResolved' in options) return options;
  checkOptionNames('proxyProtocol', options, names);
  const { maxHeaderBytes, versions, deadlines, clock = systemClock } = options;
  checkClock(clock);
  if (deadlines !== undefined) checkMethods('deadlines', deadlines, 'a DeadlineQueue', ['after', 'now']);
  return Object.freeze({
    isResolved: true,
    trusted: toTrusted(options.trusted),
    required: checkBoolean('required', options.required, true),
    timeoutMs: checkWholeNumber('timeoutMs', options.timeoutMs ?? 5_000, { min: 1, max: 600_000 }),
    decoder: resolveProxyHeaderDecoderOptions({
      ...(maxHeaderBytes === undefined ? {} : { maxHeaderBytes }),
      ...(versions === undefined ? {} : { versions }),
    }),
    deadlines: deadlines ?? new DeadlineQueue({ clock }),
  });
}

function toTrusted(trusted: AcceptProxyOptions['trusted'] | undefined): CidrSet | null {
  if (trusted === 'all') return null;
  if (typeof trusted !== 'object' || trusted === null) throw new TypeError("proxyProtocol needs trusted: ranges of addresses, or 'all'");
  return toCidrSet(trusted);
}
