/**
 * The receiving half of a stream: what has happened and was not yet told to the sink.
 *
 * Every stream of this package has one, and so may yours: it keeps lines 1, 2, 4, 6 and 7 of the stream contract, so that an implementation
 * only says what happened (`data`, `full`, `drain`, `end`, `close`, `abort`), at any moment, also from inside its own methods.
 *
 * ```text
 *   data(c) ─► │ c c c │ ─► onData       while not paused
 *   end()   ─►   end     ─► onEnd        after the data, while not paused
 *   drain() ─►   drain   ─► onDrain      before anything else, paused or not; full() takes it back
 *   close() ─►   close   ─► onClose      after all of it; a failure drops what a paused sink has left unread
 *   abort() ─►   close   ─► onClose      drops all of it at once
 * ```
 *
 * Inputs only note what happened and ask for one deferred run; the run tells the sink one thing after the other and looks again after each,
 * since the sink may pause, attach another sink or abort meanwhile. An owner that knows that none of its methods is on the call stack (it
 * runs inside a callback of the layer below) may call `flush` and save the hop.
 */
import { ByteQueue } from '@ferrata/bytes';
import { internalError, textOf, type WireError } from '@ferrata/error';
import { type Defer, deferToMicrotask } from './defer.ts';
import type { L4Sink } from './l4-stream.ts';

/** What the owner of an inbox is told. */
export interface StreamInboxOwner {
  /** The sink threw: abort the stream with this error. */
  handleSinkFault(error: WireError): void;
  /** So many bytes given to `data` are about to be handed to the sink: the room they took is free. */
  handleFreed?(byteLength: number): void;
  /** The peer's end is about to be told to the sink. */
  handleEndTold?(): void;
}

/** Whether something has happened, and whether the present sink knows. */
type News = 'none' | 'pending' | 'told';

/** The receiving half of a stream. */
export class StreamInbox {
  readonly #owner: StreamInboxOwner;
  readonly #defer: Defer;
  readonly #run: () => void;
  readonly #chunks = new ByteQueue();
  /** Heads of `attach`, the one to be told first on top: a later head was read earlier. Rare, and not counted as freed when told. */
  readonly #heads: Uint8Array[] = [];
  #sink: L4Sink | null = null;
  #isPaused = true;
  #drain: News = 'none';
  #end: News = 'none';
  #close: News = 'none';
  #closeError: WireError | null = null;
  #isAborted = false;
  #isClosed = false;
  #isScheduled = false;
  #isRunning = false;

  constructor(owner: StreamInboxOwner, defer: Defer = deferToMicrotask) {
    this.#owner = owner;
    this.#defer = defer;
    this.#run = () => {
      this.#isScheduled = false;
      this.flush();
    };
  }

  /** Bytes that came and were not yet handed to the sink, heads of `attach` aside. */
  get byteLength(): number {
    return this.#chunks.byteLength;
  }

  /** True before the first `attach`, and from `pause` to `resume`. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** True once the peer's end was told to a sink. */
  get isEndTold(): boolean {
    return this.#end === 'told';
  }

  /** True once a close was told to a sink: the stream is over, and `abort` does nothing. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Makes `sink` the receiver and lets the events flow; `head` comes before all other data. */
  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#sink = sink;
    this.#isPaused = false;
    if (head !== undefined && head.byteLength > 0 && !this.#isAborted) this.#heads.push(head);
    if (this.#drain === 'told' && this.#close === 'none') this.#drain = 'pending';
    if (this.#end === 'told') this.#end = 'pending';
    if (this.#close === 'told') this.#close = 'pending';
    this.#schedule();
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** Lets the events flow again. Does nothing before the first `attach`. */
  resume(): void {
    if (this.#sink === null) return;
    this.#isPaused = false;
    this.#schedule();
  }

  /** Bytes came. Ignored after a close. */
  data(chunk: Uint8Array): void {
    if (this.#close !== 'none') return;
    this.#chunks.push(chunk);
    this.#schedule();
  }

  /** A write is answered false: a drain from before is true no more, for this sink and for one that is attached later. */
  full(): void {
    this.#drain = 'none';
  }

  /** The stream has room again. */
  drain(): void {
    if (this.#close !== 'none') return;
    this.#drain = 'pending';
    this.#schedule();
  }

  /** The peer has ended its side. */
  end(): void {
    if (this.#close !== 'none' || this.#end !== 'none') return;
    this.#end = 'pending';
    this.#schedule();
  }

  /** The stream has closed: in order (null), after everything else; or by a failure, which drops what a paused sink has left unread. */
  close(error: WireError | null): void {
    if (this.#close !== 'none') return;
    this.#close = 'pending';
    this.#closeError = error;
    this.#schedule();
  }

  /** The owner aborts: all that was not yet told is dropped, only the close remains. Overrides a close that was noted but not told. */
  abort(error: WireError | null): void {
    if (this.#isClosed || this.#isAborted) return;
    this.#isAborted = true;
    this.#dropData();
    this.#drain = 'none';
    this.#end = 'none';
    this.#close = 'pending';
    this.#closeError = error;
    this.#schedule();
  }

  /** Tells the sink all that may be told now. Never call it from inside a method of the stream. */
  flush(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#tellNext());
    this.#isRunning = false;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isRunning || this.#sink === null) return;
    this.#isScheduled = true;
    this.#defer(this.#run);
  }

  /** Tells the sink one thing. @returns false if there is nothing to tell now */
  #tellNext(): boolean {
    const sink = this.#sink;
    if (sink === null) return false;
    try {
      return this.#tellDrain(sink) || this.#tellDataOrEnd(sink) || this.#tellClose(sink);
    } catch (thrown) {
      this.#owner.handleSinkFault(internalError('SINK_THREW', textOf(thrown), { cause: thrown }));
      return true;
    }
  }

  #tellDrain(sink: L4Sink): boolean {
    if (this.#drain !== 'pending') return false;
    this.#drain = 'told';
    sink.onDrain();
    return true;
  }

  #tellDataOrEnd(sink: L4Sink): boolean {
    if (this.#isPaused) return false;
    const head = this.#heads.pop();
    if (head !== undefined) {
      sink.onData(head);
      return true;
    }
    const chunk = this.#chunks.takeChunk();
    if (chunk !== undefined) {
      this.#owner.handleFreed?.(chunk.byteLength);
      sink.onData(chunk);
      return true;
    }
    if (this.#end !== 'pending') return false;
    this.#end = 'told';
    this.#owner.handleEndTold?.();
    sink.onEnd();
    return true;
  }

  #tellClose(sink: L4Sink): boolean {
    if (this.#close !== 'pending') return false;
    const isOrderly = this.#closeError === null && !this.#isAborted;
    if (isOrderly && (this.#heads.length > 0 || this.#chunks.byteLength > 0 || this.#end === 'pending')) return false;
    this.#close = 'told';
    this.#isClosed = true;
    // An end that a paused sink has not been told yet is dropped with the data before it: after onClose there is nothing.
    if (this.#end === 'pending') this.#end = 'none';
    this.#dropData();
    sink.onClose(this.#closeError);
    return true;
  }

  #dropData(): void {
    this.#heads.length = 0;
    this.#chunks.clear();
  }
}
