/**
 * Streams made of a stream: one filter for the bytes that come in, one for those that go out.
 *
 * `filtered` does all that a wrapper has to get right about the stream contract (order, back-pressure, half-close, aborts, a clean close that
 * waits for held bytes), so that a filter only decides what becomes of the bytes of one direction: pass, cut, change, hold, drop, or fail.
 *
 * ```text
 *    sink ◄── inbox ◄── incoming filter ◄── ┌────────┐
 *                                           │ stream │
 *    write, end ─────► outgoing filter ───► └────────┘
 * ```
 */
import type { WireError } from '@ferrata/error';
import { type Defer, deferToMicrotask } from './defer.ts';
import type { L4Sink, L4Stream, StreamState } from './l4-stream.ts';
import { StreamInbox, type StreamInboxOwner } from './stream-inbox.ts';
import type { StreamInfo } from './stream-info.ts';

/** What a filter does with the bytes of one direction. It may call its outlet from inside `start`, `data` and `end`, and later by itself. */
export interface StreamFilter {
  /** Bytes taken and neither passed on nor dropped. */
  readonly heldBytes: number;
  /** True while the filter should get no more: the source is told to pause. Call `outlet.released` when it becomes false by itself. */
  readonly isBlocked: boolean;
  /** Called once, soon after the first `attach`, before any data. */
  start?(): void;
  data(chunk: Uint8Array): void;
  /** The source has ended; pass it on when all held bytes are out. */
  end(): void;
  /** The stream has closed: drop what is held, cancel what is scheduled, pass nothing on afterwards. May be called more than once. */
  close(): void;
}

/** Where a filter passes things on to. */
export interface FilterOutlet {
  data(chunk: Uint8Array): void;
  end(): void;
  /** Fails the whole stream, after what was passed on already; the layer below is aborted at once. */
  fail(error: WireError): void;
  /** The filter is no longer blocked. */
  released(): void;
}

/** Makes a filter around its outlet. */
export type MakeStreamFilter = (outlet: FilterOutlet) => StreamFilter;

/** The filters of `filtered`; a direction without one passes everything. */
export interface StreamFilters {
  readonly incoming?: MakeStreamFilter | undefined;
  readonly outgoing?: MakeStreamFilter | undefined;
  /** Default: microtasks. */
  readonly defer?: Defer | undefined;
}

/** The stream `stream` seen through filters. From now on only the result may be used. */
export function filtered(stream: L4Stream, filters: StreamFilters): L4Stream {
  return new FilteredStream(stream, filters);
}

class FilteredStream implements L4Stream, StreamInboxOwner {
  readonly #inner: L4Stream;
  readonly #inbox: StreamInbox;
  readonly #defer: Defer;
  readonly #incoming: StreamFilter | null;
  readonly #outgoing: StreamFilter | null;
  #isStarted = false;
  #isInnerPaused = false;
  #isInnerFull = false;
  #owesDrain = false;
  #isEnded = false;
  #isPeerEnded = false;
  #hasInnerEnded = false;
  #hasPassedEnd = false;
  #isInnerClosed = false;
  #isClosed = false;
  /** Gathers what the outgoing filter passes on during one `writev`, so that it stays one write below. */
  #batch: Uint8Array[] | null = null;

  constructor(inner: L4Stream, filters: StreamFilters) {
    this.#inner = inner;
    this.#defer = filters.defer ?? deferToMicrotask;
    this.#inbox = new StreamInbox(this, this.#defer);
    this.#incoming = filters.incoming?.(this.#incomingOutlet()) ?? null;
    this.#outgoing = filters.outgoing?.(this.#outgoingOutlet()) ?? null;
  }

  get id(): number {
    return this.#inner.id;
  }

  get info(): StreamInfo {
    return this.#inner.info;
  }

  get state(): StreamState {
    if (this.#isClosed || (this.#isEnded && this.#isPeerEnded)) return 'closed';
    if (this.#isEnded) return 'ended';
    return this.#isPeerEnded ? 'peerEnded' : 'open';
  }

  get bufferedBytes(): number {
    return this.#isClosed ? 0 : this.#inner.bufferedBytes + (this.#outgoing?.heldBytes ?? 0);
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inbox.attach(sink, head);
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#defer(() => this.#start());
      this.#inner.attach(this.#innerSink());
    }
    this.#steerInner();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    if (this.#outgoing === null) this.#isInnerFull = !this.#inner.write(chunk);
    else if (chunk.byteLength > 0) this.#outgoing.data(chunk);
    return this.#hasRoom();
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    if (this.#outgoing === null) {
      this.#isInnerFull = !this.#inner.writev(chunks);
      return this.#hasRoom();
    }
    this.#batch = [];
    for (const chunk of chunks) if (chunk.byteLength > 0 && !this.#isClosed) this.#outgoing.data(chunk);
    this.#writeBatch();
    return this.#hasRoom();
  }

  pause(): void {
    this.#inbox.pause();
    this.#steerInner();
  }

  resume(): void {
    this.#inbox.resume();
    this.#steerInner();
  }

  end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#isEnded = true;
    if (this.#outgoing === null) this.#inner.end();
    else this.#outgoing.end();
  }

  abort(error?: WireError): void {
    if (this.#inbox.isClosed) return;
    this.#isClosed = true;
    this.#closeFilters();
    this.#inner.abort(error);
    this.#inbox.abort(error ?? null);
  }

  handleSinkFault(error: WireError): void {
    this.abort(error);
  }

  handleEndTold(): void {
    this.#isPeerEnded = true;
  }

  #start(): void {
    if (!this.#isClosed) this.#incoming?.start?.();
    if (!this.#isClosed) this.#outgoing?.start?.();
    this.#steerInner();
  }

  #hasRoom(): boolean {
    if (this.#isClosed) return false;
    if (!this.#isInnerFull && this.#outgoing?.isBlocked !== true) return true;
    this.#owesDrain = true;
    this.#inbox.full();
    return false;
  }

  #drainIfRoom(): void {
    if (!this.#owesDrain || this.#isInnerFull || this.#outgoing?.isBlocked === true) return;
    this.#owesDrain = false;
    this.#inbox.drain();
  }

  /** The layer below is paused while our sink is, or while the incoming filter takes no more. */
  #steerInner(): void {
    if (!this.#isStarted || this.#isClosed) return;
    const mustPause = this.#inbox.isPaused || this.#incoming?.isBlocked === true;
    if (mustPause === this.#isInnerPaused) return;
    this.#isInnerPaused = mustPause;
    if (mustPause) this.#inner.pause();
    else this.#inner.resume();
  }

  /** What the layer below tells. Never from inside one of our methods (line 2 holds there too), so the sink may be told at once. */
  #innerSink(): L4Sink {
    return {
      onData: (chunk) => {
        if (this.#isClosed) return;
        if (this.#incoming === null) this.#inbox.data(chunk);
        else this.#incoming.data(chunk);
        this.#inbox.flush();
        this.#steerInner();
      },
      onDrain: () => {
        this.#isInnerFull = false;
        this.#drainIfRoom();
        this.#inbox.flush();
      },
      onEnd: () => {
        this.#hasInnerEnded = true;
        if (this.#isClosed) return;
        if (this.#incoming === null) this.#passEnd();
        else this.#incoming.end();
        this.#inbox.flush();
      },
      onClose: (error) => {
        this.#isInnerClosed = true;
        // A clean close waits for what the incoming filter still holds; without an end it was not clean, whoever aborted below.
        const waitsForFilter = error === null && this.#hasInnerEnded && !this.#hasPassedEnd;
        if (!this.#isClosed && !waitsForFilter) this.#close(error);
        this.#inbox.flush();
      },
    };
  }

  #incomingOutlet(): FilterOutlet {
    return {
      data: (chunk) => {
        if (!this.#hasPassedEnd) this.#inbox.data(chunk);
      },
      end: () => this.#passEnd(),
      fail: (error) => this.#fail(error),
      released: () => this.#steerInner(),
    };
  }

  #outgoingOutlet(): FilterOutlet {
    return {
      data: (chunk) => {
        if (this.#batch !== null) this.#batch.push(chunk);
        else this.#isInnerFull = !this.#inner.write(chunk);
      },
      end: () => {
        this.#writeBatch();
        this.#inner.end();
      },
      fail: (error) => {
        this.#writeBatch();
        this.#fail(error);
      },
      released: () => this.#drainIfRoom(),
    };
  }

  #writeBatch(): void {
    const batch = this.#batch;
    this.#batch = null;
    if (batch !== null && batch.length > 0 && !this.#isClosed) this.#isInnerFull = !this.#inner.writev(batch);
  }

  #passEnd(): void {
    if (this.#hasPassedEnd) return;
    this.#hasPassedEnd = true;
    this.#inbox.end();
    if (this.#isInnerClosed) this.#close(null);
  }

  #fail(error: WireError): void {
    if (this.#isClosed) return;
    this.#inner.abort(error);
    this.#close(error);
  }

  #close(error: WireError | null): void {
    // After two orderly ends `state` follows from them, and must not run ahead of the end that the sink has yet to be told.
    this.#isClosed = error !== null || !this.#hasPassedEnd;
    // A filter may have ended our side on its own.
    this.#isEnded = true;
    this.#closeFilters();
    this.#inbox.close(error);
  }

  #closeFilters(): void {
    this.#batch = null;
    this.#owesDrain = false;
    this.#incoming?.close();
    this.#outgoing?.close();
  }
}
