/** One worker thread, from its birth to its end: Node's `Worker` as the pool sees it, so that a test can put another thing in its place. */
import type { Readable } from 'node:stream';
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { describeThrown } from '../describe-thrown.ts';
import type { ResolvedWorkerOptions } from '../server-options.ts';
import { isWorkerMessage } from './worker-message-check.ts';
import type { SupervisorMessage, WorkerMessage, WorkerSeed } from './worker-messages.ts';

/** A thread that has been started. */
export interface WorkerThread {
  /** Node's number of it. */
  readonly threadId: number;
  post(message: SupervisorMessage): void;
  /** Ends it, whatever it is doing; `onEnd` follows. */
  terminate(): void;
}

/** What a thread tells. */
export interface WorkerThreadSink {
  onMessage(message: WorkerMessage): void;
  /** It is gone: once, last. `why` is half a sentence: `it threw: …`. */
  onEnd(why: string): void;
}

/** Starts a thread with what it is born with. Never throws: a thread that cannot start ends. */
export type StartThread = (seed: WorkerSeed, sink: WorkerThreadSink) => WorkerThread;

/** Starts threads that run the program's own module. */
export class ProgramThreads {
  readonly #moduleUrl: URL;
  readonly #serverName: string;
  readonly #resourceLimits: ResourceLimits;
  /** Standard output and error of threads, ended or not: what they wrote goes through this thread, and may come after their end. */
  readonly #outputs = new Set<Readable>();
  #onOutputEnd: (() => void) | null = null;
  #liveCount = 0;

  constructor(moduleUrl: string, serverName: string, options: ResolvedWorkerOptions) {
    this.#moduleUrl = new URL(moduleUrl);
    this.#serverName = serverName;
    this.#resourceLimits = {
      maxYoungGenerationSizeMb: options.maxYoungGenerationMb,
      ...(options.maxOldGenerationMb === null ? null : { maxOldGenerationSizeMb: options.maxOldGenerationMb }),
    };
  }

  /** Threads that have not ended. */
  get liveCount(): number {
    return this.#liveCount;
  }

  readonly start: StartThread = (seed, sink) => {
    let worker: Worker;
    try {
      worker = new Worker(this.#moduleUrl, {
        workerData: { ferrataService: seed },
        name: `${this.#serverName} ${seed.worker}`,
        argv: process.argv.slice(2),
        resourceLimits: this.#resourceLimits,
      });
    } catch (thrown) {
      queueMicrotask(() => sink.onEnd(`it could not be started: ${describeThrown(thrown)}`));
      return { threadId: -1, post: () => {}, terminate: () => {} };
    }
    this.#liveCount += 1;
    let end: string | null = null;
    // After the end Node says -1.
    const { threadId } = worker;
    worker.on('message', (message: unknown) => {
      if (isWorkerMessage(message)) sink.onMessage(message);
    });
    worker.on('error', (thrown: unknown) => {
      end ??= describeThrown(thrown);
    });
    worker.on('exit', (code) => {
      this.#liveCount -= 1;
      sink.onEnd(end ?? `it ended with exit code ${code}`);
    });
    this.#watchOutput(worker.stdout);
    this.#watchOutput(worker.stderr);
    return { threadId, post: (message) => worker.postMessage(message), terminate: () => void worker.terminate() };
  };

  /** Resolves when all that the threads have written is handed to this process's own output; call it when they have ended. */
  async outputEnd(): Promise<void> {
    if (this.#outputs.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onOutputEnd = resolve;
    });
  }

  #watchOutput(output: Readable): void {
    this.#outputs.add(output);
    output.once('close', () => {
      this.#outputs.delete(output);
      if (this.#outputs.size === 0) this.#onOutputEnd?.();
    });
  }
}
