/**
 * Text for one of the process's own streams, which may be slow or gone.
 *
 * Node writes to a pipe without waiting: a reader that has stopped would make the process keep every line, and one that has gone would end it
 * with an uncaught EPIPE. Neither may touch the traffic.
 */
import type { Writable } from 'node:stream';
import type { LineSink } from './access-log.ts';

/** Options of an `Output`. */
export interface OutputOptions {
  /** Bytes that wait for a slow reader before `hasRoom` is false. Default 4 194 304; this much memory a stopped reader can hold. */
  readonly maxBacklogBytes?: number;
  /** Called once when the stream has failed and nothing more will be written. Default: nothing. */
  readonly onGone?: (error: Error) => void;
}

/** A stream that never throws, never ends the process, and says when it is full. */
export class Output implements LineSink {
  readonly #stream: Writable;
  readonly #maxBacklogBytes: number;
  #isGone = false;

  /** Listens to the stream's errors from now on. */
  constructor(stream: Writable, options: OutputOptions = {}) {
    this.#stream = stream;
    this.#maxBacklogBytes = options.maxBacklogBytes ?? 4_194_304;
    stream.on('error', (error: Error) => {
      if (this.#isGone) return;
      this.#isGone = true;
      options.onGone?.(error);
    });
  }

  /** A write now would be handed over soon. */
  get hasRoom(): boolean {
    return !this.#isGone && this.#stream.writableLength < this.#maxBacklogBytes;
  }

  /** Writes, whether there is room or not; nothing at all once the stream has failed. */
  write(text: string): void {
    if (!this.#isGone) this.#stream.write(text);
  }

  /** Waits until everything is handed over, but not longer than `withinMs`: `process.exit` would throw away what a pipe has not taken. */
  async flush(withinMs: number): Promise<void> {
    if (this.#isGone || this.#stream.writableLength === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, withinMs);
    this.#stream.write('', () => resolve());
    await promise;
    clearTimeout(timer);
  }
}
