/** What a balancer can be told. */
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import type { MetricRegistry } from '@ferrata/metrics';
import type { Backend, BackendFacts, BackendInit } from './backend.ts';
import type { BalancerSpace, BalancerSpaceOptions } from './balancer-space.ts';
import type { Discovery } from './discovery/discovery.ts';
import type { HealthChange } from './health/health-check.ts';
import { type HealthCheckerOptions, resolveHealthCheckerOptions } from './health/health-checker-options.ts';
import type { Ejection } from './outlier/outlier-detector.ts';
import { type OutlierOptions, type ResolvedOutlierOptions, resolveOutlierOptions } from './outlier/outlier-options.ts';
import type { SelectionAlgorithm } from './selection/algorithm.ts';
import { roundRobin } from './selection/round-robin.ts';

/** Bounds of what may be under way, over all threads. What is beyond them goes to another backend, and if there is none, nowhere. */
export interface BreakerOptions {
  /** Requests at one backend. Default Infinity. */
  readonly maxRequests?: number;
  /** Of them, those that have no connection yet. Default Infinity. */
  readonly maxPending?: number;
  /** Connections to one backend: at the bound it gets a request only if one of them is idle. Default Infinity. */
  readonly maxConnections?: number;
  /** Retries at once in the whole set; `tryRetry` counts them. Default Infinity. */
  readonly maxRetries?: number;
}

/** Who hears of what happens. Must not throw. Each thing is told in one thread: the one that finds it. */
export interface BalancerObserver<Extension = unknown> {
  /** Active checks have found a backend to be well, or not to be. */
  onHealthChange?(backend: Backend<Extension>, isHealthy: boolean, why: HealthChange): void;
  /** Passive health has put a backend out. */
  onEjected?(backend: Backend<Extension>, ejection: Ejection): void;
  /** Its time is over. */
  onReturned?(backend: Backend<Extension>): void;
  /** This thread has another set in force. */
  onUpdate?(update: SetUpdate): void;
  /** Backends could not be discovered, or what was discovered could not be put in force; the last good set holds on. */
  onDiscoveryFailed?(error: Error): void;
}

/** What an update has changed. */
export interface SetUpdate {
  /** Counts up in each thread. */
  readonly version: number;
  readonly total: number;
  readonly added: number;
  readonly removed: number;
  /** Known before, and otherwise now. */
  readonly changed: number;
  /** How long building took, without pauses, ms. */
  readonly buildMs: number;
}

/** Options of a `LoadBalancer`. Times in milliseconds. */
export interface LoadBalancerOptions<Extension = unknown> extends BalancerSpaceOptions {
  /** What it shares with other balancers, of this thread and of others. Default: nothing, and the options of a space of its own may stand beside. */
  readonly space?: BalancerSpace;
  /** Unique in its space, and the same in all threads; it stands in notices and metrics. Default `backends`. */
  readonly name?: string;
  /** How one is chosen. Default `roundRobin()`. */
  readonly algorithm?: SelectionAlgorithm;
  /** The first set. Default: none until `update`, or until something is discovered. */
  readonly backends?: Iterable<BackendInit<Extension>>;
  /** Where sets come from. One thread looks, all of them get what it finds. Not with `backends`. */
  readonly discovery?: Discovery;
  /** Makes the extension of a backend that has none, once in each thread while the backend is known. Default: it stays undefined. */
  readonly extend?: (backend: Omit<BackendFacts, 'given'>) => Extension;
  /** The zone that this process is in: backends in it come first. Default: none is near. */
  readonly zone?: string;
  /** How much more than its share a level can carry before the next one is called, 1 to Infinity (the next one only when none is left). Default 1.4. */
  readonly overprovisioning?: number;
  /** Below this share of ready backends, 0 to 1, checks are not believed, and all get requests. Default 0: checks are always believed. */
  readonly panicThreshold?: number;
  /** How long a backend that is new or comes back takes to get its whole weight. Default 0: it has it at once. */
  readonly slowStartMs?: number;
  /** How steep the beginning is: 1 is a straight line, more begins faster. Default 1. */
  readonly slowStartAggression?: number;
  /** The share of its weight that it has at least. Default 0.1. */
  readonly slowStartMinShare?: number;
  /** After how long a latency counts for a third only. Default 10 000. */
  readonly latencyWindowMs?: number;
  /** Default: no bounds. */
  readonly breaker?: BreakerOptions;
  /** Passive health. `true`: with the defaults of `OutlierOptions`. Default: off. */
  readonly outliers?: OutlierOptions | boolean;
  /** Active health. Default: no checks, all are taken to be well. */
  readonly health?: HealthCheckerOptions<Extension>;
  /** How many different subsets are kept ready, 1 to 10 000. Default 100. */
  readonly maxSubsets?: number;
  readonly observer?: BalancerObserver<Extension>;
  /** Where events and the number of backends are counted, by the balancer's name. Default: nowhere. */
  readonly metrics?: MetricRegistry;
}

/** All of them. */
export interface LoadBalancerConfig<Extension> {
  readonly name: string;
  readonly algorithm: SelectionAlgorithm;
  readonly discovery: Discovery | null;
  readonly extend: ((backend: Omit<BackendFacts, 'given'>) => Extension) | null;
  readonly zone: string | null;
  readonly overprovisioning: number;
  readonly panicThreshold: number;
  readonly slowStartMs: number;
  readonly slowStartAggression: number;
  readonly slowStartMinShare: number;
  readonly latencyWindowMs: number;
  readonly breaker: Readonly<Required<BreakerOptions>>;
  /** Null: off. */
  readonly outliers: ResolvedOutlierOptions | null;
  readonly health: HealthCheckerOptions<Extension> | null;
  readonly maxSubsets: number;
  readonly observer: BalancerObserver<Extension>;
  readonly metrics: MetricRegistry | null;
}

/** @throws {RangeError} when a number makes no sense @throws {TypeError} when options contradict each other */
export function resolveLoadBalancerOptions<Extension>(options: LoadBalancerOptions<Extension>): LoadBalancerConfig<Extension> {
  const { space, algorithm = roundRobin(), discovery = null, observer = {}, outliers = false } = options;
  if (discovery !== null && options.backends !== undefined)
    throw new TypeError('either backends are given, or they are discovered: not both');
  if (space !== undefined && (options.environment ?? options.memory ?? options.maxBackends) !== undefined)
    throw new TypeError('environment, memory and maxBackends are those of the space');
  if (typeof algorithm.build !== 'function') throw new TypeError('algorithm needs a function build');
  // The checker is made by whoever leads, maybe much later: what is wrong is said now.
  if (options.health !== undefined) resolveHealthCheckerOptions(options.health);
  const bound = (name: keyof BreakerOptions): number =>
    checkWholeNumber(`breaker.${name}`, options.breaker?.[name] ?? Infinity, { min: name === 'maxRetries' ? 0 : 1, max: Infinity });
  return Object.freeze({
    name: options.name ?? 'backends',
    algorithm,
    discovery,
    extend: options.extend ?? null,
    zone: options.zone ?? null,
    overprovisioning: checkNumber('overprovisioning', options.overprovisioning ?? 1.4, { min: 1 }),
    panicThreshold: checkNumber('panicThreshold', options.panicThreshold ?? 0, { min: 0, max: 1 }),
    slowStartMs: checkNumber('slowStartMs', options.slowStartMs ?? 0, { min: 0, max: 86_400_000 }),
    slowStartAggression: checkNumber('slowStartAggression', options.slowStartAggression ?? 1, { above: 0, max: 1_000 }),
    slowStartMinShare: checkNumber('slowStartMinShare', options.slowStartMinShare ?? 0.1, { above: 0, max: 1 }),
    latencyWindowMs: checkNumber('latencyWindowMs', options.latencyWindowMs ?? 10_000, { above: 0, max: 86_400_000 }),
    breaker: Object.freeze({
      maxRequests: bound('maxRequests'),
      maxPending: bound('maxPending'),
      maxConnections: bound('maxConnections'),
      maxRetries: bound('maxRetries'),
    }),
    outliers: outliers === false ? null : resolveOutlierOptions(outliers === true ? {} : outliers),
    health: options.health ?? null,
    maxSubsets: checkWholeNumber('maxSubsets', options.maxSubsets ?? 100, { min: 1, max: 10_000 }),
    observer,
    metrics: options.metrics ?? null,
  });
}
