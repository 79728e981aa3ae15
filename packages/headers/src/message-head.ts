/**
 * The head of a request or a response: what stands before the body, whatever the protocol version.
 *
 * Heads are plain objects that filters may change. Decoders write them as literals with the keys in the order below, after validating every
 * byte; programs use the makers, which check.
 */
import { isReasonPhrase, isRequestTarget, isToken } from './byte-classes.ts';
import { type HeaderInit, HeaderMap } from './header-map.ts';
import { HttpVersion } from './http-version.ts';
import { reasonPhrase } from './reason-phrase.ts';

/** The head of a request. */
export interface RequestHead {
  /** A token, case-sensitive: `GET`. */
  method: string;
  /** As it was written: `/path?query`, `http://host/path`, `host:port` (CONNECT) or `*` (OPTIONS). */
  target: string;
  version: HttpVersion;
  headers: HeaderMap;
  /**
   * Lower-case names of fields, pseudo-header fields included, that came over HTTP/2 as never-indexed literals: their sender keeps the values out of
   * every compression table, and whoever passes the head on must, too. Authorization, Proxy-Authorization and Cookie are left out, as they are always
   * sent so. Absent in the usual case, and for other versions. @see RFC 7541 §6.2.3
   */
  neverIndexed?: readonly string[];
}

/** The head of a response. */
export interface ResponseHead {
  /** 100 to 999. */
  status: number;
  /** May be empty. HTTP/2 does not carry it. */
  reason: string;
  version: HttpVersion;
  headers: HeaderMap;
  /** As in `RequestHead`; here Set-Cookie is the one that is left out. @see RFC 7541 §6.2.3 */
  neverIndexed?: readonly string[];
}

/** What `requestHead` and `responseHead` take besides the obligatory. */
export interface HeadInit {
  /** Default HTTP/1.1. */
  readonly version?: HttpVersion;
  /** A `HeaderMap` is taken over as it is, anything else is copied into one; default: no fields. */
  readonly headers?: HeaderInit;
}

/** What `responseHead` takes besides. */
export interface ResponseHeadInit extends HeadInit {
  /** Default: the registered phrase of the status. */
  readonly reason?: string;
}

/**
 * Makes the head of a request.
 *
 * @throws {TypeError} if the method is not a token, the target has a character that may not stand there, or a field is not valid
 */
export function requestHead(method: string, target: string, init: HeadInit = {}): RequestHead {
  if (!isToken(method)) throw new TypeError(`invalid method: ${JSON.stringify(method)}`);
  if (!isRequestTarget(target)) throw new TypeError(`invalid request target: ${JSON.stringify(target)}`);
  return { method, target, version: init.version ?? HttpVersion.http11, headers: headersOf(init) };
}

/**
 * Makes the head of a response.
 *
 * @throws {RangeError} if the status is not a whole number from 100 to 999
 * @throws {TypeError} if the reason has a character that may not stand there, or a field is not valid
 */
export function responseHead(status: number, init: ResponseHeadInit = {}): ResponseHead {
  if (!isStatus(status)) throw new RangeError(`invalid status: ${status}`);
  const reason = init.reason ?? reasonPhrase(status);
  if (!isReasonPhrase(reason)) throw new TypeError(`invalid reason phrase: ${JSON.stringify(reason)}`);
  return { status, reason, version: init.version ?? HttpVersion.http11, headers: headersOf(init) };
}

/** Whether this can be a status code: a whole number of three digits, not below 100. @see RFC 9110 §15 */
export function isStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 100 && status <= 999;
}

function headersOf({ headers }: HeadInit): HeaderMap {
  if (headers === undefined) return new HeaderMap();
  return headers instanceof HeaderMap ? headers : HeaderMap.from(headers);
}
