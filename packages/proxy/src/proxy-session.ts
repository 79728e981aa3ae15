/** What the callbacks of a proxy see of one request. */
import type { WireError } from '@ferrata/error';
import type { RequestHead, ResponseHead } from '@ferrata/headers';
import type { ResponseInit } from '@ferrata/http';
import type { StreamInfo } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';

/** One request on its way through the proxy. */
export interface ProxySession {
  /**
   * The request as the client sent it, but for an absolute target: that has become a path, with its host in `Host` (RFC 9112 §3.2.2), so that
   * what a hook sees is what is sent on. `upstreamRequestFilter` is the place for changes.
   */
  readonly request: RequestHead;
  /** Facts about the client's connection. */
  readonly client: StreamInfo;
  /** Facts about the upstream connection in use, or last used. */
  readonly upstream: StreamInfo | null;
  /** The peer in use, or last used: the one that `upstreamPeer` gave, or its `forUpgrade`. */
  readonly peer: Peer | null;
  /** The head of the upstream's final response (or 101), with what `responseFilter` has changed in it. */
  readonly response: ResponseHead | null;
  /** How often a peer has been asked for: 1 on the first try. */
  readonly attempt: number;
  /** How often the request was not read upstream, and no try was lost by it: `REFUSED_STREAM`, beyond a `GOAWAY`, or never sent. */
  readonly refusedCount: number;
  /** The upstream connection had carried a request before. */
  readonly isUpstreamReused: boolean;
  /** A final response has begun. */
  readonly hasResponded: boolean;
  /** The final status sent to the client, 0 if none was. */
  readonly status: number;
  /** Bytes of the request's body received; of a tunnel, all that the client sent. */
  readonly requestBytes: number;
  /** Bytes of the response's body sent; of a tunnel, all that was sent to the client. */
  readonly responseBytes: number;
  /** When things happened. */
  readonly timing: SessionTiming;
  /**
   * Answers the request instead of an upstream; an exchange with one is given up.
   * @throws {TypeError} if a response has begun
   */
  respond(status: number, init?: ResponseInit): void;
  /** Ends the request with an error, by way of `failToProxy`. Does nothing if it is over. */
  fail(error: WireError): void;
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
