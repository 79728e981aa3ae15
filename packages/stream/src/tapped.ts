/**
 * A stream with somebody listening in: everything passes at once and unchanged, and the tap is told of it.
 *
 * The cheapest wrapper there is (two calls a chunk): the stream below already keeps the contract, so what it tells may be told on directly.
 */
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream, StreamState } from './l4-stream.ts';
import type { StreamInfo } from './stream-info.ts';

/**
 * Who listens in. What the stream tells comes before the sink hears it; what the stream is asked comes when it has been done. A tap may abort
 * the stream, but must not throw.
 */
export interface StreamTap {
  onAttach?(head: Uint8Array | undefined): void;
  onData?(chunk: Uint8Array): void;
  onDrain?(): void;
  onEnd?(): void;
  onClose?(error: WireError | null): void;
  /** One `write`, or one chunk of a `writev`. @param hasRoom what the stream answered */
  onWrite?(chunk: Uint8Array, hasRoom: boolean): void;
  onPause?(): void;
  onResume?(): void;
  /** Our side was ended. */
  onWriteEnd?(): void;
  onAbort?(error: WireError | undefined): void;
}

/** `stream` with `tap` listening in. From now on only the result may be used. @param info other facts about it; default: its own */
export function tapped(stream: L4Stream, tap: StreamTap, info: StreamInfo | null = null): L4Stream {
  return new TappedStream(stream, tap, info);
}

class TappedStream implements L4Stream {
  readonly #inner: L4Stream;
  readonly #tap: StreamTap;
  readonly #info: StreamInfo | null;

  constructor(inner: L4Stream, tap: StreamTap, info: StreamInfo | null) {
    this.#inner = inner;
    this.#tap = tap;
    this.#info = info;
  }

  get id(): number {
    return this.#inner.id;
  }

  get info(): StreamInfo {
    return this.#info ?? this.#inner.info;
  }

  get state(): StreamState {
    return this.#inner.state;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inner.attach(new TapSink(this.#tap, sink), head);
    this.#tap.onAttach?.(head);
  }

  write(chunk: Uint8Array): boolean {
    const hasRoom = this.#inner.write(chunk);
    this.#tap.onWrite?.(chunk, hasRoom);
    return hasRoom;
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    const hasRoom = this.#inner.writev(chunks);
    for (const chunk of chunks) this.#tap.onWrite?.(chunk, hasRoom);
    return hasRoom;
  }

  pause(): void {
    this.#inner.pause();
    this.#tap.onPause?.();
  }

  resume(): void {
    this.#inner.resume();
    this.#tap.onResume?.();
  }

  end(): void {
    this.#inner.end();
    this.#tap.onWriteEnd?.();
  }

  abort(error?: WireError): void {
    this.#inner.abort(error);
    this.#tap.onAbort?.(error);
  }
}

class TapSink implements L4Sink {
  readonly #tap: StreamTap;
  readonly #sink: L4Sink;

  constructor(tap: StreamTap, sink: L4Sink) {
    this.#tap = tap;
    this.#sink = sink;
  }

  onData(chunk: Uint8Array): void {
    this.#tap.onData?.(chunk);
    this.#sink.onData(chunk);
  }

  onDrain(): void {
    this.#tap.onDrain?.();
    this.#sink.onDrain();
  }

  onEnd(): void {
    this.#tap.onEnd?.();
    this.#sink.onEnd();
  }

  onClose(error: WireError | null): void {
    this.#tap.onClose?.(error);
    this.#sink.onClose(error);
  }
}
