/**
 * One request on its way through the proxy: both halves of the exchange and the phases between them, in one object.
 *
 * Rules of this file:
 * - Bytes flow at the pace of the slower side: each direction is held while its receiver is full, or a filter works on a piece.
 * - After a final response has begun there is no retry and no error page: the client sees a message that is visibly cut short.
 * - The first failure ends the exchange; from then on, and after the end, no hook is called but `failToProxy` and `logging`.
 * - `logging` is called exactly once, when all is over. A connection that was handed to us goes to the network or back to the connector.
 *
 * ```text
 *   filtering ──► connecting ──► proxying ──► closed
 *       │             ▲ retry │      │ 101       ▲
 *       │             └───────┘      └──► tunnel ┤
 *       └── answered, failed ────────────────────┘
 * ```
 *
 * @see RFC 9110 §7.6, §9.2.2, §15.6 · RFC 9112 §9.3
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import { type HeaderMap, KnownHeader, type RequestHead, type ResponseHead } from '@ferrata/headers';
import {
  type ClientExchange,
  type ClientExchangeHandler,
  type ClientSession,
  type ResponseInit,
  respond,
  type ServerExchange,
  type ServerExchangeHandler,
  type Tunnel,
} from '@ferrata/http';
import { BodyLength, normalizeTarget } from '@ferrata/http1';
import { giveAway, type Relay, type StreamInfo } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';
import { leaveConnection, removeVainTrailer, responseLength } from './downstream-response.ts';
import { answeredWithoutUpstream, closedBeforeSent, connectNotAllowed, notAnswered } from './errors.ts';
import { type BodyFilterRun, FilteredBody } from './filtered-body.ts';
import { checkAnswered, checkContext, checkPeer, heardOut, isPromise, unawaited, whenSettled } from './hook-result.ts';
import type { ProxyCore } from './http-proxy.ts';
import { openConnection } from './open-connection.ts';
import type { ProxySession, Timing } from './proxy-session.ts';
import { RequestBody } from './request-body.ts';
import { LostPlaces, maySendAgain } from './retry-policy.ts';
import { removeNominatedTrailers } from './trailers.ts';
import { joinTunnel } from './tunnel.ts';
import { upgradeFor } from './upgrade.ts';
import { upstreamRequest } from './upstream-request.ts';

/** One request, in the eyes of both connections and of the hooks. */
export class ProxyExchange<Context> implements ServerExchangeHandler, ClientExchangeHandler, ProxySession {
  readonly #core: ProxyCore<Context>;
  readonly #exchange: ServerExchange;
  readonly #context: Context;
  readonly timing: Timing;
  peer: Peer | null = null;
  upstream: StreamInfo | null = null;
  response: ResponseHead | null = null;
  attempt = 0;
  refusedCount = 0;
  isUpstreamReused = false;

  // What is under way upstream: at most one of the first four is there.
  #connecting: AbortController | null = null;
  /** A connection that was handed to us, and carries nothing while a filter is waited for. */
  #unused: ClientSession | null = null;
  #client: ClientExchange | null = null;
  #tunnel: Relay | null = null;
  /** Where the request was sent last: not the first choice for another try. */
  #lastSession: ClientSession | null = null;
  /** Why the last attempt failed; with the key of its peer if there was no connection to it. */
  #lastError: WireError | null = null;
  #unreachable = '';
  #isRetrying = false;
  /** They are among `refusedCount`. Null: none. */
  #lostPlaces: LostPlaces | null = null;

  /** Null: the request has none. */
  readonly #body: RequestBody | null;
  /** Null: there is no filter, or no body. */
  readonly #requestFilter: FilteredBody | null;
  #responseFilter: FilteredBody | null = null;
  // The response's body.
  #isClientFull = false;
  #isResponseWorking = false;
  /** What the response said of its connection: its trailers may be nominated there. */
  #responseConnection: string | undefined = undefined;

  /** What ended the exchange, when that was not the client. */
  #failure: WireError | null = null;
  #isClosed = false;

  /** @throws whatever `newContext` throws */
  constructor(core: ProxyCore<Context>, exchange: ServerExchange) {
    this.#core = core;
    this.#exchange = exchange;
    this.timing = { startedAt: exchange.startedAt, connectedAt: Number.NaN, respondedAt: Number.NaN, endedAt: Number.NaN };
    // Before any hook looks: what filters check and what is sent on must be the same (RFC 9112 §3.2.2).
    normalizeTarget(exchange.request);
    this.#context = checkContext(core.hooks.newContext(this));
    this.#body = exchange.requestBodyLength === 0 ? null : new RequestBody(exchange, core.maxReplayBytes);
    this.#requestFilter = core.hooks.requestBodyFilter === undefined ? null : this.#filteredRequest(this.#body);
    core.retryBudget.begin();
  }

  // ---- what hooks see ------------------------------------------------------------------------------------------------------------

  get request(): RequestHead {
    return this.#exchange.request;
  }
  get client(): StreamInfo {
    return this.#exchange.info;
  }
  get hasResponded(): boolean {
    return this.#exchange.hasResponded;
  }
  get status(): number {
    return this.#exchange.status;
  }
  get requestBytes(): number {
    return this.#exchange.requestBytes + (this.#tunnel === null ? 0 : this.#tunnel.bytesAToB);
  }
  get responseBytes(): number {
    return this.#exchange.responseBytes + (this.#tunnel === null ? 0 : this.#tunnel.bytesBToA);
  }

  respond(status: number, init: ResponseInit = {}): void {
    if (this.hasResponded) throw new TypeError('a response has begun');
    respond(this.#exchange, status, init);
  }

  fail(error: WireError): void {
    this.#fail(error);
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
    if (this.request.method === 'CONNECT') {
      this.#fail(connectNotAllowed());
      return;
    }
    const early = this.#core.hooks.earlyRequestFilter?.(this, this.#context);
    if (isPromise(early)) this.#await(early, () => this.#filterRequest());
    else this.#filterRequest();
  }

  #filterRequest(): void {
    if (this.#isOver()) return;
    const answered = this.#core.hooks.requestFilter?.(this, this.#context);
    if (isPromise(answered)) this.#await(answered, (value) => this.#afterFilter(value));
    else this.#afterFilter(answered);
  }

  #afterFilter(answered: boolean | undefined): void {
    if (this.#isOver()) return;
    if (checkAnswered(answered)) this.#fail(notAnswered());
    else this.#choosePeer();
  }

  #choosePeer(): void {
    if (this.#isOver()) return;
    this.attempt++;
    const chosen = this.#core.hooks.upstreamPeer(this, this.#context);
    if (isPromise(chosen)) this.#await(chosen, (peer) => this.#connect(peer));
    else this.#connect(chosen);
  }

  #connect(chosen: Peer): void {
    if (this.#isOver()) return;
    const { upgrade } = this.#exchange;
    const peer = this.#core.upgradePeers.peerFor(checkPeer(chosen), upgrade, this.#core.environment.recentNow);
    if (this.#lastError !== null && this.#unreachable === peer.key) {
      // The same peer once more: nothing is gained by asking it again at once.
      this.#fail(this.#lastError);
      return;
    }
    this.peer = peer;
    // A retry goes to a fresh connection: where one idle connection was stale, its neighbours are likely to be so too.
    // A request to switch protocols has a connection of its own, before and after; one that may be HTTP/2 is asked for no switch.
    const mayShare = this.attempt === 1 && (upgrade === null || peer.protocol !== 'http1');
    const idle = mayShare ? this.#core.connector.take(peer) : null;
    if (idle === null) this.#openConnection(peer, chosen);
    else this.#useConnection(idle);
  }

  #openConnection(peer: Peer, chosen: Peer): void {
    this.#body?.hold();
    this.#connecting = openConnection(this.#core, { peer, except: this.#lastSession }, (session, error) => {
      this.#connecting = null;
      if (session !== null && this.#isOver()) this.#core.connector.release(session);
      else if (session !== null) this.#guard(() => this.#useConnection(session));
      else if (error !== null && !this.#isOver()) this.#guard(() => this.#handleUnreachable(peer, chosen, error));
    });
  }

  #handleUnreachable(peer: Peer, chosen: Peer, error: WireError): void {
    if (this.#core.upgradePeers.isRefusal(chosen, peer, error, this.#core.environment.recentNow)) return this.#connect(chosen);
    this.#lastError = error;
    this.#unreachable = peer.key;
    const told = this.#core.hooks.failToConnect?.(this, peer, error, this.#context);
    if (isPromise(told)) this.#await(told, () => this.#afterUnreachable(error));
    else this.#afterUnreachable(error);
  }

  #afterUnreachable(error: WireError): void {
    if (this.#isOver()) return;
    // Nothing was sent: another peer costs the upstream nothing, so the budget of retries is not asked.
    if (error.retry === 'always' && this.#hasTriesLeft()) this.#choosePeer();
    else this.#fail(error);
  }

  #useConnection(session: ClientSession): void {
    this.#unused = session;
    this.timing.connectedAt = this.#core.environment.recentNow;
    this.upstream = session.stream.info;
    this.isUpstreamReused = session.requestCount > 0;
    this.#lastSession = session;
    const { protocol } = session;
    const request = upstreamRequest(this.request, { authority: this.peer?.authority ?? '', hasBody: this.#body !== null, protocol });
    const edited = this.#core.hooks.upstreamRequestFilter?.(this, request, this.#context);
    if (isPromise(edited)) this.#await(edited, () => this.#sendRequest(session, request));
    else this.#sendRequest(session, request);
  }

  #sendRequest(session: ClientSession, request: RequestHead): void {
    if (this.#isOver()) return;
    if (!session.isReusable) {
      this.#releaseUnused();
      this.#retryOrFail(closedBeforeSent(), (this.#lostPlaces ??= new LostPlaces()).add(this.#core.environment.recentNow));
      return;
    }
    const { requestBodyLength, upgrade } = this.#exchange;
    const bodyLength = this.#requestFilter === null ? requestBodyLength : BodyLength.chunked;
    // Over HTTP/1, without chunks there is no place for what it announces (RFC 9112 §7.1.2).
    if (bodyLength === 0 || (bodyLength > 0 && !session.isShared)) request.headers.deleteKnown(KnownHeader.trailer);
    const client = session.request(request, { bodyLength, upgrade: upgradeFor(this.peer, session.isShared, upgrade) }, this);
    this.#unused = null;
    this.#client = client;
    this.#body?.flowTo(client);
  }

  // ---- request body: client to upstream ------------------------------------------------------------------------------------------

  onRequestData(chunk: Uint8Array): void {
    if (this.#failure !== null) return;
    const filter = this.#requestFilter;
    if (filter === null) this.#body?.pass(chunk);
    else this.#guard(() => filter.take(chunk, null));
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    if (this.#body === null || this.#failure !== null) return;
    if (trailers !== null) removeNominatedTrailers(trailers, this.request.headers.combinedKnown(KnownHeader.connection));
    const filter = this.#requestFilter;
    if (filter === null) this.#body.end(trailers);
    else this.#guard(() => filter.take(null, trailers));
  }

  #filteredRequest(body: RequestBody | null): FilteredBody | null {
    if (body === null) return null;
    const run = this.#filterRun((chunk) => this.#core.hooks.requestBodyFilter?.(this, chunk, this.#context));
    return new FilteredBody(run, body);
  }

  #filterRun(filter: BodyFilterRun['filter']): BodyFilterRun {
    return { filter, wait: (promise, next) => this.#await(promise, next), isOver: () => this.#isOver() };
  }

  onRequestDrain(): void {
    this.#body?.handleDrain();
  }

  // ---- response: upstream to client ----------------------------------------------------------------------------------------------

  onInterim(head: ResponseHead): void {
    if (this.#isOver()) return;
    leaveConnection(head);
    this.#exchange.sendInterim(head);
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    this.timing.respondedAt = this.#core.environment.recentNow;
    this.response = head;
    this.#body?.forget();
    this.#responseConnection = leaveConnection(head);
    try {
      const edited = this.#core.hooks.responseFilter?.(this, head, this.#context);
      if (!isPromise(edited)) {
        this.#sendHead(head, bodyLength);
        return;
      }
      // Whatever follows the head waits for the filter.
      this.#holdResponse();
      this.#await(edited, () => {
        this.#sendHead(head, bodyLength);
        this.#endResponseWork();
      });
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }

  #sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.#isOver()) return;
    if (this.#core.hooks.responseBodyFilter !== undefined) {
      head.headers.deleteKnown(KnownHeader.contentLength);
      if (bodyLength !== 0) this.#responseFilter = this.#filteredResponse();
    }
    const length = this.#responseFilter === null ? responseLength(this.request.method, bodyLength) : BodyLength.chunked;
    removeVainTrailer(head, length, this.request);
    this.#exchange.sendHead(head, length);
  }

  onResponseData(chunk: Uint8Array): void {
    const filter = this.#responseFilter;
    if (filter !== null) {
      this.#guard(() => filter.take(chunk, null));
      return;
    }
    // Nobody else has seen it: its memory may go as soon as the client's socket has the bytes.
    giveAway(chunk);
    this.#passResponse(chunk);
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    removeNominatedTrailers(trailers, this.#responseConnection);
    const filter = this.#responseFilter;
    if (filter === null) this.#exchange.sendEnd(trailers);
    else this.#guard(() => filter.take(null, trailers));
  }

  #filteredResponse(): FilteredBody {
    const run = this.#filterRun((chunk) => this.#core.hooks.responseBodyFilter?.(this, chunk, this.#context));
    return new FilteredBody(run, {
      beginWork: () => this.#holdResponse(),
      endWork: () => this.#endResponseWork(),
      pass: (piece) => this.#passResponse(piece),
      end: (trailers) => this.#exchange.sendEnd(trailers),
    });
  }

  #holdResponse(): void {
    this.#isResponseWorking = true;
    this.#client?.pauseResponse();
  }

  #endResponseWork(): void {
    this.#isResponseWorking = false;
    this.#resumeResponse();
  }

  #passResponse(piece: Uint8Array): void {
    if (this.#exchange.sendData(piece)) return;
    this.#isClientFull = true;
    this.#client?.pauseResponse();
  }

  onResponseDrain(): void {
    this.#isClientFull = false;
    this.#resumeResponse();
  }

  #resumeResponse(): void {
    if (!this.#isClientFull && !this.#isResponseWorking) this.#client?.resumeResponse();
  }

  // ---- tunnel --------------------------------------------------------------------------------------------------------------------

  onTunnel(head: ResponseHead, upstream: Tunnel): void {
    this.timing.respondedAt = this.#core.environment.recentNow;
    this.response = head;
    this.#client = null;
    if (this.#isOver()) return upstream.stream.abort();
    this.#guard(() => (this.#tunnel = joinTunnel(this.#exchange, head, upstream, this.#core)));
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  onClientClose(error: WireError | null): void {
    this.#client = null;
    if (error !== null && !this.#isOver()) this.#guard(() => this.#retryOrFail(error));
  }

  onExchangeClose(error: WireError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.timing.endedAt = this.#core.environment.recentNow;
    this.#dropUpstream(error);
    this.#body?.forget();
    this.#core.retryBudget.end(this.#isRetrying);
    const { hooks } = this.#core;
    if (hooks.logging !== undefined) unawaited(() => hooks.logging?.(this, this.#failure ?? error, this.#context), this.#core.onHookFailed);
  }

  /**
   * The exchange has its answer or its failure: nothing that is still under way may change it.
   * A method and no accessor: V8 calls into its runtime for each read of a private accessor, some 0.2 µs each.
   */
  #isOver(): boolean {
    return this.#failure !== null || this.#exchange.isClosed;
  }

  #retryOrFail(error: WireError, isForNothing = false): void {
    this.#lastError = error;
    this.#unreachable = '';
    // Nothing of it was read (REFUSED_STREAM, beyond a GOAWAY, never sent): no work was done, so another try is no more load than the first.
    const refusals = this.refusedCount - (this.#lostPlaces?.count ?? 0);
    const isRefused = isForNothing || (error.retry === 'always' && refusals < this.#core.maxRefusals);
    if (isRefused) this.refusedCount++;
    if (this.hasResponded || !maySendAgain(error, this.request.method) || !this.#mayTryAgain(isRefused)) return this.#fail(error);
    this.#body?.hold();
    this.#choosePeer();
  }

  /** Attempts are left, and the whole request can still be sent. */
  #hasTriesLeft(): boolean {
    return this.attempt - this.refusedCount <= this.#core.maxRetries && this.#body?.canReplay !== false;
  }

  /** A request that was sent may be sent again: so say attempts, and the budget unless nobody has read it. */
  #mayTryAgain(isRefused: boolean): boolean {
    if (!this.#hasTriesLeft()) return false;
    if (isRefused) return true;
    this.#isRetrying ||= this.#core.retryBudget.tryRetry();
    return this.#isRetrying;
  }

  /** Ends the exchange: the upstream side at once, the client's side when `failToProxy` has had its say. */
  #fail(error: WireError): void {
    if (this.#isClosed || this.#isOver()) return;
    this.#failure = error;
    this.#dropUpstream(error);
    if (this.#tunnel !== null) return this.#tunnel.abort(error);
    const { hooks } = this.#core;
    const abort = (): void => this.#exchange.abort(error);
    if (hooks.failToProxy === undefined) abort();
    else
      heardOut(
        () => hooks.failToProxy?.(this, error, this.#context),
        this.#core,
        () => this.#body?.hold(),
        abort,
      );
  }

  #failByHook(thrown: unknown): void {
    this.#fail(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  }

  /** Whatever is under way upstream is given up; a connection that carries nothing goes back. */
  #dropUpstream(error: WireError | null): void {
    this.#connecting?.abort();
    this.#connecting = null;
    this.#releaseUnused();
    const client = this.#client;
    if (client === null) return;
    this.#client = null;
    if (!client.isClosed) client.cancel(error ?? answeredWithoutUpstream());
  }

  #releaseUnused(): void {
    const session = this.#unused;
    if (session === null) return;
    this.#unused = null;
    this.#core.connector.release(session);
  }

  // ---- waiting -------------------------------------------------------------------------------------------------------------------

  /** Goes on with `next` when a hook's promise is fulfilled in time, unless the request is over by then. */
  #await<T>(promise: PromiseLike<T>, next: (value: T) => void): void {
    const { environment, hookTimeoutMs } = this.#core;
    if (this.#client === null) this.#body?.hold();
    whenSettled(
      promise,
      environment,
      hookTimeoutMs,
      (value) => {
        if (!this.#isOver()) this.#guard(() => next(value));
      },
      (error) => this.#fail(error),
    );
  }

  #guard(call: () => unknown): void {
    try {
      call();
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }
}
