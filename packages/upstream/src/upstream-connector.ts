/**
 * From a peer to a usable connection: a clean idle one if there is one, else a new one.
 *
 * Rules of this file:
 * - Only a session that says of itself that it is clean enters the pool; one that ends, or gets a byte, while it is idle leaves it at once.
 * - Connections are shared by `Peer.key` and nothing else.
 * - Every session that was handed out comes back: by itself when its exchange is over, or by `release` if it never carried one.
 *
 * ```text
 *   connect ──► handed out ── exchange over, clean ──► idle ── take ──► handed out …
 *                   │     └── release ───────────────►  │
 *                   └── anything else ──► closed ◄──────┴── idle too long, too old, ended, dirty, one too many
 * ```
 */
import type { WireError } from '@ferrata/error';
import { type ClientSessionOwner, Http1ClientSession, type HttpEnvironment } from '@ferrata/http';
import { connect } from '@ferrata/net';
import { IdlePool } from '@ferrata/pool';
import type { L4Stream } from '@ferrata/stream';
import { type OpenStream, openInTime, toConnectError } from './open-stream.ts';
import type { Peer } from './peer.ts';

/** Options of an `UpstreamConnector`. */
export interface UpstreamConnectorOptions {
  /** Clock, timers and output buffer, shared with the server side. */
  readonly environment: HttpEnvironment;
  /** Idle connections kept for one peer. Default 128; 0 keeps none. Raising it holds more descriptors, at both ends. */
  readonly maxIdlePerPeer?: number;
  /** Idle connections kept in all. Default 1 024; 0 keeps none. Stay below the limit of descriptors. */
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
  /** Times an idle connection was handed out. */
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
  readonly #pool: IdlePool<Http1ClientSession>;
  readonly #open: OpenStream | null;
  /** Every open session. */
  readonly #sessions = new Map<Http1ClientSession, Placement>();
  #isClosed = false;

  /** @throws {RangeError} when a limit is no whole number from 0 on */
  constructor(options: UpstreamConnectorOptions) {
    this.#environment = options.environment;
    this.#open = options.connect ?? null;
    this.#pool = new IdlePool({
      deadlines: options.environment.deadlines,
      maxIdlePerKey: options.maxIdlePerPeer ?? 128,
      maxIdle: options.maxIdle ?? 1_024,
      idleTimeoutMs: POOL_IDLE_TIMEOUT_MS,
      // Sessions are put and taken in the events of streams, at which the environment has read the clock.
      recentNow: () => this.#environment.recentNow,
      isUsable: (session) => session.isReusable && this.#environment.recentNow < (this.#sessions.get(session)?.retireAt ?? 0),
      onEvict: (session) => this.#drop(session),
    });
  }

  /** Connections that wait for a request. */
  get idleCount(): number {
    return this.#pool.size;
  }
  /** All connections, busy and idle; those that became tunnels are not counted any more. */
  get connectionCount(): number {
    return this.#sessions.size;
  }

  /** A clean idle connection to `peer`, or null. Send a request on it, or `release` it. */
  take(peer: Peer): Http1ClientSession | null {
    const session = this.#pool.take(peer.key);
    if (session === undefined) return null;
    this.counts.reused++;
    return session;
  }

  /**
   * A new connection to `peer`. Send a request on it, or `release` it.
   *
   * @param signal gives up connecting
   * @throws {WireError} connect and timeout errors, with source `upstream`
   */
  async connect(peer: Peer, signal?: AbortSignal): Promise<Http1ClientSession> {
    let stream: L4Stream;
    try {
      stream = await this.#openStream(peer, signal);
    } catch (thrown) {
      if (signal?.aborted !== true) this.counts.failed++;
      throw toConnectError(thrown);
    }
    this.counts.connected++;
    const session = new Http1ClientSession(stream, this.#environment, peer.client, this);
    this.#sessions.set(session, { peer, retireAt: this.#environment.now() + peer.maxConnectionAgeMs });
    session.start();
    return session;
  }

  /** Takes back a connection on which nothing was sent since it was handed out: it waits for another request, or is dropped if it has ended. */
  release(session: Http1ClientSession): void {
    if (session.isReusable) this.onSessionIdle(session);
    else this.#drop(session);
  }

  onSessionIdle(session: Http1ClientSession): void {
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

  onSessionClose(session: Http1ClientSession, _error: WireError | null, isDirty: boolean): void {
    if (isDirty) this.counts.dirty++;
    this.#sessions.delete(session);
    this.#pool.entryOf(session)?.leave('closed');
  }

  /** Closes idle connections, and busy ones as soon as they are idle. */
  close(): void {
    this.#isClosed = true;
    this.#pool.drain();
  }

  [Symbol.dispose](): void {
    this.close();
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

  #drop(session: Http1ClientSession): void {
    this.#sessions.delete(session);
    session.close();
  }
}

interface Placement {
  readonly peer: Peer;
  readonly retireAt: number;
}
