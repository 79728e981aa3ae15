/**
 * One exchange in the server's role with modules in front of whoever answers it.
 *
 * ```text
 *   http ──► request, its body ──► modules ──► handler
 *   http ◄── response, its body ◄── modules ◄── handler, or a module that answers
 * ```
 *
 * It is the handler that `http` has, and the exchange that the application has. Rules:
 * - The request's body waits until `filterRequest` has let the request through and there is a handler.
 * - While a module works on a piece of the request, the client is paused; while one works on the response, `sendData` says false, and `onResponseDrain` follows.
 * - Interim responses, tunnels and failures go past the modules. A failure of a module ends the exchange.
 * - Bodies that no module edits go straight through.
 */
import { internalError, toWireError, type WireError, withSource } from '@ferrata/error';
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import {
  type ExchangeSettings,
  type ResponseInit,
  respond,
  type ServerConnectionState,
  type ServerExchange,
  type ServerExchangeHandler,
  type Tunnel,
} from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { callUser, isThenable, type StreamInfo, watchAnswer } from '@ferrata/stream';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleExchange } from './http-module.ts';
import { BodyPipeline, type BodyTarget } from './internal/body-pipeline.ts';
import { moduleThrew } from './internal/module-errors.ts';
import { isBodyless, type ModuleRun, type RunningModules } from './internal/running-modules.ts';
import type { OnModuleFailed, ResolvedModuleOptions } from './module-options.ts';

/** An exchange behind modules. Made by `ModuleChain.serve`. */
export class ModuleServerExchange implements ServerExchange, ServerExchangeHandler {
  readonly #inner: ServerExchange;
  readonly #modules: RunningModules;
  readonly #facade: ModuleExchange;
  readonly #options: ResolvedModuleOptions;
  readonly #onModuleFailed: OnModuleFailed | null;
  #handler: ServerExchangeHandler | null = null;
  /** `filterRequest` has let it through. */
  #isLetThrough = false;
  /** A module has answered, or failed: nobody wants the request's body. */
  #isRequestDropped = false;
  /** Null: it goes straight through. */
  #requestBody: BodyPipeline | null = null;
  #requestBodyLength: number;
  #isPausedByHandler = false;
  #isPausedByModules = false;
  /** The status of the response that was begun; 0: none was. The modules may give it another one. */
  #begunStatus = 0;
  /** Null: it goes straight through. */
  #responseBody: BodyPipeline | null = null;
  /** Bytes that are to come of the length that was announced, where a pipeline stands between; -1: none was. */
  #bodyLeft = -1;
  /** The client was told to be slow. */
  #isClientFull = false;
  /** The handler was told to wait. */
  #owesDrain = false;
  /** A module has failed: what is answered now goes past all of them. */
  #isBypassed = false;
  /** `http` has told the end. */
  #isOver = false;
  #closeError: WireError | null = null;

  constructor(inner: ServerExchange, { modules, facade, options, onModuleFailed }: ModuleRun) {
    this.#inner = inner;
    this.#modules = modules;
    this.#facade = facade;
    this.#options = options;
    this.#onModuleFailed = onModuleFailed;
    this.#requestBodyLength = inner.requestBodyLength;
  }

  // ---- for whoever runs the modules ------------------------------------------------------------------------------------------------

  /** The module of a kind, if it takes part. */
  module<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null {
    return this.#modules.find(kind);
  }

  /**
   * Sends the request through the modules. Once.
   *
   * @returns false: a module has answered, or the exchange has ended meanwhile: the request goes no further
   * @throws {WireError} also by rejection: what a module threw. The exchange is the caller's to end
   */
  filterRequest(): Awaitable<boolean> {
    try {
      const later = this.#modules.filterRequest(this.#inner.request, this.#facade, this.#isAnswered);
      return later === undefined ? this.#endRequestFilters() : later.then(this.#endRequestFilters, this.#failRequestFilters);
    } catch (thrown) {
      return this.#failRequestFilters(thrown);
    }
  }

  /**
   * Names who gets the request's body, and hears of the response and of the end, also of one that came before. Once.
   *
   * @throws {TypeError} for what is no handler
   */
  follow(handler: ServerExchangeHandler): void {
    // Also for callers without types: without a handler nobody would ever end the exchange.
    if (typeof handler !== 'object' || handler === null || isThenable(handler)) {
      watchAnswer(handler);
      throw new TypeError('a ServerExchangeHandler must follow an exchange');
    }
    this.#handler = handler;
    if (this.#isOver) {
      watchAnswer(handler.onExchangeClose(this.#closeError));
      return;
    }
    this.#openRequestBody();
    this.#payDrain();
  }

  /** A module answers: for its `ModuleExchange`. @throws {TypeError} if a response has begun, or no `requestFilter` runs */
  answer(status: number, init?: ResponseInit): void {
    if (!this.#modules.isAsking) throw new TypeError('a module answers in requestFilter');
    if (this.hasResponded) throw new TypeError('the response to this request has begun');
    // It is the owner of the exchange who answers for a failure.
    if (this.#isBypassed) return;
    this.#modules.beginAnswer();
    try {
      respond(this, status, init);
    } catch (thrown) {
      if (!this.hasResponded) this.#modules.takeBackAnswer();
      throw thrown;
    }
  }

  readonly #isAnswered = (): boolean => this.hasResponded || this.#isBypassed || this.#inner.isClosed;

  readonly #endRequestFilters = (): boolean => {
    if (this.#isAnswered()) {
      this.#dropRequest();
      return false;
    }
    this.#isLetThrough = true;
    const stages = this.#requestBodyLength === 0 ? [] : this.#modules.requestStages();
    if (stages.length > 0) {
      this.#requestBodyLength = BodyLength.chunked;
      this.#inner.request.headers.delete('Content-Length');
      (this.#requestBody ??= this.#heldRequestBody()).setStages(stages);
    }
    this.#openRequestBody();
    return true;
  };

  readonly #failRequestFilters = (thrown: unknown): never => {
    this.#dropRequest();
    throw thrown;
  };

  /** Closes the modules of an exchange that `http` gives to nobody, as `onRequest` threw. */
  close(): void {
    this.#dropRequest();
    this.#responseBody?.stop();
    this.#modules.close();
  }

  // ---- the exchange, as the application has it ---------------------------------------------------------------------------------------

  get request(): RequestHead {
    return this.#inner.request;
  }
  /** `BodyLength.chunked` once a module is known to edit the body. */
  get requestBodyLength(): number {
    return this.#requestBodyLength;
  }
  get upgrade(): string | null {
    return this.#inner.upgrade;
  }
  get protocol(): string | null {
    return this.#inner.protocol;
  }
  get expectsContinue(): boolean {
    return this.#inner.expectsContinue;
  }
  get info(): StreamInfo {
    return this.#inner.info;
  }
  get startedAt(): number {
    return this.#inner.startedAt;
  }
  get requestBytes(): number {
    return this.#inner.requestBytes;
  }
  get responseBytes(): number {
    return this.#inner.responseBytes;
  }
  /** While a module works on the head, the status that the application gave. */
  get status(): number {
    return this.#inner.status === 0 ? this.#begunStatus : this.#inner.status;
  }
  get hasResponded(): boolean {
    return this.#begunStatus !== 0 || this.#inner.hasResponded;
  }
  get isClosed(): boolean {
    return this.#inner.isClosed;
  }
  get connection(): ServerConnectionState {
    return this.#inner.connection;
  }
  get isConnectionReusable(): boolean {
    return this.#inner.isConnectionReusable;
  }
  get writePendingMs(): number {
    return this.#inner.writePendingMs;
  }
  adjust(settings: ExchangeSettings): void {
    this.#inner.adjust(settings);
  }

  pauseRequest(): void {
    this.#isPausedByHandler = true;
    this.#requestBody?.hold();
    this.#inner.pauseRequest();
  }

  resumeRequest(): void {
    this.#isPausedByHandler = false;
    if (this.#isLetThrough && this.#handler !== null) this.#requestBody?.release();
    this.#resumeRequest();
  }

  sendInterim(head: ResponseHead): void {
    if (this.#begunStatus !== 0 && !this.isClosed) throw new TypeError('the response to this request has begun');
    this.#inner.sendInterim(head);
  }

  sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.isClosed) return;
    if (this.hasResponded) throw new TypeError('the response to this request has begun');
    if (this.#isBypassed) {
      this.#inner.sendHead(head, bodyLength);
      return;
    }
    // What the modules see is sound; the rest of the checks is made behind them, by the exchange itself.
    if (!(Number.isInteger(head.status) && head.status >= 200 && head.status <= 999))
      throw new RangeError(`not a final status: ${head.status}`);
    if (!Number.isSafeInteger(bodyLength) || bodyLength < BodyLength.untilClose)
      throw new RangeError(`not the length of a body: ${bodyLength}`);
    this.#begunStatus = head.status;
    // A map may be shared by many answers, and modules edit it.
    head.headers = head.headers.clone();
    if (bodyLength >= 0 && !isBodyless(this.request.method, head.status)) this.#bodyLeft = bodyLength;
    let later: Promise<void> | undefined;
    try {
      later = this.#modules.filterResponse(head, bodyLength, this.#facade);
    } catch (thrown) {
      this.#fail(toWireError(thrown));
      return;
    }
    if (later === undefined) {
      this.#sendFiltered(head, bodyLength);
      return;
    }
    this.#responseBody = new BodyPipeline(this.#responseTarget, this.#options);
    this.#responseBody.hold();
    later.then(
      () => this.#sendFiltered(head, bodyLength),
      (thrown: unknown) => this.#fail(toWireError(thrown)),
    );
  }

  sendData(chunk: Uint8Array): boolean {
    if (this.#responseBody === null) return this.#sendPast(chunk);
    if (this.isClosed) return false;
    if (this.#bodyLeft >= 0 && (this.#bodyLeft -= chunk.length) < 0) this.#breakOff('more bytes than were announced');
    const goesOn = this.#responseBody.push(chunk) && !this.#isClientFull;
    if (!goesOn) this.#owesDrain = true;
    return goesOn;
  }

  sendEnd(trailers: HeaderMap | null = null): void {
    if (this.#responseBody === null) {
      if (!this.#isUnanswered) this.#inner.sendEnd(trailers);
      return;
    }
    if (this.isClosed) return;
    if (this.#bodyLeft > 0) this.#breakOff(`${this.#bodyLeft} bytes of those announced are missing`);
    this.#bodyLeft = -1;
    // As a head: a map may be shared by many answers, and modules edit it.
    this.#responseBody.end(trailers === null ? null : trailers.clone());
  }

  /** What goes past the modules; the body of a head that has failed goes nowhere. */
  #sendPast(chunk: Uint8Array): boolean {
    if (this.#isUnanswered) return false;
    const goesOn = this.#inner.sendData(chunk);
    if (!goesOn && this.#handler === null) this.#owesDrain = true;
    return goesOn;
  }

  /** A module has failed on the head, and whoever owns the exchange has not answered yet. */
  get #isUnanswered(): boolean {
    return this.#isBypassed && !this.#inner.hasResponded;
  }

  /** As the exchange does where no module stands between: the client must not take the body for whole. */
  #breakOff(message: string): never {
    const wrong = new RangeError(message);
    this.#inner.abort(internalError('BODY_LENGTH_WRONG', message, { cause: wrong, source: 'internal' }));
    throw wrong;
  }

  openTunnel(head: ResponseHead): Tunnel {
    if (this.#begunStatus !== 0) throw new TypeError('the response to this request has begun');
    return this.#inner.openTunnel(head);
  }
  closeTunnel(error: WireError | null): void {
    this.#inner.closeTunnel(error);
  }
  abort(error: WireError): void {
    this.#inner.abort(error);
  }

  // ---- the handler, as http has it ---------------------------------------------------------------------------------------------------

  onRequestData(chunk: Uint8Array): void {
    if (this.#isRequestDropped) return;
    if (!this.#isOpen()) (this.#requestBody ??= this.#heldRequestBody()).push(chunk);
    else if (this.#requestBody === null) return this.#handler?.onRequestData(chunk);
    else this.#requestBody.push(chunk);
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    if (this.#isRequestDropped) return;
    if (!this.#isOpen()) (this.#requestBody ??= this.#heldRequestBody()).end(trailers);
    else if (this.#requestBody === null) return this.#handler?.onRequestEnd(trailers);
    else this.#requestBody.end(trailers);
  }

  onResponseDrain(): void {
    this.#isClientFull = false;
    if (this.#handler !== null && this.#responseBody === null) this.#owesDrain = true;
    this.#payDrain();
  }

  onExchangeClose(error: WireError | null): void {
    const handler = this.#handler;
    this.#isOver = true;
    this.#closeError = error;
    this.#dropRequest();
    this.#responseBody?.stop();
    try {
      this.#modules.close();
    } finally {
      watchAnswer(handler?.onExchangeClose(error));
    }
  }

  // ---- the request's body ------------------------------------------------------------------------------------------------------------

  #isOpen(): boolean {
    return this.#isLetThrough && this.#handler !== null;
  }

  #heldRequestBody(): BodyPipeline {
    const body = new BodyPipeline(this.#requestTarget, this.#options);
    body.hold();
    return body;
  }

  #openRequestBody(): void {
    if (this.#isOpen() && !this.#isPausedByHandler) this.#requestBody?.release();
  }

  #dropRequest(): void {
    this.#isRequestDropped = true;
    this.#requestBody?.stop();
    this.#isPausedByModules = false;
    this.#resumeRequest();
  }

  #resumeRequest(): void {
    if (!this.#isPausedByHandler && !this.#isPausedByModules) this.#inner.resumeRequest();
  }

  readonly #requestTarget: BodyTarget = {
    onBodyPiece: (chunk) => {
      try {
        this.#watchHandler(this.#handler?.onRequestData(chunk));
      } catch (thrown) {
        this.#failByHandler(thrown);
      }
    },
    onBodyEnd: (trailers) => {
      this.#isPausedByModules = false;
      this.#resumeRequest();
      try {
        this.#watchHandler(this.#handler?.onRequestEnd(trailers));
      } catch (thrown) {
        this.#failByHandler(thrown);
      }
    },
    onBodyBusy: () => {
      this.#isPausedByModules = true;
      this.#inner.pauseRequest();
    },
    onBodyIdle: () => {
      this.#isPausedByModules = false;
      this.#resumeRequest();
    },
    onBodyFailed: (error) => this.#fail(error),
  };

  // ---- the response ------------------------------------------------------------------------------------------------------------------

  #sendFiltered(head: ResponseHead, bodyLength: number): void {
    // Behind a failure this head is nobody's answer any more.
    if (this.isClosed || this.#isBypassed) return;
    const modules = this.#modules;
    try {
      this.#inner.sendHead(head, modules.editsResponse ? modules.responseBodyLength : bodyLength);
    } catch (thrown) {
      this.#fail(withSource(toWireError(thrown, 'RESPONSE_INVALID'), 'internal'));
      return;
    }
    const stages = isBodyless(this.request.method, head.status) ? [] : modules.responseStages;
    if (this.#responseBody === null && stages.length === 0) return;
    this.#responseBody ??= new BodyPipeline(this.#responseTarget, this.#options);
    this.#responseBody.setStages(stages);
    this.#responseBody.release();
    this.#payDrain();
  }

  readonly #responseTarget: BodyTarget = {
    onBodyPiece: (chunk) => {
      try {
        if (!this.#inner.sendData(chunk)) this.#isClientFull = true;
      } catch (thrown) {
        this.#failToSend(thrown);
      }
    },
    onBodyEnd: (trailers) => {
      try {
        this.#inner.sendEnd(trailers);
      } catch (thrown) {
        this.#failToSend(thrown);
      }
    },
    onBodyBusy: () => {},
    onBodyIdle: () => this.#payDrain(),
    onBodyFailed: (error) => this.#fail(error),
  };

  /** The client, and the modules, take bytes again. */
  #payDrain(): void {
    const handler = this.#handler;
    if (handler === null || !this.#owesDrain || this.#isClientFull || this.#responseBody?.isBusy === true || this.isClosed) return;
    this.#owesDrain = false;
    try {
      this.#watchHandler(handler.onResponseDrain());
    } catch (thrown) {
      this.#failByHandler(thrown);
    }
  }

  // ---- failures ----------------------------------------------------------------------------------------------------------------------

  /** The handler is meant to return nothing, and may be `async` all the same: `http` does not see what it returns here. */
  #watchHandler(answer: unknown): void {
    if (answer !== undefined) watchAnswer(answer, this.#failByHandler);
  }

  readonly #failByHandler = (thrown: unknown): void => this.#inner.abort(toWireError(thrown, 'HANDLER_THREW'));

  /** More or fewer bytes than a module, or the application, has announced. */
  #failToSend(thrown: unknown): void {
    if (!this.isClosed) this.#inner.abort(moduleThrew('response', thrown));
  }

  /** The first failure is that of the exchange; its owner hears of no other. */
  #fail(error: WireError): void {
    this.#dropRequest();
    this.#responseBody?.stop();
    if (this.isClosed || this.#isBypassed) return;
    this.#isBypassed = true;
    this.#bodyLeft = -1;
    if (!this.#inner.hasResponded) {
      this.#begunStatus = 0;
      this.#responseBody = null;
    }
    const onModuleFailed = this.#onModuleFailed;
    if (onModuleFailed === null) this.#inner.abort(error);
    else callUser(() => onModuleFailed(error), this.#failByHandler);
  }
}
