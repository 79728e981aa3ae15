/**
 * One request on its way through the proxy: both halves of the exchange and the phases between them, in one object.
 *
 * Rules of this file:
 * - Bytes flow at the pace of the slower side. Each direction is held while its receiver is full, while a filter works on a piece, and (the
 *   request) while there is no upstream; when the last of these reasons is gone, it goes on.
 * - What was sent of the request's body is kept, up to `maxReplayBytes`, until an answer begins: what is kept can be sent again.
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
import {
  applicationError,
  internalError,
  ioError,
  protocolError,
  timeoutError,
  toWireError,
  type WireError,
  withSource,
} from '@ferrata/error';
import { type HeaderMap, KnownHeader, type RequestHead, type ResponseHead, removeHopByHop } from '@ferrata/headers';
import {
  type ClientExchange,
  type ClientExchangeHandler,
  type Http1ClientSession,
  type ResponseInit,
  type ServerExchange,
  type ServerExchangeHandler,
  type Tunnel,
  respond,
} from '@ferrata/http';
import { BodyLength, normalizeTarget } from '@ferrata/http1';
import { type Relay, type RelayResult, type StreamInfo, idleTimeout, relay } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';
import { checkAnswered, checkPeer, checkPiece, isPromise } from './hook-result.ts';
import type { ProxyCore } from './http-proxy.ts';
import type { BodyFilterResult } from './proxy-hooks.ts';
import type { ProxySession } from './proxy-session.ts';
import { ReplayBuffer } from './replay-buffer.ts';
import { maySendAgain } from './retry-policy.ts';
import { forwardedUpgrade, upstreamRequest } from './upstream-request.ts';

/** `SessionTiming` in the making. */
interface Timing {
  readonly startedAt: number;
  connectedAt: number;
  respondedAt: number;
  endedAt: number;
}

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
  isUpstreamReused = false;

  // What is under way upstream: at most one of the first four is there.
  #connecting: AbortController | null = null;
  /** A connection that was handed to us, and carries nothing while a filter is waited for. */
  #unused: Http1ClientSession | null = null;
  #client: ClientExchange | null = null;
  #tunnel: Relay | null = null;
  /** Why the last attempt failed; with the key of its peer if there was no connection to it. */
  #lastError: WireError | null = null;
  #unreachable = '';
  #isRetrying = false;

  // The request's body.
  #replay: ReplayBuffer | null = null;
  #canReplay = true;
  #isRequestEnded = false;
  #requestTrailers: HeaderMap | null = null;
  #isUpstreamFull = false;
  #isRequestWorking = false;

  // The response's body.
  #isResponseFiltered = false;
  #isClientFull = false;
  #isResponseWorking = false;

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
    const context = core.hooks.newContext(this);
    if (isPromise(context)) {
      context.then(undefined, () => {});
      throw applicationError('HOOK_RETURNED_GARBAGE', 'newContext must not return a promise', { source: 'internal' });
    }
    this.#context = context;
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
      this.#fail(protocolError('CONNECT_NOT_ALLOWED', 'this proxy makes no tunnels', { wire: { status: 405 }, source: 'downstream' }));
      return;
    }
    const early = this.#core.hooks.earlyRequestFilter?.(this, this.#context);
    if (isPromise(early)) this.#await(early, () => this.#filterRequest());
    else this.#filterRequest();
  }

  #filterRequest(): void {
    if (this.#isOver) return;
    const answered = this.#core.hooks.requestFilter?.(this, this.#context);
    if (isPromise(answered)) this.#await(answered, (value) => this.#afterFilter(value));
    else this.#afterFilter(answered);
  }

  #afterFilter(answered: boolean | undefined): void {
    if (this.#isOver) return;
    if (checkAnswered(answered))
      this.#fail(applicationError('NOT_ANSWERED', 'requestFilter returned true without an answer', { source: 'internal' }));
    else this.#choosePeer();
  }

  #choosePeer(): void {
    if (this.#isOver) return;
    this.attempt++;
    const chosen = this.#core.hooks.upstreamPeer(this, this.#context);
    if (isPromise(chosen)) this.#await(chosen, (peer) => this.#connect(peer));
    else this.#connect(chosen);
  }

  #connect(chosen: Peer): void {
    if (this.#isOver) return;
    const peer = checkPeer(chosen);
    if (this.#lastError !== null && this.#unreachable === peer.key) {
      // The same peer once more: nothing is gained by asking it again at once.
      this.#fail(this.#lastError);
      return;
    }
    this.peer = peer;
    // A retry goes to a fresh connection: where one idle connection was stale, its neighbours are likely to be so too.
    const idle = this.attempt === 1 ? this.#core.connector.take(peer) : null;
    if (idle === null) this.#openConnection(peer);
    else this.#useConnection(idle);
  }

  #openConnection(peer: Peer): void {
    const { connector, environment } = this.#core;
    this.#holdRequest();
    const connecting = new AbortController();
    this.#connecting = connecting;
    connector.connect(peer, connecting.signal).then(
      (session) => {
        environment.now();
        this.#connecting = null;
        if (this.#isOver) connector.release(session);
        else this.#guard(() => this.#useConnection(session));
      },
      (thrown: unknown) => {
        environment.now();
        this.#connecting = null;
        if (!this.#isOver) this.#guard(() => this.#handleUnreachable(peer, withSource(toWireError(thrown), 'upstream')));
      },
    );
  }

  #handleUnreachable(peer: Peer, error: WireError): void {
    this.#lastError = error;
    this.#unreachable = peer.key;
    const told = this.#core.hooks.failToConnect?.(this, peer, error, this.#context);
    if (isPromise(told)) this.#await(told, () => this.#afterUnreachable(error));
    else this.#afterUnreachable(error);
  }

  #afterUnreachable(error: WireError): void {
    if (this.#isOver) return;
    if (error.retry === 'always' && this.#mayTryAgain()) this.#choosePeer();
    else this.#fail(error);
  }

  #useConnection(session: Http1ClientSession): void {
    this.#unused = session;
    this.timing.connectedAt = this.#core.environment.recentNow;
    this.upstream = session.stream.info;
    this.isUpstreamReused = session.requestCount > 0;
    const request = upstreamRequest(this.request, this.peer?.authority ?? '');
    const edited = this.#core.hooks.upstreamRequestFilter?.(this, request, this.#context);
    if (isPromise(edited)) this.#await(edited, () => this.#sendRequest(session, request));
    else this.#sendRequest(session, request);
  }

  #sendRequest(session: Http1ClientSession, request: RequestHead): void {
    if (this.#isOver) return;
    if (!session.isReusable) {
      // It ended while a filter was waiting: nothing was sent, so try again.
      this.#releaseUnused();
      const message = 'the connection closed before the request was sent';
      this.#retryOrFail(ioError('UPSTREAM_CLOSED', message, { retry: 'always', source: 'upstream' }));
      return;
    }
    const { requestBodyLength, upgrade } = this.#exchange;
    const isFiltered = this.#core.hooks.requestBodyFilter !== undefined && requestBodyLength !== 0;
    const bodyLength = isFiltered ? BodyLength.chunked : requestBodyLength;
    const client = session.request(request, { bodyLength, upgrade: forwardedUpgrade(upgrade) }, this);
    this.#unused = null;
    this.#client = client;
    if (requestBodyLength !== 0) this.#sendKept(client);
  }

  /** What came of the body so far, be it in an earlier attempt or while filters waited. */
  #sendKept(client: ClientExchange): void {
    this.#isUpstreamFull = false;
    if (this.#replay !== null) for (const piece of this.#replay.pieces) if (!client.sendData(piece)) this.#isUpstreamFull = true;
    if (this.#isRequestEnded) client.sendEnd(this.#requestTrailers);
    else this.#resumeRequest();
  }

  // ---- request body: client to upstream ------------------------------------------------------------------------------------------

  onRequestData(chunk: Uint8Array): void {
    if (this.#failure !== null) return;
    if (this.#core.hooks.requestBodyFilter === undefined) this.#passRequest(chunk);
    else this.#guard(() => this.#filterRequestBody(chunk));
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    if (this.#exchange.requestBodyLength === 0 || this.#failure !== null) return;
    this.#requestTrailers = trailers;
    if (this.#core.hooks.requestBodyFilter === undefined) this.#endRequest();
    else this.#guard(() => this.#filterRequestBody(null));
  }

  /** @param chunk null at the end of the body */
  #filterRequestBody(chunk: Uint8Array | null): void {
    const filtered = this.#core.hooks.requestBodyFilter?.(this, chunk, this.#context);
    if (!isPromise(filtered)) {
      this.#passFilteredRequest(filtered, chunk === null);
      return;
    }
    this.#isRequestWorking = true;
    this.#exchange.pauseRequest();
    this.#await(filtered, (piece) => {
      this.#isRequestWorking = false;
      this.#passFilteredRequest(piece, chunk === null);
      this.#resumeRequest();
    });
  }

  #passFilteredRequest(filtered: BodyFilterResult | undefined, isLast: boolean): void {
    if (this.#isOver) return;
    const piece = checkPiece(filtered);
    if (piece !== null && piece.length > 0) this.#passRequest(piece);
    if (isLast) this.#endRequest();
  }

  #passRequest(piece: Uint8Array): void {
    if (this.#canReplay) {
      this.#replay ??= new ReplayBuffer(this.#core.maxReplayBytes);
      if (!this.#replay.add(piece)) this.#forgetReplay();
    }
    const client = this.#client;
    if (client === null || client.sendData(piece)) return;
    this.#isUpstreamFull = true;
    this.#exchange.pauseRequest();
  }

  #endRequest(): void {
    this.#isRequestEnded = true;
    this.#client?.sendEnd(this.#requestTrailers);
  }

  onRequestDrain(): void {
    this.#isUpstreamFull = false;
    this.#resumeRequest();
  }

  /** While there is no upstream to give it to, the body waits at the client. */
  #holdRequest(): void {
    if (this.#exchange.requestBodyLength !== 0 && !this.#isRequestEnded) this.#exchange.pauseRequest();
  }

  #resumeRequest(): void {
    if (this.#client !== null && !this.#isUpstreamFull && !this.#isRequestWorking) this.#exchange.resumeRequest();
  }

  #forgetReplay(): void {
    this.#canReplay = false;
    this.#replay = null;
  }

  // ---- response: upstream to client ----------------------------------------------------------------------------------------------

  onInterim(head: ResponseHead): void {
    if (this.#isOver) return;
    removeHopByHop(head.headers);
    this.#exchange.sendInterim(head);
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    this.timing.respondedAt = this.#core.environment.recentNow;
    this.response = head;
    this.#forgetReplay();
    removeHopByHop(head.headers);
    try {
      const edited = this.#core.hooks.responseFilter?.(this, head, this.#context);
      if (!isPromise(edited)) {
        this.#sendHead(head, bodyLength);
        return;
      }
      // Whatever follows the head waits for the filter.
      this.#isResponseWorking = true;
      this.#client?.pauseResponse();
      this.#await(edited, () => {
        this.#isResponseWorking = false;
        this.#sendHead(head, bodyLength);
        this.#resumeResponse();
      });
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }

  #sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.#isOver) return;
    if (this.#core.hooks.responseBodyFilter === undefined) {
      this.#exchange.sendHead(head, bodyLength < 0 ? BodyLength.chunked : bodyLength);
      return;
    }
    this.#isResponseFiltered = bodyLength !== 0;
    head.headers.deleteKnown(KnownHeader.contentLength);
    this.#exchange.sendHead(head, this.#isResponseFiltered ? BodyLength.chunked : 0);
  }

  onResponseData(chunk: Uint8Array): void {
    if (this.#isResponseFiltered) this.#guard(() => this.#filterResponseBody(chunk, null));
    else this.#passResponse(chunk);
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    if (this.#isResponseFiltered) this.#guard(() => this.#filterResponseBody(null, trailers));
    else this.#exchange.sendEnd(trailers);
  }

  /** @param chunk null at the end of the body */
  #filterResponseBody(chunk: Uint8Array | null, trailers: HeaderMap | null): void {
    if (this.#isOver) return;
    const filtered = this.#core.hooks.responseBodyFilter?.(this, chunk, this.#context);
    if (!isPromise(filtered)) {
      this.#passFilteredResponse(filtered, chunk === null, trailers);
      return;
    }
    this.#isResponseWorking = true;
    this.#client?.pauseResponse();
    this.#await(filtered, (piece) => {
      this.#isResponseWorking = false;
      this.#passFilteredResponse(piece, chunk === null, trailers);
      this.#resumeResponse();
    });
  }

  #passFilteredResponse(filtered: BodyFilterResult | undefined, isLast: boolean, trailers: HeaderMap | null): void {
    if (this.#isOver) return;
    const piece = checkPiece(filtered);
    if (piece !== null && piece.length > 0) this.#passResponse(piece);
    if (isLast) this.#exchange.sendEnd(trailers);
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
    if (this.#isOver) {
      upstream.stream.abort();
      return;
    }
    try {
      this.#joinTunnel(head, upstream);
    } catch (thrown) {
      upstream.stream.abort();
      this.#failByHook(thrown);
    }
  }

  #joinTunnel(head: ResponseHead, upstream: Tunnel): void {
    const { environment, tunnelIdleTimeoutMs } = this.#core;
    const upgrade = head.headers.combined('upgrade');
    removeHopByHop(head.headers);
    if (upgrade !== undefined) head.headers.setKnown(KnownHeader.upgrade, upgrade);
    const client = this.#exchange.openTunnel(head);
    const isTimed = tunnelIdleTimeoutMs <= environment.deadlines.maxDelayMs;
    const clientStream = isTimed ? idleTimeout(client.stream, tunnelIdleTimeoutMs, environment.deadlines) : client.stream;
    this.#tunnel = relay(clientStream, upstream.stream, {
      headA: client.remaining,
      headB: upstream.remaining,
      onDone: (result) => this.#endTunnel(result),
    });
  }

  #endTunnel({ error, brokenBy }: RelayResult): void {
    this.#core.environment.now();
    if (error !== null) withSource(error, brokenBy === 'b' ? 'upstream' : 'downstream');
    this.#exchange.closeTunnel(error);
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  onClientClose(error: WireError | null): void {
    this.#client = null;
    if (error !== null && !this.#isOver) this.#guard(() => this.#retryOrFail(error));
  }

  onExchangeClose(error: WireError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.timing.endedAt = this.#core.environment.recentNow;
    this.#dropUpstream(error);
    this.#forgetReplay();
    this.#core.retryBudget.end(this.#isRetrying);
    const { hooks } = this.#core;
    if (hooks.logging === undefined) return;
    try {
      const logged = hooks.logging(this, this.#failure ?? error, this.#context);
      if (isPromise(logged)) logged.then(undefined, (thrown: unknown) => this.#tellHookFailed(thrown));
    } catch (thrown) {
      this.#tellHookFailed(thrown);
    }
  }

  /** The exchange has its answer or its failure: nothing that is still under way may change it. */
  get #isOver(): boolean {
    return this.#failure !== null || this.#exchange.isClosed;
  }

  #retryOrFail(error: WireError): void {
    this.#lastError = error;
    this.#unreachable = '';
    if (this.hasResponded || !maySendAgain(error, this.request.method) || !this.#mayTryAgain()) {
      this.#fail(error);
      return;
    }
    this.#holdRequest();
    this.#choosePeer();
  }

  /** Attempts and budget allow another try, and the whole request can still be sent. */
  #mayTryAgain(): boolean {
    if (this.attempt > this.#core.maxRetries || !this.#canReplay) return false;
    this.#isRetrying ||= this.#core.retryBudget.tryRetry();
    return this.#isRetrying;
  }

  /** Ends the exchange: the upstream side at once, the client's side when `failToProxy` has had its say. */
  #fail(error: WireError): void {
    if (this.#isClosed || this.#isOver) return;
    this.#failure = error;
    this.#dropUpstream(error);
    if (this.#tunnel !== null) {
      this.#tunnel.abort(error);
      return;
    }
    const { hooks } = this.#core;
    if (hooks.failToProxy === undefined) {
      this.#exchange.abort(error);
      return;
    }
    try {
      const told = hooks.failToProxy(this, error, this.#context);
      if (isPromise(told)) this.#awaitLast(told, error);
      else this.#exchange.abort(error);
    } catch (thrown) {
      this.#tellHookFailed(thrown);
      this.#exchange.abort(error);
    }
  }

  #failByHook(thrown: unknown): void {
    this.#fail(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  }

  #tellHookFailed(thrown: unknown): void {
    this.#core.onHookFailed?.(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  }

  /** Whatever is under way upstream is given up; a connection that carries nothing goes back. */
  #dropUpstream(error: WireError | null): void {
    this.#connecting?.abort();
    this.#connecting = null;
    this.#releaseUnused();
    const client = this.#client;
    if (client === null) return;
    this.#client = null;
    if (!client.isClosed) client.cancel(error ?? internalError('ANSWERED', 'the request was answered without the upstream'));
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
    if (this.#client === null) this.#holdRequest();
    const deadline = environment.deadlines.after(hookTimeoutMs, () => this.#fail(hookTimeout(hookTimeoutMs)));
    // `resolve` makes a true promise of any thenable, so that it settles once, and later.
    Promise.resolve(promise).then(
      (value) => {
        deadline.cancel();
        environment.now();
        if (!this.#isOver) this.#guard(() => next(value));
      },
      (thrown: unknown) => {
        deadline.cancel();
        this.#fail(withSource(toWireError(thrown, 'HOOK_REJECTED'), 'internal'));
      },
    );
  }

  /** Waits for `failToProxy`, and then ends the exchange, if it has not answered. */
  #awaitLast(promise: PromiseLike<void>, error: WireError): void {
    const { environment, hookTimeoutMs } = this.#core;
    this.#holdRequest();
    const deadline = environment.deadlines.after(hookTimeoutMs, () => {
      this.#tellHookFailed(hookTimeout(hookTimeoutMs));
      this.#exchange.abort(error);
    });
    Promise.resolve(promise).then(
      () => {
        deadline.cancel();
        this.#exchange.abort(error);
      },
      (thrown: unknown) => {
        deadline.cancel();
        this.#tellHookFailed(thrown);
        this.#exchange.abort(error);
      },
    );
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#failByHook(thrown);
    }
  }
}

function hookTimeout(hookTimeoutMs: number): WireError {
  const message = `a hook's promise was not settled within ${hookTimeoutMs} ms`;
  return timeoutError('HOOK_TIMEOUT', message, { wire: { status: 500 }, fault: 'local', source: 'internal' });
}
