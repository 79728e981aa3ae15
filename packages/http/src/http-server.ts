/**
 * All connections of one application: accepts streams, runs a session on each, and drains or closes them.
 *
 * It does not listen: any source of L4 streams will do (`listen` of @ferrata/net, a memory pair, a tunnel).
 */
import { checkNumber, internalError, limitError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import type { HttpApplication } from './exchange.ts';
import { HttpEnvironment } from './http-environment.ts';
import { Http1ServerSession } from './http1-server-session.ts';
import { type Http2ServerOptions, type ResolvedHttp2ServerOptions, resolveHttp2ServerOptions } from './http2-options.ts';
import { Http2ServerSession } from './http2-server-session.ts';
import type { ConnectionRecord } from './internal/connection-record.ts';
import { Roster } from './internal/roster.ts';
import { memoryPressure } from './internal/session-errors.ts';
import { type Http1ServerOptions, type ResolvedHttp1ServerOptions, resolveHttp1ServerOptions } from './options.ts';
import type { MemoryPressure, ServerSession, ServerSessionOwner } from './session.ts';

/** Options of an `HttpServer`. */
export interface HttpServerOptions extends Http1ServerOptions {
  /** Shared clock and timers; default: an environment of its own. */
  readonly environment?: HttpEnvironment;
  /**
   * Open connections. Default: no limit. At the limit the longest-standing idle connection is closed for a new one; if none is idle, the new one
   * is. Set it below the limit of descriptors: Node says nothing when these run out.
   */
  readonly maxConnections?: number;
  /** While draining: how long an idle connection stays open for a request that is on its way. Default 3 000 ms; 0 closes it at once. */
  readonly drainIdleMs?: number;
  /**
   * Options of connections that begin with HTTP/2's client preface, or for which TLS has agreed on `h2`; times that are not given are those of the
   * server itself. Default: all defaults. `false`: HTTP/1 only, and a preface is refused as a wrong request.
   */
  readonly http2?: Http2ServerOptions | false;
}

/** How many connections are looked at to find an idle one: a bound on the work that each new connection can cause when all are busy. */
const MAX_LOOKED_AT = 1_024;

/** The sessions that a server makes. */
type OwnSession = Http1ServerSession | Http2ServerSession;

/** The connections of one application. */
export class HttpServer implements ServerSessionOwner, AsyncDisposable {
  readonly environment: HttpEnvironment;
  readonly #application: HttpApplication;
  readonly #options: ResolvedHttp1ServerOptions;
  readonly #http2: ResolvedHttp2ServerOptions | null;
  /** A drain with little time makes it less. */
  #drainIdleMs: number;
  readonly #maxConnections: number;
  /** The longest-standing first; see `#shedIdle`. */
  readonly #connections = new Roster<ConnectionRecord<OwnSession>>();
  /** Those who wait in `drain` for the last connection to end. */
  readonly #drains = new Set<() => void>();
  #isDraining = false;
  #pressure: MemoryPressure = 'none';
  #shedCount = 0;
  #isClosed = false;

  constructor(application: HttpApplication, options: HttpServerOptions = {}) {
    this.#application = application;
    this.environment = options.environment ?? new HttpEnvironment();
    this.#options = resolveHttp1ServerOptions(options);
    this.#http2 = options.http2 === false ? null : resolveHttp2ServerOptions({ ...sharedTimes(this.#options), ...options.http2 });
    this.#drainIdleMs = checkNumber('drainIdleMs', options.drainIdleMs ?? 3_000, { min: 0 });
    this.#maxConnections = checkNumber('maxConnections', options.maxConnections ?? Number.POSITIVE_INFINITY, { min: 1 });
  }

  /** Connections that are open, tunnels included. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Connections that are not idle, or whose last answer has not gone out whole: something may be lost if they are cut now. Looks at each. */
  get busyCount(): number {
    let count = 0;
    for (const { session } of this.#connections) if (!isUnused(session)) count++;
    return count;
  }

  /**
   * How near the program is to the end of its memory, as whoever watches it says. `none` at first.
   *
   * `tight`: the next answer of each connection is its last (`Connection: close`; over HTTP/2 GOAWAY in order). `critical`: requests, on new connections too,
   * are answered 503 with `Retry-After` at once, and the application hears `onRefused` with `MEMORY_PRESSURE`. What runs goes on.
   *
   * @throws {RangeError} when it is set to anything else
   */
  get pressure(): MemoryPressure {
    return this.#pressure;
  }
  set pressure(pressure: MemoryPressure) {
    if (pressure !== 'none' && pressure !== 'tight' && pressure !== 'critical') {
      throw new RangeError(`pressure must be none, tight or critical, not ${String(pressure)}`);
    }
    this.#pressure = pressure;
  }

  /**
   * Cuts the connection that holds most bytes here, unsent or read and not taken: its exchanges hear `MEMORY_PRESSURE`. Looks at every connection, so it is
   * for when memory has all but run out.
   *
   * @returns false if none holds any
   */
  abortHeaviest(): boolean {
    let heaviest: ServerSession | null = null;
    let mostBytes = 0;
    for (const { session } of this.#connections) {
      const { heldBytes } = session;
      if (heldBytes <= mostBytes) continue;
      heaviest = session;
      mostBytes = heldBytes;
    }
    heaviest?.abort(memoryPressure(`the connection held ${mostBytes} bytes, more than any other`));
    return heaviest !== null;
  }

  /** Serves a stream. After `close` it is aborted; while draining it is served, as its request may be on its way. */
  accept(stream: L4Stream): void {
    if (this.#isClosed) {
      stream.abort(serverClosed());
      return;
    }
    if (this.#connections.size >= this.#maxConnections && !this.#shedIdle()) {
      this.#shedCount++;
      stream.abort(limitError('TOO_MANY_CONNECTIONS', 'no connection is idle', { wire: { status: 503 } }));
      return;
    }
    if (this.#http2 !== null && stream.info.tls?.alpn === 'h2') {
      this.#startHttp2(stream, this.#http2);
      return;
    }
    const session = new Http1ServerSession(stream, this.#application, this.environment, this.#options, this);
    this.#add(session);
    session.start();
  }

  /** @returns false if HTTP/2 is off */
  onHttp2Preface(session: OwnSession, head: Uint8Array): boolean {
    if (this.#http2 === null) return false;
    this.#connections.delete(session.connection);
    this.#startHttp2(session.stream, this.#http2, head);
    return true;
  }

  #startHttp2(stream: L4Stream, options: ResolvedHttp2ServerOptions, head?: Uint8Array): void {
    const session = new Http2ServerSession(stream, this.#application, this.environment, options, this);
    this.#add(session);
    session.start(head);
  }

  #add(session: OwnSession): void {
    this.#connections.add(session.connection);
    if (this.#isDraining) session.drain(this.environment.now() + this.#drainIdleMs);
  }

  /** Connections refused at `maxConnections` because none of the oldest was idle, since the start. */
  get shedCount(): number {
    return this.#shedCount;
  }

  onSessionClose(session: OwnSession): void {
    this.#connections.delete(session.connection);
    if (this.#connections.size === 0) for (const resolve of this.#drains) resolve();
  }

  /**
   * Ends in order: running exchanges are finished, answers say `Connection: close`, connections that stand idle, or come to, are closed `drainIdleMs` later. What is
   * left after `graceMs` is cut. A second call with a shorter grace shortens the first.
   *
   * @param maxIdleMs a bound on `drainIdleMs`. Default half of `graceMs`: clients of idle connections see the end and close, too, so that none of them has to be cut
   * @returns how many connections had to be cut; none of those that were idle by then, with all answers gone out
   * @throws {RangeError} when a time is below 0
   */
  async drain(graceMs: number, maxIdleMs: number = graceMs / 2): Promise<number> {
    checkNumber('graceMs', graceMs, { min: 0 });
    checkNumber('maxIdleMs', maxIdleMs, { min: 0 });
    this.#isDraining = true;
    this.#drainIdleMs = Math.min(this.#drainIdleMs, maxIdleMs);
    const closeIdleAt = this.environment.now() + this.#drainIdleMs;
    for (const { session } of this.#connections) session.drain(closeIdleAt);
    if (this.#connections.size > 0) await this.#untilEmpty(graceMs);
    const { busyCount } = this;
    this.close();
    return busyCount;
  }

  /** Cuts every connection at once. */
  close(reason: WireError = serverClosed()): void {
    this.#isClosed = true;
    for (const { session } of this.#connections) session.abort(reason);
  }

  async #untilEmpty(graceMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { deadlines } = this.environment;
    const deadline = deadlines.after(Math.min(graceMs, deadlines.maxDelayMs), resolve);
    this.#drains.add(resolve);
    await promise;
    this.#drains.delete(resolve);
    deadline.cancel();
  }

  /**
   * Closes the longest-standing idle connection. A busy one that was looked at goes to the back of the queue, so that a crowd of long-lived ones
   * (tunnels, say) does not hide the idle ones behind it from the next search.
   * @returns false if none of those looked at is idle
   */
  #shedIdle(): boolean {
    let left = Math.min(MAX_LOOKED_AT, this.#connections.size);
    for (; left > 0; left--) {
      const { first } = this.#connections;
      if (first === null) break;
      this.#connections.delete(first);
      if (isUnused(first.session)) {
        first.session.abort();
        return true;
      }
      this.#connections.add(first);
    }
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** Cut now, it loses nothing: a whole answer may still wait for a client that reads slowly. */
function isUnused(session: ServerSession): boolean {
  return session.isIdle && session.heldBytes === 0;
}

function serverClosed(): WireError {
  return internalError('SERVER_CLOSED', 'the server is closing', { wire: { status: 503 } });
}

/** A client that reads nothing, or only its half, is the same whatever it speaks. */
function sharedTimes(options: ResolvedHttp1ServerOptions): Http2ServerOptions {
  const { writeTimeoutMs, halfCloseGraceMs, lingerTimeoutMs, maxLingeringBytes, maxConnectionAgeMs } = options;
  return { writeTimeoutMs, halfCloseGraceMs, lingerTimeoutMs, maxLingeringBytes, maxConnectionAgeMs };
}
