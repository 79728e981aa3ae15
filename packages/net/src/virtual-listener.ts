/**
 * Listening on anything that yields L4 streams: tunnels, another listener's streams, a test's own. Caps, filter, PROXY header, TLS and counts are
 * those of `listen`.
 *
 * A source that is asked for its next stream can be paused, as the kernel's cannot: at a cap it is not asked until a place is free.
 */
import { connectError, ioError } from '@ferrata/error';
import { type L4Stream, type MemoryPairOptions, memoryPair, type StreamAddress, tapped } from '@ferrata/stream';
import { type AcceptOptions, acceptOptionNames, resolveAcceptOptions } from './accept-options.ts';
import { AcceptPipeline } from './accept-pipeline.ts';
import type { CapWaiter } from './connection-cap.ts';
import type { Listener } from './listener.ts';
import { ListenerBase } from './listener-base.ts';
import { checkOptionNames } from './option-names.ts';

const unset: StreamAddress = { kind: 'unset' };

/**
 * Takes streams from a source, and calls `onStream` with each that has passed the caps, the filter, the PROXY header and TLS.
 *
 * The listener is closed when the source ends or throws, which `onError` is told. `close()` ends the source by its `return()`, and aborts a stream
 * that it still yields. At a cap the source waits.
 *
 * @throws {RangeError} for a number out of range @throws {TypeError} for an unknown option, or a source that cannot be iterated
 */
export function listenTo(
  source: AsyncIterable<L4Stream> | Iterable<L4Stream>,
  onStream: (stream: L4Stream) => void,
  options: AcceptOptions = {},
): Listener {
  checkOptionNames('listenTo', options, acceptOptionNames);
  const iterator = iteratorOf(source);
  const listener = new SourceListener(new AcceptPipeline(resolveAcceptOptions(options), onStream), iterator);
  void listener.run();
  return listener;
}

/** Options of a `MemoryListener`. */
export interface MemoryListenerOptions extends AcceptOptions {
  /** Its address: `info.localAddress` of its streams. Default: unset. */
  readonly address?: StreamAddress;
  /** Of each connection: buffers, carrier, kind. */
  readonly pair?: Omit<MemoryPairOptions, 'addressA' | 'addressB'>;
}

/** Adds streams to a listener, and sees to their places. */
class StreamListener extends ListenerBase {
  readonly #pipeline: AcceptPipeline;
  #isClosed = false;

  constructor(pipeline: AcceptPipeline, address: StreamAddress) {
    super(pipeline, address);
    this.#pipeline = pipeline;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.closeOwnTls();
  }

  /** A stream with a place of its own; the place is given back when the stream closes. */
  protected admit(stream: L4Stream): void {
    const { id } = stream;
    let isAttached = false;
    let isOver = false;
    const handleOver = (): void => {
      if (isOver) return;
      isOver = true;
      this.releasePlace();
      this.#pipeline.handleClosed(id);
    };
    const watched = tapped(stream, {
      onAttach: () => {
        isAttached = true;
      },
      onClose: handleOver,
      // A stream tells only its sink of its close: one that is aborted before it has any tells nobody.
      onAbort: () => {
        if (!isAttached) handleOver();
      },
    });
    this.#pipeline.admit(watched);
  }
}

/**
 * A listener in memory: `connect()` makes a pair of streams and lets the listener accept the one, as if it came from a socket. For tests, and for
 * parts of one program that speak a protocol with each other.
 */
export class MemoryListener extends StreamListener implements Listener {
  readonly #pipeline: AcceptPipeline;
  readonly #pair: MemoryPairOptions;

  /** @throws {RangeError} for a number out of range @throws {TypeError} for an unknown option */
  constructor(onStream: (stream: L4Stream) => void, options: MemoryListenerOptions = {}) {
    checkOptionNames('MemoryListener', options, { ...acceptOptionNames, address: true, pair: true });
    const pipeline = new AcceptPipeline(resolveAcceptOptions(options), onStream);
    super(pipeline, options.address ?? unset);
    this.#pipeline = pipeline;
    this.#pair = { clock: pipeline.config.clock, ...options.pair };
  }

  /**
   * Connects.
   *
   * @param from the address that the listener sees; default unset
   * @returns the client's end at once; a listener at its cap resets it (`CONNECTION_RESET`)
   * @throws {WireError} `CONNECT_REFUSED` when the listener is closed
   */
  connect(from: StreamAddress = unset): L4Stream {
    if (this.isClosed) throw connectError('CONNECT_REFUSED', 'the listener in memory is closed');
    const { a, b } = memoryPair({ ...this.#pair, addressA: from, addressB: this.address });
    this.#pipeline.countArrival(this.#pipeline.config.clock.now());
    if (this.tryTakePlace()) queueMicrotask(() => this.admit(b));
    else {
      b.abort(ioError('CONNECTION_SHED', 'the listener is at its cap', { fault: 'local' }));
      this.#pipeline.countShed(from);
    }
    return a;
  }
}

/** A listener that asks a source for streams. */
class SourceListener extends StreamListener implements Listener, CapWaiter {
  readonly #pipeline: AcceptPipeline;
  readonly #iterator: AsyncIterator<L4Stream> | Iterator<L4Stream>;
  /** The source is through: it has ended or thrown. */
  #isExhausted = false;
  #wake: (() => void) | null = null;

  constructor(pipeline: AcceptPipeline, iterator: AsyncIterator<L4Stream> | Iterator<L4Stream>) {
    super(pipeline, unset);
    this.#pipeline = pipeline;
    this.#iterator = iterator;
  }

  override async close(): Promise<void> {
    if (this.isClosed) return;
    await super.close();
    this.#wake?.();
    // Not waited for: a generator that awaits something answers only when that is there.
    if (!this.#isExhausted) this.#pipeline.call(() => this.#iterator.return?.());
  }

  handlePlaceFree(): void {
    this.#wake?.();
  }

  /** Never rejects. */
  async run(): Promise<void> {
    while (!this.isClosed) {
      const stream = await this.#next();
      if (stream === null) break;
      this.#pipeline.countArrival(this.#pipeline.config.clock.now());
      if (await this.#tryPlace()) this.admit(stream);
      else stream.abort();
    }
    await this.close();
  }

  /** The next stream; null at the end. */
  async #next(): Promise<L4Stream | null> {
    try {
      const result = await this.#iterator.next();
      if (result.done !== true) {
        if (isStream(result.value)) return result.value;
        throw new TypeError('the source has yielded something that is not an L4 stream');
      }
    } catch (thrown) {
      this.#pipeline.report(thrown);
    }
    this.#isExhausted = true;
    return null;
  }

  /** Takes a place, as soon as there is one. @returns false if the listener was closed before */
  async #tryPlace(): Promise<boolean> {
    if (this.isClosed) return false;
    if (this.tryTakePlace()) return true;
    const { ownCap, sharedCap } = this.#pipeline.config;
    this.#pipeline.waitingCount++;
    ownCap.waitForPlace(this);
    sharedCap?.waitForPlace(this);
    let hasPlace = false;
    while (!this.isClosed && !(hasPlace = this.tryTakePlace())) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = null;
    ownCap.stopWaiting(this);
    sharedCap?.stopWaiting(this);
    this.#pipeline.settleWaiting();
    return hasPlace;
  }
}

function iteratorOf(source: AsyncIterable<L4Stream> | Iterable<L4Stream>): AsyncIterator<L4Stream> | Iterator<L4Stream> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  if (Symbol.iterator in source) return source[Symbol.iterator]();
  throw new TypeError('listenTo needs an iterable of L4 streams');
}

function isStream(value: unknown): value is L4Stream {
  return typeof value === 'object' && value !== null && 'attach' in value && typeof value.attach === 'function';
}
