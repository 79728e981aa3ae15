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
import { IdlePool } from '@ferrata/pool';
import { callUser, type L4Stream, park, tapped, watchAnswer } from '@ferrata/stream';
import { ConnectionPlaces } from './connection-places.ts';
import { Http1Preferences } from './http1-preferences.ts';
import { IdleSessions } from './idle-sessions.ts';
import { LoneAttempt, LoneAttempts } from './lone-attempts.ts';
import { alpnOf, dropStream, givenUp, type OpenStream, placeOf, toConnectError } from './open-stream.ts';
import { openOwnSession, ownSessionFailed } from './own-session.ts';
import type { Peer } from './peer.ts';
import { SharedSessions } from './shared-sessions.ts';
import { type NameResolver, StreamOpener } from './stream-opener.ts';

/** Options of an `UpstreamConnector`. */
export interface UpstreamConnectorOptions {
  /** Clock, timers and output buffer, shared with the server side. */
  readonly environment: HttpEnvironment;
  /** HTTP/1: idle connections kept for one peer. Default 1 024; 0 keeps none. Lowering it closes and makes connections in every burst. */
  readonly maxIdlePerPeer?: number;
  /** Idle connections kept in all, so many of HTTP/1 and so many of HTTP/2. Default 1 024; 0 keeps none. Stay below the limit of descriptors. */
  readonly maxIdle?: number;
  /**
   * Makes the stream to a peer that has no `connect` of its own. Default: `connect` of @ferrata/net. Give one for virtual streams and tests; the time-out is
   * kept for it, and TLS, where a peer asks for it, runs over it.
   */
  readonly connect?: OpenStream;
  /**
   * Looks up the names of peers that are connected to by sockets; a `DnsResolver` of @ferrata/net, or anything else with its `lookup`. One for all peers, so that they
   * share what it remembers. Default: `dns.lookup`, on four threads and without memory.
   */
  readonly resolver?: NameResolver;
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

const NOTHING = new Uint8Array(0);

/** Makes and keeps connections to peers. */
export class UpstreamConnector implements ClientSessionOwner, Disposable {
  readonly counts: UpstreamCounts = { connected: 0, failed: 0, reused: 0, dirty: 0 };
  readonly #environment: HttpEnvironment;
  readonly #pool: IdlePool<ClientSession>;
  readonly #opener: StreamOpener;
  /** Every open session that is not shared. */
  readonly #sessions = new Map<ClientSession, Placement>();
  /** Where a shared session belongs. */
  readonly #homes = new Map<ClientSession, SharedSessions<Http2ClientSession>>();
  /** Shared sessions that carry nothing. */
  readonly #idle: IdleSessions<Http2ClientSession>;
  /** By `Peer.key`. */
  readonly #shared = new Map<string, SharedSessions<Http2ClientSession>>();
  /** By `Peer.key`: how many connections of one request each there are, and who waits for one. */
  readonly #places = new Map<string, ConnectionPlaces>();
  readonly #http1Preferences = new Http1Preferences();
  /** The origin keys of peers that could choose, and chose HTTP/1; the one told of last at the end. */
  readonly #http1Keys = new Set<string>();
  /** Who connects each for itself to such a peer just now. */
  readonly #lone = new LoneAttempts();
  #isClosed = false;

  /** @throws {RangeError} when a limit is no whole number from 0 on @throws {TypeError} when the resolver looks nothing up */
  constructor(options: UpstreamConnectorOptions) {
    const { environment, connect: open = null, resolver = null } = options;
    if (resolver !== null && typeof resolver.lookup !== 'function') throw new TypeError('a resolver needs a function lookup');
    this.#environment = environment;
    this.#opener = new StreamOpener({ environment, open, resolver });
    this.#idle = new IdleSessions(options.maxIdle ?? 1_024, (session) => this.#homes.get(session)?.dropIdle(session));
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
  /** Requests that wait for a connection, or for a place on a shared one. */
  get pendingCount(): number {
    let count = 0;
    for (const shared of this.#shared.values()) count += shared.pendingCount;
    for (const places of this.#places.values()) count += places.pendingCount;
    return count;
  }

  /**
   * HTTP/1: a clean idle connection to `peer`; HTTP/2: one with a free place; `auto`: the latter, else the former. Null if there is none. Send one
   * request on it, or `release` it.
   */
  take(given: Peer): ClientSession | null {
    const peer = this.#asSpokenTo(given);
    let session: ClientSession | null = peer.protocol === 'http1' ? null : (this.#shared.get(peer.key)?.take() ?? null);
    if (session === null && peer.protocol !== 'http2') session = this.#pool.take(peer.key) ?? null;
    if (session !== null) this.counts.reused++;
    return session;
  }

  /**
   * HTTP/1: a new connection to `peer` if `maxConnections` allows, else the first that becomes free. HTTP/2: a place on a connection to it, when there is
   * one; a connection is made if all are full and `maxConnections` allows. With `auto`, what the peer chooses decides between the two. Send one request on it,
   * or `release` it.
   *
   * @param signal gives up connecting and waiting
   * @param except HTTP/2: a connection that has just refused the request; it is given again only if no other can be had
   * @throws {WireError} connect, TLS and timeout errors, with source `upstream`; `limit UPSTREAM_TOO_MANY_PENDING` and, over HTTP/1
   *   `timeout UPSTREAM_NO_CONNECTION`, over HTTP/2 `timeout UPSTREAM_NO_STREAM`, all with status 503
   */
  async connect(given: Peer, signal?: AbortSignal, except: ClientSession | null = null): Promise<ClientSession> {
    const peer = this.#asSpokenTo(given);
    if (peer.protocol === 'http1') return this.#connectOwn(peer, signal);
    const avoided = except instanceof Http2ClientSession ? except : null;
    if (peer.protocol === 'http2' || !this.#http1Keys.has(peer.originKey)) {
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

  /**
   * Has `peer` asked by HTTP/1.1 alone for ten minutes: it has refused a request with HTTP_1_1_REQUIRED (RFC 9113 §7), or breaks the rules of HTTP/2. Of 4 096 peers
   * that is remembered. Its connections of HTTP/2 finish what they carry.
   *
   * @returns false if HTTP/2 is all that it is to be asked by: then nothing is remembered, and nothing can be sent again
   */
  preferHttp1(peer: Peer): boolean {
    if (peer.protocol === 'http2') return false;
    if (peer.forUpgrade !== null) this.#http1Preferences.add(peer.originKey, this.#environment.now());
    return true;
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
    if (placement === undefined || placement.places.isOverfull || this.#environment.recentNow >= placement.retireAt) {
      this.#drop(session);
      return;
    }
    const { peer, places } = placement;
    if (places.offer(session)) {
      placement.isPromised = true;
      return;
    }
    if (this.#isClosed) return this.#drop(session);
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
      this.#idle.delete(session as Http2ClientSession);
      home.handleClose(session as Http2ClientSession);
      return;
    }
    this.#pool.entryOf(session)?.leave('closed');
    this.#forget(session);
  }

  /** A connection becomes a tunnel: where tunnels count, it keeps its place until it is closed, whoever has it then. */
  onSessionTunnel(session: ClientSession): L4Stream {
    const { stream } = session;
    const placement = this.#sessions.get(session);
    if (placement === undefined || !placement.peer.areTunnelsCounted) return stream;
    this.#sessions.delete(session);
    let isHeld = true;
    const tunnel = tapped(stream, {
      onClose: () => {
        // Each sink of a stream hears of its close.
        if (isHeld) placement.places.leave();
        isHeld = false;
      },
    });
    park(tunnel, NOTHING);
    return tunnel;
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

  /** What HTTP_1_1_REQUIRED has taught. */
  #asSpokenTo(peer: Peer): Peer {
    const { forUpgrade } = peer;
    if (forUpgrade === null || this.#http1Preferences.size === 0) return peer;
    return this.#http1Preferences.has(peer.originKey, this.#environment.recentNow) ? forUpgrade : peer;
  }

  /** A connection for one request alone, made or become free; or one for others too, if the peer chooses HTTP/2. */
  async #connectOwn(peer: Peer, signal: AbortSignal | undefined): Promise<ClientSession> {
    if (!this.#placesOf(peer).tryTake()) {
      const idle = this.#pool.take(peer.key);
      if (idle !== undefined) return idle;
      // What was idle may have been past its time, and have made room.
      const places = this.#placesOf(peer);
      if (!places.tryTake()) {
        const freed = await places.wait(signal);
        if (freed !== null && this.#isKept(freed, places, signal)) return freed;
      }
    }
    return this.#makeOwn(peer, this.#placesOf(peer), signal);
  }

  /**
   * Whoever waited for `session` comes to run. Either of them may be lost by now.
   *
   * @returns false: the session is gone, and its place is the caller's, who would else stand in line a second time
   * @throws {WireError} CONNECT_ABORTED; the session, or its place, goes on to the next then
   */
  #isKept(session: ClientSession, places: ConnectionPlaces, signal: AbortSignal | undefined): boolean {
    const placement = this.#sessions.get(session);
    if (signal?.aborted === true) {
      if (placement === undefined) places.leave();
      else {
        placement.isPromised = false;
        this.release(session);
      }
      throw givenUp();
    }
    if (placement === undefined) return false;
    if (!session.isReusable) {
      this.#drop(session);
      return false;
    }
    placement.isPromised = false;
    return true;
  }

  /** @param places one of which is taken */
  async #makeOwn(peer: Peer, places: ConnectionPlaces, signal: AbortSignal | undefined): Promise<ClientSession> {
    let stream: L4Stream;
    try {
      stream = await this.#openCounted(peer, signal);
    } catch (thrown) {
      places.leave();
      throw thrown;
    }
    if (!this.#isHttp2(stream, peer)) return this.#startHttp1(stream, peer, places);
    places.leave();
    const shared = this.#sharedOf(peer);
    const session = this.#makeHttp2(stream, peer, shared);
    shared.adopt(session);
    this.#start(session);
    return session;
  }

  /** What the peer has chosen; remembered where it had the choice. */
  #isHttp2(stream: L4Stream, { protocol, key, originKey }: Peer): boolean {
    if (protocol !== 'auto') return protocol === 'http2';
    const isHttp2 = alpnOf(stream) === 'h2';
    this.#http1Keys.delete(originKey);
    if (isHttp2) this.#lone.call(key);
    else this.#http1Keys.add(originKey);
    if (this.#http1Keys.size > MAX_REMEMBERED) this.#http1Keys.delete(this.#http1Keys.values().next().value as string);
    return isHttp2;
  }

  /**
   * Over HTTP/1, or what else a connection speaks for one request at a time.
   *
   * @param places one of which is taken, and goes with the session
   * @throws {WireError} CUSTOM_SESSION_THREW
   */
  #startHttp1(stream: L4Stream, peer: Peer, places: ConnectionPlaces): ClientSession {
    const custom = peer.tls?.customProtocols.get(alpnOf(stream) ?? '');
    let session: ClientSession;
    try {
      session =
        custom === undefined
          ? new Http1ClientSession(stream, this.#environment, peer.client, this)
          : openOwnSession(custom, stream, this.#environment, this);
    } catch (thrown) {
      places.leave();
      throw thrown;
    }
    this.#sessions.set(session, { peer, places, retireAt: this.#environment.now() + peer.maxConnectionAgeMs, isPromised: false });
    this.#start(session, custom !== undefined);
    return session;
  }

  #placesOf(peer: Peer): ConnectionPlaces {
    const { key, maxHttp1Connections: maxConnections, maxPending, pendingTimeoutMs } = peer;
    const found = this.#places.get(key);
    if (found !== undefined) return found;
    const limits = { maxConnections, maxPending, pendingTimeoutMs, place: placeOf(peer) };
    const places = new ConnectionPlaces(this.#environment.deadlines, limits, () => this.#places.delete(key));
    this.#places.set(key, places);
    return places;
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
        onClosed: (session) => {
          this.#homes.delete(session);
          this.#idle.delete(session);
        },
        onIdle: (session) => this.#idle.add(session),
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
      const places = this.#placesOf(peer);
      places.add();
      this.release(this.#startHttp1(stream, peer, places));
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
      const stream = await this.#opener.open(peer, signal);
      this.counts.connected++;
      return stream;
    } catch (thrown) {
      if (signal?.aborted !== true) this.counts.failed++;
      throw toConnectError(thrown);
    }
  }

  /** Most connections have the pool's own time, and cost no object and no deadline of their own. */
  #putOptions(idleTimeoutMs: number): { readonly idleTimeoutMs: number } | undefined {
    if (idleTimeoutMs === POOL_IDLE_TIMEOUT_MS) return undefined;
    const isArmable = idleTimeoutMs <= this.#environment.deadlines.maxDelayMs;
    return { idleTimeoutMs: isArmable ? idleTimeoutMs : Number.POSITIVE_INFINITY };
  }

  #drop(session: ClientSession): void {
    // One of the user's own may fail to, and then its stream must not live on.
    callUser(
      () => session.close(),
      (thrown) => dropStream(session.stream, ownSessionFailed(thrown)),
    );
    this.#forget(session);
  }

  /** Its place is free, unless somebody who waited comes to run for it: it is theirs then. */
  #forget(session: ClientSession): void {
    const placement = this.#sessions.get(session);
    if (placement === undefined) return;
    this.#sessions.delete(session);
    if (!placement.isPromised) placement.places.leave();
  }
}

interface Placement {
  readonly peer: Peer;
  readonly places: ConnectionPlaces;
  readonly retireAt: number;
  /** It was given to somebody who waited, and who has not come to run yet. */
  isPromised: boolean;
}
