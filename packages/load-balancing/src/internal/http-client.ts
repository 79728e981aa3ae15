/**
 * A small HTTP client: one request, one answer, for whoever must ask a backend or a registry something. No retries but one, no redirects, no cookies.
 *
 * Rules of this file:
 * - A connection carries one exchange at a time, over HTTP/2 too. It is kept only if the client was told to keep connections.
 * - One deadline covers look-up, connecting, handshake and answer. When it is up, or the signal is aborted, the asker hears of it at once, and the connection is dropped.
 * - What is read of a body has a bound.
 * - An idle connection that turns out to be gone costs a second try, on a new one, if the request is sure to have done nothing (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
 *
 * ```text
 *   connecting ──► securing ──► asking ── head ──► answering ── end ──► over
 *       ▲                         │                   │
 *       └── kept one was gone ────┘                   └── error, time-out, abort, too much ──► over
 * ```
 */
import { utf8Encode } from '@ferrata/bytes';
import {
  checkWholeNumber,
  internalError,
  limitError,
  mayRetry,
  timeoutError,
  toWireError,
  type WireError,
  withSource,
} from '@ferrata/error';
import { HeaderMap, type ReadonlyHeaderMap, type RequestHead, type ResponseHead, requestHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ClientSession, HttpEnvironment, Tunnel } from '@ferrata/http';
import { callUser } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { type DialTarget, givenUp, placeOf } from './dial.ts';
import { type HttpProtocol, HttpSessions } from './http-sessions.ts';

/** Whom to ask. */
export interface HttpTarget extends DialTarget {
  /** Default `auto`: over TLS what ALPN agrees on, else HTTP/1. */
  readonly protocol?: HttpProtocol;
}

/** What to ask. */
export interface HttpAsk {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** `Host` is made of the target where it is not given. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array | string;
  readonly signal?: AbortSignal;
  /** Time to the whole answer, of `follow` to its head. Default 5 000. */
  readonly timeoutMs?: number;
  /** `follow`: the longest silence between two pieces of the body. Default: any. */
  readonly idleTimeoutMs?: number;
  /** The most that is read of a body. Default 1 MiB; of `follow`: any. */
  readonly maxBodyBytes?: number;
  /** `ask`: a longer body is cut there, which is no error. Default false. */
  readonly cutsBody?: boolean;
}

/** An answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyHeaderMap;
  readonly body: Uint8Array;
  readonly trailers: ReadonlyHeaderMap | null;
  /** False: its body was longer than asked for, and was cut. */
  readonly isWhole: boolean;
}

/** Hears an answer piece by piece. */
export interface HttpFollower {
  onHead(status: number, headers: ReadonlyHeaderMap): void;
  onData(chunk: Uint8Array): void;
  /** Once and last, but not after `cancel`. `null`: the answer is whole. */
  onEnd(error: WireError | null): void;
}

/** Options of an `HttpClient`. */
export interface HttpClientOptions {
  readonly environment: HttpEnvironment;
  /** Keeps the connection for the next question to the same target, one a target, for a minute. Default false: it is closed after each. */
  readonly keepConnection?: boolean;
  /** Connections kept in all, 0 to 65 536; beyond it the eldest goes. Default 1 024. */
  readonly maxKept?: number;
}

/** How long an answer may take unless it is said. */
const USUAL_TIMEOUT_MS = 5_000;
/** Above the longest wait that makes sense, and far below what a queue of deadlines can keep. */
const MAX_TIMEOUT_MS = 86_400_000;
const USUAL_BODY_BYTES = 1_048_576;

/** Methods whose request may be said again without asking (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Asks, and tells the answer. */
export class HttpClient {
  readonly #sessions: HttpSessions;
  readonly #running = new Set<Asking>();
  #isClosed = false;

  /** @throws {RangeError} when `maxKept` is out of range */
  constructor(options: HttpClientOptions) {
    const maxKept = checkWholeNumber('maxKept', options.maxKept ?? 1_024, { max: 65_536 });
    this.#sessions = new HttpSessions(options.environment, options.keepConnection === true ? maxKept : 0);
  }

  /** Connections kept, which carry nothing. */
  get keptCount(): number {
    return this.#sessions.keptCount;
  }

  /**
   * Asks once.
   *
   * @throws {WireError} rejects with `timeout CONNECT_TIMEOUT`, `timeout TLS_HANDSHAKE_TIMEOUT`, `timeout HTTP_ANSWER_TIMEOUT`, `limit HTTP_BODY_TOO_LARGE`,
   *   `application HTTP_ABORTED`, or what connecting, TLS and the protocol fail by
   * @throws {TypeError} rejects when the request is invalid
   * @throws {RangeError} rejects when a limit is out of range
   */
  ask(target: HttpTarget, ask: HttpAsk): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      let status = 0;
      let headers: ReadonlyHeaderMap = NO_FIELDS;
      const body = new BodyBuffer();
      this.#begin(target, ask, {
        isFollowed: false,
        onHead: (head) => {
          ({ status, headers } = head);
        },
        onData: (chunk) => body.add(chunk),
        onEnd: (error, trailers, isWhole) => {
          if (error === null) resolve({ status, headers, body: body.take(), trailers, isWhole });
          else reject(error);
        },
      });
    });
  }

  /**
   * Asks once, and tells the answer as it comes; never from inside this call.
   *
   * @throws {TypeError} when the request is invalid @throws {RangeError} when a limit is out of range
   */
  follow(target: HttpTarget, ask: HttpAsk, follower: HttpFollower): { cancel(): void } {
    const asking = this.#begin(target, ask, {
      isFollowed: true,
      onHead: ({ status, headers }) => follower.onHead(status, headers),
      onData: (chunk) => follower.onData(chunk),
      onEnd: (error) => follower.onEnd(error === null ? null : toWireError(error, 'HTTP_TARGET_INVALID')),
    });
    return { cancel: () => asking.cancel() };
  }

  /** Closes what is kept; whoever asks goes on. */
  closeKept(): void {
    this.#sessions.closeKept();
  }

  /** Gives up whatever is asked (`internal HTTP_CLIENT_CLOSED`), and closes what is kept. */
  close(): void {
    this.#isClosed = true;
    // Whoever is told may ask again at once.
    const running = [...this.#running];
    for (const asking of running) asking.fail(closedError());
    this.#sessions.close();
  }

  #begin(target: HttpTarget, ask: HttpAsk, sink: AnswerSink): Asking {
    const asking = new Asking(target, ask, { sink, sessions: this.#sessions, onOver: () => this.#running.delete(asking) });
    this.#running.add(asking);
    asking.start(this.#isClosed ? closedError() : null);
    return asking;
  }
}

/** Who hears of one answer. */
interface AnswerSink {
  readonly isFollowed: boolean;
  onHead(head: ResponseHead): void;
  onData(chunk: Uint8Array): void;
  onEnd(error: WireError | TypeError | RangeError | null, trailers: HeaderMap | null, isWhole: boolean): void;
}

interface AskingParts {
  readonly sink: AnswerSink;
  readonly sessions: HttpSessions;
  readonly onOver: () => void;
}

/** One question, from its first step to its last word. */
class Asking implements ClientExchangeHandler {
  readonly #target: HttpTarget;
  readonly #sink: AnswerSink;
  readonly #sessions: HttpSessions;
  readonly #onOver: () => void;
  readonly #head: RequestHead;
  readonly #body: Uint8Array;
  readonly #timeoutMs: number;
  readonly #idleTimeoutMs: number | null;
  readonly #maxBodyBytes: number;
  readonly #cutsBody: boolean;
  readonly #signal: AbortSignal | null;
  readonly #deadline: Deadline;
  readonly #dialling = new AbortController();
  #phase: 'connecting' | 'securing' | 'asking' | 'answering' | 'over' = 'connecting';
  #session: ClientSession | null = null;
  #isReused = false;
  #isSecondTry = false;
  #bodyBytes = 0;
  #trailers: HeaderMap | null = null;

  constructor(target: HttpTarget, ask: HttpAsk, { sink, sessions, onOver }: AskingParts) {
    if (ask.method === 'CONNECT') throw new TypeError('CONNECT makes a tunnel, and no answer');
    const { timeoutMs = USUAL_TIMEOUT_MS, idleTimeoutMs, maxBodyBytes, body } = ask;
    const delays = { min: 1, max: MAX_TIMEOUT_MS };
    this.#target = target;
    this.#sink = sink;
    this.#sessions = sessions;
    this.#onOver = onOver;
    this.#timeoutMs = checkWholeNumber('timeoutMs', timeoutMs, delays);
    this.#idleTimeoutMs = idleTimeoutMs === undefined ? null : checkWholeNumber('idleTimeoutMs', idleTimeoutMs, delays);
    const most = maxBodyBytes ?? (sink.isFollowed ? Infinity : USUAL_BODY_BYTES);
    this.#maxBodyBytes = checkWholeNumber('maxBodyBytes', most, { max: Infinity });
    this.#cutsBody = !sink.isFollowed && ask.cutsBody === true;
    this.#body = body === undefined ? NO_BYTES : typeof body === 'string' ? utf8Encode(body) : body;
    this.#head = headOf(target, ask);
    this.#signal = ask.signal ?? null;
    this.#deadline = sessions.environment.deadlines.deadline(() => this.#handleTimeout());
  }

  /** Nothing is told from inside this call. */
  start(refusal: WireError | null): void {
    const signal = this.#signal;
    if (refusal !== null || signal?.aborted === true) {
      queueMicrotask(() => this.fail(refusal ?? givenUp(signal as AbortSignal)));
      return;
    }
    signal?.addEventListener('abort', this);
    this.#deadline.arm(this.#timeoutMs);
    void this.#connect();
  }

  /** The listener of the abort signal. */
  handleEvent(): void {
    this.fail(givenUp(this.#signal as AbortSignal));
  }

  /** Nobody wants to hear more. */
  cancel(): void {
    if (this.#phase === 'over') return;
    this.#finish();
    this.#drop();
  }

  /** Told at once; the connection is dropped. */
  fail(error: WireError | TypeError | RangeError): void {
    if (this.#phase === 'over') return;
    this.#endEarly(error);
  }

  // ---- to a connection -----------------------------------------------------------------------------------------------------------

  async #connect(): Promise<void> {
    try {
      // A turn later, lest a connection that is there already be used from inside the call.
      await Promise.resolve();
      if (this.#isOver) return;
      let session = this.#isSecondTry ? null : this.#sessions.take(this.#target);
      this.#isReused = session !== null;
      session ??= await this.#sessions.open(this.#target, this.#dialling.signal, () => {
        if (!this.#isOver) this.#phase = 'securing';
      });
      if (this.#isOver) return session.close();
      this.#send(session);
    } catch (thrown) {
      const isMisuse = thrown instanceof TypeError || thrown instanceof RangeError;
      this.fail(isMisuse ? thrown : withSource(toWireError(thrown), 'upstream'));
    }
  }

  #send(session: ClientSession): void {
    this.#session = session;
    this.#phase = 'asking';
    const body = this.#body;
    const head = session.protocol === 'http1' && !this.#sessions.isKeeping ? closing(this.#head) : this.#head;
    const exchange: ClientExchange = session.request(head, { bodyLength: body.length, upgrade: null }, this);
    if (body.length === 0) return;
    // The chunk belongs to the exchange from then on, and a second try needs it again.
    exchange.sendData(body.slice());
    exchange.sendEnd();
  }

  // ---- the session's calls -------------------------------------------------------------------------------------------------------

  onInterim(): void {}
  onRequestDrain(): void {}

  onResponse(head: ResponseHead, bodyLength: number): void {
    if (this.#isOver) return;
    this.#phase = 'answering';
    if (bodyLength > this.#maxBodyBytes && !this.#cutsBody && this.#head.method !== 'HEAD') return this.fail(this.#tooLarge());
    this.#watchSilence();
    return this.#sink.onHead(head);
  }

  onResponseData(chunk: Uint8Array): void {
    if (this.#isOver) return;
    this.#bodyBytes += chunk.length;
    const overBytes = this.#bodyBytes - this.#maxBodyBytes;
    if (overBytes > 0 && this.#cutsBody) return this.#cutAt(chunk, chunk.length - overBytes);
    if (overBytes > 0) return this.fail(this.#tooLarge());
    this.#watchSilence();
    return this.#sink.onData(chunk);
  }

  #cutAt(chunk: Uint8Array, length: number): void {
    this.#sink.onData(chunk.subarray(0, length));
    this.#endEarly(null);
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    this.#trailers = trailers;
  }

  /** Nothing was asked for that makes one. */
  onTunnel(_head: ResponseHead, { stream }: Tunnel): void {
    stream.abort();
    this.fail(internalError('HTTP_UNEXPECTED_TUNNEL', 'the server switched protocols, and nobody had asked for it'));
  }

  onClientClose(error: WireError | null): void {
    if (this.#isOver) return;
    const session = this.#session as ClientSession;
    if (error !== null) {
      if (this.#mayAskAgain(error)) {
        this.#drop();
        this.#isSecondTry = true;
        this.#phase = 'connecting';
        void this.#connect();
      } else {
        this.fail(withSource(error, 'upstream'));
      }
      return;
    }
    this.#finish();
    this.#session = null;
    this.#sessions.giveBack(this.#target, session);
    this.#tellEnd(null, this.#trailers, true);
  }

  #mayAskAgain(error: WireError): boolean {
    if (!this.#isReused || this.#phase !== 'asking') return false;
    return error.retry === 'always' || (mayRetry(error, true) && IDEMPOTENT.has(this.#head.method));
  }

  // ---- the end -------------------------------------------------------------------------------------------------------------------

  get #isOver(): boolean {
    return this.#phase === 'over';
  }

  #watchSilence(): void {
    if (!this.#sink.isFollowed) return;
    if (this.#idleTimeoutMs === null) this.#deadline.cancel();
    else this.#deadline.arm(this.#idleTimeoutMs);
  }

  #handleTimeout(): void {
    this.fail(this.#late());
  }

  #late(): WireError {
    const limitMs = this.#timeoutMs;
    const details = { source: 'upstream', context: placeOf(this.#target) } as const;
    switch (this.#phase) {
      case 'connecting':
        return timeoutError('CONNECT_TIMEOUT', `not connected within ${limitMs} ms`, { ...details, retry: 'always' });
      case 'securing':
        return timeoutError('TLS_HANDSHAKE_TIMEOUT', `no TLS within ${limitMs} ms`, { ...details, retry: 'always' });
      default:
        if (this.#phase === 'answering' && this.#sink.isFollowed)
          return timeoutError('HTTP_SILENT', `nothing more came for ${this.#idleTimeoutMs ?? limitMs} ms`, details);
        return timeoutError('HTTP_ANSWER_TIMEOUT', `no whole answer within ${limitMs} ms`, details);
    }
  }

  #tooLarge(): WireError {
    const message = `the answer has more than ${this.#maxBodyBytes} bytes`;
    return limitError('HTTP_BODY_TOO_LARGE', message, { source: 'upstream', wire: { status: 502 }, context: placeOf(this.#target) });
  }

  #finish(): void {
    this.#phase = 'over';
    this.#deadline.cancel();
    this.#signal?.removeEventListener('abort', this);
    this.#onOver();
  }

  /** A session that has been asked is told nothing more: it is cut, and not ended in order. */
  #drop(): void {
    if (this.#isOver) this.#dialling.abort();
    const session = this.#session;
    this.#session = null;
    if (session !== null) this.#sessions.cut(session);
  }

  /** Before the answer is whole: the connection is of no use to anybody. */
  #endEarly(error: WireError | TypeError | RangeError | null): void {
    this.#finish();
    this.#drop();
    this.#tellEnd(error, null, false);
  }

  #tellEnd(error: WireError | TypeError | RangeError | null, trailers: HeaderMap | null, isWhole: boolean): void {
    // The follower's own bugs end neither the clock's round nor the process.
    callUser(() => this.#sink.onEnd(error, trailers, isWhole));
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_FIELDS: ReadonlyHeaderMap = new HeaderMap(0);

function closedError(): WireError {
  return internalError('HTTP_CLIENT_CLOSED', 'the client was closed', { source: 'internal' });
}

function headOf(target: HttpTarget, { method, path, headers = [] }: HttpAsk): RequestHead {
  const hasHost = headers.some(([name]) => name.toLowerCase() === 'host');
  return requestHead(method, path, { headers: HeaderMap.from(hasHost ? headers : [['Host', hostOf(target)], ...headers]) });
}

/** RFC 9110 §7.2: what would stand in the authority of a URI. */
function hostOf({ address, servername, tls = null }: HttpTarget): string {
  if (address.kind === 'unix') return servername ?? 'localhost';
  const name = servername ?? address.host;
  const host = name.includes(':') ? `[${name}]` : name;
  return address.port === (tls === null ? 80 : 443) ? host : `${host}:${address.port}`;
}

/** RFC 9112 §9.6: the connection carries no other request, and the server may know it. */
function closing(head: RequestHead): RequestHead {
  const headers = head.headers.clone();
  headers.set('Connection', 'close');
  return { ...head, headers };
}

/**
 * A body that is being read. It is copied into one buffer that doubles: kept as it comes, a body of single bytes would cost an object for each, and a small piece would
 * hold the whole of what was read with it.
 */
class BodyBuffer {
  #bytes = NO_BYTES;
  #length = 0;

  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
  }

  /** Nothing is added behind it. */
  take(): Uint8Array {
    return this.#length === this.#bytes.length ? this.#bytes : this.#bytes.slice(0, this.#length);
  }
}
