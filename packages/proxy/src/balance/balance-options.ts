/** What `balance` can be told, and what it makes of it. */
import type { WireError } from '@ferrata/error';
import type { Backend, LoadBalancer, SelectionKey, SelectOptions, StickyCookie } from '@ferrata/load-balancing';
import type { Peer } from '@ferrata/upstream';
import type { ProxySession } from '../proxy-session.ts';
import { BackendPeers, isPeer } from './backend-peers.ts';

/** Where a try was when it failed. */
export type TryPhase = 'connecting' | 'connected';

/** Options of `balance`. */
export interface BalanceOptions<Extension = unknown> {
  /** The peer of a backend, the same one each time. Default: its `extension` if that is a `Peer`, else `peer(address)`, made once. */
  readonly peerOf?: (backend: Backend<Extension>) => Peer;
  /** What the request is sent by, where the algorithm asks for it: the key functions of @ferrata/load-balancing fit. Default: none. */
  readonly key?: (session: ProxySession) => SelectionKey | null;
  /** A cookie that leads clients back to the backend that they had. It is set with responses that hooks see, so not with 101. Default: none. */
  readonly sticky?: StickyCookie;
  /** Only backends with these metadata; null: all. Default: all. */
  readonly subset?: (session: ProxySession) => Readonly<Record<string, string>> | null;
  /** Which final statuses of a backend are failures of its own. Default: 502, 503 and 504. */
  readonly isFailure?: (status: number) => boolean;
  /** Whether the balancer hears how long answers take. Default true; false saves some 0.1 µs a request where neither algorithm nor passive health go by it. */
  readonly measuresLatency?: boolean;
  /** Whether an error is held against the backend. Default: `isBackendFault`. */
  readonly isFault?: (error: WireError, phase: TryPhase) => boolean;
}

/** A balancer and what a proxy does with it: made once, for all requests. */
export class BalancePlan<Extension> {
  readonly balancer: LoadBalancer<Extension>;
  readonly sticky: StickyCookie | null;
  readonly isFailure: (status: number) => boolean;
  readonly isFault: (error: WireError, phase: TryPhase) => boolean;
  readonly peerOf: (backend: Backend<Extension>) => Peer;
  /** `breaker.maxRetries` bounds them. */
  readonly countsRetries: boolean;
  /** `breaker.maxPending` bounds them. */
  readonly countsPending: boolean;
  /** What becomes of a request is wanted when its answer begins, not when it ends. */
  readonly reportsEarly: boolean;
  readonly measuresLatency: boolean;
  readonly #key: ((session: ProxySession) => SelectionKey | null) | null;
  readonly #subset: ((session: ProxySession) => Readonly<Record<string, string>> | null) | null;

  /** @throws {TypeError} when an option is no function */
  constructor(balancer: LoadBalancer<Extension>, options: BalanceOptions<Extension> = {}) {
    for (const name of ['peerOf', 'key', 'subset', 'isFailure', 'isFault'] as const)
      if (options[name] !== undefined && typeof options[name] !== 'function') throw new TypeError(`${name} must be a function`);
    const { breaker, outliers } = balancer.config;
    const peers = new BackendPeers(balancer);
    this.balancer = balancer;
    this.sticky = options.sticky ?? null;
    this.isFailure = options.isFailure ?? isGatewayFailure;
    this.isFault = options.isFault ?? isBackendFault;
    this.peerOf = options.peerOf ?? ((backend) => (isPeer(backend.extension) ? backend.extension : peers.of(backend)));
    this.countsRetries = breaker.maxRetries !== Infinity;
    this.countsPending = breaker.maxPending !== Infinity;
    this.reportsEarly = outliers !== null;
    this.measuresLatency = options.measuresLatency ?? true;
    this.#key = options.key ?? null;
    this.#subset = options.subset ?? null;
  }

  /** The backend for a request that has been to `tried`. @returns null: there is none */
  select(session: ProxySession, tried: readonly Backend<Extension>[] | null): Backend<Extension> | null {
    const { balancer } = this;
    const key = this.#key === null ? null : this.#key(session);
    const subset = this.#subset === null ? null : this.#subset(session);
    if (tried === null && subset === null) return balancer.select(key);
    const within: SelectOptions<Extension> = subset === null ? {} : { subset };
    if (tried === null) return balancer.select(key, within);
    // When all that are ready were tried, one of them is asked again: nothing better is left.
    return balancer.select(key, { ...within, exclude: tried }) ?? balancer.select(key, within);
  }

  /** It is ready, and no bound of the breaker is reached. */
  mayHaveMore(backend: Backend<Extension>): boolean {
    const { balancer } = this;
    if (!balancer.isReady(backend)) return false;
    const { maxRequests, maxPending } = balancer.config.breaker;
    if (maxRequests === Infinity && maxPending === Infinity) return true;
    const { inflight, pending } = balancer.stateOf(backend);
    return inflight < maxRequests && pending < maxPending;
  }
}

/** What a gateway says of the server behind it (RFC 9110 §15.6). A 500 is an answer of the application: another backend would hardly know better. */
function isGatewayFailure(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

/**
 * Whether an error is the backend's fault: it could not be connected to, or its exchange broke, or it did not answer in time. Not: what this program lacks (descriptors,
 * places), what the client did, and requests that were refused unread, as by a server that ends in order.
 */
export function isBackendFault(error: WireError, phase: TryPhase): boolean {
  if (error.fault !== 'remote' || error.source === 'downstream') return false;
  // A connection that can be tried at another place was refused by that place; what else is never to be tried again lies with us.
  return phase === 'connecting' ? error.retry === 'always' || error.type === 'tls' : error.retry !== 'always';
}
