/**
 * Writes heads of requests and responses.
 *
 * Rules of this file:
 * - The writer owns Content-Length and Transfer-Encoding. Whatever the head holds of them is left out, and the one line that is true is
 *   written, in the place of the first that was left out (CVE-2026-1525: two lengths in one message).
 * - If `connection` is given, it owns the connection fields in the same way: Connection, Keep-Alive, Proxy-Connection, Upgrade.
 * - The version written is always HTTP/1.1, the writer's own (RFC 9110 §6.2: an intermediary sends its own version, not what it received).
 * - Names and values were checked by `HeaderMap`; method, target, status, reason and the options are plain properties, so they are checked here.
 *
 * @see RFC 9112 §3, §4, §6 · RFC 9110 §8.6, §7.6.1
 */
import { type ByteWriter, parseDecimal } from '@ferrata/bytes';
import {
  canonicalName,
  type HeaderMap,
  isFieldValue,
  isInKnownHeaderSet,
  isReasonPhrase,
  isRequestTarget,
  isStatus,
  isToken,
  KnownHeader,
  type KnownHeaderSet,
  knownHeaderSet,
  type RequestHead,
  type ResponseHead,
  reasonPhrase,
} from '@ferrata/headers';
import { isUsualMethod } from './internal/known-method.ts';
import { BodyLength } from './message-event.ts';

/** How a request is framed and what its connection does. */
export interface RequestHeadOptions {
  /** Bytes of the body, 0 if there is none, or `BodyLength.chunked`. */
  readonly bodyLength: number;
  /** Value of Connection: empty for no such line; left out: the connection fields of the head are written as they are. */
  readonly connection?: string;
  /** Value of Upgrade if `connection` is given; null (default) for no such line. */
  readonly upgrade?: string | null;
}

/** How a response is framed and what its connection does. */
export interface ResponseHeadOptions {
  /** Bytes of the body, or a `BodyLength`. */
  readonly bodyLength: number;
  /**
   * True for an answer to HEAD, and for 304: a Content-Length of the head is kept, as it speaks of a body that is not sent (RFC 9110 §8.6);
   * without one, `bodyLength` is announced if it is above 0, or chunked and the status is not 304. Default false.
   */
  readonly isBodyless?: boolean;
  /** True for 2xx to CONNECT, which has no framing fields at all (RFC 9110 §9.3.6). Default false; 101 needs no telling. */
  readonly isTunnel?: boolean;
  /** Value of Connection: empty for no such line; left out: the connection fields of the head are written as they are. */
  readonly connection?: string;
  /** Value of Date if the head has none (RFC 9110 §6.6.1); empty (default) for no such line. */
  readonly date?: string;
}

/** Appends a request head; see `formatRequestHead`. */
export function writeRequestHead(writer: ByteWriter, head: RequestHead, bodyLength: number): void {
  writer.writeLatin1(formatRequestHead(head, { bodyLength }));
}

/** Appends a response head; see `formatResponseHead`. */
export function writeResponseHead(writer: ByteWriter, head: ResponseHead, options: ResponseHeadOptions): void {
  writer.writeLatin1(formatResponseHead(head, options));
}

/**
 * A request head as text of which every character is one byte.
 *
 * @throws {TypeError} when method, target, `connection` or `upgrade` are invalid
 * @throws {RangeError} when `bodyLength` is not a length a request can have, or not 0 for CONNECT
 */
export function formatRequestHead(head: RequestHead, options: RequestHeadOptions): string {
  const { method, target, headers } = head;
  const { bodyLength, connection, upgrade = null } = options;
  if (!isUsualMethod(method) && !isToken(method)) throw new TypeError(`invalid method: ${JSON.stringify(method)}`);
  if (!isRequestTarget(target)) throw new TypeError(`invalid request target: ${JSON.stringify(target)}`);
  if (bodyLength === BodyLength.untilClose) throw new RangeError('a request cannot end with its connection (RFC 9112 §6.3)');
  // RFC 9110 §9.3.6: servers that read no content here take it for the first bytes of the tunnel, or for a request of its own.
  if (bodyLength !== 0 && method === 'CONNECT') throw new RangeError('CONNECT has no body');
  const framing = framingOf(bodyLength, announcesEmptyBody(method, headers));
  let text = `${method} ${target} HTTP/1.1`;
  if (connection === undefined) return appendFields(text, headers, FRAMING, framing) + HEAD_END;
  text = appendFields(text, headers, FRAMING_AND_CONNECTION, framing);
  if (upgrade !== null) {
    if (upgrade === '' || !isFieldValue(upgrade)) throw new TypeError('invalid value of Upgrade');
    text += `\r\nUpgrade: ${upgrade}`;
  }
  // RFC 9110 §10.1.4: TE concerns the next recipient only, so whoever sends it nominates it.
  return text + connectionLine(connection, headers.hasKnown(KnownHeader.te) ? 'TE' : '') + HEAD_END;
}

/**
 * A response head as text of which every character is one byte.
 *
 * @throws {RangeError} when the status is not 100 to 999, or `bodyLength` is no length
 * @throws {TypeError} when the reason, `connection` or `date` is invalid
 */
export function formatResponseHead(head: ResponseHead, options: ResponseHeadOptions): string {
  const { status, reason, headers } = head;
  const { connection, date = '' } = options;
  if (!isStatus(status)) throw new RangeError(`invalid status: ${status}`);
  let text = statusLine(status, reason);
  if (date !== '' && !headers.hasKnown(KnownHeader.date)) {
    if (!isFieldValue(date)) throw new TypeError('invalid value of Date');
    text += `\r\nDate: ${date}`;
  }
  const framing = responseFraming(status, headers, options);
  if (connection === undefined) return appendFields(text, headers, FRAMING, framing) + HEAD_END;
  // RFC 9110 §7.8: Upgrade belongs to 101, and to 426 (§15.5.22) which must name what would be accepted.
  const keepsUpgrade = (status === 101 || status === 426) && headers.hasKnown(KnownHeader.upgrade);
  text = appendFields(text, headers, keepsUpgrade ? FRAMING_AND_CONNECTION_BUT_UPGRADE : FRAMING_AND_CONNECTION, framing);
  return text + connectionLine(connection, keepsUpgrade && connection !== 'upgrade' ? 'upgrade' : '') + HEAD_END;
}

/** The end of the last line, and the empty line. */
const HEAD_END = '\r\n\r\n';

/** Without its line end, as every line here brings the end of the one before. */
function statusLine(status: number, reason: string): string {
  if (status < USUAL_REASONS.length && reason === USUAL_REASONS[status]) return USUAL_STATUS_LINES[status] as string;
  if (!isReasonPhrase(reason)) throw new TypeError(`invalid reason phrase: ${JSON.stringify(reason)}`);
  return `HTTP/1.1 ${status} ${reason}`;
}

/** By status up to the last that is registered; empty where none is. */
const USUAL_REASONS: readonly string[] = Array.from({ length: 512 }, (_, status) => reasonPhrase(status));
const USUAL_STATUS_LINES: readonly string[] = USUAL_REASONS.map((reason, status) => `HTTP/1.1 ${status} ${reason}`);

const FRAMING: KnownHeaderSet = knownHeaderSet(KnownHeader.contentLength, KnownHeader.transferEncoding);

const FRAMING_AND_CONNECTION_BUT_UPGRADE: KnownHeaderSet = knownHeaderSet(
  KnownHeader.contentLength,
  KnownHeader.transferEncoding,
  KnownHeader.connection,
  KnownHeader.keepAlive,
  KnownHeader.proxyConnection,
);

const FRAMING_AND_CONNECTION: KnownHeaderSet = knownHeaderSet(
  KnownHeader.contentLength,
  KnownHeader.transferEncoding,
  KnownHeader.connection,
  KnownHeader.keepAlive,
  KnownHeader.proxyConnection,
  KnownHeader.upgrade,
  KnownHeader.http2Settings,
);

/** What frames a body: a number of bytes in digits, or one of these. */
const CHUNKED = 'chunked';
const NO_FRAMING = '';

/**
 * All field lines but those left out; the framing line stands where the first framing field stood, else at the end.
 *
 * A line is two pieces, the end of the line before with the name, and the value: making the bytes of a text costs about 11 ns a piece.
 */
function appendFields(start: string, headers: HeaderMap, leftOut: KnownHeaderSet, framing: string): string {
  let text = start;
  let pending = framing;
  const { size } = headers;
  for (let line = 0; line < size; line++) {
    const id = headers.idAt(line);
    if (isInKnownHeaderSet(leftOut, id)) {
      if (pending !== NO_FRAMING && (id === KnownHeader.contentLength || id === KnownHeader.transferEncoding)) {
        text = appendFraming(text, pending);
        pending = NO_FRAMING;
      }
      continue;
    }
    const name = headers.nameAt(line);
    text = text + (name === USUAL_NAMES[id] ? (USUAL_LINE_STARTS[id] as string) : lineStart(name)) + headers.valueAt(line);
  }
  return appendFraming(text, pending);
}

/** Piece by piece, as above: a line joined before would be one more piece, not one less. */
function appendFraming(text: string, framing: string): string {
  if (framing === NO_FRAMING) return text;
  return framing === CHUNKED ? `${text}\r\nTransfer-Encoding: chunked` : `${text}\r\nContent-Length: ${framing}`;
}

function lineStart(name: string): string {
  return `\r\n${name}: `;
}

/** By number; no name is empty, so that of number 0 is never found. */
const USUAL_NAMES: readonly string[] = ['', ...Object.values(KnownHeader).map(canonicalName)];
const USUAL_LINE_STARTS: readonly string[] = USUAL_NAMES.map(lineStart);

function connectionLine(connection: string, added: string): string {
  if (!isFieldValue(connection)) throw new TypeError('invalid value of Connection');
  if (added === '') return connection === '' ? '' : `\r\nConnection: ${connection}`;
  return connection === '' ? `\r\nConnection: ${added}` : `\r\nConnection: ${connection}, ${added}`;
}

/** RFC 9110 §8.6: a method that expects content says so when there is none; others stay silent unless they had said it. */
function announcesEmptyBody(method: string, headers: HeaderMap): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH' || headers.hasKnown(KnownHeader.contentLength);
}

function framingOf(bodyLength: number, announcesEmpty: boolean): string {
  if (bodyLength === BodyLength.chunked) return CHUNKED;
  if (bodyLength === BodyLength.untilClose) return NO_FRAMING;
  if (!Number.isSafeInteger(bodyLength) || bodyLength < 0) throw new RangeError(`not the length of a body: ${bodyLength}`);
  return bodyLength > 0 || announcesEmpty ? `${bodyLength}` : NO_FRAMING;
}

function responseFraming(status: number, headers: HeaderMap, options: ResponseHeadOptions): string {
  const { bodyLength, isBodyless = false, isTunnel = false } = options;
  // RFC 9112 §6.1, RFC 9110 §8.6: neither field in 1xx, 204 and 2xx to CONNECT.
  if (status < 200 || status === 204 || isTunnel) return NO_FRAMING;
  if (!isBodyless) return framingOf(bodyLength, true);
  const kept = headers.getKnown(KnownHeader.contentLength);
  // The number, never the digits: others read leading zeros as octal, or stop reading at 20 digits.
  const length = kept !== undefined && headers.countKnown(KnownHeader.contentLength) === 1 ? parseDecimal(kept) : -1;
  if (length >= 0) return `${length}`;
  // RFC 9112 §6.1: an answer to HEAD may name the coding that GET would have had. Clients that read of no framing at all drop the connection.
  return bodyLength === BodyLength.chunked && status === 304 ? NO_FRAMING : framingOf(bodyLength, false);
}

export { formatLastChunk } from './chunk-writer.ts';
