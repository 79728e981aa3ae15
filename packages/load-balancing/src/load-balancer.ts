/**
 * A load balancer: a set of backends, and a choice among those that are ready.
 *
 * ```text
 *   discovery (one thread) ──► published set ──► set builder ──► levels ──► picker ◄── select(key)
 *   active checks (one thread) ──┐                                  ▲
 *   passive health (all) ────────┼──► backend table (all threads) ──┘ what is ready, and with which weight
 *   requests under way (all) ────┘
 * ```
 * Rules:
 * - A set is swapped whole: every `select` goes by one set, the old or the new, and never by parts of both.
 * - What is known of a backend belongs to its name, and to all threads that share the memory. A set that brings it again changes nothing of it.
 * - The constructor starts nothing. `start` begins to look after things; without it, `select`, `begin`, `report` and `update` work all the same,
 *   but whoever was put out stays out, and weights that grow stand still.
 */
import { setImmediate } from 'node:timers/promises';
import { connectError, limitError, toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { callUser } from '@ferrata/stream';
import type { Backend, BackendInit, PlainBackend } from './backend.ts';
import { BalancerSpace, type SpaceMember } from './balancer-space.ts';
import { DiscoveryFollower } from './discovery/discovery-follower.ts';
import { Flight, Outcome } from './flight.ts';
import type { HealthChange, HealthTarget } from './health/health-check.ts';
import { HealthChecker } from './health/health-checker.ts';
import { type BackendState, BackendStates } from './internal/backend-states.ts';
import type { BackendTable } from './internal/backend-table.ts';
import { BalancerMetrics } from './internal/balancer-metrics.ts';
import type { Accept } from './internal/level.ts';
import type { Distress, Levels } from './internal/levels.ts';
import { type BackendSet, type BuiltSet, runToEnd, SetBuilder } from './internal/set-builder.ts';
import { SlotFlag, Stripe } from './internal/table-layout.ts';
import { type LoadBalancerConfig, type LoadBalancerOptions, resolveLoadBalancerOptions, type SetUpdate } from './options.ts';
import { OutlierDetector } from './outlier/outlier-detector.ts';
import type { SelectionKey } from './selection/algorithm.ts';

/** How long a set may be built before others have their turn, ms. */
const SLICE_MS = 4;

const NONE: readonly never[] = [];

/** What a request wants beside its key. */
export interface SelectOptions<Extension> {
  /** Backends that it has been to: not again. */
  readonly exclude?: readonly Backend<Extension>[];
  /**
   * Decides about each candidate. Those that are ready are offered first, in the order of the algorithm; if none of them is taken, the others, with `isReady` false.
   * Default: whoever is ready will do.
   */
  readonly accept?: Accept<Extension>;
  /** Only backends with these metadata. */
  readonly subset?: Readonly<Record<string, string>>;
}

/** How a balancer stands. */
export interface BalancerStatus {
  /** Counts up with each set in this thread; 0: none was ever in force. */
  readonly version: number;
  readonly total: number;
  readonly ready: number;
  readonly distress: Distress;
  /** This thread discovers and checks for all of them. */
  readonly leads: boolean;
  /** When the set in force came, by the clock of the environment; NaN: none did. A set that is older than what discovery promises is stale. */
  readonly updatedAt: number;
  /** Why the last attempt to discover failed, in the thread that leads; null: it did not. */
  readonly discoveryError: WireError | null;
}

/** Chooses backends. */
export class LoadBalancer<Extension = undefined> implements HealthTarget<Extension>, Disposable {
  readonly config: LoadBalancerConfig<Extension>;
  readonly #table: BackendTable;
  readonly #states: BackendStates;
  readonly #builder: SetBuilder<Extension>;
  readonly #space: BalancerSpace;
  /** The space is nobody else's. */
  readonly #ownsSpace: boolean;
  readonly #outliers: OutlierDetector | null;
  readonly #metrics: BalancerMetrics | null;
  #set: BackendSet<Extension>;
  #version = 0;
  #updatedAt = Number.NaN;
  /** What was published, and is to be put in force next. */
  #wanted: readonly PlainBackend[] | null = null;
  #isAdopting = false;
  /** Why what was discovered is not in force; null: it is. */
  #refusal: WireError | null = null;
  #follower: DiscoveryFollower | null = null;
  #checker: HealthChecker<Extension> | null = null;
  /** Counts up with each update that is begun: one that is overtaken ends. */
  #updates = 0;
  /** Who waits for the first set. */
  readonly #waiting = new Set<() => void>();
  #isClosed = false;
  readonly #member: SpaceMember;

  /** @throws {RangeError} when an option or a backend makes no sense, or no place in the memory is free @throws {TypeError} when they are of the wrong kind */
  constructor(options: LoadBalancerOptions<Extension> = {}) {
    this.config = resolveLoadBalancerOptions(options);
    const { outliers, observer, metrics, name } = this.config;
    this.#metrics = metrics === null ? null : new BalancerMetrics(metrics, name);
    this.#ownsSpace = options.space === undefined;
    this.#space = options.space ?? new BalancerSpace(options);
    this.#table = this.#space.table;
    const { clock } = this.#space.environment;
    this.#states = new BackendStates(this.#table, () => clock.now(), this.config);
    this.#builder = new SetBuilder(this.config, this.#states, this.#space.environment.random);
    this.#set = this.#builder.empty();
    this.#outliers =
      outliers === null
        ? null
        : new OutlierDetector(outliers, this.#states, {
            onEjected: (backend, ejection) => {
              this.#metrics?.countEjection(ejection);
              callUser(() => observer.onEjected?.(backend as Backend<Extension>, ejection));
            },
            onReturned: (backend) => callUser(() => observer.onReturned?.(backend as Backend<Extension>)),
          });
    this.#member = {
      name: this.config.name,
      onLead: () => this.#beginToLead(),
      onLeaderTick: () => this.#sweep(),
      onResign: () => this.#endLeading(),
      onPublished: (backends) => {
        this.#wanted = backends;
        if (!this.#isAdopting) void this.#adopt();
      },
    };
    if (options.backends === undefined) return;
    try {
      this.update(options.backends);
    } catch (thrown) {
      if (this.#ownsSpace) this.#space.close();
      throw thrown;
    }
  }

  get environment(): HttpEnvironment {
    return this.#space.environment;
  }

  // ---- what is there -------------------------------------------------------------------------------------------------------------

  /** The set in force. */
  get backends(): readonly Backend<Extension>[] {
    return this.#set.backends;
  }

  /** The backend of a name in the set in force. */
  find(name: string): Backend<Extension> | null {
    return this.#set.byName.get(name) ?? null;
  }

  /** It is in force, enabled, and neither checks nor requests nor an operator say that it should not be used. */
  isReady(backend: Backend<Extension>): boolean {
    const { name, slot } = backend;
    const known = this.#set.byName.get(name);
    return (
      known !== undefined &&
      known.isEnabled &&
      known.weight > 0 &&
      !this.#states.has(slot, SlotFlag.unhealthy | SlotFlag.ejected | SlotFlag.drained)
    );
  }

  stateOf({ slot }: Backend<Extension>): BackendState {
    return this.#states.describe(slot);
  }

  status(): BalancerStatus {
    const { backends } = this.#set;
    const levels = this.#levelsFor(undefined);
    return {
      version: this.#version,
      total: backends.length,
      ready: this.#readyIn(levels),
      distress: levels.distress,
      leads: this.#space.leads,
      updatedAt: this.#updatedAt,
      discoveryError: this.#follower?.lastError ?? this.#refusal,
    };
  }

  // ---- choosing ------------------------------------------------------------------------------------------------------------------

  /**
   * Chooses a backend; counts nothing: see `begin`.
   *
   * @param key what decides, where the algorithm goes by keys
   * @returns null: there is none; `whyNone` says why
   */
  select(key: SelectionKey | null = null, options?: SelectOptions<Extension>): Backend<Extension> | null {
    return this.#levelsFor(options?.subset).pick(key, options?.exclude ?? NONE, options?.accept ?? null);
  }

  /** Why `select` has just given null, as an error that a client can be answered with: 503. */
  whyNone({ exclude = NONE, subset }: SelectOptions<Extension> = {}): WireError {
    const { name } = this.config;
    const details = { source: 'upstream', retry: 'never', wire: { status: 503 } } as const;
    const levels = this.#levelsFor(subset);
    const total = levels.memberCount;
    const ready = this.#readyIn(levels);
    if (total === 0) return connectError('NO_BACKENDS', `${name}: there are no backends`, details);
    if (ready === 0) return connectError('NO_BACKEND_READY', `${name}: none of ${total} backends is ready`, details);
    if (exclude.length >= ready) return connectError('NO_OTHER_BACKEND', `${name}: all ${ready} that are ready were tried`, details);
    return limitError('BACKENDS_FULL', `${name}: all ${ready} backends that are ready have as many requests as they may`, details);
  }

  #levelsFor(subset: Readonly<Record<string, string>> | undefined): Levels<Extension> {
    const levels = subset === undefined ? this.#set.levels : this.#subset(subset);
    levels.refresh(this.#table.epoch);
    return levels;
  }

  #readyIn({ distress, readyCount, list }: Levels<Extension>): number {
    if (distress === 'none') return readyCount;
    return list.reduce((sum, { backends }) => sum + backends.filter((backend) => this.isReady(backend)).length, 0);
  }

  #subset(wanted: Readonly<Record<string, string>>): Levels<Extension> {
    const set = this.#set;
    const name = JSON.stringify(Object.entries(wanted).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const isFull = set.subsets.size >= this.config.maxSubsets;
    const known = set.subsets.get(name);
    if (known !== undefined && !isFull) return known;
    const levels = known ?? this.#builder.subset(set, wanted);
    // The one that was not asked for the longest goes: whoever asks for many that are not there displaces none that is in use.
    const gone = known === undefined && isFull ? set.subsets.keys().next().value : name;
    if (gone !== undefined) set.subsets.delete(gone);
    set.subsets.set(name, levels);
    return levels;
  }

  // ---- what becomes of it --------------------------------------------------------------------------------------------------------

  /** A request goes to a backend. End what this gives. */
  begin(backend: Backend<Extension>): Flight<Extension> {
    return new Flight(backend, this.#counts);
  }

  /** Says what has become of a request, where no flight does. @param latencyMs until its answer began */
  report(backend: Backend<Extension>, outcome: Outcome, latencyMs?: number): void {
    const { slot } = backend;
    if (outcome === Outcome.success) {
      this.#table.addOwn(slot, Stripe.succeeded, 1);
      this.#outliers?.handleSuccess(slot);
      if (latencyMs === undefined || !(latencyMs >= 0)) return;
      this.#table.addOwn(slot, Stripe.latencySum, Math.min(0x00ff_ffff, Math.round(latencyMs * 16)));
      this.#states.observeLatency(slot, latencyMs);
    } else if (outcome === Outcome.failure) {
      this.#table.addOwn(slot, Stripe.failed, 1);
      this.#outliers?.handleFailure(backend, this.#set.backends);
    }
  }

  /** A connection to a backend stands, or has ended: for `breaker.maxConnections`. */
  countConnections({ slot }: Backend<Extension>, by: 1 | -1): void {
    this.#table.addOwn(slot, Stripe.connections, by);
  }

  /** Asks for a retry of a request. @returns false: `breaker.maxRetries` are under way; else say `endRetry` when it is over */
  tryRetry(): boolean {
    if (this.#table.retries >= this.config.breaker.maxRetries) return false;
    this.#table.addRetries(1);
    return true;
  }

  endRetry(): void {
    this.#table.addRetries(-1);
  }

  readonly #counts = {
    begin: ({ slot }: Backend<Extension>): void => {
      this.#table.addOwn(slot, Stripe.inflight, 1);
      this.#table.addOwn(slot, Stripe.pending, 1);
    },
    connected: ({ slot }: Backend<Extension>): void => {
      this.#table.addOwn(slot, Stripe.pending, -1);
    },
    end: (backend: Backend<Extension>, isConnected: boolean): void => {
      if (!isConnected) this.#counts.connected(backend);
      this.#table.addOwn(backend.slot, Stripe.inflight, -1);
    },
    report: (backend: Backend<Extension>, outcome: Outcome, latencyMs?: number): void => this.report(backend, outcome, latencyMs),
  };

  // ---- by hand -------------------------------------------------------------------------------------------------------------------

  /** Takes a backend out of service in all threads, or puts it back: what it has under way goes on. */
  drain({ slot }: Backend<Extension>, isDrained = true): void {
    this.#states.setDrained(slot, isDrained);
  }

  isHealthy({ slot }: Backend<Extension>): boolean {
    return !this.#states.has(slot, SlotFlag.unhealthy);
  }

  /** For health checks, and whoever else knows. Told to the observer if it was otherwise. */
  setHealthy(backend: Backend<Extension>, isHealthy: boolean, why: HealthChange): void {
    if (!this.#states.setUnhealthy(backend.slot, !isHealthy)) return;
    this.#metrics?.countHealthChange(isHealthy);
    callUser(() => this.config.observer.onHealthChange?.(backend, isHealthy, why));
  }

  // ---- sets ----------------------------------------------------------------------------------------------------------------------

  /**
   * Puts another set in force, at once.
   *
   * @returns null: it is the one that was
   * @throws {TypeError} {RangeError} what is wrong with it; the one before stays
   */
  update(backends: Iterable<BackendInit<Extension>>): SetUpdate | null {
    const update = ++this.#updates;
    const startedAt = this.environment.clock.now();
    const built = runToEnd(this.#builder.build(backends, this.#set));
    return this.#commit(built, update, this.environment.clock.now() - startedAt);
  }

  /**
   * The same in slices of a few milliseconds, between which requests go by the set before. Of several that overlap the last counts.
   *
   * @returns null: it is the one that was, or another update has overtaken it
   * @throws {TypeError} {RangeError} rejects with what is wrong with it; the one before stays
   */
  async updateInSlices(backends: Iterable<BackendInit<Extension>>): Promise<SetUpdate | null> {
    const update = ++this.#updates;
    const { clock } = this.environment;
    const steps = this.#builder.build(backends, this.#set);
    let buildMs = 0;
    let sliceAt = clock.now();
    for (let step = steps.next(); ; step = steps.next()) {
      const spentMs = clock.now() - sliceAt;
      if (step.done === true) return this.#commit(step.value, update, buildMs + spentMs);
      if (spentMs < SLICE_MS) continue;
      buildMs += spentMs;
      await setImmediate();
      // What it has claimed goes back.
      if (update !== this.#updates || this.#isClosed) return abandon(steps);
      sliceAt = clock.now();
    }
  }

  #commit(built: BuiltSet<Extension> | null, update: number, buildMs: number): SetUpdate | null {
    if (update !== this.#updates || this.#isClosed) {
      for (const { slot } of built?.added ?? []) this.#table.release(slot);
      return null;
    }
    this.#updatedAt = this.environment.clock.now();
    const isFirst = this.#version === 0;
    if (built === null) {
      // An empty set may be the first one.
      if (isFirst) this.#version = 1;
      this.#wake();
      return null;
    }
    const { set, added, fresh, removed, changed } = built;
    this.#set = set;
    this.#version++;
    if (!isFirst) for (const slot of fresh) this.#states.warmUp(slot);
    // They are forgotten when no thread has them any more, and nothing is under way there.
    for (const { slot } of removed) this.#table.release(slot);
    const told: SetUpdate = {
      version: this.#version,
      total: set.backends.length,
      added: added.length,
      removed: removed.length,
      changed,
      buildMs,
    };
    this.#wake();
    this.#checker?.refresh();
    this.#metrics?.countUpdate();
    callUser(() => this.config.observer.onUpdate?.(told));
    return told;
  }

  /**
   * Waits for the first set: whoever begins to serve before it has nobody to send requests to.
   *
   * @param limitMs how long at most; above 0
   * @returns false: there is none as yet, or the balancer was closed; it never rejects
   */
  async whenKnown(limitMs: number): Promise<boolean> {
    if (this.#version === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          deadline.cancel();
          this.#waiting.delete(end);
          resolve();
        };
        const deadline = this.environment.deadlines.after(limitMs, end);
        this.#waiting.add(end);
      });
    }
    return this.#version > 0;
  }

  #wake(): void {
    for (const end of Array.from(this.#waiting)) end();
  }

  // ---- beside the requests -------------------------------------------------------------------------------------------------------

  /** Begins to look after things: follows what is discovered, and, if this thread leads, discovers, checks, and lets back in. */
  start(): void {
    if (this.#isClosed) throw new TypeError('a balancer that was closed cannot be started');
    this.#space.join(this.#member);
  }

  /** Ends all of it. What has been begun may be ended afterwards. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wake();
    this.#space.leave(this.#member);
    for (const { slot } of this.#set.backends) this.#table.release(slot);
    if (this.#ownsSpace) this.#space.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #beginToLead(): void {
    const { discovery, health } = this.config;
    if (discovery !== null) {
      this.#follower = new DiscoveryFollower(discovery, this.environment, {
        onBackends: (backends) => this.#space.publish(this.config.name, backends),
        onFailed: (error) => this.#tellOfFailure(error),
      });
      try {
        this.#follower.start();
      } catch (thrown) {
        this.#refusal = toWireError(thrown, 'DISCOVERY_NOT_STARTED');
        this.#tellOfFailure(this.#refusal);
      }
    }
    if (health !== null) {
      this.#checker = new HealthChecker<Extension>(this, this.environment, health);
      this.#checker.start();
    }
  }

  #endLeading(): void {
    this.#follower?.close();
    this.#follower = null;
    this.#checker?.close();
    this.#checker = null;
  }

  #sweep(): void {
    const { backends } = this.#set;
    this.#outliers?.sweep(backends, this.environment.clock.now());
    this.#metrics?.setBackends(this.status());
    if (this.config.slowStartMs === 0) return;
    let isWarming = false;
    for (const { slot } of backends) if (this.#states.isStillWarming(slot)) isWarming = true;
    if (isWarming) this.#table.bumpEpoch();
  }

  /** Puts in force what one of the threads has discovered; one after the other, so that sets that come faster than they can be built do not overtake each other for ever. */
  async #adopt(): Promise<void> {
    this.#isAdopting = true;
    while (this.#wanted !== null && this.config.discovery !== null && !this.#isClosed) {
      const backends = this.#wanted as readonly BackendInit<Extension>[];
      this.#wanted = null;
      try {
        await this.updateInSlices(backends);
        this.#refusal = null;
      } catch (thrown) {
        this.#refusal = toWireError(thrown, 'SET_REFUSED');
        this.#tellOfFailure(this.#refusal);
      }
    }
    this.#isAdopting = false;
  }

  #tellOfFailure(error: WireError): void {
    this.#metrics?.countDiscoveryFailure();
    callUser(() => this.config.observer.onDiscoveryFailed?.(error));
  }
}

/** Lets a generator clean up. */
function abandon(steps: Generator<void, unknown, void>): null {
  try {
    steps.return(undefined);
  } catch {
    // What an algorithm throws when it is given up is nobody's concern.
  }
  return null;
}
