/** @ferrata/http1: HTTP/1.1 (RFC 9112) without I/O: strict decoders, encoders, and the machines of both ends of a connection. */

// Decoders
export { RequestDecoder } from './request-decoder.ts';
export { ResponseDecoder } from './response-decoder.ts';
export { BodyLength, MessageEvent } from './message-event.ts';
export { TargetForm, effectiveTarget, normalizeTarget, targetForm, type EffectiveTarget } from './request-target.ts';

// Encoders
export {
  formatRequestHead,
  formatResponseHead,
  writeRequestHead,
  writeResponseHead,
  type RequestHeadOptions,
  type ResponseHeadOptions,
} from './message-writer.ts';
export { CHUNK_END, formatChunkLine, formatLastChunk, writeChunk, writeLastChunk } from './chunk-writer.ts';

// Machines
export { ServerConnection } from './server-connection.ts';
export { ClientConnection } from './client-connection.ts';
export {
  resolveClientConnectionOptions,
  resolveServerConnectionOptions,
  type ClientConnectionOptions,
  type ResolvedClientConnectionOptions,
  type ResolvedServerConnectionOptions,
  type ServerConnectionOptions,
} from './connection-options.ts';

// Options and errors
export {
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
  type DecoderOptions,
  type ForbiddenTrailers,
  type RequestDecoderOptions,
  type ResolvedRequestDecoderOptions,
  type ResolvedResponseDecoderOptions,
  type ResponseDecoderOptions,
} from './options.ts';
export { HTTP1_REASONS, http1Error, type Http1Reason, type MessageSide } from './errors.ts';
