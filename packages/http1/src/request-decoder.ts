/**
 * Decodes HTTP/1 requests from chunks of bytes, in any cut.
 *
 * Rules of this file:
 * - A request is what RFC 9112 says, by the strictest reading; what two servers could read differently is refused (see the README's table).
 * - A head is an event only when all of it is valid: target, Host and framing included.
 * - After a request that ends the connection nothing more is read: `next` returns false for ever (RFC 9112 §9.6).
 * - It never reads ahead of its caller: after `end` of a request with `upgrade`, whoever wants to switch protocols calls `takeRemaining` instead of `next`.
 *
 * ```text
 *   between ── byte ──► head ── event head ──► body ── event end ──► between | finished
 *      └─ CRLF ─┘ (maxEmptyLines)                └─ event data ─┘
 * ```
 *
 * @see RFC 9112 §2, §3, §6, §9 · RFC 9110 §7.8, §9.3.6, §10.1.1
 */
import { concatBytes } from '@ferrata/bytes';
import { toWireError, type WireError } from '@ferrata/error';
import { asksToContinue, type HeaderMap, HttpVersion, KnownHeader, type RequestHead } from '@ferrata/headers';
import { http1Error } from './errors.ts';
import { CR, DEL, LF } from './internal/ascii.ts';
import { BodyDecoder } from './internal/body-decoder.ts';
import { hasConnectionOption, keepsAlive } from './internal/connection-option.ts';
import { buildFields } from './internal/field-builder.ts';
import { FieldScanner } from './internal/field-scanner.ts';
import { framedLength } from './internal/framing.ts';
import { checkHost, isHostPlain } from './internal/host.ts';
import { methodWithin } from './internal/known-method.ts';
import { MessageInput } from './internal/message-input.ts';
import { RequestLineScanner } from './internal/request-line-scanner.ts';
import { SectionReader } from './internal/section-reader.ts';
import { namesProtocol } from './internal/upgrade.ts';
import { MessageEvent } from './message-event.ts';
import { type RequestDecoderOptions, type ResolvedRequestDecoderOptions, resolveRequestDecoderOptions } from './options.ts';
import { TargetForm, targetForm } from './request-target.ts';

const Phase = { between: 0, emptyLineFeed: 1, head: 2, body: 3, finished: 4, detached: 5 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/**
 * A cursor over the requests of one connection: `feed` bytes, call `next` until it returns false, read the fields named by `event`.
 *
 * ```ts
 * decoder.feed(chunk);
 * while (decoder.next()) {
 *   if (decoder.event === MessageEvent.head) route(decoder.head);
 *   else if (decoder.event === MessageEvent.data) take(decoder.data);
 * }
 * ```
 */
export class RequestDecoder {
  readonly #options: ResolvedRequestDecoderOptions;
  readonly #input = new MessageInput();
  readonly #line: RequestLineScanner;
  readonly #reader: SectionReader;
  readonly #body: BodyDecoder;
  #phase: Phase = Phase.between;
  #emptyLines = 0;
  #error: WireError | null = null;
  #event: MessageEvent = MessageEvent.none;
  #head: RequestHead | null = null;
  #headBytes = 0;
  #bodyLength = 0;
  #form: TargetForm = TargetForm.origin;
  #isHostPlain = false;
  #keepAlive = true;
  #expectsContinue = false;
  #upgrade: string | null = null;

  /** @throws {RangeError} when an option makes no sense */
  constructor(options: RequestDecoderOptions | ResolvedRequestDecoderOptions = {}) {
    const resolved = resolveRequestDecoderOptions(options);
    this.#options = resolved;
    const { maxFields, maxFieldBytes, maxFieldNameBytes, maxHeadBytes, leniency } = resolved;
    const { bareLineFeed } = leniency;
    this.#line = new RequestLineScanner(resolved);
    this.#reader = new SectionReader(
      'request',
      this.#line,
      new FieldScanner('request', {
        maxFields,
        maxFieldBytes,
        maxFieldNameBytes,
        tooManyReason: 'H1_FIELDS_TOO_MANY',
        // RFC 9112 §5.1 and §5.2 oblige a server to refuse these two in requests.
        leniency: { bareLineFeed, foldedFields: false, blankBeforeColon: false },
      }),
      { maxBytes: maxHeadBytes, tooLargeReason: 'H1_HEAD_TOO_LARGE' },
    );
    this.#body = new BodyDecoder('request', resolved);
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What the last `next` that returned true found. */
  get event(): MessageEvent {
    return this.#event;
  }

  /** The head of the request at hand; from its `head` event to the next one. @throws {TypeError} before the first */
  get head(): RequestHead {
    if (this.#head === null) throw new TypeError('no request head has been decoded yet');
    return this.#head;
  }

  /** Bytes of the last head on the wire, from the first of the request line to the last of the empty line. */
  get headBytes(): number {
    return this.#headBytes;
  }

  /** Length of the body in bytes, 0 if there is none, or `BodyLength.chunked`. */
  get bodyLength(): number {
    return this.#bodyLength;
  }

  /** The form of the request target; see `effectiveTarget` and `normalizeTarget`. */
  get targetForm(): TargetForm {
    return this.#form;
  }

  /** True if the client lets the connection go on after this request (RFC 9112 §9.3). */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** True if the client waits for 100 (Continue) before it sends its body: never in HTTP/1.0, never without a body (RFC 9110 §10.1.1). */
  get expectsContinue(): boolean {
    return this.#expectsContinue;
  }

  /**
   * The protocols to which the client asks to switch, or null. Only of an HTTP/1.1 request that nominates Upgrade in Connection and has no
   * body: with one, servers differ in where the new protocol begins (CVE-2026-58055, CVE-2026-73548).
   *
   * @see RFC 9110 §7.8
   */
  get upgrade(): string | null {
    return this.#upgrade;
  }

  /** True if the request asks for a tunnel (RFC 9110 §9.3.6). */
  get isConnect(): boolean {
    return this.#head?.method === 'CONNECT';
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

  /** True from the first byte of a request line that `next` has looked at to the `end` event. */
  get isMidMessage(): boolean {
    return this.#phase === Phase.head || this.#phase === Phase.body;
  }

  /** True where the connection may end without harm: no request has begun, or the last one is complete. */
  get isBetweenMessages(): boolean {
    return !this.isMidMessage;
  }

  /** True when no further request will be read: the last one ended the connection, or the rest was taken. */
  get isFinished(): boolean {
    return this.#phase === Phase.finished || this.#phase === Phase.detached;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

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

  /** The peer has ended its side. `next` still finds what was fed before, and throws if that stops inside a request. */
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
        case Phase.emptyLineFeed:
          if (!this.#input.hasBytes()) return false;
          this.#takeEmptyLine();
          break;
        case Phase.head:
          if (!this.#input.hasBytes()) return this.#needsMore();
          if (this.#readHead()) return true;
          break;
        case Phase.body:
          // The end of a body without bytes needs none.
          this.#input.hasBytes();
          if (this.#readBody()) return true;
          if (!this.#input.hasBytes()) return this.#needsMore();
          break;
        default:
          return false;
      }
    }
  }

  /** RFC 9112 §2.2: clients have sent an extra CRLF after a body; a few are skipped. */
  #takeEmptyLine(): void {
    const input = this.#input;
    const byte = input.chunk[input.at] as number;
    if (this.#phase === Phase.emptyLineFeed) {
      if (byte !== LF) throw http1Error('H1_BARE_CR', 'request');
      input.at++;
      this.#phase = Phase.between;
    } else if (byte === CR || (byte === LF && this.#options.leniency.bareLineFeed)) {
      if (++this.#emptyLines > this.#options.maxEmptyLines) throw http1Error('H1_EMPTY_LINES_TOO_MANY', 'request');
      input.at++;
      if (byte === CR) this.#phase = Phase.emptyLineFeed;
    } else {
      this.#emptyLines = 0;
      this.#reader.start();
      this.#phase = Phase.head;
    }
  }

  #readHead(): boolean {
    const input = this.#input;
    const reader = this.#reader;
    const isComplete = reader.read(input.chunk, input.at);
    input.at += reader.takenBytes;
    if (!isComplete) return false;
    this.#headBytes = reader.byteLength;
    const head = this.#buildHead();
    this.#validate(head);
    this.#head = head;
    this.#body.start(this.#bodyLength);
    this.#phase = Phase.body;
    this.#event = MessageEvent.head;
    return true;
  }

  #buildHead(): RequestHead {
    const line = this.#line;
    const text = this.#reader.decode();
    const headers = buildFields(this.#reader, text);
    this.#isHostPlain = isHostPlain(this.#reader, headers);
    this.#reader.release();
    return {
      method: methodWithin(text, line.methodEnd),
      target: line.isTargetRaw ? encodeTarget(text, line) : text.substring(line.methodEnd + 1, line.targetEnd),
      version: line.version,
      headers,
    };
  }

  #validate(head: RequestHead): void {
    const { method, target, version, headers } = head;
    this.#form = targetForm(method, target);
    if (!this.#isHostPlain) checkHost(headers, version, this.#options.leniency);
    const framed = framedLength(headers, version, 'request', this.#options.leniency);
    // RFC 9112 §6.3: a request that names no length has no body; it is never delimited by the end of the connection.
    const bodyLength = framed < -1 ? 0 : framed;
    // RFC 9110 §9.3.6: content of CONNECT has no meaning, and a server could take it for the first bytes of the tunnel.
    if (bodyLength !== 0 && method === 'CONNECT') throw http1Error('H1_CONNECT_WITH_BODY', 'request');
    this.#bodyLength = bodyLength;
    this.#keepAlive = keepsAlive(headers, version);
    const isHttp11 = version === HttpVersion.http11;
    this.#expectsContinue = isHttp11 && bodyLength !== 0 && asksToContinue(headers);
    this.#upgrade =
      isHttp11 && bodyLength === 0 && headers.hasKnown(KnownHeader.upgrade) && method !== 'CONNECT' ? askedUpgrade(headers) : null;
  }

  #readBody(): boolean {
    const input = this.#input;
    const found = this.#body.next(input.chunk, input.at);
    input.at = this.#body.at;
    if (!found) return false;
    this.#event = this.#body.event;
    if (this.#event === MessageEvent.end) this.#phase = this.#keepAlive ? Phase.between : Phase.finished;
    return true;
  }

  #needsMore(): false {
    if (this.#input.hasEnded) throw http1Error(this.#phase === Phase.body ? 'H1_TRUNCATED_BODY' : 'H1_TRUNCATED_HEAD', 'request');
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

/** RFC 3986 §2.1: each byte above 0x7F as `%` and two digits; what has been encoded already stays as it is. */
function encodeTarget(text: string, line: RequestLineScanner): string {
  let encoded = '';
  let start = line.methodEnd + 1;
  for (let at = start; at < line.targetEnd; at++) {
    const code = text.charCodeAt(at);
    if (code <= DEL) continue;
    encoded += text.substring(start, at) + (ENCODED[code - DEL - 1] as string);
    start = at + 1;
  }
  return encoded + text.substring(start, line.targetEnd);
}

/** By byte, from 0x80 on. */
const ENCODED: readonly string[] = Array.from({ length: 128 }, (_, byte) => `%${(byte + DEL + 1).toString(16).toUpperCase()}`);

function askedUpgrade(headers: HeaderMap): string | null {
  const asked = headers.combinedKnown(KnownHeader.upgrade) as string;
  return namesProtocol(asked) && hasConnectionOption(headers, 'upgrade') ? asked : null;
}
