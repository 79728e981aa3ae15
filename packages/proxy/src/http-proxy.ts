/** The proxy: an `HttpApplication` whose answers come from upstream. Give it to an `HttpServer`. */

import type { WireError } from '@ferrata/error';
import { checkNumber } from '@ferrata/error';
import type { HttpApplication, HttpEnvironment, Refusal, ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import { UpstreamConnector, type UpstreamConnectorOptions } from '@ferrata/upstream';
import { ProxyExchange } from './proxy-exchange.ts';
import type { ProxyHooks } from './proxy-hooks.ts';
import { RetryBudget } from './retry-policy.ts';
import { UpgradePeers } from './upgrade.ts';

/** Options of an `HttpProxy`. Times in milliseconds. */
export interface HttpProxyOptions {
  /** Clock, timers and output buffer, shared with the server that runs the proxy. */
  readonly environment: HttpEnvironment;
  /** Where connections come from; default: a connector of its own. */
  readonly connector?: UpstreamConnector;
  /** Options of that connector of its own. */
  readonly upstream?: Omit<UpstreamConnectorOptions, 'environment'>;
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
  /** How long the promise of one hook is waited for. Default 60 000. Raising it lets a hook that hangs hold its client for longer. */
  readonly hookTimeoutMs?: number;
  /** How long a tunnel (after 101) may be without a byte either way. Default 300 000; `Infinity`: for ever. */
  readonly tunnelIdleTimeoutMs?: number;
  /** Told of requests that were refused before they reached a phase. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Told when `failToProxy` or `logging` itself failed, which no request is left to end by. Default: nobody is. Must not throw. */
  readonly onHookFailed?: (error: WireError) => void;
}

/** What the exchanges of one proxy share. */
export interface ProxyCore<Context> {
  readonly hooks: ProxyHooks<Context>;
  readonly connector: UpstreamConnector;
  readonly environment: HttpEnvironment;
  readonly retryBudget: RetryBudget;
  readonly upgradePeers: UpgradePeers;
  readonly maxRetries: number;
  readonly maxRefusals: number;
  readonly maxReplayBytes: number;
  readonly hookTimeoutMs: number;
  readonly tunnelIdleTimeoutMs: number;
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
    this.connector = options.connector ?? new UpstreamConnector({ ...options.upstream, environment });
    this.#onRefused = options.onRefused;
    this.#core = {
      hooks,
      connector: this.connector,
      environment,
      retryBudget: new RetryBudget(options.retryShare ?? 0.2, 3),
      upgradePeers: new UpgradePeers(),
      maxRetries: checkNumber('maxRetries', options.maxRetries ?? 1, { min: 0 }),
      maxRefusals: checkNumber('maxRefusals', options.maxRefusals ?? 3, { min: 0 }),
      maxReplayBytes: checkNumber('maxReplayBytes', options.maxReplayBytes ?? 65_536, { min: 0 }),
      hookTimeoutMs: Math.min(
        checkNumber('hookTimeoutMs', options.hookTimeoutMs ?? 60_000, { above: 0 }),
        environment.deadlines.maxDelayMs,
      ),
      tunnelIdleTimeoutMs: checkNumber('tunnelIdleTimeoutMs', options.tunnelIdleTimeoutMs ?? 300_000, { above: 0 }),
      onHookFailed: quiet(options.onHookFailed),
    };
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    const proxied = new ProxyExchange(this.#core, exchange);
    proxied.begin();
    return proxied;
  }

  onRefused(refusal: Refusal): void {
    this.#onRefused?.(refusal);
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
    try {
      told(error);
    } catch {
      // Dropped, as documented.
    }
  };
}
