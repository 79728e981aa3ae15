/** The request as it goes upstream: HTTP/1.1 or HTTP/2, origin-form, without hop-by-hop fields, with the Host that the client asked for. */
import { type HeaderMap, HttpVersion, KnownHeader, type RequestHead, removeHopByHop } from '@ferrata/headers';

const KEEP_TRAILERS_TE = { keepTrailersTe: true } as const;

const CONTINUE = /^[ \t]*100-continue[ \t]*$/i;

/** What a request's own head does not tell. */
export interface NextHop {
  /** For a request without Host: one of HTTP/1.0 (RFC 9112 §3.2), or let in by `missingHost`. */
  readonly authority: string;
  readonly hasBody: boolean;
  readonly protocol: 'http1' | 'http2';
}

/**
 * A copy of `request` for the next hop, as RFC 9110 §7.6 has it.
 *
 * @param request with its target normalized already
 */
export function upstreamRequest(request: RequestHead, { authority, hasBody, protocol }: NextHop): RequestHead {
  const { method, target, version } = request;
  const headers = request.headers.clone();
  removeHopByHop(headers, KEEP_TRAILERS_TE);
  if (!headers.hasKnown(KnownHeader.host)) headers.setKnown(KnownHeader.host, authority);
  // RFC 9110 §10.1.1: from an HTTP/1.0 client the expectation is to be ignored, and it could make nothing of the interim response.
  if (version === HttpVersion.http10 || (!hasBody && expectsOnlyContinue(headers))) headers.deleteKnown(KnownHeader.expect);
  const head: RequestHead = { method, target, version: protocol === 'http2' ? HttpVersion.http2 : HttpVersion.http11, headers };
  // RFC 7541 §6.2.3: an intermediary sends on as never-indexed what came so.
  if (request.neverIndexed !== undefined) head.neverIndexed = request.neverIndexed;
  return head;
}

/**
 * RFC 9110 §10.1.1: without content nobody may expect 100 (Continue). Servers that wait for a body all the same, or answer twice, are what
 * requests with a needless expectation are sent to find.
 */
function expectsOnlyContinue(headers: HeaderMap): boolean {
  const expect = headers.combinedKnown(KnownHeader.expect);
  if (expect === undefined) return false;
  // A comma within quotes divides nothing, but then neither part is the expectation: what is in doubt is the origin's to judge.
  return expect.split(',').every((expectation) => CONTINUE.test(expectation));
}
