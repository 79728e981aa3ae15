/**
 * Writes heads and trailers as header blocks.
 *
 * Rules of this file:
 * - Pseudo-header fields first, then the field lines in their order, names in lower case (RFC 9113 §8.2, §8.3).
 * - Fields of a connection of HTTP/1 are left out, and what Connection nominates too (§8.2.2, RFC 9110 §7.6.1); TE says `trailers` or is not
 *   there. Host becomes `:authority`.
 * - The writer owns Content-Length: whatever the head holds of it is left out, and the one line that is true is written, in its place.
 * - Names and values were checked by `HeaderMap`; method, target, Host, status and the options are checked here, before the first byte: a block that
 *   is begun must be sent, as the encoder's table has changed.
 * - What can log somebody in is never indexed (RFC 7541 §7.1.3): Authorization, Proxy-Authorization, Cookie, Set-Cookie and `sensitiveNames`. So is
 *   what a peer has asked it for: an intermediary must use the same representation (§6.2.3), and the head says the names (`neverIndexed`). Trailers
 *   are a `HeaderMap` alone, which has no place for it: for them `sensitiveNames` must do.
 *
 * @see RFC 9113 §8.2, §8.3, §8.5 · RFC 8441 §4 · RFC 9110 §8.6
 */
import { asciiLowerCase, type ByteWriter, parseDecimal } from '@ferrata/bytes';
import {
  acceptsTrailers,
  type HeaderMap,
  isFieldValue,
  isInKnownHeaderSet,
  isRequestTarget,
  isStatus,
  isToken,
  isValidHost,
  KnownHeader,
  type KnownHeaderSet,
  knownHeaderSet,
  parseAuthority,
  type RequestHead,
  type ResponseHead,
  removeForbiddenTrailers,
  removeHopByHop,
} from '@ferrata/headers';
import { type HpackEncoder, Indexing } from '@ferrata/hpack';
import { LOWER_NAMES, SENSITIVE } from './internal/field-names.ts';

/** How a request is framed. */
export interface RequestHeadOptions {
  /** Bytes of the body, 0 if there is none, −1 if nobody knows: then there is no Content-Length. */
  readonly bodyLength: number;
  /** `:protocol` of an extended CONNECT; null (default) for all other requests. @see RFC 8441 §4 */
  readonly protocol?: string | null;
}

/** How a response is framed. */
export interface ResponseHeadOptions {
  /** Bytes of the body, −1 if nobody knows: then there is no Content-Length. */
  readonly bodyLength: number;
  /**
   * True for an answer to HEAD, and for 304: a Content-Length of the head is kept, as it speaks of a body that is not sent (RFC 9110 §8.6);
   * without one, `bodyLength` is announced if it is above 0. Default false.
   */
  readonly isBodyless?: boolean;
  /** True for 2xx to CONNECT, which has no Content-Length (RFC 9110 §9.3.6). Default false. */
  readonly isTunnel?: boolean;
  /** Value of Date if the head has none (RFC 9110 §6.6.1); empty (default) for no such line. */
  readonly date?: string;
}

/** What `#writeFields` writes by itself or not at all. TE is a field of requests (RFC 9110 §10.1.4). */
const LEFT_OUT: readonly KnownHeader[] = [
  KnownHeader.contentLength,
  KnownHeader.te,
  KnownHeader.connection,
  KnownHeader.keepAlive,
  KnownHeader.proxyConnection,
  KnownHeader.transferEncoding,
  KnownHeader.upgrade,
  KnownHeader.http2Settings,
];

/** A Host in a response means nothing, and stays. */
const LEFT_OUT_OF_RESPONSES: KnownHeaderSet = knownHeaderSet(...LEFT_OUT);
const LEFT_OUT_OF_REQUESTS: KnownHeaderSet = knownHeaderSet(KnownHeader.host, ...LEFT_OUT);

const NO_LENGTH = '';

/** Writes the header blocks of one connection: its encoder's table is part of what has been said. */
export class HeadWriter {
  readonly #encoder: HpackEncoder;
  readonly #scheme: 'http' | 'https';
  readonly #sensitiveNames: ReadonlySet<string> | null;
  /** The Host that was found valid last: on most connections they are all the same. */
  #checkedHost: string;
  /** The Date that was found valid last: it is the same for a second. */
  #checkedDate: string;

  /**
   * @param scheme of requests whose target is no absolute URI
   * @param sensitiveNames names, in any case, of further fields that are never to be indexed. Default none. Each costs its full length in every message
   */
  constructor(encoder: HpackEncoder, scheme: 'http' | 'https' = 'http', sensitiveNames: readonly string[] = []) {
    this.#encoder = encoder;
    this.#scheme = scheme;
    this.#sensitiveNames = sensitiveNames.length === 0 ? null : new Set(sensitiveNames.map(asciiLowerCase));
    this.#checkedHost = '';
    this.#checkedDate = '';
  }

  /**
   * Appends the block of a request. The target may have any of its four forms: `host:port` for CONNECT, `*` for OPTIONS, an absolute URI, whose
   * scheme and host then count instead of Host (RFC 9112 §3.2.2), or a path. Without Host there is no `:authority`: a proxy may not make one
   * up for an HTTP/1.0 client (RFC 9113 §8.3.1).
   *
   * @throws {TypeError} when method, target, Host or `protocol` are invalid; nothing has been written then
   * @throws {RangeError} when `bodyLength` is no length, or above 0 for CONNECT; nothing has been written then
   */
  writeRequest(writer: ByteWriter, head: RequestHead, options: RequestHeadOptions): void {
    const { method, target, headers } = head;
    const { bodyLength } = options;
    const protocol = options.protocol ?? null;
    checkBodyLength(bodyLength);
    if (!isToken(method)) throw new TypeError(`invalid method: ${JSON.stringify(method)}`);
    if (!isRequestTarget(target)) throw new TypeError(`invalid request target: ${JSON.stringify(target)}`);
    const isConnect = method === 'CONNECT';
    if (protocol !== null && !(isConnect && isToken(protocol))) throw new TypeError('protocol is for CONNECT, and a token');
    // RFC 9110 §9.3.6: what follows a CONNECT is the tunnel's.
    if (isConnect && bodyLength > 0) throw new RangeError('CONNECT has no body');
    let scheme: string = this.#scheme;
    let authority: string;
    let path = target;
    if (isConnect && protocol === null) {
      if ((parseAuthority(target)?.port ?? 0) === 0) throw new TypeError(`CONNECT needs host:port, not ${JSON.stringify(target)}`);
      scheme = '';
      authority = target;
    } else if (target.charCodeAt(0) === 0x2f || (target === '*' && method === 'OPTIONS')) {
      authority = this.#hostOf(headers);
    } else {
      const uri = splitAbsolute(target);
      if (uri === null) throw new TypeError(`invalid request target for ${method}: ${JSON.stringify(target)}`);
      ({ scheme, authority } = uri);
      // RFC 9113 §8.3.1: OPTIONS for a URI without a path asks about the server itself.
      path = uri.path !== '' ? uri.path : method === 'OPTIONS' ? '*' : '/';
    }
    // RFC 8441 §4: an extended CONNECT names its resource whole.
    if (protocol !== null && authority === '') throw new TypeError('CONNECT with a protocol needs a Host');
    const length = isConnect ? NO_LENGTH : requestLength(method, headers, bodyLength);
    const fields = withoutNominated(headers);

    const encoder = this.#encoder;
    const secrets = head.neverIndexed === undefined ? null : new Set(head.neverIndexed);
    encoder.beginBlock(writer);
    encoder.writeField(writer, ':method', method, secretOr(secrets, ':method'));
    if (protocol !== null) encoder.writeField(writer, ':protocol', protocol, secretOr(secrets, ':protocol'));
    if (scheme !== '') encoder.writeField(writer, ':scheme', scheme, secretOr(secrets, ':scheme'));
    if (authority !== '') {
      // What came as Host goes as `:authority`.
      const indexing = secrets?.has('host') === true ? Indexing.never : secretOr(secrets, ':authority');
      encoder.writeField(writer, ':authority', authority, indexing);
    }
    if (scheme !== '') encoder.writeField(writer, ':path', path, secretOr(secrets, ':path'));
    this.#writeFields(writer, fields, LEFT_OUT_OF_REQUESTS, length, secrets);
    // RFC 9113 §8.2.2: the only thing that TE may say.
    if (headers.hasKnown(KnownHeader.te) && acceptsTrailers(headers)) encoder.writeField(writer, 'te', 'trailers', Indexing.automatic);
  }

  /**
   * Appends the block of a response, interim ones included (with `bodyLength` −1).
   *
   * @throws {RangeError} when the status is not 100 to 999, or 101, or `bodyLength` is no length; nothing has been written then
   * @throws {TypeError} when `date` is invalid; nothing has been written then
   */
  writeResponse(writer: ByteWriter, head: ResponseHead, options: ResponseHeadOptions): void {
    const { status, headers } = head;
    const date = options.date ?? '';
    // RFC 9113 §8.6: HTTP/2 has no 101.
    if (!isStatus(status) || status === 101) throw new RangeError(`invalid status: ${status}`);
    const writesDate = date !== '' && !headers.hasKnown(KnownHeader.date);
    if (writesDate && date !== this.#checkedDate) {
      if (!isFieldValue(date)) throw new TypeError('invalid value of Date');
      this.#checkedDate = date;
    }
    const length = responseLength(status, headers, options);
    const fields = withoutNominated(headers);

    const encoder = this.#encoder;
    const secrets = head.neverIndexed === undefined ? null : new Set(head.neverIndexed);
    encoder.beginBlock(writer);
    encoder.writeField(writer, ':status', STATUS_TEXTS[status - 100] as string, secretOr(secrets, ':status'));
    if (writesDate) encoder.writeField(writer, 'date', date, Indexing.automatic);
    this.#writeFields(writer, fields, LEFT_OUT_OF_RESPONSES, length, secrets);
  }

  /**
   * Appends the block of a trailer section; fields that may not be trailers are left out (RFC 9110 §6.5.1).
   *
   * @returns how many fields it has; 0: nothing at all has been written, and the stream ends with an empty DATA frame
   */
  writeTrailers(writer: ByteWriter, trailers: HeaderMap): number {
    const fields = trailers.clone();
    removeForbiddenTrailers(fields);
    if (fields.size === 0) return 0;
    this.#encoder.beginBlock(writer);
    this.#writeFields(writer, fields, LEFT_OUT_OF_REQUESTS, NO_LENGTH, null);
    return fields.size;
  }

  /** @throws {TypeError} when there is more than one Host, or an invalid one */
  #hostOf(headers: HeaderMap): string {
    const host = headers.getKnown(KnownHeader.host) ?? '';
    if (host === this.#checkedHost) {
      if (host === '' && headers.hasKnown(KnownHeader.host)) throw new TypeError('empty Host');
    } else if (!isValidHost(host)) throw new TypeError(`invalid Host: ${JSON.stringify(host)}`);
    if (headers.countKnown(KnownHeader.host) > 1) throw new TypeError('more than one Host');
    this.#checkedHost = host;
    return host;
  }

  /** All field lines but those left out; the length stands where the first Content-Length stood, else at the end. */
  #writeFields(writer: ByteWriter, headers: HeaderMap, leftOut: KnownHeaderSet, length: string, secrets: ReadonlySet<string> | null): void {
    const encoder = this.#encoder;
    const { size } = headers;
    let pending = length;
    for (let line = 0; line < size; line++) {
      const id = headers.idAt(line);
      if (id === 0) {
        const name = asciiLowerCase(headers.nameAt(line));
        const isSensitive = this.#sensitiveNames?.has(name) === true;
        encoder.writeField(writer, name, headers.valueAt(line), isSensitive ? Indexing.never : secretOr(secrets, name));
        continue;
      }
      if (isInKnownHeaderSet(leftOut, id)) {
        if (id === KnownHeader.contentLength && pending !== NO_LENGTH) {
          encoder.writeField(writer, 'content-length', pending, Indexing.automatic);
          pending = NO_LENGTH;
        }
        continue;
      }
      const name = LOWER_NAMES[id] as string;
      encoder.writeField(writer, name, headers.valueAt(line), this.#indexingOf(id, name, secrets));
    }
    if (pending !== NO_LENGTH) encoder.writeField(writer, 'content-length', pending, Indexing.automatic);
  }

  #indexingOf(id: KnownHeader, name: string, secrets: ReadonlySet<string> | null): Indexing {
    if (isInKnownHeaderSet(SENSITIVE, id)) return Indexing.never;
    return this.#sensitiveNames?.has(name) === true ? Indexing.never : secretOr(secrets, name);
  }
}

/** RFC 7541 §6.2.3: what came as a never-indexed literal goes on as one. */
function secretOr(secrets: ReadonlySet<string> | null, name: string): Indexing {
  return secrets?.has(name) === true ? Indexing.never : Indexing.automatic;
}

/** By status less 100: making a text of a number for each response costs more than writing it. */
const STATUS_TEXTS: readonly string[] = Array.from({ length: 900 }, (_, i) => `${i + 100}`);

/** The same map if it has no nominations, which is what a proxy hands over; else a copy without what Connection names. */
function withoutNominated(headers: HeaderMap): HeaderMap {
  if (!headers.hasKnown(KnownHeader.connection)) return headers;
  const value = headers.combinedKnown(KnownHeader.connection);
  if (value === 'keep-alive' || value === 'close') return headers;
  const kept = headers.clone();
  removeHopByHop(kept, { keepProxyAuth: true });
  return kept;
}

/** @throws {RangeError} when it is neither a length nor −1 for one that nobody knows */
export function checkBodyLength(bodyLength: number): void {
  if (!Number.isSafeInteger(bodyLength) || bodyLength < -1) throw new RangeError(`not the length of a body: ${bodyLength}`);
}

/** RFC 9110 §8.6: a method that expects content says so when there is none; others stay silent unless they had said it. */
function requestLength(method: string, headers: HeaderMap, bodyLength: number): string {
  if (bodyLength > 0) return `${bodyLength}`;
  if (bodyLength < 0) return NO_LENGTH;
  return method === 'POST' || method === 'PUT' || method === 'PATCH' || headers.hasKnown(KnownHeader.contentLength) ? '0' : NO_LENGTH;
}

function responseLength(status: number, headers: HeaderMap, options: ResponseHeadOptions): string {
  const { bodyLength } = options;
  checkBodyLength(bodyLength);
  // RFC 9110 §8.6: none in 1xx, 204 and 2xx to CONNECT.
  if (status < 200 || status === 204 || options.isTunnel === true) return NO_LENGTH;
  if (options.isBodyless !== true) return bodyLength < 0 ? NO_LENGTH : `${bodyLength}`;
  const kept = headers.getKnown(KnownHeader.contentLength);
  // The number, never the digits: others read leading zeros as octal, or stop reading at 20 digits.
  const length = kept !== undefined && headers.countKnown(KnownHeader.contentLength) === 1 ? parseDecimal(kept) : -1;
  if (length >= 0) return `${length}`;
  return bodyLength > 0 ? `${bodyLength}` : NO_LENGTH;
}

interface AbsoluteTarget {
  readonly scheme: string;
  readonly authority: string;
  /** Path and query; empty, or with a slash in front. */
  readonly path: string;
}

/** @returns null if it is no http or https URI with a valid host and no user information */
function splitAbsolute(target: string): AbsoluteTarget | null {
  const found = /^(https?):\/\/([^/?]*)/i.exec(target);
  if (found === null) return null;
  const authority = found[2] as string;
  if (!isValidHost(authority)) return null;
  const path = target.slice(found[0].length);
  return { scheme: (found[1] as string).toLowerCase(), authority, path: path.startsWith('?') ? `/${path}` : path };
}
