/**
 * The connections of an `HttpClient`: how they are made, and those that are kept for the next question.
 *
 * One is kept for each target, and for a minute at most: whoever asks less often has no use for it, and targets that are gone must not hold descriptors.
 */
import {
  type ClientSession,
  type ClientSessionOwner,
  Http1ClientSession,
  Http2ClientSession,
  type HttpEnvironment,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
} from '@ferrata/http';
import { alpnProtocols, identityOf } from '@ferrata/net';
import type { Deadline } from '@ferrata/timeout';
import { type DialTarget, dial, placeOf } from './dial.ts';

/** Which version of HTTP to speak: `auto` is what TLS agrees on, and HTTP/1 without it. */
export type HttpProtocol = 'http1' | 'http2' | 'auto';

/** Where a session leads. */
export interface SessionTarget extends DialTarget {
  /** Default `auto`. */
  readonly protocol?: HttpProtocol;
}

const IDLE_TIMEOUT_MS = 60_000;

/** Whoever asks keeps the time: an answer may take as long as he allows, a stream of answers may be silent for hours. */
const untimed = { firstByteTimeoutMs: Infinity, readTimeoutMs: Infinity };
const http1Options = resolveHttp1ClientOptions({ connection: { ...untimed, headTimeoutMs: Infinity } });
const http2Connection = { ...untimed, streamIdleTimeoutMs: Infinity, idleTimeoutMs: Infinity };
const http2Options = {
  plain: resolveHttp2ClientOptions({ connection: { ...http2Connection, scheme: 'http' } }),
  secure: resolveHttp2ClientOptions({ connection: { ...http2Connection, scheme: 'https' } }),
};

const offers = { http1: alpnProtocols('h1'), http2: alpnProtocols('h2'), auto: alpnProtocols('h2h1') };

interface Kept {
  readonly session: ClientSession;
  readonly idleAt: number;
}

/** Makes sessions, and keeps some. */
export class HttpSessions implements ClientSessionOwner {
  readonly environment: HttpEnvironment;
  readonly #maxKept: number;
  /** In the order of keeping, by target. */
  readonly #kept = new Map<string, Kept>();
  readonly #keys = new Map<ClientSession, string>();
  readonly #sweep: Deadline;
  #isClosed = false;

  /** @param maxKept 0: none */
  constructor(environment: HttpEnvironment, maxKept: number) {
    this.environment = environment;
    this.#maxKept = maxKept;
    this.#sweep = environment.deadlines.deadline(() => this.#dropIdle());
  }

  get isKeeping(): boolean {
    return this.#maxKept > 0;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  /** One that is kept for the target; null: none. */
  take(target: SessionTarget): ClientSession | null {
    if (this.#kept.size === 0) return null;
    const session = this.#kept.get(keyOf(target))?.session ?? null;
    if (session === null) return null;
    this.#forget(session);
    if (session.isReusable) return session;
    session.close();
    return null;
  }

  /** A new one. @throws {WireError} as `dial` */
  async open(target: SessionTarget, signal: AbortSignal, onConnected: () => void): Promise<ClientSession> {
    const { protocol = 'auto', tls = null } = target;
    const stream = await dial(target, { environment: this.environment, signal, alpn: offers[protocol], onConnected });
    const isHttp2 = tls === null ? protocol === 'http2' : protocol !== 'http1' && stream.info.tls?.alpn === 'h2';
    const session = isHttp2
      ? new Http2ClientSession(stream, this.environment, tls === null ? http2Options.plain : http2Options.secure, this)
      : new Http1ClientSession(stream, this.environment, http1Options, this);
    session.start();
    return session;
  }

  /** Its exchange is over, in order. */
  giveBack(target: SessionTarget, session: ClientSession): void {
    if (this.#isClosed || this.#maxKept === 0 || !session.isReusable) return session.close();
    const key = keyOf(target);
    if (this.#kept.has(key)) return session.close();
    const idleAt = this.environment.now() + Math.min(IDLE_TIMEOUT_MS, session.keepAliveTimeoutMs);
    this.#kept.set(key, { session, idleAt });
    this.#keys.set(session, key);
    const [eldest] = this.#kept.values();
    if (this.#kept.size > this.#maxKept && eldest !== undefined) this.#release(eldest.session);
    if (!this.#sweep.isArmed) this.#sweep.arm(IDLE_TIMEOUT_MS);
  }

  /** Drops one at once. */
  cut(session: ClientSession): void {
    const { stream } = session;
    session.close();
    stream.abort();
  }

  close(): void {
    this.#isClosed = true;
    this.closeKept();
  }

  closeKept(): void {
    this.#sweep.cancel();
    for (const { session } of this.#kept.values()) this.#release(session);
  }

  onSessionIdle(): void {}

  onSessionRoom(session: ClientSession): void {
    // GOAWAY to one that is idle.
    if (!session.isReusable && this.#keys.has(session)) this.#release(session);
  }

  onSessionClose(session: ClientSession): void {
    this.#forget(session);
  }

  #dropIdle(): void {
    const now = this.environment.now();
    for (const { session, idleAt } of this.#kept.values()) if (idleAt <= now) this.#release(session);
    if (this.#kept.size > 0) this.#sweep.arm(IDLE_TIMEOUT_MS / 4);
  }

  #release(session: ClientSession): void {
    this.#forget(session);
    session.close();
  }

  #forget(session: ClientSession): void {
    const key = this.#keys.get(session);
    if (key === undefined) return;
    this.#keys.delete(session);
    this.#kept.delete(key);
  }
}

/** Everything that makes two connections unequal. */
function keyOf(target: SessionTarget): string {
  const { connect = null, tls = null, servername, protocol = 'auto' } = target;
  return JSON.stringify([placeOf(target), protocol, tls?.key ?? null, servername ?? null, connect === null ? null : identityOf(connect)]);
}
