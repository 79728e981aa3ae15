/**
 * From a peer to a usable connection: a clean idle one if there is one, else a new one.
 *
 * Rules of this file:
 * - Only a session that says of itself that it is clean enters the pool; one that ends, or gets a byte, while it is idle leaves it at once.
 * - Connections are shared by `Peer.key` and nothing else.
 */
import type { WireError } from '@ferrata/error';
import { type ClientSessionOwner, Http1ClientSession, type HttpEnvironment } from '@ferrata/http';
import { connect } from '@ferrata/net';
import { IdlePool, type PoolEntry } from '@ferrata/pool';
import type { L4Stream } from '@ferrata/stream';
import type { Peer } from './peer.ts';

/** Options of an `UpstreamConnector`. */
export interface UpstreamConnectorOptions {
  /** Clock, timers and output buffer, shared with the server side. */
  readonly environment: HttpEnvironment;
  /** Idle connections kept for one peer. Default 128. */
  readonly maxIdlePerPeer?: number;
  /** Idle connections kept in all. Default 1 024. */
  readonly maxIdle?: number;
  /** Makes the stream to a peer. Default: `connect` of @ferrata/net. Give one for virtual streams and tests. */
  readonly connect?: (peer: Peer, signal: AbortSignal | undefined) => Promise<L4Stream>;
}

/** What has happened since the start. */
export interface UpstreamCounts {
  /** Connections made. */
  connected: number;
  /** Attempts that failed. */
  failed: number;
  /** Exchanges on a connection that had carried one before. */
  reused: number;
  /** Connections dropped because bytes came that belonged to no exchange. */
  dirty: number;
}

/** Makes and keeps connections to peers. */
export class UpstreamConnector implements ClientSessionOwner {
  readonly counts: UpstreamCounts = { connected: 0, failed: 0, reused: 0, dirty: 0 };
  readonly #environment: HttpEnvironment;
  readonly #pool: IdlePool<Http1ClientSession>;
  readonly #connect: (peer: Peer, signal: AbortSignal | undefined) => Promise<L4Stream>;
  /** Every open session, with its place in the pool while it is idle. */
  readonly #sessions = new Map<Http1ClientSession, Placement>();
  #isClosed = false;

  constructor(options: UpstreamConnectorOptions) {
    this.#environment = options.environment;
    this.#connect = options.connect ?? connectToPeer;
    this.#pool = new IdlePool({
      deadlines: options.environment.deadlines,
      maxIdlePerKey: options.maxIdlePerPeer ?? 128,
      maxIdle: options.maxIdle ?? 1_024,
      onEvict: (session) => this.#drop(session),
    });
  }

  /** Connections that wait for a request. */
  get idleCount(): number {
    return this.#pool.size;
  }
  /** All connections, busy and idle. */
  get connectionCount(): number {
    return this.#sessions.size;
  }

  /** A clean idle connection to `peer`, or null. */
  take(peer: Peer): Http1ClientSession | null {
    for (;;) {
      const session = this.#pool.take(peer.key);
      if (session === undefined) return null;
      const placement = this.#sessions.get(session);
      if (placement !== undefined) placement.entry = null;
      if (session.isReusable) {
        this.counts.reused++;
        return session;
      }
      this.#drop(session);
    }
  }

  /**
   * A new connection to `peer`.
   * @throws {WireError} connect and timeout errors, with source `upstream`
   */
  async connect(peer: Peer, signal?: AbortSignal): Promise<Http1ClientSession> {
    let stream: L4Stream;
    try {
      stream = await this.#connect(peer, signal);
    } catch (error) {
      this.counts.failed++;
      throw error;
    }
    this.counts.connected++;
    const session = new Http1ClientSession(stream, this.#environment, peer.client, this);
    this.#sessions.set(session, { peer, entry: null, retireAt: this.#environment.now() + peer.maxConnectionAgeMs });
    session.start();
    return session;
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
    else placement.entry = this.#pool.put(peer.key, session, idleTimeoutMs === Number.POSITIVE_INFINITY ? undefined : { idleTimeoutMs });
  }

  onSessionClose(session: Http1ClientSession, _error: WireError | null, isDirty: boolean): void {
    if (isDirty) this.counts.dirty++;
    const placement = this.#sessions.get(session);
    this.#sessions.delete(session);
    if (placement?.entry != null) this.#pool.remove(placement.entry);
  }

  /** Closes idle connections, and busy ones as soon as they are idle. */
  close(): void {
    this.#isClosed = true;
    this.#pool.drain();
  }

  #drop(session: Http1ClientSession): void {
    this.#sessions.delete(session);
    session.close();
  }
}

interface Placement {
  readonly peer: Peer;
  entry: PoolEntry<Http1ClientSession> | null;
  readonly retireAt: number;
}

function connectToPeer(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
  return connect(peer.address, {
    connectTimeoutMs: peer.connectTimeoutMs,
    ...(signal === undefined ? {} : { signal }),
    ...(peer.localAddress === undefined ? {} : { localAddress: peer.localAddress }),
  });
}
