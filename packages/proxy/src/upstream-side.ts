/**
 * The tries of one request upstream, one after another or, where hedging is wanted, two side by side, until one of them has an answer or none is left.
 *
 * Rules:
 * - A request goes again only where that cannot do it twice, its body is still held, tries are left, and the retry budget allows it.
 * - Where it goes is asked of `upstreamPeer` each time. A peer that could not be connected to is not asked again at once.
 * - The first head of a final response is the answer; the other try is given up, and what was waited for on its behalf is of no account.
 * - What is not a try: a place on a connection that was gone before the request was sent, and, up to a number, a request that was refused unread.
 *
 * @see RFC 9110 §9.2.2 · RFC 9113 §8.7
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import type { HeaderMap, ResponseHead } from '@ferrata/headers';
import type { ClientSession, Tunnel } from '@ferrata/http';
import type { StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { type Peer, peerForClient } from '@ferrata/upstream';
import { checkPeer, checkSync, isPromise, whenSettled } from './hook-result.ts';
import type { Awaitable } from './proxy-hooks.ts';
import { isIdempotent, LostPlaces } from './retry-policy.ts';
import { wantedUpgrade } from './switching.ts';
import { type AttemptFollower, type AttemptHost, type AttemptStart, UpstreamAttempt } from './upstream-attempt.ts';

/** The code of RST_STREAM, or of a GOAWAY that leaves a request out (RFC 9113 §7). */
const HTTP_1_1_REQUIRED = 0x0d;

/** The request, and who hears what becomes of it upstream. */
export interface UpstreamHost<Context> extends AttemptHost<Context> {
  /** Where it goes, and `upstreamPeer` is not asked. Null, or absent: wherever that says. */
  readonly givenPeer?: Peer | null;
  onConnected(): void;
  onInterim(head: ResponseHead): void;
  /** The answer begins; `source` is where it comes from. */
  onAnswer(head: ResponseHead, bodyLength: number): void;
  onAnswerData(chunk: Uint8Array): void;
  onAnswerEnd(trailers: HeaderMap | null): void;
  onSwitch(head: ResponseHead, tunnel: Tunnel): void;
  /** It has failed, and is not tried again. */
  fail(error: WireError): void;
}

/** The tries of one request. */
export class UpstreamSide<Context> implements AttemptFollower {
  readonly #host: UpstreamHost<Context>;
  /** The try that is under way, has answered, or was last. */
  #current: UpstreamAttempt<Context> | null = null;
  /** A second one beside it, while neither has answered. */
  #hedge: UpstreamAttempt<Context> | null = null;
  /** When to try a second time; then how long its peer may take to be chosen. */
  #hedgeDeadline: Deadline | null = null;
  /** The peer of that second one is being chosen. */
  #isChoosingBeside = false;
  /** There is an answer: nothing else is tried. */
  #isSettled = false;
  /** How often a peer has been asked for. */
  attempt = 0;
  refusedCount = 0;
  /** Where the request was sent last: not the first choice for another try. */
  #lastSession: ClientSession | null = null;
  /** Why the last try failed; with the key of its peer if there was no connection to it. */
  #lastError: WireError | null = null;
  #unreachable = '';
  /** An upstream has said that it wants HTTP/1.1 for this request (RFC 9113 §7). */
  #wantsHttp1 = false;
  isRetrying = false;
  /** They are among `refusedCount`. Null: none. */
  #lostPlaces: LostPlaces | null = null;

  constructor(host: UpstreamHost<Context>) {
    this.#host = host;
  }

  /** The try that has answered; before that, the last one that was begun. */
  get current(): UpstreamAttempt<Context> | null {
    return this.#hedge ?? this.#current;
  }
  /** The peer in use, or last used. */
  get peer(): Peer | null {
    return this.current?.peer ?? null;
  }
  /** Facts about the connection to `peer`; null while there is none. */
  get info(): StreamInfo | null {
    return this.current?.info ?? null;
  }
  get isReused(): boolean {
    return this.current?.isReused === true;
  }
  /** A request is on its way on some connection. */
  get hasClient(): boolean {
    return this.#current?.hasClient === true;
  }

  /** Asks for a peer, and tries it. @throws what hooks throw */
  begin(): void {
    const chosen = this.#choosePeer();
    if (isPromise(chosen)) this.#waitFor(chosen, (peer) => this.#try(peer));
    else this.#try(chosen);
  }

  pauseResponse(): void {
    this.#current?.pauseResponse();
  }
  resumeResponse(): void {
    this.#current?.resumeResponse();
  }

  /** Whatever is under way is given up. */
  drop(error: WireError | null): void {
    this.#stopHedging(error);
    this.#current?.giveUp(error);
  }

  #choosePeer(): Awaitable<Peer> {
    const { core, session, context, givenPeer } = this.#host;
    this.attempt++;
    return givenPeer ?? core.hooks.upstreamPeer(session, context);
  }

  /** Nothing that was waited for is of account when there is an answer. */
  #waitFor<T>(promise: PromiseLike<T>, next: (value: T) => void): void {
    this.#host.waitFor(promise, next, () => !this.#isSettled);
  }

  #try(chosen: Peer): void {
    const host = this.#host;
    if (this.#isSettled || host.isOver()) return;
    const peer = this.#peerFor(checkPeer(chosen));
    if (this.#lastError !== null && this.#unreachable === peer.key) {
      // The same peer once more: nothing is gained by asking it again at once.
      host.fail(this.#lastError);
      return;
    }
    // A retry goes to a fresh connection: where one idle connection was stale, its neighbours are likely to be so too.
    const start: AttemptStart = { peer, chosen, mayReuse: this.attempt === 1, except: this.#lastSession };
    const attempt = new UpstreamAttempt(host, this, start);
    this.#current = attempt;
    attempt.start(start);
  }

  #peerFor(chosen: Peer): Peer {
    const { core, exchange } = this.#host;
    const asked =
      this.#wantsHttp1 && chosen.forUpgrade !== null
        ? chosen.forUpgrade
        : core.upgradePeers.peerFor(chosen, wantedUpgrade(exchange), core.environment.recentNow);
    // Whoever has no IP address cannot be told of by a PROXY header: the connection says so.
    return exchange.info.remoteAddress.kind === 'ip' ? peerForClient(asked, exchange.info) : asked;
  }

  // ---- hedging -------------------------------------------------------------------------------------------------------------------

  /** Only the first try, of what may be done twice, and is whole: a body could be read by one upstream alone. */
  #mayHedge(): boolean {
    const { core, exchange, body } = this.#host;
    return (
      core.hedgeAfterMs !== Number.POSITIVE_INFINITY &&
      body === null &&
      this.attempt - this.refusedCount === 1 &&
      isIdempotent(exchange.request.method) &&
      wantedUpgrade(exchange) === null
    );
  }

  #hedgeNow(): void {
    this.#hedgeDeadline = null;
    const host = this.#host;
    const { environment, hookTimeoutMs } = host.core;
    environment.now();
    if (host.isOver() || !this.#mayTryAgain(false)) return;
    this.#isChoosingBeside = true;
    let chosen: Awaitable<Peer>;
    try {
      const given = this.#choosePeer();
      chosen = isPromise(given) ? Promise.resolve(given).then(checkPeer) : checkPeer(given);
    } catch (thrown) {
      this.#loseBeside(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
      return;
    }
    const begin = (peer: Peer): void => host.guard(() => this.#beginBeside(peer));
    if (isPromise(chosen)) this.#hedgeDeadline = whenSettled(chosen, environment, hookTimeoutMs, begin, (error) => this.#loseBeside(error));
    else begin(chosen);
  }

  /** If the first was lost meanwhile, it is the only one. */
  #beginBeside(chosen: Peer): void {
    if (this.#isChoosingBeside) this.#tryBeside(chosen);
    else this.#try(chosen);
  }

  /** No peer was chosen for it, which is no reason to give the first one up. */
  #loseBeside(error: WireError): void {
    const host = this.#host;
    if (this.#isSettled || host.isOver()) return;
    if (!this.#isChoosingBeside) return host.fail(error);
    this.#isChoosingBeside = false;
    host.core.onHookFailed?.(error);
  }

  #tryBeside(chosen: Peer): void {
    this.#isChoosingBeside = false;
    const host = this.#host;
    if (this.#isSettled || host.isOver()) return;
    const peer = this.#peerFor(chosen);
    const start: AttemptStart = { peer, chosen, mayReuse: true, except: this.#lastSession };
    this.#hedge = new UpstreamAttempt(host, this, start);
    this.#hedge.start(start);
  }

  #stopHedging(error: WireError | null): void {
    this.#stopHedgeDeadline();
    this.#hedge?.giveUp(error);
    this.#hedge = null;
    this.#isChoosingBeside = false;
  }

  #stopHedgeDeadline(): void {
    this.#hedgeDeadline?.cancel();
    this.#hedgeDeadline = null;
  }

  /** The first to have something to say is the one; the other is given up. */
  #settleOn(attempt: UpstreamAttempt<unknown>): void {
    this.#isSettled = true;
    if (attempt === this.#hedge) {
      const slower = this.#current;
      this.#current = this.#hedge;
      this.#hedge = slower;
    }
    this.#stopHedging(null);
  }

  /** A try has failed: if there is another one beside it, that goes on alone. @returns false: there is none */
  #leavesItToAnother(attempt: UpstreamAttempt<unknown>): boolean {
    // A retry is no first try, so nothing is tried beside it.
    if (!this.#isChoosingBeside) this.#stopHedgeDeadline();
    if (this.#hedge !== null) {
      if (attempt === this.#current) this.#current = this.#hedge;
      this.#hedge = null;
      return true;
    }
    if (!this.#isChoosingBeside) return false;
    this.#isChoosingBeside = false;
    return true;
  }

  // ---- what tries tell -----------------------------------------------------------------------------------------------------------

  onConnected(attempt: UpstreamAttempt<unknown>): void {
    this.#lastSession = attempt.session;
    this.#host.onConnected();
    if (this.#hedgeDeadline !== null || this.#hedge !== null || !this.#mayHedge()) return;
    const { core } = this.#host;
    this.#hedgeDeadline = core.environment.deadlines.after(core.hedgeAfterMs, () => this.#hedgeNow());
  }

  onUnreachable(attempt: UpstreamAttempt<unknown>, error: WireError): void {
    const { core, session, context } = this.#host;
    if (core.upgradePeers.isRefusal(attempt.chosen, attempt.peer, error, core.environment.recentNow))
      return attempt === this.#hedge ? this.#tryBeside(attempt.chosen) : this.#try(attempt.chosen);
    this.#lastError = error;
    this.#unreachable = attempt.peer.key;
    const told = core.hooks.failToConnect?.(session, attempt.peer, error, context);
    if (isPromise(told)) this.#waitFor(told, () => this.#afterUnreachable(attempt, error));
    else this.#afterUnreachable(attempt, error);
  }

  #afterUnreachable(attempt: UpstreamAttempt<unknown>, error: WireError): void {
    if (this.#isSettled || this.#host.isOver() || this.#leavesItToAnother(attempt)) return;
    // Nothing was sent: another peer costs the upstream nothing, so the budget of retries is not asked.
    if (error.retry === 'always' && this.#hasTriesLeft()) this.begin();
    else this.#host.fail(error);
  }

  onLostPlace(attempt: UpstreamAttempt<unknown>, error: WireError): void {
    if (this.#leavesItToAnother(attempt)) return;
    const { recentNow } = this.#host.core.environment;
    this.#retryOrFail(error, (this.#lostPlaces ??= new LostPlaces()).add(recentNow));
  }

  onFailed(attempt: UpstreamAttempt<unknown>, error: WireError): void {
    const { core, session, context } = this.#host;
    this.#preferHttp1(attempt, error);
    // So says the connection: what the hook says besides does not make it less work for the upstream.
    const isUnread = error.retry === 'always' && this.#refusals() < core.maxRefusals;
    if (core.hooks.errorWhileProxy !== undefined)
      checkSync('errorWhileProxy', core.hooks.errorWhileProxy(session, attempt.peer, error, context));
    if (!this.#host.isOver() && !this.#leavesItToAnother(attempt)) this.#retryOrFail(error, isUnread);
  }

  onInterim(attempt: UpstreamAttempt<unknown>, head: ResponseHead): void {
    // Of two, nobody knows yet which is the answer, and whose interim responses belong to it.
    if (this.#hedge === null && !this.#isChoosingBeside && attempt === this.#current) this.#host.onInterim(head);
  }

  onHead(attempt: UpstreamAttempt<unknown>): void {
    this.#settleOn(attempt);
  }

  onAnswer(attempt: UpstreamAttempt<unknown>, head: ResponseHead, bodyLength: number): void {
    this.#settleOn(attempt);
    this.#host.onAnswer(head, bodyLength);
  }

  onAnswerData(chunk: Uint8Array): void {
    this.#host.onAnswerData(chunk);
  }

  onAnswerEnd(trailers: HeaderMap | null): void {
    this.#host.onAnswerEnd(trailers);
  }

  onSwitch(attempt: UpstreamAttempt<unknown>, head: ResponseHead, tunnel: Tunnel): void {
    this.#settleOn(attempt);
    this.#host.onSwitch(head, tunnel);
  }

  // ---- another try ---------------------------------------------------------------------------------------------------------------

  /** Where the peer can be asked otherwise, an upstream that wants HTTP/1.1 and has answered nothing has not worked on the request (RFC 9113 §7). */
  #preferHttp1({ chosen }: UpstreamAttempt<unknown>, error: WireError): void {
    if (error.wire.http2Code !== HTTP_1_1_REQUIRED || chosen.forUpgrade === null || this.#wantsHttp1) return;
    this.#wantsHttp1 = this.#host.core.connector.preferHttp1(chosen);
    // Never: it has begun to answer.
    if (this.#wantsHttp1 && error.retry !== 'never') error.retry = 'always';
  }

  /** How often it was refused unread by an upstream; the rest of `refusedCount` are lost places. */
  #refusals(): number {
    return this.refusedCount - (this.#lostPlaces?.count ?? 0);
  }

  /** @param isRefused nothing of it was read (REFUSED_STREAM, beyond a GOAWAY, never sent): no work was done, so another try is no more load than the first */
  #retryOrFail(error: WireError, isRefused: boolean): void {
    const host = this.#host;
    const { core, session } = host;
    this.#lastError = error;
    this.#unreachable = '';
    if (isRefused) this.refusedCount++;
    const mayRetry = !this.#isSettled && session.response === null && !session.hasResponded && core.parts.mayRetry(error, session);
    if (!mayRetry || !this.#mayTryAgain(isRefused)) return host.fail(error);
    host.body?.hold();
    this.begin();
  }

  /** Attempts are left, and the whole request can still be sent. */
  #hasTriesLeft(): boolean {
    const { core, body } = this.#host;
    return this.attempt - this.refusedCount <= core.maxRetries && body?.canReplay !== false;
  }

  /** A request that was sent may be sent again: so say attempts, and the budget unless nobody has read it. */
  #mayTryAgain(isRefused: boolean): boolean {
    if (!this.#hasTriesLeft()) return false;
    if (isRefused) return true;
    this.isRetrying ||= this.#host.core.retryBudget.tryRetry();
    return this.isRetrying;
  }
}
