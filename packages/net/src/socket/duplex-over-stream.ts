/** What the duplexes that are made of an L4 stream have in common: reading, writing, ending, and the write that waits for room. */
import { Duplex, type DuplexOptions } from 'node:stream';
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from '@ferrata/stream';

/** Tells Node that it is done, or why not. */
export type Done = (error?: Error | null) => void;

/** Attaches to the stream at once. How it ends, each kind says for itself. */
export abstract class DuplexOverStream extends Duplex implements L4Sink {
  protected readonly stream: L4Stream;
  protected hasPeerEnded = false;
  protected isStreamClosed = false;
  /** The callback of the write that found the stream full. */
  #writeDone: Done | null = null;
  /** What the stream closed with. */
  #closeError: WireError | null = null;

  constructor(stream: L4Stream, head: Uint8Array | undefined, options: DuplexOptions) {
    super({ ...options, allowHalfOpen: true, decodeStrings: true });
    this.stream = stream;
    stream.attach(this, head);
  }

  // What Node asks for.

  override _read(): void {
    if (!this.isStreamClosed) this.stream.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#sent(this.stream.write(chunk), done);
  }

  override _writev(chunks: readonly { chunk: Uint8Array }[], done: Done): void {
    this.#sent(this.stream.writev(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.stream.end();
    done();
  }

  // What the stream tells.

  abstract onData(chunk: Uint8Array): void;
  abstract onEnd(): void;

  onDrain(): void {
    this.#finishWrite(null);
  }

  onClose(error: WireError | null): void {
    this.isStreamClosed = true;
    this.#closeError = error;
    this.handleClose(error);
    // After `handleClose`: an error of a write would be emitted as one of the duplex, unless it is destroyed already, and a bare abort is none.
    if (this.#writeDone !== null) this.#finishWrite(this.#dropped());
  }

  /** The stream has closed; a write may still wait for its callback. */
  protected abstract handleClose(error: WireError | null): void;

  /** Closed in order: what is still buffered here is to be read first, and then it is destroyed by whoever reads. */
  protected isInOrder(error: WireError | null): boolean {
    return error === null && this.hasPeerEnded && this.writableEnded;
  }

  #sent(hasRoom: boolean, done: Done): void {
    if (hasRoom) done();
    else if (this.isStreamClosed) done(this.#dropped());
    else this.#writeDone = done;
  }

  /** A stream that closes in order was ended before, which happens when all writes are done: so whatever waits for its callback then was lost. */
  #dropped(): Error {
    return this.#closeError ?? new Error('the stream closed before the write was done');
  }

  #finishWrite(error: Error | null): void {
    const done = this.#writeDone;
    this.#writeDone = null;
    done?.(error);
  }
}
