/**
 * Lets browsers call gRPC services: translates gRPC-Web, binary or text, to gRPC and back.
 *
 * ```text
 *   application/grpc-web+proto        ─►  application/grpc+proto, TE: trailers           the body as it is
 *   application/grpc-web-text+proto   ─►  application/grpc+proto, TE: trailers           the body out of base64
 *   application/grpc+proto            ─►  application/grpc-web+proto                     the body, then the trailers as a frame
 *                                     ─►  application/grpc-web-text+proto                the same in base64
 * ```
 *
 * Rules of this file:
 * - The message format (`+proto`) is the response's own; binary or text is what the client's Accept names, else what its request was.
 * - A response that is no gRPC is passed on as it is: an error page, an answer to nobody's question.
 * - A `grpc-status` in the head stays there: clients look for it in both places, and a response without a body has no other.
 * - Preflights and `Access-Control-…` are the business of whoever knows which origins are welcome.
 *
 * @see grpc PROTOCOL-WEB.md, PROTOCOL-HTTP2.md
 */
import { asciiLowerCase, concatBytes } from '@ferrata/bytes';
import { type HeaderMap, KnownHeader, parseQualityList, type RequestHead, type ResponseHead } from '@ferrata/headers';
import type { HttpModule, HttpModuleKind, ModuleExchange, ModulePiece, ResponseBodyInfo } from '../http-module.ts';
import { deleteDigests } from '../internal/old-bytes.ts';
import { Base64Decoder } from './base64-decoder.ts';
import { base64, GrpcTextEncoder } from './grpc-text-encoder.ts';
import { trailerFrame } from './trailer-frame.ts';

/** Options of `grpcWeb`. */
export interface GrpcWebOptions {
  /** Whether a gRPC-Web request is translated; others are never asked about. Default: all are. */
  readonly isEnabled?: (request: RequestHead) => boolean;
}

const GRPC_WEB = 'application/grpc-web';
const GRPC_WEB_TEXT = 'application/grpc-web-text';
const GRPC = 'application/grpc';

/** Makes a kind of module that translates gRPC-Web requests, and their responses. @throws {TypeError} when `isEnabled` is no function */
export function grpcWeb(options: GrpcWebOptions = {}): HttpModuleKind {
  const { isEnabled } = options;
  if (isEnabled !== undefined && typeof isEnabled !== 'function') throw new TypeError('isEnabled must be a function');
  return Object.freeze({
    name: 'grpc-web',
    create({ request }: ModuleExchange): HttpModule | null {
      const isText = isTextVariant(request.headers.getKnown(KnownHeader.contentType));
      if (isText === null || isEnabled?.(request) === false) return null;
      return new GrpcWebBridge(isText, isTextAccepted(request.headers) ?? isText);
    },
  });
}

class GrpcWebBridge implements HttpModule {
  readonly #decoder: Base64Decoder | null;
  readonly #answersText: boolean;
  #isGrpcResponse = false;
  #encoder: GrpcTextEncoder | null = null;
  #trailers: HeaderMap | null = null;

  constructor(isTextRequest: boolean, answersText: boolean) {
    this.#decoder = isTextRequest ? new Base64Decoder() : null;
    this.#answersText = answersText;
  }

  requestFilter({ headers }: RequestHead): void {
    const contentType = headers.getKnown(KnownHeader.contentType) ?? '';
    const prefix = this.#decoder === null ? GRPC_WEB : GRPC_WEB_TEXT;
    headers.setKnown(KnownHeader.contentType, GRPC + contentType.slice(prefix.length));
    // Servers refuse to answer without it: it says that every hop takes trailers.
    headers.setKnown(KnownHeader.te, 'trailers');
    headers.delete('x-grpc-web');
    if (this.#decoder === null) return;
    headers.deleteKnown(KnownHeader.contentLength);
    deleteDigests(headers);
  }

  get editsRequestBody(): boolean {
    return this.#decoder !== null;
  }

  requestBodyFilter(chunk: Uint8Array | null): ModulePiece {
    if (this.#decoder === null) return chunk;
    if (chunk !== null) return this.#decoder.decode(chunk);
    this.#decoder.end();
    return null;
  }

  responseFilter({ headers }: ResponseHead, _body: ResponseBodyInfo, _exchange: ModuleExchange): void {
    const contentType = headers.getKnown(KnownHeader.contentType);
    if (contentType === undefined || !isVariantOf(contentType, GRPC)) return;
    this.#isGrpcResponse = true;
    const prefix = this.#answersText ? GRPC_WEB_TEXT : GRPC_WEB;
    if (this.#answersText) this.#encoder = new GrpcTextEncoder();
    headers.setKnown(KnownHeader.contentType, prefix + contentType.slice(GRPC.length));
    headers.deleteKnown(KnownHeader.contentLength);
    headers.deleteKnown(KnownHeader.trailer);
    deleteDigests(headers);
  }

  get editsResponseBody(): boolean {
    return this.#isGrpcResponse;
  }

  responseBodyFilter(chunk: Uint8Array | null): ModulePiece {
    if (chunk === null) return this.#lastPiece();
    return this.#encoder === null ? chunk : this.#encoder.encode(chunk);
  }

  responseTrailerFilter(trailers: HeaderMap | null): HeaderMap | null {
    if (!this.#isGrpcResponse) return trailers;
    this.#trailers = trailers;
    return null;
  }

  #lastPiece(): ModulePiece {
    const frame = this.#trailers === null ? null : trailerFrame(this.#trailers);
    if (this.#encoder === null) return frame;
    const rest = this.#encoder.end();
    if (frame === null) return rest;
    return rest === null ? base64(frame) : concatBytes([rest, base64(frame)]);
  }
}

/** Whether a Content-Type is the text variant of gRPC-Web; null: it is none at all. */
function isTextVariant(contentType: string | undefined): boolean | null {
  if (contentType === undefined) return null;
  if (isVariantOf(contentType, GRPC_WEB_TEXT)) return true;
  return isVariantOf(contentType, GRPC_WEB) ? false : null;
}

/** The same of the element of Accept that is gRPC-Web and weighs most, the first among equals; null: none is acceptable. @see RFC 9110 §12.5.1 */
function isTextAccepted(headers: HeaderMap): boolean | null {
  const accept = headers.combinedKnown(KnownHeader.accept);
  if (accept === undefined) return null;
  let best: boolean | null = null;
  let bestQuality = 0;
  for (const { value, quality } of parseQualityList(accept)) {
    const isText = isTextVariant(value);
    if (isText === null || quality <= bestQuality) continue;
    best = isText;
    bestQuality = quality;
  }
  return best;
}

/** Whether this is the media type, with or without a message format (`+proto`) or parameters. */
function isVariantOf(contentType: string, type: string): boolean {
  if (contentType.length < type.length || asciiLowerCase(contentType.slice(0, type.length)) !== type) return false;
  return contentType.length === type.length || '+; \t'.includes(contentType.charAt(type.length));
}
