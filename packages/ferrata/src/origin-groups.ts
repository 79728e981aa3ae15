/**
 * The origins of each route, with a load balancer where there is something to choose or to look after: one balancer a route and configuration, all of them on one memory.
 *
 * - A route with one origin that nothing is to be known of has none: its requests cost what they cost without load balancing.
 * - What is known of an origin (its health, what is under way) is kept in the memory by the names of route and origin, so that the balancer of the next configuration goes on with it.
 * - The first configuration is in force at once; a later one by `adopt`: until then nothing of it is started, and one that never is leaves nothing behind.
 */
import { randomBytes } from 'node:crypto';
import type { WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import {
  type Backend,
  type BackendInit,
  type BalancerObserver,
  BalancerSpace,
  boundedLoad,
  cookieKey,
  grpcCheck,
  type HealthCheck,
  hashed,
  headerKey,
  httpCheck,
  ketama,
  LoadBalancer,
  type LoadBalancerOptions,
  leastRequests,
  maglev,
  pathKey,
  peakEwma,
  powerOfTwo,
  queryKey,
  type RequestKey,
  roundRobin,
  type SelectionAlgorithm,
  StickyCookie,
  sourceIpKey,
  tcpCheck,
  uriKey,
  weightedRandom,
} from '@ferrata/load-balancing';
import { type NetAddress, type TlsClient, toNetAddress } from '@ferrata/net';
import { type BalanceOptions, BalancePlan, isBackendFault } from '@ferrata/proxy';
import type { Peer } from '@ferrata/upstream';
import { discoveryOf } from './discover.ts';
import { type AlgorithmName, isKeyed, type LoadBalancing } from './load-balance.ts';
import type { Route } from './routes.ts';
import { formatPlace, formatUrl, type OriginAddress } from './urls.ts';

/** How long an origin that could not be connected to is passed over while there are others. */
const PASS_OVER_MS = 1_000;

/** How long the first answer of a discovery is waited for before anything is accepted. */
const FIRST_SET_MS = 3_000;

/** An origin, and how it is asked. */
export interface GroupOrigin {
  readonly address: OriginAddress;
  readonly peer: Peer;
}

/** The origins of one route. */
export interface OriginGroup {
  /** There is nothing to choose: everything goes there. Null: `plan` says where. */
  readonly only: GroupOrigin | null;
  readonly plan: BalancePlan<GroupOrigin> | null;
  /** Answers are judged. */
  readonly isJudging: boolean;
}

/** What groups are made with. */
export interface GroupParts {
  readonly balancing: LoadBalancing;
  readonly tls: TlsClient | null;
  /** Cookies are for connections over TLS alone. */
  readonly isSecure: boolean;
  readonly peerFor: (address: OriginAddress) => Peer;
  readonly onNotice: (text: string, isGood: boolean) => void;
}

/** The groups of one configuration. */
export type GroupList = readonly (readonly [prefix: string, group: OriginGroup])[];

/** What the threads share: none of it where there is but one. */
export interface SharedBalancing {
  readonly memory?: SharedArrayBuffer;
  /** What cookies are signed with, unless a file says it. */
  readonly secret?: Uint8Array;
}

/** All groups of one thread, from configuration to configuration. */
export class OriginGroups {
  readonly #environment: HttpEnvironment;
  readonly #memory: SharedArrayBuffer | undefined;
  readonly #secret: Uint8Array;
  /** Made with the first balancer. */
  #space: BalancerSpace | null = null;
  #inForce: readonly LoadBalancer<GroupOrigin>[] = [];
  /** Null: what was looked at last is in force. */
  #prepared: readonly LoadBalancer<GroupOrigin>[] | null = null;
  #isFirst = true;

  constructor(environment: HttpEnvironment, { memory, secret }: SharedBalancing = {}) {
    this.#environment = environment;
    this.#memory = memory;
    // A copy: what is shared may be no input of a hash.
    this.#secret = secret === undefined ? randomBytes(32) : Uint8Array.from(secret);
  }

  /** @throws {RangeError} {TypeError} for what cannot be; what was in force stays */
  prepare(routes: readonly Route[], parts: GroupParts, secret: string | undefined): GroupList {
    for (const balancer of this.#prepared ?? []) balancer.close();
    const made: LoadBalancer<GroupOrigin>[] = [];
    this.#prepared = made;
    const groups = routes.map((route) => {
      const group = this.#groupFor(route, { ...parts, balancing: { ...parts.balancing, ...route.balancing } }, secret);
      if (group.plan !== null) made.push(group.plan.balancer);
      return [route.prefix, group] as const;
    });
    if (this.#isFirst) this.adopt();
    return groups;
  }

  /** What was prepared last is in force from now on. */
  adopt(): void {
    this.#isFirst = false;
    const made = this.#prepared;
    if (made === null) return;
    const before = new Map(this.#inForce.map((balancer) => [balancer.config.name, balancer]));
    this.#prepared = null;
    this.#inForce = made;
    for (const balancer of made) {
      const old = before.get(balancer.config.name);
      // Until it has discovered something itself, what was known will do.
      if (old !== undefined && balancer.config.discovery !== null) balancer.update(old.backends.map(initOf));
    }
    for (const old of before.values()) old.close();
    for (const balancer of made) balancer.start();
  }

  /** Waits until origins that are discovered are known, for a while: what is served before that has nowhere to go. */
  async untilKnown(): Promise<void> {
    const discovering = this.#inForce.filter(({ config }) => config.discovery !== null);
    await Promise.all(discovering.map((balancer) => balancer.whenKnown(FIRST_SET_MS)));
  }

  close(): void {
    for (const balancer of [...this.#inForce, ...(this.#prepared ?? [])]) balancer.close();
    this.#space?.close();
  }

  #groupFor(route: Route, parts: GroupParts, secret: string | undefined): OriginGroup {
    const { to, discover = [] } = route;
    const { balancing, peerFor } = parts;
    const [first] = to;
    const isWatched = balancing.health !== undefined || balancing.sticky !== undefined || discover.length > 0;
    if (!isWatched && to.length === 1 && first !== undefined)
      return { only: { address: first, peer: peerFor(first) }, plan: null, isJudging: false };
    if (to.length === 0 && discover.length === 0) throw new RangeError(`the route ${route.prefix} needs an origin`);
    this.#space ??= new BalancerSpace({
      environment: this.#environment,
      ...(this.#memory === undefined ? {} : { memory: this.#memory }),
    });
    const balancer = new LoadBalancer<GroupOrigin>({
      space: this.#space,
      name: route.prefix,
      ...(discover.length > 0
        ? { discovery: discoveryOf(discover), extend: ({ address }) => ({ address, peer: peerFor(address) }) }
        : { backends: backendsOf(to, peerFor) }),
      ...optionsFor(route.prefix, parts),
    });
    const { hasOutliers = false, algorithm } = balancing;
    const plan = new BalancePlan(balancer, {
      peerOf: ({ extension }) => extension.peer,
      measuresLatency: hasOutliers || algorithm === 'ewma',
      ...(hasOutliers
        ? {}
        : { isFailure: () => false, isFault: (error: WireError, phase) => phase === 'connecting' && isBackendFault(error, phase) }),
      ...keyFor(balancing),
      ...this.#stickyFor(parts, secret),
    });
    return { only: null, plan, isJudging: hasOutliers };
  }

  #stickyFor({ balancing: { sticky }, isSecure }: GroupParts, secret: string | undefined): Pick<BalanceOptions, 'sticky'> {
    if (sticky === undefined) return {};
    return { sticky: new StickyCookie({ secrets: [secret ?? this.#secret], name: sticky, secure: isSecure }) };
  }
}

/** For the algorithms that ask for a key, or where one is said. */
function keyFor({ algorithm = 'round-robin', key }: LoadBalancing): Pick<BalanceOptions, 'key'> {
  return isKeyed(algorithm) ? { key: requestKeyOf(key ?? 'uri') } : {};
}

function requestKeyOf(text: string): RequestKey {
  const colon = text.indexOf(':');
  const name = text.slice(colon + 1);
  switch (colon < 0 ? text : text.slice(0, colon)) {
    case 'ip':
      return sourceIpKey();
    case 'path':
      return pathKey();
    case 'header':
      return headerKey(name);
    case 'cookie':
      return cookieKey(name);
    case 'query':
      return queryKey(name);
    default:
      return uriKey();
  }
}

const algorithms: Readonly<Record<AlgorithmName, () => SelectionAlgorithm>> = {
  'round-robin': roundRobin,
  random: weightedRandom,
  'least-requests': leastRequests,
  p2c: powerOfTwo,
  ewma: peakEwma,
  ketama,
  maglev,
  bounded: boundedLoad,
  hash: hashed,
};

type Options = Pick<LoadBalancerOptions<GroupOrigin>, 'algorithm' | 'health' | 'outliers' | 'slowStartMs' | 'observer'>;

function optionsFor(prefix: string, parts: GroupParts): Options {
  const { algorithm = 'round-robin', health, healthIntervalMs, healthTimeoutMs, hasOutliers = false, slowStartMs } = parts.balancing;
  return {
    algorithm: algorithms[algorithm](),
    outliers: hasOutliers
      ? true
      : { consecutiveFailures: 1, baseEjectionMs: PASS_OVER_MS, maxEjectionMs: PASS_OVER_MS, maxEjectedShare: 1, maxErrorShare: 1 },
    observer: observerFor(prefix, parts, hasOutliers),
    ...(slowStartMs === undefined ? {} : { slowStartMs }),
    ...(health === undefined
      ? {}
      : {
          health: {
            check: checkFor(health, parts),
            ...(healthIntervalMs === undefined ? {} : { intervalMs: healthIntervalMs }),
            ...(healthTimeoutMs === undefined ? {} : { timeoutMs: healthTimeoutMs }),
          },
        }),
  };
}

/** An origin is asked as requests ask it: over TLS, or by HTTP/2, where they do. */
function checkFor(health: string, { balancing, tls }: GroupParts): HealthCheck<GroupOrigin> {
  const { healthStatuses = ['200-399'], healthTimeoutMs } = balancing;
  const times = healthTimeoutMs === undefined ? {} : { timeoutMs: healthTimeoutMs };
  const make = (over: { readonly tls?: TlsClient; readonly protocol?: 'http2' }): HealthCheck => {
    if (health === 'tcp') return tcpCheck({ ...times, ...(over.tls === undefined ? {} : { tls: over.tls }) });
    if (health === 'grpc') return grpcCheck({ ...times, ...(over.tls === undefined ? {} : { tls: over.tls }) });
    return httpCheck({ ...times, path: health, statuses: healthStatuses, ...over });
  };
  const plain = make({});
  const prior = make({ protocol: 'http2' });
  const secure = tls === null ? plain : make({ tls });
  return {
    name: plain.name,
    check: (backend, context) => {
      const { isSecure, protocol } = backend.extension.address;
      const check = isSecure === true ? secure : protocol === 'http2' ? prior : plain;
      return check.check(backend, context);
    },
    close() {
      for (const check of new Set([plain, prior, secure])) check.close?.();
    },
  };
}

function observerFor(prefix: string, { onNotice }: GroupParts, hasOutliers: boolean): BalancerObserver<GroupOrigin> {
  const nameOf = ({ extension }: Backend<GroupOrigin>): string => `--to ${formatUrl(extension.address)}`;
  return {
    onHealthChange: (backend, isHealthy, { error }) =>
      onNotice(
        isHealthy ? `${nameOf(backend)}: it is well again` : `${nameOf(backend)}: it is not well: ${error?.message ?? ''}`,
        isHealthy,
      ),
    onDiscoveryFailed: (error) => onNotice(`--route ${prefix}: origins cannot be discovered: ${error.message}`, false),
    ...(hasOutliers
      ? {
          onEjected: (backend, { cause, forMs }) =>
            onNotice(`${nameOf(backend)}: put out for ${forMs} ms because of its ${causes[cause]}`, false),
          onReturned: (backend) => onNotice(`${nameOf(backend)}: it is back`, true),
        }
      : {}),
  };
}

const causes = { consecutiveFailures: 'failures in a row', errorShare: 'share of failures', latency: 'slow answers' } as const;

/** The same address twice is two origins: it gets two turns. */
function backendsOf(to: readonly OriginAddress[], peerFor: (address: OriginAddress) => Peer): readonly BackendInit<GroupOrigin>[] {
  const counts = new Map<string, number>();
  return to.map((address) => {
    const place = formatPlace(address);
    const count = (counts.get(place) ?? 0) + 1;
    counts.set(place, count);
    const { weight = 1, isBackup = false } = address;
    return {
      address: netAddressOf(address),
      name: count === 1 ? place : `${place}#${count}`,
      weight,
      priority: isBackup ? 1 : 0,
      extension: { address, peer: peerFor(address) },
    };
  });
}

function netAddressOf(address: OriginAddress): NetAddress {
  return toNetAddress(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port });
}

/** A backend as it was given; the next balancer makes an extension of its own, for its own peers. */
function initOf({
  name,
  address,
  weight,
  priority,
  zone,
  metadata,
  isEnabled,
  healthPort,
}: Backend<GroupOrigin>): BackendInit<GroupOrigin> {
  return { name, address, weight, priority, zone, metadata, isEnabled, ...(healthPort === null ? {} : { healthPort }) };
}
