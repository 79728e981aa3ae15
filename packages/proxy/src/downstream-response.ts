/** A response as it goes to the client: without what the upstream's connection alone was told, and what the client's has no place for. */
import { HttpVersion, KnownHeader, type ReadonlyRequestHead, type ResponseHead, removeHopByHop } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { requiredUpgrade } from './upgrade.ts';

/**
 * Removes hop-by-hop fields from a final or interim response.
 *
 * @returns the value of Connection as it was received: trailers may be nominated there
 */
export function leaveConnection({ status, headers }: ResponseHead): string | undefined {
  const connection = headers.combinedKnown(KnownHeader.connection);
  // RFC 9110 §15.5.22: a 426 must say what is required; elsewhere Upgrade is an offer of the upstream's connection, which ends there.
  const required = status === 426 ? requiredUpgrade(headers.combinedKnown(KnownHeader.upgrade)) : null;
  removeHopByHop(headers);
  if (required !== null) headers.setKnown(KnownHeader.upgrade, required);
  if (status < 200) headers.deleteKnown(KnownHeader.trailer);
  return connection;
}

/**
 * What a response is sent with. An answer to HEAD has no body, but frames as one to GET would: by a Content-Length that it has, else as one of
 * unknown length.
 *
 * @param bodyLength as the upstream framed it: ≥ 0, or a `BodyLength`
 */
export function responseLength(method: string, bodyLength: number): number {
  return bodyLength < 0 || method === 'HEAD' ? BodyLength.chunked : bodyLength;
}

/**
 * Removes the Trailer field from a final response that has no place for trailers. HTTP/1 has one in chunks only (RFC 9112 §7.1.2), HTTP/2
 * behind any body (RFC 9113 §8.1). The announcement would have its recipient wait for fields, such as a digest, that do not come (RFC 9110 §6.6.2).
 *
 * @param bodyLength what the response is sent with
 */
export function removeVainTrailer({ status, headers }: ResponseHead, bodyLength: number, request: ReadonlyRequestHead): void {
  if (!headers.hasKnown(KnownHeader.trailer)) return;
  const { version } = request;
  const hasPlace =
    (bodyLength === BodyLength.chunked ? version !== HttpVersion.http10 : version === HttpVersion.http2 && bodyLength > 0) &&
    status !== 204 &&
    status !== 304 &&
    // An answer to HEAD frames as one to GET would: by its own Content-Length, if it has one.
    !(request.method === 'HEAD' && headers.hasKnown(KnownHeader.contentLength));
  if (!hasPlace) headers.deleteKnown(KnownHeader.trailer);
}
