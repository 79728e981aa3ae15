/**
 * From a peer to a usable connection. HTTP/1: a clean idle one if there is one, else a new one. HTTP/2: a place on one that others use too; see
 * `shared-sessions.ts`.
 *
 * Rules of this file:
 * - Only a session that says of itself that it is clean enters the pool; one that ends, or gets a byte, while it is idle leaves it at once.
 * - Connections are shared by `Peer.key` and nothing else.
 * - Every session that was handed out comes back: by itself when its exchange is over, or by `release` if it never carried one.
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
import type { L4Stream } from '@ferrata/stream';
import { type OpenStream, openInTime, toConnectError } from './open-stream.ts';
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
  /** Makes the stream to a peer. Default: `connect` of @ferrata/net. Give one for virtual streams and tests; the time-out is kept for it. */
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
   * HTTP/1: a clean idle connection to `peer`; HTTP/2: one with a free place; null if there is none. Send one request on it, or `release` it.
   */
  take(peer: Peer): ClientSession | null {
    const session = peer.protocol === 'http2' ? (this.#shared.get(peer.key)?.take() ?? null) : (this.#pool.take(peer.key) ?? null);
    if (session !== null) this.counts.reused++;
    return session;
  }

  /**
   * HTTP/1: a new connection to `peer`. HTTP/2: a place on a connection to it, when there is one; a connection is made if all are full and
   * `maxConnections` allows. Send one request on it, or `release` it.
   *
   * @param signal gives up connecting and waiting
   * @param except HTTP/2: a connection that has just refused the request; it is given again only if no other can be had
   * @throws {WireError} connect and timeout errors, with source `upstream`; HTTP/2: `limit UPSTREAM_TOO_MANY_PENDING` and
   *   `timeout UPSTREAM_NO_STREAM`, both with status 503
   */
  async connect(peer: Peer, signal?: AbortSignal, except: ClientSession | null = null): Promise<ClientSession> {
    if (peer.protocol !== 'http2') return this.#connectHttp1(peer, signal);
    return this.#sharedOf(peer).request(signal, except instanceof Http2ClientSession ? except : null);
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

  async #connectHttp1(peer: Peer, signal: AbortSignal | undefined): Promise<ClientSession> {
    const stream = await this.#openCounted(peer, signal);
    const session = new Http1ClientSession(stream, this.#environment, peer.client, this);
    this.#sessions.set(session, { peer, retireAt: this.#environment.now() + peer.maxConnectionAgeMs });
    session.start();
    return session;
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
        open: (signal) => this.#connectHttp2(peer, shared, signal),
        onClosed: (session) => this.#homes.delete(session),
        onEmpty: () => this.#shared.delete(peer.key),
      },
      peer,
    );
    this.#shared.set(peer.key, shared);
    if (this.#isClosed) shared.close();
    return shared;
  }

  async #connectHttp2(peer: Peer, shared: SharedSessions<Http2ClientSession>, signal: AbortSignal): Promise<Http2ClientSession> {
    const stream = await this.#openCounted(peer, signal);
    const options = peer.http2;
    if (options === null) throw new TypeError('the peer speaks HTTP/1');
    const session = new Http2ClientSession(stream, this.#environment, options, this);
    this.#homes.set(session, shared);
    shared.add(session);
    session.start();
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

  #openStream(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    const { deadlines } = this.#environment;
    if (this.#open !== null) return openInTime(this.#open, peer, deadlines, signal);
    return connect(peer.address, {
      connectTimeoutMs: peer.connectTimeoutMs,
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
    session.close();
  }
}

interface Placement {
  readonly peer: Peer;
  readonly retireAt: number;
}
