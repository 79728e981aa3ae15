/**
 * All connections of one application: accepts streams, runs a session on each, and drains or closes them.
 *
 * It does not listen: any source of L4 streams will do (`listen` of @ferrata/net, a memory pair, a tunnel).
 */
import { internalError, limitError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import type { HttpApplication } from './exchange.ts';
import { HttpEnvironment } from './http-environment.ts';
import { Http1ServerSession, type ServerSessionOwner } from './http1-server-session.ts';
import { type Http1ServerOptions, type ResolvedHttp1ServerOptions, resolveHttp1ServerOptions } from './options.ts';

/** Options of an `HttpServer`. */
export interface HttpServerOptions extends Http1ServerOptions {
  /** Shared clock and timers; default: an environment of its own. */
  readonly environment?: HttpEnvironment;
  /**
   * Open connections. Default: no limit. At the limit the longest-standing idle connection is closed for a new one; if none is idle, the new one
   * is. Set it below the limit of descriptors: Node says nothing when these run out.
   */
  readonly maxConnections?: number;
  /** While draining: how long an idle connection stays open for a request that is on its way. Default 3 000 ms. */
  readonly drainIdleMs?: number;
}

/** How many connections are looked at to find an idle one. */
const MAX_LOOKED_AT = 1_024;

/** The connections of one application. */
export class HttpServer implements ServerSessionOwner, AsyncDisposable {
  readonly environment: HttpEnvironment;
  readonly #application: HttpApplication;
  readonly #options: ResolvedHttp1ServerOptions;
  readonly #drainIdleMs: number;
  readonly #maxConnections: number;
  readonly #sessions = new Set<Http1ServerSession>();
  #onEmpty: (() => void) | null = null;
  #isDraining = false;

  constructor(application: HttpApplication, options: HttpServerOptions = {}) {
    this.#application = application;
    this.environment = options.environment ?? new HttpEnvironment();
    this.#options = resolveHttp1ServerOptions(options);
    this.#drainIdleMs = options.drainIdleMs ?? 3_000;
    this.#maxConnections = options.maxConnections ?? Number.POSITIVE_INFINITY;
  }

  /** Connections that are open, tunnels included. */
  get connectionCount(): number {
    return this.#sessions.size;
  }

  /** Serves a stream. */
  accept(stream: L4Stream): void {
    if (this.#sessions.size >= this.#maxConnections && !this.#shedIdle()) {
      stream.abort(limitError('TOO_MANY_CONNECTIONS', 'no connection is idle', { wire: { status: 503 } }));
      return;
    }
    const session = new Http1ServerSession(stream, this.#application, this.environment, this.#options, this);
    this.#sessions.add(session);
    if (this.#isDraining) session.drain(this.environment.now() + this.#drainIdleMs);
    session.start();
  }

  onSessionClose(session: Http1ServerSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#onEmpty?.();
  }

  /**
   * Ends in order: running exchanges are finished, answers say `Connection: close`, idle connections are closed after `drainIdleMs`. What is
   * left after `graceMs` is cut.
   *
   * @returns how many connections had to be cut
   */
  async drain(graceMs: number): Promise<number> {
    this.#isDraining = true;
    const closeIdleAt = this.environment.now() + Math.min(this.#drainIdleMs, graceMs);
    for (const session of this.#sessions) session.drain(closeIdleAt);
    if (this.#sessions.size === 0) return 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    const deadline = this.environment.deadlines.after(graceMs, resolve);
    await promise;
    deadline.cancel();
    this.#onEmpty = null;
    const left = this.#sessions.size;
    this.close();
    return left;
  }

  /** Cuts every connection at once. */
  close(reason: WireError = internalError('SERVER_CLOSED', 'the server is closing', { wire: { status: 503 } })): void {
    this.#isDraining = true;
    for (const session of this.#sessions) session.abort(reason);
  }

  /** Closes the longest-standing idle connection. @returns false if none of the oldest is idle */
  #shedIdle(): boolean {
    let looked = 0;
    for (const session of this.#sessions) {
      if (session.isIdle) {
        this.#sessions.delete(session);
        session.abort();
        return true;
      }
      // A bound on the work that each new connection can cause when all are busy.
      if (++looked >= MAX_LOOKED_AT) break;
    }
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
