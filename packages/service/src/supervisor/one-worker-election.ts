/**
 * Services that run in one of the workers: which one, and in which one when that dies.
 *
 * ```
 *  nobody ──the live worker with the lowest number──► elected ──it dies──► nobody
 * ```
 * All such services run in the same worker. It stays elected as long as it lives, also when one with a lower number comes back.
 */
import type { Clock, Wakeup } from '@ferrata/clock';
import { BackOff } from '../back-off.ts';
import type { Notice, ServiceSocket } from '../service.ts';
import { StartSequence } from './start-sequence.ts';
import type { WorkerSlot } from './worker-slot.ts';

/** What an election needs of the pool that it is held in. */
export interface ElectionOptions {
  readonly clock: Clock;
  /** The services with `oneWorker`. */
  readonly names: readonly string[];
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  readonly restartDelayMs: number;
  readonly maxRestartDelayMs: number;
  /** For one start of a service, when another worker has died; the first one of all has the time that the whole server has. */
  readonly startLimitMs: number;
  /** The worker to elect; null: none lives. */
  readonly candidate: () => WorkerSlot | null;
  /** Descriptors for one start of a service; null: none are left. */
  readonly takeSockets: (name: string) => readonly ServiceSocket[] | null;
  /** Ends a worker in which a service neither starts nor fails to. */
  readonly giveUp: (slot: WorkerSlot, why: string) => void;
  readonly notify: (notice: Notice) => void;
}

/** Starts the services of one worker, wherever that is. */
export class OneWorkerElection {
  readonly #options: ElectionOptions;
  readonly #names: ReadonlySet<string>;
  readonly #backOffs = new Map<string, BackOff>();
  /** By the name of a service: when it is tried again, or when its start has taken too long. */
  readonly #wakeups = new Map<string, Wakeup>();
  /** Services that the elected worker was asked to start, and has not yet answered for. */
  readonly #starting = new Set<string>();
  #elected: WorkerSlot | null = null;
  #sequence: StartSequence | null = null;

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#names = new Set(options.names);
  }

  /** The number of the elected worker; 0: none. */
  get elected(): number {
    return this.#elected?.number ?? 0;
  }

  /** No service is being started; some may wait until they are tried again. */
  get isSettled(): boolean {
    return this.#starting.size === 0;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** The first start, by the order of all services of the server. @returns false if no worker lives, or none is left a descriptor */
  begin(name: string, waitedMs: number): boolean {
    this.#elected ??= this.#options.candidate();
    return this.#elected !== null && this.#post(this.#elected, name, waitedMs);
  }

  /** Elects a worker if none is, and starts the services there. */
  elect(): void {
    if (this.#elected !== null || this.#names.size === 0) return;
    const elected = this.#options.candidate();
    if (elected === null) return;
    this.#elected = elected;
    this.#sequence = new StartSequence(this.#options.names, this.#options.dependencies, this.#options.clock, (name, waitedMs) =>
      this.#try(elected, name, waitedMs),
    );
    this.#sequence.start();
  }

  handleStarted(name: string): void {
    this.#disarm(name);
    this.#starting.delete(name);
    this.#sequence?.handleReady(name);
  }

  /** A service did not start in the elected worker, whose others run on: it is tried again. */
  handleFailed(slot: WorkerSlot, name: string, why: string): void {
    this.#starting.delete(name);
    if (slot === this.#elected) this.#retry(slot, name, why);
  }

  /** A worker is gone: if it was the elected one, nobody is. */
  handleEnd(slot: WorkerSlot): void {
    if (slot !== this.#elected) return;
    this.#elected = null;
    this.#sequence = null;
    this.#starting.clear();
    this.close();
  }

  /** Tries nothing again. */
  close(): void {
    for (const wakeup of this.#wakeups.values()) wakeup.cancel();
    this.#wakeups.clear();
  }

  #try(slot: WorkerSlot, name: string, waitedMs: number): void {
    if (!this.#post(slot, name, waitedMs)) return this.#retry(slot, name, 'no descriptor is left for it');
    const { clock, startLimitMs, giveUp } = this.#options;
    this.#disarm(name);
    const late = clock.schedule(startLimitMs, () => giveUp(slot, `service ${name} was not ready within ${startLimitMs} ms`));
    this.#wakeups.set(name, late);
  }

  #disarm(name: string): void {
    this.#wakeups.get(name)?.cancel();
    this.#wakeups.delete(name);
  }

  #post(slot: WorkerSlot, name: string, waitedMs: number): boolean {
    const sockets = this.#options.takeSockets(name);
    if (sockets === null) return false;
    slot.asked.add(name);
    this.#starting.add(name);
    // Of a start that has failed there may be some, too.
    slot.sockets.set(name, [...(slot.sockets.get(name) ?? []), ...sockets]);
    slot.post({ kind: 'startService', name, waitedMs, sockets });
    return true;
  }

  #retry(slot: WorkerSlot, name: string, why: string): void {
    const { clock, restartDelayMs: firstMs, maxRestartDelayMs: maxMs, notify } = this.#options;
    const backOff = this.#backOffs.get(name) ?? new BackOff({ firstMs, maxMs, clock });
    this.#backOffs.set(name, backOff);
    const delayMs = backOff.nextDelayMs();
    const text = `service ${name} did not start in worker ${slot.number}: ${why}; tried again in ${delayMs} ms`;
    notify({ severity: 'error', text, service: name, worker: slot.number });
    this.#disarm(name);
    this.#wakeups.set(
      name,
      clock.schedule(delayMs, () => this.#try(slot, name, 0)),
    );
  }
}
