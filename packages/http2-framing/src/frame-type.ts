/**
 * The numbers of the wire: frame types, flags, error codes and settings, each under its name in its RFC.
 *
 * @see RFC 9113 §6, §7, §11 · RFC 7838 §4 (ALTSVC) · RFC 8336 §2 (ORIGIN) · RFC 8441 §3 · RFC 9218 §2.1, §7.1 (PRIORITY_UPDATE)
 */

/** Types of frames. A type that is not listed is an extension, which a recipient ignores (RFC 9113 §5.5). */
export const FrameType = {
  data: 0x00,
  headers: 0x01,
  priority: 0x02,
  rstStream: 0x03,
  settings: 0x04,
  pushPromise: 0x05,
  ping: 0x06,
  goaway: 0x07,
  windowUpdate: 0x08,
  continuation: 0x09,
  altsvc: 0x0a,
  origin: 0x0c,
  priorityUpdate: 0x10,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Flags of frames. A bit means something for some types only: 0x01 is `endStream` of DATA and HEADERS, `ack` of SETTINGS and PING. */
export const FrameFlag = { endStream: 0x01, ack: 0x01, endHeaders: 0x04, padded: 0x08, priority: 0x20 } as const;
export type FrameFlag = (typeof FrameFlag)[keyof typeof FrameFlag];

/** Error codes of RST_STREAM and GOAWAY (RFC 9113 §7). A peer may send others, which mean no more than `internalError`. */
export const Http2ErrorCode = {
  noError: 0x00,
  protocolError: 0x01,
  internalError: 0x02,
  flowControlError: 0x03,
  settingsTimeout: 0x04,
  streamClosed: 0x05,
  frameSizeError: 0x06,
  refusedStream: 0x07,
  cancel: 0x08,
  compressionError: 0x09,
  connectError: 0x0a,
  enhanceYourCalm: 0x0b,
  inadequateSecurity: 0x0c,
  http11Required: 0x0d,
} as const;
export type Http2ErrorCode = (typeof Http2ErrorCode)[keyof typeof Http2ErrorCode];

/** Settings (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1). A recipient ignores those that it doesn't know. */
export const SettingId = {
  headerTableSize: 0x01,
  enablePush: 0x02,
  maxConcurrentStreams: 0x03,
  initialWindowSize: 0x04,
  maxFrameSize: 0x05,
  maxHeaderListSize: 0x06,
  enableConnectProtocol: 0x08,
  noRfc7540Priorities: 0x09,
} as const;
export type SettingId = (typeof SettingId)[keyof typeof SettingId];

/** Bytes of a frame header. */
export const FRAME_HEADER_BYTES = 9;
/** The highest stream identifier, window and window increment. */
export const MAX_STREAM_ID = 0x7fff_ffff;
/** The smallest and the largest value of SETTINGS_MAX_FRAME_SIZE (RFC 9113 §4.2). */
export const MIN_MAX_FRAME_BYTES = 0x4000;
/** See `MIN_MAX_FRAME_BYTES`. */
export const MAX_MAX_FRAME_BYTES = 0xff_ffff;

const frameTypeNames: readonly string[] = namesOf({
  DATA: FrameType.data,
  HEADERS: FrameType.headers,
  PRIORITY: FrameType.priority,
  RST_STREAM: FrameType.rstStream,
  SETTINGS: FrameType.settings,
  PUSH_PROMISE: FrameType.pushPromise,
  PING: FrameType.ping,
  GOAWAY: FrameType.goaway,
  WINDOW_UPDATE: FrameType.windowUpdate,
  CONTINUATION: FrameType.continuation,
  ALTSVC: FrameType.altsvc,
  ORIGIN: FrameType.origin,
  PRIORITY_UPDATE: FrameType.priorityUpdate,
});

const errorNames: readonly string[] = namesOf({
  NO_ERROR: Http2ErrorCode.noError,
  PROTOCOL_ERROR: Http2ErrorCode.protocolError,
  INTERNAL_ERROR: Http2ErrorCode.internalError,
  FLOW_CONTROL_ERROR: Http2ErrorCode.flowControlError,
  SETTINGS_TIMEOUT: Http2ErrorCode.settingsTimeout,
  STREAM_CLOSED: Http2ErrorCode.streamClosed,
  FRAME_SIZE_ERROR: Http2ErrorCode.frameSizeError,
  REFUSED_STREAM: Http2ErrorCode.refusedStream,
  CANCEL: Http2ErrorCode.cancel,
  COMPRESSION_ERROR: Http2ErrorCode.compressionError,
  CONNECT_ERROR: Http2ErrorCode.connectError,
  ENHANCE_YOUR_CALM: Http2ErrorCode.enhanceYourCalm,
  INADEQUATE_SECURITY: Http2ErrorCode.inadequateSecurity,
  HTTP_1_1_REQUIRED: Http2ErrorCode.http11Required,
});

/** The name of a frame type as its RFC writes it: `RST_STREAM`; of an unknown one its number: `0x1f`. */
export function frameTypeName(type: number): string {
  return frameTypeNames[type] ?? hexOf(type);
}

/** The name of an error code as RFC 9113 §7 writes it: `REFUSED_STREAM`; of an unknown one its number: `0xff`. */
export function http2ErrorName(code: number): string {
  return errorNames[code] ?? hexOf(code);
}

function hexOf(value: number): string {
  return `0x${value.toString(16)}`;
}

function namesOf(numbers: Readonly<Record<string, number>>): string[] {
  const names: string[] = [];
  for (const [name, number] of Object.entries(numbers)) names[number] = name;
  return names;
}
