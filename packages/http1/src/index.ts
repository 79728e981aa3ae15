/** @ferrata/http1: HTTP/1.1 (RFC 9112) without I/O: strict decoders, encoders, and the machines of both ends of a connection. */

export { CHUNK_END, formatChunkLine, formatLastChunk, writeChunk, writeLastChunk } from './chunk-writer.ts';
export { ClientConnection } from './client-connection.ts';
export {
  type ClientConnectionOptions,
  type ResolvedClientConnectionOptions,
  type ResolvedServerConnectionOptions,
  resolveClientConnectionOptions,
  resolveServerConnectionOptions,
  type ServerConnectionOptions,
  type ServerExchangeBounds,
} from './connection-options.ts';
export { HTTP1_REASONS, type Http1Reason, http1Error, type MessageSide } from './errors.ts';
export { BodyLength, MessageEvent } from './message-event.ts';
// Encoders
export {
  formatRequestHead,
  formatResponseHead,
  type RequestHeadOptions,
  type ResponseHeadOptions,
  writeRequestHead,
  writeResponseHead,
} from './message-writer.ts';
// Options and errors
export {
  type DecoderOptions,
  type ForbiddenTrailers,
  type RequestDecoderOptions,
  type RequestLeniency,
  type ResolvedRequestDecoderOptions,
  type ResolvedResponseDecoderOptions,
  type ResponseDecoderOptions,
  type ResponseLeniency,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
} from './options.ts';
// Decoders
export { RequestDecoder } from './request-decoder.ts';
export { type EffectiveTarget, effectiveTarget, normalizeTarget, TargetForm, targetForm } from './request-target.ts';
export { ResponseDecoder } from './response-decoder.ts';
// Machines
export { ServerConnection } from './server-connection.ts';
