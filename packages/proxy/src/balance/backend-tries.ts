/**
 * The tries of one request, as its balancer sees them: which backends it has been to, what is under way at which, and what became of it.
 *
 * ```text
 *   choose ─► flight ──► handleUnreachable, handleFailed ─► it ends, and is told of; perhaps choose again
 *                   └──► end: the flight that has answered by its status, any other as unknown
 * ```
 * Rules:
 * - Whatever was begun has ended when `end` returns, and `end` is called once for each request, by `logging`.
 * - At most two are under way at once: a second try beside the first (`hedgeAfterMs`). The answer is that of `session.peer`.
 * - A try that lost its place on a connection before anything was sent was none: its backend may be chosen again.
 */
import { limitError, type WireError } from '@ferrata/error';
import type { ResponseHead } from '@ferrata/headers';
import { type Backend, type Flight, Outcome, type StickyClaim } from '@ferrata/load-balancing';
import type { Peer } from '@ferrata/upstream';
import type { ProxySession } from '../proxy-session.ts';
import type { BalancePlan } from './balance-options.ts';

/** The tries of one request. */
export class BackendTries<Extension, Context = undefined> {
  /** What the program carries with the request. */
  readonly context: Context;
  readonly #plan: BalancePlan<Extension>;
  // Hot: all members are there from the beginning.
  /** The last try, while it is under way. */
  #flight: Flight<Extension> | null = null;
  #peer: Peer | null = null;
  /** When its connection stood; NaN: so says the session. */
  #connectedAt = Number.NaN;
  /** The one before it, if that is under way still. */
  #beside: Flight<Extension> | null = null;
  #besidePeer: Peer | null = null;
  #besideConnectedAt = Number.NaN;
  /** Backends that it has been to; null: none, or only the first. */
  #tried: Backend<Extension>[] | null = null;
  #first: Backend<Extension> | null = null;
  #refusedCount = 0;
  #lastError: WireError | null = null;
  /** What has become of it was told when its answer began. */
  #told: Flight<Extension> | null = null;
  #isRetrying = false;
  /** What the client's cookie says. */
  #claim: StickyClaim | null = null;
  #claimed: Backend<Extension> | null = null;

  constructor(plan: BalancePlan<Extension>, context: Context) {
    this.#plan = plan;
    this.context = context;
  }

  /** The backend of the try that has answered, or that was begun last; null: none is under way. */
  backendFor(peer: Peer | null): Backend<Extension> | null {
    return this.#find(peer)?.backend ?? null;
  }

  /** Begins a try. @throws {WireError} NO_BACKENDS and others, when there is no backend for it; of a request that was tried, why the last try failed */
  choose(session: ProxySession): Peer {
    if (this.#flight !== null) this.#makeRoom(session);
    this.#refusedCount = session.refusedCount;
    if (this.#first !== null && this.#plan.countsRetries) this.#askForRetry();
    const backend = this.#first === null ? this.#chooseFirst(session) : this.#chooseAnother(session, this.#first);
    // Before anything is counted: it may be the program's, and throw.
    const peer = this.#plan.peerOf(backend);
    this.#flight = this.#plan.balancer.begin(backend);
    this.#peer = peer;
    this.#connectedAt = Number.NaN;
    return peer;
  }

  /** There is a connection: for `breaker.maxPending`. */
  handleConnected(peer: Peer | null): void {
    this.#find(peer)?.connected();
  }

  /** No connection to it came about. */
  handleUnreachable(peer: Peer, error: WireError): void {
    const { balancer, isFault } = this.#plan;
    this.#fail(peer, error, isFault(error, 'connecting'));
    // Whoever cannot prove who it is will not be able to a moment later; another one may, and nothing was sent.
    if (error.type === 'tls' && error.fault === 'remote' && balancer.backends.length > 1) error.retry = 'always';
  }

  /** The exchange with it was lost, or had no answer in time. */
  handleFailed(peer: Peer, error: WireError): void {
    this.#fail(peer, error, this.#plan.isFault(error, 'connected'));
  }

  /** An answer begins: what is to be said of the backend is known. */
  handleAnswer(session: ProxySession): void {
    const flight = this.#find(session.peer);
    if (flight === null) return;
    this.#reportAnswer(flight, session);
    this.#told = flight;
  }

  /** Sets the cookie that leads the client back, if it has none, or another one. */
  setCookie(session: ProxySession, { headers }: ResponseHead): void {
    const { sticky } = this.#plan;
    const backend = this.backendFor(session.peer);
    if (sticky === null || backend === null) return;
    if (this.#claim !== null && this.#claimed?.name === backend.name && !sticky.needsRefresh(this.#claim)) return;
    headers.append('Set-Cookie', sticky.setCookie(backend));
  }

  /** The request is over. @param error why, if it did not end well */
  end(session: ProxySession, error: WireError | null): void {
    if (this.#isRetrying) this.#plan.balancer.endRetry();
    this.#isRetrying = false;
    if (this.#flight === null) return;
    // Nobody answered while the proxy would wait.
    const isLate = session.response === null && error !== null && error.type === 'timeout' && error.source === 'upstream';
    try {
      const answered = session.response === null ? null : this.#find(session.peer);
      if (answered !== null) this.#reportAnswer(answered, session);
    } finally {
      // Also where the program's `isFailure` throws.
      this.#flight.end(isLate ? Outcome.failure : Outcome.unknown);
      this.#beside?.end(isLate ? Outcome.failure : Outcome.unknown);
      this.#flight = null;
      this.#beside = null;
    }
  }

  // ---- choosing ------------------------------------------------------------------------------------------------------------------

  #chooseFirst(session: ProxySession): Backend<Extension> {
    const { sticky, balancer } = this.#plan;
    const backend = (sticky === null ? null : this.#chooseClaimed(session)) ?? this.#plan.select(session, null);
    if (backend === null) throw this.#lastError ?? balancer.whyNone();
    this.#first = backend;
    return backend;
  }

  #chooseClaimed(session: ProxySession): Backend<Extension> | null {
    const { sticky, balancer } = this.#plan;
    if (sticky === null) return null;
    this.#claim ??= sticky.read(session.request);
    if (this.#claim === null) return null;
    this.#claimed = sticky.find(this.#claim, balancer.backends);
    return this.#claimed !== null && this.#plan.mayHaveMore(this.#claimed) ? this.#claimed : null;
  }

  #chooseAnother(session: ProxySession, first: Backend<Extension>): Backend<Extension> {
    const tried = (this.#tried ??= [first]);
    const backend = this.#plan.select(session, tried);
    if (backend === null) throw this.#lastError ?? this.#plan.balancer.whyNone({ exclude: tried });
    tried.push(backend);
    return backend;
  }

  #askForRetry(): void {
    if (this.#isRetrying) return;
    const { balancer } = this.#plan;
    this.#isRetrying = balancer.tryRetry();
    if (this.#isRetrying) return;
    const { name, breaker } = balancer.config;
    throw (
      this.#lastError ??
      limitError('RETRIES_FULL', `${name}: ${breaker.maxRetries} retries are under way`, { source: 'upstream', wire: { status: 503 } })
    );
  }

  /** Another try begins while one is under way: either that one has lost its place, or this one goes beside it. */
  #makeRoom(session: ProxySession): void {
    if (session.refusedCount > this.#refusedCount) {
      this.#flight?.end(Outcome.unknown);
      this.#flight = null;
      if (this.#tried === null) this.#first = null;
      else this.#tried.pop();
      return;
    }
    this.#beside?.end(Outcome.unknown);
    this.#beside = this.#flight;
    this.#besidePeer = this.#peer;
    this.#besideConnectedAt = session.timing.connectedAt;
    this.#flight = null;
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  #fail(peer: Peer, error: WireError, isFault: boolean): void {
    // A subrequest that was given its peer has no flight.
    const flight = this.#take(peer);
    if (flight === null) return;
    this.#lastError = error;
    const outcome = isFault ? Outcome.failure : Outcome.unknown;
    // It had begun well, and that was told: both are true.
    if (isFault && flight === this.#told) this.#plan.balancer.report(flight.backend, outcome);
    flight.end(outcome);
  }

  #reportAnswer(flight: Flight<Extension>, { response, timing }: ProxySession): void {
    const { isFailure, measuresLatency } = this.#plan;
    if (response !== null && isFailure(response.status)) return flight.report(Outcome.failure);
    if (!measuresLatency) return flight.report(Outcome.success);
    const since = flight === this.#beside ? this.#besideConnectedAt : this.#connectedAt;
    flight.report(Outcome.success, timing.respondedAt - (Number.isNaN(since) ? timing.connectedAt : since));
  }

  /** The flight to a peer; null: there is none under way. */
  #find(peer: Peer | null): Flight<Extension> | null {
    // Of one, there is nothing to be told apart.
    if (this.#beside === null || isSameOrigin(this.#peer, peer)) return this.#flight;
    return isSameOrigin(this.#besidePeer, peer) ? this.#beside : null;
  }

  /** The same, which is under way no more. */
  #take(peer: Peer): Flight<Extension> | null {
    const flight = this.#find(peer);
    if (flight === null) return null;
    if (flight === this.#flight) {
      this.#flight = this.#beside;
      this.#peer = this.#besidePeer;
      this.#connectedAt = this.#besideConnectedAt;
    }
    this.#beside = null;
    this.#besidePeer = null;
    this.#besideConnectedAt = Number.NaN;
    return flight;
  }
}

/** @param asked the peer that was given, its `forUpgrade`, or one of them for a client */
function isSameOrigin(given: Peer | null, asked: Peer | null): boolean {
  if (given === null || asked === null) return false;
  return given === asked || given.originKey === asked.originKey || given.forUpgrade?.originKey === asked.originKey;
}
