/**
 * The workers of a generation: started, watched, replaced, drained, ended.
 *
 * ```
 *  starting ──serve()──► serving ──drain()──► draining ──close()──► closing
 *     a death fails         a death is             nobody is replaced any more
 *     the start             replaced
 * ```
 * Rules:
 * - A worker that dies takes nothing along: another one is born in its place, later each time it happens again, and the others never hear of it.
 * - A replacement starts its services in the order of their dependencies within itself; what runs elsewhere counts as ready.
 * - While `hold` is in force nobody is born and nobody elected, so that a reload meets the same threads from its beginning to its end.
 */
import type { Clock } from '@ferrata/clock';
import { BackOff } from '../back-off.ts';
import type { Phase } from '../phase.ts';
import type { ResolvedWorkerOptions } from '../server-options.ts';
import type { Notice, Placement, ServiceSocket } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { HeartbeatMonitor, heartbeatMemory } from './heartbeats.ts';
import { OneWorkerElection } from './one-worker-election.ts';
import type { ReloadParticipant } from './reload.ts';
import type { PlacedListener, SocketAllotment } from './socket-allotment.ts';
import { StartSequence } from './start-sequence.ts';
import { TurningPoints } from './turning-points.ts';
import type { SupervisorMessage, WorkerMessage } from './worker-messages.ts';
import { WorkerSlot } from './worker-slot.ts';
import type { StartThread } from './worker-thread.ts';

/** Behind the grace of a drain: for the answer of a worker that has cut what was left. */
export const DRAIN_SLACK_MS = 3_000;

/** For a worker to end by itself once it was told to close. */
export const CLOSE_LIMIT_MS = 5_000;

/** Before a worker is replaced while no other one runs, at most: whoever connects has to wait for it. */
const LAST_WORKER_DELAY_MS = 200;

/** What a new worker is born with, besides what the pool knows itself. */
export interface SeedParts {
  readonly snapshot: Snapshot<unknown>;
  readonly shared: Readonly<Record<string, SharedArrayBuffer>>;
  readonly phase: Phase;
}

/** What a pool works with. */
export interface WorkerPoolOptions {
  readonly clock: Clock;
  readonly threads: number;
  readonly startThread: StartThread;
  /** All services of the server, in the order in which they were added. */
  readonly services: readonly { readonly name: string; readonly placement: Placement }[];
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  readonly workers: ResolvedWorkerOptions;
  /** For a replacement to be ready. */
  readonly readyTimeoutMs: number;
  readonly allotment: SocketAllotment;
  /** Listeners of a service, by the configuration in force. */
  readonly listeners: (service: string) => readonly PlacedListener[];
  readonly seed: () => SeedParts;
  /** Says where a thread stands; never rejects. */
  readonly reportHang: (threadId: number) => Promise<string | null>;
}

/** What a pool tells. */
export interface WorkerPoolSink {
  /** At the start: a service is ready in all its threads. */
  onServiceReady(name: string): void;
  /** At the start: every worker's module has come to `run`. */
  onUp(): void;
  /** At the start: it cannot be. May be told more than once. */
  onStartFailed(why: string): void;
  onNotice(notice: Notice): void;
  /** Few descriptors are left, or none. May be told more than once. */
  onDescriptorsLow(): void;
}

type PoolMode = 'starting' | 'serving' | 'draining' | 'closing';

/** The workers of one generation. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #sink: WorkerPoolSink;
  readonly #slots: readonly WorkerSlot[];
  readonly #backOffs: readonly BackOff[];
  readonly #election: OneWorkerElection;
  readonly #heartbeats: SharedArrayBuffer;
  readonly #monitor: HeartbeatMonitor;
  /** Services that run in every worker. */
  readonly #everywhere: readonly string[];
  /** At the start: services that were begun, with how long they had waited; a worker that comes up late is told of them then. */
  readonly #begun = new Map<string, number>();
  /** Slots whose next thread is due, while `hold` is in force. */
  readonly #due = new Set<WorkerSlot>();
  #mode: PoolMode = 'starting';
  #isHeld = false;
  readonly #changes: TurningPoints;
  readonly #undrained = new Set<WorkerSlot>();
  #cut = 0;
  #countsId = 0;
  readonly #counted = new Map<WorkerSlot, number>();
  /** Those being asked where they stand. */
  readonly #asking = new Set<WorkerSlot>();

  constructor(options: WorkerPoolOptions, sink: WorkerPoolSink) {
    this.#options = options;
    this.#sink = sink;
    this.#changes = new TurningPoints(options.clock);
    const { clock, threads, services, dependencies, workers } = options;
    const named = (placement: Placement): string[] => services.filter((service) => service.placement === placement).map(({ name }) => name);
    this.#everywhere = named('workers');
    this.#slots = Array.from({ length: threads }, (_, index) => new WorkerSlot(index + 1, this.#slotSink));
    this.#backOffs = this.#slots.map(() => new BackOff({ firstMs: workers.restartDelayMs, maxMs: workers.maxRestartDelayMs, clock }));
    this.#election = new OneWorkerElection({
      clock,
      names: named('oneWorker'),
      dependencies,
      restartDelayMs: workers.restartDelayMs,
      maxRestartDelayMs: workers.maxRestartDelayMs,
      startLimitMs: options.readyTimeoutMs,
      giveUp: (slot, why) => this.#kill(slot, why),
      candidate: () => this.#slots.find(({ isUp, state }) => isUp && (this.#mode === 'starting' || state === 'running')) ?? null,
      takeSockets: (name) => this.#take(name, 0),
      notify: (notice) => sink.onNotice(notice),
    });
    this.#heartbeats = heartbeatMemory(threads);
    const limits = { warningMs: workers.blockedWarningMs, limitMs: workers.blockedLimitMs };
    this.#monitor = new HeartbeatMonitor(this.#heartbeats, clock, limits, {
      onBlocked: (worker, blockedMs) => void this.#tellBlocked(this.#slot(worker), blockedMs),
      onUnblocked: (worker, blockedMs) =>
        this.#notify('info', this.#slot(worker), `runs again, after its event loop had stood still for ${Math.round(blockedMs)} ms`),
      onLimit: (worker, blockedMs) => this.#kill(this.#slot(worker), `its event loop had stood still for ${Math.round(blockedMs)} ms`),
    });
  }

  // ---- Queries

  get slots(): readonly WorkerSlot[] {
    return this.#slots;
  }

  /** Every worker's module has come to `run`. */
  get isUp(): boolean {
    return this.#slots.every(({ isUp }) => isUp);
  }

  /** The worker that has the services with `oneWorker`; 0: none. */
  get elected(): number {
    return this.#election.elected;
  }

  /** How long the loop of a worker has stood still; 0 while it beats in time. */
  blockedMs(worker: number): number {
    return this.#monitor.blockedMs(worker);
  }

  /** Asks all workers for their counts. @returns those that answered in time; the others keep the counts that they told last */
  async refreshCounts(limitMs: number): Promise<ReadonlySet<WorkerSlot>> {
    const id = ++this.#countsId;
    const asked = this.#slots.filter(({ isUp }) => isUp);
    for (const slot of asked) slot.post({ kind: 'counts', id });
    const hasAnswered = (slot: WorkerSlot): boolean => slot.isUp && (this.#counted.get(slot) ?? 0) >= id;
    await this.#changes.until(() => asked.every((slot) => !slot.isUp || hasAnswered(slot)), limitMs);
    return new Set(asked.filter(hasAnswered));
  }

  // ---- Start

  /** Starts all workers. */
  start(): void {
    for (const slot of this.#slots) this.#spawn(slot);
  }

  /** At the start: starts a service in the workers that it belongs to. `onServiceReady` follows, or `onStartFailed`. */
  beginService(name: string, waitedMs: number): void {
    this.#begun.set(name, waitedMs);
    if (this.#election.has(name)) {
      // The first of those that are up; with none, the one that comes up first.
      if (this.#slots.some(({ isUp }) => isUp)) this.#beginOne(name, waitedMs);
      return;
    }
    for (const slot of this.#slots) {
      if (slot.isUp) this.#startService(slot, name, waitedMs);
    }
  }

  /** All that had to start has started: from now on, a worker that dies is replaced. */
  serve(): void {
    this.#mode = 'serving';
    for (const slot of this.#slots) slot.state = 'running';
  }

  // ---- Reload

  /** Nobody is born and nobody elected until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    const due = [...this.#due];
    this.#due.clear();
    for (const slot of due) this.#spawn(slot);
    this.#elect();
  }

  /** Waits until no worker is on its way. One that has not come up by then is ended, and tries again afterwards. */
  async settle(limitMs: number): Promise<void> {
    const isSettled = (): boolean => this.#slots.every(({ state }) => state !== 'starting') && this.#election.isSettled;
    if (await this.#changes.until(isSettled, limitMs)) return;
    for (const slot of this.#slots) {
      if (slot.state === 'starting') this.#kill(slot, `it was not ready within ${limitMs} ms, and a new configuration has come`);
    }
    await this.#changes.until(() => this.#slots.every(({ state }) => state !== 'starting'), limitMs);
  }

  /** The workers that run. */
  participants(): readonly ReloadParticipant[] {
    return this.#slots
      .filter(({ state }) => state === 'running')
      .map((slot) => ({
        label: `worker ${slot.number}`,
        prepare: (next) => slot.prepare(next),
        commit: (version) => slot.commit(version),
        discard: (version) => slot.discard(version),
        replace: (why) => this.#kill(slot, why),
      }));
  }

  tell(message: SupervisorMessage): void {
    for (const slot of this.#slots) {
      if (slot.isUp) slot.post(message);
    }
  }

  // ---- End

  /**
   * Has all workers stop accepting, and end what runs. Called again, it hastens.
   *
   * @returns how many connections were cut, when the last one has answered, or has gone
   */
  async drain(graceMs: number): Promise<number> {
    if (this.#mode === 'starting' || this.#mode === 'serving') {
      this.#mode = 'draining';
      this.#endWaiting();
      for (const slot of this.#slots) {
        if (slot.isUp) this.#undrained.add(slot);
        else this.#kill(slot, 'the server stops');
      }
    }
    for (const slot of this.#undrained) slot.post({ kind: 'drain', graceMs });
    if (!(await this.#changes.until(() => this.#undrained.size === 0, graceMs + DRAIN_SLACK_MS))) {
      for (const slot of this.#undrained) this.#kill(slot, 'it did not end what it was doing in time');
      this.#undrained.clear();
      this.#changes.changed();
    }
    return this.#cut;
  }

  /** Ends all workers, by themselves at first. Resolves when the last one is gone. */
  async close(): Promise<void> {
    this.#mode = 'closing';
    this.#endWaiting();
    this.#undrained.clear();
    this.#changes.changed();
    for (const slot of this.#slots) {
      if (slot.isUp) slot.post({ kind: 'close' });
      else this.#kill(slot, 'the server stops');
    }
    const isOver = (): boolean => this.#slots.every(({ isAlive }) => !isAlive);
    if (!(await this.#changes.until(isOver, CLOSE_LIMIT_MS))) {
      for (const slot of this.#slots) {
        if (!slot.isAlive) continue;
        this.#notify('warning', slot, 'did not end by itself, and is ended');
        this.#kill(slot, 'it did not end by itself');
      }
      // A thread that does not end is given up after its own limit.
      await this.#changes.until(isOver, Infinity);
    }
    this.#monitor.close();
  }

  #endWaiting(): void {
    this.#election.close();
    this.#due.clear();
    for (const slot of this.#slots) {
      slot.wakeup?.cancel();
      slot.wakeup = null;
      if (slot.state === 'waiting') slot.state = 'ended';
    }
    this.#changes.changed();
  }

  // ---- One worker

  #spawn(slot: WorkerSlot): void {
    const isReplacement = this.#mode === 'serving';
    const sockets = this.#takeAll(slot.number);
    if (sockets === null) {
      if (!isReplacement) return this.#sink.onStartFailed(`too few descriptors were inherited for worker ${slot.number}`);
      this.#notify('error', slot, 'cannot be replaced: no descriptor is left for it; a new generation is asked for');
      this.#respawnLater(slot);
      return;
    }
    const { number: worker } = slot;
    const { threads, workers, startThread, seed } = this.#options;
    slot.start(startThread, { worker, threads, sockets, heartbeats: this.#heartbeats, uncaught: workers.uncaught, ...seed() });
    if (!isReplacement) return;
    slot.restarts += 1;
    const limitMs = this.#options.readyTimeoutMs;
    slot.wakeup = this.#options.clock.schedule(limitMs, () => this.#kill(slot, `it was not ready within ${limitMs} ms`));
  }

  #respawnLater(slot: WorkerSlot): number {
    slot.state = 'waiting';
    const inTurnMs = this.#backOffs[slot.number - 1]?.nextDelayMs() ?? 0;
    // One that has served serves again, for a while at least: better than nobody.
    const isLast = slot.hadServed && this.#slots.every(({ state }) => state !== 'running');
    const delayMs = isLast ? Math.min(inTurnMs, Math.max(LAST_WORKER_DELAY_MS, this.#options.workers.restartDelayMs)) : inTurnMs;
    slot.wakeup = this.#options.clock.schedule(delayMs, () => {
      slot.wakeup = null;
      if (this.#isHeld) this.#due.add(slot);
      else this.#spawn(slot);
    });
    return delayMs;
  }

  #kill(slot: WorkerSlot, why: string): void {
    slot.kill(why, (delayMs, wake) => this.#options.clock.schedule(delayMs, wake));
  }

  readonly #slotSink = {
    onMessage: (slot: WorkerSlot, message: WorkerMessage): void => this.#handleMessage(slot, message),
    onEnd: (slot: WorkerSlot, why: string, isGone: boolean): void => this.#handleEnd(slot, why, isGone),
  };

  #handleMessage(slot: WorkerSlot, message: WorkerMessage): void {
    switch (message.kind) {
      case 'up':
        return this.#handleUp(slot, message.services);
      case 'started':
        return this.#handleStarted(slot, message.name);
      case 'startFailed':
        return this.#handleStartFailed(slot, message.name, message.why);
      case 'counts':
        this.#counted.set(slot, message.id);
        return this.#changes.changed();
      case 'notice':
        return this.#sink.onNotice({ ...message.notice, worker: slot.number });
      case 'drained':
        if (!this.#undrained.delete(slot)) return;
        this.#cut += message.cut;
        return this.#changes.changed();
      default:
        break;
    }
  }

  #handleUp(slot: WorkerSlot, services: readonly string[]): void {
    const ours = this.#options.services.map(({ name }) => name);
    if (ours.join('\n') !== services.join('\n')) {
      return this.#kill(slot, `its module adds other services (${services.join(', ')}) than that of the main thread (${ours.join(', ')})`);
    }
    slot.isUp = true;
    this.#monitor.watch(slot.number);
    if (this.#mode === 'starting') {
      const isFirst = this.elected === 0;
      for (const [name, waitedMs] of this.#begun) {
        if (!this.#election.has(name)) this.#startService(slot, name, waitedMs);
        else if (isFirst) this.#beginOne(name, waitedMs);
      }
      if (this.isUp) this.#sink.onUp();
    } else if (this.#mode === 'serving') {
      // The phase may have gone on since it was born.
      slot.post({ kind: 'phase', phase: this.#options.seed().phase });
      slot.sequence = new StartSequence(this.#everywhere, this.#options.dependencies, this.#options.clock, (name, waitedMs) =>
        this.#startService(slot, name, waitedMs),
      );
      slot.sequence.start();
      this.#checkRunning(slot);
    } else {
      this.#kill(slot, 'the server stops');
    }
  }

  #startService(slot: WorkerSlot, name: string, waitedMs: number): void {
    slot.asked.add(name);
    slot.post({ kind: 'startService', name, waitedMs, sockets: null });
  }

  #beginOne(name: string, waitedMs: number): void {
    if (!this.#election.begin(name, waitedMs)) this.#sink.onStartFailed(`too few descriptors were inherited for service ${name}`);
  }

  #handleStarted(slot: WorkerSlot, name: string): void {
    slot.started.add(name);
    const isOfOne = this.#election.has(name);
    if (isOfOne) this.#election.handleStarted(name);
    if (this.#mode === 'starting') {
      const isReady = isOfOne || this.#slots.every(({ started }) => started.has(name));
      if (isReady) this.#sink.onServiceReady(name);
    } else if (isOfOne) {
      this.#changes.changed();
    } else {
      slot.sequence?.handleReady(name);
      this.#checkRunning(slot);
    }
  }

  #handleStartFailed(slot: WorkerSlot, name: string, why: string): void {
    if (this.#mode === 'starting') return this.#sink.onStartFailed(`service ${name} did not start in worker ${slot.number}: ${why}`);
    if (this.#mode !== 'serving') return;
    // A worker without one of its services is none.
    if (!this.#election.has(name)) return this.#kill(slot, `service ${name} did not start: ${why}`);
    this.#election.handleFailed(slot, name, why);
    this.#changes.changed();
  }

  #checkRunning(slot: WorkerSlot): void {
    if (slot.state !== 'starting' || slot.sequence?.isComplete !== true) return;
    slot.state = 'running';
    slot.wakeup?.cancel();
    slot.wakeup = null;
    this.#notify('info', slot, 'is replaced, and runs');
    this.#elect();
    this.#changes.changed();
  }

  #handleEnd(slot: WorkerSlot, why: string, isGone: boolean): void {
    this.#monitor.unwatch(slot.number);
    const { allotment } = this.#options;
    for (const [name, sockets] of slot.sockets) {
      if (!slot.asked.has(name)) allotment.giveBack(sockets);
      else if (isGone) allotment.recover(sockets);
    }
    if (this.#mode === 'starting') {
      this.#sink.onStartFailed(`worker ${slot.number} died: ${why}`);
    } else if (this.#mode === 'serving') {
      const delayMs = this.#respawnLater(slot);
      this.#notify('error', slot, `died: ${why}; another takes its place in ${delayMs} ms`);
      this.#election.handleEnd(slot);
      this.#elect();
    } else if (this.#undrained.delete(slot)) {
      this.#notify('error', slot, `died while it drained: ${why}`);
    }
    this.#changes.changed();
  }

  #elect(): void {
    if (!this.#isHeld && this.#mode === 'serving') this.#election.elect();
  }

  async #tellBlocked(slot: WorkerSlot, blockedMs: number): Promise<void> {
    const { incarnation } = slot;
    // One that hangs again while it is still being asked is told of by that. Two debuggers would be in each other's way.
    if (this.#asking.has(slot)) return;
    this.#asking.add(slot);
    const where = await this.#options.reportHang(slot.threadId);
    this.#asking.delete(slot);
    if (incarnation !== slot.incarnation || !slot.isAlive) return;
    const place = where === null ? '; where is not known: it is in native code, or does not let itself be asked' : `, at ${where}`;
    this.#notify('warning', slot, `does not turn its event loop since ${Math.round(blockedMs)} ms${place}`);
  }

  // ---- Helpers

  #takeAll(worker: number): Readonly<Record<string, readonly ServiceSocket[]>> | null {
    const all: Record<string, readonly ServiceSocket[]> = {};
    for (const name of this.#everywhere) {
      const sockets = this.#take(name, worker);
      if (sockets === null) {
        for (const taken of Object.values(all)) this.#options.allotment.giveBack(taken);
        return null;
      }
      all[name] = sockets;
    }
    return all;
  }

  #take(name: string, worker: number): readonly ServiceSocket[] | null {
    const { allotment, listeners } = this.#options;
    const sockets = allotment.take(listeners(name), worker);
    if (this.#mode === 'serving' && (sockets === null || allotment.isLow)) this.#sink.onDescriptorsLow();
    return sockets;
  }

  #slot(worker: number): WorkerSlot {
    const slot = this.#slots[worker - 1];
    if (slot === undefined) throw new RangeError(`there is no worker ${worker}`);
    return slot;
  }

  #notify(severity: Notice['severity'], slot: WorkerSlot, what: string): void {
    this.#sink.onNotice({ severity, text: `worker ${slot.number} ${what}`, worker: slot.number });
  }
}
