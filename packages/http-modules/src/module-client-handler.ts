/**
 * One exchange in the client's role with modules between it and its handler: they see the response as it comes from the server.
 *
 * ```text
 *   http ──► response, its body ──► modules ──► handler
 *   http ◄───────── request ◄───────────────── handler
 * ```
 *
 * It is the handler that `http` has, and, from `attach` on, the exchange that its owner has. While a module works, the server is paused. The response may be whole
 * before the modules are done with it: the handler hears of the close behind its end, as ever.
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import type { HeaderMap, ResponseHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, Tunnel } from '@ferrata/http';
import { callUser, isThenable, type StreamInfo, watchAnswer } from '@ferrata/stream';
import type { HttpModule, HttpModuleKind, ModuleExchange } from './http-module.ts';
import { BodyPipeline, type BodyTarget } from './internal/body-pipeline.ts';
import { isBodyless, type ModuleRun, type RunningModules } from './internal/running-modules.ts';
import type { BeforeResponse, OnModuleFailed, ResolvedModuleOptions } from './module-options.ts';

/** A client exchange behind modules. Made by `ModuleChain.follow`. */
export class ModuleClientHandler implements ClientExchange, ClientExchangeHandler {
  readonly #modules: RunningModules;
  readonly #facade: ModuleExchange;
  readonly #handler: ClientExchangeHandler;
  readonly #options: ResolvedModuleOptions;
  readonly #onModuleFailed: OnModuleFailed | null;
  readonly #beforeResponse: BeforeResponse | null;
  #inner: ClientExchange | null = null;
  #hasResponded = false;
  /** Null: it goes straight through. */
  #body: BodyPipeline | null = null;
  /** A module still works on a response of which all has come. */
  #isEnding = false;
  #isPausedByHandler = false;
  #isPausedByModules = false;
  /** They work on the head. */
  #isFilteringHead = false;
  /** What a module has failed with: no more of the response goes to the handler. */
  #failure: WireError | null = null;
  #isClosed = false;

  constructor(
    handler: ClientExchangeHandler,
    { modules, facade, options, onModuleFailed }: ModuleRun,
    beforeResponse: BeforeResponse | null,
  ) {
    this.#beforeResponse = beforeResponse;
    this.#modules = modules;
    this.#facade = facade;
    this.#handler = handler;
    this.#options = options;
    this.#onModuleFailed = onModuleFailed;
  }

  /** Takes the exchange that `ClientSession.request` has returned. @returns itself: what is to be used in its place */
  attach(exchange: ClientExchange): ClientExchange {
    this.#inner = exchange;
    return this;
  }

  /** The module of a kind, if it takes part. */
  module<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null {
    return this.#modules.find(kind);
  }

  /** The head of a final response has come. */
  get hasResponded(): boolean {
    return this.#hasResponded;
  }

  // ---- the exchange, as its owner has it ---------------------------------------------------------------------------------------------

  get isReused(): boolean {
    return this.#attached().isReused;
  }
  get info(): StreamInfo {
    return this.#attached().info;
  }
  get isUnsent(): boolean {
    return this.#attached().isUnsent;
  }
  get requestBytes(): number {
    return this.#attached().requestBytes;
  }
  /** As they came from the server. */
  get responseBytes(): number {
    return this.#attached().responseBytes;
  }
  get writePendingMs(): number {
    return this.#attached().writePendingMs;
  }
  /** The modules, too, are done. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  sendData(chunk: Uint8Array): boolean {
    return this.#attached().sendData(chunk);
  }
  sendEnd(trailers?: HeaderMap | null): void {
    this.#attached().sendEnd(trailers);
  }

  pauseResponse(): void {
    this.#isPausedByHandler = true;
    this.#body?.hold();
    this.#inner?.pauseResponse();
  }

  resumeResponse(): void {
    this.#isPausedByHandler = false;
    if (!this.#isFilteringHead) this.#body?.release();
    this.#resumeResponse();
  }

  cancel(error: WireError): void {
    if (this.#isClosed) return;
    const inner = this.#inner;
    if (inner === null || inner.isClosed) this.#closeLater(error);
    else inner.cancel(error);
  }

  #attached(): ClientExchange {
    if (this.#inner === null) throw new TypeError('no exchange was attached');
    return this.#inner;
  }

  // ---- the handler, as http has it ---------------------------------------------------------------------------------------------------

  onInterim(head: ResponseHead): void {
    return this.#handler.onInterim(head);
  }
  onTunnel(head: ResponseHead, tunnel: Tunnel): void {
    return this.#handler.onTunnel(head, tunnel);
  }
  onRequestDrain(): void {
    return this.#handler.onRequestDrain();
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    this.#hasResponded = true;
    let later: Promise<void> | undefined;
    try {
      later = this.#filterHead(head, bodyLength);
    } catch (thrown) {
      this.#fail(toWireError(thrown));
      return;
    }
    if (later === undefined) {
      this.#openBody(head, bodyLength);
      return;
    }
    this.#body = new BodyPipeline(this.#target, this.#options);
    this.#body.hold();
    this.#isFilteringHead = true;
    this.#inner?.pauseResponse();
    later.then(
      () => {
        this.#isFilteringHead = false;
        this.#openBody(head, bodyLength);
      },
      (thrown: unknown) => this.#fail(toWireError(thrown)),
    );
  }

  #filterHead(head: ResponseHead, bodyLength: number): Promise<void> | undefined {
    const told = this.#beforeResponse?.(head);
    const filter = (): Promise<void> | undefined => this.#modules.filterResponse(head, bodyLength, this.#facade);
    return isThenable(told) ? Promise.resolve(told).then(filter) : filter();
  }

  onResponseData(chunk: Uint8Array): void {
    if (this.#failure !== null) return;
    if (this.#body !== null) this.#body.push(chunk);
    else return this.#handler.onResponseData(chunk);
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    if (this.#failure !== null) return;
    if (this.#body === null) return this.#handler.onResponseEnd(trailers);
    this.#isEnding = true;
    this.#body.end(trailers);
  }

  onClientClose(error: WireError | null): void {
    // All came, and the modules are not done with it: the handler hears of the close when it has heard of the end.
    if (error !== null || !this.#isEnding) this.#close(error ?? this.#failure);
  }

  // ---- the response ------------------------------------------------------------------------------------------------------------------

  #openBody(head: ResponseHead, bodyLength: number): void {
    if (this.#isClosed || this.#failure !== null) return;
    const modules = this.#modules;
    const stages = isBodyless(this.#facade.request.method, head.status) ? [] : modules.responseStages;
    if (this.#body === null && stages.length > 0) this.#body = new BodyPipeline(this.#target, this.#options);
    this.#body?.setStages(stages);
    try {
      this.#watchHandler(this.#handler.onResponse(head, modules.editsResponse ? modules.responseBodyLength : bodyLength));
    } catch (thrown) {
      this.#failByHandler(thrown);
    }
    if (this.#isClosed || this.#body === null) return;
    if (!this.#isPausedByHandler) this.#body.release();
    this.#resumeResponse();
  }

  #resumeResponse(): void {
    if (!this.#isPausedByHandler && !this.#isPausedByModules && !this.#isFilteringHead) this.#inner?.resumeResponse();
  }

  readonly #target: BodyTarget = {
    onBodyPiece: (chunk) => {
      try {
        this.#watchHandler(this.#handler.onResponseData(chunk));
      } catch (thrown) {
        this.#failByHandler(thrown);
      }
    },
    onBodyEnd: (trailers) => {
      this.#isEnding = false;
      try {
        this.#watchHandler(this.#handler.onResponseEnd(trailers));
      } catch (thrown) {
        this.#failByHandler(thrown);
      }
      // Its own close has come before, and was held back, or comes next.
      if (this.#inner?.isClosed === true) this.#closeLater(null);
    },
    onBodyBusy: () => {
      this.#isPausedByModules = true;
      this.#inner?.pauseResponse();
    },
    onBodyIdle: () => {
      this.#isPausedByModules = false;
      this.#resumeResponse();
    },
    onBodyFailed: (error) => this.#fail(error),
  };

  // ---- the end -----------------------------------------------------------------------------------------------------------------------

  #close(error: WireError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#body?.stop();
    try {
      this.#modules.close();
    } finally {
      watchAnswer(this.#handler.onClientClose(error));
    }
  }

  /** The exchange is over, and nothing is left that what the handler throws now could end. */
  #closeLater(error: WireError | null): void {
    callUser(() => this.#close(error));
  }

  /** The handler is meant to return nothing, and may be `async` all the same: `http` does not see what it returns here. */
  #watchHandler(answer: unknown): void {
    if (answer !== undefined) watchAnswer(answer, this.#failByHandler);
  }

  readonly #failByHandler = (thrown: unknown): void => this.cancel(withSource(toWireError(thrown, 'HANDLER_THREW'), 'internal'));

  /** The first failure is that of the exchange; its owner hears of no other. */
  #fail(error: WireError): void {
    if (this.#failure !== null) return;
    this.#body?.stop();
    this.#failure = error;
    this.#isEnding = false;
    if (this.#isClosed) return;
    const onModuleFailed = this.#onModuleFailed;
    if (onModuleFailed === null) this.cancel(error);
    else callUser(() => onModuleFailed(error), this.#failByHandler);
    // The close that was held back behind the end of the response, which now never comes.
    if (this.#inner?.isClosed === true) this.#closeLater(error);
  }
}
