/**
 * An HTTP/1 client connection on any L4 stream: joins the `ClientConnection` machine to bytes, time and whoever asks.
 *
 * Rules of this file:
 * - One exchange at a time. Its owner hears `onSessionIdle` only when the connection is clean: both messages whole, nothing read beyond them,
 *   both sides open. Everything else ends in `onSessionClose`.
 * - A byte, or an end, that comes while no exchange runs makes the connection unusable at once.
 * - Whether a lost request may be sent again is said by the error: `always` when nothing of it reached the network, `ifReused` when the
 *   connection ended without a byte of answer, `never` from then on.
 */
import { internalError, ioError, protocolError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { HeaderMap, RequestHead } from '@ferrata/headers';
import { ClientConnection, MessageEvent } from '@ferrata/http1';
import { type L4Sink, type L4Stream, watchAnswer } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { ClientExchange, ClientExchangeHandler } from './exchange.ts';
import type { HttpEnvironment } from './http-environment.ts';
import { Http1ClientExchange } from './http1-client-exchange.ts';
import { keepForTunnel } from './internal/keep-for-tunnel.ts';
import { bodyLengthWrong, handlerError, watchClientHandler, withPeer } from './internal/session-errors.ts';
import { FLUSH_AT_BYTES, MAX_HELD_BYTES, microtask } from './internal/session-limits.ts';
import { WriteProgress } from './internal/write-progress.ts';
import type { ResolvedHttp1ClientOptions } from './options.ts';
import type { ClientSession, ClientSessionOwner, RequestFraming } from './session.ts';

/**
 * A read of this size filled its buffer (as one of twice the size did), so more may wait in the kernel: bytes beyond the response, which the next
 * request must not meet. The connection is given up then; only one response in some ten thousand ends just there.
 */
const FULL_READ_BYTES = 32_768;

/** A write of no more than this is taken by the kernel whole or not at all: its least send buffer is larger. */
const ATOMIC_WRITE_BYTES = 4_096;

/** The client's end of one HTTP/1 connection, running. */
export class Http1ClientSession implements L4Sink, ClientSession {
  readonly stream: L4Stream;
  readonly protocol = 'http1';
  /** One exchange at a time. */
  readonly isShared = false;
  /** Time for all sessions of a thread. */
  readonly environment: HttpEnvironment;
  readonly #options: ResolvedHttp1ClientOptions;
  readonly #owner: ClientSessionOwner;
  readonly #machine: ClientConnection;
  readonly #deadline: Deadline;
  #exchange: Http1ClientExchange | null = null;
  #isPumping = false;
  #isFlushScheduled = false;
  #isPaused = false;
  #isFull = false;
  readonly #progress = new WriteProgress();
  #isDirty = false;
  #lastChunkBytes = 0;
  #isReleased = false;

  constructor(stream: L4Stream, environment: HttpEnvironment, options: ResolvedHttp1ClientOptions, owner: ClientSessionOwner) {
    this.stream = stream;
    this.environment = environment;
    this.#options = options;
    this.#owner = owner;
    this.#machine = new ClientConnection(environment.now(), options.connection, environment.writer);
    this.#deadline = environment.deadlines.deadline(() => this.#onDeadline());
  }

  /** Begins to read. */
  start(): void {
    this.stream.attach(this);
  }

  /** The connection may take a request now. */
  get isReusable(): boolean {
    return this.#exchange === null && !this.#isReleased && this.#machine.isReusable && this.stream.state === 'open';
  }

  /** How long the server says it keeps the connection idle (`Keep-Alive: timeout`), in milliseconds; `Infinity` if it does not say. */
  get keepAliveTimeoutMs(): number {
    return this.#machine.keepAliveTimeoutMs;
  }

  /** There is no extended CONNECT in HTTP/1. */
  readonly takesExtendedConnect = false;

  /** Exchanges begun on this connection. */
  get requestCount(): number {
    return this.#machine.requestCount;
  }

  request(head: RequestHead, { bodyLength, upgrade, protocol }: RequestFraming, handler: ClientExchangeHandler): ClientExchange {
    if (this.#isReleased || this.#exchange !== null) throw new TypeError('the connection cannot take a request');
    if (typeof protocol === 'string') throw new TypeError('extended CONNECT needs HTTP/2 (RFC 8441)');
    const now = this.environment.now();
    const isReused = this.#machine.requestCount > 0;
    this.#machine.sendHead(head, bodyLength, upgrade, now);
    const exchange = new Http1ClientExchange(this, handler, isReused);
    this.#exchange = exchange;
    if (this.#machine.isRequestDone) this.#flush();
    else this.#scheduleFlush();
    this.#watch(now);
    return exchange;
  }

  /** Closes an idle connection, without a word to the owner, who asked for it. A running exchange is given up (`SESSION_CLOSED`). */
  close(): void {
    if (this.#isReleased) return;
    this.#release();
    this.stream.abort();
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange !== null) this.#tellClose(exchange, internalError('SESSION_CLOSED', 'the session was closed', { source: 'internal' }));
  }

  // ---- the stream's calls --------------------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.#isReleased) {
      if (this.#machine.isTunnel) keepForTunnel(this.stream, this, chunk);
      return;
    }
    // Whatever comes while nothing was asked, it could be read as the answer to somebody else's request.
    const exchange = this.#exchange;
    if (exchange === null || exchange.writeCount === 0) {
      this.#isDirty = true;
      this.#fail(protocolError('H1_UNEXPECTED_BYTES', 'bytes before a request', { retry: 'always', wire: { status: 502 } }));
      return;
    }
    this.#lastChunkBytes = chunk.length;
    this.#machine.receive(chunk, this.environment.now());
    this.#pump();
  }

  onDrain(): void {
    this.#isFull = false;
    this.environment.now();
    if (!this.#isReleased) this.#flush();
    const exchange = this.#exchange;
    if (exchange === null || this.#isFull) return;
    exchange.endWait();
    try {
      const answer: unknown = exchange.handler.onRequestDrain();
      if (answer !== undefined) watchClientHandler(exchange, answer);
    } catch (thrown) {
      exchange.cancel(handlerError(thrown));
    }
  }

  onEnd(): void {
    if (this.#isReleased) return;
    const exchange = this.#exchange;
    if (exchange === null) {
      this.#retire(null);
      return;
    }
    // A paused response keeps what it has, and learns of the end when it is resumed.
    this.environment.now();
    this.#machine.receiveEnd();
    this.#pump();
  }

  onClose(error: WireError | null): void {
    if (this.#isReleased) return;
    if (this.#exchange === null) this.#retire(error);
    else this.#fail(error === null ? this.#closedError() : this.#retryable(error));
  }

  // ---- machine to handler --------------------------------------------------------------------------------------------------------

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      // An exchange that ended here may have been followed by another one, in a callback: the loop goes on with that.
      for (;;) {
        const exchange = this.#exchange;
        if (exchange === null || this.#isPaused || !this.#machine.nextEvent()) break;
        this.#dispatch(exchange);
      }
    } catch (thrown) {
      const error = toWireError(thrown);
      this.#fail(error.reason === 'H1_CLOSED_BEFORE_RESPONSE' ? this.#retryable(error) : error);
    } finally {
      this.#isPumping = false;
    }
    if (!this.#isReleased) this.#watch(this.environment.recentNow);
  }

  #dispatch(exchange: Http1ClientExchange): void {
    const machine = this.#machine;
    const { handler } = exchange;
    const { event } = machine;
    if (event === MessageEvent.end) {
      this.#endExchange(exchange);
      return;
    }
    if (machine.isTunnel) {
      this.#openTunnel(exchange);
      return;
    }
    try {
      let answer: unknown;
      if (event === MessageEvent.data) {
        exchange.responseBytes += machine.data.length;
        answer = handler.onResponseData(machine.data);
      } else if (machine.isInterim) answer = handler.onInterim(machine.response);
      else answer = handler.onResponse(machine.response, machine.responseBodyLength);
      if (answer !== undefined) watchClientHandler(exchange, answer);
    } catch (thrown) {
      exchange.cancel(handlerError(thrown));
    }
  }

  #endExchange(exchange: Http1ClientExchange): void {
    const machine = this.#machine;
    const { trailers } = machine;
    this.#exchange = null;
    exchange.isClosed = true;
    if (machine.bufferedBytes > 0) {
      // Bytes beyond the response: whatever they are, the connection is not to be trusted with another request.
      this.#isDirty = true;
      this.#retire(protocolError('H1_UNEXPECTED_BYTES', 'bytes beyond the response', { source: 'upstream', wire: { status: 502 } }));
    } else if (machine.isReusable && !this.#isFull && this.#lastChunkBytes % FULL_READ_BYTES !== 0 && this.stream.state === 'open') {
      // First the pool, then the handler: the handler's next request finds the connection there.
      this.#owner.onSessionIdle(this);
    } else {
      this.#retire(null);
    }
    let error: WireError | null = null;
    try {
      watchAnswer(exchange.handler.onResponseEnd(trailers));
    } catch (thrown) {
      error = handlerError(thrown);
    }
    this.#tellClose(exchange, error);
  }

  #openTunnel(exchange: Http1ClientExchange): void {
    this.#flush();
    this.#exchange = null;
    exchange.isClosed = true;
    this.#release();
    // What comes before the handler attaches a sink of its own waits in the stream.
    this.stream.pause();
    const remaining = this.#machine.takeRemaining();
    const stream = this.#owner.onSessionTunnel?.(this) ?? this.stream;
    this.#owner.onSessionClose(this, null, false);
    let error: WireError | null = null;
    try {
      const answer: unknown = exchange.handler.onTunnel(this.#machine.response, { stream, remaining });
      watchAnswer(answer, (thrown) => stream.abort(handlerError(thrown)));
    } catch (thrown) {
      error = handlerError(thrown);
      stream.abort(error);
    }
    this.#tellClose(exchange, error);
  }

  /** Tells the handler that all is over, once. */
  #tellClose(exchange: Http1ClientExchange, error: WireError | null): void {
    exchange.isClosed = true;
    exchange.endWait();
    try {
      watchAnswer(exchange.handler.onClientClose(error));
    } catch (thrown) {
      // Its exchange is over. A connection that nobody has taken meanwhile ends, so that the bug is seen; somebody else's is left alone.
      if (this.#exchange === null) this.#retire(handlerError(thrown));
    }
  }

  // ---- called by the exchange ----------------------------------------------------------------------------------------------------

  sendData(exchange: Http1ClientExchange, chunk: Uint8Array): boolean {
    try {
      this.#machine.sendData(chunk, this.environment.now());
      exchange.requestBytes += chunk.length;
    } catch (thrown) {
      this.#breakOff(thrown);
    }
    if (this.#machine.outputBytes >= FLUSH_AT_BYTES) this.#flush();
    else this.#scheduleFlush();
    return !this.#isFull;
  }

  sendEnd(trailers: HeaderMap | null): void {
    const now = this.environment.now();
    try {
      this.#machine.sendEnd(trailers, now);
    } catch (thrown) {
      this.#breakOff(thrown);
    }
    this.#flush();
    this.#watch(now);
  }

  /** A body longer or shorter than announced: the connection is cut, lest the server take the next request for the rest of this one. */
  #breakOff(thrown: unknown): never {
    if (thrown instanceof RangeError) this.#fail(bodyLengthWrong(thrown));
    throw thrown;
  }

  pauseResponse(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#machine.setReadingPaused(true, this.environment.recentNow);
    this.stream.pause();
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#machine.setReadingPaused(false, this.environment.now());
    this.stream.resume();
    this.#pump();
  }

  cancel(exchange: Http1ClientExchange, error: WireError): void {
    if (this.#exchange === exchange) this.#fail(error);
  }

  // ---- writing and closing -------------------------------------------------------------------------------------------------------

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    void microtask.then(this.#flushScheduled);
  }

  readonly #flushScheduled = (): void => {
    this.#isFlushScheduled = false;
    if (!this.#isReleased) this.#flush();
  };

  #flush(): void {
    const byteLength = this.#machine.outputBytes;
    if (byteLength === 0 || (this.#isFull && byteLength < MAX_HELD_BYTES)) return;
    const chunks = this.#machine.takeOutput();
    const first = chunks[0];
    if (first === undefined) return;
    if (this.#exchange !== null && this.stream.state === 'open') {
      this.#exchange.writeCount++;
      this.#exchange.writtenBytes += byteLength;
    }
    const hasRoom = chunks.length === 1 ? this.stream.write(first) : this.stream.writev(chunks);
    if (hasRoom || this.#isFull) return;
    this.#isFull = true;
    const now = this.environment.now();
    this.#exchange?.beginWait(now);
    this.#progress.begin(this.stream, now);
    this.#watch(now);
  }

  /** The connection ended before the exchange did. */
  #closedError(): WireError {
    const error = ioError('UPSTREAM_CLOSED', 'the server closed the connection before the response was whole');
    return this.#retryable(error);
  }

  /** Says whether the request may be sent again. A broken pipe on a small first write proves that the kernel took nothing of it. */
  #retryable(error: WireError): WireError {
    const writeCount = this.#exchange?.writeCount ?? 0;
    const writtenBytes = this.#exchange?.writtenBytes ?? 0;
    if (this.#machine.hasResponded) error.retry = 'never';
    else if (writeCount === 0) error.retry = 'always';
    else if (writeCount === 1 && writtenBytes <= ATOMIC_WRITE_BYTES && error.reason === 'CONNECTION_BROKEN_PIPE') error.retry = 'always';
    else error.retry = 'ifReused';
    return error;
  }

  #fail(error: WireError): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange !== null) exchange.isClosed = true;
    this.#retire(withPeer(error, 'upstream'));
    if (exchange !== null) this.#tellClose(exchange, error);
  }

  /** Drops the connection and tells the owner. */
  #retire(error: WireError | null): void {
    if (this.#isReleased) return;
    this.#release();
    if (this.stream.state !== 'closed') this.stream.abort(error ?? undefined);
    this.#owner.onSessionClose(this, error, this.#isDirty);
  }

  #release(): void {
    this.#isReleased = true;
    this.#deadline.cancel();
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------------

  #watch(now: number): void {
    let next = this.#machine.nextTimeout();
    if (this.#isFull) next = Math.min(next, this.#progress.dueAt(this.#options));
    if (next === Number.POSITIVE_INFINITY || (this.#deadline.isArmed && this.#deadline.expiresAt <= next)) return;
    this.#deadline.arm(Math.min(Math.max(0, next - now), this.environment.deadlines.maxDelayMs));
  }

  #onDeadline(): void {
    if (this.#isReleased) return;
    const now = this.environment.now();
    if (this.#isFull && this.#progress.isStalled(this.stream, this.#options, now)) {
      this.#fail(timeoutError('H1_WRITE_STALLED', 'the server reads nothing', { source: 'upstream' }));
      return;
    }
    const error = this.#machine.handleTimeout(now);
    if (error !== null) this.#fail(error);
    else this.#watch(now);
  }
}
