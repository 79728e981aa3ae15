/** An L4 stream as one of Node's duplex streams, for libraries that want one. Costs about 40 ns a chunk and direction. */
import type { Duplex } from 'node:stream';
import { toWireError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { type Done, DuplexOverStream } from './duplex-over-stream.ts';

/**
 * Makes a `Duplex` of a stream, and attaches to it.
 *
 * Half-close, back-pressure and errors pass both ways: the stream's end is the duplex's `end`, `end()` of the duplex ends the stream's side,
 * `destroy(error)` aborts it, an error of the stream destroys the duplex with that `WireError`. A chunk written must not be changed afterwards, not
 * even once its callback was called: the stream keeps it, it does not copy.
 */
export function toDuplex(stream: L4Stream, head?: Uint8Array): Duplex {
  return new StreamDuplex(stream, head, {});
}

class StreamDuplex extends DuplexOverStream {
  /** The callback of `destroy`, which waits for the stream to close. */
  #destroyDone: (() => void) | null = null;

  override _destroy(error: Error | null, done: Done): void {
    if (this.isStreamClosed) return done(error);
    this.#destroyDone = () => done(error);
    // `destroy()` is also how Node finishes a duplex whose both sides have ended; the stream then closes by itself, in order.
    const isOrderly = error === null && this.hasPeerEnded && this.writableFinished;
    if (!isOrderly) this.stream.abort(error === null ? undefined : toWireError(error, 'DUPLEX_DESTROYED'));
  }

  onData(chunk: Uint8Array): void {
    if (!this.push(chunk)) this.stream.pause();
  }

  onEnd(): void {
    this.hasPeerEnded = true;
    this.push(null);
  }

  protected override handleClose(error: WireError | null): void {
    if (this.#destroyDone !== null) this.#destroyDone();
    else if (!this.isInOrder(error)) this.destroy(error ?? undefined);
  }
}
