/**
 * A generation: the mind of its main thread. Loads the configuration, starts workers and services, reloads, ends; what it touches is handed in.
 *
 * ```
 *  hello ─► start ─► configuration ─► (need: sockets are missing, the end)
 *                          │
 *                          ▼
 *                    workers, services by their dependencies ─► ready ─► serving ◄─► reload, upgrading
 *                          │ anything fails                                │
 *                          ▼                                               ▼ stop, or the keeper is gone
 *                       failed                                         shutdown ─► stopped
 * ```
 * Until it is ready, whatever goes wrong ends it, and the keeper says so; from then on, nothing that goes wrong in a worker does.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '@ferrata/clock';
import { textOf } from '@ferrata/error';
import { callUser } from '@ferrata/stream';
import { type KeeperMessage, PROTOCOL_VERSION, type ReloadOutcome } from '../keeper/generation-messages.ts';
import type { Phase } from '../phase.ts';
import type { ServerPlan } from '../server-plan.ts';
import type { Notice, ServiceSocket } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { ServiceHost } from '../worker/service-host.ts';
import { type AdminEndpoint, openAdminEndpoint } from './admin.ts';
import type { AdminStatus, AdminTarget, AdminWorker } from './admin-target.ts';
import { diffConfigs } from './config-diff.ts';
import { type ConfigReading, readConfig } from './config-reading.ts';
import { KeeperAsks } from './keeper-asks.ts';
import type { KeeperChannel } from './keeper-channel.ts';
import { type ReloadParticipant, ReloadQueue, twoPhases } from './reload.ts';
import { sortServices } from './service-graph.ts';
import { Shutdown, type StopRequest } from './shutdown.ts';
import { SocketAllotment } from './socket-allotment.ts';
import { StartSequence } from './start-sequence.ts';
import { type SeedParts, WorkerPool } from './worker-pool.ts';
import type { StartThread } from './worker-thread.ts';

/** For each of the two phases of a reload, and for workers on their way to be there before it. */
export const RELOAD_LIMIT_MS = 10_000;

/** For what runs, when the keeper is gone: nobody would ever replace this process, and its sockets are in the way of the next one. */
export const ORPHAN_GRACE_MS = 5_000;

/** For background services of the main thread to end by themselves, when nothing is served any more. */
export const BACKGROUND_GRACE_MS = 2_000;

/** For the workers to tell their counts. */
const COUNTS_LIMIT_MS = 1_000;

/** What a generation touches. */
export interface GenerationSurroundings {
  readonly channel: KeeperChannel;
  readonly clock: Clock;
  readonly startThread: StartThread;
  /** Says where a thread stands; never rejects. */
  readonly reportHang: (threadId: number) => Promise<string | null>;
  /** Closes a descriptor that nobody uses. */
  readonly closeDescriptor: (fd: number) => void;
}

/** Everything that there is once the sockets are. */
interface Running {
  readonly pool: WorkerPool;
  /** Services of this thread that listen: they end as those of the workers do. */
  readonly listening: ServiceHost;
  /** Those that don't: they go on until nothing is served any more. */
  readonly background: ServiceHost;
  readonly allotment: SocketAllotment;
}

/** A generation, from `hello` to its exit code. */
export class Generation implements AdminTarget {
  readonly #plan: ServerPlan;
  readonly #surroundings: GenerationSurroundings;
  readonly #clock: Clock;
  readonly #asks: KeeperAsks;
  readonly #reloads = new ReloadQueue(() => this.#reload());
  readonly #shutdown: Shutdown;
  readonly #exit = Promise.withResolvers<number>();
  /** Settles when a reload that is not yet decided has to be given up. */
  readonly #stopping = Promise.withResolvers<string>();
  #number = 0;
  #reading: ConfigReading | null = null;
  #snapshot: Snapshot<unknown> = { version: 1, config: undefined };
  #nextVersion = 2;
  #running: Running | null = null;
  #admin: AdminEndpoint | null = null;
  #isReady = false;
  #hasEnded = false;
  #isOrphan = false;
  #asksDescriptors = false;

  constructor(plan: ServerPlan, surroundings: GenerationSurroundings) {
    this.#plan = plan;
    this.#surroundings = surroundings;
    this.#clock = surroundings.clock;
    this.#asks = new KeeperAsks((message) => surroundings.channel.send(message));
    this.#shutdown = new Shutdown(this.#clock, {
      setPhase: (phase) => this.#setPhase(phase),
      stopAccepting: (why) => this.#stopAccepting(why),
      drain: (graceMs) => this.#drain(graceMs),
      close: (cut) => this.#close(cut),
    });
  }

  /** Runs to the end. @returns the exit code */
  async run(): Promise<number> {
    const { channel } = this.#surroundings;
    channel.open(
      (message) => this.#handle(message),
      () => this.#handleLost(),
    );
    channel.send({ kind: 'hello', protocol: PROTOCOL_VERSION });
    return await this.#exit.promise;
  }

  /** Tells the operator: through the keeper, or, when that is gone, by the program's own means. */
  notify(notice: Notice): void {
    if (this.#surroundings.channel.isOpen) this.#surroundings.channel.send({ kind: 'notice', notice });
    else callUser(() => this.#plan.options.onNotice(notice));
  }

  // ---- The admin endpoint

  status(): AdminStatus {
    const { current: phase } = this.#plan.phases;
    const running = (this.#running?.pool.slots ?? []).filter(({ state }) => state === 'running');
    const { blockedWarningMs } = this.#plan.options.workers;
    const healthy = running.some(({ number }) => (this.#running?.pool.blockedMs(number) ?? 0) < blockedWarningMs);
    const accepts = phase === 'running' || phase === 'gracefulUpgradeTransferringFds' || phase === 'gracefulUpgradeCloseTimeout';
    return { phase, ready: accepts && running.length > 0, healthy, generation: this.#number, configVersion: this.#snapshot.version };
  }

  async workers(): Promise<readonly AdminWorker[]> {
    const pool = this.#running?.pool;
    if (pool === undefined) return [];
    const answered = await pool.refreshCounts(COUNTS_LIMIT_MS);
    return pool.slots.map((slot) => {
      const blockedMs = Math.round(pool.blockedMs(slot.number));
      const known = answered.has(slot)
        ? { heapUsedBytes: slot.heapUsedBytes, services: slot.counts }
        : { heapUsedBytes: null, services: null };
      return { worker: slot.number, state: this.#adminState(slot.state, blockedMs), restarts: slot.restarts, blockedMs, ...known };
    });
  }

  reload(): ReturnType<AdminTarget['reload']> {
    return this.#asks.ask('reload');
  }

  drain(): ReturnType<AdminTarget['drain']> {
    return this.#asks.ask('drain');
  }

  upgrade(): ReturnType<AdminTarget['upgrade']> {
    return this.#asks.ask('upgrade');
  }

  #adminState(state: string, blockedMs: number): AdminWorker['state'] {
    if (state === 'waiting') return 'waitingForRestart';
    if (state === 'idle' || state === 'starting') return 'starting';
    if (state === 'ended') return 'ended';
    if (blockedMs >= this.#plan.options.workers.blockedWarningMs) return 'blocked';
    return this.#shutdown.isDraining ? 'draining' : 'running';
  }

  // ---- The keeper

  #handle(message: KeeperMessage): void {
    switch (message.kind) {
      case 'start':
        void this.#start(message);
        return;
      case 'stop':
        this.#stop(message);
        return;
      case 'reload':
        void this.#answerReload(message.id);
        return;
      case 'ping':
        this.#surroundings.channel.send({ kind: 'pong', id: message.id });
        return;
      case 'upgrading':
        if (this.#plan.phases.current === 'running') this.#setPhase('gracefulUpgradeTransferringFds');
        return;
      case 'upgradeFailed':
        this.#asksDescriptors = false;
        if (this.#plan.phases.current === 'gracefulUpgradeTransferringFds') this.#setPhase('running');
        this.#asks.handleUpgradeFailed(message.why);
        return;
      case 'answer':
        this.#asks.handleAnswer(message.id, message.refused);
        break;
      default:
        // A newer keeper may say more. What matters would come with another number of the protocol.
        break;
    }
  }

  #handleLost(): void {
    if (this.#hasEnded || this.#isOrphan) return;
    this.#isOrphan = true;
    this.#asks.handleLost();
    this.notify({ severity: 'error', text: 'the process that was started is gone; this one ends what is under way, and stops' });
    this.#stop({ why: 'terminate', graceMs: ORPHAN_GRACE_MS, delayMs: 0 });
  }

  #stop(request: StopRequest): void {
    if (this.#hasEnded) return;
    const isFirst = !this.#shutdown.hasBegun;
    if (isFirst) {
      this.#reloads.close('the server is stopping');
      this.#stopping.resolve('the server is stopping');
      void this.#finish();
    }
    if (request.why !== 'superseded' || isFirst) this.#asks.handleStop(request.why === 'superseded');
    this.#shutdown.request(request);
  }

  async #finish(): Promise<void> {
    const cut = await this.#shutdown.done;
    this.#surroundings.channel.send({ kind: 'stopped', cut });
    this.#end(this.#isOrphan ? 1 : 0);
  }

  #end(code: number): void {
    this.#hasEnded = true;
    this.#exit.resolve(code);
  }

  #setPhase(phase: Phase): void {
    if (phase === this.#plan.phases.current) return;
    this.#plan.phases.set(phase);
    this.#surroundings.channel.send({ kind: 'phase', phase });
    this.#running?.pool.tell({ kind: 'phase', phase });
  }

  // ---- Start

  async #start({ protocol, generation, sockets }: Extract<KeeperMessage, { kind: 'start' }>): Promise<void> {
    this.#number = generation;
    if (protocol !== PROTOCOL_VERSION)
      return await this.#fail(`the keeper speaks version ${protocol} of the protocol, and this program ${PROTOCOL_VERSION}`, 1);
    this.#setPhase('bootstrap');
    let order: readonly string[];
    let reading: ConfigReading;
    try {
      const names = this.#plan.services.map(({ name }) => name);
      order = sortServices(names, this.#plan.dependencies);
      reading = await readConfig(this.#plan, this.#clock, this.#plan.options.readyTimeoutMs);
    } catch (thrown) {
      return await this.#fail(textOf(thrown), 2);
    }
    if (this.#shutdown.hasBegun || this.#hasEnded) return;
    const held = new Set(sockets.map(({ spec }) => spec.key));
    if (reading.sockets.all.some(({ key }) => !held.has(key))) {
      this.#surroundings.channel.send({ kind: 'need', sockets: reading.sockets.all });
      return this.#end(0);
    }
    this.#reading = reading;
    this.#snapshot = { version: 1, config: reading.config };
    const allotment = new SocketAllotment(sockets, this.#plan.options.threads);
    const mainSockets: Record<string, readonly ServiceSocket[]> = {};
    for (const { name, placement } of this.#plan.services) {
      if (placement !== 'main') continue;
      const taken = allotment.take(reading.listeners.get(name) ?? [], 0);
      if (taken === null) return await this.#fail(`too few descriptors were inherited for service ${name}`, 1);
      mainSockets[name] = taken;
    }
    const running: Running = {
      pool: this.#makePool(allotment),
      listening: this.#makeHost(mainSockets, (name) => doesListen(reading, name)),
      background: this.#makeHost({}, (name) => !doesListen(reading, name)),
      allotment,
    };
    this.#running = running;
    // A later generation may have a predecessor, which accepts from the same queue and knows how the server does; until this one is ready, it keeps out of the way.
    if (generation === 1 && !(await this.#openAdmin(running, reading))) return;
    this.#sequence = new StartSequence(order, this.#plan.dependencies, this.#clock, (name, waitedMs) =>
      this.#beginService(running, name, waitedMs),
    );
    running.pool.start();
    this.#sequence.start();
  }

  #sequence: StartSequence | null = null;

  #makeHost(sockets: Readonly<Record<string, readonly ServiceSocket[]>>, isIn: (name: string) => boolean): ServiceHost {
    return new ServiceHost({
      services: this.#plan.services.filter(({ name, placement }) => placement === 'main' && isIn(name)),
      snapshot: this.#snapshot,
      worker: 0,
      threads: this.#plan.options.threads,
      sockets,
      notify: (notice) => this.notify(notice),
    });
  }

  #makePool(allotment: SocketAllotment): WorkerPool {
    const { options, services, dependencies, shared, phases } = this.#plan;
    return new WorkerPool(
      {
        clock: this.#clock,
        threads: options.threads,
        startThread: this.#surroundings.startThread,
        services,
        dependencies,
        workers: options.workers,
        readyTimeoutMs: options.readyTimeoutMs,
        allotment,
        listeners: (service) => this.#reading?.listeners.get(service) ?? [],
        seed: (): SeedParts => ({ snapshot: this.#snapshot, shared: shared.memories, phase: phases.current }),
        reportHang: this.#surroundings.reportHang,
      },
      {
        onServiceReady: (name) => this.#handleServiceReady(name),
        onUp: () => this.#checkReady(),
        onStartFailed: (why) => {
          if (!this.#shutdown.hasBegun) void this.#fail(why, 1);
        },
        onNotice: (notice) => this.notify(notice),
        onDescriptorsLow: () => this.#askDescriptors(),
      },
    );
  }

  /** @returns whether to go on */
  async #openAdmin({ allotment, listening }: Running, { sockets: { admin: spec } }: ConfigReading): Promise<boolean> {
    const { admin: address } = this.#plan.options;
    if (spec === null || address === null || this.#admin !== null) return true;
    try {
      const listen = { address, ...(spec.mode === undefined ? null : { mode: spec.mode }) };
      const [socket] = allotment.take([{ listen, spec }], 0) ?? [];
      if (socket === undefined) throw new Error('no descriptor was inherited for it');
      this.#admin = await openAdminEndpoint(socket, this, { environment: listening.environment });
    } catch (thrown) {
      await this.#fail(`the admin endpoint: ${textOf(thrown)}`, 1);
    }
    if (!this.#shutdown.hasBegun && !this.#hasEnded) return true;
    // Whoever ended meanwhile did not see it.
    await this.#admin?.close(0);
    return false;
  }

  #beginService({ pool, listening, background }: Running, name: string, waitedMs: number): void {
    const service = this.#plan.services.find((candidate) => candidate.name === name);
    if (service?.placement !== 'main') return pool.beginService(name, waitedMs);
    const host = this.#reading !== null && doesListen(this.#reading, name) ? listening : background;
    void host.start(name, waitedMs, null).then(
      () => this.#handleServiceReady(name),
      (thrown: unknown) => {
        if (!this.#shutdown.hasBegun) void this.#fail(`service ${name} did not start: ${textOf(thrown)}`, 1);
      },
    );
  }

  #handleServiceReady(name: string): void {
    this.#sequence?.handleReady(name);
    this.#checkReady();
  }

  #checkReady(): void {
    const [running, reading] = [this.#running, this.#reading];
    if (this.#isReady || this.#hasEnded || this.#shutdown.hasBegun || running === null || reading === null) return;
    if (this.#sequence?.isComplete === true && running.pool.isUp) void this.#becomeReady(running, reading);
  }

  async #becomeReady(running: Running, reading: ConfigReading): Promise<void> {
    this.#isReady = true;
    running.pool.serve();
    if (!(await this.#openAdmin(running, reading))) return;
    this.#setPhase('bootstrapComplete');
    this.#surroundings.channel.send({ kind: 'ready', threads: this.#plan.options.threads, sockets: reading.sockets.all });
    this.#setPhase('running');
  }

  /** It could not start. */
  async #fail(why: string, exitCode: number): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#surroundings.channel.send({ kind: 'failed', why, exitCode });
    const { pool, listening, background } = this.#running ?? {};
    await Promise.all([pool?.close(), listening?.close(), background?.close(), this.#admin?.close(0)]);
    this.#end(exitCode);
  }

  #askDescriptors(): void {
    if (this.#asksDescriptors || this.#shutdown.hasBegun) return;
    this.#asksDescriptors = true;
    this.notify({ severity: 'info', text: 'few descriptors are left for workers to come: a new generation is asked for' });
    void this.#asks.ask('descriptors').then(() => {
      this.#asksDescriptors = false;
    });
  }

  // ---- Reload

  async #answerReload(id: number): Promise<void> {
    const outcome = await this.#reloads.request();
    this.#surroundings.channel.send({ kind: 'reloaded', id, outcome });
    this.#asks.handleReloaded(outcome);
  }

  async #reload(): Promise<ReloadOutcome> {
    const { clock } = this.#surroundings;
    const running = this.#running;
    const before = this.#reading;
    if (!this.#isReady || running === null || before === null) return { kind: 'refused', why: 'the server is still starting' };
    const reading = await Promise.race([readConfig(this.#plan, clock, this.#plan.options.readyTimeoutMs), this.#stopping.promise]);
    if (typeof reading === 'string') return { kind: 'refused', why: reading };
    if (isDeepStrictEqual(reading.config, before.config) && isDeepStrictEqual(reading.sockets, before.sockets)) {
      return { kind: 'unchanged', version: this.#snapshot.version };
    }
    const changes = diffConfigs(before.config, reading.config);
    if (!isDeepStrictEqual(reading.sockets, before.sockets)) return { kind: 'needsGeneration', sockets: reading.sockets.all, changes };

    const next: Snapshot<unknown> = { version: this.#nextVersion, config: reading.config };
    running.pool.hold();
    try {
      await running.pool.settle(RELOAD_LIMIT_MS);
      const { refused, isOpen } = await twoPhases(
        next,
        [...running.pool.participants(), mainParticipant(running.listening), mainParticipant(running.background)],
        {
          clock,
          limitMs: RELOAD_LIMIT_MS,
          givenUp: this.#stopping.promise,
          decide: () => {
            this.#snapshot = next;
            this.#reading = reading;
            this.#nextVersion = next.version + 1;
          },
        },
      );
      // Somebody may still answer for this version.
      if (isOpen) this.#nextVersion = next.version + 1;
      return refused === null ? { kind: 'reloaded', version: next.version, changes } : { kind: 'refused', why: refused };
    } finally {
      running.pool.release();
    }
  }

  // ---- End

  #stopAccepting(why: StopRequest['why']): void {
    // One open descriptor is enough for the kernel to take connections that nobody would ever accept.
    for (const fd of this.#running?.allotment.takeRest() ?? []) this.#surroundings.closeDescriptor(fd);
    // The successor answers there; this one no longer knows how the server does.
    if (why === 'superseded') void this.#admin?.close();
  }

  async #drain(graceMs: number): Promise<number> {
    if (this.#running === null) return 0;
    const { pool, listening } = this.#running;
    const cut = await Promise.all([pool.drain(graceMs), listening.drain(graceMs)]);
    return cut[0] + cut[1];
  }

  async #close(cut: number): Promise<void> {
    const { pool, listening, background } = this.#running ?? {};
    await Promise.all([pool?.close(), listening?.close(), this.#endBackground(background)]);
    this.#asks.handleDrained(cut);
    await this.#admin?.close();
  }

  async #endBackground(background: ServiceHost | undefined): Promise<void> {
    await background?.drain(BACKGROUND_GRACE_MS);
    await background?.close();
  }
}

function doesListen({ listeners }: ConfigReading, name: string): boolean {
  return (listeners.get(name) ?? []).length > 0;
}

/** Some services of the main thread in a reload. */
function mainParticipant(host: ServiceHost): ReloadParticipant {
  return {
    label: 'the main thread',
    prepare: async (next) => {
      try {
        await host.prepare(next);
        return null;
      } catch (thrown) {
        return textOf(thrown);
      }
    },
    commit: async (version) => host.commit(version),
    discard: (version) => host.discard(version),
    // A commit in the main thread is one call, and over when it returns.
    replace: () => {},
  };
}
