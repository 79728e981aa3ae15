/**
 * DATA of the peer: windows, declared lengths, and pieces that wait because nobody reads.
 *
 * Rules of this file:
 * - The window of the connection is renewed on receipt and the window of a stream when its bytes are taken, so that a stream which nobody reads stops
 *   itself and no other. What can wait is bounded by the windows of the streams together (`maxReceiveBufferBytes`).
 * - Whoever pauses a stream as it takes a piece has no use for more: the piece earns its credit when reading is resumed. A window that begins small
 *   becomes `readWindowBytes` with the first credit, so that a thousand streams nobody reads hold a thousand small windows.
 * - Padding, and DATA of streams that are gone, count in the window of the connection all the same (RFC 9113 §6.9).
 * - A frame is charged whole with its first piece: more than the window is refused before anything of it is kept.
 * - Pieces that wait are copied together: a frame of one byte must neither pin the chunk it came in nor cost an object.
 *
 * @see RFC 9113 §5.2, §6.1, §6.9, §8.1.1
 */
import { type FrameDecoder, FrameFlag, Http2ErrorCode, writeWindowUpdate } from '@ferrata/http2-framing';
import { violation } from '../errors.ts';
import { DEFAULT_WINDOW_BYTES, ReceiveWindow } from '../flow-window.ts';
import { Http2Event } from '../http2-event.ts';
import type { Http2Stream } from '../stream.ts';
import { mayReceive, StreamFrame, stateAfterReceivedEnd, Verdict, verdictOn } from '../stream-state.ts';
import type { Core } from './core.ts';
import type { FoundEvent } from './found-event.ts';
import { ignoreData, refuseFrame, streamError } from './stream-errors.ts';

/** Memory for pieces that wait is made in steps of so much. */
const HELD_BYTES = 16_384;

export class BodyIn {
  readonly #core: Core;
  readonly #found: FoundEvent;
  readonly #window: ReceiveWindow;
  /** The stream of the frame at hand; null if its bytes are thrown away. */
  #stream: Http2Stream | null = null;
  /** The frame at hand is for a stream that is gone: it is charged, and nothing else. */
  #isStray = false;
  /** Bytes of the frame at hand that came as pieces; what is missing at its end was padding. */
  #taken = 0;
  /** The stream of the piece that was given last, until its credit is settled. */
  #given: Http2Stream | null = null;
  /** That piece had waited here. */
  #isGivenLate = false;
  /** Streams whose reading was resumed and that have pieces to give. */
  readonly #resumed: Http2Stream[] = [];

  constructor(core: Core, found: FoundEvent) {
    this.#core = core;
    this.#found = found;
    this.#window = new ReceiveWindow(DEFAULT_WINDOW_BYTES);
  }

  /** The connection begins: its window becomes what the options say. */
  openConnectionWindow(): void {
    this.#window.grow(this.#core.options.connectionWindowBytes);
    const credit = this.#window.takeAllCredit();
    if (credit > 0) writeWindowUpdate(this.#core.writer, 0, credit);
  }

  /** A message with a body begins. */
  open(stream: Http2Stream): void {
    const window = new ReceiveWindow(this.#core.firstWindow());
    stream.receiveWindow = window;
    this.#core.growth.open(window);
  }

  /** Our SETTINGS were acknowledged: windows that began with the default lose what we said less (RFC 9113 §6.9.2). */
  applyInitialWindow(): void {
    const { options, table, growth } = this.#core;
    const difference = DEFAULT_WINDOW_BYTES - options.initialWindowBytes;
    if (difference <= 0) return;
    for (const stream of table.openStreams) {
      const { receiveWindow } = stream;
      if (receiveWindow === null) continue;
      // By the difference, as the peer does it: credit may have made the window larger since it began.
      growth.shrink(receiveWindow, receiveWindow.size - difference);
      // What was taken already may be worth a frame now; nothing else would ask, as the peer may have no window left.
      this.#credit(stream);
    }
  }

  // ---- frames --------------------------------------------------------------------------------------------------------------------

  /** A piece of DATA. @returns true if there is an event */
  onData(frame: FrameDecoder): boolean {
    if (frame.isFrameStart && !this.#beginFrame(frame)) return this.#found.event !== Http2Event.none;
    const stream = this.#stream;
    const { payloadStart, payloadEnd } = frame;
    const count = payloadEnd - payloadStart;
    if (this.#isStray) return this.#ignore(frame, count);
    if (stream === null || stream.isClosed || stream.receiveWindow === null) return false;
    this.#taken += count;
    stream.receivedBytes += count;
    stream.activeAt = this.#core.now;
    if (stream.receiveLength >= 0 && stream.receivedBytes > stream.receiveLength) {
      return this.#fail(stream, Http2ErrorCode.protocolError, 'H2_BODY_TOO_LONG', 'more DATA than Content-Length says');
    }
    let isEnd = false;
    if (frame.isFrameEnd) {
      isEnd = (frame.flags & FrameFlag.endStream) !== 0;
      const padding = frame.length - this.#taken;
      if (padding > 0) stream.receiveWindow.release(padding);
      const tripped = this.#core.guard?.onData(this.#taken, padding, isEnd) ?? null;
      if (tripped !== null) {
        this.#core.trip(tripped);
        return false;
      }
      if (isEnd && !this.endMessage(stream)) return true;
    }
    return this.#give(stream, frame, count, isEnd);
  }

  /** @returns false if the pieces of the frame are to be thrown away */
  #beginFrame(frame: FrameDecoder): boolean {
    const core = this.#core;
    const window = this.#window;
    const { length, streamId } = frame;
    this.#stream = null;
    this.#isStray = false;
    this.#taken = 0;
    if (!window.receive(length)) {
      core.fail(violation('H2_WINDOW_EXCEEDED', Http2ErrorCode.flowControlError, 'more DATA than the window of the connection'));
      return false;
    }
    window.release(length);
    const credit = window.takeCredit();
    if (credit > 0) {
      writeWindowUpdate(core.writer, 0, credit);
      core.countReply();
    }
    const stream = core.table.find(streamId);
    if (stream === null) {
      refuseFrame(core, streamId, StreamFrame.data, length);
      this.#isStray = core.fatal === null;
      return this.#isStray;
    }
    const verdict = verdictOn(stream.state, StreamFrame.data);
    if (verdict !== Verdict.fine) {
      this.#fail(stream, Http2ErrorCode.streamClosed, 'H2_STREAM_CLOSED', 'DATA behind END_STREAM');
      return false;
    }
    if (!stream.isHeadReceived || stream.receiveWindow === null) {
      this.#fail(stream, Http2ErrorCode.protocolError, 'H2_DATA_BEFORE_HEAD', 'DATA before the head of a response');
      return false;
    }
    if (!stream.receiveWindow.receive(length)) {
      this.#fail(stream, Http2ErrorCode.flowControlError, 'H2_STREAM_WINDOW_EXCEEDED', 'more DATA than the window of the stream');
      return false;
    }
    if (core.growth.receive(stream.receiveWindow, length, core.now)) core.pings.send(core.writer, core.now);
    this.#stream = stream;
    return true;
  }

  /** A piece of DATA for a stream that is gone. */
  #ignore(frame: FrameDecoder, count: number): false {
    this.#taken += count;
    if (frame.isFrameEnd) {
      const isEnd = (frame.flags & FrameFlag.endStream) !== 0;
      ignoreData(this.#core, frame.streamId, this.#taken, frame.length - this.#taken, isEnd);
    }
    return false;
  }

  /** No frame is at hand. */
  letGo(): void {
    this.#stream = null;
  }

  /** END_STREAM has come. @returns false if the message is shorter than it said; the stream is reset then */
  endMessage(stream: Http2Stream): boolean {
    if (stream.receiveLength >= 0 && stream.receivedBytes !== stream.receiveLength) {
      this.#fail(stream, Http2ErrorCode.protocolError, 'H2_BODY_TOO_SHORT', 'less DATA than Content-Length says');
      return false;
    }
    stream.state = stateAfterReceivedEnd(stream.state);
    return true;
  }

  #give(stream: Http2Stream, frame: FrameDecoder, count: number, isEnd: boolean): boolean {
    if (stream.isReadingPaused || stream.held !== null || stream.isEndHeld) {
      if (count > 0) hold(stream, frame.bytes, frame.payloadStart, frame.payloadEnd);
      if (isEnd) stream.isEndHeld = true;
      return false;
    }
    if (count === 0) {
      if (!isEnd) {
        if (this.#credit(stream)) this.#core.countReply();
        return false;
      }
      this.giveEnd(stream, null);
      return true;
    }
    const found = this.#found;
    found.set(Http2Event.data, stream, null);
    found.data = frame.bytes.subarray(frame.payloadStart, frame.payloadEnd);
    if (isEnd) found.endsNext = stream;
    stream.receiveWindow?.release(count);
    this.#given = stream;
    this.#isGivenLate = false;
    return true;
  }

  /** Gives credit for the piece that was given last, if whoever took it goes on reading. */
  settle(): void {
    const given = this.#given;
    if (given === null) return;
    this.#given = null;
    if (!given.isReadingPaused && this.#credit(given) && !this.#isGivenLate) this.#core.countReply();
  }

  /** The end of a message is given out. */
  giveEnd(stream: Http2Stream, trailers: Http2Stream['heldTrailers']): void {
    const found = this.#found;
    found.set(Http2Event.end, stream, null);
    found.trailers = trailers;
    stream.isReceiveEnded = true;
    stream.isEndHeld = false;
    stream.heldTrailers = null;
    this.#core.closeIfOver(stream);
  }

  /**
   * Gives the peer what was taken, if that is worth a frame and anybody will use it. It is an answer that the peer has forced only for DATA as it
   * comes: hundreds of streams whose readers go on at once are the program's doing, and what they earn is bounded by their windows.
   *
   * @returns whether a frame was made
   */
  #credit(stream: Http2Stream): boolean {
    const { receiveWindow, state } = stream;
    if (receiveWindow === null || this.#core.isOver || !mayReceive(state)) return false;
    let increment = receiveWindow.takeCredit();
    if (increment === 0) return false;
    if (receiveWindow.size < this.#core.options.readWindowBytes && !stream.isReadingPaused) {
      this.#core.growth.raise(receiveWindow, this.#core.options.readWindowBytes);
      increment += receiveWindow.takeAllCredit();
    }
    writeWindowUpdate(this.#core.writer, stream.id, increment);
    return true;
  }

  #fail(stream: Http2Stream, code: number, reason: string, message: string): true {
    streamError(this.#core, this.#found, stream, violation(reason, code, message, this.#core.isServer ? 400 : 502));
    return true;
  }

  // ---- pieces that wait ------------------------------------------------------------------------------------------------------------

  setPaused(stream: Http2Stream, isPaused: boolean): void {
    if (stream.isClosed || stream.isReadingPaused === isPaused) return;
    stream.isReadingPaused = isPaused;
    // Time in which nobody listened is not the peer's slowness.
    stream.activeAt = this.#core.now;
    stream.bodySince += isPaused ? -this.#core.now : this.#core.now;
    if (!isPaused) this.#credit(stream);
    if (isPaused || stream.isResumed || (stream.held === null && !stream.isEndHeld)) return;
    stream.isResumed = true;
    this.#resumed.push(stream);
  }

  get hasResumed(): boolean {
    return this.#resumed.length > 0;
  }

  /** Gives a piece, or the end, of a stream whose reading was resumed. @returns true if there is an event */
  giveHeld(): boolean {
    const resumed = this.#resumed;
    for (;;) {
      const stream = resumed[resumed.length - 1];
      if (stream === undefined) return false;
      if (stream.isClosed || stream.isReadingPaused || (stream.held === null && !stream.isEndHeld)) {
        resumed.pop();
        stream.isResumed = false;
        continue;
      }
      const { held } = stream;
      if (held === null) {
        this.giveEnd(stream, stream.heldTrailers);
        return true;
      }
      const found = this.#found;
      const chunk = held.shift() as Uint8Array;
      const piece = held.length === 0 ? chunk.subarray(0, stream.heldTail) : chunk;
      if (held.length === 0) {
        stream.held = null;
        stream.heldTail = 0;
      }
      found.set(Http2Event.data, stream, null);
      found.data = piece;
      stream.receiveWindow?.release(piece.length);
      this.#given = stream;
      this.#isGivenLate = true;
      return true;
    }
  }
}

/** Copies a piece behind those that wait. All chunks but the last are full. */
function hold(stream: Http2Stream, bytes: Uint8Array, start: number, end: number): void {
  stream.held ??= [];
  const { held } = stream;
  let at = start;
  while (at < end) {
    let last = held[held.length - 1];
    if (last === undefined || stream.heldTail === last.length) {
      last = new Uint8Array(HELD_BYTES);
      held.push(last);
      stream.heldTail = 0;
    }
    const count = Math.min(end - at, last.length - stream.heldTail);
    last.set(bytes.subarray(at, at + count), stream.heldTail);
    stream.heldTail += count;
    at += count;
  }
}
