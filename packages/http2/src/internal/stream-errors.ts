/** What becomes of a stream, or of a frame on a stream that is gone, when a rule was broken (RFC 9113 §5.1, §5.4.2). */
import type { WireError } from '@ferrata/error';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { violation } from '../errors.ts';
import { Http2Event } from '../http2-event.ts';
import type { Http2Stream } from '../stream.ts';
import { StreamFrame, StreamState, Verdict, verdictOn } from '../stream-state.ts';
import type { Core } from './core.ts';
import type { FoundEvent } from './found-event.ts';

/** The peer broke a rule on a stream: RST_STREAM, and its last event. The guard counts it (CVE-2025-8671, "MadeYouReset"). */
export function streamError(core: Core, found: FoundEvent, stream: Http2Stream, error: WireError): void {
  if (core.reset(stream, error.wire.http2Code ?? Http2ErrorCode.internalError)) core.countReply();
  found.set(Http2Event.reset, stream, error);
  countLocalReset(core);
}

/** A reset of ours that the peer has caused. */
export function countLocalReset(core: Core): void {
  const tripped = core.guard?.onLocalReset() ?? null;
  if (tripped !== null) core.trip(tripped);
}

/** What an honest peer had under way when its stream closed is counted as what it is, and only what it could not have is an offence. */
function countIgnored(core: Core, id: number, frame: StreamFrame, length: number): void {
  const { guard, table } = core;
  let tripped: string | null = null;
  switch (frame) {
    case StreamFrame.windowUpdate:
      // Counted as credit, when it came.
      return;
    case StreamFrame.data:
      core.strayBytes -= length;
      if (core.strayBytes < 0) {
        core.fail(violation('H2_STRAY_DATA', Http2ErrorCode.flowControlError, 'more DATA for streams that were reset than their windows'));
        return;
      }
      // `ignoreData` sees what it brings.
      break;
    case StreamFrame.rstStream:
      tripped = guard?.onPeerReset(false) ?? null;
      break;
    case StreamFrame.headers:
      if (!table.mayHear(id)) core.glitch();
  }
  if (tripped !== null) core.trip(tripped);
}

/**
 * A DATA frame on a stream that is gone is complete. The end of a body whose last piece had left before comes in a frame of its own (Node and others
 * send it so): one for each stream that was reset is what an honest peer had under way.
 */
export function ignoreData(core: Core, id: number, payloadBytes: number, paddingBytes: number, isEnd: boolean): void {
  if (isEnd && !core.table.mayEnd(id)) core.glitch();
  const tripped = core.guard?.onData(payloadBytes, paddingBytes, isEnd) ?? null;
  if (tripped !== null) core.trip(tripped);
}

/** State of a stream that is not in the table. */
export function absentState(core: Core, id: number): StreamState {
  const { table, goingAway, isServer } = core;
  // Even numbers are those of pushes, which there are none of.
  if (id % 2 === 0 || id > table.highestId) return StreamState.idle;
  // RFC 9113 §6.8: what is above our last word is ignored.
  if (isServer && goingAway.isFinal && id > goingAway.sentLastId) return StreamState.closedByUs;
  return table.closedState(id);
}

/** A frame on a stream that is not open: ignores it, resets the stream, or ends the connection. */
export function refuseFrame(core: Core, id: number, frame: StreamFrame, length = 0): void {
  const state = absentState(core, id);
  switch (verdictOn(state, frame)) {
    case Verdict.streamClosed:
      core.resetUnknown(id, Http2ErrorCode.streamClosed);
      countLocalReset(core);
      return;
    case Verdict.connectionClosed:
      // RFC 9113 §5.1.1: a number that was passed over was never a stream, and opening it now goes backwards.
      if (frame === StreamFrame.headers && !core.table.wasOpen(id)) {
        core.fail(violation('H2_STREAM_ID_NOT_RISING', Http2ErrorCode.protocolError, 'the number of a new stream does not rise'));
      } else {
        core.fail(violation('H2_STREAM_CLOSED', Http2ErrorCode.streamClosed, 'a frame on a stream that has ended'));
      }
      return;
    case Verdict.fine:
    case Verdict.protocolError:
      // HEADERS are fine on idle streams only where they open one, which whoever calls has seen to.
      core.fail(violation('H2_STREAM_IDLE', Http2ErrorCode.protocolError, 'a frame on a stream that was never opened'));
      return;
    case Verdict.ignore:
      countIgnored(core, id, frame, length);
  }
}
