/**
 * What a client is answered when its request has failed and no hook has answered it: a bare status, a page of the user's own, or, for gRPC, a status in
 * gRPC's own words, as its clients make nothing of others.
 *
 * No product is named (`Server`), as that helps nobody but attackers, and no cache may keep what was a failure of a moment.
 */
import { utf8Encode } from '@ferrata/bytes';
import { ioError, type WireError } from '@ferrata/error';
import { HttpVersion, KnownHeader, type ReadonlyRequestHead, reasonPhrase } from '@ferrata/headers';
import type { ResponseInit } from '@ferrata/http';
import { checkSync } from './hook-result.ts';
import type { ProxySession } from './proxy-session.ts';

/** Makes the page of an error; undefined: the bare one. */
export type ErrorPage = (status: number, error: WireError, session: ProxySession) => ResponseInit | undefined;

/** An answer, ready to send. */
export interface CannedAnswer {
  readonly status: number;
  readonly init: ResponseInit;
}

/** RFC 9113 §7. */
const CANCEL = 0x08;

const BARE = { 'Content-Type': 'text/plain', 'Cache-Control': 'private, no-store' } as const;

/** The answer to a request that has failed. @throws what `page` throws */
export function cannedAnswer(status: number, error: WireError, session: ProxySession, page: ErrorPage | undefined): CannedAnswer {
  const own = checkSync('errorPage', page?.(status, error, session));
  if (own !== undefined) return { status, init: own };
  if (isGrpc(session.request)) return { status: 200, init: { headers: grpcFields(status, error) } };
  return bareAnswer(status);
}

/** The answer where there is no page, or it has failed. */
export function bareAnswer(status: number): CannedAnswer {
  // The same as for requests that are refused before they reach a phase.
  return { status, init: { headers: BARE, body: `${status} ${reasonPhrase(status)}\n` } };
}

/**
 * What a response that has begun is cut with. To gRPC a CANCEL of the upstream is a status as others are, and passes; other clients may take what that has cut for whole, and
 * get what every failure of an upstream is.
 */
export function cutBy(error: WireError, request: ReadonlyRequestHead): WireError {
  if (!isReset(error) || error.wire.http2Code !== CANCEL || !isGrpc(request)) return error;
  const wire = { status: error.status, http2Code: CANCEL };
  return ioError('UPSTREAM_CANCELLED', 'the upstream has cancelled the call', { cause: error, retry: 'never', wire, source: 'internal' });
}

/** The upstream has reset the stream of the request. */
function isReset({ reason, source }: WireError): boolean {
  return reason === 'H2_STREAM_RESET' && source === 'upstream';
}

/** gRPC is HTTP/2, and says so by its type. @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
function isGrpc({ version, headers }: ReadonlyRequestHead): boolean {
  return version === HttpVersion.http2 && /^application\/grpc(?:$|[+;])/i.test(headers.getKnown(KnownHeader.contentType) ?? '');
}

/** A response of trailers only. */
function grpcFields(status: number, error: WireError): Record<string, string> {
  return {
    'Content-Type': 'application/grpc',
    'Grpc-Status': String(grpcStatusOfReset(status, error) ?? grpcStatus(status)),
    'Grpc-Message': percentEncode(`${error.reason}: ${reasonPhrase(status)}`),
  };
}

/**
 * What the upstream has said by a reset, in the words of gRPC: what a client of its own would have made of it.
 *
 * @param status what the request is answered with: another one than the error's is somebody's own choice, which counts
 * @returns null: it has said nothing
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
 */
function grpcStatusOfReset(status: number, error: WireError): number | null {
  if (!isReset(error) || status !== error.status) return null;
  switch (error.wire.http2Code) {
    case 0x07: // REFUSED_STREAM
      return 14;
    case CANCEL:
      return 1;
    case 0x0b: // ENHANCE_YOUR_CALM
      return 8;
    case 0x0c: // INADEQUATE_SECURITY
      return 7;
    default:
      return 13;
  }
}

/** HTTP statuses in the words of gRPC. @see https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
function grpcStatus(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 408:
    case 504:
      return 4;
    case 429:
    case 502:
    case 503:
      return 14;
    default:
      return 2;
  }
}

/** `Grpc-Message` is percent-encoded UTF-8. */
function percentEncode(text: string): string {
  let encoded = '';
  for (const byte of utf8Encode(text))
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return encoded;
}
