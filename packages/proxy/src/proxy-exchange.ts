/**
 * One request on its way through the proxy: both halves of the exchange and the phases between them, in one object.
 *
 * Rules of this file:
 * - Bytes flow at the pace of the slower side: a `false` from one side's `sendData` pauses the other side, its drain resumes it.
 * - Pieces of the request's body are kept, up to `maxReplayBytes`, until an answer begins: what is kept can be sent again.
 * - After a final response has begun there is no retry and no error page: the client sees a message that is visibly cut short.
 * - `logging` is called exactly once, when both halves are over.
 *
 * ```text
 *   filtering ──► connecting ──► proxying ──► closed
 *       │             ▲ retry │      │ 101
 *       └── answered  └───────┘      └──► tunnel ──► closed
 * ```
 */
import { applicationError, internalError, protocolError, type WireError, toWireError, withSource } from '@ferrata/error';
import { type HeaderMap, HttpVersion, KnownHeader, type RequestHead, type ResponseHead, removeHopByHop } from '@ferrata/headers';
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
import { type StreamInfo, giveAway, idleTimeout, relay } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';
import type { ProxyCore } from './http-proxy.ts';
import type { Awaitable, BodyFilterResult } from './proxy-hooks.ts';
import type { ProxySession, SessionTiming } from './proxy-session.ts';
import { maySendAgain } from './retry-policy.ts';

/** One request, in the eyes of both connections and of the hooks. */
export class ProxyExchange<Context> implements ServerExchangeHandler, ClientExchangeHandler, ProxySession {
  readonly #core: ProxyCore<Context>;
  readonly #exchange: ServerExchange;
  readonly #context: Context;
  readonly timing: SessionTiming;
  peer: Peer | null = null;
  upstream: StreamInfo | null = null;
  response: ResponseHead | null = null;
  attempt = 0;
  isUpstreamReused = false;
  #client: ClientExchange | null = null;
  #abortConnect: AbortController | null = null;
  #isBodyDone = false;
  #requestTrailers: HeaderMap | null = null;
  /** Pieces of the body that could be sent again; null once there are too many, or an answer has begun. */
  #kept: Uint8Array[] | null = [];
  #keptBytes = 0;
  #isClosed = false;
  /** Work of asynchronous body filters, in order. */
  #requestWork: Promise<void> | null = null;
  #responseWork: Promise<void> | null = null;
  #error: WireError | null = null;

  constructor(core: ProxyCore<Context>, exchange: ServerExchange) {
    this.#core = core;
    this.#exchange = exchange;
    this.timing = { startedAt: exchange.startedAt, connectedAt: Number.NaN, respondedAt: Number.NaN, endedAt: Number.NaN };
    core.retryBudget.begin();
    this.#context = core.hooks.newContext(this);
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
    return this.#exchange.requestBytes;
  }
  get responseBytes(): number {
    return this.#exchange.responseBytes;
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
    this.#guard(() => this.#filterEarly());
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
    const answered = this.#core.hooks.requestFilter?.(this, this.#context);
    if (isPromise(answered)) this.#await(answered, (value) => this.#choosePeer(value));
    else this.#choosePeer(answered ?? false);
  }

  #choosePeer(isAnswered: boolean): void {
    if (isAnswered) {
      if (!this.hasResponded) this.#fail(applicationError('NOT_ANSWERED', 'requestFilter returned true without an answer'));
      return;
    }
    if (this.#isClosed || this.hasResponded) return;
    this.attempt++;
    const chosen = this.#core.hooks.upstreamPeer(this, this.#context);
    if (isPromise(chosen)) this.#await(chosen, (peer) => this.#connect(peer));
    else this.#connect(chosen);
  }

  #connect(peer: Peer): void {
    const failed = this.#error;
    if (failed !== null && failed.type === 'connect' && this.peer?.key === peer.key) {
      // The same peer once more: nothing is gained by asking it again at once.
      this.#fail(failed);
      return;
    }
    this.peer = peer;
    // A retry goes to a fresh connection: where one idle connection was stale, its neighbours are likely to be so too.
    const idle = this.attempt === 1 ? this.#core.connector.take(peer) : null;
    if (idle !== null) {
      this.#send(idle);
      return;
    }
    this.#holdRequest();
    const abort = new AbortController();
    this.#abortConnect = abort;
    this.#core.connector.connect(peer, abort.signal).then(
      (session) => {
        this.#core.environment.now();
        this.#abortConnect = null;
        if (this.#isClosed) session.close();
        else this.#guard(() => this.#send(session));
      },
      (thrown: unknown) => {
        this.#core.environment.now();
        this.#abortConnect = null;
        if (!this.#isClosed) this.#guard(() => this.#failToConnect(peer, withSource(toWireError(thrown), 'upstream')));
      },
    );
  }

  #failToConnect(peer: Peer, error: WireError): void {
    this.#core.hooks.failToConnect?.(this, peer, error, this.#context);
    this.#error = error;
    if (error.retry === 'always' && this.#mayTryAgain()) this.#choosePeer(false);
    else this.#fail(error);
  }

  #send(session: Http1ClientSession): void {
    this.timing.connectedAt = this.#core.environment.recentNow;
    const request = this.#upstreamRequest();
    const edited = this.#core.hooks.upstreamRequestFilter?.(this, request, this.#context);
    if (isPromise(edited)) this.#await(edited, () => this.#sendRequest(session, request), () => session.close());
    else this.#sendRequest(session, request);
  }

  #sendRequest(session: Http1ClientSession, request: RequestHead): void {
    if (!session.isReusable) {
      // It ended while a filter was waiting: nothing was sent, so try again.
      this.#retryOrFail(protocolError('UPSTREAM_CLOSED', 'the connection closed before the request was sent', { retry: 'always', source: 'upstream' }));
      return;
    }
    const { requestBodyLength, upgrade } = this.#exchange;
    const isFiltered = this.#core.hooks.requestBodyFilter !== undefined && requestBodyLength !== 0;
    const client = session.request(request, { bodyLength: isFiltered ? BodyLength.chunked : requestBodyLength, upgrade }, this);
    this.#client = client;
    this.upstream = client.info;
    this.isUpstreamReused = client.isReused;
    if (requestBodyLength === 0) return;
    const kept = this.#kept;
    let hasRoom = true;
    if (kept !== null) for (const chunk of kept) hasRoom = client.sendData(chunk);
    if (this.#isBodyDone) client.sendEnd(this.#requestTrailers);
    else if (hasRoom) this.#exchange.resumeRequest();
  }

  /** The request as it goes upstream: HTTP/1.1, origin-form, without hop-by-hop fields, with the Host that the target names. */
  #upstreamRequest(): RequestHead {
    const { method, target, headers } = this.request;
    const request: RequestHead = { method, target, version: HttpVersion.http11, headers: headers.clone() };
    normalizeTarget(request);
    removeHopByHop(request.headers, { keepTrailersTe: true });
    // HTTP/1.0 clients may send no Host, HTTP/1.1 needs one (RFC 9112 §3.2).
    if (!request.headers.hasKnown(KnownHeader.host)) request.headers.setKnown(KnownHeader.host, this.peer?.authority ?? '');
    return request;
  }

  // ---- request body: client to upstream ------------------------------------------------------------------------------------------

  onRequestData(chunk: Uint8Array): void {
    const filter = this.#core.hooks.requestBodyFilter;
    if (filter === undefined) {
      this.#passRequest(chunk);
      return;
    }
    this.#requestWork = this.#filterBody(this.#requestWork, () => filter.call(this.#core.hooks, this, chunk, this.#context), (out) => {
      if (out !== null) this.#passRequest(out);
    });
    if (this.#requestWork !== null) this.#exchange.pauseRequest();
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    if (this.#exchange.requestBodyLength === 0) return;
    const filter = this.#core.hooks.requestBodyFilter;
    if (filter === undefined) {
      this.#endRequest(trailers);
      return;
    }
    this.#requestWork = this.#filterBody(this.#requestWork, () => filter.call(this.#core.hooks, this, null, this.#context), (out) => {
      if (out !== null) this.#passRequest(out);
      this.#endRequest(trailers);
    });
  }

  #passRequest(chunk: Uint8Array): void {
    this.#keep(chunk);
    const client = this.#client;
    if (client !== null && !client.sendData(chunk)) this.#exchange.pauseRequest();
  }

  #endRequest(trailers: HeaderMap | null): void {
    this.#isBodyDone = true;
    this.#requestTrailers = trailers;
    this.#client?.sendEnd(trailers);
  }

  #keep(chunk: Uint8Array): void {
    if (this.#kept === null) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes <= this.#core.maxReplayBytes) this.#kept.push(chunk);
    else this.#kept = null;
  }

  onRequestDrain(): void {
    if (this.#requestWork === null) this.#exchange.resumeRequest();
  }

  /** While there is no upstream to give it to, the body waits at the client. */
  #holdRequest(): void {
    if (this.#exchange.requestBodyLength !== 0 && !this.#isBodyDone) this.#exchange.pauseRequest();
  }

  // ---- response: upstream to client ----------------------------------------------------------------------------------------------

  onInterim(head: ResponseHead): void {
    removeHopByHop(head.headers);
    this.#exchange.sendInterim(head);
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    this.timing.respondedAt = this.#core.environment.recentNow;
    this.response = head;
    this.#kept = null;
    removeHopByHop(head.headers);
    const filtered = this.#core.hooks.responseFilter?.(this, head, this.#context);
    if (!isPromise(filtered)) {
      this.#sendHead(head, bodyLength);
      return;
    }
    // Whatever follows the head waits for the filter.
    this.#client?.pauseResponse();
    this.#await(filtered, () => {
      this.#sendHead(head, bodyLength);
      this.#client?.resumeResponse();
    });
  }

  #sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.hasResponded) return;
    const isFiltered = this.#core.hooks.responseBodyFilter !== undefined && bodyLength !== 0;
    this.#exchange.sendHead(head, isFiltered || bodyLength < 0 ? BodyLength.chunked : bodyLength);
  }

  onResponseData(chunk: Uint8Array): void {
    const filter = this.#core.hooks.responseBodyFilter;
    if (filter === undefined) {
      // Nobody else has seen it.
      giveAway(chunk);
      this.#passResponse(chunk);
      return;
    }
    this.#responseWork = this.#filterBody(this.#responseWork, () => filter.call(this.#core.hooks, this, chunk, this.#context), (out) => {
      if (out !== null) this.#passResponse(out);
    });
    if (this.#responseWork !== null) this.#client?.pauseResponse();
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    const filter = this.#core.hooks.responseBodyFilter;
    if (filter === undefined) {
      this.#exchange.sendEnd(trailers);
      return;
    }
    this.#responseWork = this.#filterBody(this.#responseWork, () => filter.call(this.#core.hooks, this, null, this.#context), (out) => {
      if (out !== null) this.#passResponse(out);
      this.#exchange.sendEnd(trailers);
    });
  }

  #passResponse(chunk: Uint8Array): void {
    if (!this.#exchange.sendData(chunk)) this.#client?.pauseResponse();
  }

  onResponseDrain(): void {
    if (this.#responseWork === null) this.#client?.resumeResponse();
  }

  onTunnel(head: ResponseHead, upstream: Tunnel): void {
    const exchange = this.#exchange;
    const client = exchange.openTunnel(head);
    const { environment, tunnelIdleTimeoutMs } = this.#core;
    relay(idleTimeout(client.stream, tunnelIdleTimeoutMs, environment.deadlines), upstream.stream, {
      headA: client.remaining,
      headB: upstream.remaining,
      onDone: (result) => exchange.closeTunnel(result.error),
    });
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  onClientClose(error: WireError | null): void {
    this.#client = null;
    if (error !== null && !this.#isClosed) this.#guard(() => this.#retryOrFail(error));
  }

  onExchangeClose(error: WireError | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.timing.endedAt = this.#core.environment.recentNow;
    this.#abortConnect?.abort();
    const client = this.#client;
    this.#client = null;
    if (client !== null && !client.isClosed) client.cancel(error ?? internalError('RESPONSE_COMPLETE', 'the response was complete before the request'));
    this.#kept = null;
    this.#core.retryBudget.end(this.attempt);
    this.#core.hooks.logging?.(this, error, this.#context);
  }

  #retryOrFail(error: WireError): void {
    this.#error = error;
    if (!this.hasResponded && maySendAgain(error, this.request.method) && this.#mayTryAgain()) {
      this.#holdRequest();
      this.#choosePeer(false);
      return;
    }
    this.#fail(error);
  }

  /** Attempts and budget allow another try, and the whole request can still be sent. */
  #mayTryAgain(): boolean {
    if (this.attempt > this.#core.maxRetries || this.#kept === null) return false;
    return this.attempt > 1 || this.#core.retryBudget.tryRetry();
  }

  #fail(error: WireError): void {
    if (this.#isClosed) return;
    const failed = this.#core.hooks.failToProxy?.(this, error, this.#context);
    if (!isPromise(failed)) {
      this.#exchange.abort(error);
      return;
    }
    failed.then(
      () => this.#exchange.abort(error),
      (thrown: unknown) => this.#exchange.abort(toWireError(thrown)),
    );
  }

  // ---- waiting -------------------------------------------------------------------------------------------------------------------

  /** Goes on with `next` when `promise` is fulfilled, unless the request is over by then. */
  #await<T>(promise: Promise<T>, next: (value: T) => void, otherwise?: () => void): void {
    this.#holdRequest();
    promise.then(
      (value) => {
        this.#core.environment.now();
        if (this.#isClosed) otherwise?.();
        else this.#guard(() => next(value));
      },
      (thrown: unknown) => {
        otherwise?.();
        this.#fail(toWireError(thrown, 'HOOK_REJECTED'));
      },
    );
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#fail(toWireError(thrown, 'HOOK_THREW'));
    }
  }

  /** Runs a body filter after those before it. @returns the work to wait for, or null if all was done at once */
  #filterBody(before: Promise<void> | null, filter: () => Awaitable<BodyFilterResult>, pass: (out: BodyFilterResult) => void): Promise<void> | null {
    if (before === null) {
      const out = filter();
      if (!isPromise(out)) {
        pass(out);
        return null;
      }
      return this.#whenFiltered(out.then(pass));
    }
    return this.#whenFiltered(before.then(filter).then(pass));
  }

  #whenFiltered(work: Promise<void>): Promise<void> {
    const settled = work.then(
      () => {
        if (this.#requestWork === settled) {
          this.#requestWork = null;
          this.#exchange.resumeRequest();
        }
        if (this.#responseWork === settled) {
          this.#responseWork = null;
          this.#client?.resumeResponse();
        }
      },
      (thrown: unknown) => this.#fail(toWireError(thrown, 'HOOK_REJECTED')),
    );
    return settled;
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
