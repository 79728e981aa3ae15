/**
 * Everything that takes too long. Times of the connection are few and exact; those of streams are looked at in one walk, at most once a second, so
 * that a stream costs no timer.
 *
 * ```text
 *   connection   first SETTINGS · acknowledgement of ours · field block · PING · second GOAWAY · idle
 *   stream       body of a request, and its rate · both sides of one that is answered already · first byte and pieces of a response
 *                output that the peer gives no window for
 * ```
 * The body of a request is awaited as long as the answer waits for it. Once the answer has begun, both sides talk when they have something to say
 * (streams of gRPC, of events), and only a stream on which nothing moves at all for long is given up; that the peer lives is for PING to find out.
 * @see RFC 9113 §6.5.3 (SETTINGS_TIMEOUT), §9.1 (idle), §10.5
 */
import type { WireError } from '@ferrata/error';
import { KnownHeader } from '@ferrata/headers';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { tooSlow } from '../errors.ts';
import { Http2Event } from '../http2-event.ts';
import type { Http2Stream } from '../stream.ts';
import { mayReceive } from '../stream-state.ts';
import type { Core } from './core.ts';
import type { Drain } from './drain.ts';
import type { Receiver } from './receiver.ts';

/** Between two walks over the streams. */
const SCAN_MS = 1_000;
/** An idle connection lets go of its writer's memory after so long. */
const TRIM_MS = 1_000;
/** A response may be put off by interim ones to so many times `firstByteTimeoutMs`: by default half an hour, for jobs that report by 102. */
const MAX_FIRST_BYTE_TIMES = 30;
const NEVER = Number.POSITIVE_INFINITY;

export class Deadlines {
  readonly #core: Core;
  readonly #receiver: Receiver;
  readonly #drain: Drain;
  readonly #startedAt: number;
  #scannedAt: number;
  #trimmedAt = -1;

  constructor(core: Core, receiver: Receiver, drain: Drain) {
    this.#core = core;
    this.#receiver = receiver;
    this.#drain = drain;
    this.#startedAt = core.now;
    this.#scannedAt = core.now;
  }

  next(): number {
    const core = this.#core;
    if (core.isOver) return NEVER;
    const { options, table, pings, hasPeerSettings, isAcknowledged, hasPeerEnded } = core;
    let at = this.#drain.deadline();
    if (!hasPeerEnded) {
      if (!hasPeerSettings) at = Math.min(at, this.#startedAt + options.prefaceTimeoutMs);
      else if (!isAcknowledged) at = Math.min(at, this.#startedAt + options.settingsTimeoutMs);
      const { incompleteSince } = this.#receiver;
      if (incompleteSince >= 0) at = Math.min(at, incompleteSince + options.headerTimeoutMs);
      at = Math.min(at, pings.deadline(this.#receiver.receivedAt, options.pingTimeoutMs));
    }
    if (table.openCount === 0) {
      at = Math.min(at, table.idleSince + options.idleTimeoutMs);
      return this.#trimmedAt === table.idleSince ? at : Math.min(at, table.idleSince + TRIM_MS);
    }
    return Math.min(at, this.#scannedAt + SCAN_MS);
  }

  /** @returns the error that ended the connection, or null */
  handle(now: number): WireError | null {
    const core = this.#core;
    if (core.isOver || now < this.next()) return null;
    const { options, table, pings } = core;
    if (!core.hasPeerEnded) {
      const error = this.#overdue(now);
      if (error !== null) return core.fail(error);
    }
    if (now >= this.#drain.deadline()) this.#drain.finish();
    if (table.openCount === 0) {
      if (now >= table.idleSince + options.idleTimeoutMs) {
        core.goodbye(Http2ErrorCode.noError, '');
        core.isOver = true;
      } else if (now >= table.idleSince + TRIM_MS && this.#trimmedAt !== table.idleSince) {
        this.#trimmedAt = table.idleSince;
        core.trim();
      }
      return null;
    }
    if (now >= this.#scannedAt + SCAN_MS) {
      this.#scannedAt = now;
      if (core.hasPeerEnded) core.loseBlocked();
      for (const stream of table.openStreams) this.#look(stream, now);
      const isSilent = options.pingIntervalMs > 0 && now >= this.#receiver.receivedAt + options.pingIntervalMs;
      if (isSilent && !core.hasPeerEnded) pings.ask(core.writer, now);
    }
    return null;
  }

  /** What the connection waits for in vain. */
  #overdue(now: number): WireError | null {
    const { options, pings, hasPeerSettings, isAcknowledged, isServer } = this.#core;
    const status = isServer ? 0 : 504;
    if (!hasPeerSettings) {
      if (now < this.#startedAt + options.prefaceTimeoutMs) return null;
      return tooSlow('H2_PREFACE_TIMEOUT', Http2ErrorCode.settingsTimeout, 'the first SETTINGS did not come', status, 'ifReused');
    }
    if (!isAcknowledged && now >= this.#startedAt + options.settingsTimeoutMs) {
      return tooSlow('H2_SETTINGS_TIMEOUT', Http2ErrorCode.settingsTimeout, 'SETTINGS were not acknowledged', status);
    }
    const { incompleteSince, receivedAt } = this.#receiver;
    if (incompleteSince >= 0 && now >= incompleteSince + options.headerTimeoutMs) {
      return tooSlow('H2_HEADER_TIMEOUT', Http2ErrorCode.enhanceYourCalm, 'a field block or frame took too long', status);
    }
    if (now >= pings.deadline(receivedAt, options.pingTimeoutMs)) {
      return tooSlow('H2_PING_TIMEOUT', Http2ErrorCode.noError, 'the peer does not answer', status);
    }
    return null;
  }

  #look(stream: Http2Stream, now: number): void {
    const error = this.#stalled(stream, now) ?? this.#silent(stream, now);
    if (error === null) return;
    this.#core.reset(stream, Http2ErrorCode.cancel);
    this.#core.events.push(Http2Event.reset, stream, error);
  }

  /** Zero windows and readers that drip (class of CVE-2019-9517): a stream that cannot be sent holds its body in memory. */
  #stalled(stream: Http2Stream, now: number): WireError | null {
    const { options, isServer, sendWindow } = this.#core;
    if (stream.queuedBytes === 0) {
      stream.stalledSince = -1;
      return null;
    }
    if (stream.stalledSince < 0) {
      if (stream.sendWindow > 0 && sendWindow > 0) return null;
      stream.stalledSince = now;
      stream.stalledBytes = stream.framedBytes;
      return null;
    }
    const waited = now - stream.stalledSince;
    if (waited < (stream.bounds ?? options).stallTimeoutMs) return null;
    const wanted = (options.minSendBytesPerSecond * waited) / 1000;
    if (stream.framedBytes - stream.stalledBytes >= Math.max(1, wanted)) {
      stream.stalledSince = -1;
      return null;
    }
    return tooSlow('H2_WRITE_STALLED', Http2ErrorCode.cancel, 'the peer gives no window', isServer ? 0 : 504);
  }

  #silent(stream: Http2Stream, now: number): WireError | null {
    const { options, isServer } = this.#core;
    // Nobody listens, nothing more comes, or it is a tunnel, whose silence is its own.
    if (stream.isReadingPaused || !mayReceive(stream.state) || stream.isTunnel) return null;
    // CONNECT has no body: who decides about it is not waiting for the client.
    if (isServer && !stream.isHeadSent && stream.method === 'CONNECT') return null;
    const silence = now - stream.activeAt;
    if (isServer) return stream.isHeadSent ? this.#still(silence) : this.#slowBody(stream, silence, now);
    if (stream.isHeadReceived) {
      if (silence < options.readTimeoutMs) return null;
      return tooSlow('H2_READ_TIMEOUT', Http2ErrorCode.cancel, 'the response body stalled', 504);
    }
    // Before the request is whole the server may wait for it.
    if (stream.sendEndedAt < 0) return null;
    // Interim responses are signs of life, and one a minute would hold a request for as many minutes as they are allowed.
    const isPutOff = now - stream.sendEndedAt >= options.firstByteTimeoutMs * MAX_FIRST_BYTE_TIMES;
    if (silence < options.firstByteTimeoutMs && !isPutOff) return null;
    return tooSlow('H2_FIRST_BYTE_TIMEOUT', Http2ErrorCode.cancel, 'the response did not come', 504);
  }

  /** The answer has begun, the request is not whole. */
  #still(silence: number): WireError | null {
    if (silence < this.#core.options.streamIdleTimeoutMs) return null;
    return tooSlow('H2_STREAM_IDLE_TIMEOUT', Http2ErrorCode.cancel, 'nothing moved on a stream whose request is not whole', 0);
  }

  /** The answer waits for the body: it stalls, or drips (the class of R.U.D.Y.). */
  #slowBody(stream: Http2Stream, silence: number, now: number): WireError | null {
    const { bodyGraceMs, minBodyBytesPerSecond } = this.#core.options;
    const { bodyTimeoutMs } = stream.bounds ?? this.#core.options;
    if (silence >= bodyTimeoutMs) return tooSlow('H2_BODY_TIMEOUT', Http2ErrorCode.cancel, 'the request body stalled', 408);
    if (minBodyBytesPerSecond === 0) return null;
    // RFC 9110 §10.1.1: who waits to be told is not slow. The clock begins with the first byte.
    if (stream.receivedBytes === 0 && stream.request?.headers.hasKnown(KnownHeader.expect) === true) {
      stream.bodySince = now;
      return null;
    }
    if (now - stream.bodySince < Math.max(bodyGraceMs, (stream.receivedBytes / minBodyBytesPerSecond) * 1000)) return null;
    return tooSlow('H2_BODY_TOO_SLOW', Http2ErrorCode.cancel, 'the request body came below the minimum rate', 408);
  }
}
