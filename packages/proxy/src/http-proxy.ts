/** The proxy: an `HttpApplication` whose answers come from upstream. Give it to an `HttpServer`. */
import type { HttpApplication, Refusal, ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import type { ModuleChain } from '@ferrata/http-modules';
import type { UpstreamConnector } from '@ferrata/upstream';
import { type ProxyCore, proxyCore } from './proxy-core.ts';
import { ProxyExchange } from './proxy-exchange.ts';
import type { HooksOf } from './proxy-hooks.ts';
import type { HttpProxyOptions } from './proxy-options.ts';
import { subrequestOf } from './subrequest/subrequest-exchange.ts';

/** A reverse proxy over the phases of `ProxyHooks`. */
export class HttpProxy<Context = undefined> implements HttpApplication, Disposable {
  readonly connector: UpstreamConnector;
  readonly #core: ProxyCore<Context>;
  readonly #onRefused: ((refusal: Refusal) => void) | undefined;

  /** @throws {RangeError} when an option makes no sense */
  constructor(hooks: HooksOf<Context>, options: HttpProxyOptions) {
    this.#core = proxyCore(this, hooks, options);
    this.connector = this.#core.connector;
    this.#onRefused = options.onRefused;
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
