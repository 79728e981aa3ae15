/**
 * An HTTP/1 server connection on any L4 stream: joins the `ServerConnection` machine to bytes, time and an application.
 *
 * Who owns what: chunks of the stream go to the machine, views of them to the handler; chunks of the handler go to the machine and from
 * there to the stream. One write per tick: output gathers until a response ends, grows beyond `FLUSH_AT_BYTES`, or the tick ends.
 *
 * ```text
 *   serving ──► lingering (our side ended, the peer's bytes are dropped) ──► cut ──► closed
 *      ├──────► cut (aborted by us, the stream's close is on its way) ─────────────► closed
 *      └──────► tunnel (the stream belongs to the application) ────────────────────► closed
 * ```
 *
 * A callback of the application that throws or rejects ends its own exchange, never the process: with a 500, or with a message visibly cut short.
 */
import { toWireError, type WireError } from '@ferrata/error';
import { MessageEvent, ServerConnection } from '@ferrata/http1';
import type { L4Sink, L4Stream } from '@ferrata/stream';
import type { HttpApplication, Tunnel } from './exchange.ts';
import type { ExchangeSettings } from './exchange-settings.ts';
import type { HttpEnvironment } from './http-environment.ts';
import { Http1ServerExchange } from './http1-server-exchange.ts';
import { beginExchange, tellDrain, tellRefused, tellRequestEnd, watchHandler } from './internal/application-calls.ts';
import { ConnectionRecord } from './internal/connection-record.ts';
import { ConnectionSpan } from './internal/connection-span.ts';
import { http1Bounds, writeBounds } from './internal/exchange-bounds.ts';
import { clientGone, HalfClose } from './internal/half-close.ts';
import { keepForTunnel } from './internal/keep-for-tunnel.ts';
import { Lingering } from './internal/lingering.ts';
import { LookAhead } from './internal/look-ahead.ts';
import { PrefaceSniffer } from './internal/preface.ts';
import { SessionDeadline } from './internal/session-deadline.ts';
import { clientClosed, clientStalled, withPeer } from './internal/session-errors.ts';
import { FLUSH_AT_BYTES, MAX_HELD_BYTES, microtask } from './internal/session-limits.ts';
import { type WriteBounds, WriteProgress } from './internal/write-progress.ts';
import type { ResolvedHttp1ServerOptions } from './options.ts';
import type { ServerSession, ServerSessionOwner } from './session.ts';

const Mode = { serving: 0, lingering: 1, tunnel: 2, cut: 3, closed: 4 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

/** The server's end of one HTTP/1 connection, running. */
export class Http1ServerSession implements L4Sink, ServerSession {
  readonly stream: L4Stream;
  readonly connection: ConnectionRecord<Http1ServerSession> = new ConnectionRecord(this);
  readonly #application: HttpApplication;
  readonly #environment: HttpEnvironment;
  readonly #options: ResolvedHttp1ServerOptions;
  readonly #owner: ServerSessionOwner;
  readonly #machine: ServerConnection;
  readonly #deadline: SessionDeadline;
  #mode: Mode = Mode.serving;
  #exchange: Http1ServerExchange | null = null;
  #isPumping = false;
  #isFlushScheduled = false;
  #isStreamPaused = false;
  #isRequestPaused = false;
  #isFull = false;
  readonly #progress = new WriteProgress();
  /** How slow a client may be: of the exchange at hand, or of the one before, as long as its bytes wait. */
  #writeBounds: WriteBounds;
  /** Once the client has ended its side. */
  #halfClose: HalfClose<Http1ServerExchange> | null = null;
  /** Once all is said. */
  #lingering: Lingering | null = null;
  readonly #lookAhead: LookAhead;
  readonly #preface: PrefaceSniffer;
  readonly #span: ConnectionSpan;

  constructor(
    stream: L4Stream,
    application: HttpApplication,
    environment: HttpEnvironment,
    options: ResolvedHttp1ServerOptions,
    owner: ServerSessionOwner,
  ) {
    this.stream = stream;
    this.#application = application;
    this.#environment = environment;
    this.#options = options;
    this.#owner = owner;
    this.#writeBounds = options;
    this.#lookAhead = new LookAhead(options);
    this.#machine = new ServerConnection(environment.now(), options.connection, environment.writer);
    this.#preface = new PrefaceSniffer(owner.onHttp2Preface !== undefined);
    this.#deadline = new SessionDeadline(environment.deadlines, () => this.#onDeadline());
    this.#span = new ConnectionSpan(environment.recentNow, options.maxConnectionAgeMs, environment.random.next());
  }

  /** Begins to read. */
  start(): void {
    this.#watch();
    this.stream.attach(this);
  }

  /** Between two requests, with nothing of the next one read. */
  get isIdle(): boolean {
    return this.#mode === Mode.serving && this.#exchange === null && this.#machine.isIdle;
  }

  /** It can take another request, if not at once then when what runs is over. */
  get isReusable(): boolean {
    return this.#mode === Mode.serving && this.#machine.isReusable;
  }

  get heldBytes(): number {
    if (this.#mode >= Mode.cut) return 0;
    const { outputBytes, bufferedBytes } = this.#machine;
    return this.stream.bufferedBytes + (this.#mode === Mode.serving ? outputBytes + bufferedBytes : 0);
  }

  /**
   * The running exchange is the last, unless its head was sent before; an idle connection is closed at `closeIdleAt`, or, if it becomes idle later, after the time that
   * this is from now: so that a request on its way is still answered.
   */
  drain(closeIdleAt: number): void {
    if (this.#mode !== Mode.serving) return;
    const now = this.#environment.now();
    this.#machine.drain();
    this.#span.drain(closeIdleAt, now);
    this.#watch(now);
  }

  /** Drops the connection at once. */
  abort(error?: WireError): void {
    // The end of a tunnel is told by whoever holds its stream.
    if (this.#mode === Mode.tunnel) this.stream.abort(error);
    else this.#cut(error);
  }

  // ---- the stream's calls --------------------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.#mode === Mode.serving) {
      if (this.#preface.isListening && this.#isHttp2(chunk)) return;
      const now = this.#environment.now();
      this.#machine.receive(chunk, now);
      // What may yet become HTTP/2 is not looked at as a request; the time for a head runs.
      if (this.#preface.isUndecided) this.#watch(now);
      else this.#pump(now);
      if (this.#mode === Mode.serving && this.#isTooFarAhead(1)) this.#pauseStream();
    } else if (this.#mode === Mode.lingering) {
      if (this.#lingering?.isTooMuch(chunk.length) === true) this.#cut();
    } else if (this.#mode === Mode.tunnel) {
      keepForTunnel(this.stream, this, chunk);
    }
  }

  /** @returns true if the connection has turned out to be HTTP/2, and somebody else has it now */
  #isHttp2(chunk: Uint8Array): boolean {
    const bytes = this.#preface.feed(chunk);
    if (bytes === null || this.#owner.onHttp2Preface?.(this, bytes) !== true) return false;
    this.#mode = Mode.closed;
    this.#deadline.cancel();
    return true;
  }

  onDrain(): void {
    this.#isFull = false;
    if (this.#mode !== Mode.serving) return;
    const now = this.#environment.now();
    this.#flush();
    if (this.#isFull) return;
    this.#machine.setHeld(false, now);
    const exchange = this.#exchange;
    if (exchange === null) {
      this.#pump(now);
      return;
    }
    exchange.endWait(now);
    if (exchange.handler !== null) tellDrain(exchange, exchange.handler);
  }

  onEnd(): void {
    if (this.#mode !== Mode.serving) return;
    const now = this.#environment.now();
    this.#preface.stop();
    this.#machine.receiveEnd();
    this.#halfClose ??= new HalfClose(this.#options.halfCloseGraceMs);
    this.#pump(now);
  }

  onClose(error: WireError | null): void {
    if (this.#mode === Mode.closed) return;
    this.#mode = Mode.closed;
    this.#deadline.cancel();
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.close(withPeer(error ?? clientClosed('the client closed the connection'), 'downstream'));
    this.#owner.onSessionClose(this, error);
  }

  // ---- machine to application ----------------------------------------------------------------------------------------------------

  #pump(now: number): void {
    if (this.#isPumping || this.#mode !== Mode.serving) return;
    this.#isPumping = true;
    try {
      const machine = this.#machine;
      while (!this.#isRequestPaused && machine.nextEvent(now)) {
        if (machine.event === MessageEvent.head) this.#beginExchange(now);
        else this.#deliver();
        if (this.#mode !== Mode.serving) return;
      }
    } catch (thrown) {
      this.#refuse(toWireError(thrown));
    } finally {
      this.#isPumping = false;
    }
    this.#afterPump(now);
  }

  #beginExchange(now: number): void {
    const { pressure = 'none' } = this.#owner;
    if (now >= this.#span.retireAt || pressure !== 'none') this.#machine.drain();
    this.#writeBounds = this.#options;
    this.connection.requestCount++;
    const exchange = new Http1ServerExchange(this, this.#machine, now);
    this.#exchange = exchange;
    beginExchange(this, this.#application, exchange, pressure);
  }

  #deliver(): void {
    const machine = this.#machine;
    const exchange = this.#exchange;
    const handler = exchange === null ? null : exchange.handler;
    if (exchange === null || handler === null) return;
    if (machine.event !== MessageEvent.data) {
      tellRequestEnd(exchange, handler, machine.trailers);
      return;
    }
    exchange.requestBytes += machine.data.length;
    try {
      const answer: unknown = handler.onRequestData(machine.data);
      if (answer !== undefined) watchHandler(exchange, answer);
    } catch (thrown) {
      exchange.abort(toWireError(thrown, 'HANDLER_THREW'));
    }
  }

  #afterPump(now: number): void {
    if (this.#mode !== Mode.serving) return;
    if (this.#exchange === null) this.#flush();
    else if (this.#machine.outputBytes > 0) this.scheduleFlush();
    if (this.#machine.shouldClose && this.#exchange === null) this.#finish();
    else if (this.#isStreamPaused && !this.#isRequestPaused && !this.#isTooFarAhead()) this.#resumeStream();
    // Requests that a half-closed client had sent before its end each have the whole grace.
    if (this.#halfClose !== null && this.#exchange !== null) this.#halfClose.watchNew(this.#exchange, now);
    this.#watch(now);
  }

  /** Whether more of the next requests waits than is read ahead. What is wanted, a head or a request's rest, has the decoder's limits. */
  #isTooFarAhead(newChunks = 0): boolean {
    const isWanted = this.#exchange === null ? !this.#isFull : !this.#machine.isRequestDone;
    return this.#lookAhead.isTooFar(isWanted ? 0 : this.#machine.bufferedBytes, newChunks);
  }

  /** The peer broke a rule: tell it if that is still possible, and close. */
  #refuse(error: WireError): void {
    withPeer(error, 'downstream');
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange?.hasResponded === true) {
      exchange.close(error);
      this.#cut(error);
      return;
    }
    // What is wrong with the rest of a body that nobody wanted belongs to an exchange that is over and told.
    const isNew = exchange === null && !this.#machine.hasResponded;
    const status = this.#machine.refuse(error, this.#environment.date());
    if (exchange !== null) {
      exchange.status = status;
      exchange.close(error);
    } else if (isNew) {
      tellRefused(this, this.#application, { error, status });
    }
    this.#finish();
  }

  // ---- called by the exchange ----------------------------------------------------------------------------------------------------

  /** @returns false when the stream is full */
  afterSend(): boolean {
    if (this.#machine.outputBytes >= FLUSH_AT_BYTES) this.#flush();
    else this.scheduleFlush();
    return !this.#isFull;
  }

  /** The response is complete; the next request may be waiting in the buffer. */
  endExchange(exchange: Http1ServerExchange): void {
    if (this.#exchange === exchange) this.#exchange = null;
    // Answers to pipelined requests share a write; `#pump` makes it.
    if (!this.#isPumping || this.#machine.outputBytes >= FLUSH_AT_BYTES) this.#flush();
    exchange.close(null);
    const now = this.#isPumping ? this.#environment.recentNow : this.#environment.now();
    this.#span.endExchange(now, exchange.settings?.drainTimeoutMs);
    if (this.#isRequestPaused) {
      this.#isRequestPaused = false;
      this.#machine.setReadingPaused(false, now);
    }
    if (!this.#isPumping) this.#pump(now);
  }

  /** The response cannot be completed. */
  failExchange(exchange: Http1ServerExchange, error: WireError): void {
    if (this.#mode === Mode.tunnel) {
      this.closeTunnel(error);
      return;
    }
    if (this.#exchange === exchange) this.#exchange = null;
    if (error.status === 0 || (exchange.hasResponded && this.#machine.isCloseDelimited)) {
      this.#flush();
      this.#cut(error);
      return;
    }
    if (exchange.hasResponded) {
      // What came so far is delivered; its framing shows that the rest is missing.
      this.#machine.abandon();
      if (!this.#isPumping) this.#finish();
      return;
    }
    exchange.status = this.#machine.refuse(error, this.#environment.date());
    if (!this.#isPumping) this.#finish();
  }

  /** @param settings all that are set for the exchange at hand */
  adjust(exchange: Http1ServerExchange, settings: ExchangeSettings): void {
    if (this.#mode !== Mode.serving) return;
    const now = this.#environment.now();
    this.#machine.setBounds(http1Bounds(settings, this.#options.connection));
    if (settings.idleTimeoutMs !== undefined) this.#machine.setIdleTimeout(settings.idleTimeoutMs);
    this.#writeBounds = writeBounds(settings, this.#options);
    this.#halfClose?.watchChanged(exchange, now);
    this.#watch(now);
  }

  pauseRequest(): void {
    // A request that is whole has nothing to hold back, and only a stream that flows tells that the client is gone.
    if (this.#isRequestPaused || this.#machine.isRequestDone) return;
    this.#isRequestPaused = true;
    this.#machine.setReadingPaused(true, this.#environment.recentNow);
    this.#pauseStream();
  }

  resumeRequest(): void {
    if (!this.#isRequestPaused) return;
    this.#isRequestPaused = false;
    const now = this.#environment.now();
    this.#machine.setReadingPaused(false, now);
    // While pumping, the loop itself goes on; else what is buffered comes first.
    if (!this.#isPumping) this.#pump(now);
  }

  /** A callback threw when there was nothing left to end: the connection ends, so that the bug is seen. */
  endByBug(error: WireError): void {
    this.abort(error);
  }

  openTunnel(): Tunnel {
    this.#flush();
    this.#mode = Mode.tunnel;
    this.#deadline.cancel();
    // What comes before the application attaches its own sink waits in the stream.
    this.stream.pause();
    return { stream: this.stream, remaining: this.#machine.takeRemaining() };
  }

  closeTunnel(error: WireError | null): void {
    if (this.#mode !== Mode.tunnel) return;
    this.#mode = Mode.closed;
    const exchange = this.#exchange;
    this.#exchange = null;
    if (this.stream.state !== 'closed') this.stream.abort(error ?? undefined);
    exchange?.close(error);
    this.#deadline.cancel();
    this.#owner.onSessionClose(this, error);
  }

  get environment(): HttpEnvironment {
    return this.#environment;
  }

  // ---- writing and closing -------------------------------------------------------------------------------------------------------

  scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    void microtask.then(this.#flushScheduled);
  }

  readonly #flushScheduled = (): void => {
    this.#isFlushScheduled = false;
    this.#flush();
  };

  #flush(): void {
    const { outputBytes } = this.#machine;
    if (outputBytes === 0 || this.#mode >= Mode.cut) return;
    // A full stream gets no more until it has drained; an application that does not care is left to the stream's own hard limit.
    if (this.#isFull && outputBytes < MAX_HELD_BYTES) return;
    const chunks = this.#machine.takeOutput();
    const first = chunks[0];
    if (first === undefined) return;
    const hasRoom = chunks.length === 1 ? this.stream.write(first) : this.stream.writev(chunks);
    if (hasRoom || this.#isFull) return;
    this.#isFull = true;
    this.#machine.setHeld(true, this.#environment.recentNow);
    const now = this.#environment.now();
    this.#exchange?.beginWait(now);
    this.#progress.begin(this.stream, now);
    this.#watch(now);
  }

  /** All is said: end our side, and drop what the peer still sends for a while, so that its kernel does not throw our answer away. */
  #finish(): void {
    if (this.#mode !== Mode.serving) return;
    this.#flush();
    // What a full stream does not take yet goes first; `onDrain` comes back here.
    if (this.#machine.outputBytes > 0) {
      // No other time-out runs here: without this one a client that takes nothing would hold the connection for ever.
      this.#deadline.watch(this.#progress.dueAt(this.#writeBounds), this.#environment.now());
      return;
    }
    this.#mode = Mode.lingering;
    if (this.#isStreamPaused) this.#resumeStream();
    const now = this.#environment.now();
    this.#lingering = new Lingering(this.stream, this.#options, now, this.#writeBounds);
    this.#deadline.watch(this.#lingering.cutAt, now);
  }

  /** Aborts the stream; its `onClose` tells everybody. */
  #cut(error?: WireError): void {
    if (this.#mode >= Mode.cut) return;
    this.#mode = Mode.cut;
    this.#deadline.cancel();
    this.stream.abort(error);
  }

  #pauseStream(): void {
    if (this.#isStreamPaused) return;
    this.#isStreamPaused = true;
    this.stream.pause();
  }

  #resumeStream(): void {
    this.#isStreamPaused = false;
    this.stream.resume();
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------------

  #nextTimeout(): number {
    let next = this.#machine.nextTimeout();
    if (this.#isFull) next = Math.min(next, this.#progress.dueAt(this.#writeBounds));
    if (this.#exchange === null) return Math.min(next, this.#span.endsAt(this.#machine));
    return this.#halfClose === null ? next : Math.min(next, this.#halfClose.lookAt);
  }

  #watch(now: number = this.#environment.now()): void {
    this.#deadline.watch(this.#nextTimeout(), now);
  }

  #onDeadline(): void {
    const now = this.#environment.now();
    if (this.#mode === Mode.lingering) {
      if (this.#lingering !== null) this.#onLingerDeadline(this.#lingering, now);
      return;
    }
    if (this.#mode !== Mode.serving) return;
    if (this.#isFull && this.#progress.isStalled(this.stream, this.#writeBounds, now)) {
      this.#abortExchange(clientStalled('H1_WRITE_STALLED'));
      return;
    }
    const exchange = this.#exchange;
    if (exchange !== null && this.#halfClose?.isGone(exchange, now) === true) {
      this.#abortExchange(clientGone(exchange));
      return;
    }
    if (exchange === null && now >= this.#span.endsAt(this.#machine)) {
      this.#finish();
      return;
    }
    const error = this.#machine.handleTimeout(now);
    if (error !== null) this.#refuse(error);
    else if (this.#machine.shouldClose && this.#exchange === null) this.#finish();
    else this.#watch(now);
  }

  #onLingerDeadline(lingering: Lingering, now: number): void {
    const state = lingering.handleTimeout(now);
    if (state === 'waiting') this.#deadline.watch(lingering.cutAt, now);
    else this.#cut(state === 'stalled' ? clientStalled('H1_WRITE_STALLED') : undefined);
  }

  #abortExchange(error: WireError): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.close(error);
    this.#cut(error);
  }
}
