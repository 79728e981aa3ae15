/**
 * One try of a request upstream: a connection to one peer, and the exchange on it.
 *
 * ```text
 *   connecting ──► filtering (connectedToUpstream, upstreamRequestFilter) ──► sent ──► answered ──► over
 *       └────────────────┴──────────────────────────────────────────────────────┴───── failed ─────┘
 * ```
 *
 * Rules:
 * - A connection that was handed to us goes to the network with the request on it, or back to the connector.
 * - Whatever comes of it is told to the follower; after `giveUp` nothing is, and what is under way is dropped.
 */
import type { WireError } from '@ferrata/error';
import { type HeaderMap, KnownHeader, type ReadonlyResponseHead, type RequestHead, type ResponseHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ClientSession, ServerExchange, Tunnel } from '@ferrata/http';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleChain, ModuleClientHandler } from '@ferrata/http-modules';
import { BodyLength } from '@ferrata/http1';
import type { StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { Peer } from '@ferrata/upstream';
import { closedBeforeSent, notNeeded, settingsTimeout, tryTimeout } from './errors.ts';
import { inTime, isPromise } from './hook-result.ts';
import type { ProxyCore } from './proxy-core.ts';
import type { AnswerableSession, UpstreamConnection } from './proxy-session.ts';
import type { RequestBody } from './request-body.ts';
import { askForSwitch, needsSettings, wantsOwnConnection } from './switching.ts';

/** The request that is tried. */
export interface AttemptHost<Context> {
  readonly core: ProxyCore<Context>;
  readonly context: Context;
  readonly session: AnswerableSession;
  readonly exchange: ServerExchange;
  /** Null: the request has none. */
  readonly body: RequestBody | null;
  /** Its body goes through a filter, so that nobody knows its length. */
  readonly isBodyFiltered: boolean;
  /** It has its answer, or its failure. */
  isOver(): boolean;
  /**
   * Goes on with `next` when a hook's promise is fulfilled in time, unless the request is over by then.
   *
   * @param isWanted false: nobody waits for it any more, and its rejection ends nothing
   */
  waitFor<T>(promise: PromiseLike<T>, next: (value: T) => void, isWanted?: () => boolean): void;
  /** Calls what may throw as a hook does, which ends the request. */
  guard(call: () => void): void;
}

/** Who hears of a try. Nothing is told after `giveUp`. */
export interface AttemptFollower {
  /** There is a connection; nothing was sent on it. */
  onConnected(attempt: UpstreamAttempt<unknown>): void;
  /** No connection could be made. */
  onUnreachable(attempt: UpstreamAttempt<unknown>, error: WireError): void;
  /** The connection has closed before the request was sent on it. */
  onLostPlace(attempt: UpstreamAttempt<unknown>, error: WireError): void;
  /** The exchange has ended with an error. */
  onFailed(attempt: UpstreamAttempt<unknown>, error: WireError): void;
  onInterim(attempt: UpstreamAttempt<unknown>, head: ResponseHead): void;
  /** The head of its final response has come, and modules see it: `onAnswer` follows. */
  onHead(attempt: UpstreamAttempt<unknown>): void;
  onAnswer(attempt: UpstreamAttempt<unknown>, head: ResponseHead, bodyLength: number): void;
  onAnswerData(chunk: Uint8Array): void;
  onAnswerEnd(trailers: HeaderMap | null): void;
  onSwitch(attempt: UpstreamAttempt<unknown>, head: ResponseHead, tunnel: Tunnel): void;
}

/** How one try begins. */
export interface AttemptStart {
  readonly peer: Peer;
  /** What `upstreamPeer` gave: the peer itself, or one of which the peer is the `forUpgrade`. */
  readonly chosen: Peer;
  /** An idle connection will do. */
  readonly mayReuse: boolean;
  /** A shared connection that has just lost this request: taken again only if there is no other. */
  readonly except: ClientSession | null;
}

/** One try. */
export class UpstreamAttempt<Context> implements ClientExchangeHandler {
  readonly #host: AttemptHost<Context>;
  readonly #follower: AttemptFollower;
  readonly peer: Peer;
  readonly chosen: Peer;
  /** What is under way: at most one of these is there. */
  #connecting: AbortController | null = null;
  /** A connection that was handed to us, and carries nothing while a filter is waited for. */
  #unused: ClientSession | null = null;
  #client: ClientExchange | null = null;
  /** Null: no module takes part. */
  #modules: ModuleClientHandler | null = null;
  /** The connection that it is on, or was. */
  session: ClientSession | null = null;
  isReused = false;
  /** The request as it was sent. */
  request: RequestHead | null = null;
  /** It has been told of by a final head, or an end. */
  #isGivenUp = false;
  /** `perTryTimeoutMs`, while no answer has begun; then `hookTimeoutMs`, while `adjustUpstreamModules` is waited for. */
  #deadline: Deadline | null = null;
  // What the exchange counted, when it is over.
  #requestBytes = 0;
  #responseBytes = 0;
  #writePendingMs = 0;

  constructor(host: AttemptHost<Context>, follower: AttemptFollower, { peer, chosen }: AttemptStart) {
    this.#host = host;
    this.#follower = follower;
    this.peer = peer;
    this.chosen = chosen;
  }

  get hasClient(): boolean {
    return this.#client !== null;
  }
  get requestBytes(): number {
    return this.#client?.requestBytes ?? this.#requestBytes;
  }
  get responseBytes(): number {
    return this.#client?.responseBytes ?? this.#responseBytes;
  }
  get writePendingMs(): number {
    return this.#client?.writePendingMs ?? this.#writePendingMs;
  }
  get info(): StreamInfo | null {
    return this.session?.stream.info ?? null;
  }

  module<Module extends HttpModule>(kind: HttpModuleKind<Module>): Module | null {
    return this.#modules === null ? null : this.#modules.module(kind);
  }

  /** @throws what hooks throw */
  start({ mayReuse, except }: AttemptStart): void {
    const { core, exchange } = this.#host;
    const { perTryTimeoutMs, environment } = core;
    if (perTryTimeoutMs !== Number.POSITIVE_INFINITY)
      this.#deadline = environment.deadlines.after(perTryTimeoutMs, () => this.#handleLate());
    // A request to switch protocols has a connection of its own, before and after; one that may be HTTP/2 is asked for no switch.
    const mayTake = mayReuse && (!wantsOwnConnection(exchange) || this.peer.protocol !== 'http1');
    const idle = mayTake ? core.connector.take(this.peer) : null;
    if (idle === null) this.#connect(except);
    else this.#use(idle);
  }

  /** Whatever is under way is dropped; a connection that carries nothing goes back. Nothing is told any more. @param error null: for no fault */
  giveUp(error: WireError | null): void {
    this.#isGivenUp = true;
    this.#stopWaiting();
    this.#connecting?.abort();
    this.#connecting = null;
    this.#releaseUnused();
    const client = this.#client;
    if (client === null) {
      // Of an exchange that could not be begun nobody else tells them the end.
      if (this.#modules?.isClosed === false) this.#modules.cancel(error ?? notNeeded());
      return;
    }
    this.#forget(client);
    // An error is made only where there is something to give up: most requests end without.
    if (!client.isClosed) client.cancel(error ?? notNeeded());
  }

  pauseResponse(): void {
    this.#client?.pauseResponse();
  }
  resumeResponse(): void {
    this.#client?.resumeResponse();
  }

  // ---- a connection --------------------------------------------------------------------------------------------------------------

  #connect(except: ClientSession | null): void {
    const { core, body } = this.#host;
    body?.hold();
    this.#connecting = core.parts.openConnection(core, { peer: this.peer, except }, (session, error) => {
      this.#connecting = null;
      if (session !== null && (this.#isGivenUp || this.#host.isOver())) core.connector.release(session);
      else if (session !== null) this.#host.guard(() => this.#use(session));
      else if (error !== null && !this.#isGivenUp) this.#end(() => this.#follower.onUnreachable(this, error));
    });
  }

  #use(session: ClientSession): void {
    this.#unused = session;
    this.session = session;
    this.isReused = session.requestCount > 0;
    this.#follower.onConnected(this);
    const { exchange, core } = this.#host;
    if (session.whenReady === undefined || !needsSettings(exchange, session)) return this.#tellConnected(session);
    // RFC 8441 §3: whether it takes extended CONNECT is known when its SETTINGS have come.
    const deadline = core.environment.deadlines.after(this.peer.connectTimeoutMs, () => {
      if (this.#isWaitingOn(session)) this.#end(() => this.#follower.onFailed(this, settingsTimeout()));
    });
    session.whenReady(() => {
      deadline.cancel();
      if (this.#isWaitingOn(session)) this.#host.guard(() => this.#tellConnected(session));
    });
  }

  #isWaitingOn(session: ClientSession): boolean {
    return !this.#isGivenUp && this.#unused === session && !this.#host.isOver();
  }

  #tellConnected(session: ClientSession): void {
    const { core, context, session: told } = this.#host;
    if (core.hooks.connectedToUpstream === undefined) return this.#filter(session);
    const connection: UpstreamConnection = { info: session.stream.info, protocol: session.protocol, isReused: this.isReused };
    const answer = core.hooks.connectedToUpstream(told, connection, context);
    if (isPromise(answer)) this.#waitFor(answer, session, () => this.#filter(session));
    else this.#filter(session);
  }

  #filter(session: ClientSession): void {
    if (!this.#isWaitingOn(session)) return;
    const { core, context, session: told, body, exchange } = this.#host;
    const hop = { authority: this.peer.authority, hasBody: body !== null, protocol: session.protocol };
    const request = core.parts.upstreamRequest(exchange.request, hop);
    const edited = core.hooks.upstreamRequestFilter?.(told, request, context);
    if (isPromise(edited)) this.#waitFor(edited, session, () => this.#send(session, request));
    else this.#send(session, request);
  }

  #waitFor(promise: PromiseLike<void>, session: ClientSession, next: () => void): void {
    this.#host.waitFor(promise, next, () => this.#isWaitingOn(session));
  }

  #send(session: ClientSession, request: RequestHead): void {
    if (!this.#isWaitingOn(session)) return;
    if (!session.isReusable) {
      this.#end(() => this.#follower.onLostPlace(this, closedBeforeSent()));
      return;
    }
    const { core, exchange, body, isBodyFiltered } = this.#host;
    const bodyLength = isBodyFiltered ? BodyLength.chunked : exchange.requestBodyLength;
    // Over HTTP/1, without chunks there is no place for what it announces (RFC 9112 §7.1.2).
    if (bodyLength === 0 || (bodyLength > 0 && !session.isShared)) request.headers.deleteKnown(KnownHeader.trailer);
    const { upgrade, protocol } = askForSwitch(request, exchange, { session, peer: this.peer, environment: core.environment });
    this.request = request;
    this.#modules = core.upstreamModules === null ? null : this.#followByModules(core.upstreamModules, request);
    const made = session.request(request, { bodyLength, upgrade, protocol }, this.#modules ?? this);
    const client = this.#modules === null ? made : this.#modules.attach(made);
    this.#unused = null;
    this.#client = client;
    body?.flowTo(client);
  }

  #followByModules(chain: ModuleChain, request: RequestHead): ModuleClientHandler | null {
    const { core, exchange, body, session, context } = this.#host;
    const { hooks } = core;
    const beforeResponse = (head: ReadonlyResponseHead): Awaitable<void> => {
      if (this.#isGivenUp) return undefined;
      this.#stopWaiting();
      this.#follower.onHead(this);
      if (hooks.adjustUpstreamModules === undefined) return undefined;
      const call = (): Awaitable<void> | undefined => hooks.adjustUpstreamModules?.(session, head, context);
      return inTime(call, core, (deadline) => void (this.#deadline = deadline));
    };
    return chain.follow({ request, client: exchange.info, hasRequestBody: body !== null }, this, { beforeResponse });
  }

  // ---- the exchange --------------------------------------------------------------------------------------------------------------

  onRequestDrain(): void {
    if (!this.#isGivenUp) this.#host.body?.handleDrain();
  }

  onInterim(head: ResponseHead): void {
    if (!this.#isGivenUp) this.#follower.onInterim(this, head);
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    if (this.#isGivenUp) return;
    this.#stopWaiting();
    this.#follower.onAnswer(this, head, bodyLength);
  }

  onResponseData(chunk: Uint8Array): void {
    if (!this.#isGivenUp) this.#follower.onAnswerData(chunk);
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    if (!this.#isGivenUp) this.#follower.onAnswerEnd(trailers);
  }

  onTunnel(head: ResponseHead, tunnel: Tunnel): void {
    this.#stopWaiting();
    if (this.#client !== null) this.#forget(this.#client);
    if (this.#isGivenUp || this.#host.isOver()) tunnel.stream.abort();
    else this.#follower.onSwitch(this, head, tunnel);
  }

  onClientClose(error: WireError | null): void {
    if (this.#client !== null) this.#forget(this.#client);
    if (error !== null && !this.#isGivenUp) this.#end(() => this.#follower.onFailed(this, error));
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  #handleLate(): void {
    const { core } = this.#host;
    core.environment.now();
    this.#deadline = null;
    if (this.#isGivenUp || this.#host.isOver()) return;
    const isConnected = this.session !== null;
    const error = tryTimeout(core.perTryTimeoutMs, isConnected);
    this.giveUp(error);
    this.#host.guard(() => (isConnected ? this.#follower.onFailed(this, error) : this.#follower.onUnreachable(this, error)));
  }

  /** The try is over by itself. */
  #end(tell: () => void): void {
    this.#isGivenUp = true;
    this.#stopWaiting();
    this.#releaseUnused();
    if (!this.#host.isOver()) this.#host.guard(tell);
  }

  #stopWaiting(): void {
    this.#deadline?.cancel();
    this.#deadline = null;
  }

  #forget(client: ClientExchange): void {
    this.#client = null;
    this.#requestBytes = client.requestBytes;
    this.#responseBytes = client.responseBytes;
    this.#writePendingMs = client.writePendingMs;
  }

  #releaseUnused(): void {
    const session = this.#unused;
    if (session === null) return;
    this.#unused = null;
    this.#host.core.connector.release(session);
  }
}
