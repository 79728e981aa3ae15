/**
 * Makes a request head of the fields of a header block.
 *
 * ```text
 *   begin → read, read … (once for each fragment) → finish → head, or fault
 * ```
 * Rules, each with the check that enforces it:
 * - Pseudo-header fields come first, once each, and only those of requests. `:method`, `:scheme` and `:path` are obligatory; CONNECT has
 *   `:method` and `:authority` only (RFC 9113 §8.5), extended CONNECT all five (RFC 8441 §4), if we have offered it.
 * - Who is asked: `:authority`, or Host if there is none. If both are there they must name the same host and port (a port that is the scheme's
 *   own may be left out), as one of them is what a filter looks at and the other what an origin may look at. Neither is malformed, as http and
 *   https URIs must have an authority (§8.3.1). The head has one Host line, its first, whatever came.
 * - Fields, Content-Length and Cookie as in `field-tags.ts` and `internal/field-section.ts`.
 *
 * What comes out has one meaning in HTTP/1 too: `method`, `target` and every field are in the character classes of its decoder, there is one
 * Host, at most one Content-Length, and never a Transfer-Encoding. Smuggling by downgrade (h2.CL, h2.TE, CRLF) has nothing to work with.
 *
 * @see RFC 9113 §8.3.1, §8.2.2, §8.2.3, §8.5 · RFC 8441 §4
 */
import { equalsAsciiIgnoreCase } from '@ferrata/bytes';
import { HeaderMap, HttpVersion, KnownHeader, parseAuthority, type RequestHead } from '@ferrata/headers';
import type { HpackDecoder } from '@ferrata/hpack';
import { PseudoHeader } from './field-tags.ts';
import { FieldSection, type SectionOwner } from './internal/field-section.ts';
import type { MessageReason } from './message-reason.ts';
import { DEFAULT_PRIORITY, parsePriority } from './priority.ts';

/** Options of a `RequestReader`. */
export interface RequestReaderOptions {
  /** Whether SETTINGS_ENABLE_CONNECT_PROTOCOL was sent, so that `:protocol` may come. Default false. @see RFC 8441 §3 */
  readonly isConnectProtocolEnabled?: boolean;
  /** Bytes of `:path`. Default 8192; more is status 414. */
  readonly maxTargetBytes?: number;
}

/** Reads the requests of one connection, one block at a time. */
export class RequestReader implements SectionOwner {
  readonly #isConnectProtocolEnabled: boolean;
  readonly #maxTargetBytes: number;
  readonly #section: FieldSection = new FieldSection(this);
  #method = '';
  #path = '';
  #authority = '';
  #host = '';

  /** After `finish`: bytes of DATA to come; 0 if none will, −1 if nobody says. */
  contentLength = -1;
  /** After `finish`: `http` or `https`; empty for CONNECT. */
  scheme = '';
  /** After `finish`: `:protocol` of extended CONNECT; null for all other requests. */
  protocol: string | null = null;
  /** After `finish`: what the `Priority` field says, packed as in `priority.ts`. */
  priority: number = DEFAULT_PRIORITY;

  constructor(options: RequestReaderOptions = {}) {
    this.#isConnectProtocolEnabled = options.isConnectProtocolEnabled ?? false;
    this.#maxTargetBytes = options.maxTargetBytes ?? 8_192;
  }

  /** Why the message is refused; null as long as nothing is wrong. After `finish` has returned null it says why. */
  get fault(): MessageReason | null {
    return this.#section.fault;
  }

  /** A header block begins. */
  begin(): void {
    this.#section.begin();
    this.#method = '';
    this.#path = '';
    this.#authority = '';
    this.#host = '';
    this.contentLength = -1;
    this.scheme = '';
    this.protocol = null;
    this.priority = DEFAULT_PRIORITY;
  }

  /** Takes all fields that the decoder has; call it after each fragment. @throws {WireError} what the decoder throws */
  read(decoder: HpackDecoder): void {
    this.#section.read(decoder);
  }

  /**
   * The block is over.
   *
   * @param isEndOfStream whether HEADERS had END_STREAM: there will be no DATA
   * @returns null if the message is refused; `fault` says why
   */
  finish(isEndOfStream: boolean): RequestHead | null {
    const section = this.#section;
    section.fault ??= this.#check(isEndOfStream);
    const head = section.fault === null ? this.#head() : null;
    section.clear();
    this.#path = '';
    this.#authority = '';
    this.#host = '';
    return head;
  }

  // What the section asks and tells.

  readonly joinsCookies = true;

  onPseudo(pseudo: PseudoHeader, value: string, _tag: number): MessageReason | null {
    switch (pseudo) {
      case PseudoHeader.method:
        this.#method = value;
        return null;
      case PseudoHeader.scheme:
        this.scheme = value.length === 4 ? 'http' : 'https';
        return null;
      case PseudoHeader.authority:
        this.#authority = value;
        return null;
      case PseudoHeader.path:
        this.#path = value;
        return value.length > this.#maxTargetBytes ? 'H2_PATH_TOO_LONG' : null;
      case PseudoHeader.protocol:
        // RFC 8441 §3: not before it was offered; §8.3: what is not defined for the message makes it malformed.
        this.protocol = value;
        return this.#isConnectProtocolEnabled ? null : 'H2_PROTOCOL_NOT_ENABLED';
      default:
        return 'H2_PSEUDO_UNKNOWN';
    }
  }

  onFields(): void {
    if (this.#authority !== '') this.#section.headers.appendTrusted('Host', KnownHeader.host, this.#authority);
  }

  onHost(value: string): MessageReason | null {
    if (this.#host !== '') return 'H2_HOST_REPEATED';
    this.#host = value;
    return null;
  }

  #check(isEndOfStream: boolean): MessageReason | null {
    const section = this.#section;
    const method = this.#method;
    if (method === '') return 'H2_PSEUDO_MISSING';
    const length = section.contentLength;
    if (method === 'CONNECT') {
      const fault = this.#checkConnect();
      if (fault !== null) return fault;
      // RFC 9110 §9.3.6: it has no content; who reads some would take it out of the tunnel.
      if (length >= 0) return 'H2_CONNECT_INVALID';
      this.contentLength = isEndOfStream ? 0 : -1;
    } else {
      if (this.protocol !== null) return 'H2_PROTOCOL_INVALID';
      if (this.#path === '' || this.scheme === '') return 'H2_PSEUDO_MISSING';
      // RFC 9113 §8.3.1: `*` stands for OPTIONS without a path only.
      if (this.#path === '*' && method !== 'OPTIONS') return 'H2_PATH_INVALID';
      // RFC 9113 §8.1.1: the length must be the sum of the DATA frames.
      if (isEndOfStream && length > 0) return 'H2_CONTENT_LENGTH_UNMET';
      this.contentLength = isEndOfStream ? 0 : length;
    }
    return this.#checkAuthority();
  }

  #checkConnect(): MessageReason | null {
    if (this.protocol !== null) {
      // RFC 8441 §4: an extended CONNECT names its resource like any other request.
      if (this.#authority === '' || this.scheme === '' || this.#path === '') return 'H2_PSEUDO_MISSING';
      return this.#path === '*' ? 'H2_PATH_INVALID' : null;
    }
    // RFC 9113 §8.5: :scheme and :path must be left out.
    if (this.scheme !== '' || this.#path !== '') return 'H2_CONNECT_INVALID';
    if (this.#authority === '') return 'H2_PSEUDO_MISSING';
    // RFC 9110 §9.3.6: there is no scheme to have a default port.
    const port = parseAuthority(this.#authority)?.port ?? 0;
    return port > 0 ? null : 'H2_AUTHORITY_INVALID';
  }

  #checkAuthority(): MessageReason | null {
    if (this.#host === '') return this.#authority === '' ? 'H2_AUTHORITY_MISSING' : null;
    if (this.#authority === '') return null;
    return isSameAuthority(this.#host, this.#authority, this.scheme) ? null : 'H2_HOST_DIFFERS';
  }

  #head(): RequestHead {
    let headers = this.#section.finish();
    if (this.#authority === '') headers = withHost(headers, this.#host);
    if (headers.hasKnown(KnownHeader.priority)) this.priority = parsePriority(headers.combinedKnown(KnownHeader.priority) as string);
    const isTunnel = this.#method === 'CONNECT' && this.protocol === null;
    const target = isTunnel ? this.#authority : this.#path;
    const head: RequestHead = { method: this.#method, target, version: HttpVersion.http2, headers };
    const neverIndexed = this.#section.neverIndexed();
    if (neverIndexed !== null) head.neverIndexed = neverIndexed;
    return head;
  }
}

/** The same lines behind a Host line. Rare: only intermediaries that come from HTTP/1 leave `:authority` out. */
function withHost(headers: HeaderMap, host: string): HeaderMap {
  const all = new HeaderMap(headers.size + 1);
  all.appendTrusted('Host', KnownHeader.host, host);
  for (let line = 0; line < headers.size; line++) all.appendTrusted(headers.nameAt(line), headers.idAt(line), headers.valueAt(line));
  return all;
}

/** Both are valid. @see RFC 3986 §6.2.2.1 (case), §6.2.3 (default port) */
function isSameAuthority(a: string, b: string, scheme: string): boolean {
  if (a === b) return true;
  const defaultPort = scheme === 'http' ? 80 : scheme === 'https' ? 443 : 0;
  const first = parseAuthority(a);
  const second = parseAuthority(b);
  if (first === null || second === null || !equalsAsciiIgnoreCase(first.host, second.host)) return false;
  return (first.port ?? defaultPort) === (second.port ?? defaultPort);
}
