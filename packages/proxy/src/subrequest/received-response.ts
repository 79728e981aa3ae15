/** Heads and trailers of a response as whoever made the subrequest gets them: as if they had come over a connection. Copies, so that neither side sees what the other one edits. */
import { latin1Encode, parseDecimal } from '@ferrata/bytes';
import {
  HeaderMap,
  HttpVersion,
  isReasonPhrase,
  isStatus,
  KnownHeader,
  type ResponseHead,
  reasonPhrase,
  removeForbiddenTrailers,
  removeHopByHop,
  responseHead,
} from '@ferrata/headers';

/** What a final response is sent with. */
export interface ResponseFraming {
  /** ≥ 0, or `BodyLength.chunked`. */
  readonly bodyLength: number;
  /** An answer to HEAD, 204, 304: there is no body, whatever the length says. */
  readonly isBodyless: boolean;
  /** For a head without a Date. */
  readonly date: string;
}

/** A head without its connection and framing. @throws {TypeError} when the reason is invalid. @throws {RangeError} when the status is none */
export function receivedHead(head: ResponseHead): ResponseHead {
  const { status, reason } = head;
  if (!isStatus(status)) throw new RangeError(`invalid status: ${status}`);
  if (!isReasonPhrase(reason)) throw new TypeError(`invalid reason phrase: ${JSON.stringify(reason)}`);
  const headers = head.headers.clone();
  // RFC 9110 §15.5.22: a 426 must say what is required.
  const required = status === 426 ? headers.combinedKnown(KnownHeader.upgrade) : undefined;
  removeHopByHop(headers, { keepProxyAuth: true });
  if (required !== undefined) headers.setKnown(KnownHeader.upgrade, required);
  const received = responseHead(status, { version: HttpVersion.http11, reason, headers });
  if (head.neverIndexed !== undefined) received.neverIndexed = head.neverIndexed;
  return received;
}

/** A final head: its one Content-Length is true, and it has a Date (RFC 9110 §6.6.1). @throws as `receivedHead` */
export function receivedFinalHead(head: ResponseHead, framing: ResponseFraming): ResponseHead {
  const received = receivedHead(head);
  const { headers } = received;
  const length = contentLength(head, framing);
  if (length < 0) headers.deleteKnown(KnownHeader.contentLength);
  else headers.setKnown(KnownHeader.contentLength, String(length));
  if (!headers.hasKnown(KnownHeader.date)) headers.setKnown(KnownHeader.date, framing.date);
  return received;
}

/** RFC 9110 §8.6: none in 204; in answers to HEAD and 304 it speaks of a body that is not sent. */
function contentLength({ status, headers }: ResponseHead, { bodyLength, isBodyless }: ResponseFraming): number {
  if (status === 204) return -1;
  if (!isBodyless) return bodyLength;
  const kept = headers.countKnown(KnownHeader.contentLength) === 1 ? parseDecimal(headers.getKnown(KnownHeader.contentLength) ?? '') : -1;
  return kept >= 0 || bodyLength <= 0 ? kept : bodyLength;
}

/** Trailers without what may be none (RFC 9110 §6.5.1); null if none are left. */
export function receivedTrailers(trailers: HeaderMap | null): HeaderMap | null {
  if (trailers === null || trailers.size === 0) return null;
  const received = trailers.clone();
  removeForbiddenTrailers(received);
  return received.size === 0 ? null : received;
}

/** The answer to an error, where the application has given none. */
export function refusalHead(status: number): ResponseHead {
  return responseHead(status, { headers: HeaderMap.from({ 'Content-Type': 'text/plain', 'Cache-Control': 'private, no-store' }) });
}

export function refusalBody(status: number): Uint8Array {
  return latin1Encode(`${status} ${reasonPhrase(status)}\n`);
}
