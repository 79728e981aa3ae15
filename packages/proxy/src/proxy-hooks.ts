/**
 * The phases of a proxied request, as callbacks. All but two are optional; an absent one costs nothing, a synchronous one is not awaited, and
 * a throw or a rejection ends that request by `failToProxy`, never the process.
 *
 * ```text
 *   newContext → earlyRequestFilter → requestFilter ─ answered ──────────────────────────────────► logging
 *     → upstreamPeer ─► connect ─ failed ► failToConnect ─ may retry ► upstreamPeer                   ▲
 *     → upstreamRequestFilter → request sent                                                          │
 *     → requestBodyFilter …        ⇄        responseFilter → responseBodyFilter … ────────────────────┤
 *   any error ► failToProxy ──────────────────────────────────────────────────────────────────────────┘
 * ```
 */
import type { WireError } from '@ferrata/error';
import type { RequestHead, ResponseHead } from '@ferrata/headers';
import type { Peer } from '@ferrata/upstream';
import type { ProxySession } from './proxy-session.ts';

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/** What a body filter gives back: bytes to pass on, or null for none. */
export type BodyFilterResult = Uint8Array | null;

/** The callbacks of a proxy. `Context` is made for each request by `newContext` and handed to every other callback. */
export interface ProxyHooks<Context> {
  /** Makes what this request carries with it. */
  newContext(session: ProxySession): Context;
  /** Says where the request goes; called again for each retry (`session.attempt` counts from 1). */
  upstreamPeer(session: ProxySession, context: Context): Awaitable<Peer>;
  /** Before anything else: switches, tracing, early refusal by a throw. */
  earlyRequestFilter?(session: ProxySession, context: Context): Awaitable<void>;
  /** Checks the request. `true`: the callback has answered it with `session.respond`, and it goes no further. */
  requestFilter?(session: ProxySession, context: Context): Awaitable<boolean>;
  /** Edits the copy of the request that goes upstream. Hop-by-hop fields are gone already. */
  upstreamRequestFilter?(session: ProxySession, request: RequestHead, context: Context): Awaitable<void>;
  /** Edits the response before it is sent. Not called for interim responses. */
  responseFilter?(session: ProxySession, response: ResponseHead, context: Context): Awaitable<void>;
  /** Sees each piece of the request's body, and null once at its end, when bytes may still be added. */
  requestBodyFilter?(session: ProxySession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /** Sees each piece of the response's body, and null once at its end, when bytes may still be added. */
  responseBodyFilter?(session: ProxySession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /** No connection to `peer` could be made. May set `error.retry` to `always` or `never`. */
  failToConnect?(session: ProxySession, peer: Peer, error: WireError, context: Context): void;
  /** The request failed. May answer with `session.respond` if `session.hasResponded` is false; else the status of the error is sent. */
  failToProxy?(session: ProxySession, error: WireError, context: Context): Awaitable<void>;
  /** Always last, exactly once, whatever became of the request. `null`: all went well. */
  logging?(session: ProxySession, error: WireError | null, context: Context): void;
}
