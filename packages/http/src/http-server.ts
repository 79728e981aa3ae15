/**
 * All connections of one application: accepts streams, runs a session on each, and drains or closes them.
 *
 * It does not listen: any source of L4 streams will do (`listen` of @ferrata/net, a memory pair, a tunnel).
 */
import { internalError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import type { HttpApplication } from './exchange.ts';
import { HttpEnvironment } from './http-environment.ts';
import { Http1ServerSession, type ServerSessionOwner } from './http1-server-session.ts';
import { type Http1ServerOptions, type ResolvedHttp1ServerOptions, resolveHttp1ServerOptions } from './options.ts';

/** Options of an `HttpServer`. */
export interface HttpServerOptions extends Http1ServerOptions {
  /** Shared clock and timers; default: an environment of its own. */
  readonly environment?: HttpEnvironment;
  /** While draining: how long an idle connection stays open for a request that is on its way. Default 3 000 ms. */
  readonly drainIdleMs?: number;
}

/** The connections of one application. */
export class HttpServer implements ServerSessionOwner, AsyncDisposable {
  readonly environment: HttpEnvironment;
  readonly #application: HttpApplication;
  readonly #options: ResolvedHttp1ServerOptions;
  readonly #drainIdleMs: number;
  readonly #sessions = new Set<Http1ServerSession>();
  #onEmpty: (() => void) | null = null;
  #isDraining = false;

  constructor(application: HttpApplication, options: HttpServerOptions = {}) {
    this.#application = application;
    this.environment = options.environment ?? new HttpEnvironment();
    this.#options = resolveHttp1ServerOptions(options);
    this.#drainIdleMs = options.drainIdleMs ?? 3_000;
  }

  /** Connections that are open, tunnels included. */
  get connectionCount(): number {
    return this.#sessions.size;
  }

  /** Serves a stream. */
  accept(stream: L4Stream): void {
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
