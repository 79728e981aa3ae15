/**
 * The modules of one request: their look-up, the heads on their way through them, and their end. Where bodies go, and who answers, is the business of the exchange
 * that has them.
 */
import { throwCollected } from '@ferrata/error';
import { type HeaderMap, KnownHeader, type RequestHead, type ResponseHead } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { isThenable, watchAnswer } from '@ferrata/stream';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleExchange, ResponseBodyInfo } from '../http-module.ts';
import type { OnModuleFailed, ResolvedModuleOptions } from '../module-options.ts';
import type { BodyStage } from './body-pipeline.ts';
import { moduleGarbage, moduleThrew } from './module-errors.ts';
import { ModuleWait } from './module-wait.ts';

/** One module and its kind. */
interface RunningModule {
  readonly kind: HttpModuleKind;
  readonly module: HttpModule;
}

/** What an exchange gets from the chain that makes it. */
export interface ModuleRun {
  readonly modules: RunningModules;
  /** What they see of the exchange. */
  readonly facade: ModuleExchange;
  readonly options: ResolvedModuleOptions;
  /** Null: the exchange is ended. */
  readonly onModuleFailed: OnModuleFailed | null;
}

/** The modules that take part in one request, in order. */
export class RunningModules {
  readonly #modules: readonly RunningModule[];
  #isClosed = false;
  /** The module whose `requestFilter` runs, -1: none. */
  #asking = -1;
  /** The module that has answered: what it answers does not go through it. */
  #answering = -1;
  /** The length of the response's body behind the modules that have seen its head: ≥ 0, or a `BodyLength`. */
  #bodyLength = 0;
  #editsResponse = false;
  readonly #responseStages: BodyStage[] = [];
  readonly #options: ResolvedModuleOptions;
  /** Once a module has promised something. Two, as a response may be on its way while a `requestFilter` still runs. */
  #requestWait: HeadWait | null = null;
  #responseWait: HeadWait | null = null;

  /** @param modules one or more */
  constructor(modules: readonly RunningModule[], options: ResolvedModuleOptions) {
    this.#modules = modules;
    this.#options = options;
  }

  /** The module of a kind, if there is one. */
  find<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null {
    for (const running of this.#modules) if (running.kind === kind) return running.module as Module;
    return null;
  }

  /** Ends them all, once each. @throws what they throw, when all are closed */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#requestWait?.end();
    this.#responseWait?.end();
    const thrown: unknown[] = [];
    for (const { module } of this.#modules) {
      try {
        // Nobody waits for one that is `async`, and nothing is left that its rejection could end.
        watchAnswer(module.close?.());
      } catch (error) {
        thrown.push(error);
      }
    }
    throwCollected(thrown, `${thrown.length} modules threw as they were closed`);
  }

  // ---- the request ---------------------------------------------------------------------------------------------------------------

  /** A `requestFilter` runs, and nobody has answered. */
  get isAsking(): boolean {
    return this.#asking >= 0;
  }

  /** The module whose `requestFilter` runs answers. */
  beginAnswer(): void {
    this.#answering = this.#asking;
  }
  /** It has not, as what it would answer is none. */
  takeBackAnswer(): void {
    this.#answering = -1;
  }

  /**
   * Sends a request through `requestFilter` of all, until one has answered.
   *
   * @returns undefined: done at once
   * @throws {WireError} also by rejection: what a module threw
   */
  filterRequest(request: RequestHead, exchange: ModuleExchange, isAnswered: () => boolean): Promise<void> | undefined {
    for (let index = 0; index < this.#modules.length && !isAnswered(); index++) {
      const later = this.#ask(index, request, exchange);
      if (later !== undefined) return this.#filterRequestLater(index, later, request, exchange, isAnswered);
    }
    return undefined;
  }

  async #filterRequestLater(
    first: number,
    waiting: PromiseLike<void>,
    request: RequestHead,
    exchange: ModuleExchange,
    isAnswered: () => boolean,
  ): Promise<void> {
    const wait = (this.#requestWait ??= new HeadWait(this.#options));
    try {
      await wait.for(this.#nameOf(first), waiting);
      this.#asking = -1;
      for (let index = first + 1; index < this.#modules.length && !this.#isClosed && !isAnswered(); index++) {
        const later = this.#ask(index, request, exchange);
        if (later !== undefined) await wait.for(this.#nameOf(index), later);
        this.#asking = -1;
      }
    } finally {
      this.#asking = -1;
    }
  }

  #ask(index: number, request: RequestHead, exchange: ModuleExchange): PromiseLike<void> | undefined {
    const { module, kind } = this.#modules[index] as RunningModule;
    if (module.requestFilter === undefined) return undefined;
    this.#asking = index;
    let answer: Awaitable<void>;
    try {
      answer = module.requestFilter(request, exchange);
    } catch (thrown) {
      this.#asking = -1;
      throw moduleThrew(kind.name, thrown);
    }
    if (isThenable(answer)) return answer;
    this.#asking = -1;
    return undefined;
  }

  /** Those that edit the request's body; read once, behind `filterRequest`. */
  requestStages(): readonly BodyStage[] {
    const stages: BodyStage[] = [];
    for (const running of this.#modules) {
      const { module, kind } = running;
      if (module.requestBodyFilter === undefined || !said(running, editsRequest)) continue;
      stages.push({
        name: kind.name,
        filter: module.requestBodyFilter.bind(module),
        flush: module.requestBodyFlush?.bind(module) ?? null,
        filterTrailers: null,
      });
    }
    return stages;
  }

  // ---- the response --------------------------------------------------------------------------------------------------------------

  /** What the response is sent with, behind `filterResponse`: ≥ 0, or a `BodyLength`. */
  get responseBodyLength(): number {
    return this.#bodyLength;
  }

  /** Those that edit the response's body, or its trailers, behind `filterResponse`. */
  get responseStages(): readonly BodyStage[] {
    return this.#responseStages;
  }

  /**
   * Sends the head of a final response through all.
   *
   * @param bodyLength ≥ 0, or a `BodyLength`, as GET would meet it
   * @returns undefined: done at once
   * @throws {WireError} also by rejection: what a module threw
   */
  filterResponse(head: ResponseHead, bodyLength: number, exchange: ModuleExchange): Promise<void> | undefined {
    this.#bodyLength = bodyLength;
    if (exchange.request.method === 'HEAD') this.#agreeOnLength(head);
    for (let index = 0; index < this.#modules.length && !this.#isClosed; index++) {
      const later = this.#tell(index, head, exchange);
      if (later !== undefined) return this.#filterResponseLater(index, later, head, exchange);
      this.#readEdits(index, head);
    }
    return undefined;
  }

  async #filterResponseLater(first: number, waiting: PromiseLike<void>, head: ResponseHead, exchange: ModuleExchange): Promise<void> {
    const wait = (this.#responseWait ??= new HeadWait(this.#options));
    await wait.for(this.#nameOf(first), waiting);
    this.#readEdits(first, head);
    for (let index = first + 1; index < this.#modules.length && !this.#isClosed; index++) {
      const later = this.#tell(index, head, exchange);
      if (later !== undefined) await wait.for(this.#nameOf(index), later);
      this.#readEdits(index, head);
    }
  }

  #tell(index: number, head: ResponseHead, exchange: ModuleExchange): PromiseLike<void> | undefined {
    const { module, kind } = this.#modules[index] as RunningModule;
    if (index === this.#answering || module.responseFilter === undefined) return undefined;
    const info: ResponseBodyInfo = { bodyLength: this.#seenLength(head, exchange.request) };
    try {
      const answer = module.responseFilter(head, info, exchange);
      return isThenable(answer) ? answer : undefined;
    } catch (thrown) {
      throw moduleThrew(kind.name, thrown);
    }
  }

  #seenLength({ status }: ResponseHead, { method }: RequestHead): number {
    if (isBodyless(method, status)) return 0;
    return this.#bodyLength < 0 ? BodyLength.chunked : this.#bodyLength;
  }

  #readEdits(index: number, head: ResponseHead): void {
    const running = this.#modules[index] as RunningModule;
    if (index === this.#answering || this.#isClosed) return;
    const { module, kind } = running;
    const edits = module.responseBodyFilter !== undefined && said(running, editsResponse);
    const seesTrailers = (edits || module.responseBodyFilter === undefined) && module.responseTrailerFilter !== undefined;
    if (edits) {
      const length = said(running, lengthOfResponse);
      if (length !== BodyLength.chunked && !(Number.isSafeInteger(length) && length >= 0))
        throw moduleGarbage(kind.name, 'a length from 0 as responseBodyLength');
      this.#bodyLength = length;
      this.#editsResponse = true;
      setLength(head.headers, length);
    }
    if (!edits && !seesTrailers) return;
    this.#responseStages.push({
      name: kind.name,
      filter: edits ? (module.responseBodyFilter?.bind(module) ?? null) : null,
      flush: edits ? (module.responseBodyFlush?.bind(module) ?? null) : null,
      filterTrailers: seesTrailers ? (module.responseTrailerFilter?.bind(module) ?? null) : null,
    });
  }

  /**
   * An answer to HEAD says its length in two places: in its head, as a proxy passes it on, and as the length it is framed by, as whoever answers GET and HEAD alike has
   * it. Here both say it.
   */
  #agreeOnLength({ headers, status }: ResponseHead): void {
    if (status === 204 || status === 304) return;
    const announced = contentLengthOf(headers);
    if (announced >= 0) this.#bodyLength = announced;
    else if (this.#bodyLength > 0) headers.setKnown(KnownHeader.contentLength, `${this.#bodyLength}`);
  }

  /** Whether a module has changed what the body's length will be. */
  get editsResponse(): boolean {
    return this.#editsResponse;
  }

  #nameOf(index: number): string {
    return (this.#modules[index] as RunningModule).kind.name;
  }
}

/** Waits for what modules do to a head. */
class HeadWait {
  readonly #wait: ModuleWait<void>;
  #resolve: (() => void) | null = null;

  constructor(options: ResolvedModuleOptions) {
    this.#wait = new ModuleWait(options);
  }

  /** @returns settled when the promise is, or the exchange has ended @throws {WireError} by rejection: what the module rejected with, or that it took too long */
  for(name: string, promise: PromiseLike<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#wait.begin(name, promise, { onSettled: resolve, onFailed: reject });
    });
  }

  /** The exchange is over: whoever waits looks after what that means. */
  end(): void {
    this.#wait.cancel();
    this.#resolve?.();
  }
}

const editsRequest = (module: HttpModule): boolean => module.editsRequestBody !== false;
const editsResponse = (module: HttpModule): boolean => module.editsResponseBody !== false;
const lengthOfResponse = (module: HttpModule): number => module.responseBodyLength ?? BodyLength.chunked;

/** What a module says of itself, perhaps by a getter, which may throw as a callback may. @throws {WireError} what it threw */
function said<T>({ module, kind }: RunningModule, read: (module: HttpModule) => T): T {
  try {
    return read(module);
  } catch (thrown) {
    throw moduleThrew(kind.name, thrown);
  }
}

/** Whether a response has no body, whatever its head says. @see RFC 9110 §6.4.1 */
export function isBodyless(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

/** The number of a Content-Length, -1 if there is none that could be meant. @see RFC 9110 §8.6 */
export function contentLengthOf(headers: HeaderMap): number {
  if (headers.countKnown(KnownHeader.contentLength) !== 1) return -1;
  const text = headers.getKnown(KnownHeader.contentLength) as string;
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : -1;
}

function setLength(headers: HeaderMap, length: number): void {
  if (length >= 0) headers.setKnown(KnownHeader.contentLength, `${length}`);
  else headers.deleteKnown(KnownHeader.contentLength);
}
