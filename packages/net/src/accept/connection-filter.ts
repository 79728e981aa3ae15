/**
 * Filters of connections: asked right after the accept, before TLS and before the first byte.
 *
 * A filter sees addresses only. What it refuses is reset at once and has cost a fraction of a TLS handshake. Filters compose by `everyFilter`;
 * those that count something per connection are told when it is over, and when nobody waits for their answer any more.
 */
import type { StreamAddress, StreamInfo } from '@ferrata/stream';
import { type CidrSet, toCidrSet } from './cidr-set.ts';

/**
 * Decides which connections a listener serves.
 *
 * A filter of one's own that counts, or holds anything else for a connection, gives it back exactly once: at once if it refuses, in `onClosed` if it
 * has answered `true`, and if it holds it while its promise is pending, in `onGivenUp`. What it waits for should have a time-out of its own.
 */
export interface ConnectionFilter {
  /**
   * Whether to serve a connection. Only `true` accepts; a throw, a rejection, any other answer, or none in time refuses.
   *
   * An answer that is no promise is not waited for: it costs no tick. While a promise is pending, no byte of the connection is read.
   *
   * @param peer its address, that of the proxy in front if there is one (`proxyProtocol`); `unset` for clients of a Unix socket, for most virtual streams, and if the peer is gone already
   * @param info facts about the connection; `extension` may be written to, for later layers
   */
  shouldAccept(peer: StreamAddress, info: StreamInfo): boolean | Promise<boolean>;
  /** Called once for each connection that this filter has accepted, when it is over, whatever else became of it; `info` is the same object. */
  onClosed?(peer: StreamAddress, info: StreamInfo): void;
  /**
   * Called once when nobody waits any more for the promise of this filter (it took longer than `filterTimeoutMs`, or the connection was shed): stop
   * what was begun, give back what is held. Should the promise answer `true` all the same, `onClosed` follows it, as for a connection that is over.
   */
  onGivenUp?(peer: StreamAddress, info: StreamInfo): void;
}

/**
 * Serves only peers in the set. A peer without an IP address is refused, so this is not for Unix sockets.
 *
 * @throws {TypeError} if a range is malformed
 */
export function allowOnly(ranges: CidrSet | Iterable<string>): ConnectionFilter {
  const set = toCidrSet(ranges);
  return { shouldAccept: (peer) => peer.kind === 'ip' && set.has(peer.host) };
}

/**
 * Refuses peers in the set; a peer without an IP address is served.
 *
 * @throws {TypeError} if a range is malformed
 */
export function refuse(ranges: CidrSet | Iterable<string>): ConnectionFilter {
  const set = toCidrSet(ranges);
  return { shouldAccept: (peer) => peer.kind !== 'ip' || !set.has(peer.host) };
}

/** Asks filters one after the other, each only if those before it have accepted: put the cheap ones and those that count least first. */
export function everyFilter(...filters: readonly ConnectionFilter[]): ConnectionFilter {
  if (filters.length === 1) return filters[0] as ConnectionFilter;
  return new EveryFilter(filters);
}

/** A filter among several whose promise is pending. */
interface PendingAsk {
  /** Those before it have accepted. */
  readonly index: number;
  isGivenUp: boolean;
}

class EveryFilter implements ConnectionFilter {
  readonly #filters: readonly ConnectionFilter[];
  readonly #pending = new WeakMap<StreamInfo, PendingAsk>();

  constructor(filters: readonly ConnectionFilter[]) {
    this.#filters = filters;
  }

  shouldAccept(peer: StreamAddress, info: StreamInfo): boolean | Promise<boolean> {
    return this.#askFrom(0, peer, info);
  }

  onClosed(peer: StreamAddress, info: StreamInfo): void {
    this.#takeBack(this.#filters.length, peer, info);
  }

  /** Those that have accepted are told that it is over; the one that is pending is told as we were. */
  onGivenUp(peer: StreamAddress, info: StreamInfo): void {
    const ask = this.#pending.get(info);
    if (ask === undefined) return;
    this.#pending.delete(info);
    ask.isGivenUp = true;
    try {
      this.#filters[ask.index]?.onGivenUp?.(peer, info);
    } finally {
      this.#takeBack(ask.index, peer, info);
    }
  }

  #askFrom(start: number, peer: StreamAddress, info: StreamInfo): boolean | Promise<boolean> {
    const filters = this.#filters;
    for (let i = start; i < filters.length; i++) {
      let answer: unknown;
      try {
        answer = (filters[i] as ConnectionFilter).shouldAccept(peer, info);
      } catch (thrown) {
        this.#takeBack(i, peer, info);
        throw thrown;
      }
      if (answer === true) continue;
      if (typeof answer === 'object' && answer !== null) return this.#askOn(answer as PromiseLike<unknown>, i, peer, info);
      this.#takeBack(i, peer, info);
      return false;
    }
    return true;
  }

  async #askOn(answer: PromiseLike<unknown>, index: number, peer: StreamAddress, info: StreamInfo): Promise<boolean> {
    const ask: PendingAsk = { index, isGivenUp: false };
    this.#pending.set(info, ask);
    let isAccepted: boolean;
    try {
      isAccepted = (await answer) === true;
    } catch (thrown) {
      if (ask.isGivenUp) return false;
      this.#pending.delete(info);
      this.#takeBack(index, peer, info);
      throw thrown;
    }
    if (ask.isGivenUp) {
      // Only this one has not heard that it is over, and it believes that it has accepted.
      if (isAccepted) this.#filters[index]?.onClosed?.(peer, info);
      return false;
    }
    this.#pending.delete(info);
    if (isAccepted) return this.#askFrom(index + 1, peer, info);
    this.#takeBack(index, peer, info);
    return false;
  }

  /** Tells the filters before `end`, which have accepted, that it is over. One that throws keeps none of the others from hearing. */
  #takeBack(end: number, peer: StreamAddress, info: StreamInfo): void {
    let failure: { readonly thrown: unknown } | null = null;
    for (let i = 0; i < end; i++) {
      try {
        this.#filters[i]?.onClosed?.(peer, info);
      } catch (thrown) {
        failure ??= { thrown };
      }
    }
    if (failure !== null) throw failure.thrown;
  }
}
