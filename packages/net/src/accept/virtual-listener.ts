/**
 * Listening on anything that yields L4 streams: tunnels, another listener's streams, a test's own. Caps, filter, PROXY header, TLS and counts are
 * those of `listen`.
 *
 * A source that is asked for its next stream can be paused, as the kernel's cannot: at a cap it is not asked until a place is free.
 */
import { setImmediate } from 'node:timers/promises';
import { connectError, internalError, ioError, textOf, type WireError } from '@ferrata/error';
import { callUser, type L4Stream, type MemoryPairOptions, memoryPair, type StreamAddress } from '@ferrata/stream';
import { checkFunction, checkObject } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { type AcceptOptions, acceptOptionNames, resolveAcceptOptions } from './accept-options.ts';
import { AcceptPipeline } from './accept-pipeline.ts';
import { admit } from './admission.ts';
import { AdmittedStream, checkedAddress, endFaulty, faultOf } from './admitted-stream.ts';
import type { CapWaiter } from './connection-cap.ts';
import type { Listener } from './listener.ts';
import { ListenerBase } from './listener-base.ts';
import { Relay } from './waiting-room.ts';

const unset: StreamAddress = { kind: 'unset' };

/**
 * Takes streams from a source, and calls `onStream` with each that has passed the caps, the filter, the PROXY header and TLS.
 *
 * The listener is closed when the source ends, throws, or yields what is no stream, which `onError` is told. `close()` ends the source by its
 * `return()`; a stream that waits for a place then, or is still yielded, is shed. At a cap the source waits. A stream whose methods throw is ended,
 * and `onError` told; one without an id or the address of its peer is shed besides; the others go on. After 64 streams in a row the event loop gets a turn.
 *
 * @throws {RangeError} for a number out of range @throws {TypeError} for an unknown option, or a source that cannot be iterated
 */
export function listenTo(
  source: AsyncIterable<L4Stream> | Iterable<L4Stream>,
  onStream: (stream: L4Stream) => void,
  options: AcceptOptions = {},
): Listener {
  checkFunction('onStream', onStream);
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

const pairNames: Readonly<Record<keyof Exclude<MemoryListenerOptions['pair'], undefined>, true>> = {
  clock: true,
  highWaterBytes: true,
  hardLimitBytes: true,
  defer: true,
  carry: true,
  nextId: true,
  kind: true,
};

/** Adds streams to a listener, and sees to their places. */
class StreamListener extends ListenerBase {
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.pipeline.closeOwnTls();
  }

  /** A stream with a place of its own; the place is given back when the stream closes, or at once if it is not fit to be served. */
  protected admit(stream: L4Stream): void {
    let admitted: AdmittedStream;
    try {
      admitted = new AdmittedStream(stream, this.pipeline);
    } catch (thrown) {
      endFaulty(stream, faultOf(thrown), this.pipeline);
      this.pipeline.releasePlace();
      return this.pipeline.countShed(unset);
    }
    try {
      admit(this.pipeline, admitted);
    } catch (thrown) {
      // Its facts may say one thing first and throw when asked again.
      endFaulty(admitted, faultOf(thrown), this.pipeline);
    }
  }

  /** Ends a stream that gets no place. */
  protected shed(stream: L4Stream, peer: StreamAddress | null): void {
    const error = ioError('CONNECTION_SHED', 'the listener has no place for it', { fault: 'local' });
    callUser(
      () => stream.abort(error),
      (thrown) => this.pipeline.report(faultOf(thrown)),
    );
    this.pipeline.countShed(peer);
  }
}

/**
 * A listener in memory: `connect()` makes a pair of streams and lets the listener accept the one, as if it came from a socket. For tests, and for
 * parts of one program that speak a protocol with each other.
 */
export class MemoryListener extends StreamListener implements Listener {
  readonly #pair: MemoryPairOptions;

  /** @throws {RangeError} for a number out of range @throws {TypeError} for an unknown option */
  constructor(onStream: (stream: L4Stream) => void, options: MemoryListenerOptions = {}) {
    checkFunction('onStream', onStream);
    checkOptionNames('MemoryListener', options, { ...acceptOptionNames, address: true, pair: true });
    if (options.address !== undefined) checkObject('address', options.address);
    if (options.pair !== undefined) checkOptionNames('pair of a MemoryListener', options.pair, pairNames);
    const pipeline = new AcceptPipeline(resolveAcceptOptions(options), onStream);
    super(pipeline, options.address ?? unset);
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
    this.pipeline.countArrival(this.pipeline.config.clock.now());
    if (!this.pipeline.tryTakePlace()) {
      this.shed(b, from);
      return a;
    }
    // Pending from now on: a close in the same tick must not take the TLS server away from it.
    this.pipeline.pendingCount++;
    queueMicrotask(() => {
      this.admit(b);
      this.pipeline.settlePending();
    });
    return a;
  }
}

/** After so many streams in a row the event loop gets its turn: a source that always has one would otherwise keep out everything else. */
const streamsPerTurn = 64;

/** A listener that asks a source for streams. */
class SourceListener extends StreamListener implements Listener, CapWaiter {
  readonly #iterator: AsyncIterator<L4Stream> | Iterator<L4Stream>;
  /** The source is through: it has ended or thrown. */
  #isExhausted = false;
  /** Of the stream that waits for its place. */
  #ticket = Infinity;
  #hasWaited = false;
  #settleWaiting: ((hasPlace: boolean) => void) | null = null;

  constructor(pipeline: AcceptPipeline, iterator: AsyncIterator<L4Stream> | Iterator<L4Stream>) {
    super(pipeline, unset);
    this.#iterator = iterator;
  }

  override async close(): Promise<void> {
    if (this.isClosed) return;
    await super.close();
    this.#settleWaiting?.(false);
    // Not waited for: a generator that awaits something answers only when that is there.
    if (this.#isExhausted) return;
    callUser(
      () => this.#iterator.return?.(),
      (thrown) => this.pipeline.report(sourceError(thrown)),
    );
  }

  firstTicket(): number {
    return this.pipeline.config.ownCap.hasPlace() ? this.#ticket : Infinity;
  }

  serveFirst(): boolean {
    if (this.#settleWaiting === null || !this.pipeline.tryTakeTurn()) return false;
    this.#settleWaiting(true);
    return true;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    for (let count = 1; !this.isClosed; count++) {
      const stream = await this.#next();
      if (stream === null) break;
      this.pipeline.countArrival(this.pipeline.config.clock.now());
      const hasPlace = await this.#tryPlace();
      // Pending meanwhile: the last one that waits must not take the TLS server with it.
      this.pipeline.pendingCount++;
      if (this.#hasWaited) this.pipeline.settleWaiting();
      this.#hasWaited = false;
      if (hasPlace) this.admit(stream);
      else this.shed(stream, peerOf(stream));
      this.pipeline.settlePending();
      if (count % streamsPerTurn === 0) await setImmediate();
    }
    await this.close();
  }

  /** The next stream; null at the end. */
  async #next(): Promise<L4Stream | null> {
    let value: unknown;
    try {
      const result = await this.#iterator.next();
      this.#isExhausted = result.done === true;
      value = result.value;
    } catch (thrown) {
      this.#isExhausted = true;
      this.pipeline.report(sourceError(thrown));
    }
    if (this.#isExhausted) return null;
    if (isStream(value)) return value;
    // The source is not through, so `close` ends it by its `return`.
    this.pipeline.report(sourceError(new TypeError('the source has yielded something that is not an L4 stream')));
    return null;
  }

  /** Takes a place, as soon as there is one. @returns false if the listener was closed before */
  async #tryPlace(): Promise<boolean> {
    if (this.isClosed) return false;
    if (this.pipeline.tryTakePlace()) return true;
    const { ownCap, sharedCap } = this.pipeline.config;
    const cap = sharedCap ?? ownCap;
    const relay = sharedCap === null ? null : new Relay(this, sharedCap);
    this.pipeline.waitingCount++;
    this.#hasWaited = true;
    this.#ticket = cap.drawTicket();
    cap.waitForPlace(this);
    if (relay !== null) ownCap.waitForPlace(relay);
    return new Promise<boolean>((resolve) => {
      this.#settleWaiting = (answer) => {
        this.#settleWaiting = null;
        this.#ticket = Infinity;
        cap.stopWaiting(this);
        if (relay !== null) ownCap.stopWaiting(relay);
        resolve(answer);
      };
    });
  }
}

/** Its address, if it can say so. */
function peerOf(stream: L4Stream): StreamAddress {
  try {
    return checkedAddress(stream.info);
  } catch {
    return unset;
  }
}

function sourceError(thrown: unknown): WireError {
  return internalError('SOURCE_THREW', textOf(thrown), { cause: thrown });
}

function iteratorOf(source: AsyncIterable<L4Stream> | Iterable<L4Stream>): AsyncIterator<L4Stream> | Iterator<L4Stream> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  if (Symbol.iterator in source) return source[Symbol.iterator]();
  throw new TypeError('listenTo needs an iterable of L4 streams');
}

function isStream(value: unknown): value is L4Stream {
  return typeof value === 'object' && value !== null && 'attach' in value && typeof value.attach === 'function';
}
