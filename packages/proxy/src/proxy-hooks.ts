/**
 * The phases of a proxied request, as callbacks. All but two are optional; an absent one costs nothing, a synchronous one is not awaited. One
 * that throws, rejects, hangs or returns garbage ends its request by `failToProxy` with a 500, never the process and never another request.
 *
 * ```text
 *   newContext → earlyRequestFilter → requestFilter ─ answered ──────────────────────────────────► logging
 *     → upstreamPeer ─► connect ─ failed ► failToConnect ─ may retry ► upstreamPeer                   ▲
 *     → upstreamRequestFilter → request sent ─ lost, may retry ► upstreamPeer                         │
 *     → requestBodyFilter …        ⇄        responseFilter → responseBodyFilter … ────────────────────┤
 *   any error of ours or of the upstream ► failToProxy ───────────────────────────────────────────────┤
 *   any error of the client (gone, too slow, malformed) ──────────────────────────────────────────────┘
 * ```
 *
 * After the first failure, and after the end, no callback but `failToProxy` and `logging` is called.
 */
import type { WireError } from '@ferrata/error';
import type { RequestHead, ResponseHead } from '@ferrata/headers';
import type { Peer } from '@ferrata/upstream';
import type { ProxySession } from './proxy-session.ts';

/** A value, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>;

/** What a body filter gives back: bytes to pass on, or null for none. */
export type BodyFilterResult = Uint8Array | null;

/** The callbacks of a proxy. `Context` is made for each request by `newContext` and handed to every other callback. */
export interface ProxyHooks<Context> {
  /** Makes what this request carries with it. If it throws, the request is answered 500 and told to `onRefused`, as there is no context to log with. */
  newContext(session: ProxySession): Context;
  /** Says where the request goes; called again for each retry (`session.attempt` counts from 1). */
  upstreamPeer(session: ProxySession, context: Context): Awaitable<Peer>;
  /** Before anything else: switches, tracing, early refusal by a throw. */
  earlyRequestFilter?(session: ProxySession, context: Context): Awaitable<void>;
  /** Checks the request. `true`: the callback has answered it with `session.respond`, and it goes no further. */
  requestFilter?(session: ProxySession, context: Context): Awaitable<boolean>;
  /** Edits the copy of the request that goes upstream. Hop-by-hop fields are gone already. Called for each attempt, with a fresh copy. */
  upstreamRequestFilter?(session: ProxySession, request: RequestHead, context: Context): Awaitable<void>;
  /** Edits the response before it is sent. Not called for interim responses and 101. */
  responseFilter?(session: ProxySession, response: ResponseHead, context: Context): Awaitable<void>;
  /**
   * Sees each piece of the request's body, and null once at its end, when bytes may still be added. Not called for a request without a body,
   * nor again for what a retry repeats. The body is sent chunked.
   */
  requestBodyFilter?(session: ProxySession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /**
   * Sees each piece of the response's body, and null once at its end, when bytes may still be added. Not called for a response without a body.
   * The body is sent chunked, and a Content-Length in an answer to HEAD is removed, as nobody knows what it would be.
   */
  responseBodyFilter?(session: ProxySession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /** No connection to `peer` could be made. May set `error.retry` to `always` or `never`; the peer that failed is not tried again. */
  failToConnect?(session: ProxySession, peer: Peer, error: WireError, context: Context): Awaitable<void>;
  /**
   * The request failed. May answer with `session.respond` if `session.hasResponded` is false; else the status of the error is sent, or the
   * response under way is cut visibly. Not called for faults of the client, which the server answers by itself.
   */
  failToProxy?(session: ProxySession, error: WireError, context: Context): Awaitable<void>;
  /** Always last, exactly once, whatever became of the request; nobody waits for it. `null`: all went well. */
  logging?(session: ProxySession, error: WireError | null, context: Context): Awaitable<void>;
}
