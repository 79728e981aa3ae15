/**
 * Joins two streams: what one receives is written to the other, both ways.
 *
 * - Back-pressure: a full stream pauses the other one, a drained one resumes it; nothing is kept in between.
 * - Half-close: an end on one side ends the other's writing side; the opposite direction goes on.
 * - Failures: what closes one side before both have ended aborts the other with the same error.
 *
 * The relay is over when both streams have closed; then, and only once, its result is told. No promise, closure or object per chunk.
 */
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from './l4-stream.ts';

/** Options of `relay`. */
export interface RelayOptions {
  /** Bytes read from `a` before; they go to `b` first. */
  readonly headA?: Uint8Array | undefined;
  /** Bytes read from `b` before; they go to `a` first. */
  readonly headB?: Uint8Array | undefined;
  /** Told once, when both streams have closed. A throw is taken for a fault of the last sink, and dropped. */
  readonly onDone?: ((result: RelayResult) => void) | undefined;
}

/** How a relay ended. */
export interface RelayResult {
  /** Bytes read from `a` and written to `b`, heads included. */
  readonly bytesAToB: number;
  /** Bytes read from `b` and written to `a`, heads included. */
  readonly bytesBToA: number;
  /** What closed the first stream to close; null if both sides ended in order, or one was aborted without an error. */
  readonly error: WireError | null;
  /** Which stream closed before both sides had ended; null if both ended in order. */
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

/** Joins `a` and `b` until both have closed; attaches itself to both. */
export function relay(a: L4Stream, b: L4Stream, options: RelayOptions = {}): Relay {
  const joint = new RelayJoint(a, b, options.onDone);
  a.attach(joint.sinkA, options.headA);
  b.attach(joint.sinkB, options.headB);
  return joint;
}

/** As `relay`, for those who would rather await. @returns a promise of the result; never rejects, since a failure is part of the result */
export function relayed(a: L4Stream, b: L4Stream, options: Omit<RelayOptions, 'onDone'> = {}): Promise<RelayResult> {
  return new Promise((resolve) => void relay(a, b, { ...options, onDone: resolve }));
}

class RelayJoint implements Relay {
  readonly sinkA: RelaySink;
  readonly sinkB: RelaySink;
  readonly #a: L4Stream;
  readonly #b: L4Stream;
  readonly #onDone: ((result: RelayResult) => void) | undefined;
  #error: WireError | null = null;
  #brokenBy: 'a' | 'b' | null = null;

  constructor(a: L4Stream, b: L4Stream, onDone: ((result: RelayResult) => void) | undefined) {
    this.#a = a;
    this.#b = b;
    this.#onDone = onDone;
    this.sinkA = new RelaySink(a, b, (error) => this.#handleClose('a', error));
    this.sinkB = new RelaySink(b, a, (error) => this.#handleClose('b', error));
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

  #handleClose(side: 'a' | 'b', error: WireError | null): void {
    const isOrderly = error === null && this.sinkA.hasEnded && this.sinkB.hasEnded;
    if (!isOrderly && this.#brokenBy === null) {
      this.#brokenBy = side;
      this.#error = error;
      (side === 'a' ? this.#b : this.#a).abort(error ?? undefined);
    }
    if (!this.isDone) return;
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
  readonly #handleClose: (error: WireError | null) => void;

  constructor(from: L4Stream, to: L4Stream, handleClose: (error: WireError | null) => void) {
    this.#from = from;
    this.#to = to;
    this.#handleClose = handleClose;
  }

  onData(chunk: Uint8Array): void {
    this.byteLength += chunk.byteLength;
    if (!this.#to.write(chunk)) this.#from.pause();
  }

  /** `from` has room again for what `to` receives. */
  onDrain(): void {
    this.#to.resume();
  }

  onEnd(): void {
    this.hasEnded = true;
    this.#to.end();
  }

  onClose(error: WireError | null): void {
    this.isClosed = true;
    this.#handleClose(error);
  }
}
