/**
 * A stream as the `Duplex` below a TLS socket.
 *
 * Other than `toDuplex`, it knows how TLS goes: a TLS socket that has sent and received `close_notify` (RFC 8446 §6.1) destroys what is below it at once, whether or not that has
 * ended, too. Below is not cut then: our end is on its way, and the peer's is waited for, for a while and without taking any more data.
 *
 * ```
 *   flowing ── destroyed, our end was sent ──► lingering ── peer's end ──► closed
 *      └────── destroyed before ──► aborted        └── data, or no end in time ──► aborted
 * ```
 */
import { Duplex } from 'node:stream';
import { systemClock, type Wakeup } from '@ferrata/clock';
import { toWireError, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from '@ferrata/stream';

/** A peer that has said goodbye and keeps its connection open is not waited for any longer. */
const lingerMs = 5_000;

type Done = (error?: Error | null) => void;

/** See the file's comment. Attaches to the stream at once. */
export class CarrierDuplex extends Duplex implements L4Sink {
  readonly #stream: L4Stream;
  /** The callback of the write that found the stream full. */
  #writeDone: Done | null = null;
  #hasPeerEnded = false;
  #isClosed = false;
  #isLingering = false;
  #wakeup: Wakeup | null = null;

  constructor(stream: L4Stream, head: Uint8Array | undefined) {
    // The TLS socket on top destroys this when it closes. By itself this would be destroyed as soon as both sides had ended, and take along what the TLS socket has
    // received and not been asked for yet.
    super({ allowHalfOpen: true, decodeStrings: true, autoDestroy: false });
    this.#stream = stream;
    stream.attach(this, head);
  }

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
    if (!this.#isClosed) {
      if (error === null && this.writableFinished) this.#linger();
      else this.#stream.abort(error === null ? undefined : toWireError(error, 'DUPLEX_DESTROYED'));
    }
    done(error);
  }

  onData(chunk: Uint8Array): void {
    // After its `close_notify`, or after ours and an abort: nobody reads this.
    if (this.#isLingering) this.#stream.abort();
    else if (!this.destroyed && !this.push(chunk)) this.#stream.pause();
  }

  onDrain(): void {
    this.#finishWrite(null);
  }

  onEnd(): void {
    this.#hasPeerEnded = true;
    if (!this.destroyed) this.push(null);
  }

  onClose(error: WireError | null): void {
    this.#isClosed = true;
    this.#wakeup?.cancel();
    this.#finishWrite(error);
    // Closed in order: what is still buffered here is to be read first, and the TLS socket destroys this after that.
    if (error === null && this.#hasPeerEnded && this.writableEnded) return;
    this.destroy(error ?? undefined);
  }

  #linger(): void {
    this.#isLingering = true;
    if (this.#hasPeerEnded) return;
    this.#wakeup = systemClock.schedule(lingerMs, () => this.#stream.abort());
    // It may have been paused as nobody read.
    this.#stream.resume();
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
