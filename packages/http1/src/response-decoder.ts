/**
 * Decodes HTTP/1 responses from chunks of bytes, in any cut.
 *
 * Rules of this file:
 * - The end of a response depends on the request: tell each one with `expect`, in order, before its response is read (RFC 9112 §6.3).
 * - Bytes when no response is expected are an error. They could become the answer to the next request, which is somebody else's.
 * - Interim responses are heads only, and leave the expectation as it is. After 101, and after 2xx to CONNECT, no HTTP follows: `isTunnel`.
 *
 * ```text
 *   between ── byte ──► head ──┬─ 1xx: event head ───────────────────► between
 *                              ├─ 101, 2xx to CONNECT: event head ───► tunnel
 *                              └─ final: event head ──► body ── event end ──► between | finished
 *                                                        └─ event data ─┘
 * ```
 *
 * @see RFC 9112 §4, §6, §9 · RFC 9110 §15.2
 */
import { concatBytes } from '@ferrata/bytes';
import { toWireError, type WireError } from '@ferrata/error';
import { type HeaderMap, KnownHeader, type ResponseHead } from '@ferrata/headers';
import { http1Error } from './errors.ts';
import { CR, LF } from './internal/ascii.ts';
import { BodyDecoder } from './internal/body-decoder.ts';
import { keepsAlive } from './internal/connection-option.ts';
import { buildFields } from './internal/field-builder.ts';
import { unfoldFields } from './internal/field-folds.ts';
import { FieldScanner } from './internal/field-scanner.ts';
import { framedLength, UNFRAMED } from './internal/framing.ts';
import { MessageInput } from './internal/message-input.ts';
import { SectionReader } from './internal/section-reader.ts';
import { StatusLineScanner } from './internal/status-line-scanner.ts';
import { BodyLength, MessageEvent } from './message-event.ts';
import {
  type ResolvedResponseDecoderOptions,
  type ResponseDecoderOptions,
  type ResponseLeniency,
  resolveResponseDecoderOptions,
} from './options.ts';

const Phase = { between: 0, head: 1, body: 2, emptyLineFeed: 3, finished: 4, tunnel: 5, detached: 6 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** Empty lines that `emptyLinesBeforeResponse` skips. */
const MAX_EMPTY_LINES = 4;

/** A cursor over the responses of one connection: `expect` a response, `feed` bytes, call `next` until it returns false. */
export class ResponseDecoder {
  readonly #leniency: Required<ResponseLeniency>;
  readonly #input = new MessageInput();
  readonly #line: StatusLineScanner;
  readonly #reader: SectionReader;
  readonly #body: BodyDecoder;
  /** Methods of the requests whose final response has not come; the first `#answered` of them have been answered. */
  readonly #methods: string[] = [];
  #methodCount = 0;
  #answered = 0;
  #phase: Phase = Phase.between;
  #emptyLines = 0;
  #error: WireError | null = null;
  #event: MessageEvent = MessageEvent.none;
  #head: ResponseHead | null = null;
  #headBytes = 0;
  #bodyLength = 0;
  #keepAlive = true;
  #isInterim = false;
  /** A response that has no body has announced one: bytes of it may still come. */
  #hasStrayBody = false;
  /** An interim response to the request at hand has come. */
  #hasInterim = false;

  /** @throws {RangeError} when an option makes no sense */
  constructor(options: ResponseDecoderOptions | ResolvedResponseDecoderOptions = {}) {
    const resolved = resolveResponseDecoderOptions(options);
    const { maxFields, maxFieldBytes, maxFieldNameBytes, maxHeadBytes, leniency } = resolved;
    this.#leniency = leniency;
    this.#line = new StatusLineScanner(resolved);
    this.#reader = new SectionReader(
      'response',
      this.#line,
      new FieldScanner('response', { maxFields, maxFieldBytes, maxFieldNameBytes, tooManyReason: 'H1_FIELDS_TOO_MANY', leniency }),
      { maxBytes: maxHeadBytes, tooLargeReason: 'H1_HEAD_TOO_LARGE' },
    );
    this.#body = new BodyDecoder('response', resolved, leniency);
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What the last `next` that returned true found. */
  get event(): MessageEvent {
    return this.#event;
  }

  /** The head of the response at hand; from its `head` event to the next one. @throws {TypeError} before the first */
  get head(): ResponseHead {
    if (this.#head === null) throw new TypeError('no response head has been decoded yet');
    return this.#head;
  }

  /** Bytes of the last head on the wire, from the first of the status line to the last of the empty line. */
  get headBytes(): number {
    return this.#headBytes;
  }

  /** Length of the body in bytes, 0 if there is none, or a `BodyLength`. What HEAD, 204 and 304 announce is in the head's fields, not here. */
  get bodyLength(): number {
    return this.#bodyLength;
  }

  /** True if the connection may carry another exchange after this response, as far as the server says (RFC 9112 §9.3). */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** True if the head at hand is interim: 1xx but 101. Neither body nor `end` follow, but another response to the same request. */
  get isInterim(): boolean {
    return this.#isInterim;
  }

  /** True after 101, or 2xx to CONNECT: `next` returns false for ever, and `takeRemaining` has the first bytes of the new protocol. */
  get isTunnel(): boolean {
    return this.#phase === Phase.tunnel;
  }

  /** A piece of the body, valid from a `data` event on: a view of a chunk fed, never rewritten. */
  get data(): Uint8Array {
    return this.#body.data;
  }

  /** Extensions of the chunk that `data` belongs to, without their first ";": mostly the empty string. */
  get chunkExtension(): string {
    return this.#body.chunkExtension;
  }

  /** Trailer fields, valid from an `end` event on; null if there are none. They are never merged into the head. */
  get trailers(): HeaderMap | null {
    return this.#body.trailers;
  }

  /** Bytes fed and not consumed. Part of a head, which is no event yet, counts as not consumed. */
  get bufferedBytes(): number {
    return this.#input.unreadBytes + this.#reader.bufferedBytes + this.#body.bufferedBytes;
  }

  /** Bytes consumed since the beginning; with `bufferedBytes` it makes all that were fed. */
  get consumedBytes(): number {
    return this.#input.takenBytes - this.#reader.bufferedBytes - this.#body.bufferedBytes;
  }

  /** True from the first byte of a status line that `next` has looked at to the `end` event, or to the head if interim. */
  get isMidMessage(): boolean {
    return this.#phase === Phase.head || this.#phase === Phase.body;
  }

  /** True where no response has begun, or the last one is complete. */
  get isBetweenMessages(): boolean {
    return !this.isMidMessage;
  }

  /** True when no further response will be read: the last one ended the connection, made it a tunnel, or the rest was taken. */
  get isFinished(): boolean {
    return this.#phase >= Phase.finished;
  }

  /** Requests whose final response has not been read whole. */
  get expectedCount(): number {
    return this.#methodCount - this.#answered;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  /**
   * Tells that a request with this method has been sent; once for each request, in order, before any byte of its response is fed.
   *
   * Bytes that were fed while nothing was expected are no answer to it, whether `next` has looked at them or not: the next `next` throws.
   */
  expect(method: string): void {
    // Otherwise a server could leave a second response behind its first, for whoever gets the connection next.
    if (this.expectedCount === 0 && this.#phase === Phase.between && this.#input.unreadBytes > 0 && this.#error === null) {
      this.#fail(http1Error('H1_UNEXPECTED_BYTES', 'response'));
    }
    // Counted, as setting the length of an array is a call into the engine (60 ns).
    if (this.#answered === this.#methodCount) {
      this.#answered = 0;
      this.#methodCount = 0;
    }
    this.#methods[this.#methodCount++] = method;
  }

  /**
   * Adds a chunk, which belongs to the decoder from now on. After an error chunks are dropped.
   *
   * @throws {TypeError} after `end` or `takeRemaining`
   */
  feed(chunk: Uint8Array): void {
    if (this.#phase === Phase.detached || this.#input.hasEnded) throw new TypeError('the decoder has been given its last byte');
    this.#input.feed(chunk);
    if (this.#error !== null) this.#input.discard();
  }

  /** The peer has ended its side: completes a close-delimited body; anywhere else inside an exchange `next` throws. */
  end(): void {
    this.#input.hasEnded = true;
  }

  /**
   * Moves on to the next event.
   *
   * @returns false if more bytes are needed, or none will be read any more
   * @throws {WireError} a reason of this package when the peer broke a rule or a limit; the first error is final and thrown again
   */
  next(): boolean {
    if (this.#error !== null) throw this.#error;
    try {
      return this.#advance();
    } catch (thrown) {
      throw this.#fail(toWireError(thrown));
    }
  }

  /**
   * Ends the reading for a reason of the caller's own, such as a time-out: `next` throws `error` from now on, and what was fed and not consumed is
   * dropped. After an error of the decoder's own, that one stays.
   */
  fail(error: WireError): void {
    if (this.#error === null) this.#fail(error);
  }

  // ---- outputs -----------------------------------------------------------------------------------------------------------------

  /** Moves out all bytes that were not consumed, for the protocol that follows; the decoder is of no use after that. */
  takeRemaining(): Uint8Array {
    const head = this.#reader.takeBuffered();
    const trailers = this.#body.takeBuffered();
    const rest = this.#input.takeUnread();
    this.#phase = Phase.detached;
    return head.length + trailers.length === 0 ? rest : concatBytes([head, trailers, rest]);
  }

  // ---- states ------------------------------------------------------------------------------------------------------------------

  #advance(): boolean {
    for (;;) {
      switch (this.#phase) {
        case Phase.between:
          if (!this.#input.hasBytes()) return this.#needsMore();
          if (this.expectedCount === 0) throw http1Error('H1_UNEXPECTED_BYTES', 'response');
          if (this.#leniency.emptyLinesBeforeResponse && this.#takeEmptyLine()) break;
          this.#reader.start();
          this.#phase = Phase.head;
          break;
        case Phase.emptyLineFeed:
          if (!this.#input.hasBytes()) return this.#needsMore();
          this.#takeEmptyLineFeed();
          break;
        case Phase.head:
          if (!this.#input.hasBytes()) return this.#needsMore();
          if (this.#readHead()) return true;
          break;
        case Phase.body:
          // The end of a body without bytes needs none.
          this.#input.hasBytes();
          if (this.#readBody()) return true;
          if (this.#input.hasBytes()) break;
          if (!this.#input.hasEnded) return false;
          this.#body.end();
          this.#endBody();
          return true;
        default:
          return false;
      }
    }
  }

  /** @returns false if the byte at hand is none of an empty line */
  #takeEmptyLine(): boolean {
    const input = this.#input;
    const byte = input.chunk[input.at] as number;
    if (byte !== CR && (byte !== LF || !this.#leniency.bareLineFeed)) {
      this.#emptyLines = 0;
      return false;
    }
    if (++this.#emptyLines > MAX_EMPTY_LINES) throw http1Error('H1_EMPTY_LINES_TOO_MANY', 'response');
    input.at++;
    if (byte === CR) this.#phase = Phase.emptyLineFeed;
    return true;
  }

  #takeEmptyLineFeed(): void {
    const input = this.#input;
    if (input.chunk[input.at] !== LF) throw http1Error('H1_BARE_CR', 'response');
    input.at++;
    this.#phase = Phase.between;
  }

  #readHead(): boolean {
    const input = this.#input;
    const reader = this.#reader;
    const isComplete = reader.read(input.chunk, input.at);
    input.at += reader.takenBytes;
    if (!isComplete) return false;
    this.#headBytes = reader.byteLength;
    this.#accept(this.#buildHead());
    this.#event = MessageEvent.head;
    return true;
  }

  #buildHead(): ResponseHead {
    const line = this.#line;
    const text = this.#reader.decode();
    let headers = buildFields(this.#reader, text);
    if (this.#reader.fields.hasFolds) headers = unfoldFields(headers, 'response');
    this.#reader.release();
    return { status: line.status, reason: reasonWithin(text, line), version: line.version, headers };
  }

  #accept(head: ResponseHead): void {
    const { status, version, headers } = head;
    // Validated for every response, also where it has no effect: a server that contradicts itself is not believed about anything.
    const isLengthDropped = this.#dropsLength(headers);
    const framed = framedLength(headers, version, 'response', this.#leniency);
    const method = this.#methods[this.#answered] as string;
    // RFC 9112 §6.1, RFC 9110 §8.6: 1xx and 204 must not announce a body. A server that does may send it, when the next request is under way.
    if ((status < 200 || status === 204) && (isLengthDropped || (framed !== UNFRAMED && framed !== 0))) this.#hasStrayBody = true;
    const isTunnel = status === 101 || (method === 'CONNECT' && status >= 200 && status < 300);
    this.#head = head;
    this.#isInterim = status < 200 && !isTunnel;
    this.#bodyLength = responseBodyLength(method, status, framed);
    this.#keepAlive =
      this.#bodyLength !== BodyLength.untilClose && !isTunnel && !isLengthDropped && !this.#hasStrayBody && keepsAlive(headers, version);
    if (isTunnel) {
      this.#answered++;
      this.#phase = Phase.tunnel;
    } else if (this.#isInterim) {
      this.#hasInterim = true;
      this.#phase = Phase.between;
    } else {
      this.#body.start(this.#bodyLength);
      this.#phase = Phase.body;
    }
  }

  /** Takes out a length that a leniency lets in and that says nothing. @returns true if there was one: nothing may follow the response */
  #dropsLength(headers: HeaderMap): boolean {
    const { contentLengthWithTransferEncoding, invalidContentLength } = this.#leniency;
    if (!headers.hasKnown(KnownHeader.contentLength)) return false;
    if (headers.hasKnown(KnownHeader.transferEncoding)) return contentLengthWithTransferEncoding && overruleContentLength(headers);
    return invalidContentLength && dropInvalidLength(headers);
  }

  #readBody(): boolean {
    const input = this.#input;
    const found = this.#body.next(input.chunk, input.at);
    input.at = this.#body.at;
    if (!found) return false;
    if (this.#body.event === MessageEvent.end) this.#endBody();
    else this.#event = MessageEvent.data;
    return true;
  }

  #endBody(): void {
    this.#event = MessageEvent.end;
    this.#answered++;
    this.#hasInterim = false;
    this.#phase = this.#keepAlive ? Phase.between : Phase.finished;
  }

  #needsMore(): false {
    if (!this.#input.hasEnded) return false;
    if (this.#phase === Phase.head || this.#hasInterim) throw http1Error('H1_TRUNCATED_HEAD', 'response');
    if (this.expectedCount > 0) throw http1Error('H1_CLOSED_BEFORE_RESPONSE', 'response');
    return false;
  }

  #fail(error: WireError): WireError {
    this.#error = error;
    this.#reader.takeBuffered();
    this.#body.takeBuffered();
    this.#input.discard();
    return error;
  }
}

/** RFC 9112 §6.3 rule 3: an intermediary that goes by Transfer-Encoding removes Content-Length before it forwards; the connection ends. */
function overruleContentLength(headers: HeaderMap): true {
  headers.deleteKnown(KnownHeader.contentLength);
  return true;
}

/**
 * One length of which nobody can read a number goes: then only the end of the connection ends the body (RFC 9112 §6.3 rule 8). Digits that are
 * too many, lists and several lines are opinions, and stay.
 *
 * @returns true if there was such a one
 */
function dropInvalidLength(headers: HeaderMap): boolean {
  if (headers.countKnown(KnownHeader.contentLength) > 1) return false;
  const isOpinion = /^[0-9]+$|,/.test(headers.getKnown(KnownHeader.contentLength) as string);
  return !isOpinion && headers.deleteKnown(KnownHeader.contentLength) > 0;
}

/** RFC 9112 §6.3, in its order. @param framed what the fields say */
function responseBodyLength(method: string, status: number, framed: number): number {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0;
  if (method === 'CONNECT' && status < 300) return 0;
  return framed === UNFRAMED ? BodyLength.untilClose : framed;
}

function reasonWithin(text: string, line: StatusLineScanner): string {
  if (line.status === 200 && line.reasonEnd - line.reasonStart === 2 && text.startsWith('OK', line.reasonStart)) return 'OK';
  return text.substring(line.reasonStart, line.reasonEnd);
}
