/**
 * The place of one worker: a number, and the thread that holds it at the time.
 *
 * ```
 *            ┌──────────── delay over, and descriptors to be had ───────────┐
 *            ▼                                                              │
 *  idle ─► starting ── up, and all its services started ─► running          │
 *            └───────────── died ◄───────────────────────────┘ ─► waiting ──┘
 *                             └── while the server ends ─► ended
 * ```
 * A slot knows one thread at most. What it is to do with a death, its pool decides.
 */
import type { Wakeup } from '@ferrata/clock';
import type { ServiceCounts, ServiceSocket } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import type { StartSequence } from './start-sequence.ts';
import type { SupervisorMessage, WorkerMessage, WorkerSeed } from './worker-messages.ts';
import type { StartThread, WorkerThread } from './worker-thread.ts';

/** What a slot is in the middle of. */
export type WorkerState = 'idle' | 'starting' | 'running' | 'waiting' | 'ended';

/** What a slot tells its pool. */
export interface WorkerSlotSink {
  onMessage(slot: WorkerSlot, message: WorkerMessage): void;
  /** The slot has no thread any more. `isGone` false: it was given up on, and may still hold what it has. */
  onEnd(slot: WorkerSlot, why: string, isGone: boolean): void;
}

/** How long a thread that was terminated may take to end: one that hangs in the kernel does not even hear of it. */
export const TERMINATE_LIMIT_MS = 10_000;

/** One worker by its number, through all its threads. */
export class WorkerSlot {
  /** 1 and up. */
  readonly number: number;
  state: WorkerState = 'idle';
  /** Threads that have taken the place of another one. */
  restarts = 0;
  /** The last thread that has ended had come to serve. */
  hadServed = false;
  /** The thread has said that its module came to `run`. */
  isUp = false;
  /** Services that were asked to start in this thread: from then on it may listen on their descriptors. */
  readonly asked = new Set<string>();
  readonly started = new Set<string>();
  /** The order in which a replacement starts its services. */
  sequence: StartSequence | null = null;
  /** Waits for the next thread, or for the one that is there to be ready. */
  wakeup: Wakeup | null = null;
  /** As last told. */
  counts: Readonly<Record<string, ServiceCounts>> = {};
  heapUsedBytes = 0;
  /** What the thread was given, by the name of the service: at its birth, and when it was elected. */
  readonly sockets = new Map<string, readonly ServiceSocket[]>();
  readonly #sink: WorkerSlotSink;
  #thread: WorkerThread | null = null;
  /** Counts threads, so that one that was given up on is not heard any more. */
  #incarnation = 0;
  #killedBecause: string | null = null;
  /** Waits for a thread that was terminated to end. */
  #giveUp: Wakeup | null = null;
  #preparing: { readonly version: number; readonly resolve: (why: string | null) => void } | null = null;
  #committing: { readonly version: number; readonly resolve: () => void } | null = null;

  constructor(number: number, sink: WorkerSlotSink) {
    this.number = number;
    this.#sink = sink;
  }

  /** A thread is there, or on its way. */
  get isAlive(): boolean {
    return this.#thread !== null;
  }

  /** Node's number of the thread; -1 without one. */
  get threadId(): number {
    return this.#thread?.threadId ?? -1;
  }

  /** Changes with each thread. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Starts a thread. */
  start(startThread: StartThread, seed: WorkerSeed): void {
    const incarnation = ++this.#incarnation;
    this.state = 'starting';
    this.sockets.clear();
    for (const [name, sockets] of Object.entries(seed.sockets)) this.sockets.set(name, sockets);
    this.asked.clear();
    this.started.clear();
    this.#killedBecause = null;
    this.#thread = startThread(seed, {
      onMessage: (message) => {
        if (incarnation === this.#incarnation && this.#thread !== null) this.#handleMessage(message);
      },
      onEnd: (why) => {
        if (incarnation === this.#incarnation && this.#thread !== null) this.#handleEnd(this.#killedBecause ?? why, true);
      },
    });
  }

  post(message: SupervisorMessage): void {
    this.#thread?.post(message);
  }

  /** Ends the thread, whatever it is doing; `onEnd` follows, with this reason. */
  kill(why: string, schedule: (delayMs: number, wake: () => void) => Wakeup): void {
    const thread = this.#thread;
    if (thread === null || this.#killedBecause !== null) return;
    this.#killedBecause = why;
    this.#giveUp = schedule(TERMINATE_LIMIT_MS, () => this.#handleEnd(`${why}; and the thread does not end`, false));
    thread.terminate();
  }

  /** See `ReloadParticipant`. */
  prepare(snapshot: Snapshot<unknown>): Promise<string | null> {
    this.#preparing?.resolve('another configuration has come');
    return new Promise((resolve) => {
      this.#preparing = { version: snapshot.version, resolve };
      if (this.#thread === null) this.#dropAnswers('it is gone');
      else this.post({ kind: 'prepare', snapshot });
    });
  }

  commit(version: number): Promise<void> {
    return new Promise((resolve) => {
      this.#committing = { version, resolve };
      if (this.#thread === null) this.#dropAnswers('it is gone');
      else this.post({ kind: 'commit', version });
    });
  }

  discard(version: number): void {
    this.#preparing = null;
    this.post({ kind: 'discard', version });
  }

  #handleMessage(message: WorkerMessage): void {
    switch (message.kind) {
      case 'prepared':
        if (this.#preparing?.version !== message.version) return;
        this.#preparing.resolve(message.why);
        this.#preparing = null;
        return;
      case 'committed':
        if (this.#committing?.version !== message.version) return;
        this.#committing.resolve();
        this.#committing = null;
        return;
      case 'counts':
        this.counts = message.counts;
        this.heapUsedBytes = message.heapUsedBytes;
        break;
      default:
        break;
    }
    this.#sink.onMessage(this, message);
  }

  #handleEnd(why: string, isGone: boolean): void {
    this.#thread = null;
    this.isUp = false;
    this.sequence = null;
    this.#giveUp?.cancel();
    this.#giveUp = null;
    this.wakeup?.cancel();
    this.wakeup = null;
    this.counts = {};
    this.heapUsedBytes = 0;
    this.hadServed = this.state === 'running';
    this.state = 'ended';
    this.#dropAnswers(`it died: ${why}`);
    this.#sink.onEnd(this, why, isGone);
  }

  #dropAnswers(why: string): void {
    this.#preparing?.resolve(why);
    this.#preparing = null;
    this.#committing?.resolve();
    this.#committing = null;
  }
}
