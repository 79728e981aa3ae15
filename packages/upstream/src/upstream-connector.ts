/**
 * From a peer to a usable connection. HTTP/1: a clean idle one if there is one, else a new one. HTTP/2: a place on one that others use too; see
 * `shared-sessions.ts`.
 *
 * Rules of this file:
 * - Only a session that says of itself that it is clean enters the pool; one that ends, or gets a byte, while it is idle leaves it at once.
 * - Connections are shared by `Peer.key` and nothing else.
 * - Every session that was handed out comes back: by itself when its exchange is over, or by `release` if it never carried one.
 *
 * - With `auto` a connection is of whichever version TLS agrees on, and goes where those of its version are kept. What a peer chose last only decides how
 *   many connections are made for those who wait: one for many, or one for each. Both versions are offered each time, so a peer that changes its mind is
 *   understood at once: the first who is given HTTP/2 in place of HTTP/1 calls all the others who still connect to share what it has.
 *
 * HTTP/1:
 * ```text
 *   connect ──► handed out ── exchange over, clean ──► idle ── take ──► handed out …
 *                   │     └── release ───────────────►  │
 *                   └── anything else ──► closed ◄──────┴── idle too long, too old, ended, dirty, one too many
 * ```
 */
import type { WireError } from '@ferrata/error';
import { type ClientSession, type ClientSessionOwner, Http1ClientSession, Http2ClientSession, type HttpEnvironment } from '@ferrata/http';
import { connect } from '@ferrata/net';
import { IdlePool } from '@ferrata/pool';
import { callUser, type L4Stream, watchAnswer } from '@ferrata/stream';
import { LoneAttempt, LoneAttempts } from './lone-attempts.ts';
import {
  alpnOf,
  checkOpen,
  dropStream,
  type OpenStream,
  openInTime,
  placeOf,
  secureInTime,
  toConnectError,
  withinReach,
} from './open-stream.ts';
import { openOwnSession, ownSessionFailed } from './own-session.ts';
import type { Peer } from './peer.ts';
import { SharedSessions } from './shared-sessions.ts';

/** Options of an `UpstreamConnector`. */
export interface UpstreamConnectorOptions {
  /** Clock, timers and output buffer, shared with the server side. */
  readonly environment: HttpEnvironment;
  /** HTTP/1: idle connections kept for one peer. Default 1 024; 0 keeps none. Lowering it closes and makes connections in every burst. */
  readonly maxIdlePerPeer?: number;
  /** HTTP/1: idle connections kept in all. Default 1 024; 0 keeps none. Stay below the limit of descriptors. */
  readonly maxIdle?: number;
  /**
   * Makes the stream to a peer that has no `connect` of its own. Default: `connect` of @ferrata/net. Give one for virtual streams and tests; the time-out is
   * kept for it, and TLS, where a peer asks for it, runs over it.
   */
  readonly connect?: OpenStream;
}

/** What has happened since the start. */
export interface UpstreamCounts {
  /** Connections made. */
  connected: number;
  /** Attempts that failed; those that were given up because the client had gone are not counted. */
  failed: number;
  /** Times a connection that stood already was handed out by `take`. */
  reused: number;
  /** Connections dropped because bytes came that belonged to no exchange. */
  dirty: number;
}

/** How long the pool keeps what has no shorter time of its own: the default of `PeerOptions.idleTimeoutMs`, so that most share one deadline. */
const POOL_IDLE_TIMEOUT_MS = 50_000;

/** Peers of which it is remembered that they chose HTTP/1. Of others, the first to connect finds it out for all who wait. */
const MAX_REMEMBERED = 4_096;

/** Makes and keeps connections to peers. */
export class UpstreamConnector implements ClientSessionOwner, Disposable {
  readonly counts: UpstreamCounts = { connected: 0, failed: 0, reused: 0, dirty: 0 };
  readonly #environment: HttpEnvironment;
  readonly #pool: IdlePool<ClientSession>;
  readonly #open: OpenStream | null;
  /** Every open session that is not shared. */
  readonly #sessions = new Map<ClientSession, Placement>();
  /** Where a shared session belongs. */
  readonly #homes = new Map<ClientSession, SharedSessions<Http2ClientSession>>();
  /** By `Peer.key`. */
  readonly #shared = new Map<string, SharedSessions<Http2ClientSession>>();
  /** The keys of peers that could choose, and chose HTTP/1; the one told of last at the end. */
  readonly #http1Keys = new Set<string>();
  /** Who connects each for itself to such a peer just now. */
  readonly #lone = new LoneAttempts();
  #isClosed = false;

  /** @throws {RangeError} when a limit is no whole number from 0 on */
  constructor(options: UpstreamConnectorOptions) {
    this.#environment = options.environment;
    this.#open = options.connect ?? null;
    this.#pool = new IdlePool({
      deadlines: options.environment.deadlines,
      maxIdlePerKey: options.maxIdlePerPeer ?? 1_024,
      maxIdle: options.maxIdle ?? 1_024,
      idleTimeoutMs: POOL_IDLE_TIMEOUT_MS,
      // Sessions are put and taken in the events of streams, at which the environment has read the clock.
      recentNow: () => this.#environment.recentNow,
      isUsable: (session) => session.isReusable && this.#environment.recentNow < (this.#sessions.get(session)?.retireAt ?? 0),
      onEvict: (session) => this.#drop(session),
    });
  }

  /** Connections that carry nothing. */
  get idleCount(): number {
    let count = this.#pool.size;
    for (const shared of this.#shared.values()) count += shared.idleCount;
    return count;
  }
  /** All connections, busy and idle; those that became tunnels are not counted any more. */
  get connectionCount(): number {
    return this.#sessions.size + this.#homes.size;
  }
  /** Requests that wait for a place on a shared connection. */
  get pendingCount(): number {
    let count = 0;
    for (const shared of this.#shared.values()) count += shared.pendingCount;
    return count;
  }

  /**
   * HTTP/1: a clean idle connection to `peer`; HTTP/2: one with a free place; `auto`: the latter, else the former. Null if there is none. Send one
   * request on it, or `release` it.
   */
  take(peer: Peer): ClientSession | null {
    let session: ClientSession | null = peer.protocol === 'http1' ? null : (this.#shared.get(peer.key)?.take() ?? null);
    if (session === null && peer.protocol !== 'http2') session = this.#pool.take(peer.key) ?? null;
    if (session !== null) this.counts.reused++;
    return session;
  }

  /**
   * HTTP/1: a new connection to `peer`. HTTP/2: a place on a connection to it, when there is one; a connection is made if all are full and
   * `maxConnections` allows. With `auto`, what the peer chooses decides between the two. Send one request on it, or `release` it.
   *
   * @param signal gives up connecting and waiting
   * @param except HTTP/2: a connection that has just refused the request; it is given again only if no other can be had
   * @throws {WireError} connect, TLS and timeout errors, with source `upstream`; HTTP/2: `limit UPSTREAM_TOO_MANY_PENDING` and
   *   `timeout UPSTREAM_NO_STREAM`, both with status 503
   */
  async connect(peer: Peer, signal?: AbortSignal, except: ClientSession | null = null): Promise<ClientSession> {
    if (peer.protocol === 'http1') return this.#connectOwn(peer, signal);
    const avoided = except instanceof Http2ClientSession ? except : null;
    if (peer.protocol === 'http2' || !this.#http1Keys.has(peer.key)) {
      const shared = await this.#sharedOf(peer).request(signal, avoided);
      if (shared !== null) return shared;
      // The peer speaks HTTP/1. One of those who waited gets the connection that was made to find it out.
      const found = this.#pool.take(peer.key);
      if (found !== undefined) return found;
    }
    const attempt = new LoneAttempt(signal);
    this.#lone.add(peer.key, attempt);
    try {
      return await this.#connectOwn(peer, attempt.signal);
    } catch (thrown) {
      if (!attempt.isCalled) throw thrown;
    } finally {
      this.#lone.remove(peer.key, attempt);
    }
    return (await this.#sharedOf(peer).request(signal, avoided, false)) ?? this.#connectOwn(peer, signal);
  }

  /** Takes back a connection on which nothing was sent since it was handed out: it waits for another request, or is dropped if it has ended. */
  release(session: ClientSession): void {
    if (session.isShared) this.#homes.get(session)?.release(session as Http2ClientSession);
    else if (session.isReusable) this.onSessionIdle(session);
    else this.#drop(session);
  }

  onSessionIdle(session: ClientSession): void {
    if (session.isShared) {
      this.#homes.get(session)?.handleIdle(session as Http2ClientSession);
      return;
    }
    const placement = this.#sessions.get(session);
    if (placement === undefined || this.#isClosed || this.#environment.recentNow >= placement.retireAt) {
      this.#drop(session);
      return;
    }
    const { peer } = placement;
    // A second less than the server promises, so that we close first and no request meets its close.
    const idleTimeoutMs = Math.min(peer.idleTimeoutMs, session.keepAliveTimeoutMs - 1_000);
    if (idleTimeoutMs <= 0) this.#drop(session);
    else this.#pool.put(peer.key, session, this.#putOptions(idleTimeoutMs));
  }

  onSessionRoom(session: ClientSession): void {
    this.#homes.get(session)?.handleRoom(session as Http2ClientSession);
  }

  onSessionClose(session: ClientSession, _error: WireError | null, isDirty: boolean): void {
    if (isDirty) this.counts.dirty++;
    const home = this.#homes.get(session);
    if (home !== undefined) {
      this.#homes.delete(session);
      home.handleClose(session as Http2ClientSession);
      return;
    }
    this.#sessions.delete(session);
    this.#pool.entryOf(session)?.leave('closed');
  }

  /** Closes idle connections, and busy ones as soon as they are idle. */
  close(): void {
    this.#isClosed = true;
    this.#pool.drain();
    for (const shared of this.#shared.values()) shared.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A connection for one request alone; or for others too, if the peer chooses HTTP/2. */
  async #connectOwn(peer: Peer, signal: AbortSignal | undefined): Promise<ClientSession> {
    const stream = await this.#openCounted(peer, signal);
    if (!this.#isHttp2(stream, peer)) return this.#startHttp1(stream, peer);
    const shared = this.#sharedOf(peer);
    const session = this.#makeHttp2(stream, peer, shared);
    shared.adopt(session);
    this.#start(session);
    return session;
  }

  /** What the peer has chosen; remembered where it had the choice. */
  #isHttp2(stream: L4Stream, { protocol, key }: Peer): boolean {
    if (protocol !== 'auto') return protocol === 'http2';
    const isHttp2 = alpnOf(stream) === 'h2';
    this.#http1Keys.delete(key);
    if (isHttp2) this.#lone.call(key);
    else this.#http1Keys.add(key);
    if (this.#http1Keys.size > MAX_REMEMBERED) this.#http1Keys.delete(this.#http1Keys.values().next().value as string);
    return isHttp2;
  }

  /** Over HTTP/1, or what else a connection speaks for one request at a time. @throws {WireError} CUSTOM_SESSION_THREW */
  #startHttp1(stream: L4Stream, peer: Peer): ClientSession {
    const custom = peer.tls?.customProtocols.get(alpnOf(stream) ?? '');
    const session =
      custom === undefined
        ? new Http1ClientSession(stream, this.#environment, peer.client, this)
        : openOwnSession(custom, stream, this.#environment, this);
    this.#sessions.set(session, { peer, retireAt: this.#environment.now() + peer.maxConnectionAgeMs });
    this.#start(session, custom !== undefined);
    return session;
  }

  /** A session or a stream of the user's that throws now leaves nothing behind. @throws {WireError} CUSTOM_SESSION_THREW, or what the stream threw */
  #start(session: ClientSession, isOwn = false): void {
    const fail = (thrown: unknown): WireError => {
      const error = isOwn ? ownSessionFailed(thrown) : toConnectError(thrown);
      this.onSessionClose(session, error, false);
      dropStream(session.stream, error);
      return error;
    };
    try {
      watchAnswer(session.start(), fail);
    } catch (thrown) {
      throw fail(thrown);
    }
  }

  #sharedOf(peer: Peer): SharedSessions<Http2ClientSession> {
    const found = this.#shared.get(peer.key);
    if (found !== undefined) return found;
    const environment = this.#environment;
    const { deadlines } = environment;
    const shared: SharedSessions<Http2ClientSession> = new SharedSessions<Http2ClientSession>(
      {
        deadlines,
        recentNow: () => environment.recentNow,
        now: () => environment.now(),
        open: (signal) => this.#connectShared(peer, shared, signal),
        onClosed: (session) => this.#homes.delete(session),
        onEmpty: () => this.#shared.delete(peer.key),
      },
      // Whoever waits for a connection in the making waits for its handshake too.
      { ...peer, connectTimeoutMs: peer.totalTimeoutMs, mayChoose: peer.protocol === 'auto', place: placeOf(peer) },
    );
    this.#shared.set(peer.key, shared);
    if (this.#isClosed) shared.close();
    return shared;
  }

  async #connectShared(peer: Peer, shared: SharedSessions<Http2ClientSession>, signal: AbortSignal): Promise<Http2ClientSession | null> {
    const stream = await this.#openCounted(peer, signal);
    if (!this.#isHttp2(stream, peer)) {
      this.release(this.#startHttp1(stream, peer));
      return null;
    }
    const session = this.#makeHttp2(stream, peer, shared);
    shared.add(session);
    this.#start(session);
    return session;
  }

  #makeHttp2(stream: L4Stream, peer: Peer, shared: SharedSessions<Http2ClientSession>): Http2ClientSession {
    const options = peer.http2;
    if (options === null) throw new TypeError('the peer speaks HTTP/1');
    const session = new Http2ClientSession(stream, this.#environment, options, this);
    this.#homes.set(session, shared);
    return session;
  }

  /** @throws {WireError} */
  async #openCounted(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    try {
      const stream = await this.#openStream(peer, signal);
      this.counts.connected++;
      return stream;
    } catch (thrown) {
      if (signal?.aborted !== true) this.counts.failed++;
      throw toConnectError(thrown);
    }
  }

  async #openStream(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    const { tls, totalTimeoutMs } = peer;
    const startedAt = this.#environment.now();
    const stream = checkOpen(await this.#openTransport(peer, signal), peer);
    if (tls === null) return stream;
    const leftMs = startedAt + totalTimeoutMs - this.#environment.now();
    return checkOpen(await secureInTime(stream, { peer, tls, deadlines: this.#environment.deadlines, signal, leftMs }), peer);
  }

  #openTransport(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    const { deadlines } = this.#environment;
    const open = peer.connect ?? this.#open;
    if (open !== null) return openInTime(open, peer, deadlines, signal);
    return connect(peer.address, {
      connectTimeoutMs: withinReach(peer.connectTimeoutMs, deadlines),
      // The handshake is made here, and has what is left.
      ...(peer.tls === null ? {} : { totalTimeoutMs: withinReach(peer.totalTimeoutMs, deadlines) }),
      deadlines,
      clock: this.#environment.clock,
      ...(signal === undefined ? {} : { signal }),
      ...(peer.localAddress === undefined ? {} : { localAddress: peer.localAddress }),
    });
  }

  /** Most connections have the pool's own time, and cost no object and no deadline of their own. */
  #putOptions(idleTimeoutMs: number): { readonly idleTimeoutMs: number } | undefined {
    if (idleTimeoutMs === POOL_IDLE_TIMEOUT_MS) return undefined;
    const isArmable = idleTimeoutMs <= this.#environment.deadlines.maxDelayMs;
    return { idleTimeoutMs: isArmable ? idleTimeoutMs : Number.POSITIVE_INFINITY };
  }

  #drop(session: ClientSession): void {
    this.#sessions.delete(session);
    // One of the user's own may fail to, and then its stream must not live on.
    callUser(
      () => session.close(),
      (thrown) => dropStream(session.stream, ownSessionFailed(thrown)),
    );
  }
}

interface Placement {
  readonly peer: Peer;
  readonly retireAt: number;
}
