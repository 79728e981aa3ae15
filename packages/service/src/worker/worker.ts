/**
 * A worker thread: runs the services that the main thread names, and ends when it says so.
 *
 * - It beats as long as its event loop turns.
 * - An exception that nobody caught ends the thread, and another takes its place (`uncaught: 'replace'`): Node tells the main thread what it was. Not so
 *   with `report`, nor while the thread drains: nobody would take its place, and its connections may still end in order.
 */

import { getHeapStatistics } from 'node:v8';
import type { MessagePort } from 'node:worker_threads';
import { textOf, unreachable } from '@ferrata/error';
import { describeThrown } from '../describe-thrown.ts';
import type { ServerPlan } from '../server-plan.ts';
import type { MemoryPressure, Service, ServiceSocket } from '../service.ts';
import { FailureNotices } from '../services/failure-notices.ts';
import { deepFreeze } from '../supervisor/freeze.ts';
import { startBeating } from '../supervisor/heartbeats.ts';
import type { SupervisorMessage, WorkerMessage, WorkerSeed } from '../supervisor/worker-messages.ts';
import { MemoryGuard } from './memory-guard.ts';
import { ServiceHost } from './service-host.ts';

/** What keeps a thread alive after its services have closed (a timer of the user's, say) has so long. */
const END_MS = 500;

/** Runs the services of a thread until the main thread closes it. Never rejects. */
export async function runWorker(plan: ServerPlan, seed: WorkerSeed, port: MessagePort): Promise<void> {
  const stopBeating = startBeating(seed.heartbeats, seed.worker);
  const worker = new WorkerRole(plan, seed, port);
  await worker.run();
  stopBeating();
  // Only comes to pass if something holds the thread.
  setTimeout(() => process.exit(0), END_MS).unref();
}

class WorkerRole {
  readonly #plan: ServerPlan;
  readonly #port: MessagePort;
  readonly #host: ServiceHost;
  readonly #worker: number;
  readonly #guard: MemoryGuard;
  readonly #doesReport: boolean;
  readonly #uncaught: FailureNotices;
  readonly #closed = Promise.withResolvers<void>();
  #drainCount = 0;
  #hasToldDrained = false;
  #isCatching = false;
  #isClosing = false;
  #pressure: MemoryPressure = 'none';

  constructor(plan: ServerPlan, seed: WorkerSeed, port: MessagePort) {
    this.#plan = plan;
    this.#port = port;
    this.#worker = seed.worker;
    deepFreeze(seed.snapshot);
    this.#host = new ServiceHost({
      services: plan.services.filter(runsInWorkers),
      snapshot: seed.snapshot,
      worker: seed.worker,
      threads: seed.threads,
      sockets: seed.sockets,
      notify: (notice) => this.#post({ kind: 'notice', notice }),
    });
    this.#doesReport = seed.uncaught === 'report';
    this.#uncaught = new FailureNotices(
      {
        environment: this.#host.environment,
        notify: (notice) => this.#post({ kind: 'notice', notice: { ...notice, worker: seed.worker } }),
      },
      'an exception that nobody caught; the worker goes on',
    );
    this.#guard = new MemoryGuard({ onPressure: (pressure, share) => this.#onPressure(pressure, share) });
    plan.phases.set(seed.phase);
  }

  async run(): Promise<void> {
    if (this.#doesReport) this.#catchAll();
    this.#guard.start();
    this.#port.on('message', (message: SupervisorMessage) => this.#handle(message));
    this.#post({ kind: 'up', services: this.#plan.services.map(({ name }) => name) });
    await this.#closed.promise;
  }

  #handle(message: SupervisorMessage): void {
    switch (message.kind) {
      case 'startService':
        void this.#start(message.name, message.waitedMs, message.sockets);
        return;
      case 'prepare':
        void this.#prepare(message);
        return;
      case 'commit':
        this.#host.commit(message.version);
        this.#post({ kind: 'committed', version: message.version });
        return;
      case 'discard':
        this.#host.discard(message.version);
        return;
      case 'counts':
        this.#post({ kind: 'counts', id: message.id, counts: this.#host.counts(), heapUsedBytes: getHeapStatistics().used_heap_size });
        return;
      case 'phase':
        this.#plan.phases.set(message.phase);
        return;
      case 'drain':
        void this.#drain(message.graceMs);
        return;
      case 'close':
        void this.#close();
        return;
      default:
        unreachable(message);
    }
  }

  async #start(name: string, waitedMs: number, sockets: readonly ServiceSocket[] | null): Promise<void> {
    try {
      await this.#host.start(name, waitedMs, sockets);
      this.#post({ kind: 'started', name });
    } catch (thrown) {
      this.#post({ kind: 'startFailed', name, why: describeThrown(thrown) });
    }
  }

  async #prepare({ snapshot }: Extract<SupervisorMessage, { kind: 'prepare' }>): Promise<void> {
    const { version } = snapshot;
    try {
      await this.#host.prepare(deepFreeze(snapshot));
      this.#post({ kind: 'prepared', version, why: null });
    } catch (thrown) {
      this.#post({ kind: 'prepared', version, why: textOf(thrown) || 'it was refused without a word' });
    }
  }

  /** One answer, when the last of the calls is done. */
  async #drain(graceMs: number): Promise<void> {
    this.#catchAll();
    this.#drainCount++;
    const cut = await this.#host.drain(graceMs);
    this.#drainCount--;
    if (this.#drainCount > 0 || this.#hasToldDrained) return;
    this.#hasToldDrained = true;
    this.#post({ kind: 'drained', cut });
  }

  async #close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#catchAll();
    this.#guard.close();
    await this.#host.close();
    this.#port.close();
    this.#closed.resolve();
  }

  #onPressure(pressure: MemoryPressure, share: number): void {
    // `last` comes again at each look, and is to be told once.
    if (pressure !== this.#pressure) {
      const percent = Math.round(share * 100);
      const text = pressure === 'none' ? `memory is no longer short: ${percent} %` : `memory is running out (${pressure}): ${percent} %`;
      this.#post({ kind: 'notice', notice: { severity: pressure === 'none' ? 'info' : 'warning', text, worker: this.#worker } });
    }
    this.#pressure = pressure;
    this.#host.onMemoryPressure(pressure);
  }

  #catchAll(): void {
    if (this.#isCatching) return;
    this.#isCatching = true;
    // Rejections that nobody handles come here, too.
    process.on('uncaughtException', (thrown: unknown) => this.#uncaught.add(thrown));
  }

  #post(message: WorkerMessage): void {
    this.#port.postMessage(message);
  }
}

function runsInWorkers({ placement }: Service<unknown>): boolean {
  return placement !== 'main';
}
