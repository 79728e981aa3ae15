/** An L4 stream as a pair of web streams. Convenient, and the slowest of the bindings: about 0.2 µs a chunk and direction. */
import { ioError, toWireError, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from '@ferrata/stream';

/** The two halves of a stream in the form of the web's standard. */
export interface WebStreams {
  /** Plain chunks, not a byte stream: a byte stream detaches the buffers given to it, and a chunk may share its buffer with others. */
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * Makes a pair of web streams of a stream, and attaches to it.
 *
 * `writable.close()` ends our side; `writable.abort()` and `readable.cancel()` abort the whole stream, since one direction of a connection
 * cannot be dropped alone. A chunk written must not be changed afterwards.
 *
 * @param highWaterBytes bytes kept for the reader before the stream is paused; default 65 536
 */
export function toWeb(stream: L4Stream, head?: Uint8Array, highWaterBytes = 65_536): WebStreams {
  const sink = new WebSink(stream, highWaterBytes);
  stream.attach(sink, head);
  return { readable: sink.readable, writable: sink.writable };
}

class WebSink implements L4Sink {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #stream: L4Stream;
  #reading!: ReadableStreamDefaultController<Uint8Array>;
  #writing!: WritableStreamDefaultController;
  #hasEnded = false;
  #isClosed = false;
  #room: PromiseWithResolvers<void> | null = null;

  constructor(stream: L4Stream, highWaterBytes: number) {
    this.#stream = stream;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#reading = controller;
        },
        pull: () => {
          if (!this.#isClosed) stream.resume();
        },
        cancel: (reason) => this.#abort(reason),
      },
      { highWaterMark: highWaterBytes, size: (chunk) => chunk.byteLength },
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
      },
      write: (chunk) => this.#write(chunk),
      close: () => stream.end(),
      abort: (reason) => this.#abort(reason),
    });
  }

  onData(chunk: Uint8Array): void {
    this.#reading.enqueue(chunk);
    if ((this.#reading.desiredSize ?? 0) <= 0) this.#stream.pause();
  }

  onDrain(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#reading.close();
  }

  onClose(error: WireError | null): void {
    this.#isClosed = true;
    this.onDrain();
    // Closed without an error, yet before the end: an abort from elsewhere. A reader must not wait for ever, nor take it for an end.
    const failure = error ?? (this.#hasEnded ? null : ioError('CONNECTION_CLOSED_EARLY', 'the stream was aborted'));
    if (failure === null) return;
    if (!this.#hasEnded) this.#reading.error(failure);
    this.#writing.error(failure);
  }

  #write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#stream.write(chunk) || this.#isClosed) return undefined;
    this.#room = Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Both halves learn of it at once; the stream's `onClose` then finds them done. */
  #abort(reason: unknown): void {
    this.#hasEnded = true;
    this.#stream.abort(toWireError(reason ?? new Error('cancelled'), 'WEB_STREAM_CANCELLED'));
  }
}
