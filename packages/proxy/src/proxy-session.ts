/** What the callbacks of a proxy see of one request. */
import type { WireError } from '@ferrata/error';
import type { RequestHead, ResponseHead } from '@ferrata/headers';
import type { ResponseInit } from '@ferrata/http';
import type { StreamInfo } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';

/** How a request ended. */
export type Outcome = 'completed' | 'clientAborted' | 'upstreamFailed' | 'timedOut' | 'rejected';

/** One request on its way through the proxy. */
export interface ProxySession {
  /** The request as the client sent it. */
  readonly request: RequestHead;
  /** Facts about the client's connection. */
  readonly client: StreamInfo;
  /** Facts about the upstream connection in use, or last used. */
  readonly upstream: StreamInfo | null;
  /** The peer in use, or last used. */
  readonly peer: Peer | null;
  /** The response's head as it came from upstream. */
  readonly response: ResponseHead | null;
  /** How often a peer has been asked for: 1 on the first try. */
  readonly attempt: number;
  /** The upstream connection had carried a request before. */
  readonly isUpstreamReused: boolean;
  /** A final response has begun. */
  readonly hasResponded: boolean;
  /** The final status sent to the client, 0 if none was. */
  readonly status: number;
  /** Bytes of the request's body received. */
  readonly requestBytes: number;
  /** Bytes of the response's body sent. */
  readonly responseBytes: number;
  /** Monotonic milliseconds: head read · connected or taken from the pool · response head · end. NaN for what has not happened. */
  readonly timing: SessionTiming;
  /** Answers the request instead of an upstream. @throws {TypeError} if a response has begun */
  respond(status: number, init?: ResponseInit): void;
  /** Ends the request with an error. */
  fail(error: WireError): void;
}

/** When things happened. */
export interface SessionTiming {
  readonly startedAt: number;
  connectedAt: number;
  respondedAt: number;
  endedAt: number;
}
