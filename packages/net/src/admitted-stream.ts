/**
 * A stream of a listener that is no socket: it tells the listener when it is over, and a fault of it ends that stream only.
 *
 * Streams of a source are made by others, who may have got the contract wrong: a method of theirs that throws, from a timer or in a promise, would end
 * the process. So each call is guarded; a throw is told, and the stream is closed for whoever is attached (`STREAM_THREW`).
 */
import { internalError, textOf, type WireError } from '@ferrata/error';
import { callUser, type L4Sink, type L4Stream, type StreamInfo, type StreamState } from '@ferrata/stream';

/** Who is told of a stream. */
export interface AdmittedStreamOwner {
  /** Once: it has closed, or was aborted before anybody attached. */
  onStreamOver(id: number): void;
  /** A method of it has thrown. */
  report(thrown: unknown): void;
}

const noAddress = { kind: 'unset' } as const;

/** Wraps a stream; the id stays the same. */
export class AdmittedStream implements L4Stream {
  readonly id: number;
  readonly #inner: L4Stream;
  readonly #owner: AdmittedStreamOwner;
  #sink: AdmittedSink | null = null;
  #isOver = false;
  #failure: WireError | null = null;
  #lastInfo: StreamInfo = {
    kind: 'unknown',
    localAddress: noAddress,
    remoteAddress: noAddress,
    tls: null,
    timing: { startedAt: 0, establishedAt: 0 },
    below: null,
    extension: undefined,
  };

  /** @throws whatever the getter of the id throws */
  constructor(inner: L4Stream, owner: AdmittedStreamOwner) {
    this.id = inner.id;
    this.#inner = inner;
    this.#owner = owner;
  }

  get info(): StreamInfo {
    if (this.#failure !== null) return this.#lastInfo;
    try {
      this.#lastInfo = this.#inner.info;
    } catch (thrown) {
      this.#fail(thrown);
    }
    return this.#lastInfo;
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
    this.#owner.onStreamOver(this.id);
  }

  #fail(thrown: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = internalError('STREAM_THREW', textOf(thrown), { cause: thrown });
    this.#owner.report(thrown);
    try {
      this.#inner.abort(this.#failure);
    } catch {
      // It has been told already that this stream is at fault.
    }
    if (this.#sink === null) this.handleOver();
    else this.#tellFailure(this.#failure);
  }

  /** Later: a stream never calls its sink from inside one of its own methods. */
  #tellFailure(error: WireError): void {
    const sink = this.#sink;
    queueMicrotask(() =>
      callUser(
        () => sink?.onClose(error),
        (thrown) => this.#owner.report(thrown),
      ),
    );
  }
}

class AdmittedSink implements L4Sink {
  /** False when it has closed, or was replaced. */
  isCurrent = true;
  readonly #sink: L4Sink;
  readonly #stream: AdmittedStream;

  constructor(sink: L4Sink, stream: AdmittedStream) {
    this.#sink = sink;
    this.#stream = stream;
  }

  onData(chunk: Uint8Array): void {
    this.#sink.onData(chunk);
  }

  onDrain(): void {
    this.#sink.onDrain();
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onClose(error: WireError | null): void {
    this.#stream.handleOver();
    // A faulty stream may tell twice, itself and by us.
    if (!this.isCurrent) return;
    this.isCurrent = false;
    this.#sink.onClose(error);
  }
}
