/**
 * A connected socket that goes on reading when writing has failed.
 *
 * A server may answer early and close (413 to a large upload). Its kernel then resets the connection because of the bytes that nobody read, our
 * next write fails, and Node destroys the socket with the answer still unread. This one remembers the failure, drops what is written from then
 * on, and reads to the end: data first, then the end or the reset, which is then told as the failure that it is.
 */
import { Socket } from 'node:net';

type WriteCallback = (error?: Error | null) => void;

/** See the file's comment. */
export class ReadingSocket extends Socket {
  #writeError: Error | null = null;

  /** Why writing stopped, if it did. */
  get writeError(): Error | null {
    return this.#writeError;
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: WriteCallback): void {
    if (this.#writeError !== null) callback();
    else super._write(chunk, encoding, this.#remembering(callback));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], callback: WriteCallback): void {
    if (this.#writeError !== null) callback();
    else super._writev?.(chunks, this.#remembering(callback));
  }

  #remembering(callback: WriteCallback): WriteCallback {
    return (error) => {
      // After the peer's end there is nothing left to read, and a failure is a failure.
      const goesOn = error instanceof Error && !this.readableEnded && !this.destroyed;
      if (goesOn) this.#writeError = error;
      callback(goesOn ? null : error);
    };
  }
}
