/**
 * One of Node's sockets, or any other `Duplex` of bytes, as an L4 stream. The hottest code of a proxy.
 *
 * Rules of this file:
 * - No closure, promise or event object per chunk, and none per stream: the five listeners are functions of the class, shared by all
 *   streams, which find their stream through a symbol on the socket (Node calls a listener with the socket as `this`).
 * - `#gate` is 0 while bytes flow, so the hot path is one comparison. Each bit that is set is a reason not to call the sink right now; what
 *   came in the meantime waits in `#queue` or as a due bit, and `#flush` delivers it from a fresh tick.
 * - Node's own sockets never emit from inside `write`, `pause` or `resume`, but other duplexes do (a `PassThrough` emits `data` from inside
 *   `write`). The `inside` bit defers such calls: a stream never calls its sink from inside one of its own methods.
 * - Chunks: Node gives every read a buffer of its own, cut to size, and never writes to it again, so a chunk is handed on as it came. (How
 *   connected sockets read cheaper than that: `connector-reads.ts`.)
 *
 * ```text
 *   gate bits                    set by                                cleared by
 *   inside                       entering a method that calls Node     leaving it
 *   paused                       pause                                 resume, attach
 *   unattached                   constructor                           first attach
 *   queued                       attach with a head, data out of turn  flush, once told
 *   drainDue, endDue, closeDue   an event out of turn                  flush, once told
 *   flushDue                     a flush is on the tick queue          flush
 *   endSeen, closeSeen           `end`, `close` of the socket          abort clears endSeen
 *   dead                         error, abort, close told              never
 *   aborted                      abort, releaseHost                    never
 *   closeTold                    onClose                               a later attach, which is told again
 *   released                     releaseHost                           never
 * ```
 */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { fromNodeError, internalError, ioError, limitError, textOf, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream, StreamInfo, StreamState } from '@ferrata/stream';
import { freeChunk, isGivenAway, nextStreamId, takeBack } from '@ferrata/stream';
import { ReadingSocket } from '../connect/reading-socket.ts';
import { warn } from '../warn.ts';
import { joinSmall } from './join-small.ts';
import { abortHost } from './socket-abort.ts';
import { SocketInfo } from './socket-info.ts';
import type { ReleasedHost, StreamOrigin } from './stream-origin.ts';

export type { ReleasedHost, StreamOrigin } from './stream-origin.ts';

const Gate = {
  inside: 0x1,
  paused: 0x2,
  unattached: 0x4,
  queued: 0x8,
  drainDue: 0x10,
  endDue: 0x20,
  closeDue: 0x40,
  flushDue: 0x80,
  endSeen: 0x100,
  closeSeen: 0x200,
  dead: 0x400,
  aborted: 0x800,
  closeTold: 0x1000,
  released: 0x2000,
} as const;

/** Anything that waits to be told. */
const anyDue = Gate.queued | Gate.drainDue | Gate.endDue | Gate.closeDue;

/**
 * Up to this many bytes in all, `writev` copies its chunks into one; above, it hands them to `writev(2)`. A copy of 4 KiB costs less than
 * the request object and the array that a gathered write needs.
 */
const maxCopiedBytes = 4096;

const nothing = new Uint8Array(0);

const streamKey: unique symbol = Symbol('@ferrata/net/stream');

/** A duplex that carries its stream. */
interface Host extends Duplex {
  [streamKey]?: SocketStream;
}

/** An `L4Stream` over a duplex. Made by `listen`, `connect` and `fromDuplex`. */
export class SocketStream implements L4Stream {
  readonly id: number;
  readonly #host: Host;
  readonly #origin: StreamOrigin;
  // All fields are set here, in one order, so that every stream has the same shape.
  #gate: number = Gate.unattached;
  #state: StreamState = 'open';
  #sink: L4Sink | null = null;
  #error: WireError | null = null;
  #queue: Uint8Array[] | null = null;
  /** It has drained, and no write has found it full since. */
  #hasDrained = false;
  #info: StreamInfo | null;
  readonly #startedAt: number;
  #establishedAt: number;

  /**
   * @param host a duplex of bytes that nobody else listens to
   * @param startedAt monotonic milliseconds, see `StreamTiming`
   * @param info facts that replace those looked up from the socket
   */
  constructor(host: Duplex, origin: StreamOrigin, startedAt: number, info: StreamInfo | null = null) {
    this.id = nextStreamId();
    this.#host = host;
    this.#origin = origin;
    this.#info = info;
    this.#startedAt = startedAt;
    this.#establishedAt = startedAt;
    if (this.#host[streamKey] !== undefined) throw new TypeError('this duplex is a stream already');
    this.#host[streamKey] = this;
    // An `error` listener from birth to the end: without one, a reset would end the process.
    host.on('error', SocketStream.#onError);
    host.on('close', SocketStream.#onClose);
    host.on('end', SocketStream.#onEnd);
    host.on('drain', SocketStream.#onDrain);
  }

  get info(): StreamInfo {
    if (this.#info !== null) return this.#info;
    const timing = { startedAt: this.#startedAt, establishedAt: this.#establishedAt };
    const { kind, unixPath, isAccepted } = this.#origin;
    return (this.#info = new SocketInfo(this.#host, { kind, timing, unixPath, isAccepted }));
  }

  get state(): StreamState {
    return this.#state;
  }

  get bufferedBytes(): number {
    return (this.#gate & Gate.dead) === 0 ? this.#host.writableLength : 0;
  }

  /** Whether the stream is aborted or closed, and why; for the connector, before anybody is attached. */
  get closeError(): WireError | null {
    return this.#error;
  }

  /** Notes when the connection was ready for bytes; for the connector. */
  markEstablished(at: number): void {
    this.#establishedAt = at;
  }

  /** Takes note of what happened to a duplex before it became a stream, as no event will tell of it; for `fromDuplex`. */
  catchUp(): void {
    const host = this.#host;
    if (host.writableEnded) this.#state = 'ended';
    if (host.readableEnded) this.#gate |= Gate.endSeen;
    if (!host.destroyed) return;
    this.#die(closedEarly('the duplex was destroyed before it became a stream'));
    // `close` itself may still be to come; it changes nothing any more.
    this.#gate |= Gate.closeSeen;
    host.removeListener('close', SocketStream.#onClose);
  }

  /**
   * Bytes that a socket read by `onread`; for the connector.
   *
   * @returns false if the socket must stop reading. It may read though it was paused: Node's `resume` starts reading a tick later, without
   * looking whether `pause` was called in between.
   */
  static handleRead(host: Duplex, chunk: Uint8Array): boolean {
    SocketStream.#onData.call(host, chunk);
    return ((host as Host)[streamKey] as SocketStream).#gate === 0;
  }

  /** Other facts from now on; for a layer that has learnt more about the connection. */
  replaceInfo(info: StreamInfo): void {
    this.#info = info;
  }

  /**
   * Puts bytes back in front of whatever comes next: of a later sink, or of the same one. What is put back last comes first. Once the end was told, put bytes back only right
   * before another sink is attached, which hears of them and of the end; the same sink would hear data after its end.
   */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#enqueueFirst(bytes);
    if ((this.#gate & anyDue) !== 0) this.#scheduleFlush();
  }

  /**
   * Takes the socket away from its stream, for a layer on top that works on sockets. The stream is closed from then on without telling anybody,
   * but is still counted as open by its origin until the socket closes.
   *
   * @returns the socket, paused, and the bytes that nobody has read yet; null if either side has ended, or bytes are still to be sent; and for a TLS socket, since one
   *   on top of another hears nothing of its end
   */
  releaseHost(): ReleasedHost | null {
    const host = this.#host;
    const isBusy = (this.#gate & (Gate.dead | Gate.endSeen | Gate.closeSeen | Gate.inside)) !== 0 || host.writableLength > 0;
    if (this.#state !== 'open' || isBusy || host.destroyed || 'encrypted' in host) return null;
    const unread = this.#queue ?? [];
    host.pause();
    // `error` and `close` stay: the first so that the process lives, the second for the count.
    host.removeListener('data', SocketStream.#onData);
    host.removeListener('end', SocketStream.#onEnd);
    host.removeListener('drain', SocketStream.#onDrain);
    this.#die(null);
    this.#queue = null;
    this.#sink = null;
    this.#gate = (this.#gate & ~anyDue) | Gate.aborted | Gate.closeSeen | Gate.released;
    return { host, unread, abort: (error) => abortHost(host, this.#origin, error) };
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    if ((this.#gate & Gate.released) !== 0) return this.#attachReleased(sink);
    const isFirst = (this.#gate & Gate.unattached) !== 0;
    this.#sink = sink;
    this.#gate &= ~(Gate.unattached | Gate.paused);
    if (head !== undefined && head.length > 0) this.#enqueueFirst(head);
    // A later sink is told what its forerunner was.
    if ((this.#gate & Gate.endSeen) !== 0) this.#gate |= Gate.endDue;
    if ((this.#gate & Gate.closeSeen) !== 0) this.#gate = (this.#gate | Gate.closeDue) & ~Gate.closeTold;
    if (this.#hasDrained && (this.#gate & Gate.dead) === 0) this.#gate |= Gate.drainDue;
    const host = this.#host;
    const mustWait = (this.#gate & anyDue) !== 0;
    this.#gate |= Gate.inside;
    // Paused first: adding a `data` listener would start the flow ahead of what waits here.
    if (mustWait) host.pause();
    if (isFirst && !this.#origin.readsByCallback) host.on('data', SocketStream.#onData);
    this.#gate &= ~Gate.inside;
    this.#letFlow();
  }

  write(chunk: Uint8Array): boolean {
    const state = this.#state;
    if (state !== 'open' && state !== 'peerEnded') return false;
    if (chunk.length === 0) return !this.#host.writableNeedDrain;
    let hasRoom = false;
    this.#gate |= Gate.inside;
    try {
      hasRoom = isGivenAway(chunk) ? this.#writeGiven(chunk) : this.#host.write(chunk);
    } finally {
      this.#gate &= ~Gate.inside;
    }
    if (!hasRoom) this.#handleFull(chunk.length);
    return hasRoom;
  }

  /** Frees the chunk once the kernel has its bytes. Any other duplex may pass it on to somebody who keeps it. */
  #writeGiven(chunk: Uint8Array): boolean {
    if (this.#host instanceof Socket) return this.#host.write(chunk, () => freeChunk(chunk));
    takeBack(chunk);
    return this.#host.write(chunk);
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    let total = 0;
    for (let i = 0; i < chunks.length; i++) total += (chunks[i] as Uint8Array).length;
    if (chunks.length === 1) return this.write(chunks[0] as Uint8Array);
    if (total <= maxCopiedBytes) return this.write(joinSmall(chunks, total));
    if (this.#state !== 'open' && this.#state !== 'peerEnded') return false;
    const host = this.#host;
    let hasRoom = true;
    this.#gate |= Gate.inside;
    try {
      host.cork();
      for (let i = 0; i < chunks.length; i++) {
        const chunk = chunks[i] as Uint8Array;
        if (chunk.length > 0) hasRoom = isGivenAway(chunk) ? this.#writeGiven(chunk) : host.write(chunk);
      }
      host.uncork();
    } finally {
      this.#gate &= ~Gate.inside;
    }
    if (!hasRoom) this.#handleFull(total);
    return hasRoom;
  }

  pause(): void {
    if ((this.#gate & (Gate.paused | Gate.unattached | Gate.released)) !== 0) return;
    this.#gate |= Gate.paused | Gate.inside;
    this.#host.pause();
    this.#gate &= ~Gate.inside;
  }

  resume(): void {
    if ((this.#gate & (Gate.paused | Gate.unattached)) !== Gate.paused) return;
    this.#gate &= ~Gate.paused;
    this.#letFlow();
  }

  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    else if (this.#state === 'peerEnded') this.#state = 'closed';
    else return;
    const host = this.#host;
    this.#gate |= Gate.inside;
    // A socket is told only when all bytes are with the kernel: while a shutdown waits behind unsent bytes it can't be reset, and an abort
    // would look like an orderly, early end to the peer.
    if (host instanceof Socket && host.writableLength > 0) host.write(nothing, () => this.#endHost());
    else host.end();
    this.#gate &= ~Gate.inside;
  }

  /** Not after an abort, which over TLS waits for its turn: a socket that is shutting down cannot be reset (EINVAL), and would never close. */
  #endHost(): void {
    if (!this.#host.destroyed && (this.#gate & Gate.aborted) === 0) this.#host.end();
  }

  abort(error?: WireError): void {
    if ((this.#gate & (Gate.aborted | Gate.closeTold)) !== 0) return;
    this.#die(error ?? null);
    this.#queue = null;
    this.#gate = (this.#gate & ~(Gate.queued | Gate.endDue | Gate.endSeen | Gate.drainDue)) | Gate.aborted | Gate.inside;
    abortHost(this.#host, this.#origin, error);
    this.#gate &= ~Gate.inside;
    // The host may have closed before, in good order, while the end waited for the sink to resume: no other `close` will come.
    if ((this.#gate & Gate.closeDue) !== 0) this.#scheduleFlush();
  }

  /** The first sink, or another one, of a stream that has no host any more: all it hears is the close. */
  #attachReleased(sink: L4Sink): void {
    this.#sink = sink;
    this.#gate = (this.#gate & ~(Gate.unattached | Gate.paused | Gate.closeTold)) | Gate.closeDue;
    this.#scheduleFlush();
  }

  // The listeners: `this` is the socket.

  static #onData(this: Host, chunk: Uint8Array): void {
    const stream = this[streamKey] as SocketStream;
    if (stream.#gate !== 0) return stream.#enqueue(chunk);
    try {
      (stream.#sink as L4Sink).onData(chunk);
    } catch (thrown) {
      stream.#sinkThrew(thrown);
    }
  }

  static #onDrain(this: Host): void {
    const stream = this[streamKey] as SocketStream;
    const gate = stream.#gate;
    if ((gate & Gate.dead) !== 0) return;
    if ((gate & (Gate.inside | Gate.unattached)) !== 0) return stream.#due(Gate.drainDue);
    stream.#tellDrain();
  }

  static #onEnd(this: Host): void {
    const stream = this[streamKey] as SocketStream;
    const gate = stream.#gate;
    if ((gate & Gate.dead) !== 0) return;
    if (this instanceof ReadingSocket && this.writeError !== null) {
      // Not an orderly end: what we wrote did not arrive.
      this.destroy(this.writeError);
      return;
    }
    stream.#gate = gate | Gate.endSeen;
    if ((gate & (Gate.inside | Gate.unattached | Gate.paused | Gate.queued)) !== 0) return stream.#due(Gate.endDue);
    stream.#tellEnd();
  }

  static #onError(this: Host, error: Error): void {
    const stream = this[streamKey] as SocketStream;
    if ((stream.#gate & Gate.dead) === 0) stream.#die(fromNodeError(error));
    // A duplex made with `autoDestroy: false` would stay open after its error.
    if (!this.destroyed) this.destroy();
  }

  static #onClose(this: Host): void {
    const stream = this[streamKey] as SocketStream;
    const wasOrderly = (stream.#gate & Gate.endSeen) !== 0 && this.writableFinished;
    if ((stream.#gate & Gate.dead) === 0 && !wasOrderly) stream.#die(closedEarly('the socket was closed before both sides had ended'));
    stream.#gate |= Gate.closeSeen;
    stream.#origin.onStreamClosed(stream);
    const gate = stream.#gate;
    if ((gate & Gate.released) !== 0) return;
    if ((gate & (Gate.inside | Gate.unattached | Gate.queued | Gate.endDue)) !== 0) return stream.#due(Gate.closeDue);
    stream.#tellClose();
  }

  // Out of turn.

  /** Nothing that the socket still has to say matters; what waits here already may yet be told before the close. */
  #die(error: WireError | null): void {
    this.#state = 'closed';
    this.#error = error;
    this.#gate |= Gate.dead;
  }

  #enqueue(chunk: Uint8Array): void {
    // Node's read loop goes on emitting what it had buffered after a `destroy` from inside a `data` listener.
    if ((this.#gate & Gate.dead) !== 0) return;
    if (this.#queue === null) this.#queue = [chunk];
    else this.#queue.push(chunk);
    this.#due(Gate.queued);
  }

  /** A head is older than anything that waits here. */
  #enqueueFirst(head: Uint8Array): void {
    if ((this.#gate & Gate.aborted) !== 0) return;
    if (this.#queue === null) this.#queue = [head];
    else this.#queue.unshift(head);
    this.#gate |= Gate.queued;
  }

  #due(what: number): void {
    this.#gate |= what;
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if ((this.#gate & (Gate.flushDue | Gate.unattached)) !== 0) return;
    this.#gate |= Gate.flushDue;
    process.nextTick(SocketStream.#flush, this);
  }

  /** Lets bytes come: first those that wait here, then the socket's. */
  #letFlow(): void {
    if ((this.#gate & anyDue) !== 0) return this.#scheduleFlush();
    if ((this.#gate & Gate.dead) !== 0) return;
    this.#gate |= Gate.inside;
    this.#host.resume();
    this.#gate &= ~Gate.inside;
  }

  /** Looks at the gate anew after every call of the sink, which may pause, abort, or attach another sink with a head. */
  static #flush(stream: SocketStream): void {
    stream.#gate &= ~Gate.flushDue;
    if ((stream.#gate & Gate.drainDue) !== 0) stream.#tellDrain();
    stream.#tellQueue();
    if ((stream.#gate & (Gate.endDue | Gate.queued | Gate.paused)) === Gate.endDue) stream.#tellEnd();
    if ((stream.#gate & Gate.closeDue) !== 0) {
      // An orderly close comes after all data and the end, however long the sink stays paused; a failure does not wait for it.
      const mustWait = stream.#error === null && (stream.#gate & (Gate.queued | Gate.endDue)) !== 0;
      if (!mustWait) stream.#tellClose();
    } else if (stream.#gate === 0) stream.#letFlow();
  }

  #tellQueue(): void {
    while ((this.#gate & (Gate.queued | Gate.paused)) === Gate.queued) {
      // At most a head or two, or what one call of a duplex emitted: shifting is cheap.
      const queue = this.#queue as Uint8Array[];
      const chunk = queue.shift() as Uint8Array;
      if (queue.length === 0) {
        this.#queue = null;
        this.#gate &= ~Gate.queued;
      }
      try {
        (this.#sink as L4Sink).onData(chunk);
      } catch (thrown) {
        this.#sinkThrew(thrown);
      }
    }
  }

  #tellDrain(): void {
    this.#gate &= ~Gate.drainDue;
    this.#hasDrained = true;
    try {
      (this.#sink as L4Sink).onDrain();
    } catch (thrown) {
      this.#sinkThrew(thrown);
    }
  }

  #tellEnd(): void {
    this.#gate &= ~Gate.endDue;
    if (this.#state === 'open') this.#state = 'peerEnded';
    else if (this.#state === 'ended') this.#state = 'closed';
    try {
      (this.#sink as L4Sink).onEnd();
    } catch (thrown) {
      this.#sinkThrew(thrown);
    }
  }

  #tellClose(): void {
    const sink = this.#sink as L4Sink;
    this.#state = 'closed';
    this.#gate = (this.#gate & ~anyDue) | Gate.dead | Gate.closeTold;
    this.#queue = null;
    this.#sink = null;
    try {
      sink.onClose(this.#error);
    } catch (thrown) {
      // There is nobody left to tell: the stream is closed.
      warn(thrown);
    }
  }

  /** A sink that throws is a bug of this program: the stream ends, the process lives. */
  #sinkThrew(thrown: unknown): void {
    this.abort(internalError('SINK_THREW', textOf(thrown), { cause: thrown }));
  }

  /** A writer that goes on writing against a full stream is a bug, and would let a slow reader take all the memory. */
  #handleFull(written: number): void {
    this.#hasDrained = false;
    this.#gate &= ~Gate.drainDue;
    const before = this.#host.writableLength - written;
    if (before < this.#origin.hardLimitBytes) return;
    this.abort(limitError('STREAM_WRITE_OVERFLOW', `a write on top of ${before} unsent bytes`, { fault: 'local' }));
  }
}

function closedEarly(message: string): WireError {
  return ioError('CONNECTION_CLOSED_EARLY', message, { retry: 'ifReused' });
}
