/** @ferrata/websocket: WebSocket connections (RFC 6455) with permessage-deflate (RFC 7692), both roles; no I/O. */

// Words of the protocol
export { CloseCode, isCloseCode } from './close-code.ts';
// The machine
export { WebSocketConnection } from './connection.ts';
// Compression
export {
  acceptDeflate,
  type DeflateAnswer,
  type DeflateOptions,
  type DeflateParameters,
  offerDeflate,
  PERMESSAGE_DEFLATE,
  readDeflateAnswer,
  resolveDeflateOptions,
} from './deflate-negotiation.ts';
export { type Extension, type ExtensionParameter, parseExtensions } from './extension-list.ts';
// Frames
export { FrameDecoder, type FrameDecoderOptions, FrameEvent } from './frame-decoder.ts';
export { type FrameHeader, writeFrame } from './frame-writer.ts';
// Handshake values
export { isWebSocketKey, makeWebSocketKey, parseSubprotocols, WEBSOCKET_GUID, WEBSOCKET_VERSION } from './handshake-values.ts';
export { maskInPlace } from './mask.ts';
export { MessageCollector } from './message-collector.ts';
export type { MakeMessageCompression, MessageCompression } from './message-compression.ts';
export { MessageKind, Opcode } from './opcode.ts';
export { type ResolvedWebSocketOptions, resolveWebSocketOptions, type WebSocketOptions } from './options.ts';
export { Role } from './role.ts';
export { Utf8Validator } from './utf8-validator.ts';
export { WebSocketEvent } from './websocket-event.ts';
