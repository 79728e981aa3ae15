/**
 * The phases of a proxied request, as callbacks. All but one or two are optional; an absent one costs nothing, a synchronous one is not awaited. One
 * that throws, rejects, hangs or returns garbage ends its request by `failToProxy` with a 500, never the process and never another request.
 *
 * ```text
 *   newContext → onConnectionReuse → earlyRequestFilter → allowSpawningSubrequest → modules → requestFilter ─ answered ► logging
 *     → proxyUpstreamFilter ─ no ► 502 ─────────────────────────────────────────────────────────────────────────► │
 *     → upstreamPeer ─► connect ─ failed ► failToConnect ─ may retry ► upstreamPeer                               │
 *     → connectedToUpstream → upstreamRequestFilter → request sent ─ lost ► errorWhileProxy ─ may retry ► upstreamPeer
 *     → requestBodyFilter …   ⇄   adjustUpstreamModules → upstream modules → upstreamResponseFilter → responseFilter → modules
 *                                 upstreamResponseBodyFilter → responseBodyFilter → modules …                     │
 *                                 upstreamResponseTrailerFilter → responseTrailerFilter → modules ────────────────┤
 *   any error of ours or of the upstream ► suppressErrorLog, requestSummary ► failToProxy ────────────────────────┤
 *   any error of the client (gone, too slow, malformed) ──────────────────────────────────────────────────────────┤
 *                                                                    logging → persistConnectionContext ◄─────────┘
 * ```
 *
 * What a phase may do is what its session's type has: heads that have been sent cannot be edited, and whoever cannot answer any more has no
 * `respond`. After an answer of a hook's, after the first failure, and after the end, no callback but those of the last three lines is called. What a hook of
 * a try was waited for is of no account once that try is given up, or another one has answered: not even its rejection.
 */
import type { WireError } from '@ferrata/error';
import type { HeaderMap, ReadonlyResponseHead, RequestHead, ResponseHead } from '@ferrata/headers';
import type { Awaitable } from '@ferrata/http-modules';
import type { Peer } from '@ferrata/upstream';
import type { AnswerableSession, ProxySession, RequestSession, UpstreamConnection } from './proxy-session.ts';

export type { Awaitable } from '@ferrata/http-modules';

/** What a body filter gives back: bytes to pass on, null for none, or either of them later: see `delayed`. */
export type BodyFilterResult = Uint8Array | null | DelayedPiece;

/** A piece that is to be passed on after a while, during which the body is held. */
export interface DelayedPiece {
  readonly piece: Uint8Array | null;
  readonly delayMs: number;
}

/** What `failToProxy` says should become of a request. */
export interface FailureAnswer {
  /** The status to answer with, if no response has begun. Default: that of the error; 0: none, the connection just ends. */
  readonly status?: number;
  /** False: the client's connection takes no further request, even if it could. Default true. */
  readonly keepAlive?: boolean;
}

/** The callbacks of a proxy. `Context` is made for each request by `newContext` and handed to every other callback. */
export interface ProxyHooks<Context> {
  // ---- the request comes

  /** Makes what this request carries with it; may be absent if that is nothing, see `HooksOf`. If it throws, the request is answered 500 and told to `onRefused`, as there is no context to log with. */
  newContext(session: ProxySession): Context;
  /** The connection has carried a request before, and `persistConnectionContext` gave `previous` at its end. HTTP/1 only. */
  onConnectionReuse?(session: RequestSession, context: Context, previous: unknown): void;
  /** Before anything else: switches, tracing, early refusal by a throw, settings of modules. May edit the request. */
  earlyRequestFilter?(session: RequestSession, context: Context): Awaitable<void>;
  /** Whether `session.subrequests` may be used by what comes later. Default: yes for requests of clients, no for subrequests themselves. */
  allowSpawningSubrequest?(session: ProxySession, context: Context): boolean;
  /** Checks the request, and may edit it. `true`: the callback has answered it with `session.respond`, or has left that to `session.respondBy`: it goes no further. */
  requestFilter?(session: RequestSession, context: Context): Awaitable<boolean>;

  // ---- it goes upstream

  /** Whether it goes upstream at all. `false`: no; what the callback has answered, or has left to `session.respondBy`, is the answer, else 502. */
  proxyUpstreamFilter?(session: AnswerableSession, context: Context): Awaitable<boolean>;
  /**
   * Says where the request goes; called again for each attempt (`session.attempt` counts from 1). If it fails for one beside another, that one alone is not made, and `onHookFailed` of
   * the options is told. Not called for a subrequest that was given a peer.
   */
  upstreamPeer(session: AnswerableSession, context: Context): Awaitable<Peer>;
  /** No connection to `peer` could be made, or none in `perTryTimeoutMs`. May set `error.retry` to `always` or `never`; the peer that failed is not tried again. */
  failToConnect?(session: AnswerableSession, peer: Peer, error: WireError, context: Context): Awaitable<void>;
  /** There is a connection, made or reused; the request has not been sent on it. A throw ends the request. */
  connectedToUpstream?(session: AnswerableSession, connection: UpstreamConnection, context: Context): Awaitable<void>;
  /** Edits the copy of the request that goes upstream. Hop-by-hop fields are gone already. Called for each attempt, with a fresh copy. */
  upstreamRequestFilter?(session: AnswerableSession, request: RequestHead, context: Context): Awaitable<void>;
  /**
   * Sees each piece of the request's body, and null once at its end, when bytes may still be added. Not called for a request without a body,
   * nor again for what a retry repeats. The body is sent chunked.
   */
  requestBodyFilter?(session: AnswerableSession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /**
   * The exchange with the upstream failed after there was a connection, or had no answer in `perTryTimeoutMs`. May set `error.retry`, within the tries and the budget that are left;
   * what has been answered is never sent again.
   */
  errorWhileProxy?(session: AnswerableSession, peer: Peer, error: WireError, context: Context): void;

  // ---- the response comes back

  /** Before the upstream modules see the response: `session.upstreamModule` finds the one that is to be told. Not called for interim responses, nor without modules. */
  adjustUpstreamModules?(session: AnswerableSession, response: ReadonlyResponseHead, context: Context): Awaitable<void>;
  /** Edits the response as it came from the upstream, behind the upstream modules: what a cache would keep. Not called for interim ones and 101. */
  upstreamResponseFilter?(session: AnswerableSession, response: ResponseHead, context: Context): Awaitable<void>;
  /** As `responseBodyFilter`, for the body as it came from the upstream. */
  upstreamResponseBodyFilter?(session: ProxySession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /** Edits the trailers that came from the upstream. */
  upstreamResponseTrailerFilter?(session: ProxySession, trailers: HeaderMap, context: Context): void;
  /** Edits the response before it is sent, or answers in its place. Not called for interim responses and 101. */
  responseFilter?(session: AnswerableSession, response: ResponseHead, context: Context): Awaitable<void>;
  /**
   * Sees each piece of the response's body, and null once at its end, when bytes may still be added. Not called for a response without a body.
   * The body is sent chunked, and a Content-Length in an answer to HEAD is removed, as nobody knows what it would be.
   */
  responseBodyFilter?(session: ProxySession, chunk: Uint8Array | null, context: Context): Awaitable<BodyFilterResult>;
  /** Edits the trailers, or gives bytes that are sent in their place as a last piece of the body. Not called if there are none. */
  responseTrailerFilter?(session: ProxySession, trailers: HeaderMap, context: Context): Awaitable<Uint8Array | null | void>;

  // ---- the end

  /**
   * The request failed. May answer with `session.respond` if `session.hasResponded` is false, or say by what it returns how it is answered; else the
   * status of the error is sent, or the response under way is cut visibly. Not called for faults of the client (gone, too slow, malformed), which the server answers by itself, nor for
   * a tunnel that breaks, of which `logging` is told.
   */
  failToProxy?(session: AnswerableSession, error: WireError, context: Context): Awaitable<FailureAnswer | void>;
  /** `true`: `onError` of the options is not told of this failure. */
  suppressErrorLog?(session: ProxySession, error: WireError, context: Context): boolean;
  /** What `onError` is told of the request. Default: its method, target and Host. */
  requestSummary?(session: ProxySession, context: Context): string;
  /** Always last, exactly once, whatever became of the request; nobody waits for it. `null`: all went well. */
  logging?(session: ProxySession, error: WireError | null, context: Context): Awaitable<void>;
  /** The connection will take another request: what this gives is handed to its `onConnectionReuse`, unless undefined. HTTP/1 only. */
  persistConnectionContext?(session: ProxySession, context: Context): unknown;
}

/** The callbacks that a proxy needs: where the context of a request may be undefined, `newContext` may be left out, and it is. */
export type HooksOf<Context> = Omit<ProxyHooks<Context>, 'newContext'> &
  (undefined extends Context ? Partial<Pick<ProxyHooks<Context>, 'newContext'>> : Pick<ProxyHooks<Context>, 'newContext'>);

/** A piece for a body filter to give back that is passed on after `delayMs`: shapes a body to a rate. @throws {RangeError} for a delay that is none */
export function delayed(piece: Uint8Array | null, delayMs: number): DelayedPiece {
  if (!(delayMs >= 0)) throw new RangeError(`not a delay in milliseconds: ${delayMs}`);
  return { piece, delayMs };
}
