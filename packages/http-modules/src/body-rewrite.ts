/**
 * Bodies that are rewritten on their way: piece by piece, or as a whole up to a size.
 *
 * A body is rewritten if `when` says so and its bytes are what they seem: not in a content coding, unless `encoded` says that the transform knows it, and never a part
 * of a representation (206). So that they are, what answers is asked for bodies in no coding. What was true of the old bytes only goes: the length, digests, ranges; a strong
 * entity tag becomes a weak one.
 */
import { checkWholeNumber, limitError, protocolError, type WireError } from '@ferrata/error';
import { type HeaderMap, KnownHeader, knownHeaderSet, type RequestHead, type ResponseHead } from '@ferrata/headers';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleExchange, ModulePiece, ResponseBodyInfo } from './http-module.ts';
import { contentCodings } from './internal/content-codings.ts';
import { deleteDigests, weakenEtag, weakenNotModified } from './internal/old-bytes.ts';
import { contentLengthOf } from './internal/running-modules.ts';

/** Which message a body belongs to. */
export interface RewrittenMessage {
  readonly direction: 'request' | 'response';
  /** As it is sent on. */
  readonly head: RequestHead | ResponseHead;
  readonly request: RequestHead;
}

/** Gets each piece of one body, and null once at its end; what it gives back is passed on. */
export type PieceTransform = (chunk: Uint8Array | null) => Awaitable<ModulePiece>;

/** How bodies are rewritten. */
export interface BodyTransform {
  /** Makes the transform of one body. */
  begin(message: RewrittenMessage): PieceTransform;
  /**
   * Whether a body of this length, known beforehand, is rewritten at all. Default: yes.
   * @throws {WireError} it must not pass
   */
  takes?(length: number, message: RewrittenMessage): boolean;
}

/** Options of `rewriteBody`. */
export interface RewriteBodyOptions {
  readonly direction: 'request' | 'response';
  /** Which messages. Default: all. */
  readonly when?: (head: RequestHead | ResponseHead, request: RequestHead) => boolean;
  /** A transform, as `wholeBody` and `replaceBytes` make it, or what makes one for each body. */
  readonly transform: BodyTransform | ((message: RewrittenMessage) => PieceTransform);
  /** Bodies in a content coding too (gzip, br): the transform gets the coded bytes. Default false. */
  readonly encoded?: boolean;
  /**
   * What becomes of a body in a content coding that the transform doesn't know, and of a part of one (206). `pass`: it goes on as it is. `fail`, for what must not slip through: a
   * request is answered 415, a response becomes a 502; and as a client could ask for parts, Range is not passed on. Default `pass`.
   */
  readonly onUnreadable?: 'pass' | 'fail';
  /**
   * Of responses: their requests ask for bodies in no coding, by `Accept-Encoding: identity`; what a client accepts, `compression` knows all the same. It costs bytes on the way from the
   * upstream, for all responses, as nobody knows yet which are rewritten. Where `requestFilter` isn't called, behind an upstream, whoever sends the request must ask. Default: true,
   * unless `encoded`.
   */
  readonly identity?: boolean;
  /** For messages. Default `rewriteBody`. */
  readonly name?: string;
  /** Where it stands in the chain; default 0. */
  readonly order?: number;
}

/** Asks for a part of a body. */
const OF_PARTS = knownHeaderSet(KnownHeader.range, KnownHeader.ifRange);

/** Makes a kind of module that rewrites bodies. @throws {TypeError} for an `onUnreadable` that is none, and for `identity` of requests */
export function rewriteBody(options: RewriteBodyOptions): HttpModuleKind {
  const { direction, name = 'rewriteBody', order = 0, encoded = false, onUnreadable = 'pass' } = options;
  if (onUnreadable !== 'pass' && onUnreadable !== 'fail')
    throw new TypeError(`onUnreadable must be pass or fail, not ${String(onUnreadable)}`);
  if (direction === 'request' && options.identity === true) throw new TypeError('identity is asked for where responses are rewritten');
  const rewriting: Rewriting = {
    when: options.when ?? ((): boolean => true),
    transform: typeof options.transform === 'function' ? { begin: options.transform } : options.transform,
    encoded,
    onUnreadable,
    asksIdentity: options.identity ?? !encoded,
  };
  if (direction === 'response') return { name, order, create: () => new ResponseRewriter(rewriting) };
  return { name, order, create: (exchange) => (exchange.hasRequestBody ? new RequestRewriter(rewriting) : null) };
}

interface Rewriting {
  readonly when: (head: RequestHead | ResponseHead, request: RequestHead) => boolean;
  readonly transform: BodyTransform;
  readonly encoded: boolean;
  readonly onUnreadable: 'pass' | 'fail';
  readonly asksIdentity: boolean;
}

class RequestRewriter implements HttpModule {
  readonly #rewriting: Rewriting;
  #transform: PieceTransform | null = null;

  constructor(rewriting: Rewriting) {
    this.#rewriting = rewriting;
  }

  get editsRequestBody(): boolean {
    return this.#transform !== null;
  }
  requestFilter(request: RequestHead): void {
    this.#transform = beginRewrite(this.#rewriting, { direction: 'request', head: request, request }, contentLengthOf(request.headers));
  }
  requestBodyFilter(chunk: Uint8Array | null): Awaitable<ModulePiece> {
    return this.#transform === null ? chunk : this.#transform(chunk);
  }
}

class ResponseRewriter implements HttpModule {
  readonly #rewriting: Rewriting;
  #transform: PieceTransform | null = null;

  constructor(rewriting: Rewriting) {
    this.#rewriting = rewriting;
  }

  get editsResponseBody(): boolean {
    return this.#transform !== null;
  }
  requestFilter({ headers }: RequestHead): void {
    const { asksIdentity, onUnreadable } = this.#rewriting;
    if (asksIdentity) headers.setKnown(KnownHeader.acceptEncoding, 'identity');
    if (onUnreadable === 'fail') headers.deleteAnyOf(OF_PARTS);
  }
  responseFilter(response: ResponseHead, { bodyLength }: ResponseBodyInfo, { request }: ModuleExchange): void {
    const { status, headers } = response;
    if (status === 304) weakenNotModified(headers, request.headers.combinedKnown(KnownHeader.ifNoneMatch));
    if (status === 204 || status === 304) return;
    if (status === 206) {
      refusePart(this.#rewriting, { direction: 'response', head: response, request });
      return;
    }
    const length = request.method === 'HEAD' ? contentLengthOf(response.headers) : bodyLength;
    this.#transform = beginRewrite(this.#rewriting, { direction: 'response', head: response, request }, length);
  }
  responseBodyFilter(chunk: Uint8Array | null): Awaitable<ModulePiece> {
    return this.#transform === null ? chunk : this.#transform(chunk);
  }
  responseTrailerFilter(trailers: HeaderMap | null): HeaderMap | null {
    if (trailers !== null && this.#transform !== null) deleteDigests(trailers);
    return trailers;
  }
}

/** @throws {WireError} BODY_UNREADABLE for a part of what is to be rewritten; of several parts nobody says what they are parts of */
function refusePart({ when, onUnreadable }: Rewriting, message: RewrittenMessage): void {
  if (onUnreadable === 'pass') return;
  const type = message.head.headers.getKnown(KnownHeader.contentType) ?? '';
  if (/^multipart\/byteranges/i.test(type) || when(message.head, message.request)) throw bodyUnreadable(message);
}

/** @param length -1: not known @returns null: the body passes as it is */
function beginRewrite(rewriting: Rewriting, message: RewrittenMessage, length: number): PieceTransform | null {
  const { when, transform, encoded, onUnreadable } = rewriting;
  const { headers } = message.head;
  if (!when(message.head, message.request)) return null;
  if (!encoded && contentCodings(headers).length > 0) {
    if (onUnreadable === 'pass') return null;
    throw bodyUnreadable(message);
  }
  if (length >= 0 && transform.takes?.(length, message) === false) return null;
  forgetOldBytes(headers);
  return transform.begin(message);
}

/** What the old bytes had, and the new ones have not (RFC 9110 §8.8.1, RFC 9530). */
function forgetOldBytes(headers: HeaderMap): void {
  headers.deleteKnown(KnownHeader.acceptRanges);
  deleteDigests(headers);
  weakenEtag(headers);
}

/** Options of `wholeBody`. */
export interface WholeBodyOptions {
  /** The most bytes that are collected; default 1 MiB, for each body under way. */
  readonly maxBytes?: number;
  /**
   * What becomes of a longer body. `fail`: a request is answered 413; a response becomes a 502, or is cut if its head has been sent. `pass`: it goes on as it is. Default
   * `fail`, as what was to be taken out of a body must not slip through.
   */
  readonly onTooLarge?: 'fail' | 'pass';
}

/**
 * Makes a transform for `rewriteBody` that gets a body as a whole.
 *
 * @param rewrite gives the new body; may return the old one
 * @throws {RangeError} if `maxBytes` is not a whole number from 0
 */
export function wholeBody(
  rewrite: (body: Uint8Array, message: RewrittenMessage) => Awaitable<Uint8Array>,
  options: WholeBodyOptions = {},
): BodyTransform {
  const { onTooLarge = 'fail' } = options;
  const maxBytes = checkWholeNumber('maxBytes', options.maxBytes ?? 1_048_576);
  return {
    takes: (length, message) => {
      if (length <= maxBytes) return true;
      if (onTooLarge === 'pass') return false;
      throw bodyTooLarge(message, maxBytes);
    },
    begin: (message) => {
      const collector = new BodyCollector(message, maxBytes, onTooLarge);
      return (chunk) => (chunk === null ? collector.end(rewrite) : collector.take(chunk));
    },
  };
}

/** A body in the making. */
class BodyCollector {
  readonly #message: RewrittenMessage;
  readonly #maxBytes: number;
  readonly #onTooLarge: 'fail' | 'pass';
  /** Grows by doubling: many small pieces must not each keep the chunk alive that they lie in. */
  #bytes: Uint8Array = new Uint8Array(0);
  #length = 0;
  /** It was too large, and passes. */
  #passes = false;

  constructor(message: RewrittenMessage, maxBytes: number, onTooLarge: 'fail' | 'pass') {
    this.#message = message;
    this.#maxBytes = maxBytes;
    this.#onTooLarge = onTooLarge;
  }

  take(chunk: Uint8Array): ModulePiece {
    if (this.#passes) return chunk;
    const length = this.#length + chunk.length;
    if (length > this.#maxBytes && this.#onTooLarge === 'fail') throw bodyTooLarge(this.#message, this.#maxBytes);
    this.#reserve(length);
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
    if (length <= this.#maxBytes) return null;
    this.#passes = true;
    return this.#takeBytes();
  }

  end(rewrite: (body: Uint8Array, message: RewrittenMessage) => Awaitable<Uint8Array>): Awaitable<ModulePiece> {
    return this.#passes ? null : rewrite(this.#takeBytes(), this.#message);
  }

  #takeBytes(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
    return bytes;
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(length, Math.min(2 * this.#bytes.length, this.#maxBytes)));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
  }
}

function bodyUnreadable({ direction }: RewrittenMessage): WireError {
  const message = `a ${direction} that is to be rewritten has a body in a content coding, or a part of one`;
  if (direction === 'request') return protocolError('BODY_UNREADABLE', message, { wire: { status: 415 }, source: 'downstream' });
  return protocolError('BODY_UNREADABLE', message, { wire: { status: 502 }, source: 'upstream' });
}

function bodyTooLarge({ direction }: RewrittenMessage, maxBytes: number): WireError {
  const message = `a ${direction} has a body of more than ${maxBytes} bytes, which is to be rewritten as a whole`;
  if (direction === 'request') return limitError('BODY_TOO_LARGE', message, { wire: { status: 413 }, source: 'downstream' });
  return limitError('BODY_TOO_LARGE', message, { wire: { status: 502 }, source: 'upstream' });
}
