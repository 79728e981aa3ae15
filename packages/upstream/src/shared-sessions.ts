/**
 * The connections to one peer that many requests share, and those who wait for a place on them.
 *
 * Rules of this file:
 * - A place that was handed out counts from then on, whether or not its request has been sent: see `pendingOf`.
 * - Of the connections with room, the one used last is chosen. Requests of one tick then leave in one write, whatever their number, and a
 *   connection that load no longer needs falls idle and is closed; taking the emptiest would keep every connection half in use for ever.
 * - Until the peer's SETTINGS have come nobody knows how many streams it takes: a few are begun, the others wait that moment. A burst would
 *   only be refused (RFC 9113 §5.1.2), and go from one new connection to the next.
 * - Who finds no room waits in order, and nobody overtakes. Connections are made for those who wait, one for as many as one can carry.
 * - A connection that takes no more requests (GOAWAY, age) leaves the set at once, or a peer that restarts under long responses would block its own new life.
 * - Nobody waits for nothing: while somebody waits there is an open connection, or one in the making, whatever failed before.
 * - A connection that is lost before it could serve anybody was none: a peer that takes connections only to close them is not asked again at once, for ever.
 * - A peer may choose, by ALPN, to speak HTTP/1: then all who wait are sent elsewhere; until then none is refused, as the line is one handshake long.
 *
 * ```text
 *              ┌──── connecting ──► open ◄─────────┐ request over, others follow
 *   waiting ───┤                    │ │ └─► busy ──┘
 *   in order   └── a place is free ◄┘ └─► leaving (GOAWAY, age, close) ── last exchange over ──► closed
 * ```
 *
 * @see RFC 9113 §5.1.2 (concurrency), §6.8 (GOAWAY), §9.1 (reuse)
 */
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import { closedAtOnce, givenUp } from './open-stream.ts';
import { copyOf, noStream, tooManyPending } from './shared-errors.ts';
import { WaitingLine } from './waiting-line.ts';

/** What a session must tell of itself to be shared. */
export interface ShareableSession {
  /** It may take a request now. */
  readonly isReusable: boolean;
  /** It will never take a request again: the peer, its age or its end say so. */
  readonly isDraining: boolean;
  /** Requests that its peer lets it begin now. */
  readonly availableStreams: number;
  /** The peer's SETTINGS have come, so that `availableStreams` is no guess. */
  readonly hasPeerSettings: boolean;
  /** Exchanges that run. */
  readonly openStreamCount: number;
  /** Exchanges begun since it was made. */
  readonly requestCount: number;
  /** Ends it; a running exchange is given up. */
  close(): void;
}

/** Bounds of the connections to one peer. Times in milliseconds. */
export interface SharedLimits {
  readonly maxStreamsPerConnection: number;
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly pendingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionAgeMs: number;
  /** The peer may choose, by ALPN, a protocol that cannot be shared. */
  readonly mayChoose: boolean;
  /** The address, for messages. */
  readonly place: string;
}

/** What the connections of one peer need of their connector. */
export interface SharedSessionsHost<Session> {
  readonly deadlines: DeadlineQueue;
  /** The time as last read. */
  recentNow(): number;
  /** The time, read afresh. */
  now(): number;
  /**
   * Makes a connection. The session is told of by `add`, before the promise is fulfilled, and may be lost again by then. Null: there is one, but the peer
   * has chosen a protocol that cannot be shared, and nobody is to wait here.
   */
  open(signal: AbortSignal): Promise<Session | null>;
  /** A session was closed from here. */
  onClosed(session: Session): void;
  /** A session carries nothing any more, and is kept for a while. `dropIdle` may be called from here. */
  onIdle?(session: Session): void;
  /** Nothing is left here: no connection, nobody who waits. */
  onEmpty(): void;
}

/** After a connection could not be made while others work: so long none is tried, lest each free place start another attempt. */
const RETRY_CONNECT_MS = 1_000;

/** Requests that wait for connections still to be made, at most. */
const MAX_BURST = 16_384;

/** Streams on a connection whose peer has not said yet how many it takes: hardly any takes fewer. */
const EARLY_STREAMS = 10;

/** The connections to one peer. */
export class SharedSessions<Session extends ShareableSession> {
  readonly #host: SharedSessionsHost<Session>;
  readonly #limits: SharedLimits;
  /** What a connection is taken to carry before its SETTINGS: at first a guess, then no more than the one before it was allowed. */
  #earlyStreams: number;
  readonly #guess: number;
  /** Those that take requests, the one used last at the end. Few: `maxConnections` bounds them, and so the searches here. */
  readonly #open: Place<Session>[] = [];
  /** Every session, those that leave included. */
  readonly #places = new Map<Session, Place<Session>>();
  readonly #waiters: WaitingLine<Session>;
  readonly #connecting = new Set<AbortController>();
  /** While another connection stands. */
  #noConnectUntil = Number.NEGATIVE_INFINITY;
  /** Armed while somebody waits for `#noConnectUntil`. */
  readonly #retryDeadline: Deadline;
  #isClosed = false;
  /** The peer's protocol is one that can be shared. */
  #isChosen: boolean;

  /** @param earlyStreams on a connection before the peer's SETTINGS have come */
  constructor(host: SharedSessionsHost<Session>, limits: SharedLimits, earlyStreams: number = EARLY_STREAMS) {
    this.#host = host;
    this.#limits = limits;
    this.#isChosen = !limits.mayChoose;
    this.#earlyStreams = earlyStreams;
    this.#guess = earlyStreams;
    this.#waiters = new WaitingLine(host.deadlines, () => this.#handleGone());
    this.#retryDeadline = host.deadlines.deadline(() => {
      host.now();
      this.#serve();
    });
  }

  // ---- queries -------------------------------------------------------------------------------------------------------------------

  /** Connections that carry nothing. */
  get idleCount(): number {
    let count = 0;
    for (const place of this.#places.values()) if (isIdle(place)) count++;
    return count;
  }
  /** Connections, those that leave included. */
  get connectionCount(): number {
    return this.#places.size;
  }
  /** Connections that take requests, and those in the making: no more than `maxConnections`. */
  get openCount(): number {
    return this.#open.length + this.#connecting.size;
  }
  /** Requests that wait for a place. */
  get pendingCount(): number {
    return this.#waiters.size;
  }

  // ---- inputs: what happens to sessions ------------------------------------------------------------------------------------------

  /** A connection was made. */
  add(session: Session): void {
    const deadline = this.#host.deadlines.deadline(() => this.#handleIdleDeadline(place));
    const now = this.#host.now();
    const place: Place<Session> = {
      session,
      grantedCount: 0,
      retireAt: now + this.#limits.maxConnectionAgeMs,
      idleSince: now,
      isLeaving: false,
      deadline,
    };
    this.#places.set(session, place);
    this.#open.push(place);
    this.#isChosen = true;
  }

  /**
   * A connection was made by somebody else, who takes a place on it at once: who wanted one of HTTP/1, and was given HTTP/2. Beyond `maxConnections` it
   * serves nobody else, and leaves with that exchange.
   */
  adopt(session: Session): void {
    this.add(session);
    const place = this.#places.get(session) as Place<Session>;
    place.grantedCount++;
    if (this.openCount > this.#limits.maxConnections) this.#leave(place);
    this.#serve();
  }

  /** The peer's SETTINGS have come, places may have become free, or the session takes no more requests. */
  handleRoom(session: Session): void {
    const place = this.#places.get(session);
    // An origin that takes few would refuse the same request on one new connection after the other.
    if (place !== undefined && session.hasPeerSettings && !session.isDraining)
      this.#earlyStreams = Math.max(1, Math.min(this.#guess, session.availableStreams + session.openStreamCount));
    if (place !== undefined && session.isDraining) this.#leave(place);
    this.#serve();
    this.#checkEmpty();
  }

  /** The last exchange of a session is over. */
  handleIdle(session: Session): void {
    const place = this.#places.get(session);
    if (place === undefined) return;
    if (session.isDraining || this.#isTooOld(place)) this.#leave(place);
    this.#serve();
    this.#settle(place);
    this.#checkEmpty();
  }

  /** A session is gone. */
  handleClose(session: Session): void {
    const place = this.#places.get(session);
    if (place === undefined) return;
    this.#forget(place);
    this.#serve();
    this.#checkEmpty();
  }

  // ---- commands ------------------------------------------------------------------------------------------------------------------

  /** A place on an open connection, or null if there is none or others wait already. Send a request on it, or `release` it. */
  take(): Session | null {
    if (this.#waiters.size > 0) return null;
    const place = this.#findRoom(null);
    if (place !== null) return this.#grant(place);
    this.#checkEmpty();
    return null;
  }

  /**
   * A place on a connection: at once, or when one is free or a new connection stands.
   *
   * @param signal gives up waiting
   * @param except a session that is taken only if no other can be had: it has just refused the same request
   * @param isBounded false: whoever comes from elsewhere, and stood in no line there, is not refused for the length of this one
   * @returns null if the peer has chosen a protocol that cannot be shared: go elsewhere
   * @throws {WireError} rejects with `limit UPSTREAM_TOO_MANY_PENDING`, `timeout UPSTREAM_NO_STREAM`, `connect CONNECT_ABORTED`, or why none was made
   */
  request(signal: AbortSignal | undefined, except: Session | null, isBounded = true): Promise<Session | null> {
    if (signal?.aborted === true) return Promise.reject(givenUp());
    if (this.#waiters.size === 0) {
      let place = this.#findRoom(except);
      if (place === null && except !== null && !this.#mayConnect()) place = this.#findRoom(null);
      if (place !== null) return Promise.resolve(this.#grant(place));
    }
    if (isBounded && this.#isChosen && this.#isLineFull()) return Promise.reject(tooManyPending(this.#limits));
    const promise = this.#wait(signal, except);
    // Those in front may wait for any connection but the one that has room.
    this.#serve();
    return promise;
  }

  /** Takes back a place on which nothing was sent. */
  release(session: Session): void {
    const place = this.#places.get(session);
    if (place === undefined) return;
    place.grantedCount--;
    this.#serve();
    this.#settle(place);
    this.#checkEmpty();
  }

  /** Closes a connection, unless it carries something. */
  dropIdle(session: Session): void {
    const place = this.#places.get(session);
    if (place === undefined || !isIdle(place)) return;
    this.#leave(place);
    this.#serve();
    this.#checkEmpty();
  }

  /** Closes connections as soon as they carry nothing; who waits already is still served. */
  close(): void {
    // A connection that was made just now is for those who wait for it.
    this.#serve();
    this.#isClosed = true;
    for (const place of this.#open.slice()) this.#leave(place);
    this.#serve();
    this.#dropVainConnecting();
    this.#checkEmpty();
  }

  // ---- places --------------------------------------------------------------------------------------------------------------------

  #findRoom(except: Session | null): Place<Session> | null {
    for (let index = this.#open.length - 1; index >= 0; index--) {
      const place = this.#open[index] as Place<Session>;
      if (place.session.isDraining || this.#isTooOld(place)) this.#leave(place);
      else if (place.session !== except && this.#roomOf(place) > 0) return place;
    }
    return null;
  }

  #roomOf(place: Place<Session>): number {
    const { session } = place;
    if (!session.isReusable) return 0;
    const { maxStreamsPerConnection } = this.#limits;
    const most = session.hasPeerSettings ? maxStreamsPerConnection : Math.min(maxStreamsPerConnection, this.#earlyStreams);
    return Math.min(most - session.openStreamCount, session.availableStreams) - pendingOf(place);
  }

  #grant(place: Place<Session>): Session {
    place.grantedCount++;
    const last = this.#open.length - 1;
    if (this.#open[last] !== place) {
      this.#open.splice(this.#open.indexOf(place), 1);
      this.#open.push(place);
    }
    return place.session;
  }

  #isTooOld(place: Place<Session>): boolean {
    return this.#host.recentNow() >= place.retireAt;
  }

  /** Takes no more requests from here on; ends when it carries nothing. */
  #leave(place: Place<Session>): void {
    if (!place.isLeaving) {
      place.isLeaving = true;
      const index = this.#open.indexOf(place);
      if (index >= 0) this.#open.splice(index, 1);
    }
    this.#settle(place);
  }

  /** A connection that carries nothing is closed if it leaves, else when its idle time is over. */
  #settle(place: Place<Session>): void {
    if (!isIdle(place) || !this.#places.has(place.session)) return;
    if (this.#isClosed || place.isLeaving) {
      this.#forget(place);
      place.session.close();
      this.#host.onClosed(place.session);
      return;
    }
    place.idleSince = this.#host.recentNow();
    if (!place.deadline.isArmed) this.#armIdle(place, this.#limits.idleTimeoutMs);
    this.#host.onIdle?.(place.session);
  }

  /** Lazy: taking a place does not touch the deadline, which looks for itself when it comes. */
  #handleIdleDeadline(place: Place<Session>): void {
    const now = this.#host.now();
    if (!isIdle(place)) return;
    const left = place.idleSince + this.#limits.idleTimeoutMs - now;
    if (left > 0) {
      this.#armIdle(place, left);
      return;
    }
    this.#leave(place);
    this.#serve();
    this.#checkEmpty();
  }

  #armIdle(place: Place<Session>, delayMs: number): void {
    if (delayMs <= this.#host.deadlines.maxDelayMs) place.deadline.arm(delayMs);
  }

  #forget(place: Place<Session>): void {
    place.isLeaving = true;
    place.deadline.cancel();
    this.#places.delete(place.session);
    const index = this.#open.indexOf(place);
    if (index >= 0) this.#open.splice(index, 1);
  }

  /** Called last by whoever may have removed something: the host may drop this object then. */
  #checkEmpty(): void {
    if (this.#waiters.size > 0) return;
    this.#retryDeadline.cancel();
    if (this.#places.size === 0 && this.#connecting.size === 0) this.#host.onEmpty();
  }

  // ---- waiting -------------------------------------------------------------------------------------------------------------------

  #wait(signal: AbortSignal | undefined, except: Session | null): Promise<Session | null> {
    const { pendingTimeoutMs, connectTimeoutMs } = this.#limits;
    // Where a connection is made meanwhile, that has its own time.
    const delayMs = pendingTimeoutMs + (this.#connecting.size > 0 || this.#mayConnect() ? connectTimeoutMs : 0);
    return this.#waiters.wait({ except, signal, delayMs, lateError: () => noStream(this.#limits, this.#open.length > 0) });
  }

  /** The line is for those whom no connection that may stand soon can carry: a burst waits for connections, and is not refused meanwhile. */
  #isLineFull(): boolean {
    const { maxPending, maxStreamsPerConnection, maxConnections } = this.#limits;
    const comingCount = this.#comingCount() + (this.#mayConnect() ? maxConnections - this.openCount : 0);
    return this.#waiters.size >= maxPending + Math.min(comingCount * maxStreamsPerConnection, MAX_BURST);
  }

  /** Somebody has left the line unserved. */
  #handleGone(): void {
    this.#host.now();
    this.#dropVainConnecting();
    this.#checkEmpty();
  }

  /** Gives free places to those who wait, in order, and makes connections for the others. */
  #serve(): void {
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) {
      // The session that refused a request gets it back only if no other is to be had.
      const place = this.#findRoom(this.#connecting.size > 0 || this.#mayConnect() ? waiter.except : null);
      if (place === null) {
        if (waiter.except === null) break;
        continue;
      }
      this.#waiters.serve(waiter, this.#grant(place));
    }
    this.#connectForWaiters();
  }

  // ---- connecting ----------------------------------------------------------------------------------------------------------------

  #mayConnect(): boolean {
    const { openCount } = this;
    // Where nothing stands and nothing is made, there is nothing else to wait for.
    return openCount === 0 || (openCount < this.#limits.maxConnections && this.#host.recentNow() >= this.#noConnectUntil);
  }

  #connectForWaiters(): void {
    const { maxStreamsPerConnection, maxConnections } = this.#limits;
    while (this.#waiters.size > this.#comingCount() * maxStreamsPerConnection) {
      if (this.#mayConnect()) {
        this.#connect();
        continue;
      }
      if (this.openCount < maxConnections && !this.#retryDeadline.isArmed)
        this.#retryDeadline.arm(Math.max(0, this.#noConnectUntil - this.#host.recentNow()));
      return;
    }
  }

  /** Connections of which places are to come: those in the making, and those whose SETTINGS are on their way. */
  #comingCount(): number {
    let count = this.#connecting.size;
    for (const place of this.#open) if (!place.session.hasPeerSettings) count++;
    return count;
  }

  #connect(): void {
    const abort = new AbortController();
    this.#connecting.add(abort);
    this.#host.open(abort.signal).then(
      (session) => {
        this.#connecting.delete(abort);
        this.#host.now();
        if (session !== null && this.#isLost(session)) return this.#handleUnconnected(closedAtOnce(this.#limits.place));
        this.#noConnectUntil = Number.NEGATIVE_INFINITY;
        if (session === null) this.#waiters.redirect();
        else this.#serve();
        const place = session === null ? undefined : this.#places.get(session);
        if (place !== undefined) this.#settle(place);
        this.#checkEmpty();
      },
      (thrown: unknown) => {
        this.#connecting.delete(abort);
        this.#host.now();
        this.#handleUnconnected(thrown);
      },
    );
  }

  /** It was gone, or about to go, before it served anybody. */
  #isLost(session: Session): boolean {
    const place = this.#places.get(session);
    if (place === undefined) return true;
    if (place.grantedCount > 0 || !session.isDraining) return false;
    this.#leave(place);
    return true;
  }

  /** Who waits is told only if nothing else can serve it: another connection may be full just now, or in the making. */
  #handleUnconnected(thrown: unknown): void {
    if (this.#open.length > 0 || this.#connecting.size > 0) {
      this.#noConnectUntil = this.#host.recentNow() + RETRY_CONNECT_MS;
      this.#serve();
      return;
    }
    let isFirst = true;
    for (const waiter of this.#waiters) {
      // One error each: whoever gets it may change what it says of retries.
      this.#waiters.fail(waiter, isFirst ? thrown : copyOf(thrown));
      isFirst = false;
    }
    this.#checkEmpty();
  }

  /** After `close`, connections in the making are of use only to those who wait. */
  #dropVainConnecting(): void {
    if (this.#isClosed && this.#waiters.size === 0) for (const abort of this.#connecting) abort.abort();
  }
}

/** A session in the eyes of its pool. */
interface Place<Session> {
  readonly session: Session;
  /** Places handed out since it was made, less those that came back unused. */
  grantedCount: number;
  readonly retireAt: number;
  idleSince: number;
  isLeaving: boolean;
  readonly deadline: Deadline;
}

/** Places handed out on which nothing was sent yet. The session counts its requests itself, so no call is needed when one is sent. */
function pendingOf<Session extends ShareableSession>(place: Place<Session>): number {
  return place.grantedCount - place.session.requestCount;
}

function isIdle<Session extends ShareableSession>(place: Place<Session>): boolean {
  return place.session.openStreamCount === 0 && pendingOf(place) === 0;
}
