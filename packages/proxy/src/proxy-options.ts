/** Options of a proxy, and the parts of it that may be replaced. */
import type { WireError } from '@ferrata/error';
import type { RequestHead } from '@ferrata/headers';
import type { HttpEnvironment, Refusal } from '@ferrata/http';
import type { HttpModuleKind } from '@ferrata/http-modules';
import type { UpstreamConnector, UpstreamConnectorOptions } from '@ferrata/upstream';
import type { ErrorPage } from './canned-answer.ts';
import type { openConnection } from './open-connection.ts';
import type { ProxySession } from './proxy-session.ts';
import type { joinTunnel } from './tunnel.ts';
import type { NextHop } from './upstream-request.ts';

/** Options of an `HttpProxy`. Times in milliseconds. */
export interface HttpProxyOptions {
  /** Clock, timers and output buffer, shared with the server that runs the proxy. */
  readonly environment: HttpEnvironment;
  /** Where connections come from; default: a connector of its own. */
  readonly connector?: UpstreamConnector;
  /** Options of that connector of its own. */
  readonly upstream?: Omit<UpstreamConnectorOptions, 'environment'>;
  /** Modules between the clients and the hooks, such as compression. Default none. */
  readonly modules?: readonly HttpModuleKind[];
  /** Modules that see the responses of upstreams before any hook does. Default none. */
  readonly upstreamModules?: readonly HttpModuleKind[];
  /** How often a request may be sent again. Default 1. Raising it multiplies the load on a failing upstream. */
  readonly maxRetries?: number;
  /**
   * How often a request that an upstream refused unread may be sent again, beside `maxRetries` and outside the budget. Default 3. Over HTTP/2 that
   * is said by REFUSED_STREAM and GOAWAY (RFC 9113 §8.7); raising it makes an upstream that refuses everything cost its clients more time.
   */
  readonly maxRefusals?: number;
  /** How much of a request's body is kept for sending it again. Default 65 536 bytes. Raising it lets each upload hold more memory. */
  readonly maxReplayBytes?: number;
  /** The share of active requests that may be retries, 0 to 1. Default 0.2; 3 are always allowed. */
  readonly retryShare?: number;
  /**
   * How long one try may take from the choice of its peer to the head of an answer. One that takes longer is given up, and made again where that cannot do the
   * request twice; if it had no connection by then, at another peer. Default `Infinity`: the time-outs of the peer alone. Lowering it below what answers take doubles the load.
   */
  readonly perTryTimeoutMs?: number;
  /** How long a request may take from its head to the head of its answer, all tries together. Default `Infinity`. */
  readonly requestTimeoutMs?: number;
  /**
   * After how long without an answer a second try is made beside the first; whichever answers first is the answer. Only for idempotent requests without a body,
   * and within `maxRetries` and the budget. Default `Infinity`: never. Lowering it below what answers usually take doubles the load.
   */
  readonly hedgeAfterMs?: number;
  /** Whether CONNECT is a request like others, forwarded to the peer, which makes the tunnel or refuses. Default false: 405. */
  readonly allowConnect?: boolean;
  /** How long the promise of one hook is waited for. Default 60 000. Raising it lets a hook that hangs hold its client for longer. */
  readonly hookTimeoutMs?: number;
  /** How long a tunnel (after 101, or 2xx to CONNECT) may be without a byte either way. Default 300 000; `Infinity`: for ever. */
  readonly tunnelIdleTimeoutMs?: number;
  /** Makes the answer to a request that has failed, unless `failToProxy` has. Default: a bare status, for gRPC a `grpc-status`. */
  readonly errorPage?: ErrorPage;
  /** Told of each request that failed for a reason of ours or of an upstream; see `suppressErrorLog` and `requestSummary`. Default: nobody is. */
  readonly onError?: (summary: string, error: WireError, session: ProxySession) => void;
  /** Told of requests that were refused before they reached a phase. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Told when a hook failed that is no reason to end a request: one of the end itself, `upstreamPeer` for a second try beside the first. Default: nobody is. Must not throw. */
  readonly onHookFailed?: (error: WireError) => void;
  /** Parts of the proxy to put others in the place of. */
  readonly parts?: Partial<ProxyParts>;
}

/** What the proxy is made of between its phases, each a function that another may take the place of. */
export interface ProxyParts {
  /** Whether a request that an upstream has lost may be sent again; that tries, budget and body allow it is seen to besides. Default `maySendAgain`. */
  readonly mayRetry: (error: WireError, session: ProxySession) => boolean;
  /** The copy of a request for the next hop, before `upstreamRequestFilter` edits it. Default `upstreamRequest`. */
  readonly upstreamRequest: (request: RequestHead, hop: NextHop) => RequestHead;
  /** Gets a connection where none is idle. Default `openConnection`. */
  readonly openConnection: typeof openConnection;
  /** Joins the client's stream to the upstream's, once both have switched. Default `joinTunnel`. */
  readonly joinTunnel: typeof joinTunnel;
}
