/**
 * What both directions of a connection share: its streams, what was agreed, its end, and the writer that control frames and HEADERS go into.
 *
 * Rules of this file:
 * - Frames are written in the order in which they are made; HEADERS are encoded into the writer at once, as the order of blocks is the order of the
 *   wire (RFC 9113 §4.3). DATA comes behind, when output is taken.
 * - A stream is closed in one place (`close`), which gives back all that it holds.
 * - The first error of the connection is final: GOAWAY is the last frame (RFC 9113 §5.4.1).
 * - Answers that a peer forces (acknowledgements, resets, credit for DATA as it comes) and does not read are bounded in number.
 */
import { ByteWriter } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { Http2ErrorCode, writeGoaway, writeRstStream } from '@ferrata/http2-framing';
import { closedEarly, flood, withStatus } from '../errors.ts';
import { FloodGuard } from '../flood-guard.ts';
import { DEFAULT_WINDOW_BYTES } from '../flow-window.ts';
import { ANY_STREAM, GoingAway } from '../going-away.ts';
import { Http2Event } from '../http2-event.ts';
import type { ResolvedHttp2Options } from '../options.ts';
import { Role } from '../role.ts';
import { SendScheduler } from '../send-scheduler.ts';
import { PeerSettings } from '../settings.ts';
import type { Http2Stream } from '../stream.ts';
import { mayReceive, StreamState } from '../stream-state.ts';
import { WindowGrowth } from '../window-growth.ts';
import { EventQueue } from './event-queue.ts';
import { Pings } from './pings.ts';
import { StreamTable } from './stream-table.ts';

/** First memory of the writer: the heads of some tens of small responses. */
const WRITER_BYTES = 4_096;

export class Core {
  readonly options: ResolvedHttp2Options;
  readonly isServer: boolean;
  /** The latest time that a caller has told. */
  now: number;
  readonly table: StreamTable;
  readonly peer: PeerSettings = new PeerSettings();
  readonly goingAway: GoingAway = new GoingAway();
  readonly events: EventQueue = new EventQueue();
  readonly pings: Pings = new Pings();
  readonly growth: WindowGrowth;
  readonly guard: FloodGuard | null;
  readonly scheduler: SendScheduler<Http2Stream> = new SendScheduler();
  writer: ByteWriter = new ByteWriter({ initialCapacity: WRITER_BYTES });
  /** What the peer lets all streams together send; may not be negative. */
  sendWindow = 65_535;
  /** The error that ended the connection. */
  fatal: WireError | null = null;
  /** GOAWAY with an error was sent, or time ran out: nothing more is said or heard. */
  isOver = false;
  hasPeerEnded = false;
  hasPeerSettings = false;
  /** Our SETTINGS were acknowledged. */
  isAcknowledged = false;
  /** Forced answers since output was last taken. */
  #replies = 0;
  /** Streams opened since output was last taken. */
  openedSinceOutput = 0;
  /**
   * Bytes of DATA that may still come for streams that we have reset: what was left of their windows. More is a peer that goes on all the same;
   * without this only the window of the connection would hold it, and that is renewed on receipt.
   */
  strayBytes = 0;
  /** Streams that may be written again. */
  writable: Http2Stream[] = [];

  constructor(options: ResolvedHttp2Options, now: number) {
    this.options = options;
    this.isServer = options.role === Role.server;
    this.now = now;
    this.table = new StreamTable(now, options.maxConcurrentStreams);
    this.growth = new WindowGrowth({
      initialStreamWindowBytes: options.readWindowBytes,
      maxStreamWindowBytes: options.maxWindowBytes,
      maxReceiveBufferBytes: options.maxReceiveBufferBytes,
      isWindowGrowthEnabled: options.isWindowGrowthEnabled,
    });
    const { guard, maxConcurrentStreams } = options;
    this.guard = guard === false ? null : new FloodGuard(guard, { isServer: this.isServer, maxConcurrentStreams }, now);
  }

  /** Nothing more is sent or received on a stream: all that it holds is given back. */
  close(stream: Http2Stream, state: StreamState): void {
    if (stream.isClosed) return;
    const { slot, receiveWindow } = stream;
    // A window that SETTINGS made smaller may be negative: what came before is no debt of the streams beside it.
    if (state === StreamState.closedByUs && mayReceive(stream.state))
      this.strayBytes += Math.max(0, receiveWindow?.available ?? this.firstWindow());
    if (slot !== null) this.scheduler.remove(slot);
    if (receiveWindow !== null) this.growth.close(receiveWindow);
    stream.receiveWindow = null;
    if (state === StreamState.closedByEnd) this.guard?.onStreamComplete();
    this.table.close(stream, state, this.now);
    this.answerGoodbye();
  }

  /** The client has said goodbye, and nothing is left to do: it hears which of its requests we have seen (RFC 9113 §6.8). */
  answerGoodbye(): void {
    const { goingAway, isServer, table } = this;
    if (isServer && goingAway.receivedLastId >= 0 && table.openCount === 0 && !goingAway.isFinal) this.goodbye(Http2ErrorCode.noError, '');
  }

  /**
   * The window of a stream that begins. Until it has acknowledged a smaller one of ours, the peer may take the default for granted
   * (RFC 9113 §6.5.3).
   */
  firstWindow(): number {
    const { initialWindowBytes } = this.options;
    return this.isAcknowledged ? initialWindowBytes : Math.max(initialWindowBytes, DEFAULT_WINDOW_BYTES);
  }

  /** Closes a stream whose message is whole both ways, and whose end was taken. */
  closeIfOver(stream: Http2Stream): void {
    if (stream.isSendEnded && stream.isReceiveEnded) this.close(stream, StreamState.closedByEnd);
  }

  /**
   * Sends RST_STREAM, unless both sides have ended on the wire already, and closes the stream. Whoever does it because the peer broke a rule counts it
   * (`countReply`); what the program gives up is none of the peer's doing, and bounded by the streams that are open.
   *
   * @returns whether a frame was made
   */
  reset(stream: Http2Stream, code: number): boolean {
    if (stream.isClosed) return false;
    const isOnWire = stream.state !== StreamState.closedByEnd;
    const isSaid = isOnWire && !this.isOver;
    if (isSaid) writeRstStream(this.writer, stream.id, code);
    this.close(stream, isOnWire ? StreamState.closedByUs : StreamState.closedByEnd);
    return isSaid;
  }

  /** Sends RST_STREAM for a stream that never was in the table. */
  resetUnknown(id: number, code: number): void {
    this.table.remember(id, StreamState.closedByUs);
    this.strayBytes += this.firstWindow();
    writeRstStream(this.writer, id, code);
    this.countReply();
  }

  /** Counts an answer that the peer has forced. */
  countReply(): void {
    const reason = this.guard?.onReply() ?? null;
    if (reason !== null) this.trip(reason);
    else if (++this.#replies > this.options.maxQueuedControlFrames) this.trip('H2_FLOOD_REPLIES');
  }

  /** Counts something that the peer should not have said, and that does no harm. */
  glitch(): void {
    const reason = this.guard?.onGlitch() ?? null;
    if (reason !== null) this.trip(reason);
  }

  /** The peer has ended its side, so no window opens any more: streams that wait for one are lost. `nextEvent` tells. */
  loseBlocked(): void {
    for (const stream of this.table.openStreams) {
      if (stream.queuedBytes === 0 || (stream.sendWindow > 0 && this.sendWindow > 0)) continue;
      this.close(stream, StreamState.closedByUs);
      this.events.push(Http2Event.reset, stream, closedEarly(this.isServer ? 0 : 502, 'never'));
    }
  }

  /** A budget is exhausted. */
  trip(reason: string): void {
    this.fail(flood(reason));
  }

  /** Ends the connection for an error: GOAWAY, which says its reason, and nothing more. @returns the first error */
  fail(thrown: WireError): WireError {
    if (this.fatal !== null) return this.fatal;
    // The codecs do not know roles: what a server does wrong is never the fault of whoever asks a proxy (RFC 9110 §15.6.3).
    const error = this.isServer || thrown.status >= 500 ? thrown : withStatus(thrown, 502);
    this.fatal = error;
    this.goodbye(error.wire.http2Code ?? Http2ErrorCode.internalError, error.reason);
    this.isOver = true;
    return error;
  }

  /** Writes the last GOAWAY. */
  goodbye(code: number, text: string): void {
    if (this.isOver) return;
    const lastId = this.lastTakenId();
    this.goingAway.sentLastId = lastId;
    this.goingAway.announcedAt = -1;
    this.goingAway.isDraining = true;
    writeGoaway(this.writer, lastId, code, text);
  }

  /** The highest stream of the peer's that was looked at; what was said once does not rise (RFC 9113 §6.8). */
  lastTakenId(): number {
    if (!this.isServer) return 0;
    const { sentLastId } = this.goingAway;
    const { highestId } = this.table;
    return sentLastId >= 0 && sentLastId !== ANY_STREAM ? Math.min(sentLastId, highestId) : highestId;
  }

  /** All output has been taken: what was forced by the peer is on its way. */
  outputTaken(): void {
    this.#replies = 0;
    this.openedSinceOutput = 0;
    this.guard?.onOutputTaken();
  }

  /** Lets go of memory while nothing is going on. */
  trim(): void {
    this.table.trim();
    if (this.writer.length === 0) this.writer = new ByteWriter({ initialCapacity: WRITER_BYTES });
  }
}
