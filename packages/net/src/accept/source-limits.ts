/**
 * Limits per source: how many connections a second one peer may open, and how many it may have.
 *
 * A source is a prefix of the peer's address: one IPv4 address, one /64 of IPv6, since a single customer has all addresses of a /64 at least
 * (RFC 6177 §2) and would otherwise have as many buckets. The memory is fixed (see `@ferrata/limits`), however many sources there are; it may
 * be shared by threads, so that a peer does not get its limit once for each of them.
 */
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import { Inflight, KeyedGcra } from '@ferrata/limits';
import type { StreamAddress, StreamInfo } from '@ferrata/stream';
import { checkClock } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import type { ConnectionFilter } from './connection-filter.ts';
import { parseIp, words } from './ip-bits.ts';

/** The memory of a filter made by `perSource`, to post to other threads. */
export interface SourceLimitMemory {
  readonly rate: SharedArrayBuffer | null;
  readonly concurrency: SharedArrayBuffer | null;
}

/** Options of `perSource`; at least one of the two limits must be given. */
export interface SourceLimitOptions {
  /** Connections a second and source, above 0 and at most 128 000. Default: no limit of the rate. */
  readonly connectionsPerSecond?: number;
  /** Connections that a source may open at once after a pause, ≥ 1; default: those of a second, at least 1. Browsers open six at a time. */
  readonly burst?: number;
  /** Open connections of a source, ≥ 1. Default: no limit. Many people can be behind one address (carrier NAT), so keep it generous. */
  readonly maxConcurrent?: number;
  /** Bits of an IPv4 address that make a source, 1 to 32; default 32. Fewer put neighbours together. */
  readonly ipv4PrefixLength?: number;
  /** Bits of an IPv6 address that make a source, 1 to 128; default 64. */
  readonly ipv6PrefixLength?: number;
  /**
   * Sources with a rate under way at once, 1 to 2²⁴; default 65 536. Raising it costs 24 bytes each. A new source that finds no place is
   * refused, as it would be by a flood from forged addresses otherwise.
   */
  readonly maxSources?: number;
  /**
   * `memory` of the filter of another thread: both are then one; the other numbers must agree. Default: memory of its own. A thread that dies without
   * closing its connections leaves them counted under `maxConcurrent`, as nobody else knows of them: make new memory when that has happened.
   */
  readonly memory?: SourceLimitMemory;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

/** A filter made by `perSource`. */
export interface SourceLimits extends ConnectionFilter {
  /** To post to other threads, and give to their `perSource`. */
  readonly memory: SourceLimitMemory;
  onClosed(peer: StreamAddress, info: StreamInfo): void;
}

const names: Readonly<Record<keyof SourceLimitOptions, true>> = {
  connectionsPerSecond: true,
  burst: true,
  maxConcurrent: true,
  ipv4PrefixLength: true,
  ipv6PrefixLength: true,
  maxSources: true,
  memory: true,
  clock: true,
};

/**
 * Refuses connections of sources that open too many.
 *
 * A peer without an IP address is served: the limits know no source for it. Behind a proxy (`proxyProtocol`) all clients are one source, the proxy.
 *
 * @throws {RangeError} if a number is out of range, or no limit is given
 * @throws {TypeError} for an unknown option, one that belongs to a limit that is not given, or memory without a limit that is
 */
export function perSource(options: SourceLimitOptions): SourceLimits {
  checkOptionNames('perSource', options, names);
  const { connectionsPerSecond, maxConcurrent, memory, clock = systemClock } = options;
  checkClock(clock);
  if (connectionsPerSecond === undefined && maxConcurrent === undefined)
    throw new RangeError('perSource needs connectionsPerSecond, maxConcurrent, or both');
  if (connectionsPerSecond === undefined && (options.burst !== undefined || options.maxSources !== undefined))
    throw new TypeError('burst and maxSources are of a rate: they need connectionsPerSecond');
  const rate =
    connectionsPerSecond === undefined
      ? null
      : new KeyedGcra({
          tokensPerSecond: connectionsPerSecond,
          burst: options.burst ?? Math.max(1, Math.ceil(connectionsPerSecond)),
          maxKeys: options.maxSources ?? 65_536,
          clock,
          memory: memory && halfOf(memory, 'rate'),
        });
  return new PerSource(rate, {
    open: maxConcurrent === undefined ? null : new Inflight({ memory: memory && halfOf(memory, 'concurrency') }),
    maxConcurrent: maxConcurrent === undefined ? 0 : checkWholeNumber('maxConcurrent', maxConcurrent, { min: 1, max: 0x7fff_ffff }),
    ipv4Bits: checkWholeNumber('ipv4PrefixLength', options.ipv4PrefixLength ?? 32, { min: 1, max: 32 }),
    ipv6Bits: checkWholeNumber('ipv6PrefixLength', options.ipv6PrefixLength ?? 64, { min: 1, max: 128 }),
  });
}

/** @throws {TypeError} for memory of a filter that had no such limit: its threads would each count by themselves */
function halfOf(memory: SourceLimitMemory, half: keyof SourceLimitMemory): SharedArrayBuffer {
  const buffer = memory[half];
  if (buffer instanceof SharedArrayBuffer) return buffer;
  throw new TypeError(`memory.${half} must be a SharedArrayBuffer: the filter that has made it needs the same limits`);
}

interface PerSourceConfig {
  readonly open: Inflight | null;
  readonly maxConcurrent: number;
  readonly ipv4Bits: number;
  readonly ipv6Bits: number;
}

class PerSource implements SourceLimits {
  readonly #rate: KeyedGcra | null;
  readonly #config: PerSourceConfig;

  constructor(rate: KeyedGcra | null, config: PerSourceConfig) {
    this.#rate = rate;
    this.#config = config;
  }

  get memory(): SourceLimitMemory {
    return { rate: this.#rate?.memory ?? null, concurrency: this.#config.open?.memory ?? null };
  }

  shouldAccept(peer: StreamAddress): boolean {
    const source = this.#sourceOf(peer);
    if (source === null) return true;
    const { open, maxConcurrent } = this.#config;
    // The count first: who has all its connections open should not lose tokens by asking for more.
    if (open?.tryAcquire(source, maxConcurrent) === null) return false;
    if (this.#rate === null || this.#rate.tryTake(source)) return true;
    open?.decrement(source);
    return false;
  }

  onClosed(peer: StreamAddress): void {
    const { open } = this.#config;
    if (open === null) return;
    const source = this.#sourceOf(peer);
    if (source !== null) open.decrement(source);
  }

  #sourceOf(peer: StreamAddress): string | null {
    if (peer.kind !== 'ip') return null;
    const zone = peer.host.indexOf('%');
    const family = parseIp(zone < 0 ? peer.host : peer.host.slice(0, zone));
    if (family === 'none') return null;
    const { ipv4Bits, ipv6Bits } = this.#config;
    // Not a substring of the text, in which one address may be written in several ways.
    if (family === 4) return String(masked(3, ipv4Bits));
    return `${masked(0, ipv6Bits)}:${masked(1, ipv6Bits - 32)}:${masked(2, ipv6Bits - 64)}:${masked(3, ipv6Bits - 96)}`;
  }
}

/** A word of the address that was parsed last, with only so many of its first bits. */
function masked(index: number, bits: number): number {
  if (bits <= 0) return 0;
  const word = words[index] as number;
  return bits >= 32 ? word : (word & ~(0xffff_ffff >>> bits)) >>> 0;
}
