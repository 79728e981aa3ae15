/**
 * What a balancer counts in a registry of metrics. Each event is counted in the thread that finds it; gauges are set by the thread that leads.
 *
 * Backends have no series of their own, since discovery may bring any number of them: `stateOf` says how each stands.
 */
import type { Counter, Gauge, MetricRegistry } from '@ferrata/metrics';
import type { Ejection } from '../outlier/outlier-detector.ts';

const LABELS = ['balancer'] as const;
const CAUSES = ['consecutiveFailures', 'errorShare', 'latency'] as const;

/** The series of one balancer. */
export class BalancerMetrics {
  readonly #backends: Gauge;
  readonly #ready: Gauge;
  readonly #changes: Readonly<Record<'up' | 'down', Counter>>;
  readonly #ejections: Readonly<Record<Ejection['cause'], Counter>>;
  readonly #updates: Counter;
  readonly #discoveryFailures: Counter;

  constructor(registry: MetricRegistry, name: string) {
    this.#backends = registry.gauge('balancer_backends', { help: 'Backends in the set in force.', labels: LABELS }).withValues(name);
    this.#ready = registry.gauge('balancer_backends_ready', { help: 'Backends that requests may go to.', labels: LABELS }).withValues(name);
    const changes = registry.counter('balancer_health_changes_total', {
      help: 'Backends that active checks have found well again, or not well any more.',
      labels: ['balancer', 'to'],
    });
    this.#changes = { up: changes.withValues(name, 'up'), down: changes.withValues(name, 'down') };
    const ejections = registry.counter('balancer_ejections_total', {
      help: 'Backends that were put out because of what became of requests.',
      labels: ['balancer', 'cause'],
    });
    const [row, share, latency] = CAUSES.map((cause) => ejections.withValues(name, cause)) as [Counter, Counter, Counter];
    this.#ejections = { consecutiveFailures: row, errorShare: share, latency };
    this.#updates = registry
      .counter('balancer_updates_total', { help: 'Sets that were put in force, in all threads.', labels: LABELS })
      .withValues(name);
    this.#discoveryFailures = registry
      .counter('balancer_discovery_failures_total', { help: 'Times that backends could not be discovered.', labels: LABELS })
      .withValues(name);
  }

  countHealthChange(isHealthy: boolean): void {
    this.#changes[isHealthy ? 'up' : 'down'].inc();
  }

  countEjection({ cause }: Ejection): void {
    this.#ejections[cause].inc();
  }

  countUpdate(): void {
    this.#updates.inc();
  }

  countDiscoveryFailure(): void {
    this.#discoveryFailures.inc();
  }

  setBackends({ total, ready }: { readonly total: number; readonly ready: number }): void {
    this.#backends.set(total);
    this.#ready.set(ready);
  }
}
