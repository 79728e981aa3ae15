/**
 * Lines for a file, written by the thread that makes them.
 *
 * A thread's standard output goes by messages to the main thread, which writes it; where a file is behind it, that costs several times what the write does. A file on a
 * disk is written into memory, and threads share its position, so that what one call writes stands in one piece: each thread may do it by itself. It waits as long as the write
 * does, which is long where the file is on a network, or memory is full of what is to be written.
 */
import { fstatSync, writeSync } from 'node:fs';
import type { LineSink } from './access-log.ts';
import { Output } from './output.ts';

/** A file that could not be written (the disk is full) is tried again after so long. */
const RETRY_MS = 1_000;

/** What a `FileLines` needs. */
export interface FileLinesOptions {
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Told once when writing fails, and again when it has failed anew after it had gone on. */
  readonly onFailed: (error: Error) => void;
  /** Default: `fs.writeSync`. @returns how many bytes were written */
  readonly write?: (descriptor: number, bytes: Uint8Array) => number;
}

/**
 * A file that never throws, and says when it cannot be written. What was half written when it failed is completed first: a line is torn only where another
 * thread has written in between, once the disk had room again.
 */
export class FileLines implements LineSink {
  readonly #descriptor: number;
  readonly #options: FileLinesOptions;
  #rest: Uint8Array = new Uint8Array(0);
  #retryAt = Number.NEGATIVE_INFINITY;
  #hasFailed = false;

  constructor(descriptor: number, options: FileLinesOptions) {
    this.#descriptor = descriptor;
    this.#options = options;
  }

  /** False: the file cannot be written, and is looked at again a second after it was last tried. */
  get hasRoom(): boolean {
    if (this.#rest.length > 0 && this.#options.now() >= this.#retryAt) this.#writeRest();
    return this.#rest.length === 0;
  }

  /** Writes, whether there is room or not: what cannot be written waits. */
  write(text: string): void {
    const bytes = Buffer.from(text);
    const isWaiting = this.#rest.length > 0;
    this.#rest = isWaiting ? Buffer.concat([this.#rest, bytes]) : bytes;
    if (!isWaiting) this.#writeRest();
  }

  /** Tries once more what waits. */
  async flush(): Promise<void> {
    if (this.#rest.length > 0) this.#writeRest();
  }

  #writeRest(): void {
    const { now, onFailed, write = writeSync } = this.#options;
    try {
      while (this.#rest.length > 0) {
        const count = write(this.#descriptor, this.#rest);
        if (count === 0) throw new Error('the file takes nothing');
        this.#rest = this.#rest.subarray(count);
      }
      this.#hasFailed = false;
    } catch (error) {
      this.#retryAt = now() + RETRY_MS;
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      onFailed(error as Error);
    }
  }
}

/** Where the lines of a thread go whose standard output is `descriptor`. */
export function lineOutput(descriptor: number, options: FileLinesOptions): FileLines | Output {
  return isFile(descriptor) ? new FileLines(descriptor, options) : new Output(process.stdout);
}

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}
