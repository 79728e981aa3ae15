/** The frame decoder of `@ferrata/http2-framing` as the codec laws and the oracle see it. */
import assert from 'node:assert/strict';
import { concatBytes } from '@ferrata/bytes';
import { FRAMING_REASONS, FrameDecoder, type FrameDecoderOptions, FrameType, framingError } from '@ferrata/http2-framing';
import { nearMisses } from '../arbitrary/near-misses.ts';
import type { CodecUnderTest, Transcript } from '../codec/codec-under-test.ts';
import { cursorDriver } from '../codec/decoder-driver.ts';
import { HTTP2_FRAME_WORDS, http2FrameSequences } from './http2-frames.ts';
import { type NaiveFrame, type NaiveFrameDetails, naiveHttp2Frames } from './naive-frames.ts';

/** What the frame decoder found, as a value: a frame, or some pieces of DATA. */
export interface Http2FrameEvent extends NaiveFrame {
  /** Whether the first piece of DATA is part of it; true for other frames. */
  readonly isStart: boolean;
  /** Whether the last piece of DATA is part of it; true for other frames. */
  readonly isEnd: boolean;
}

/** The frame decoder under the laws, fed with what one side of a connection says behind the preface. */
export function http2FrameCodec(options: FrameDecoderOptions = {}): CodecUnderTest<Http2FrameEvent, readonly NaiveFrame[]> {
  const sequences = http2FrameSequences();
  return {
    makeDecoder: () => cursorDriver(new FrameDecoder(options), frameEvent),
    join: joinPieces,
    mayBeFedAhead: true,
    // Low limits refuse some of them.
    valid: sequences.filter(({ bytes }) => naiveHttp2Frames(bytes, options).verdict === 'whole'),
    nearlyValid: nearMisses(
      sequences.map(({ bytes }) => bytes),
      { pieces: 'binary', dictionary: HTTP2_FRAME_WORDS },
    ),
    check: (events, frames) => assert.deepEqual(events.map(frameOf), frames),
    compareWithOracle: (transcript, bytes) => compareFrames(transcript, bytes, options),
  };
}

function frameEvent(decoder: FrameDecoder): Http2FrameEvent {
  const { type, flags, streamId, length, streamError, isIgnorable, isFrameStart: isStart, isFrameEnd: isEnd } = decoder;
  const payload = Uint8Array.from(decoder.bytes.subarray(decoder.payloadStart, decoder.payloadEnd));
  return { type, flags, streamId, length, payload, details: detailsOf(decoder), streamError, isIgnorable, isStart, isEnd };
}

function detailsOf(decoder: FrameDecoder): NaiveFrameDetails {
  const { errorCode, lastStreamId, increment, dependsOn, weight, isExclusive, promisedStreamId, prioritizedStreamId } = decoder;
  switch (decoder.type) {
    case FrameType.headers:
    case FrameType.priority:
      return decoder.hasPriority ? { priority: { dependsOn, weight, isExclusive } } : {};
    case FrameType.rstStream:
      return { errorCode };
    case FrameType.settings:
      return {
        settings: Array.from({ length: decoder.settingCount }, (_, i) => [decoder.settingIdAt(i), decoder.settingValueAt(i)] as const),
      };
    case FrameType.pushPromise:
      return { promisedStreamId };
    case FrameType.goaway:
      return { lastStreamId, errorCode };
    case FrameType.windowUpdate:
      return { increment };
    case FrameType.altsvc:
      return decoder.isIgnorable ? {} : { origin: decoder.altsvcOrigin() };
    case FrameType.origin:
      return decoder.isIgnorable ? {} : { origins: decoder.origins() };
    case FrameType.priorityUpdate:
      return { prioritizedStreamId };
    default:
      return {};
  }
}

function joinPieces(first: Http2FrameEvent, second: Http2FrameEvent): Http2FrameEvent | null {
  if (first.isEnd || second.isStart) return null;
  return { ...first, payload: concatBytes([first.payload, second.payload]), isEnd: second.isEnd };
}

function frameOf({ isStart, isEnd, ...frame }: Http2FrameEvent): NaiveFrame {
  assert.ok(isStart && isEnd, 'a frame is given from its start to its end');
  return frame;
}

function compareFrames({ events, error }: Transcript<Http2FrameEvent>, bytes: Uint8Array, options: FrameDecoderOptions): void {
  const naive = naiveHttp2Frames(bytes, options);
  // DATA of which a part came is no frame for the oracle.
  assert.deepEqual(events.filter(({ isEnd }) => isEnd).map(frameOf), naive.frames);
  assert.equal(verdictOf(error), naive.verdict);
  if (naive.verdict === 'refused') assert.equal(codeOf(error), naive.errorCode);
}

function verdictOf(reason: string | null): 'whole' | 'incomplete' | 'refused' {
  if (reason === null) return 'whole';
  return reason.startsWith('H2_TRUNCATED_') ? 'incomplete' : 'refused';
}

function codeOf(reason: string | null): number | undefined {
  const known = FRAMING_REASONS.find((one) => one === reason);
  return known === undefined ? undefined : framingError(known).wire.http2Code;
}
