/**
 * The peer's direction of a connection: bytes to frames, frames to whoever they are for, and the event that comes of it.
 *
 * Rules of this file:
 * - The first bytes of a client are its preface, the first frame of both sides is SETTINGS (RFC 9113 §3.4).
 * - Every frame is shown to the flood guard before anything is done for it.
 * - What throws here are errors of the connection: the first is final. Errors of streams are events.
 *
 * @see RFC 9113 §3.4, §5.5, §6
 */

import { latin1Decode } from '@ferrata/bytes';
import { toWireError } from '@ferrata/error';
import {
  CLIENT_PREFACE,
  FrameDecoder,
  FrameFlag,
  FrameType,
  Http2ErrorCode,
  SettingId,
  writePing,
  writeRstStream,
  writeSettingsAck,
} from '@ferrata/http2-framing';
import { closedEarly, goneAway, streamReset, violation } from '../errors.ts';
import { MAX_WINDOW_BYTES } from '../flow-window.ts';
import { Http2Event } from '../http2-event.ts';
import { parsePriority } from '../priority.ts';
import { Role } from '../role.ts';
import type { Http2Stream } from '../stream.ts';
import { StreamFrame, StreamState } from '../stream-state.ts';
import { BodyIn } from './body-in.ts';
import type { Core } from './core.ts';
import type { Drain } from './drain.ts';
import { FoundEvent } from './found-event.ts';
import { HeadsIn } from './heads-in.ts';
import type { Sender } from './sender.ts';
import { absentState, countLocalReset, refuseFrame, streamError } from './stream-errors.ts';

/** Debug text of a GOAWAY that is kept. */
const MAX_DEBUG_BYTES = 256;

export class Receiver {
  readonly found: FoundEvent = new FoundEvent();
  readonly bodies: BodyIn;
  readonly heads: HeadsIn;
  readonly #core: Core;
  readonly #frames: FrameDecoder;
  readonly #sender: Sender;
  readonly #drain: Drain;
  /** Bytes of the client preface that have come. */
  #prefaceBytes: number;
  /** Since when a frame other than DATA, or a field block, is incomplete; −1: none is. */
  incompleteSince = -1;
  receivedAt: number;
  receivedBytes = 0;

  constructor(core: Core, sender: Sender, drain: Drain) {
    const { options } = core;
    this.#core = core;
    this.#sender = sender;
    this.#drain = drain;
    this.#frames = new FrameDecoder({
      maxFrameBytes: options.maxFrameBytes,
      maxContinuations: options.maxContinuations,
      maxHeaderBlockBytes: options.maxHeaderBlockBytes,
    });
    this.bodies = new BodyIn(core, this.found);
    this.heads = new HeadsIn(core, this.found, this.bodies, sender, drain);
    this.#prefaceBytes = core.isServer ? 0 : CLIENT_PREFACE.length;
    this.receivedAt = core.now;
  }

  /** Nothing has come but whole frames and whole field blocks. */
  get isBetweenFrames(): boolean {
    const frames = this.#frames;
    if (this.#core.hasPeerEnded) return true;
    return frames.bufferedBytes === 0 && !frames.isMidFrame && !frames.isMidFieldBlock;
  }

  receive(chunk: Uint8Array): void {
    const core = this.#core;
    if (core.isOver || core.hasPeerEnded || chunk.length === 0) return;
    this.receivedBytes += chunk.length;
    this.receivedAt = core.now;
    core.guard?.beginInput(core.now);
    if (this.#prefaceBytes === CLIENT_PREFACE.length) {
      this.#frames.feed(chunk);
      return;
    }
    const rest = Math.min(CLIENT_PREFACE.length - this.#prefaceBytes, chunk.length);
    for (let at = 0; at < rest; at++) {
      if (chunk[at] !== CLIENT_PREFACE[this.#prefaceBytes + at]) {
        core.fail(violation('H2_PREFACE_INVALID', Http2ErrorCode.protocolError, 'the connection does not begin as one of HTTP/2'));
        return;
      }
    }
    this.#prefaceBytes += rest;
    if (chunk.length > rest) this.#frames.feed(chunk.subarray(rest));
  }

  /** The peer has ended its side: what is whole is answered, what is not is lost. */
  receiveEnd(): void {
    const core = this.#core;
    if (core.isOver || core.hasPeerEnded) return;
    // Part of a frame, or of a field block, is no fault of what came whole before it: what is lost with it are the messages that are not whole.
    core.hasPeerEnded = true;
  }

  /** @returns true if there is an event. @throws {WireError} the error that ended the connection */
  next(): boolean {
    if (this.#find()) return true;
    this.#letGo();
    return false;
  }

  /** Nothing that is over is kept while the connection waits: a stream may hold on to all of another connection, by what its user attached to it. */
  #letGo(): void {
    this.found.clear();
    // The decoder ends a block with the header of its last frame, of which the payload may still be under way.
    if (this.#frames.isMidFrame) return;
    this.bodies.letGo();
    if (!this.#frames.isMidFieldBlock) this.heads.letGo();
  }

  #find(): boolean {
    const core = this.#core;
    const { found } = this;
    if (core.fatal !== null) throw core.fatal;
    // Behind our last GOAWAY nothing is told any more, not even what waited here.
    if (core.isOver) return false;
    this.bodies.settle();
    const ending = found.endsNext;
    if (ending !== null) {
      found.endsNext = null;
      // The caller may have reset it, or stopped reading, while it had the event before.
      if (!ending.isClosed) {
        if (!ending.isReadingPaused) {
          this.bodies.giveEnd(ending, null);
          return true;
        }
        ending.isEndHeld = true;
      }
    }
    if (!core.events.isEmpty && this.#shift()) return true;
    if (this.bodies.hasResumed && this.bodies.giveHeld()) return true;
    return this.#nextFrame();
  }

  #shift(): boolean {
    const queued = this.#core.events.shift();
    if (queued === null) return false;
    this.found.set(queued.event, queued.stream, queued.error);
    return true;
  }

  #nextFrame(): boolean {
    const core = this.#core;
    const { found } = this;
    const frames = this.#frames;
    found.event = Http2Event.none;
    try {
      while (frames.next()) {
        // A block counts from its first byte to its last, however many frames it comes in.
        if (!frames.isMidFieldBlock) this.incompleteSince = -1;
        const isFound = this.#onFrame(frames);
        if (core.fatal !== null) throw core.fatal;
        if (isFound) return true;
      }
    } catch (thrown) {
      throw core.fail(toWireError(thrown));
    }
    // DATA that is cut is no reason to hurry: the times of bodies are for it.
    if (frames.bufferedBytes > 0 || frames.isMidFieldBlock || (frames.isMidFrame && frames.type !== FrameType.data)) {
      if (this.incompleteSince < 0) this.incompleteSince = core.now;
    }
    if (core.hasPeerEnded && this.#loseIncomplete()) return this.#shift();
    return false;
  }

  /** @returns true if there is an event */
  #onFrame(frame: FrameDecoder): boolean {
    const core = this.#core;
    const { type } = frame;
    if (frame.isFrameStart) {
      const tripped = core.guard?.onFrame(type, frame.flags, frame.length) ?? null;
      if (tripped !== null) {
        core.trip(tripped);
        return false;
      }
      if (!core.hasPeerSettings && (type !== FrameType.settings || (frame.flags & FrameFlag.ack) !== 0)) {
        core.fail(violation('H2_PREFACE_SETTINGS', Http2ErrorCode.protocolError, 'the first frame is not SETTINGS'));
        return false;
      }
    }
    switch (type) {
      case FrameType.data:
        return this.bodies.onData(frame);
      case FrameType.headers:
        return this.heads.onHeaders(frame);
      case FrameType.continuation:
        return this.heads.onFragment(frame);
      case FrameType.priority:
        return this.#onPriority(frame);
      case FrameType.rstStream:
        return this.#onReset(frame);
      case FrameType.settings:
        return this.#onSettings(frame);
      case FrameType.pushPromise:
        core.fail(violation('H2_PUSH_PROMISE', Http2ErrorCode.protocolError, 'a push, which nobody may make'));
        return false;
      case FrameType.ping:
        this.#onPing(frame);
        return false;
      case FrameType.goaway:
        return this.#onGoaway(frame);
      case FrameType.windowUpdate:
        return this.#onWindowUpdate(frame);
      case FrameType.priorityUpdate:
        this.#onPriorityUpdate(frame);
        return false;
      default:
        // RFC 9113 §5.5: extensions that are not known are ignored; ALTSVC and ORIGIN tell nothing that is used here.
        return false;
    }
  }

  // ---- frames of streams ---------------------------------------------------------------------------------------------------------

  #onPriority(frame: FrameDecoder): boolean {
    // RFC 9113 §5.3.2: the tree of RFC 7540 is not kept; only what is wrong by itself counts.
    if (frame.streamError === 0) return false;
    const core = this.#core;
    const stream = core.table.find(frame.streamId);
    const error = violation('H2_PRIORITY_INVALID', frame.streamError, 'PRIORITY of a wrong length, or of a stream on itself');
    if (stream !== null) {
      streamError(core, this.found, stream, error);
      return true;
    }
    const state = absentState(core, frame.streamId);
    if (state === StreamState.idle) {
      // There is no stream to reset: RST_STREAM on an idle stream would be an error of ours.
      core.fail(error);
    } else if (state === StreamState.closedByEnd && core.table.wasOpen(frame.streamId)) {
      // RFC 9113 §6.3 makes no exception for a stream that is over, which it may have become while the frame was under way. Said once.
      core.table.remember(frame.streamId, StreamState.closedByUs);
      writeRstStream(core.writer, frame.streamId, frame.streamError);
      core.countReply();
      countLocalReset(core);
    } else {
      core.glitch();
    }
    return false;
  }

  #onReset(frame: FrameDecoder): boolean {
    const core = this.#core;
    const stream = core.table.find(frame.streamId);
    if (stream === null) {
      refuseFrame(core, frame.streamId, StreamFrame.rstStream);
      return false;
    }
    const tripped = wasOfUse(core, stream) ? null : (core.guard?.onPeerReset(core.isServer && !stream.isSendEnded) ?? null);
    if (tripped !== null) {
      core.trip(tripped);
      return false;
    }
    const { errorCode } = frame;
    if (!core.isServer && !stream.isTunnel && errorCode === Http2ErrorCode.noError && stream.state === StreamState.halfClosedRemote) {
      // RFC 9113 §8.1: the response is whole, only the rest of the request is not wanted. What waits is still given. (A tunnel has no such rest.)
      this.#sender.stop(stream);
      return false;
    }
    const error = streamReset(errorCode, core.isServer ? 0 : 502, retryOf(core, stream, errorCode));
    core.close(stream, StreamState.closedByPeer);
    this.found.set(Http2Event.reset, stream, error);
    return true;
  }

  #onWindowUpdate(frame: FrameDecoder): boolean {
    const core = this.#core;
    const { streamId, increment } = frame;
    const tripped = core.guard?.onWindowUpdate(increment) ?? null;
    if (tripped !== null) {
      core.trip(tripped);
      return false;
    }
    if (streamId === 0) {
      core.sendWindow += increment;
      if (core.sendWindow > MAX_WINDOW_BYTES) {
        core.fail(violation('H2_WINDOW_OVERFLOW', Http2ErrorCode.flowControlError, 'the window of the connection is beyond 2^31 - 1'));
      }
      return false;
    }
    const stream = core.table.find(streamId);
    if (stream === null) {
      refuseFrame(core, streamId, StreamFrame.windowUpdate);
      return false;
    }
    if (frame.streamError !== 0) {
      return this.#fail(stream, frame.streamError, 'H2_STREAM_WINDOW_INCREMENT_ZERO', 'the window of a stream is updated by 0');
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW_BYTES) {
      return this.#fail(stream, Http2ErrorCode.flowControlError, 'H2_STREAM_WINDOW_OVERFLOW', 'the window of a stream is beyond 2^31 - 1');
    }
    this.#sender.windowOpened(stream);
    return false;
  }

  #onPriorityUpdate(frame: FrameDecoder): void {
    const core = this.#core;
    // RFC 9218 §7.1: only clients say it, and only of requests.
    if (!core.isServer || frame.prioritizedStreamId % 2 === 0) {
      core.fail(violation('H2_PRIORITY_UPDATE', Http2ErrorCode.protocolError, 'PRIORITY_UPDATE by a server, or for a push'));
      return;
    }
    const priority = parsePriority(latin1Decode(frame.bytes, frame.payloadStart, frame.payloadEnd));
    const stream = core.table.find(frame.prioritizedStreamId);
    if (stream === null) this.heads.keepPriority(frame.prioritizedStreamId, priority);
    else this.#sender.setPriority(stream, priority);
  }

  #fail(stream: Http2Stream, code: number, reason: string, message: string): true {
    streamError(this.#core, this.found, stream, violation(reason, code, message, this.#core.isServer ? 400 : 502));
    return true;
  }

  // ---- frames of the connection --------------------------------------------------------------------------------------------------

  #onSettings(frame: FrameDecoder): boolean {
    const core = this.#core;
    if ((frame.flags & FrameFlag.ack) !== 0) {
      if (core.isAcknowledged) core.glitch();
      else this.#applyOurs();
      return false;
    }
    const { peer, table } = core;
    const ofRole = core.isServer ? Role.client : Role.server;
    const windowBefore = peer.initialWindowSize;
    for (let at = 0; at < frame.settingCount; at++) {
      const id = frame.settingIdAt(at);
      const error = peer.apply(id, frame.settingValueAt(at), ofRole);
      if (error !== null) {
        core.fail(error);
        return false;
      }
      // Each value counts, in order (RFC 9113 §6.5.3): a smaller one in between has emptied the table (RFC 7541 §4.2).
      if (id === SettingId.headerTableSize) this.#sender.encoder.setPeerTableBytes(peer.headerTableSize);
    }
    peer.endFirst();
    core.hasPeerSettings = true;
    const difference = peer.initialWindowSize - windowBefore;
    if (difference !== 0) {
      for (const stream of table.openStreams) {
        stream.sendWindow += difference;
        if (stream.sendWindow > MAX_WINDOW_BYTES) {
          // RFC 9113 §6.9.2: of the connection, although it is the window of a stream.
          core.fail(violation('H2_WINDOW_OVERFLOW', Http2ErrorCode.flowControlError, 'SETTINGS make a window larger than 2^31 - 1'));
          return false;
        }
        this.#sender.windowChanged(stream);
      }
    }
    writeSettingsAck(core.writer);
    core.countReply();
    this.found.set(Http2Event.settings, null, null);
    return true;
  }

  /** The peer knows our settings now, so they hold (RFC 9113 §6.5.3). */
  #applyOurs(): void {
    const core = this.#core;
    core.isAcknowledged = true;
    if (core.options.headerTableBytes !== 4_096) this.heads.hpack.setMaxTableBytes(core.options.headerTableBytes);
    this.bodies.applyInitialWindow();
  }

  #onPing(frame: FrameDecoder): void {
    const core = this.#core;
    if ((frame.flags & FrameFlag.ack) === 0) {
      writePing(core.writer, frame.bytes.subarray(frame.payloadStart, frame.payloadEnd), { isAck: true });
      core.countReply();
      return;
    }
    if (!core.pings.acknowledge(frame.bytes, frame.payloadStart, core.now)) {
      if (!core.pings.isLate()) core.glitch();
      return;
    }
    core.growth.sampleEnd(core.now);
    this.#drain.finish();
  }

  #onGoaway(frame: FrameDecoder): boolean {
    const core = this.#core;
    const { goingAway, table } = core;
    const { lastStreamId, errorCode } = frame;
    if (goingAway.receivedLastId >= 0 && lastStreamId > goingAway.receivedLastId) {
      // RFC 9113 §6.8: it may fall, never rise: a request that was tried again elsewhere would be processed twice.
      core.fail(violation('H2_GOAWAY_RISING', Http2ErrorCode.protocolError, 'the last stream of GOAWAY rises'));
      return false;
    }
    goingAway.receivedLastId = lastStreamId;
    goingAway.isDraining = true;
    const end = Math.min(frame.payloadEnd, frame.payloadStart + MAX_DEBUG_BYTES);
    const error = goneAway(errorCode, lastStreamId, latin1Decode(frame.bytes, frame.payloadStart, end));
    if (!core.isServer) {
      for (const stream of table.openStreams) {
        if (stream.id <= lastStreamId) continue;
        // Nothing more is said on these streams by either side.
        core.close(stream, StreamState.closedByUs);
        core.events.push(Http2Event.reset, stream, goneAway(errorCode, lastStreamId, '', stream.hasResponseBegun ? 'never' : 'always'));
      }
    }
    core.answerGoodbye();
    core.events.push(Http2Event.goaway, null, error);
    return this.#shift();
  }

  // ---- the end -------------------------------------------------------------------------------------------------------------------

  /** The peer has ended its side: messages of it that are not whole never will be. @returns true if there were any */
  #loseIncomplete(): boolean {
    const core = this.#core;
    core.loseBlocked();
    for (const stream of core.table.openStreams) {
      if (stream.isReceiveEnded || stream.isEndHeld || stream === this.found.endsNext) continue;
      const retry = stream.hasResponseBegun || core.isServer ? 'never' : 'ifReused';
      core.close(stream, StreamState.closedByUs);
      core.events.push(Http2Event.reset, stream, closedEarly(core.isServer ? 0 : 502, retry));
    }
    return !core.events.isEmpty;
  }
}

/**
 * A reset is how a tunnel ends when what it carries is reset: one that was of use is as little premature as a response that is whole. The sign of use is
 * what a peer cannot bring about alone: DATA of ours, or more of its own than its first window, so that somebody has read. A few bytes of its own
 * come in one write with the request and the reset (CVE-2023-44487).
 */
function wasOfUse(core: Core, stream: Http2Stream): boolean {
  return stream.isTunnel && (stream.framedBytes > 0 || stream.receivedBytes > core.firstWindow());
}

/** Whether a request that was reset may be sent again (RFC 9113 §8.7). */
function retryOf(core: Core, stream: Http2Stream, errorCode: number): 'always' | 'ifReused' | 'never' {
  if (core.isServer) return 'never';
  // Whoever has begun to answer has processed the request, whatever it says now.
  if (stream.hasResponseBegun) return 'never';
  return errorCode === Http2ErrorCode.refusedStream ? 'always' : 'ifReused';
}
