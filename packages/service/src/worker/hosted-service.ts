/**
 * One service in one thread, and everything that its author may do wrong: throw, reject, never settle, give nonsense.
 *
 * ```
 *   new ── start ──► starting ──► running ── stop ──► draining ──► over
 *                       └── failed, or stopped meanwhile ──────────► over
 * ```
 */
import { internalError, textOf } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { callUser } from '@ferrata/stream';
import { describeThrown } from '../describe-thrown.ts';
import type {
  MemoryPressure,
  Notice,
  PreparedUpdate,
  RunningService,
  Service,
  ServiceContext,
  ServiceCounts,
  ServiceSocket,
} from '../service.ts';
import { onOwnDescriptors } from '../services/own-descriptors.ts';
import type { Snapshot } from '../snapshot.ts';

/** How much later than it was told to a service may end before it is not waited for. */
const LATE_MS = 1_000;
/** How long a `close` is waited for. */
const CLOSE_MS = 2_000;

const noCounts: ServiceCounts = Object.freeze({ connections: 0, accepted: 0, shed: 0 });
const numbers = ['connections', 'accepted', 'shed'] as const;

/** What a hosted service has from its thread. */
export interface HostSide {
  readonly worker: number;
  readonly threads: number;
  readonly environment: HttpEnvironment;
  /** Aborted when the thread stops accepting: of services that listen. */
  readonly stopping: AbortSignal;
  /** Aborted when those have drained: of all others, which they may need until then. */
  readonly stoppingLast: AbortSignal;
  readonly snapshot: Snapshot<unknown>;
  readonly isStopping: boolean;
  notify(notice: Notice): void;
}

/** A service in a thread. */
export class HostedService {
  readonly #service: Service<unknown>;
  readonly #host: HostSide;
  #running: RunningService<unknown> | null = null;
  #isStarting = false;
  #listens = false;
  #cut = 0;

  constructor(service: Service<unknown>, host: HostSide) {
    this.#service = service;
    this.#host = host;
  }

  get name(): string {
    return this.#service.name;
  }

  /** It was given sockets to accept on. */
  get listens(): boolean {
    return this.#listens;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** The most connections that any drain has had to cut. */
  get cut(): number {
    return this.#cut;
  }

  get counts(): ServiceCounts {
    if (this.#running === null) return noCounts;
    try {
      return checkCounts(this.#running.counts);
    } catch {
      // A user's own service; the admin endpoint must answer all the same.
      return noCounts;
    }
  }

  /**
   * A start that has failed may be tried again, with other descriptors: those it was given are closed, whatever comes of it.
   *
   * @throws whatever the service does; `SERVICE_STOPPED` if the thread began to stop meanwhile
   * @throws {TypeError} if it runs, is being started, or gives no running service
   */
  async start(waitedMs: number, sockets: readonly ServiceSocket[]): Promise<void> {
    if (this.#isStarting || this.#running !== null) throw new TypeError(`service ${this.name} was started before`);
    this.#isStarting = true;
    this.#listens = sockets.length > 0;
    try {
      // The service itself cannot close what it was never given.
      await onOwnDescriptors(sockets, async () => {
        if (!this.#host.isStopping) await this.#service.onStartupDelay?.(waitedMs);
        if (this.#host.isStopping) throw stoppedError(this.name);
      });
      const running: unknown = await this.#service.start(this.#contextOf(sockets));
      if (!isRunningService(running)) throw new TypeError(`start of service ${this.name} must give an object with counts, drain and close`);
      this.#running = running;
    } finally {
      this.#isStarting = false;
    }
    if (!this.#host.isStopping) return;
    await this.close();
    throw stoppedError(this.name);
  }

  /** @returns what to commit or discard; null if the service takes no notice of configurations @throws why the configuration cannot be */
  async prepare(next: Snapshot<unknown>): Promise<PreparedUpdate | null> {
    const running = this.#running;
    if (running?.prepare === undefined) return null;
    const update: unknown = await running.prepare(next);
    if (!isUpdate(update)) throw new TypeError(`prepare of service ${this.name} must give an object with commit and discard`);
    return update;
  }

  /** Calls one of the service's functions that must not throw. */
  call(what: string, callback: () => unknown): void {
    callUser(callback, (thrown) => this.notify('error', `${what} failed: ${describeThrown(thrown)}`));
  }

  onMemoryPressure(pressure: MemoryPressure): void {
    const running = this.#running;
    if (running?.onMemoryPressure !== undefined) this.call('onMemoryPressure', () => running.onMemoryPressure?.(pressure));
  }

  /** Never rejects, and is done at most a second after the time. */
  async drain(graceMs: number): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    try {
      const cut: unknown = await this.#inTime(() => running.drain(graceMs), graceMs + LATE_MS, 'drain');
      this.#cut = Math.max(this.#cut, typeof cut === 'number' && cut > 0 && Number.isSafeInteger(cut) ? cut : 0);
    } catch (thrown) {
      this.notify('error', `drain failed: ${describeThrown(thrown)}`);
      await this.close();
    }
  }

  /** Never rejects, and never takes long. */
  async close(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    try {
      await this.#inTime(() => running.close(), CLOSE_MS, 'close');
    } catch (thrown) {
      this.notify('error', `close failed: ${describeThrown(thrown)}`);
    }
  }

  notify(severity: Notice['severity'], text: string): void {
    this.#host.notify({ severity, text, service: this.name, worker: this.#host.worker });
  }

  async #inTime<T>(begin: () => T | PromiseLike<T>, limitMs: number, what: string): Promise<T> {
    const { deadlines } = this.#host.environment;
    const late = (): Error => internalError('SERVICE_LATE', `${what} has not ended in time`);
    // An `async` function, so that a throw is a rejection.
    const answer = (async () => begin())();
    return deadlines.withTimeout(answer, Math.min(limitMs, deadlines.maxDelayMs), late);
  }

  #contextOf(sockets: readonly ServiceSocket[]): ServiceContext<unknown> {
    const host = this.#host;
    const { name } = this;
    return {
      name,
      worker: host.worker,
      threads: host.threads,
      get snapshot() {
        return host.snapshot;
      },
      sockets,
      stopping: this.#listens ? host.stopping : host.stoppingLast,
      environment: host.environment,
      notify: (notice) => this.#pass(notice),
    };
  }

  /** Given to the user: any nonsense may come, and it has to go through a message port. */
  #pass(notice: Partial<Notice>): void {
    const { severity, text } = typeof notice === 'object' && notice !== null ? notice : {};
    this.notify(severity === 'warning' || severity === 'error' ? severity : 'info', textOf(text).slice(0, 10_000));
  }
}

function stoppedError(name: string): Error {
  return internalError('SERVICE_STOPPED', `the server began to stop while service ${name} was being started`);
}

function isRunningService(running: unknown): running is RunningService<unknown> {
  return hasMethods(running, ['drain', 'close']) && 'counts' in running;
}

function isUpdate(update: unknown): update is PreparedUpdate {
  return hasMethods(update, ['commit', 'discard']);
}

function hasMethods(thing: unknown, names: readonly string[]): thing is object {
  if (typeof thing !== 'object' || thing === null) return false;
  return names.every((name) => typeof (thing as Record<string, unknown>)[name] === 'function');
}

function checkCounts(counts: ServiceCounts): ServiceCounts {
  const checked = { connections: 0, accepted: 0, shed: 0 };
  for (const name of numbers) {
    const count: unknown = counts[name];
    if (typeof count === 'number' && count >= 0) checked[name] = count;
  }
  return checked;
}
