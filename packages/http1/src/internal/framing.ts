/**
 * What Content-Length and Transfer-Encoding of a head say about its body, by the strictest reading of RFC 9112 §6.3.
 *
 * At every MAY the message is refused: two length fields, two lines of one, a list of equal lengths, Transfer-Encoding before HTTP/1.1,
 * codings beside `chunked`. Two recipients that resolve such a message differently read different requests out of one connection.
 */
import { parseDecimal } from '@ferrata/bytes';
import { type HeaderMap, HttpVersion, isToken, KnownHeader } from '@ferrata/headers';
import { http1Error, type MessageSide } from '../errors.ts';
import { BodyLength } from '../message-event.ts';
import { trimBlanks } from './ascii.ts';

/** The leniency of lengths; `options.ts` says what it opens. */
export interface LengthLeniency {
  readonly repeatedEqualContentLength: boolean;
}

const DIGITS = /^[0-9]+$/;

/** The head names no length. */
export const UNFRAMED = -3;

/**
 * @returns a length ≥ 0, `BodyLength.chunked`, or `UNFRAMED`
 * @throws {WireError} when the fields are invalid or contradict each other; nothing of `headers` changes but equal lengths that become one
 */
export function framedLength(headers: HeaderMap, version: HttpVersion, side: MessageSide, leniency: LengthLeniency): number {
  const hasLength = headers.hasKnown(KnownHeader.contentLength);
  if (headers.hasKnown(KnownHeader.transferEncoding)) {
    // RFC 9112 §6.1: such a message "ought to be handled as an error"; it is how most request smuggling begins.
    if (hasLength) throw http1Error('H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING', side);
    return transferCodedLength(headers, version, side);
  }
  if (!hasLength) return UNFRAMED;
  if (leniency.repeatedEqualContentLength) joinEqualLengths(headers);
  return contentLength(headers, side);
}

/** RFC 9112 §6.3 rule 5: one length said several times, in lines or in a list, becomes one line; of different ones nothing is changed. */
function joinEqualLengths(headers: HeaderMap): void {
  const all = headers.combinedKnown(KnownHeader.contentLength) as string;
  if (!all.includes(',')) return;
  // Equal as texts, which is stricter than as numbers: `5` and `05` are two opinions.
  const lengths = all.split(',').map(trimBlanks);
  const first = lengths[0] as string;
  if (DIGITS.test(first) && lengths.every((length) => length === first)) headers.setKnown(KnownHeader.contentLength, first);
}

function contentLength(headers: HeaderMap, side: MessageSide): number {
  const value = headers.getKnown(KnownHeader.contentLength) as string;
  if (headers.countKnown(KnownHeader.contentLength) > 1) throw http1Error('H1_CONTENT_LENGTH_REPEATED', side);
  const length = parseDecimal(value);
  if (length >= 0) return length;
  throw http1Error(DIGITS.test(value) ? 'H1_CONTENT_LENGTH_OVERFLOW' : 'H1_CONTENT_LENGTH_INVALID', side);
}

function transferCodedLength(headers: HeaderMap, version: HttpVersion, side: MessageSide): number {
  // RFC 9112 §6.1: a 1.0 sender does not know the field, so somebody else put it there.
  if (version === HttpVersion.http10) throw http1Error('H1_TRANSFER_ENCODING_IN_HTTP10', side);
  if (headers.countKnown(KnownHeader.transferEncoding) > 1) throw http1Error('H1_TRANSFER_ENCODING_REPEATED', side);
  const value = headers.getKnown(KnownHeader.transferEncoding) as string;
  if (value === 'chunked' || isChunked(value)) return BodyLength.chunked;
  const codings = value.split(',').map(trimBlanks);
  const isUnderstood = codings.length > 1 && isChunked(codings[codings.length - 1] as string) && codings.slice(0, -1).every(isOtherCoding);
  throw http1Error(isUnderstood ? 'H1_TRANSFER_ENCODING_UNSUPPORTED' : 'H1_TRANSFER_ENCODING_INVALID', side);
}

function isChunked(coding: string): boolean {
  return coding.length === 7 && coding.toLowerCase() === 'chunked';
}

function isOtherCoding(coding: string): boolean {
  return isToken(coding) && !isChunked(coding);
}
