/** Modules in the order in which they see messages: made once, for all requests. */
import type { RequestHead } from '@ferrata/headers';
import type { ClientExchangeHandler, ResponseInit, ServerExchange } from '@ferrata/http';
import { isThenable, type StreamInfo, watchAnswer } from '@ferrata/stream';
import type { HttpModule, HttpModuleKind, ModuleExchange } from './http-module.ts';
import { moduleGarbage } from './internal/module-errors.ts';
import { RunningModules } from './internal/running-modules.ts';
import { ModuleClientHandler } from './module-client-handler.ts';
import {
  type ModuleOptions,
  type ModuleOverrides,
  overrideModuleOptions,
  type ResolvedModuleOptions,
  resolveModuleOptions,
} from './module-options.ts';
import { ModuleServerExchange } from './module-server-exchange.ts';

/** What modules of an upstream's response know of its request. */
export interface UpstreamRequest {
  /** As it was sent upstream. */
  readonly request: RequestHead;
  /** Facts about the client's connection. */
  readonly client: StreamInfo;
  readonly hasRequestBody: boolean;
}

/** Kinds of modules, sorted. */
export class ModuleChain {
  /** In the order in which requests and responses go through them. */
  readonly kinds: readonly HttpModuleKind[];
  readonly #options: ResolvedModuleOptions;

  /**
   * @throws {TypeError} if a kind is given twice
   * @throws {RangeError} for an order that is no number, or a bound out of range
   */
  constructor(kinds: readonly HttpModuleKind[], options: ModuleOptions) {
    if (new Set(kinds).size !== kinds.length) throw new TypeError('a kind of module stands in a chain once');
    for (const { name, order = 0 } of kinds) if (Number.isNaN(order)) throw new RangeError(`the order of ${name} is not a number`);
    // The sort keeps the order of equals.
    this.kinds = Object.freeze(kinds.toSorted((a, b) => (b.order ?? 0) - (a.order ?? 0)));
    this.#options = resolveModuleOptions(options);
  }

  /**
   * The modules of one request, in front of whoever answers it. Give it to `http` as the handler of `exchange`, and to whoever answers in place of `exchange`.
   *
   * @param overrides in place of the chain's options; and who hears of a module that has failed
   * @returns null: no module takes part, and `exchange` is to be used as it is
   * @throws what `create` of a kind throws
   */
  serve(exchange: ServerExchange, overrides: ModuleOverrides = {}): ModuleServerExchange | null {
    if (this.kinds.length === 0) return null;
    const options = overrideModuleOptions(this.#options, overrides);
    const facade = new ServerFacade(exchange);
    const modules = this.#create(facade, options);
    if (modules === null) return null;
    facade.owner = new ModuleServerExchange(exchange, { modules, facade, options, onModuleFailed: overrides.onModuleFailed ?? null });
    return facade.owner;
  }

  /**
   * The modules of one upstream exchange, between it and `handler`. Give it to `ClientSession.request` as the handler, and what that returns to its `attach`. Of the callbacks of
   * modules only those of the response are called, and `close`.
   *
   * @param overrides as in `serve`
   * @returns null: no module takes part, and `handler` is to be used as it is
   * @throws what `create` of a kind throws
   */
  follow(upstream: UpstreamRequest, handler: ClientExchangeHandler, overrides: ModuleOverrides = {}): ModuleClientHandler | null {
    if (this.kinds.length === 0) return null;
    const options = overrideModuleOptions(this.#options, overrides);
    const facade = new ClientFacade(upstream);
    const modules = this.#create(facade, options);
    if (modules === null) return null;
    const { onModuleFailed = null, beforeResponse = null } = overrides;
    facade.owner = new ModuleClientHandler(handler, { modules, facade, options, onModuleFailed }, beforeResponse);
    return facade.owner;
  }

  #create(facade: ModuleExchange, options: ResolvedModuleOptions): RunningModules | null {
    let modules: { readonly kind: HttpModuleKind; readonly module: HttpModule }[] | null = null;
    try {
      for (const kind of this.kinds) {
        const module = created(kind, facade);
        if (module !== null) (modules ??= []).push({ kind, module });
      }
    } catch (thrown) {
      // What was made takes part in nothing, and gives back what it has taken.
      if (modules !== null) new RunningModules(modules, options).close();
      throw thrown;
    }
    return modules === null ? null : new RunningModules(modules, options);
  }
}

/** Types do not bind kinds in JavaScript: one that creates nothing takes no part, and one that creates garbage ends this request. */
function created(kind: HttpModuleKind, facade: ModuleExchange): HttpModule | null {
  const made: unknown = kind.create(facade);
  if (made === null || made === undefined) return null;
  if (typeof made === 'object' && !isThenable(made)) return made;
  watchAnswer(made);
  throw moduleGarbage(kind.name, 'a module or null, and no promise, from create');
}

/** What modules in front of an application see of their exchange. */
class ServerFacade implements ModuleExchange {
  readonly #exchange: ServerExchange;
  owner: ModuleServerExchange | null = null;

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
  }

  get request(): RequestHead {
    return this.#exchange.request;
  }
  get client(): StreamInfo {
    return this.#exchange.info;
  }
  get hasRequestBody(): boolean {
    return this.#exchange.requestBodyLength !== 0;
  }
  get hasResponded(): boolean {
    return this.owner === null ? this.#exchange.hasResponded : this.owner.hasResponded;
  }
  respond(status: number, init?: ResponseInit): void {
    if (this.owner === null) throw new TypeError('a module answers in requestFilter');
    this.owner.answer(status, init);
  }
}

/** What modules behind an upstream see of their exchange. */
class ClientFacade implements ModuleExchange {
  readonly request: RequestHead;
  readonly client: StreamInfo;
  readonly hasRequestBody: boolean;
  owner: ModuleClientHandler | null = null;

  constructor(upstream: UpstreamRequest) {
    this.request = upstream.request;
    this.client = upstream.client;
    this.hasRequestBody = upstream.hasRequestBody;
  }

  get hasResponded(): boolean {
    return this.owner?.hasResponded ?? false;
  }
  respond(): void {
    throw new TypeError('the request has been sent upstream: a module answers in front of an application only');
  }
}
