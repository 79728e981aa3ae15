/** What a subrequest is made from, and the request head that comes of it. */
import {
  HeaderMap,
  HttpVersion,
  KnownHeader,
  type ReadonlyRequestHead,
  type RequestHead,
  removeHopByHop,
  requestHead,
} from '@ferrata/headers';
import type { HttpApplication } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import type { Peer } from '@ferrata/upstream';

/** Changes to a copy of the parent's request head. */
export interface RequestEdits {
  /** Default: that of the parent. */
  readonly method?: string;
  /** Default: that of the parent. */
  readonly target?: string;
  /** Fields to set, each as the only one of its name (or as several lines); null removes. A `HeaderMap` takes the place of all. */
  readonly headers?: HeaderMap | Readonly<Record<string, string | readonly string[] | null>>;
}

/** What all kinds of subrequest are made from; every member is optional. */
export interface SubrequestInit {
  /** A head of its own, which is copied, or changes to a copy of the parent's, which becomes HTTP/1.1. Default: the parent's, unchanged. */
  readonly request?: RequestHead | RequestEdits;
  /** Who answers. Default: the application of the parent. */
  readonly application?: HttpApplication;
  /** Where a proxy that answers sends it, on every try; its `upstreamPeer` is not asked. Default: that is. Other applications don't look at it. */
  readonly peer?: Peer;
  /** For the callbacks that run the subrequest: `session.subrequestContext`. */
  readonly context?: unknown;
  /** How long it may take in all, in milliseconds; above 0. Default: no limit but the parent's end; for `background` 60 000. */
  readonly timeoutMs?: number;
  /** How deep subrequests may be nested, this one counted. Default: that of the options, 8. */
  readonly maxDepth?: number;
}

/** The head of a subrequest, and how long its body is. */
export interface PreparedRequest {
  readonly head: RequestHead;
  /** ≥ 0, or `BodyLength.chunked`. */
  readonly bodyLength: number;
}

/** What a body is, before it is known how long. */
export type PreparedBody = 'none' | Uint8Array | { readonly bodyLength: number };

/**
 * Makes the head of a subrequest. It has no connection, so what belongs to one is gone from it, and with it any wish to switch protocols; no framing either: the
 * one `Content-Length` that is left is true, and a body of unknown length has no field.
 *
 * @throws {TypeError} when method, target or a field is invalid, or the method is CONNECT
 * @throws {RangeError} when the length of the body is none
 */
export function prepareRequest(
  parent: ReadonlyRequestHead,
  request: RequestHead | RequestEdits | undefined,
  body: PreparedBody,
): PreparedRequest {
  const head = headOf(parent, request);
  if (head.method === 'CONNECT') throw new TypeError('a subrequest makes no tunnel');
  const { headers } = head;
  removeHopByHop(headers, { keepTrailersTe: true, keepProxyAuth: true });
  headers.deleteKnown(KnownHeader.contentLength);
  const bodyLength = lengthOf(body);
  if (body === 'none') headers.deleteKnown(KnownHeader.trailer);
  else if (bodyLength >= 0) headers.setKnown(KnownHeader.contentLength, String(bodyLength));
  // RFC 9110 §10.1.1: to wait is for who has something to hold back.
  if (body === 'none' || body instanceof Uint8Array || bodyLength === 0) headers.deleteKnown(KnownHeader.expect);
  if (body instanceof Uint8Array) headers.deleteKnown(KnownHeader.trailer);
  return { head, bodyLength };
}

function lengthOf(body: PreparedBody): number {
  if (body === 'none') return 0;
  if (body instanceof Uint8Array) return body.length;
  const { bodyLength } = body;
  if (!Number.isSafeInteger(bodyLength) || bodyLength < BodyLength.chunked) throw new RangeError(`not the length of a body: ${bodyLength}`);
  return bodyLength;
}

function headOf(parent: ReadonlyRequestHead, request: RequestHead | RequestEdits | undefined): RequestHead {
  const isWhole = request !== undefined && 'version' in request;
  const { method = parent.method, target = parent.target } = request ?? {};
  const version = isWhole ? request.version : HttpVersion.http11;
  const head = requestHead(method, target, { version, headers: headersOf(parent, request?.headers) });
  const neverIndexed = isWhole ? request.neverIndexed : parent.neverIndexed;
  if (neverIndexed !== undefined) head.neverIndexed = neverIndexed;
  return head;
}

function headersOf(parent: ReadonlyRequestHead, edits: RequestEdits['headers']): HeaderMap {
  if (edits instanceof HeaderMap) return edits.clone();
  const headers = parent.headers.clone();
  if (edits === undefined) return headers;
  for (const [name, value] of Object.entries(edits)) {
    if (value === null) headers.delete(name);
    else if (typeof value === 'string') headers.set(name, value);
    else setLines(headers, name, value);
  }
  return headers;
}

function setLines(headers: HeaderMap, name: string, values: readonly string[]): void {
  headers.delete(name);
  for (const value of values) headers.append(name, value);
}
