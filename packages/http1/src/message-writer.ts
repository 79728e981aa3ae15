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
import type { ByteWriter } from '@ferrata/bytes';
import {
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
} from '@ferrata/headers';
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
   * without one, `bodyLength` is announced if it is above 0. Default false.
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
 * @throws {RangeError} when `bodyLength` is not a length a request can have
 */
export function formatRequestHead(head: RequestHead, options: RequestHeadOptions): string {
  const { method, target, headers } = head;
  const { bodyLength, connection, upgrade = null } = options;
  if (!isToken(method)) throw new TypeError(`invalid method: ${JSON.stringify(method)}`);
  if (!isRequestTarget(target)) throw new TypeError(`invalid request target: ${JSON.stringify(target)}`);
  if (bodyLength === BodyLength.untilClose) throw new RangeError('a request cannot end with its connection (RFC 9112 §6.3)');
  const framing = framingLine(bodyLength, announcesEmptyBody(method, headers));
  let text = `${method} ${target} HTTP/1.1\r\n`;
  if (connection === undefined) return `${text}${formatFields(headers, FRAMING, framing)}\r\n`;
  text += formatFields(headers, FRAMING_AND_CONNECTION, framing);
  if (upgrade !== null) {
    if (upgrade === '' || !isFieldValue(upgrade)) throw new TypeError('invalid value of Upgrade');
    text += `Upgrade: ${upgrade}\r\n`;
  }
  // RFC 9110 §10.1.4: TE concerns the next recipient only, so whoever sends it nominates it.
  return `${text}${connectionLine(connection, headers.hasKnown(KnownHeader.te) ? 'TE' : '')}\r\n`;
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
  if (!isReasonPhrase(reason)) throw new TypeError(`invalid reason phrase: ${JSON.stringify(reason)}`);
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  if (date !== '' && !headers.hasKnown(KnownHeader.date)) {
    if (!isFieldValue(date)) throw new TypeError('invalid value of Date');
    text += `Date: ${date}\r\n`;
  }
  const framing = responseFramingLine(status, headers, options);
  if (connection === undefined) return `${text}${formatFields(headers, FRAMING, framing)}\r\n`;
  // RFC 9110 §7.8: Upgrade belongs to 101, and to 426 (§15.5.22) which must name what would be accepted.
  const keepsUpgrade = (status === 101 || status === 426) && headers.hasKnown(KnownHeader.upgrade);
  const fields = formatFields(headers, keepsUpgrade ? FRAMING_AND_CONNECTION_BUT_UPGRADE : FRAMING_AND_CONNECTION, framing);
  return `${text}${fields}${connectionLine(connection, keepsUpgrade && connection !== 'upgrade' ? 'upgrade' : '')}\r\n`;
}

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

/** All field lines but those left out; the framing line stands where the first framing field stood, else at the end. */
function formatFields(headers: HeaderMap, leftOut: KnownHeaderSet, framing: string): string {
  let text = '';
  let pending = framing;
  const { size } = headers;
  for (let line = 0; line < size; line++) {
    const id = headers.idAt(line);
    if (isInKnownHeaderSet(leftOut, id)) {
      if (pending !== '' && (id === KnownHeader.contentLength || id === KnownHeader.transferEncoding)) {
        text += pending;
        pending = '';
      }
      continue;
    }
    text += `${headers.nameAt(line)}: ${headers.valueAt(line)}\r\n`;
  }
  return text + pending;
}

function connectionLine(connection: string, added: string): string {
  if (!isFieldValue(connection)) throw new TypeError('invalid value of Connection');
  if (added === '') return connection === '' ? '' : `Connection: ${connection}\r\n`;
  return connection === '' ? `Connection: ${added}\r\n` : `Connection: ${connection}, ${added}\r\n`;
}

/** RFC 9110 §8.6: a method that expects content says so when there is none; others stay silent unless they had said it. */
function announcesEmptyBody(method: string, headers: HeaderMap): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH' || headers.hasKnown(KnownHeader.contentLength);
}

function framingLine(bodyLength: number, announcesEmpty: boolean): string {
  if (bodyLength === BodyLength.chunked) return 'Transfer-Encoding: chunked\r\n';
  if (bodyLength === BodyLength.untilClose) return '';
  if (!Number.isSafeInteger(bodyLength) || bodyLength < 0) throw new RangeError(`not the length of a body: ${bodyLength}`);
  return bodyLength > 0 || announcesEmpty ? `Content-Length: ${bodyLength}\r\n` : '';
}

function responseFramingLine(status: number, headers: HeaderMap, options: ResponseHeadOptions): string {
  const { bodyLength, isBodyless = false, isTunnel = false } = options;
  // RFC 9112 §6.1, RFC 9110 §8.6: neither field in 1xx, 204 and 2xx to CONNECT.
  if (status < 200 || status === 204 || isTunnel) return '';
  if (!isBodyless) return framingLine(bodyLength, true);
  const kept = headers.getKnown(KnownHeader.contentLength);
  if (kept !== undefined && /^[0-9]{1,16}$/.test(kept) && headers.countKnown(KnownHeader.contentLength) === 1)
    return `Content-Length: ${kept}\r\n`;
  return bodyLength > 0 ? framingLine(bodyLength, false) : '';
}

export { formatLastChunk } from './chunk-writer.ts';
