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
import { type Clock, systemClock, type Wakeup } from '@ferrata/clock';
import { toWireError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { type Done, DuplexOverStream } from '../socket/duplex-over-stream.ts';

/** A peer that has said goodbye and keeps its connection open is not waited for any longer. */
const lingerMs = 5_000;

/** See the file's comment. */
export class CarrierDuplex extends DuplexOverStream {
  readonly #clock: Clock;
  #isLingering = false;
  #wakeup: Wakeup | null = null;

  constructor(stream: L4Stream, head: Uint8Array | undefined, clock: Clock = systemClock) {
    // The TLS socket on top destroys this when it closes. By itself this would be destroyed as soon as both sides had ended, and take along what the TLS socket has
    // received and not been asked for yet.
    super(stream, head, { autoDestroy: false });
    this.#clock = clock;
  }

  override _destroy(error: Error | null, done: Done): void {
    if (!this.isStreamClosed) {
      if (error === null && this.writableFinished) this.#linger();
      else this.stream.abort(error === null ? undefined : toWireError(error, 'DUPLEX_DESTROYED'));
    }
    done(error);
  }

  onData(chunk: Uint8Array): void {
    // After its `close_notify`, or after ours and an abort: nobody reads this.
    if (this.#isLingering) this.stream.abort();
    else if (!this.destroyed && !this.push(chunk)) this.stream.pause();
  }

  onEnd(): void {
    this.hasPeerEnded = true;
    if (!this.destroyed) this.push(null);
  }

  protected override handleClose(error: WireError | null): void {
    this.#wakeup?.cancel();
    if (!this.isInOrder(error)) this.destroy(error ?? undefined);
  }

  #linger(): void {
    this.#isLingering = true;
    if (this.hasPeerEnded) return;
    this.#wakeup = this.#clock.schedule(lingerMs, () => this.stream.abort());
    // It may have been paused as nobody read.
    this.stream.resume();
  }
}
