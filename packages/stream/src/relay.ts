/**
 * Joins two streams: what one receives is written to the other, both ways.
 *
 * - Back-pressure: a full stream pauses the other one, a drained one resumes it; nothing is kept in between.
 * - Half-close: an end on one side ends the other's writing side; the opposite direction goes on.
 * - Failures: what closes one side before both have ended aborts the other with the same error.
 * - Silence, if `idle` says so: both are aborted where nothing has moved in either for too long, also when one of them has closed in order before.
 *
 * The relay is over when both streams have closed; then, and only once, its result is told. No promise, closure or object per chunk.
 */
import { checkNumber, type WireError } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { L4Sink, L4Stream } from './l4-stream.ts';
import { SilenceWatch } from './silence-watch.ts';

/** Options of `relay`. */
export interface RelayOptions {
  /** Bytes read from `a` before; they go to `b` first. */
  readonly headA?: Uint8Array | undefined;
  /** Bytes read from `b` before; they go to `a` first. */
  readonly headB?: Uint8Array | undefined;
  /** Default: silence lasts as long as it likes. */
  readonly idle?: RelayIdle | undefined;
  /** Told once, when both streams have closed. A throw is taken for a fault of the last sink, and dropped. */
  readonly onDone?: ((result: RelayResult) => void) | undefined;
}

/** When a relay is given up because nothing moves in it. */
export interface RelayIdle {
  /**
   * > 0, in milliseconds; more than `deadlines` can wait is for ever. What counts is bytes and ends that come on either stream, and written bytes that
   * go out on either. Never early. Late by a tick of `deadlines`; by up to once more the limit if the last thing that moved was written bytes on their
   * way out, which no event reports.
   */
  readonly timeoutMs: number;
  readonly deadlines: DeadlineQueue;
}

/** How a relay ended. */
export interface RelayResult {
  /** Bytes read from `a` and written to `b`, heads included. */
  readonly bytesAToB: number;
  /** Bytes read from `b` and written to `a`, heads included. */
  readonly bytesBToA: number;
  /** What closed the first stream that did not close in order; null if there was none, or it was aborted without an error. */
  readonly error: WireError | null;
  /** Which stream was the first that did not close in order, that is behind the ends of both sides; null if there was none. */
  readonly brokenBy: 'a' | 'b' | null;
}

/** A relay under way. */
export interface Relay {
  readonly bytesAToB: number;
  readonly bytesBToA: number;
  readonly isDone: boolean;
  /** Aborts both streams. */
  abort(error?: WireError): void;
}

/**
 * Joins `a` and `b` until both have closed; attaches itself to both. What is idle for too long ends with `timeout STREAM_IDLE_TIMEOUT`, broken by `a`, or by `b`
 * if `a` has closed.
 *
 * @throws {RangeError} if `idle.timeoutMs` is not above 0: neither stream has been touched
 */
export function relay(a: L4Stream, b: L4Stream, options: RelayOptions = {}): Relay {
  const { idle } = options;
  if (idle !== undefined) checkNumber('idle.timeoutMs', idle.timeoutMs, { above: 0 });
  const joint = new RelayJoint(a, b, options);
  a.attach(joint.sinkA, options.headA);
  b.attach(joint.sinkB, options.headB);
  return joint;
}

/** As `relay`, for those who would rather await. @returns a promise of the result, of which a failure is a part; rejects for `idle` alone */
export function relayed(a: L4Stream, b: L4Stream, options: Omit<RelayOptions, 'onDone'> = {}): Promise<RelayResult> {
  return new Promise((resolve) => void relay(a, b, { ...options, onDone: resolve }));
}

class RelayJoint implements Relay {
  readonly sinkA: RelaySink;
  readonly sinkB: RelaySink;
  readonly #a: L4Stream;
  readonly #b: L4Stream;
  readonly #onDone: ((result: RelayResult) => void) | undefined;
  readonly #idle: SilenceWatch | null;
  #error: WireError | null = null;
  #brokenBy: 'a' | 'b' | null = null;

  constructor(a: L4Stream, b: L4Stream, { idle, onDone }: RelayOptions) {
    this.#a = a;
    this.#b = b;
    this.#onDone = onDone;
    const isTimed = idle !== undefined && idle.timeoutMs <= idle.deadlines.maxDelayMs;
    this.#idle = isTimed ? new SilenceWatch(a, b, idle.timeoutMs, idle.deadlines, (error) => this.#giveUp(error)) : null;
    this.sinkA = new RelaySink(a, b, this.#idle, (error) => this.#handleClose('a', error));
    this.sinkB = new RelaySink(b, a, this.#idle, (error) => this.#handleClose('b', error));
  }

  get bytesAToB(): number {
    return this.sinkA.byteLength;
  }

  get bytesBToA(): number {
    return this.sinkB.byteLength;
  }

  get isDone(): boolean {
    return this.sinkA.isClosed && this.sinkB.isClosed;
  }

  abort(error?: WireError): void {
    this.#a.abort(error);
    this.#b.abort(error);
  }

  /** Which side tells of its close first is no sign of who was silent. */
  #giveUp(error: WireError): void {
    this.#brokenBy ??= this.sinkA.isClosed ? 'b' : 'a';
    this.#error ??= error;
    this.abort(error);
  }

  #handleClose(side: 'a' | 'b', error: WireError | null): void {
    const isOrderly = error === null && this.sinkA.hasEnded && this.sinkB.hasEnded;
    if (!isOrderly && this.#brokenBy === null) {
      this.#brokenBy = side;
      this.#error = error;
      (side === 'a' ? this.#b : this.#a).abort(error ?? undefined);
    }
    if (!this.isDone) return;
    this.#idle?.end();
    const { bytesAToB, bytesBToA } = this;
    this.#onDone?.({ bytesAToB, bytesBToA, error: this.#error, brokenBy: this.#brokenBy });
  }
}

/** Takes from one stream and gives to the other. */
class RelaySink implements L4Sink {
  byteLength = 0;
  hasEnded = false;
  isClosed = false;
  readonly #from: L4Stream;
  readonly #to: L4Stream;
  readonly #idle: SilenceWatch | null;
  readonly #handleClose: (error: WireError | null) => void;

  constructor(from: L4Stream, to: L4Stream, idle: SilenceWatch | null, handleClose: (error: WireError | null) => void) {
    this.#from = from;
    this.#to = to;
    this.#idle = idle;
    this.#handleClose = handleClose;
  }

  onData(chunk: Uint8Array): void {
    this.byteLength += chunk.byteLength;
    if (!this.#to.write(chunk)) this.#from.pause();
    this.#idle?.moved();
  }

  /** `from` has room again for what `to` receives. */
  onDrain(): void {
    this.#to.resume();
    this.#idle?.moved();
  }

  onEnd(): void {
    this.hasEnded = true;
    this.#to.end();
    this.#idle?.moved();
  }

  onClose(error: WireError | null): void {
    this.isClosed = true;
    this.#handleClose(error);
  }
}
