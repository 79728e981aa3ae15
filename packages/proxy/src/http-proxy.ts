/** The proxy: an `HttpApplication` whose answers come from upstream. Give it to an `HttpServer`. */

import type { WireError } from '@ferrata/error';
import { checkNumber } from '@ferrata/error';
import type { RequestHead } from '@ferrata/headers';
import type { HttpApplication, HttpEnvironment, Refusal, ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import { type HttpModuleKind, ModuleChain } from '@ferrata/http-modules';
import { UpstreamConnector, type UpstreamConnectorOptions } from '@ferrata/upstream';
import type { ErrorPage } from './canned-answer.ts';
import { unawaited } from './hook-result.ts';
import { openConnection } from './open-connection.ts';
import { ProxyExchange } from './proxy-exchange.ts';
import type { ProxyHooks } from './proxy-hooks.ts';
import type { ProxySession } from './proxy-session.ts';
import { maySendAgain, RetryBudget } from './retry-policy.ts';
import { subrequestOf } from './subrequest/subrequest-exchange.ts';
import { joinTunnel } from './tunnel.ts';
import { UpgradePeers } from './upgrade.ts';
import { type NextHop, upstreamRequest } from './upstream-request.ts';

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
   * request twice. Default `Infinity`: the time-outs of the peer alone. Lowering it below what answers take doubles the load.
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
  /** Told when a hook of the end itself failed, which no request is left to end by. Default: nobody is. Must not throw. */
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

/** What the exchanges of one proxy share. */
export interface ProxyCore<Context> {
  readonly application: HttpApplication;
  readonly hooks: ProxyHooks<Context>;
  readonly parts: ProxyParts;
  readonly connector: UpstreamConnector;
  readonly environment: HttpEnvironment;
  readonly retryBudget: RetryBudget;
  readonly upgradePeers: UpgradePeers;
  /** Null: there are none. */
  readonly modules: ModuleChain | null;
  readonly upstreamModules: ModuleChain | null;
  readonly maxRetries: number;
  readonly maxRefusals: number;
  readonly maxReplayBytes: number;
  readonly perTryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly hedgeAfterMs: number;
  readonly allowConnect: boolean;
  readonly hookTimeoutMs: number;
  readonly tunnelIdleTimeoutMs: number;
  readonly errorPage: ErrorPage | undefined;
  readonly onError: HttpProxyOptions['onError'];
  readonly onHookFailed: ((error: WireError) => void) | undefined;
}

/** A reverse proxy over the phases of `ProxyHooks`. */
export class HttpProxy<Context> implements HttpApplication, Disposable {
  readonly connector: UpstreamConnector;
  readonly #core: ProxyCore<Context>;
  readonly #onRefused: ((refusal: Refusal) => void) | undefined;

  /** @throws {RangeError} when an option makes no sense */
  constructor(hooks: ProxyHooks<Context>, options: HttpProxyOptions) {
    const { environment } = options;
    const hookTimeoutMs = Math.min(
      checkNumber('hookTimeoutMs', options.hookTimeoutMs ?? 60_000, { above: 0 }),
      environment.deadlines.maxDelayMs,
    );
    const chain = (kinds: readonly HttpModuleKind[] = []): ModuleChain | null =>
      kinds.length === 0 ? null : new ModuleChain(kinds, { environment, moduleTimeoutMs: hookTimeoutMs });
    this.connector = options.connector ?? new UpstreamConnector({ ...options.upstream, environment });
    this.#onRefused = options.onRefused;
    this.#core = {
      application: this,
      hooks,
      parts: {
        mayRetry: (error, { request }) => maySendAgain(error, request.method),
        upstreamRequest,
        openConnection,
        joinTunnel,
        ...given(options.parts),
      },
      connector: this.connector,
      environment,
      retryBudget: new RetryBudget(options.retryShare ?? 0.2, 3),
      upgradePeers: new UpgradePeers(),
      modules: chain(options.modules),
      upstreamModules: chain(options.upstreamModules),
      maxRetries: checkNumber('maxRetries', options.maxRetries ?? 1, { min: 0 }),
      maxRefusals: checkNumber('maxRefusals', options.maxRefusals ?? 3, { min: 0 }),
      maxReplayBytes: checkNumber('maxReplayBytes', options.maxReplayBytes ?? 65_536, { min: 0 }),
      perTryTimeoutMs: timeOf('perTryTimeoutMs', options.perTryTimeoutMs, environment),
      requestTimeoutMs: timeOf('requestTimeoutMs', options.requestTimeoutMs, environment),
      hedgeAfterMs: timeOf('hedgeAfterMs', options.hedgeAfterMs, environment),
      allowConnect: options.allowConnect ?? false,
      hookTimeoutMs,
      tunnelIdleTimeoutMs: checkNumber('tunnelIdleTimeoutMs', options.tunnelIdleTimeoutMs ?? 300_000, { above: 0 }),
      errorPage: options.errorPage,
      onError: options.onError,
      onHookFailed: quiet(options.onHookFailed),
    };
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    const { modules } = this.#core;
    if (modules !== null) return this.#serveByModules(modules, exchange);
    const proxied = new ProxyExchange(this.#core, exchange, { modular: null, subrequest: subrequestOf(exchange) });
    proxied.begin();
    return proxied;
  }

  #serveByModules(modules: ModuleChain, exchange: ServerExchange): ServerExchangeHandler {
    const core = this.#core;
    let proxied: ProxyExchange<Context> | null = null;
    const modular = modules.serve(exchange, { onModuleFailed: (error) => proxied?.failByModule(error) });
    try {
      proxied = new ProxyExchange(core, modular ?? exchange, { modular, subrequest: subrequestOf(exchange) });
    } catch (thrown) {
      // `http` answers, and nobody else will tell the modules that it is over.
      modular?.close();
      throw thrown;
    }
    modular?.follow(proxied);
    proxied.begin();
    return modular ?? proxied;
  }

  onRefused(refusal: Refusal): void {
    // Given back: it may be a promise after all, and whoever calls this watches that.
    return this.#onRefused?.(refusal);
  }

  /** Closes idle upstream connections, and busy ones as soon as they are idle. */
  close(): void {
    this.connector.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The last resort for throws must not throw itself: nobody is left to tell, and the request must still end. */
function quiet(told: ((error: WireError) => void) | undefined): ((error: WireError) => void) | undefined {
  if (told === undefined) return undefined;
  return (error) => {
    unawaited(() => told(error), undefined);
  };
}

/** Without what is undefined, which takes no part's place. */
function given(parts: Partial<ProxyParts> = {}): Partial<ProxyParts> {
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
}

/** A time that is for ever unless it is given. @throws {RangeError} */
function timeOf(name: string, timeoutMs: number | undefined, { deadlines }: HttpEnvironment): number {
  if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  return Math.min(checkNumber(name, timeoutMs, { above: 0 }), deadlines.maxDelayMs);
}
