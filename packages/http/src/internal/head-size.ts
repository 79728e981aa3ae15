/**
 * Heads measured as RFC 9113 §6.5.2 counts them, before they are sent: a peer that has said how much it takes would refuse a larger one, by
 * ending the whole connection if need be, and with it the exchanges of everybody who shares it.
 */
import { limitError, type WireError } from '@ferrata/error';
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';

/** For each field line, beside its name and its value. */
const LINE_BYTES = 32;

/** Nothing that passed our own limits is larger than this: a peer that allows so much needs no measuring. */
const LARGEST_MEASURED = 1_048_576;

/** `:method`, `:scheme` with `https`, `:path` and the longer name of `:authority`, without the values of the others. */
const REQUEST_BYTES = 3 * LINE_BYTES + ':method:scheme:path'.length + 'https'.length + ':authority'.length - 'host'.length;

/** `:status`, and Date where the head has none. */
const RESPONSE_BYTES = 2 * LINE_BYTES + ':status200'.length + 'date'.length + 29;

/** Whether the peer, which takes lists of `maxBytes`, takes this request. @param protocol of an extended CONNECT */
export function fitsRequest({ method, target, headers }: RequestHead, maxBytes: number, protocol: string | null = null): boolean {
  if (maxBytes >= LARGEST_MEASURED) return true;
  const extra = protocol === null ? 0 : LINE_BYTES + ':protocol'.length + protocol.length;
  return REQUEST_BYTES + extra + method.length + target.length + linesBytes(headers) <= maxBytes;
}

/** Whether the peer, which takes lists of `maxBytes`, takes this response. */
export function fitsResponse({ headers }: ResponseHead, maxBytes: number): boolean {
  return maxBytes >= LARGEST_MEASURED || RESPONSE_BYTES + linesBytes(headers) <= maxBytes;
}

/** Lines that are left out for HTTP/2 are counted too: they are few, and the program that sends them is not ours to teach. */
function linesBytes(headers: HeaderMap): number {
  const { size } = headers;
  let bytes = size * LINE_BYTES;
  for (let line = 0; line < size; line++) bytes += headers.nameAt(line).length + headers.valueAt(line).length;
  return bytes;
}

/** A request whose head the server would not take. Another server might, but who asks is told that the head is large (RFC 6585 §5). */
export function requestHeadTooLarge(maxBytes: number): WireError {
  const message = `the server takes field sections of ${maxBytes} bytes, and the request's is larger`;
  return limitError('H2_PEER_HEADER_LIST', message, { wire: { status: 431 }, retry: 'never', source: 'upstream' });
}

/** A response whose head the client would not take. */
export function responseHeadTooLarge(maxBytes: number): WireError {
  const message = `the client takes field sections of ${maxBytes} bytes, and the response's is larger`;
  return limitError('H2_PEER_HEADER_LIST', message, { wire: { status: 502 }, retry: 'never', source: 'downstream' });
}
