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
import { packConfig } from '../keeper/kept-config.ts';
import { packFileReading } from '../kept-options.ts';
import type { Phase } from '../phase.ts';
import type { ServerPlan } from '../server-plan.ts';
import type { Notice, ServiceCounts, ServiceSocket } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { type AdminEndpoint, openAdminEndpoint } from './admin.ts';
import type { AdminStatus, AdminTarget, AdminWorker } from './admin-target.ts';
import { diffConfigs } from './config-diff.ts';
import { type ConfigReading, type FirstReading, type ReadingOptions, readConfig, readFirstConfig } from './config-reading.ts';
import { KeeperAsks } from './keeper-asks.ts';
import type { KeeperChannel } from './keeper-channel.ts';
import { MainServices } from './main-services.ts';
import { ReloadQueue, twoPhases } from './reload.ts';
import { sortServices } from './service-graph.ts';
import { Shutdown, type StopRequest } from './shutdown.ts';
import { type DescriptorTable, isEnoughFor, SocketAllotment } from './socket-allotment.ts';
import { StartSequence } from './start-sequence.ts';
import { type SeedParts, WorkerPool } from './worker-pool.ts';
import type { StartThread } from './worker-thread.ts';

/** For each of the two phases of a reload, and for workers on their way to be there before it. */
export const RELOAD_LIMIT_MS = 10_000;

/** For what runs, when the keeper is gone: nobody would ever replace this process, and its sockets are in the way of the next one. */
export const ORPHAN_GRACE_MS = 5_000;

/** Of the time in which the keeper wants an answer: so much for reading a configuration, so that it hears what has taken so long. */
const READING_SHARE = 0.95;

/** For the workers to tell their counts. */
const COUNTS_LIMIT_MS = 1_000;

/** What a generation touches. */
export interface GenerationSurroundings {
  readonly channel: KeeperChannel;
  readonly clock: Clock;
  readonly startThread: StartThread;
  /** Says where a thread stands; never rejects. */
  readonly reportHang: (threadId: number) => Promise<string | null>;
  readonly descriptors: DescriptorTable;
}

/** Everything that there is once the sockets are. */
interface Running {
  readonly pool: WorkerPool;
  /** Services of this thread. */
  readonly main: MainServices;
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
  /** Aborted when a reload that is not yet decided has to be given up. */
  readonly #stopping = new AbortController();
  #number = 0;
  #reading: ConfigReading | null = null;
  #snapshot: Snapshot<unknown> = { version: 1, config: undefined };
  #nextVersion = 2;
  #running: Running | null = null;
  #sequence: StartSequence | null = null;
  #admin: AdminEndpoint | null = null;
  #isReady = false;
  #hasEnded = false;
  #isOrphan = false;
  #hasToldUnkept = false;
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

  main(): Readonly<Record<string, ServiceCounts>> {
    return this.#running?.main.counts() ?? {};
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
        this.#asks.handleReload(message.id);
        void this.#answerReload(message.id);
        return;
      case 'ping':
        this.#surroundings.channel.send({ kind: 'pong', id: message.id });
        return;
      case 'upgrading':
        this.#asks.handleUpgrading();
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
      this.#stopping.abort('the server is stopping');
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

  async #start({ protocol, generation, sockets, lastGood }: Extract<KeeperMessage, { kind: 'start' }>): Promise<void> {
    this.#number = generation;
    if (protocol !== PROTOCOL_VERSION)
      return await this.#fail(`the keeper speaks version ${protocol} of the protocol, and this program ${PROTOCOL_VERSION}`, 1);
    this.#setPhase('bootstrap');
    let order: readonly string[];
    let first: FirstReading;
    try {
      const names = this.#plan.services.map(({ name }) => name);
      order = sortServices(names, this.#plan.dependencies);
      first = await readFirstConfig(this.#plan, lastGood, this.#readingOptions);
    } catch (thrown) {
      if (!this.#shutdown.hasBegun) await this.#fail(textOf(thrown), 2);
      return;
    }
    if (this.#shutdown.hasBegun || this.#hasEnded) return;
    const { reading, warning } = first;
    const held = new Set(sockets.map(({ spec }) => spec.key));
    const { threads } = this.#plan.options;
    if (reading.sockets.all.some(({ key }) => !held.has(key)) || !isEnoughFor(sockets, threads)) {
      this.#surroundings.channel.send({ kind: 'need', sockets: reading.sockets.all, threads });
      return this.#end(0);
    }
    if (warning !== null) this.notify({ severity: 'warning', text: warning });
    this.#reading = reading;
    this.#snapshot = { version: 1, config: reading.config };
    const allotment = new SocketAllotment(sockets, threads, this.#surroundings.descriptors);
    const mainSockets: Record<string, readonly ServiceSocket[]> = {};
    for (const { name, placement } of this.#plan.services) {
      if (placement !== 'main') continue;
      const taken = allotment.take(reading.listeners.get(name) ?? [], 0);
      if (taken === null) return await this.#fail(`too few descriptors were inherited for service ${name}`, 1);
      mainSockets[name] = taken;
    }
    const running: Running = {
      pool: this.#makePool(allotment),
      main: new MainServices({
        services: this.#plan.services,
        snapshot: this.#snapshot,
        threads,
        sockets: mainSockets,
        notify: (notice) => this.notify(notice),
      }),
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
  async #openAdmin({ allotment, main }: Running, { sockets: { admin: spec } }: ConfigReading): Promise<boolean> {
    const { admin: address } = this.#plan.options;
    if (spec === null || address === null || this.#admin !== null) return true;
    try {
      const listen = { address, ...(spec.mode === undefined ? null : { mode: spec.mode }) };
      const [socket] = allotment.take([{ listen, spec }], 0) ?? [];
      if (socket === undefined) throw new Error('no descriptor was inherited for it');
      this.#admin = await openAdminEndpoint(socket, this, { environment: main.environment });
    } catch (thrown) {
      await this.#fail(`the admin endpoint: ${textOf(thrown)}`, 1);
    }
    if (!this.#shutdown.hasBegun && !this.#hasEnded) return true;
    // Whoever ended meanwhile did not see it.
    await this.#admin?.close(0);
    return false;
  }

  #beginService({ pool, main }: Running, name: string, waitedMs: number): void {
    const service = this.#plan.services.find((candidate) => candidate.name === name);
    if (service?.placement !== 'main') return pool.beginService(name, waitedMs);
    void main.start(name, waitedMs).then(
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
    const { threads } = this.#plan.options;
    const fileOptions = packFileReading();
    this.#surroundings.channel.send({ kind: 'ready', threads, sockets: reading.sockets.all, config: this.#packed(reading), fileOptions });
    this.#setPhase('running');
  }

  /** It could not start. */
  async #fail(why: string, exitCode: number): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#surroundings.channel.send({ kind: 'failed', why, exitCode });
    await Promise.all([this.#running?.pool.close(), this.#running?.main.close(), this.#admin?.close(0)]);
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

  get #readingOptions(): ReadingOptions {
    return { clock: this.#clock, limitMs: Math.round(READING_SHARE * this.#plan.options.readyTimeoutMs), givenUp: this.#stopping.signal };
  }

  /** For the keeper, which gives it to whoever takes the place of this generation if it dies. */
  #packed({ config }: ConfigReading): Uint8Array | null {
    const { bytes, why } = packConfig(config);
    if (bytes === null && !this.#hasToldUnkept) {
      this.#hasToldUnkept = true;
      const text = `should this generation die while the configuration on disk is broken, none could take its place: the one in force cannot be kept (${why})`;
      this.notify({ severity: 'warning', text });
    }
    return bytes;
  }

  // ---- Reload

  async #answerReload(id: number): Promise<void> {
    const outcome = await this.#reloads.request();
    const config = outcome.kind === 'reloaded' && this.#reading !== null ? { config: this.#packed(this.#reading) } : null;
    this.#surroundings.channel.send({ kind: 'reloaded', id, outcome, ...config });
    this.#asks.handleReloaded(id, outcome);
  }

  async #reload(): Promise<ReloadOutcome> {
    const { clock } = this.#surroundings;
    const running = this.#running;
    const before = this.#reading;
    if (!this.#isReady || running === null || before === null) return { kind: 'refused', why: 'the server is still starting' };
    const reading = await readConfig(this.#plan, this.#readingOptions);
    // What services say of a listener (its label) belongs to it: a thread that is born later would accept in another way than those that listen already.
    const areSame = isDeepStrictEqual(reading.sockets, before.sockets) && isDeepStrictEqual(reading.listeners, before.listeners);
    const changes = diffConfigs(before.config, reading.config);
    if (!areSame) return { kind: 'needsGeneration', sockets: reading.sockets.all, changes };
    if (changes.length === 0) return { kind: 'unchanged', version: this.#snapshot.version };

    const next: Snapshot<unknown> = { version: this.#nextVersion, config: reading.config };
    running.pool.hold();
    try {
      await running.pool.settle(RELOAD_LIMIT_MS);
      const { refused, isOpen } = await twoPhases(next, [...running.pool.participants(), ...running.main.participants], {
        clock,
        limitMs: RELOAD_LIMIT_MS,
        givenUp: this.#stopping.signal,
        decide: () => {
          this.#snapshot = next;
          this.#reading = reading;
          this.#nextVersion = next.version + 1;
        },
      });
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
    this.#running?.allotment.close();
    // The successor answers there; this one no longer knows how the server does.
    if (why === 'superseded') void this.#admin?.close();
  }

  async #drain(graceMs: number): Promise<number> {
    if (this.#running === null) return 0;
    const { pool, main } = this.#running;
    const cut = await Promise.all([pool.drain(graceMs), main.drain(graceMs)]);
    return cut[0] + cut[1];
  }

  async #close(cut: number): Promise<void> {
    await Promise.all([this.#running?.pool.close(), this.#running?.main.end()]);
    this.#asks.handleDrained(cut);
    await this.#admin?.close();
  }
}
