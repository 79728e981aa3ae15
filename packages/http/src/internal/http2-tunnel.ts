/**
 * A tunnel: one stream of an HTTP/2 connection, from the 2xx to CONNECT on, as an L4 stream.
 *
 * ```text
 *   write, writev ──► DATA, as windows let it          onData  ◄── inbox ◄── DATA, credit as it is taken
 *   end           ──► END_STREAM                       onEnd   ◄── inbox ◄── END_STREAM
 *   abort         ──► RST_STREAM                       onClose ◄── inbox ◄── RST_STREAM, or the end of the connection
 * ```
 * Rules of this file:
 * - Back-pressure both ways is the windows' (RFC 9113 §5.2): a reader who pauses gives no credit, and a writer is full when the queue of its stream is.
 *   What waits unread here and in the machine is no more than some two windows; a reader who pauses and resumes for each chunk gets no more before
 *   all of it is read.
 * - `onClose(null)` comes when both sides have ended and our END_STREAM is with the stream below.
 * - A session calls the `handle…` methods, and never from inside a method of the tunnel does the sink hear anything: the inbox defers.
 *
 * @see RFC 9113 §8.5 · RFC 8441 §5
 */
import { ioError, limitError, protocolError, type WireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import { type Http2Connection, Http2Event, type Http2Stream } from '@ferrata/http2';
import { Http2ErrorCode, http2ErrorName } from '@ferrata/http2-framing';
import {
  type L4Sink,
  type L4Stream,
  nextStreamId,
  StreamInbox,
  type StreamInboxOwner,
  type StreamInfo,
  type StreamState,
} from '@ferrata/stream';
import type { HttpEnvironment } from '../http-environment.ts';
import { withPeer } from './session-errors.ts';

/** A writer that goes on although it is told to wait is cut off when so much waits in its stream, as on every other stream. */
const HARD_LIMIT_BYTES = 1_048_576;

/** The session that a tunnel is a part of. */
export interface TunnelCarrier {
  readonly stream: L4Stream;
  readonly environment: HttpEnvironment;
  /** Who is at the other end, for errors. */
  readonly peer: 'upstream' | 'downstream';
  /** Writes of the connection so far. */
  readonly writeCount: number;
  afterSend(): void;
  /** @param queuedBytes how much waits in the stream */
  afterSendData(queuedBytes: number): void;
  /** Goes on to read a stream that was paused. */
  resumeTunnel(stream: Http2Stream): void;
  /** Our side has ended: `handleFlushed` is to be called after each write until it says true. */
  awaitFlush(tunnel: Http2Tunnel): void;
  /** The stream is gone; once. @param error with what, null after an end in order */
  releaseTunnel(tunnel: Http2Tunnel, error: WireError | null): void;
}

/** One stream of HTTP/2 as an L4 stream. */
export class Http2Tunnel implements L4Stream, StreamInboxOwner {
  readonly id: number = nextStreamId();
  readonly info: StreamInfo;
  /** The stream that carries it. */
  readonly stream: Http2Stream;
  /** A sink was attached, which hears of the end. */
  isHeard = false;
  readonly #carrier: TunnelCarrier;
  readonly #machine: Http2Connection;
  readonly #inbox: StreamInbox;
  /** Reading is paused in the machine. */
  #isHeld = true;
  /** `write` has said false, and `onDrain` did not follow yet. */
  #isFull = false;
  #isEnded = false;
  /** Our END_STREAM is with the stream below. */
  #isEndOut = false;
  /** END_STREAM waits in the machine until there was a further write than this one; −1: it waits for window. */
  #endWrite = -1;
  #isPeerEnded = false;
  #isClosed = false;
  #isReleased = false;

  /** @param startedAt when the request was made. The stream is held in the machine from now on, until a sink is attached */
  constructor(carrier: TunnelCarrier, machine: Http2Connection, stream: Http2Stream, startedAt: number) {
    this.#carrier = carrier;
    this.#machine = machine;
    this.stream = stream;
    this.#inbox = new StreamInbox(this);
    const { recentNow } = carrier.environment;
    machine.setReadingPaused(stream, true, recentNow);
    const { info } = carrier.stream;
    this.info = {
      kind: 'http2-tunnel',
      localAddress: info.localAddress,
      remoteAddress: info.remoteAddress,
      tls: null,
      timing: { startedAt, establishedAt: recentNow },
      below: info,
      extension: undefined,
    };
  }

  // ---- queries -------------------------------------------------------------------------------------------------------------------

  get state(): StreamState {
    if (this.#isClosed || (this.#isEnded && this.#isPeerEnded)) return 'closed';
    if (this.#isEnded) return 'ended';
    return this.#isPeerEnded ? 'peerEnded' : 'open';
  }

  get bufferedBytes(): number {
    return this.#isClosed ? 0 : this.stream.queuedBytes;
  }

  // ---- commands ------------------------------------------------------------------------------------------------------------------

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.isHeard = true;
    this.#inbox.attach(sink, head);
    this.#readOn();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    if (!this.#push(chunk)) return false;
    this.#carrier.afterSendData(this.stream.queuedBytes);
    return !this.#isFull;
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    for (const chunk of chunks) if (!this.#push(chunk)) return false;
    this.#carrier.afterSendData(this.stream.queuedBytes);
    return !this.#isFull;
  }

  pause(): void {
    this.#inbox.pause();
    if (this.#isHeld || this.#isReleased) return;
    this.#isHeld = true;
    this.#machine.setReadingPaused(this.stream, true, this.#carrier.environment.recentNow);
  }

  resume(): void {
    this.#inbox.resume();
    this.#readOn();
  }

  end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#isEnded = true;
    this.#machine.sendEnd(this.stream, null, this.#carrier.environment.recentNow);
    // Without DATA in front of it END_STREAM is made at once, and leaves with the next write.
    if (this.stream.isSendEnded) this.#endWrite = this.#carrier.writeCount;
    this.#carrier.awaitFlush(this);
    this.#carrier.afterSend();
  }

  abort(error?: WireError): void {
    if (this.#inbox.isClosed) return;
    this.#isClosed = true;
    this.#inbox.abort(error ?? null);
    this.#reset(this.#abortCode(error), error ?? null);
  }

  // ---- called by the session -----------------------------------------------------------------------------------------------------

  /** What the machine has found on the stream. */
  handleEvent(): void {
    const machine = this.#machine;
    switch (machine.event) {
      case Http2Event.data:
        this.#inbox.data(machine.data);
        break;
      case Http2Event.end:
        this.#handleEnd(machine.trailers);
        break;
      case Http2Event.reset:
        this.#handleReset(machine.error as WireError);
        break;
      default:
    }
  }

  /** The peer has ended its side. */
  #handleEnd(trailers: HeaderMap | null): void {
    // RFC 9113 §8.5: nothing but DATA and frames of the stream's management may come.
    if (trailers !== null) {
      this.fail(
        protocolError('H2_TUNNEL_TRAILERS', 'trailers on a tunnel', { wire: { http2Code: Http2ErrorCode.protocolError, status: 502 } }),
      );
      return;
    }
    this.#inbox.end();
  }

  /** The stream was reset: by the peer, or by the machine, which then says why. */
  #handleReset(error: WireError): void {
    if (error.reason !== 'H2_STREAM_RESET') {
      this.lose(withPeer(error, this.#carrier.peer));
      return;
    }
    const http2Code = error.wire.http2Code ?? Http2ErrorCode.noError;
    const message = `the peer has reset the tunnel: ${http2ErrorName(http2Code)}`;
    const details = { cause: error, retry: 'never', wire: { http2Code, status: 502 }, source: this.#carrier.peer } as const;
    this.lose(ioError('CONNECTION_RESET', message, details));
  }

  /** The stream has room again. */
  handleRoom(): void {
    this.#isFull = false;
    this.#inbox.drain();
  }

  /** The connection has written. @returns true: no need to call again */
  handleFlushed(): boolean {
    if (this.#isReleased) return true;
    if (!this.stream.isSendEnded || this.#carrier.writeCount <= this.#endWrite) return false;
    this.#isEndOut = true;
    this.#settle();
    return true;
  }

  /** Ends a tunnel whose stream is there, with what the peer hears as RST_STREAM. */
  fail(error: WireError): void {
    if (this.#isReleased) return;
    this.#isClosed = true;
    this.#inbox.close(withPeer(error, this.#carrier.peer));
    this.#reset(error.wire.http2Code ?? this.#abortCode(error), error);
  }

  /** The stream is gone, or the whole connection. */
  lose(error: WireError): void {
    if (this.#isReleased) return;
    this.#isClosed = true;
    this.#inbox.close(error);
    this.#release(error);
  }

  // ---- called by the inbox -------------------------------------------------------------------------------------------------------

  handleSinkFault(error: WireError): void {
    this.abort(error);
  }

  handleFreed(): void {
    this.#readOn();
  }

  handleEndTold(): void {
    this.#isPeerEnded = true;
    this.#settle();
  }

  // ---- private -------------------------------------------------------------------------------------------------------------------

  /** @returns false if nothing was accepted */
  #push(chunk: Uint8Array): boolean {
    if (chunk.length === 0) return true;
    const { queuedBytes } = this.stream;
    if (queuedBytes >= HARD_LIMIT_BYTES) {
      this.abort(limitError('STREAM_WRITE_OVERFLOW', `a write on top of ${queuedBytes} unsent bytes`, { fault: 'local' }));
      return false;
    }
    if (!this.#machine.sendData(this.stream, chunk, this.#carrier.environment.recentNow)) {
      this.#isFull = true;
      this.#inbox.full();
    }
    return true;
  }

  /** Lets the machine give what comes, when all that came before is read. */
  #readOn(): void {
    if (!this.#isHeld || this.#isReleased || this.#inbox.isPaused || this.#inbox.byteLength > 0) return;
    this.#isHeld = false;
    this.#carrier.resumeTunnel(this.stream);
  }

  #settle(): void {
    if (this.#isClosed || !this.#isEndOut || !this.#isPeerEnded) return;
    this.#isClosed = true;
    this.#inbox.close(null);
    this.#release(null);
  }

  #reset(code: number, error: WireError | null): void {
    if (this.#isReleased) return;
    this.#machine.reset(this.stream, code, this.#carrier.environment.recentNow);
    this.#carrier.afterSend();
    this.#release(error);
  }

  #release(error: WireError | null): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#carrier.releaseTunnel(this, error);
  }

  /** RFC 9113 §8.5: what goes wrong behind a proxy is CONNECT_ERROR; RFC 8441 §5: a reset of an extended CONNECT's protocol is CANCEL. */
  #abortCode(error: WireError | undefined): number {
    const isOrigin = this.#carrier.peer === 'downstream' && error !== undefined && this.stream.protocol === null;
    return isOrigin ? Http2ErrorCode.connectError : Http2ErrorCode.cancel;
  }
}

/** After a write: asks each tunnel of `waiting`, which is emptied meanwhile, as what they do may add to it. Those that are not done wait again. */
export function settleFlushed(waiting: Http2Tunnel[]): void {
  for (const tunnel of waiting.splice(0)) if (!tunnel.handleFlushed()) waiting.push(tunnel);
}
