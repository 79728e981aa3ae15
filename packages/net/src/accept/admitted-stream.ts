/**
 * A stream of a listener that is no socket: it tells the listener when it is over, and a fault of it ends that stream only.
 *
 * Streams of a source are made by others, who may have got the contract wrong: a method of theirs that throws, from a timer or in a promise, would end
 * the process. So each call is guarded; a throw is told, and the stream is closed for whoever is attached (`STREAM_THREW`).
 */
import { internalError, textOf, type WireError } from '@ferrata/error';
import {
  callUser,
  formatAddress,
  type L4Sink,
  type L4Stream,
  type StreamAddress,
  type StreamInfo,
  type StreamState,
} from '@ferrata/stream';
import type { AcceptPipeline } from './accept-pipeline.ts';

/** Wraps a stream; the id stays the same. */
export class AdmittedStream implements L4Stream {
  readonly id: number;
  /** Asked for once, before anything relies on it. */
  readonly info: StreamInfo;
  readonly #inner: L4Stream;
  readonly #pipeline: AcceptPipeline;
  #sink: AdmittedSink | null = null;
  #isOver = false;
  #failure: WireError | null = null;

  /** @throws {TypeError} if it has no id, or no address of its peer that can be shown; and whatever its getters throw */
  constructor(inner: L4Stream, pipeline: AcceptPipeline) {
    const { id, info } = inner;
    if (typeof id !== 'number') throw new TypeError('a stream needs an id');
    checkedAddress(info);
    this.id = id;
    this.info = info;
    this.#inner = inner;
    this.#pipeline = pipeline;
  }

  get state(): StreamState {
    if (this.#failure !== null) return 'closed';
    try {
      return this.#inner.state;
    } catch (thrown) {
      this.#fail(thrown);
      return 'closed';
    }
  }

  get bufferedBytes(): number {
    if (this.#failure !== null) return 0;
    try {
      return this.#inner.bufferedBytes;
    } catch (thrown) {
      this.#fail(thrown);
      return 0;
    }
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    const before = this.#sink;
    const admitted = new AdmittedSink(sink, this);
    this.#sink = admitted;
    if (before !== null) before.isCurrent = false;
    if (this.#failure !== null) return this.#tellFailure(this.#failure);
    try {
      this.#inner.attach(admitted, head);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  write(chunk: Uint8Array): boolean {
    if (this.#failure !== null) return false;
    try {
      return this.#inner.write(chunk);
    } catch (thrown) {
      this.#fail(thrown);
      return false;
    }
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    if (this.#failure !== null) return false;
    try {
      return this.#inner.writev(chunks);
    } catch (thrown) {
      this.#fail(thrown);
      return false;
    }
  }

  pause(): void {
    if (this.#failure !== null) return;
    try {
      this.#inner.pause();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  resume(): void {
    if (this.#failure !== null) return;
    try {
      this.#inner.resume();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  end(): void {
    if (this.#failure !== null) return;
    try {
      this.#inner.end();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  abort(error?: WireError): void {
    if (this.#failure !== null) return;
    try {
      this.#inner.abort(error);
    } catch (thrown) {
      return this.#fail(thrown);
    }
    // A stream tells only its sink of its close: one that is aborted before it has any tells nobody.
    if (this.#sink === null) this.handleOver();
  }

  /** Gives the place back. */
  handleOver(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pipeline.handleOver(this);
  }

  #fail(thrown: unknown): void {
    if (this.#failure !== null) return;
    // First: whoever is told of it may go on using this stream.
    this.#failure = faultOf(thrown);
    endFaulty(this.#inner, this.#failure, this.#pipeline);
    if (this.#sink === null) this.handleOver();
    else this.#tellFailure(this.#failure);
  }

  /** Later: a stream never calls its sink from inside one of its own methods. */
  #tellFailure(error: WireError): void {
    const sink = this.#sink;
    queueMicrotask(() => this.#pipeline.call(() => sink?.onClose(error)));
  }
}

/** The peer's address. @throws {TypeError} if there is none that can be shown, and whatever its getter throws */
export function checkedAddress({ remoteAddress }: StreamInfo): StreamAddress {
  if (typeof remoteAddress.kind !== 'string') throw new TypeError('a stream needs info.remoteAddress');
  // What errors will say of it; where an address lacks its host, say, it throws.
  formatAddress(remoteAddress);
  return remoteAddress;
}

/** What is wrong with a stream that has thrown. */
export function faultOf(thrown: unknown): WireError {
  return internalError('STREAM_THREW', textOf(thrown), { cause: thrown });
}

/** Reports a stream that does not keep the contract, and aborts it as far as it can be. */
export function endFaulty(stream: L4Stream, fault: WireError, pipeline: AcceptPipeline): void {
  pipeline.report(fault);
  // A second fault of the same stream is no news.
  callUser(() => stream.abort(fault));
}

class AdmittedSink implements L4Sink {
  /** False when it has closed, or was replaced: a faulty stream may tell of its close twice, itself and by us, and go on after that. */
  isCurrent = true;
  readonly #sink: L4Sink;
  readonly #stream: AdmittedStream;

  constructor(sink: L4Sink, stream: AdmittedStream) {
    this.#sink = sink;
    this.#stream = stream;
  }

  onData(chunk: Uint8Array): void {
    if (this.isCurrent) this.#sink.onData(chunk);
  }

  onDrain(): void {
    if (this.isCurrent) this.#sink.onDrain();
  }

  onEnd(): void {
    if (this.isCurrent) this.#sink.onEnd();
  }

  onClose(error: WireError | null): void {
    this.#stream.handleOver();
    if (!this.isCurrent) return;
    this.isCurrent = false;
    this.#sink.onClose(error);
  }
}
