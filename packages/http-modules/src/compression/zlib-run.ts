/**
 * One stream of `node:zlib`, driven a write at a time: each write is a promise of what came out by it.
 *
 * Rules of this file:
 * - One write at a time. Whoever waits for it holds the body meanwhile, and that is the back-pressure.
 * - A promise is settled by whichever comes first: the write's callback, the stream's end, its error, its closing. Node leaves out the callback after
 *   an error, and gives it after the end.
 * - `close` frees what the stream holds outside the heap, also while a write is in the thread pool. What is waited for is then null.
 */
import { concatBytes, EMPTY_BYTES } from '@ferrata/bytes';
import type { ModulePiece } from '../http-module.ts';
import type { ZlibStream } from './content-coding.ts';

/** A stream of zlib and what has come out of it. */
export class ZlibRun {
  readonly #stream: ZlibStream;
  #pieces: Uint8Array[];
  #resolve: ((piece: ModulePiece) => void) | null = null;
  #reject: ((error: Error) => void) | null = null;
  #error: Error | null = null;

  /**
   * @param prefix comes out before anything else
   * @param checkOutput is called with each piece that comes out; what it throws ends the stream
   */
  constructor(stream: ZlibStream, prefix: Uint8Array | null, checkOutput?: (bytes: number) => void) {
    this.#stream = stream;
    this.#pieces = prefix === null ? [] : [prefix];
    stream.on('data', (piece: Uint8Array) => {
      this.#pieces.push(piece);
      try {
        checkOutput?.(piece.length);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
    stream.on('end', () => this.#settle());
    stream.on('error', (error: Error) => this.#fail(error));
    stream.on('close', () => this.#settle());
  }

  /** Bytes of the input that the coder has taken: less than were written if it has come to an end of its own. */
  get bytesTaken(): number {
    return this.#stream.bytesWritten;
  }

  /** @returns what has come out when the input is used up */
  write(chunk: Uint8Array): Promise<ModulePiece> {
    const written = this.#wait();
    if (this.#resolve !== null) this.#stream.write(chunk, () => this.#settle());
    return written;
  }

  /** @param last what may still be put in @returns the rest */
  end(last: Uint8Array = EMPTY_BYTES): Promise<ModulePiece> {
    const ended = this.#wait();
    if (this.#resolve === null) return ended;
    if (last.length === 0) this.#stream.end();
    else this.#stream.end(last);
    return ended;
  }

  close(): void {
    this.#pieces = [];
    this.#stream.destroy();
  }

  #wait(): Promise<ModulePiece> {
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#stream.destroyed) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  #settle(): void {
    const resolve = this.#resolve;
    if (resolve === null || this.#stream.errored !== null) return;
    this.#forgetWaiter();
    const pieces = this.#pieces;
    this.#pieces = [];
    resolve(pieces.length === 0 ? null : concatBytes(pieces));
  }

  #fail(error: Error): void {
    this.#error = error;
    this.#pieces = [];
    const reject = this.#reject;
    this.#forgetWaiter();
    reject?.(error);
  }

  #forgetWaiter(): void {
    this.#resolve = null;
    this.#reject = null;
  }
}
