/** Tells when nothing has moved in a stream, or in either of two, for too long. Whoever uses it says what else moves than bytes on their way out. */
import { timeoutError, type WireError } from '@ferrata/error';
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { L4Stream } from './l4-stream.ts';

export class SilenceWatch {
  readonly #a: L4Stream;
  readonly #b: L4Stream | null;
  readonly #timeoutMs: number;
  readonly #giveUp: (error: WireError) => void;
  readonly #deadline: Deadline;
  #bufferedA = 0;
  #bufferedB = 0;
  #isOver = false;

  /** Time begins now. @param giveUp called once, at most, with `timeout STREAM_IDLE_TIMEOUT` */
  constructor(a: L4Stream, b: L4Stream | null, timeoutMs: number, deadlines: DeadlineQueue, giveUp: (error: WireError) => void) {
    this.#a = a;
    this.#b = b;
    this.#timeoutMs = timeoutMs;
    this.#giveUp = giveUp;
    this.#deadline = deadlines.deadline(() => this.#expire());
    this.moved();
  }

  /** Time begins anew, if it is not over. */
  moved(): void {
    // What has moved may have been the last of it.
    if (this.#isOver) return;
    this.#bufferedA = this.#a.bufferedBytes;
    if (this.#b !== null) this.#bufferedB = this.#b.bufferedBytes;
    this.#deadline.arm(this.#timeoutMs);
  }

  /** Nothing is waited for any more. Not told by `state`, which is closed after two ends in order whether or not the close follows. */
  end(): void {
    this.#isOver = true;
    this.#deadline.cancel();
  }

  #expire(): void {
    // No event says that bytes have gone out below.
    if (this.#a.bufferedBytes < this.#bufferedA || (this.#b !== null && this.#b.bufferedBytes < this.#bufferedB)) {
      this.moved();
      return;
    }
    this.#isOver = true;
    this.#giveUp(timeoutError('STREAM_IDLE_TIMEOUT', `nothing moved for ${this.#timeoutMs} ms`));
  }
}
