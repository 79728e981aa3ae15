/** @ferrata/http2-framing: the frames of HTTP/2 (RFC 9113 §4, §6) and of its extensions, read and written. No I/O, no states of streams. */

// Errors and options
export { FRAMING_REASONS, type FramingReason, framingError } from './errors.ts';
// Reading
export { FrameDecoder } from './frame-decoder.ts';
// The numbers of the wire
export {
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
  frameTypeName,
  Http2ErrorCode,
  http2ErrorName,
  MAX_MAX_FRAME_BYTES,
  MAX_STREAM_ID,
  MIN_MAX_FRAME_BYTES,
  SettingId,
} from './frame-type.ts';
// Writing
export {
  type DataOptions,
  type FieldBlockOptions,
  type HeadersOptions,
  type PingOptions,
  type PriorityFields,
  type UnknownFrame,
  writeAltsvc,
  writeData,
  writeFrameHeader,
  writeGoaway,
  writeHeaders,
  writeOrigin,
  writePing,
  writePriority,
  writePriorityUpdate,
  writePushPromise,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeUnknownFrame,
  writeWindowUpdate,
} from './frame-writer.ts';
export { type FrameDecoderOptions, type ResolvedFrameDecoderOptions, resolveFrameDecoderOptions } from './options.ts';
export { CLIENT_PREFACE, type PrefaceMatch, prefaceMatch } from './preface.ts';
