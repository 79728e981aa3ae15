/**
 * The services of one thread: started one by one, reloaded all or none, drained and closed together.
 *
 * ```
 *   reload:  idle ── prepare ──► preparing ── all would do ──► prepared ── commit ──► idle
 *                                    └── one would not, or discard ──── discard ────────┘
 * ```
 * Rules:
 * - Nothing that a service does wrong reaches another one, or the thread.
 * - A commit is one step of this thread: no request sees the services between two configurations.
 * - What a `prepare` makes after its reload was given up is discarded when it comes.
 */
import { HttpEnvironment } from '@ferrata/http';
import { describeThrown } from '../describe-thrown.ts';
import type { MemoryPressure, Notice, PreparedUpdate, Service, ServiceCounts, ServiceSocket } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { HostedService, type HostSide } from './hosted-service.ts';

/** What a host is made of. */
export interface ServiceHostOptions {
  /** Those that may run in this thread. */
  readonly services: readonly Service<unknown>[];
  /** The configuration in force; frozen in depth. */
  readonly snapshot: Snapshot<unknown>;
  /** The worker, 1 and up; 0 for the main thread. */
  readonly worker: number;
  readonly threads: number;
  /** By the name of the service. */
  readonly sockets: Readonly<Record<string, readonly ServiceSocket[]>>;
  /** Takes what is to be told; must not throw. */
  readonly notify: (notice: Notice) => void;
  /** Default: a new one. */
  readonly environment?: HttpEnvironment;
}

/** What a service without sockets has at least to end in, unless nothing has any time. */
const LAST_MS = 1_000;

/** A reload under way. */
interface Reload {
  readonly next: Snapshot<unknown>;
  readonly updates: Map<HostedService, PreparedUpdate>;
  readonly over: PromiseWithResolvers<void>;
  state: 'preparing' | 'prepared' | 'over';
}

/** Runs services in one thread. */
export class ServiceHost {
  readonly environment: HttpEnvironment;
  readonly #services = new Map<string, HostedService>();
  readonly #sockets: Readonly<Record<string, readonly ServiceSocket[]>>;
  readonly #notify: (notice: Notice) => void;
  readonly #stopping = new AbortController();
  readonly #stoppingLast = new AbortController();
  /** Those under way. */
  readonly #starts = new Set<Promise<void>>();
  #snapshot: Snapshot<unknown>;
  #reload: Reload | null = null;
  #pressure: MemoryPressure = 'none';
  #isStopping = false;
  /** When a drain under way is over, on the environment's clock. */
  #drainedAt = Number.POSITIVE_INFINITY;

  constructor(options: ServiceHostOptions) {
    const { services, snapshot, worker, threads, sockets, notify } = options;
    this.environment = options.environment ?? new HttpEnvironment();
    this.#snapshot = snapshot;
    this.#sockets = sockets;
    this.#notify = notify;
    const side = this.#sideFor(worker, threads);
    for (const service of services) this.#services.set(service.name, new HostedService(service, side));
  }

  /** The configuration in force. */
  get snapshot(): Snapshot<unknown> {
    return this.#snapshot;
  }

  /**
   * Starts a service; while a reload is under way, when that is over. One that failed may be tried again, with other descriptors.
   *
   * @param waitedMs how long it has waited for those that it depends on
   * @param sockets what it is to listen on; null: what the host was made with
   * @throws whatever the service does @throws {TypeError} if there is no such service, or it was started before
   */
  async start(name: string, waitedMs: number, sockets: readonly ServiceSocket[] | null = null): Promise<void> {
    const service = this.#services.get(name);
    if (service === undefined) throw new TypeError(`there is no service ${name} in this thread`);
    // What it makes of the configuration would be missing from the reload.
    while (this.#reload !== null) await this.#reload.over.promise;
    const starting = service.start(waitedMs, sockets ?? this.#sockets[name] ?? []);
    this.#starts.add(starting);
    try {
      await starting;
    } finally {
      this.#starts.delete(starting);
    }
    if (this.#pressure !== 'none') service.onMemoryPressure(this.#pressure);
  }

  /**
   * Has every running service look at a configuration, when those that are being started have come to an end. `commit` or `discard` follows.
   *
   * @throws why it cannot be; then nothing is left of it
   */
  async prepare(next: Snapshot<unknown>): Promise<void> {
    if (this.#isStopping) throw refusal('the server is stopping');
    if (this.#reload !== null) throw refusal('another reload is under way');
    const reload: Reload = { next, updates: new Map(), over: Promise.withResolvers(), state: 'preparing' };
    this.#reload = reload;
    try {
      await Promise.allSettled(this.#starts);
      // All are waited for, also if one has refused already: what the others make must be discarded.
      const outcomes = await Promise.allSettled([...this.#services.values()].map((service) => this.#prepareOne(service, reload)));
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    } catch (thrown) {
      this.#giveUp(reload);
      throw thrown;
    }
    if (reload.state !== 'preparing') throw refusal('it was given up meanwhile');
    reload.state = 'prepared';
  }

  /** Puts in force what was prepared. Does nothing for another version. */
  commit(version: number): void {
    const reload = this.#reload;
    if (reload?.state !== 'prepared' || reload.next.version !== version) return;
    this.#reload = null;
    reload.state = 'over';
    this.#snapshot = reload.next;
    for (const [service, update] of reload.updates) service.call('commit', () => update.commit());
    reload.over.resolve();
  }

  /** Gives up what was prepared, or is being prepared. Does nothing for another version. */
  discard(version: number): void {
    if (this.#reload?.next.version === version) this.#giveUp(this.#reload);
  }

  /** Numbers of the services that run. */
  counts(): Record<string, ServiceCounts> {
    const counts: Record<string, ServiceCounts> = {};
    for (const service of this.#services.values()) if (service.isRunning) counts[service.name] = service.counts;
    return counts;
  }

  /** Tells the services how near the thread is to the end of its memory. */
  onMemoryPressure(pressure: MemoryPressure): void {
    this.#pressure = pressure;
    for (const service of this.#services.values()) service.onMemoryPressure(pressure);
  }

  /**
   * Stops accepting at once, and lets what runs end: first the services that listen, then the others, on which those may depend. A later call may bring the end
   * forward.
   *
   * @returns how many connections had to be cut; a few seconds after the time at the latest, whatever the services do
   */
  async drain(graceMs: number): Promise<number> {
    const { environment } = this;
    this.#drainedAt = Math.min(this.#drainedAt, environment.now() + graceMs);
    this.#stop();
    const services = [...this.#services.values()];
    await drainAll(
      services.filter(({ listens }) => listens),
      graceMs,
    );
    this.#stoppingLast.abort();
    // Those that listen may have used up all the time; what only has to be told that it is over still gets a moment.
    const leftMs = Math.max(this.#drainedAt - environment.now(), Math.min(graceMs, LAST_MS));
    await drainAll(
      services.filter(({ listens }) => !listens),
      leftMs,
    );
    return services.reduce((cut, service) => cut + service.cut, 0);
  }

  /** Cuts everything. Done when all is closed, or after two seconds. Never rejects. */
  async close(): Promise<void> {
    this.#stop();
    this.#stoppingLast.abort();
    await Promise.all([...this.#services.values()].map((service) => service.close()));
  }

  #stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    if (this.#reload !== null) this.#giveUp(this.#reload);
    // A listener that throws does not reach us: Node makes an uncaught exception of it.
    this.#stopping.abort();
  }

  async #prepareOne(service: HostedService, reload: Reload): Promise<void> {
    if (reload.state !== 'preparing') return;
    const update = await service.prepare(reload.next);
    if (update === null) return;
    if (reload.state === 'preparing') reload.updates.set(service, update);
    else service.call('discard', () => update.discard());
  }

  #giveUp(reload: Reload): void {
    if (reload.state === 'over') return;
    reload.state = 'over';
    if (this.#reload === reload) this.#reload = null;
    for (const [service, update] of reload.updates) service.call('discard', () => update.discard());
    reload.over.resolve();
  }

  #tell(notice: Notice): void {
    try {
      this.#notify(notice);
    } catch (thrown) {
      // The last resort: a warning of the process, which shows the bug without ending anything.
      process.emitWarning(`a notice could not be told: ${describeThrown(thrown)}`);
    }
  }

  #sideFor(worker: number, threads: number): HostSide {
    const snapshot = (): Snapshot<unknown> => this.#snapshot;
    const isStopping = (): boolean => this.#isStopping;
    return {
      worker,
      threads,
      environment: this.environment,
      stopping: this.#stopping.signal,
      stoppingLast: this.#stoppingLast.signal,
      get snapshot() {
        return snapshot();
      },
      get isStopping() {
        return isStopping();
      },
      notify: (notice) => this.#tell(notice),
    };
  }
}

async function drainAll(services: readonly HostedService[], graceMs: number): Promise<void> {
  await Promise.all(services.map((service) => service.drain(graceMs)));
}

function refusal(why: string): Error {
  return new Error(why);
}
