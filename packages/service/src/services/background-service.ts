/**
 * Work without a socket: refreshing a list, checking health, writing out figures.
 *
 * ```
 *   running ── rejects ──► waiting (longer each time) ──► running …
 *      ├────── fulfils ──► done
 *      └────── stopping ─► (ends, or is left behind when the time is over)
 * ```
 * It is ready when it says so, if it asks to; else at once. What it throws is told, and it is started again.
 */
import { checkNumber } from '@ferrata/error';
import { isThenable } from '@ferrata/stream';
import { describeThrown } from '../describe-thrown.ts';
import type { ListenAddress, RunningService, Service, ServiceContext, ServiceCounts } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { DrainDeadline } from './drain-deadline.ts';
import { checkCallback, checkDefinition, checkFunction, type ServiceDefinition } from './service-definition.ts';

/** Options of a `BackgroundService`. Times in milliseconds. */
export interface BackgroundServiceOptions<C> extends ServiceDefinition<C> {
  /** `main`: in the thread that supervises (work there must be short: it answers for all others). `oneWorker`: in one worker, in another one when that dies. */
  readonly placement: 'main' | 'oneWorker';
  /**
   * Does the work until it is done, or until `context.stopping` is aborted. A function that names two parameters is waited for at the start until it calls `ready`, or
   * ends. `context.snapshot` is always the configuration in force.
   */
  readonly run: (context: ServiceContext<C>, ready: () => void) => Promise<void>;
  /** Called when a new configuration is put in force. Default: nothing; `run` looks at `context.snapshot` when it wants to. */
  readonly onReload?: (snapshot: Snapshot<C>, context: ServiceContext<C>) => void | Promise<void>;
  /** How long to wait after the first failure, above 0. Doubles with each. Default 100. */
  readonly restartDelayMs?: number;
  /** How long to wait at most; a run that lasts so long begins with the first delay again. Default 60 000. */
  readonly maxRestartDelayMs?: number;
}

/** Runs in the background. */
export class BackgroundService<C = undefined> implements Service<C> {
  readonly name: string;
  readonly placement: 'main' | 'oneWorker';
  readonly #options: BackgroundServiceOptions<C>;
  readonly #delays: Delays;

  /** @throws {TypeError} @throws {RangeError} for options that make no sense */
  constructor(options: BackgroundServiceOptions<C>) {
    checkDefinition('BackgroundService', options, ['placement', 'run', 'onReload', 'restartDelayMs', 'maxRestartDelayMs']);
    const { name, placement, run, onReload, restartDelayMs, maxRestartDelayMs } = options;
    if (placement !== 'main' && placement !== 'oneWorker') {
      throw new RangeError(`placement of ${name} must be main or oneWorker, not ${String(placement)}`);
    }
    checkFunction(`run of ${name}`, run);
    checkCallback(`onReload of ${name}`, onReload);
    const firstMs = checkNumber('restartDelayMs', restartDelayMs ?? 100, { above: 0, max: 86_400_000 });
    const maxMs = checkNumber('maxRestartDelayMs', maxRestartDelayMs ?? Math.max(60_000, firstMs), { min: firstMs, max: 86_400_000 });
    this.name = name;
    this.placement = placement;
    this.#options = options;
    this.#delays = { firstMs, maxMs };
  }

  listeners(): readonly ListenAddress[] {
    return [];
  }

  async check(config: C): Promise<void> {
    await this.#options.check?.(config);
  }

  async onStartupDelay(waitedMs: number): Promise<void> {
    await this.#options.onStartupDelay?.(waitedMs);
  }

  async start(context: ServiceContext<C>): Promise<RunningService<C>> {
    const running = new Running(this.#options, this.#delays, context);
    await running.untilReady();
    return running;
  }
}

interface Delays {
  readonly firstMs: number;
  readonly maxMs: number;
}

const noConnections: ServiceCounts = Object.freeze({ connections: 0, accepted: 0, shed: 0 });

class Running<C> implements RunningService<C> {
  readonly counts = noConnections;
  readonly #options: BackgroundServiceOptions<C>;
  readonly #context: ServiceContext<C>;
  readonly #delays: Delays;
  readonly #ready = Promise.withResolvers<void>();
  readonly #deadline: DrainDeadline;
  #delayMs: number;
  #isOver = false;
  /** Ends the wait before the next run. */
  #wake: (() => void) | null = null;

  constructor(options: BackgroundServiceOptions<C>, delays: Delays, context: ServiceContext<C>) {
    this.#options = options;
    this.#delays = delays;
    this.#context = context;
    this.#delayMs = delays.firstMs;
    this.#deadline = new DrainDeadline(context.environment);
    if (options.run.length < 2) this.#ready.resolve();
    void this.#runAll();
  }

  async untilReady(): Promise<void> {
    await this.#ready.promise;
  }

  prepare(next: Snapshot<C>): { commit(): void; discard(): void } {
    return { commit: () => void this.#tellReload(next), discard: () => undefined };
  }

  /** The signal `stopping` has been given to it before; here it is waited for. */
  async drain(graceMs: number): Promise<number> {
    this.#deadline.hasten(graceMs);
    this.#wake?.();
    const isOver = await this.#deadline.until(() => this.#isOver);
    if (!isOver) this.#context.notify({ severity: 'warning', text: 'it did not end when asked to, and is left behind' });
    this.#isOver = true;
    return 0;
  }

  async close(): Promise<void> {
    this.#deadline.hasten(0);
    this.#wake?.();
    // Those who wait see it at once.
    this.#isOver = true;
  }

  async #tellReload(next: Snapshot<C>): Promise<void> {
    try {
      await this.#options.onReload?.(next, this.#context);
    } catch (thrown) {
      this.#context.notify({ severity: 'error', text: `onReload failed: ${describeThrown(thrown)}` });
    }
  }

  async #runAll(): Promise<void> {
    const { stopping, environment } = this.#context;
    while (!stopping.aborted) {
      const startedAt = environment.now();
      try {
        await this.#runOnce();
        break;
      } catch (thrown) {
        if (stopping.aborted || this.#isOver) break;
        if (environment.now() - startedAt >= this.#delays.maxMs) this.#delayMs = this.#delays.firstMs;
        const text = `it failed, and is started again in ${this.#delayMs} ms: ${describeThrown(thrown)}`;
        this.#context.notify({ severity: 'error', text });
        await this.#wait();
      }
    }
    this.#isOver = true;
    this.#ready.resolve();
  }

  async #runOnce(): Promise<void> {
    const answer: unknown = this.#options.run(this.#context, () => this.#ready.resolve());
    if (isThenable(answer)) await answer;
  }

  async #wait(): Promise<void> {
    const { stopping, environment } = this.#context;
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(2 * delayMs, this.#delays.maxMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    const deadline = environment.deadlines.after(delayMs, resolve);
    const wake = (): void => resolve();
    this.#wake = wake;
    stopping.addEventListener('abort', wake, { once: true });
    await promise;
    stopping.removeEventListener('abort', wake);
    this.#wake = null;
    deadline.cancel();
  }
}
