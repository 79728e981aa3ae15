/**
 * Makes a response head of the fields of a header block.
 *
 * ```text
 *   begin → read, read … (once for each fragment) → finish → head, or fault
 * ```
 * Rules:
 * - `:status` comes first, once, alone: three digits from 100 on (RFC 9113 §8.3.2). 101 does not exist (§8.6), and an interim response
 *   does not end its stream (§8.1).
 * - Content-Length is checked as in requests. Where it says nothing about DATA it either stays as information (HEAD, 304) or goes, as
 *   whoever is told of it in HTTP/1 would wait for that many bytes (1xx, 204, 2xx to CONNECT; RFC 9110 §8.6, §9.3.6).
 *
 * @see RFC 9113 §8.1, §8.3.2, §8.6
 */
import { HttpVersion, KnownHeader, type ResponseHead } from '@ferrata/headers';
import type { HpackDecoder } from '@ferrata/hpack';
import { PseudoHeader, statusOf } from './field-tags.ts';
import { FieldSection, type SectionOwner } from './internal/field-section.ts';
import type { MessageReason } from './message-reason.ts';

/** Reads the responses of one connection, one block at a time. */
export class ResponseReader implements SectionOwner {
  readonly #section: FieldSection = new FieldSection(this);
  #status = 0;

  /** After `finish`: bytes of DATA to come; 0 if none will, −1 if nobody says. */
  contentLength = -1;

  /** Why the message is refused; null as long as nothing is wrong. After `finish` has returned null it says why. */
  get fault(): MessageReason | null {
    return this.#section.fault;
  }

  /** Whether this is an interim response (1xx): the final one is still to come. */
  get isInterim(): boolean {
    return this.#status < 200;
  }

  /** A header block begins. */
  begin(): void {
    this.#section.begin();
    this.#status = 0;
    this.contentLength = -1;
  }

  /** Takes all fields that the decoder has; call it after each fragment. @throws {WireError} what the decoder throws */
  read(decoder: HpackDecoder): void {
    this.#section.read(decoder);
  }

  /**
   * The block is over.
   *
   * @param requestMethod of the request that this answers: it decides whether there is a body
   * @param isEndOfStream whether HEADERS had END_STREAM: there will be no DATA
   * @returns null if the message is refused; `fault` says why
   */
  finish(requestMethod: string, isEndOfStream: boolean): ResponseHead | null {
    const section = this.#section;
    section.fault ??= this.#check(requestMethod, isEndOfStream);
    const head: ResponseHead | null =
      section.fault === null ? { status: this.#status, reason: '', version: HttpVersion.http2, headers: section.finish() } : null;
    const neverIndexed = section.neverIndexed();
    if (head !== null && neverIndexed !== null) head.neverIndexed = neverIndexed;
    if (head !== null && this.#isLengthVoid(requestMethod)) head.headers.deleteKnown(KnownHeader.contentLength);
    section.clear();
    return head;
  }

  // What the section asks and tells.

  readonly joinsCookies = false;

  onPseudo(pseudo: PseudoHeader, _value: string, tag: number): MessageReason | null {
    if (pseudo !== PseudoHeader.status) return 'H2_PSEUDO_UNKNOWN';
    this.#status = statusOf(tag);
    return null;
  }

  onFields(): void {}

  /** A Host in a response means nothing, and is kept like any other field. */
  onHost(value: string): MessageReason | null {
    this.#section.headers.appendTrusted('Host', KnownHeader.host, value);
    return null;
  }

  #check(requestMethod: string, isEndOfStream: boolean): MessageReason | null {
    const status = this.#status;
    if (status === 0) return 'H2_PSEUDO_MISSING';
    // RFC 9113 §8.6: HTTP/2 has no Upgrade, so nothing can be switched to.
    if (status === 101) return 'H2_STATUS_101';
    if (status < 200) return isEndOfStream ? 'H2_INTERIM_AT_END' : null;
    const length = this.#section.contentLength;
    // RFC 9110 §9.3.6: any 2xx to CONNECT makes a tunnel, 204 too.
    if (requestMethod === 'HEAD' || (status === 204 && requestMethod !== 'CONNECT') || status === 304) {
      this.contentLength = 0;
      return null;
    }
    if (this.#isLengthVoid(requestMethod)) {
      this.contentLength = isEndOfStream ? 0 : -1;
      return null;
    }
    // RFC 9113 §8.1.1: the length must be the sum of the DATA frames.
    if (isEndOfStream && length > 0) return 'H2_CONTENT_LENGTH_UNMET';
    this.contentLength = isEndOfStream ? 0 : length;
    return null;
  }

  /** RFC 9110 §8.6, §9.3.6: a server must not send Content-Length with these, and a client ignores it. */
  #isLengthVoid(requestMethod: string): boolean {
    const status = this.#status;
    return status < 200 || status === 204 || (status < 300 && requestMethod === 'CONNECT');
  }
}
