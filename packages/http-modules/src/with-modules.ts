/** Modules in front of any application. */
import { toWireError, type WireError } from '@ferrata/error';
import type { HttpApplication, ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import { callUser, isThenable } from '@ferrata/stream';
import type { HttpModuleKind } from './http-module.ts';
import { ModuleChain } from './module-chain.ts';
import type { ModuleOptions } from './module-options.ts';
import type { ModuleServerExchange } from './module-server-exchange.ts';

/**
 * An application that has modules in front of it. What a module answers, the application does not hear of; a request in which a module fails is told to its
 * `onRefused`.
 *
 * @throws {TypeError} if a kind is given twice
 * @throws {RangeError} for an option out of range
 */
export function withModules(application: HttpApplication, kinds: readonly HttpModuleKind[], options: ModuleOptions): HttpApplication {
  return new ModularApplication(application, new ModuleChain(kinds, options));
}

class ModularApplication implements HttpApplication {
  readonly #application: HttpApplication;
  readonly #chain: ModuleChain;
  readonly onRefused?: NonNullable<HttpApplication['onRefused']>;

  constructor(application: HttpApplication, chain: ModuleChain) {
    this.#application = application;
    this.#chain = chain;
    if (application.onRefused !== undefined) this.onRefused = application.onRefused.bind(application);
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    const modular = this.#chain.serve(exchange);
    if (modular === null) return this.#application.onRequest(exchange);
    try {
      const goesOn = modular.filterRequest();
      if (isThenable(goesOn)) this.#followLater(exchange, modular, goesOn);
      else if (goesOn) modular.follow(this.#application.onRequest(modular));
    } catch (thrown) {
      // `http` answers, and nobody else will tell the modules that it is over.
      modular.close();
      throw thrown;
    }
    return modular;
  }

  #followLater(exchange: ServerExchange, modular: ModuleServerExchange, goesOn: PromiseLike<boolean>): void {
    Promise.resolve(goesOn)
      .then((does) => {
        if (does) modular.follow(this.#application.onRequest(modular));
      })
      .catch((thrown: unknown) => this.#refuse(exchange, toWireError(thrown, 'HANDLER_THREW')));
  }

  #refuse(exchange: ServerExchange, error: WireError): void {
    const wasClosed = exchange.isClosed;
    exchange.abort(error);
    if (!wasClosed) callUser(() => this.onRefused?.({ error, status: exchange.status, info: exchange.info }));
  }
}
