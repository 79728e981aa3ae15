/** An L4 stream as one of Node's duplex streams, for libraries that want one. Costs about 40 ns a chunk and direction. */
import { Duplex } from 'node:stream';
import { toWireError, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from '@ferrata/stream';

/**
 * Makes a `Duplex` of a stream, and attaches to it.
 *
 * Half-close, back-pressure and errors pass both ways: the stream's end is the duplex's `end`, `end()` of the duplex ends the stream's side,
 * `destroy(error)` aborts it, an error of the stream destroys the duplex with that `WireError`. A chunk written must not be changed afterwards, not
 * even once its callback was called: the stream keeps it, it does not copy.
 */
export function toDuplex(stream: L4Stream, head?: Uint8Array): Duplex {
  return new StreamDuplex(stream, head);
}

type Done = (error?: Error | null) => void;

class StreamDuplex extends Duplex implements L4Sink {
  readonly #stream: L4Stream;
  /** The callback of the write that found the stream full. */
  #writeDone: Done | null = null;
  /** The callback of `destroy`, which waits for the stream to close. */
  #destroyDone: (() => void) | null = null;
  #hasEnded = false;
  #isClosed = false;

  constructor(stream: L4Stream, head: Uint8Array | undefined) {
    super({ allowHalfOpen: true, decodeStrings: true });
    this.#stream = stream;
    stream.attach(this, head);
  }

  // What Node asks for.

  override _read(): void {
    if (!this.#isClosed) this.#stream.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#sent(this.#stream.write(chunk), done);
  }

  override _writev(chunks: readonly { chunk: Uint8Array }[], done: Done): void {
    this.#sent(this.#stream.writev(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#isClosed) return done(error);
    this.#destroyDone = () => done(error);
    // `destroy()` is also how Node finishes a duplex whose both sides have ended; the stream then closes by itself, in order.
    const isOrderly = error === null && this.#hasEnded && this.writableFinished;
    if (!isOrderly) this.#stream.abort(error === null ? undefined : toWireError(error, 'DUPLEX_DESTROYED'));
  }

  // What the stream tells.

  onData(chunk: Uint8Array): void {
    if (!this.push(chunk)) this.#stream.pause();
  }

  onDrain(): void {
    this.#finishWrite(null);
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.push(null);
  }

  onClose(error: WireError | null): void {
    this.#isClosed = true;
    const destroyDone = this.#destroyDone;
    if (destroyDone !== null) return destroyDone();
    // Closed in order: what is still buffered here is to be read first, and Node destroys the duplex after that.
    if (error === null && this.#hasEnded && this.writableEnded) return this.#finishWrite(null);
    this.#finishWrite(error);
    this.destroy(error ?? undefined);
  }

  #sent(hasRoom: boolean, done: Done): void {
    if (hasRoom || this.#isClosed) done();
    else this.#writeDone = done;
  }

  #finishWrite(error: WireError | null): void {
    const done = this.#writeDone;
    this.#writeDone = null;
    done?.(error);
  }
}
