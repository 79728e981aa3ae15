/**
 * The well-behaved client beside an attack: asks for `/` every 60 ms, on a connection that it keeps and now and then on a new one, and tells
 * how long the slowest answer took. It runs in a thread of its own, so that a busy attacker does not look like a slow server.
 */
import { Worker } from 'node:worker_threads';

/** What was seen since the last time. */
export interface Probed {
  readonly count: number;
  /** The slowest answer, or the age of a request that has none yet. */
  readonly worstMs: number;
  /** What went wrong, first first. */
  readonly failures: readonly string[];
}

/** A probe that runs. */
export class Probe {
  readonly #worker: Worker;
  #hasEnded = false;

  /** @param protocol what it speaks */
  constructor(port: number, protocol: 'http1' | 'http2' = 'http2') {
    this.#worker = new Worker(new URL('probe-thread.ts', import.meta.url), { workerData: { port, protocol } });
    // A probe that cannot run must not pass for a server that serves: `take` then finds no thread to answer it.
    this.#worker.on('error', (error) => console.error(error));
    this.#worker.on('exit', () => {
      this.#hasEnded = true;
    });
  }

  /** Takes what was seen, and starts anew. */
  async take(): Promise<Probed> {
    return await new Promise((resolve) => {
      const ended = (): void => resolve({ count: 0, worstMs: Number.POSITIVE_INFINITY, failures: ['the probe has ended'] });
      if (this.#hasEnded) ended();
      this.#worker.once('exit', ended);
      this.#worker.once('message', (probed: Probed) => {
        this.#worker.off('exit', ended);
        resolve(probed);
      });
      this.#worker.postMessage('take');
    });
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
