/**
 * What the callbacks of a proxy see of one request: the same object in every phase, by the type of what the phase may still do.
 *
 * ```text
 *   ProxySession ◄── AnswerableSession (may answer, or fail) ◄── RequestSession (may edit the request)
 * ```
 */
import type { WireError } from '@ferrata/error';
import type { ReadonlyRequestHead, ReadonlyResponseHead, RequestHead } from '@ferrata/headers';
import type { ExchangeSettings, ResponseInit } from '@ferrata/http';
import type { HttpModule, HttpModuleKind } from '@ferrata/http-modules';
import type { StreamInfo } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';
import type { PipeOptions, PipeResult } from './subrequest/subrequest-pipe.ts';
import type { PipeInit, Subrequests } from './subrequest/subrequests.ts';

/** One request on its way through the proxy: facts. */
export interface ProxySession {
  /**
   * The request as the client sent it, but for an absolute target, which has become a path, with its host in `Host` (RFC 9112 §3.2.2), and for what
   * early phases have edited. `upstreamRequestFilter` is the place for changes that only the upstream is to see.
   */
  readonly request: ReadonlyRequestHead;
  /** Facts about the client's connection. */
  readonly client: StreamInfo;
  /** Facts about the connection to `peer`, in use or last used; null: there is none to it. */
  readonly upstream: StreamInfo | null;
  /** The peer in use, or last used: the one that `upstreamPeer` gave, or its `forUpgrade`. */
  readonly peer: Peer | null;
  /** The head of the upstream's final response (or 101), with what filters have changed in it. */
  readonly response: ReadonlyResponseHead | null;
  /** How often a peer has been asked for: 1 on the first try. */
  readonly attempt: number;
  /** How often the request was not read upstream, and no try was lost by it: `REFUSED_STREAM`, beyond a `GOAWAY`, or never sent. */
  readonly refusedCount: number;
  /** The upstream connection had carried a request before. */
  readonly isUpstreamReused: boolean;
  /** It is a subrequest: made by the proxy itself, in the course of another request. */
  readonly isSubrequest: boolean;
  /** What whoever made the subrequest gave along; undefined for requests of clients. */
  readonly subrequestContext: unknown;
  /** A final response has begun. */
  readonly hasResponded: boolean;
  /** The final status sent to the client, 0 if none was. */
  readonly status: number;
  /** Bytes of the request's body received; of a tunnel, all that the client sent. */
  readonly requestBytes: number;
  /** Bytes of the response's body sent; of a tunnel, all that was sent to the client. */
  readonly responseBytes: number;
  /** Bytes of the request's body that were sent upstream, in the last attempt. */
  readonly upstreamRequestBytes: number;
  /** Bytes of the response's body that came from upstream. */
  readonly upstreamResponseBytes: number;
  /** How long the client had more bytes before it than it took, in milliseconds. */
  readonly clientWritePendingMs: number;
  /** How long the upstream had, in the last attempt. */
  readonly upstreamWritePendingMs: number;
  /** When things happened. */
  readonly timing: SessionTiming;
  /** The module of this request that is of a kind, if the proxy has it and it takes part. */
  module<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null;
  /** The same among the upstream modules. */
  upstreamModule<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null;
  /** Requests of the proxy's own, on behalf of this one. Null: not allowed, see `allowSpawningSubrequest`. */
  readonly subrequests: Subrequests | null;
  /** Changes times and bounds of the client's side, for this request and what comes behind it on its connection. */
  adjust(settings: ExchangeSettings): void;
}

/** A session whose request may still be answered, or ended. */
export interface AnswerableSession extends ProxySession {
  /**
   * Answers the request instead of an upstream; an exchange with one is given up.
   * @throws {TypeError} if a response has begun
   */
  respond(status: number, init?: ResponseInit): void;
  /**
   * Answers the request by a subrequest: its response becomes this one's. From `requestFilter` on, and before anything went upstream, or in `failToProxy`; whoever calls it in
   * `requestFilter` gives true (in `proxyUpstreamFilter` false), or waits for the result and goes on as it says, within `hookTimeoutMs` as for every hook. `failToProxy` waits for it.
   *
   * @throws {TypeError} if there are no `subrequests` here, one answers already, a response has begun, or the body is to be inherited and some of it has been read
   */
  respondBy(init: PipeInit, options?: PipeOptions): Promise<PipeResult>;
  /** Ends the request with an error, by way of `failToProxy`. Does nothing if it is over. */
  fail(error: WireError): void;
}

/** A session whose request has not been sent on: what is edited in it is what later phases and the upstream see. */
export interface RequestSession extends AnswerableSession {
  readonly request: RequestHead;
}

/** An upstream connection that is about to carry a request. */
export interface UpstreamConnection {
  /** Facts: addresses, TLS digest, timing. */
  readonly info: StreamInfo;
  readonly protocol: 'http1' | 'http2';
  /** It has carried a request before. */
  readonly isReused: boolean;
}

/** Monotonic milliseconds; NaN for what has not happened. */
export interface SessionTiming {
  /** The request's head was read. */
  readonly startedAt: number;
  /** A connection was made or taken from the pool, the last time. */
  readonly connectedAt: number;
  /** The final response's head came. */
  readonly respondedAt: number;
  /** All was over. */
  readonly endedAt: number;
}

/** `SessionTiming` in the making. */
export interface Timing extends SessionTiming {
  connectedAt: number;
  respondedAt: number;
  endedAt: number;
}
