/**
 * A stream under watch: passes everything through and writes down each breach of the stream contract.
 *
 * A breach is noted, not thrown: a throw inside a callback would only be taken for a fault of the sink (line 6) and so hide itself.
 */
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream, StreamInfo, StreamState } from '@ferrata/stream';

/** Watches `stream`; its `violations` stay empty as long as the contract holds. */
export class CheckedStream implements L4Stream {
  /** What went against the contract, one sentence each. */
  readonly violations: string[] = [];
  readonly #inner: L4Stream;
  #watch: SinkWatch | null = null;
  #depth = 0;
  #isPaused = true;

  constructor(inner: L4Stream) {
    this.#inner = inner;
  }

  get id(): number {
    return this.#inner.id;
  }

  get info(): StreamInfo {
    return this.#inner.info;
  }

  get state(): StreamState {
    return this.#inner.state;
  }

  get bufferedBytes(): number {
    const { bufferedBytes } = this.#inner;
    if (!(bufferedBytes >= 0)) this.violations.push(`bufferedBytes is ${bufferedBytes}`);
    return bufferedBytes;
  }

  /** True while one of the stream's own methods is on the call stack. */
  get isInMethod(): boolean {
    return this.#depth > 0;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    if (this.#watch !== null) this.#watch.isReplaced = true;
    const watch = new SinkWatch(this, sink);
    this.#watch = watch;
    this.#isPaused = false;
    this.#call(() => (head === undefined ? this.#inner.attach(watch) : this.#inner.attach(watch, head)));
  }

  write(chunk: Uint8Array): boolean {
    return this.#call(() => this.#inner.write(chunk));
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    return this.#call(() => this.#inner.writev(chunks));
  }

  pause(): void {
    this.#isPaused = true;
    this.#call(() => this.#inner.pause());
  }

  resume(): void {
    if (this.#watch !== null) this.#isPaused = false;
    this.#call(() => this.#inner.resume());
  }

  end(): void {
    this.#call(() => this.#inner.end());
  }

  abort(error?: WireError): void {
    this.#call(() => (error === undefined ? this.#inner.abort() : this.#inner.abort(error)));
  }

  #call<T>(method: () => T): T {
    this.#depth += 1;
    try {
      return method();
    } finally {
      this.#depth -= 1;
    }
  }
}

/** Stands between a stream and one of its sinks. */
class SinkWatch implements L4Sink {
  isReplaced = false;
  readonly #stream: CheckedStream;
  readonly #sink: L4Sink;
  #hasEnded = false;
  #isClosed = false;

  constructor(stream: CheckedStream, sink: L4Sink) {
    this.#stream = stream;
    this.#sink = sink;
  }

  onData(chunk: Uint8Array): void {
    this.#check('onData');
    if (chunk.byteLength === 0) this.#report('onData came with an empty chunk');
    if (this.#hasEnded) this.#report('onData came after onEnd (line 1)');
    if (this.#stream.isPaused) this.#report('onData came while paused (line 4)');
    this.#sink.onData(chunk);
  }

  onDrain(): void {
    this.#check('onDrain');
    this.#sink.onDrain();
  }

  onEnd(): void {
    this.#check('onEnd');
    if (this.#hasEnded) this.#report('onEnd came twice (line 1)');
    if (this.#stream.isPaused) this.#report('onEnd came while paused (line 4)');
    const { state } = this.#stream;
    if (state !== 'peerEnded' && state !== 'closed') this.#report(`onEnd came in state ${state}`);
    this.#hasEnded = true;
    this.#sink.onEnd();
  }

  onClose(error: WireError | null): void {
    this.#check('onClose');
    if (this.#stream.state !== 'closed') this.#report(`onClose came in state ${this.#stream.state}`);
    this.#isClosed = true;
    this.#sink.onClose(error);
  }

  #check(callback: string): void {
    if (this.#stream.isInMethod) this.#report(`${callback} came from inside a method of the stream (line 2)`);
    if (this.#isClosed) this.#report(`${callback} came after onClose (line 1)`);
    if (this.isReplaced) this.#report(`${callback} came to a sink that had been replaced (line 1)`);
  }

  #report(violation: string): void {
    this.#stream.violations.push(violation);
  }
}
