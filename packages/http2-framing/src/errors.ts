/**
 * Every reason for which the decoder ends a connection: one per check, with its type, its HTTP/2 error code and a sentence.
 *
 * Rules of this file:
 * - A reason is decided by the bytes up to the end of the frame header or frame that made it wrong, never by how they were cut into chunks.
 * - These are connection errors (RFC 9113 §5.4.1). A stream error is no error here but a field of the frame: `FrameDecoder.streamError`.
 */
import { type ErrorType, WireError } from '@ferrata/error';
import { Http2ErrorCode } from './frame-type.ts';

const { protocolError, flowControlError, frameSizeError, enhanceYourCalm } = Http2ErrorCode;

type Row = readonly [type: ErrorType, http2Code: Http2ErrorCode, message: string];

const rows = {
  // Of any frame
  H2_FRAME_TOO_LARGE: ['limit', frameSizeError, 'a frame is longer than SETTINGS_MAX_FRAME_SIZE'],
  H2_FRAME_SIZE: ['protocol', frameSizeError, 'a frame has a length that its type cannot have'],
  H2_STREAM_ID_MISSING: ['protocol', protocolError, 'a frame that belongs to a stream comes on stream 0'],
  H2_STREAM_ID_UNEXPECTED: ['protocol', protocolError, 'a frame of the connection comes on a stream'],
  H2_PADDING_TOO_LONG: ['protocol', protocolError, 'the padding is longer than the payload around it'],
  // Field blocks
  H2_CONTINUATION_EXPECTED: ['protocol', protocolError, 'another frame inside a field block'],
  H2_CONTINUATION_UNEXPECTED: ['protocol', protocolError, 'CONTINUATION outside of a field block'],
  H2_CONTINUATIONS_TOO_MANY: ['limit', enhanceYourCalm, 'a field block in too many frames'],
  H2_FIELD_BLOCK_TOO_LARGE: ['limit', enhanceYourCalm, 'a field block is too large'],
  H2_PROMISED_STREAM_ID: ['protocol', protocolError, 'PUSH_PROMISE promises stream 0'],
  // SETTINGS
  H2_SETTINGS_ACK_NOT_EMPTY: ['protocol', frameSizeError, 'an acknowledgement of SETTINGS has a payload'],
  H2_SETTINGS_TOO_MANY: ['limit', enhanceYourCalm, 'too many settings in one frame'],
  H2_SETTING_VALUE: ['protocol', protocolError, 'a setting has a value outside of its range'],
  H2_SETTING_WINDOW: ['protocol', flowControlError, 'SETTINGS_INITIAL_WINDOW_SIZE is beyond 2^31 - 1'],
  // Others
  H2_WINDOW_INCREMENT_ZERO: ['protocol', protocolError, 'the window of the connection is updated by 0'],
  H2_PRIORITIZED_STREAM_ID: ['protocol', protocolError, 'PRIORITY_UPDATE prioritizes stream 0'],
  H2_ALTSVC_LENGTH: ['protocol', frameSizeError, 'the origin of ALTSVC is longer than its frame'],
  H2_ORIGIN_LENGTH: ['protocol', frameSizeError, 'an entry of ORIGIN is longer than its frame'],
  // Ends
  H2_TRUNCATED_FRAME: ['protocol', protocolError, 'the connection ended inside a frame'],
  H2_TRUNCATED_FIELD_BLOCK: ['protocol', protocolError, 'the connection ended inside a field block'],
} as const satisfies Record<string, Row>;

/** Reason of every `WireError` that the decoder throws. */
export type FramingReason = keyof typeof rows;

/** All reasons of the decoder, for tables and metrics. */
export const FRAMING_REASONS: readonly FramingReason[] = Object.freeze(Object.keys(rows) as FramingReason[]);

/** The error of a failed check. `wire.http2Code` is what GOAWAY says. @param context which frame it was */
export function framingError(reason: FramingReason, context?: string): WireError {
  const [type, http2Code, message] = rows[reason];
  return new WireError(type, reason, { message, context, wire: { http2Code } });
}
