/**
 * One request on its way through the proxy: its phases, in the one order that there is, and what both sides make of it.
 *
 * Rules of this file:
 * - Bytes flow at the pace of the slower side: each direction is held while its receiver is full, or a filter works on a piece.
 * - After a final response has begun there is no retry and no error page: the client sees a message that is visibly cut short.
 * - The first failure ends the exchange; from then on, and after the end, no hook is called but those of the end.
 * - `logging` is called exactly once, when all is over.
 *
 * ```text
 *   filtering ──► upstream (`UpstreamSide`: tries, retries) ──► answer (`ResponseSide`) ──► closed
 *       │                                                 └──► tunnel ───────────────────────┤
 *       └── answered, failed ────────────────────────────────────────────────────────────────┘
 * ```
 *
 * @see RFC 9110 §7.6, §15.6 · RFC 9112 §9.3
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import { type HeaderMap, KnownHeader, type RequestHead, type ResponseHead } from '@ferrata/headers';
import {
  type ExchangeSettings,
  type ResponseInit,
  respond,
  type ServerExchange,
  type ServerExchangeHandler,
  type Tunnel,
} from '@ferrata/http';
import type { HttpModule, HttpModuleKind, ModuleServerExchange } from '@ferrata/http-modules';
import { normalizeTarget } from '@ferrata/http1';
import type { Relay, StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { Peer } from '@ferrata/upstream';
import { leaveConnection } from './downstream-response.ts';
import { tellEnd } from './end-hooks.ts';
import { notAnswered, notProxied, requestTimeout } from './errors.ts';
import type { ExchangeOrigin, SubrequestFacts } from './exchange-origin.ts';
import { answerFailure, tellError } from './failure.ts';
import { FilteredBody } from './filtered-body.ts';
import { HookDeadlines } from './hook-deadlines.ts';
import { checkSync, checkYes, heardOut, isPromise, whenSettled } from './hook-result.ts';
import type { ProxyCore } from './proxy-core.ts';
import type { RequestSession, Timing } from './proxy-session.ts';
import { RequestBody } from './request-body.ts';
import { ResponseSide } from './response-side.ts';
import type { PipeOptions, PipeResult, SubrequestPipe } from './subrequest/subrequest-pipe.ts';
import { type PipeInit, Subrequests } from './subrequest/subrequests.ts';
import { grantedHead, nameTunnel, refusedSwitch, ungranted } from './switching.ts';
import { removeNominatedTrailers } from './trailers.ts';
import { type UpstreamHost, UpstreamSide } from './upstream-side.ts';

/** One request, in the eyes of both connections and of the hooks. */
export class ProxyExchange<Context> implements ServerExchangeHandler, UpstreamHost<Context>, RequestSession {
  readonly core: ProxyCore<Context>;
  readonly exchange: ServerExchange;
  readonly context: Context;
  readonly timing: Timing;
  response: ResponseHead | null = null;

  readonly #upstream: UpstreamSide<Context>;
  readonly #response: ResponseSide<Context>;
  #tunnel: Relay | null = null;
  /** Null: the request has none. */
  readonly body: RequestBody | null;
  /** Null: there is no filter, or no body. */
  readonly #requestFilter: FilteredBody | null;
  #requestDeadline: Deadline | null = null;
  /** Null: no module takes part; else it is `exchange`. */
  readonly #modular: ModuleServerExchange | null;
  /** Null: the request is a client's. */
  readonly #subrequest: SubrequestFacts | null;
  #subrequests: Subrequests | null = null;
  #maySpawn = false;
  /** A subrequest whose response becomes this one's. */
  #pipe: SubrequestPipe | null = null;
  /** A hook has left the answer to it. */
  #isLeftToPipe = false;
  /** Some of the request's body has come: what is left of it is no body for a subrequest. */
  #isBodyBegun = false;
  /** Null: no hook was waited for. */
  #hookDeadlines: HookDeadlines | null = null;

  /** What ended the exchange, when that was not the client. */
  #failure: WireError | null = null;
  /** The whole answer has been given, by a hook or a subrequest; it may still wait for modules, or for the client. */
  #isAnswered = false;
  #isClosed = false;

  /** @throws whatever `newContext` throws */
  constructor(core: ProxyCore<Context>, exchange: ServerExchange, origin: ExchangeOrigin) {
    this.core = core;
    this.exchange = exchange;
    this.#modular = origin.modular;
    this.#subrequest = origin.subrequest;
    this.timing = { startedAt: exchange.startedAt, connectedAt: Number.NaN, respondedAt: Number.NaN, endedAt: Number.NaN };
    this.#upstream = new UpstreamSide(this);
    // Before any hook looks: what filters check and what is sent on must be the same (RFC 9112 §3.2.2).
    if (!normalizeTarget(exchange.request)) nameTunnel(exchange);
    this.body = exchange.requestBodyLength === 0 ? null : new RequestBody(exchange, core.maxReplayBytes);
    this.#response = new ResponseSide(this);
    // Where there is none, `Context` takes undefined: see `HooksOf`.
    this.context = checkSync('newContext', core.hooks.newContext?.(this)) as Context;
    this.#requestFilter =
      this.body === null || core.hooks.requestBodyFilter === undefined
        ? null
        : new FilteredBody(this, (chunk) => core.hooks.requestBodyFilter?.(this, chunk, this.context), this.body);
    core.retryBudget.begin();
  }

  // ---- what hooks see ------------------------------------------------------------------------------------------------------------

  get session(): this {
    return this;
  }
  get hooks(): ProxyCore<Context>['hooks'] {
    return this.core.hooks;
  }
  get request(): RequestHead {
    return this.exchange.request;
  }
  get client(): StreamInfo {
    return this.exchange.info;
  }
  get upstream(): StreamInfo | null {
    return this.#upstream.info;
  }
  get peer(): Peer | null {
    return this.#upstream.peer;
  }
  get attempt(): number {
    return this.#upstream.attempt;
  }
  get refusedCount(): number {
    return this.#upstream.refusedCount;
  }
  get isUpstreamReused(): boolean {
    return this.#upstream.isReused;
  }
  get givenPeer(): Peer | null {
    return this.#subrequest === null ? null : this.#subrequest.peer;
  }
  get isSubrequest(): boolean {
    return this.#subrequest !== null;
  }
  get subrequestContext(): unknown {
    return this.#subrequest?.context;
  }
  get hasResponded(): boolean {
    return this.exchange.hasResponded;
  }
  get status(): number {
    return this.exchange.status;
  }
  get requestBytes(): number {
    return this.exchange.requestBytes + (this.#tunnel === null ? 0 : this.#tunnel.bytesAToB);
  }
  get responseBytes(): number {
    return this.exchange.responseBytes + (this.#tunnel === null ? 0 : this.#tunnel.bytesBToA);
  }
  get upstreamRequestBytes(): number {
    return this.#upstream.current?.requestBytes ?? 0;
  }
  get upstreamResponseBytes(): number {
    return this.#upstream.current?.responseBytes ?? 0;
  }
  get clientWritePendingMs(): number {
    return this.exchange.writePendingMs;
  }
  get upstreamWritePendingMs(): number {
    return this.#upstream.current?.writePendingMs ?? 0;
  }

  module<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null {
    return this.#modular === null ? null : this.#modular.module(kind);
  }

  upstreamModule<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null {
    return this.#upstream.current?.module(kind) ?? null;
  }

  get subrequests(): Subrequests | null {
    if (this.#subrequests === null && this.#maySpawn) {
      const { application, environment } = this.core;
      const parent = { request: this.request, client: this.client, depth: this.#subrequest?.depth ?? 0 };
      this.#subrequests = new Subrequests({ application, environment, parent });
      if (this.#isClosed) this.#subrequests.handleParentEnd(this.#failure);
    }
    return this.#subrequests;
  }

  adjust(settings: ExchangeSettings): void {
    this.exchange.adjust(settings);
  }

  respond(status: number, init: ResponseInit = {}): void {
    if (this.hasResponded) throw new TypeError('a response has begun');
    this.#isAnswered = true;
    try {
      respond(this.exchange, status, init);
    } catch (thrown) {
      this.#isAnswered = false;
      throw thrown;
    }
    // Unless a module has failed on it.
    if (this.#isAnswered && !this.#isClosed) this.#stop(null);
  }

  respondBy(init: PipeInit, options: PipeOptions = {}): Promise<PipeResult> {
    const { subrequests } = this;
    if (subrequests === null) throw new TypeError('this request may make no subrequests');
    if (this.#pipe !== null) throw new TypeError('a subrequest answers this request already');
    if (this.hasResponded) throw new TypeError('a response has begun');
    if (init.body === 'inherit' && this.body !== null && this.#isBodyBegun) throw new TypeError('some of the body has been read');
    const pipe = subrequests.pipe(init, this.exchange, options);
    this.#pipe = pipe;
    return pipe.done.then((result) => this.#afterPipe(pipe, result));
  }

  /** A module has failed: what it worked on, an answer of ours perhaps, is not to be had. */
  failByModule(error: WireError): void {
    const wasAnswered = this.#isAnswered;
    this.#isAnswered = false;
    if (this.#failure === null) return this.fail(error);
    // It worked on the answer to a failure, which is given without it.
    this.core.onHookFailed?.(error);
    if (wasAnswered) this.exchange.abort(this.#failure);
  }

  // ---- phases --------------------------------------------------------------------------------------------------------------------

  /** Runs the phases up to the first one that waits. */
  begin(): void {
    try {
      this.#filterEarly();
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }

  #filterEarly(): void {
    const { core, exchange } = this;
    const { hooks } = core;
    const refusal = refusedSwitch(exchange, core.allowConnect);
    if (refusal !== null) return this.fail(refusal);
    if (core.requestTimeoutMs !== Number.POSITIVE_INFINITY)
      this.#requestDeadline = this.after(core.requestTimeoutMs, () => {
        // A subrequest's response may have begun.
        if (!this.hasResponded) this.fail(requestTimeout(core.requestTimeoutMs));
      });
    if (hooks.onConnectionReuse !== undefined) {
      const previous = core.connectionContexts.take(exchange.connection);
      if (previous !== undefined) checkSync('onConnectionReuse', hooks.onConnectionReuse(this, this.context, previous));
      if (this.isOver()) return;
    }
    const edited = hooks.earlyRequestFilter?.(this, this.context);
    if (isPromise(edited)) this.waitFor(edited, () => this.#filterByModules());
    else this.#filterByModules();
  }

  #filterByModules(): void {
    if (this.isOver()) return;
    const { hooks } = this.core;
    this.#maySpawn =
      hooks.allowSpawningSubrequest === undefined
        ? this.#subrequest === null
        : checkYes('allowSpawningSubrequest', hooks.allowSpawningSubrequest(this, this.context), false);
    // True unless a module has answered, if not to the end yet.
    const goesOn = this.#modular === null || this.#modular.filterRequest();
    if (isPromise(goesOn)) this.waitFor(goesOn, (value) => this.#filterRequest(value));
    else this.#filterRequest(goesOn);
  }

  #filterRequest(goesOn: boolean): void {
    if (!goesOn || this.isOver()) return;
    const answered = this.core.hooks.requestFilter?.(this, this.context);
    if (isPromise(answered)) this.waitFor(answered, (value) => this.#afterFilter(value));
    else this.#afterFilter(answered);
  }

  #afterFilter(answered: boolean | undefined): void {
    if (this.isOver()) return;
    if (checkYes('requestFilter', answered, false)) this.#leaveToPipe(notAnswered);
    else this.#filterUpstream();
  }

  /** A hook says that the request goes no further: a subrequest is to answer it, or it fails. */
  #leaveToPipe(unanswered: () => WireError): void {
    if (this.#pipe === null) this.fail(unanswered());
    else this.#isLeftToPipe = true;
  }

  #afterPipe(pipe: SubrequestPipe, result: PipeResult): PipeResult {
    // After a failure another one may be the answer.
    if (this.#pipe !== pipe) return result;
    this.#pipe = null;
    this.#isAnswered ||= result.isAnswered;
    if (this.#isLeftToPipe && !result.isAnswered) this.fail(result.error ?? notAnswered());
    return result;
  }

  #filterUpstream(): void {
    const goesOn = this.core.hooks.proxyUpstreamFilter?.(this, this.context);
    if (isPromise(goesOn)) this.waitFor(goesOn, (value) => this.#afterUpstreamFilter(value));
    else this.#afterUpstreamFilter(goesOn);
  }

  #afterUpstreamFilter(goesOn: boolean | undefined): void {
    if (this.isOver()) return;
    if (checkYes('proxyUpstreamFilter', goesOn, true)) this.#upstream.begin();
    else this.#leaveToPipe(notProxied);
  }

  // ---- request body: client to upstream ------------------------------------------------------------------------------------------

  onRequestData(chunk: Uint8Array): void {
    this.#isBodyBegun = true;
    if (this.#pipe !== null) return this.#pipe.onRequestData(chunk);
    if (this.isOver()) return;
    const filter = this.#requestFilter;
    if (filter === null) this.body?.pass(chunk);
    else this.guard(() => filter.take(chunk, null));
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    this.#isBodyBegun = true;
    if (this.#pipe !== null) return this.#pipe.onRequestEnd(trailers);
    if (this.body === null || this.isOver()) return;
    if (trailers !== null) removeNominatedTrailers(trailers, this.request.headers.combinedKnown(KnownHeader.connection));
    const filter = this.#requestFilter;
    if (filter === null) this.body.end(trailers);
    else this.guard(() => filter.take(null, trailers));
  }

  get isBodyFiltered(): boolean {
    return this.#requestFilter !== null;
  }

  /** Modules may keep what they see of the response’s body. */
  get isResponseShared(): boolean {
    return this.#modular !== null || this.core.upstreamModules !== null;
  }

  // ---- response: upstream to client ----------------------------------------------------------------------------------------------

  onConnected(): void {
    this.timing.connectedAt = this.core.environment.recentNow;
  }

  onInterim(head: ResponseHead): void {
    if (this.isOver()) return;
    leaveConnection(head);
    this.exchange.sendInterim(head);
  }

  onAnswer(head: ResponseHead, bodyLength: number): void {
    this.timing.respondedAt = this.core.environment.recentNow;
    this.response = head;
    this.body?.forget();
    this.#requestDeadline?.cancel();
    const refusal = ungranted(head, this.exchange);
    if (refusal !== null) return this.fail(refusal);
    try {
      this.#response.takeHead(head, bodyLength, this.#upstream);
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }

  onAnswerData(chunk: Uint8Array): void {
    try {
      this.#response.takeData(chunk);
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }

  onAnswerEnd(trailers: HeaderMap | null): void {
    try {
      this.#response.takeEnd(trailers);
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }

  onResponseDrain(): void {
    this.#pipe?.onResponseDrain();
    this.#response.handleDrain();
  }

  onSwitch(head: ResponseHead, upstream: Tunnel): void {
    this.timing.respondedAt = this.core.environment.recentNow;
    this.response = head;
    this.#requestDeadline?.cancel();
    const { core, exchange } = this;
    const asked = this.#upstream.current?.request ?? this.request;
    try {
      this.#tunnel = core.parts.joinTunnel(exchange, grantedHead(head, asked, exchange), upstream, core);
    } catch (thrown) {
      if (upstream.stream.state !== 'closed') upstream.stream.abort();
      this.#failByHook(thrown);
    }
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  onExchangeClose(error: WireError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.timing.endedAt = this.core.environment.recentNow;
    this.#stop(error);
    this.#requestFilter?.stop();
    this.body?.forget();
    this.#pipe?.onExchangeClose(error);
    this.#subrequests?.handleParentEnd(error);
    this.core.retryBudget.end(this.#upstream.isRetrying);
    tellEnd(this.core, this, this.#failure ?? error);
  }

  /**
   * The exchange has its answer or its failure: nothing that is still under way may change it.
   * A method and no accessor: V8 calls into its runtime for each read of a private accessor, some 0.2 µs each.
   */
  isOver(): boolean {
    return this.#failure !== null || this.#isAnswered || this.exchange.isClosed;
  }

  /** Nothing that is under way has anything to do any more. @param error null: for no fault */
  #stop(error: WireError | null): void {
    this.#requestDeadline?.cancel();
    this.#hookDeadlines?.cancel();
    this.#upstream.drop(error);
    this.#response.stop();
  }

  /** Ends the exchange: the upstream side at once, the client's side when `failToProxy` has had its say. */
  fail(error: WireError): void {
    if (this.isOver()) return;
    this.#failure = error;
    this.#stop(error);
    this.#pipe?.onExchangeClose(error);
    this.#pipe = null;
    const { hooks } = this.core;
    if (this.core.onError !== undefined) tellError(this.core, this, error, this.context);
    if (this.#tunnel !== null) return this.#tunnel.abort(error);
    if (hooks.failToProxy === undefined) answerFailure(this.core, this, error, undefined);
    else
      heardOut(
        () => hooks.failToProxy?.(this, error, this.context),
        this.core,
        (deadline) => this.#beginWait(deadline),
        (answer) => {
          if (!this.#isAnswered) answerFailure(this.core, this, error, answer);
        },
      );
  }

  #failByHook(thrown: unknown): void {
    this.fail(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  }

  // ---- waiting -------------------------------------------------------------------------------------------------------------------

  waitFor<T>(promise: PromiseLike<T>, next: (value: T) => void, isWanted?: () => boolean): void {
    const { environment, hookTimeoutMs } = this.core;
    const deadline = whenSettled(
      promise,
      environment,
      hookTimeoutMs,
      (value) => {
        if (!this.isOver()) this.guard(() => next(value));
      },
      (error) => {
        if (isWanted === undefined || isWanted()) this.fail(error);
      },
    );
    this.#beginWait(deadline);
  }

  /** A hook is waited for: the request's body is held unless somebody takes it, and the time-out ends with the request. */
  #beginWait(deadline: Deadline): void {
    if (!this.#upstream.hasClient && this.#pipe === null) this.body?.hold();
    if (this.#isClosed) deadline.cancel();
    else (this.#hookDeadlines ??= new HookDeadlines()).add(deadline);
  }

  after(delayMs: number, next: () => void): Deadline {
    const { environment } = this.core;
    return environment.deadlines.after(Math.min(delayMs, environment.deadlines.maxDelayMs), () => {
      environment.now();
      if (!this.isOver()) this.guard(next);
    });
  }

  guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }
}
