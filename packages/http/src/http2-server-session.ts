/**
 * An HTTP/2 server connection on any L4 stream: joins the `Http2Connection` machine to bytes, time and an application.
 *
 * Who owns what: chunks of the stream go to the machine, views of them to the handlers; chunks of the handlers go to the machine, and from there to
 * the stream when the carrier takes them: once a tick, see `Http2Carrier`.
 *
 * ```text
 *   serving ──► ending (GOAWAY is out or on its way, the peer's bytes are dropped) ──► closed
 *      └──────► cut (aborted by us, the stream's close is on its way) ───────────────► closed
 * ```
 *
 * - A callback of the application that throws, or returns a promise that rejects, ends its own exchange, never a neighbour: with a 500, or with RST_STREAM.
 * - A response that is complete before its request is followed by RST_STREAM(NO_ERROR) (RFC 9113 §8.1): the client may stop sending.
 * - A failure of the connection ends all exchanges and tunnels, each told once; the exchange of a tunnel is ended by whoever uses that, or, if nobody
 *   has attached a sink, when the tunnel is gone.
 *
 * @see RFC 9113 §3.4, §5.4, §6.8, §8.1
 */
import { toWireError, type WireError } from '@ferrata/error';
import { Http2Connection, Http2Event, type Http2Stream, Role } from '@ferrata/http2';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { L4Sink, L4Stream } from '@ferrata/stream';
import type { HttpApplication } from './exchange.ts';
import type { ExchangeSettings } from './exchange-settings.ts';
import type { HttpEnvironment } from './http-environment.ts';
import type { ResolvedHttp2ServerOptions } from './http2-options.ts';
import { Http2ServerExchange } from './http2-server-exchange.ts';
import { beginExchange, tellDrain, tellRefused, tellRequestEnd, watchHandler } from './internal/application-calls.ts';
import { ConnectionRecord } from './internal/connection-record.ts';
import { EndingExchanges } from './internal/ending-exchanges.ts';
import { hasWriteBounds, stallBounds, unwatchedStall, writeBounds } from './internal/exchange-bounds.ts';
import { clientGone, HalfClose } from './internal/half-close.ts';
import { Http2Carrier } from './internal/http2-carrier.ts';
import { isAnswerable, refusalBody, refusalHead, resetCode, resetError } from './internal/http2-refusal.ts';
import { Http2Tunnel, settleFlushed, type TunnelCarrier } from './internal/http2-tunnel.ts';
import { Roster } from './internal/roster.ts';
import { SessionDeadline } from './internal/session-deadline.ts';
import { clientClosed, clientStalled, withPeer } from './internal/session-errors.ts';
import { FLUSH_AT_BYTES } from './internal/session-limits.ts';
import { SlowReaders } from './internal/slow-readers.ts';
import type { WriteBounds } from './internal/write-progress.ts';
import type { ServerSession, ServerSessionOwner } from './session.ts';

const Mode = { serving: 0, ending: 1, cut: 2, closed: 3 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

/** The server's end of one HTTP/2 connection, running. */
export class Http2ServerSession implements L4Sink, ServerSession, TunnelCarrier {
  readonly stream: L4Stream;
  readonly peer = 'downstream';
  /** For its exchanges. */
  readonly connection: ConnectionRecord<Http2ServerSession> = new ConnectionRecord(this);
  /** Time for all sessions of a thread. */
  readonly environment: HttpEnvironment;
  readonly #application: HttpApplication;
  readonly #options: ResolvedHttp2ServerOptions;
  readonly #owner: ServerSessionOwner;
  readonly #machine: Http2Connection;
  readonly #carrier: Http2Carrier;
  readonly #deadline: SessionDeadline;
  /** Those that are not told their end yet. */
  readonly #exchanges = new Roster<Http2ServerExchange>();
  readonly #ending = new EndingExchanges();
  /** Streams that are tunnels; one may be there for longer than its exchange. */
  readonly #tunnels = new Set<Http2Tunnel>();
  /** Tunnels whose END_STREAM waits for a write. */
  readonly #endingTunnels: Http2Tunnel[] = [];
  #mode: Mode = Mode.serving;
  #isPumping = false;
  /** Once the client has ended its side. */
  #halfClose: HalfClose<Http2ServerExchange> | null = null;
  /** Once an exchange has bounds of its own for a client that is slow. */
  #slowReaders: SlowReaders<Http2ServerExchange> | null = null;
  /** When the connection says GOAWAY, as it has reached its age. */
  #retireAt: number;

  constructor(
    stream: L4Stream,
    application: HttpApplication,
    environment: HttpEnvironment,
    options: ResolvedHttp2ServerOptions,
    owner: ServerSessionOwner,
  ) {
    this.stream = stream;
    this.environment = environment;
    this.#application = application;
    this.#options = options;
    this.#owner = owner;
    const now = environment.now();
    this.#machine = new Http2Connection(Role.server, now, options.connection);
    this.#carrier = new Http2Carrier(stream, this.#machine, environment, options, {
      onFlushed: () => this.#handleFlushed(),
      onBroken: (error) => this.#cut(error),
    });
    this.#deadline = new SessionDeadline(environment.deadlines, () => this.#onDeadline());
    // Spread by ± 10 %, so that connections made together do not all end together.
    this.#retireAt = now + options.maxConnectionAgeMs * (0.9 + 0.2 * environment.random.next());
  }

  /** Begins to read. @param head what was read before, from the first byte of the client preface on */
  start(head?: Uint8Array): void {
    // Our SETTINGS need not wait for the client's (RFC 9113 §3.4).
    this.#carrier.schedule();
    this.#watch(this.environment.recentNow);
    this.stream.attach(this, head);
  }

  /** No stream is open, and no part of a frame was read. */
  get isIdle(): boolean {
    return this.#mode === Mode.serving && this.#exchanges.size === 0 && this.#machine.isIdle;
  }

  get heldBytes(): number {
    if (this.#mode >= Mode.cut) return 0;
    let bytes = this.stream.bufferedBytes + this.#machine.queuedBytes;
    for (const { stream } of this.#exchanges) bytes += stream.heldBytes;
    return bytes;
  }

  /**
   * Says GOAWAY in two steps (RFC 9113 §6.8), so that no request on its way is lost, finishes what runs, and closes. `closeIdleAt` is for protocols
   * that cannot say it; here the second step comes after one round trip.
   */
  drain(_closeIdleAt?: number): void {
    if (this.#mode !== Mode.serving) return;
    this.#retireAt = Number.POSITIVE_INFINITY;
    const now = this.environment.now();
    this.#machine.drain(now);
    this.#afterPump(now);
  }

  /** Drops the connection at once. */
  abort(error?: WireError): void {
    if (this.#mode >= Mode.cut) return;
    this.#mode = Mode.cut;
    this.#carrier.stop();
    this.#deadline.cancel();
    this.stream.abort(error);
  }

  // ---- the stream's calls --------------------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.#mode === Mode.serving) {
      const now = this.environment.now();
      this.#machine.receive(chunk, now);
      this.#pump(now);
    } else if (this.#mode === Mode.ending) {
      this.#carrier.handleLateBytes(chunk.length);
    }
  }

  onDrain(): void {
    if (this.#mode > Mode.ending) return;
    const now = this.environment.now();
    this.#carrier.handleDrain();
    this.#watch(now);
  }

  onEnd(): void {
    if (this.#mode !== Mode.serving) return;
    const now = this.environment.now();
    this.#machine.receiveEnd(now);
    this.#halfClose = new HalfClose(this.#options.halfCloseGraceMs);
    this.#pump(now);
  }

  onClose(error: WireError | null): void {
    if (this.#mode === Mode.closed) return;
    this.#mode = Mode.closed;
    this.#carrier.stop();
    this.#deadline.cancel();
    if (this.#exchanges.size > 0 || this.#tunnels.size > 0) this.#closeAll(error ?? clientClosed('the client closed the connection'));
    this.#owner.onSessionClose(this, error);
  }

  // ---- machine to application ----------------------------------------------------------------------------------------------------

  #pump(now: number): void {
    if (this.#isPumping || this.#mode !== Mode.serving) return;
    this.#isPumping = true;
    const machine = this.#machine;
    try {
      while (machine.nextEvent(now)) {
        this.#dispatch(machine, now);
        if (this.#mode !== Mode.serving) break;
      }
    } catch (thrown) {
      this.#fail(toWireError(thrown));
    } finally {
      this.#isPumping = false;
    }
    this.#afterPump(now);
  }

  #afterPump(now: number): void {
    if (this.#mode === Mode.serving) this.#carrier.schedule();
    if (this.#halfClose !== null) for (const exchange of this.#exchanges) this.#halfClose.watchNew(exchange, now);
    this.#watch(now);
  }

  #dispatch(machine: Http2Connection, now: number): void {
    switch (machine.event) {
      case Http2Event.head:
        this.#beginExchange(machine.stream as Http2Stream, now);
        break;
      case Http2Event.data:
      case Http2Event.end:
        this.#deliver(exchangeOf(machine.stream));
        break;
      case Http2Event.reset:
        this.#endByReset(exchangeOf(machine.stream), machine.error as WireError);
        break;
      case Http2Event.refused: {
        const error = withPeer(machine.error as WireError, 'downstream');
        tellRefused(this, this.#application, { error, status: error.status });
        break;
      }
      default:
      // The machine has done what GOAWAY and SETTINGS ask of a server.
    }
  }

  #beginExchange(stream: Http2Stream, now: number): void {
    const exchange = new Http2ServerExchange(this, this.#machine, stream, now);
    stream.attachment = exchange;
    this.#exchanges.add(exchange);
    this.connection.requestCount++;
    const { pressure = 'none' } = this.#owner;
    beginExchange(this, this.#application, exchange, pressure);
    if (pressure !== 'none') this.drain();
    if (exchange.isConnect) this.#endConnectRequest(exchange);
  }

  /** The request of a CONNECT is whole with its head, as it is over HTTP/1. */
  #endConnectRequest(exchange: Http2ServerExchange): void {
    if (exchange.tunnel !== null || exchange.isClosed || exchange.hasEnded) return;
    if (exchange.handler !== null) tellRequestEnd(exchange, exchange.handler, null);
  }

  #endByReset(exchange: Http2ServerExchange | null, error: WireError): void {
    if (exchange === null) return;
    if (exchange.tunnel === null) exchange.close(resetError(error));
    else exchange.tunnel.handleEvent();
  }

  #deliver(exchange: Http2ServerExchange | null): void {
    if (exchange?.isConnect === true) {
      exchange.tunnel?.handleEvent();
      return;
    }
    // After the answer nobody wants the rest of the request.
    if (exchange === null || exchange.isClosed || exchange.hasEnded || exchange.handler === null) return;
    const machine = this.#machine;
    if (machine.event !== Http2Event.data) {
      tellRequestEnd(exchange, exchange.handler, machine.trailers);
      return;
    }
    exchange.requestBytes += machine.data.length;
    try {
      const answer: unknown = exchange.handler.onRequestData(machine.data);
      if (answer !== undefined) watchHandler(exchange, answer);
    } catch (thrown) {
      exchange.abort(toWireError(thrown, 'HANDLER_THREW'));
    }
  }

  // ---- called by tunnels ---------------------------------------------------------------------------------------------------------

  get writeCount(): number {
    return this.#carrier.writeCount;
  }

  resumeTunnel(stream: Http2Stream): void {
    if (this.#mode !== Mode.serving) return;
    const now = this.environment.now();
    this.#machine.setReadingPaused(stream, false, now);
    this.#pump(now);
  }

  awaitFlush(tunnel: Http2Tunnel): void {
    this.#endingTunnels.push(tunnel);
  }

  releaseTunnel(tunnel: Http2Tunnel, error: WireError | null): void {
    this.#tunnels.delete(tunnel);
    // Nobody hears of it who would close the exchange.
    if (!tunnel.isHeard) exchangeOf(tunnel.stream)?.close(error);
  }

  // ---- called by the exchange ----------------------------------------------------------------------------------------------------

  openTunnel(exchange: Http2ServerExchange): Http2Tunnel {
    const tunnel = new Http2Tunnel(this, this.#machine, exchange.stream, exchange.startedAt);
    this.#tunnels.add(tunnel);
    this.#carrier.schedule();
    return tunnel;
  }

  afterSend(): void {
    this.#carrier.schedule();
  }

  /** @param queuedBytes how much of the response's body waits in its stream */
  afterSendData(queuedBytes: number): void {
    // While pumping, the other streams may have something to say as well: one write for all of them.
    if (this.#isPumping) this.#carrier.schedule();
    else this.#carrier.scheduleData(queuedBytes);
  }

  /** The application has said all. */
  endExchange(exchange: Http2ServerExchange): void {
    const { stream } = exchange;
    const isShort = stream.queuedBytes <= FLUSH_AT_BYTES;
    // What fits into the next write is as good as sent, as it is over HTTP/1; more of it may yet be lost.
    if (!stream.isReceiveEnded || !isShort) this.#ending.add(exchange);
    if (isShort) exchange.close(null);
    else exchange.beginWait();
    this.#carrier.schedule();
  }

  /** @param settings all that are set for the exchange */
  adjust(exchange: Http2ServerExchange, settings: ExchangeSettings): void {
    if (this.#mode !== Mode.serving) return;
    const now = this.environment.now();
    if (settings.bodyTimeoutMs !== undefined) this.#machine.setBounds(exchange.stream, { bodyTimeoutMs: settings.bodyTimeoutMs });
    if (hasWriteBounds(settings)) {
      const bounds = writeBounds(settings, this.#options);
      exchange.writeBounds = bounds;
      if (exchange.isWritePending) this.watchSlowReader(exchange, bounds, now);
      else this.forgetSlowReader(exchange, bounds);
    }
    this.#halfClose?.watchChanged(exchange, now);
    if (settings.keepAlive === false) this.drain();
    else this.#watch(now);
  }

  /** The client does not take what was sent on an exchange that has bounds of its own for that. */
  watchSlowReader(exchange: Http2ServerExchange, bounds: WriteBounds, now: number): void {
    this.#slowReaders ??= new SlowReaders(this.#carrier);
    this.#slowReaders.begin(exchange, bounds, now);
    this.#machine.setBounds(exchange.stream, unwatchedStall);
    this.#watch(now);
  }

  /** The client takes it again, or the exchange is over: what little may wait all the same is looked after by the machine. */
  forgetSlowReader(exchange: Http2ServerExchange, bounds: WriteBounds): void {
    this.#slowReaders?.end(exchange);
    this.#machine.setBounds(exchange.stream, stallBounds(bounds, this.#options.connection));
  }

  /** The response cannot be completed: a status if none was sent, else RST_STREAM. */
  failExchange(exchange: Http2ServerExchange, error: WireError): void {
    if (this.#mode !== Mode.serving) return;
    const { stream } = exchange;
    const now = this.environment.now();
    if (exchange.hasResponded || !isAnswerable(error)) {
      // What came so far is delivered, as far as windows let it: RST_STREAM takes back what still waits.
      if (exchange.hasResponded) this.#carrier.writeNow();
      this.#machine.reset(stream, resetCode(error, exchange.settings?.resetCode), now);
    } else {
      const { status } = error;
      const body = refusalBody(status);
      this.#machine.sendHead(stream, refusalHead(status), body.length, this.environment.date(), now);
      if (stream.method !== 'HEAD') this.#machine.sendData(stream, body, now);
      this.#machine.sendEnd(stream, null, now);
      exchange.status = status;
      if (!stream.isReceiveEnded) this.#ending.add(exchange);
    }
    this.#carrier.schedule();
  }

  /** The exchange is about to be told its end. */
  forget(exchange: Http2ServerExchange): void {
    this.#exchanges.delete(exchange);
    // What it left unread is thrown away; its place is free when that is done.
    if (exchange.isPaused) this.resumeReading(exchange);
  }

  resumeReading(exchange: Http2ServerExchange): void {
    exchange.isPaused = false;
    if (this.#mode !== Mode.serving) return;
    const now = this.environment.now();
    this.#machine.setReadingPaused(exchange.stream, false, now);
    // While pumping, the loop itself goes on.
    this.#pump(now);
  }

  /** A callback threw when there was nothing left to end: the connection ends, so that the bug is seen; other exchanges are finished first. */
  endByBug(error: WireError): void {
    if (this.#exchanges.size === 0) this.abort(error);
    else this.drain();
  }

  // ---- writing and closing -------------------------------------------------------------------------------------------------------

  /** After a flush: streams that have room again, streams whose last frame is out, the end of the connection. */
  #handleFlushed(): void {
    if (this.#mode !== Mode.serving) return;
    if (this.#ending.settle(this.#machine, this.environment.recentNow)) this.#carrier.schedule();
    if (this.#endingTunnels.length > 0) settleFlushed(this.#endingTunnels);
    for (;;) {
      const stream = this.#machine.takeWritable();
      if (stream === null) break;
      const exchange = exchangeOf(stream);
      if (exchange !== null && exchange.tunnel !== null) {
        exchange.tunnel.handleRoom();
        continue;
      }
      if (exchange === null || exchange.isClosed || exchange.hasEnded || exchange.handler === null) continue;
      exchange.endWait();
      tellDrain(exchange, exchange.handler);
    }
    if (this.#halfClose !== null) this.#endBlocked();
    if (this.#mode === Mode.serving && this.#machine.shouldClose) this.#finish();
    else this.#watch(this.environment.recentNow);
  }

  /** The peer broke a rule, or asks for too much: all exchanges are told, and the peer hears GOAWAY. */
  #fail(error: WireError): void {
    withPeer(error, 'downstream');
    // A head that broke the connection belongs to none of those that run.
    const isUntold = this.#exchanges.size === 0 || isOfHead(error);
    this.#finish();
    this.#closeAll(error);
    if (isUntold) tellRefused(this, this.#application, { error, status: 0 });
  }

  #cut(error: WireError): void {
    this.#closeAll(error);
    this.abort(error);
  }

  #finish(): void {
    if (this.#mode !== Mode.serving) return;
    this.#mode = Mode.ending;
    this.#carrier.end();
    this.#watch(this.environment.recentNow);
  }

  #closeAll(error: WireError): void {
    withPeer(error, 'downstream');
    for (const exchange of this.#exchanges) exchange.lose(error);
    for (const tunnel of this.#tunnels) tunnel.lose(error);
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------------

  #nextTimeout(): number {
    const next = this.#carrier.nextTimeout();
    if (this.#mode !== Mode.serving) return next;
    const lookAt = this.#halfClose?.lookAt ?? Number.POSITIVE_INFINITY;
    const dueAt = this.#slowReaders?.dueAt ?? Number.POSITIVE_INFINITY;
    return Math.min(next, this.#machine.nextTimeout(), this.#retireAt, lookAt, dueAt);
  }

  #watch(now: number): void {
    if (this.#mode < Mode.cut) this.#deadline.watch(this.#nextTimeout(), now);
  }

  #onDeadline(): void {
    if (this.#mode >= Mode.cut) return;
    const now = this.environment.now();
    if (this.#carrier.handleTimeout(now)) {
      this.#cut(clientStalled('H2_CONNECTION_STALLED'));
      return;
    }
    if (this.#mode !== Mode.serving) {
      this.#watch(now);
      return;
    }
    if (now >= this.#retireAt) this.drain();
    if (this.#halfClose !== null && now >= this.#halfClose.lookAt)
      for (const exchange of this.#halfClose.takeGone(this.#exchanges, now)) exchange.fail(clientGone(exchange));
    if (this.#slowReaders !== null && now >= this.#slowReaders.dueAt)
      for (const exchange of this.#slowReaders.takeStalled(now)) exchange.fail(clientStalled('H2_WRITE_STALLED'));
    const error = this.#machine.handleTimeout(now);
    if (error !== null) this.#fail(error);
    else this.#pump(now);
  }

  /** After the client's end no WINDOW_UPDATE can come: what waits for one will never leave. */
  #endBlocked(): void {
    if (this.#carrier.isFull || this.#machine.hasOutput) return;
    const error = clientClosed('the client closed the connection before the response was whole');
    for (const exchange of this.#exchanges) if (exchange.stream.queuedBytes > 0) exchange.fail(error);
    if (this.#exchanges.size > 0 || this.#machine.shouldClose) return;
    this.#machine.goaway(Http2ErrorCode.noError, '', this.environment.recentNow);
    this.#finish();
  }
}

function exchangeOf(stream: Http2Stream | null): Http2ServerExchange | null {
  return stream === null ? null : (stream.attachment as Http2ServerExchange | null);
}

/** An error of the connection that the fields of a message brought about: its request never became an exchange. */
function isOfHead({ reason }: WireError): boolean {
  return reason.startsWith('HPACK_') || reason === 'H2_FIELD_BLOCK_TOO_LARGE' || reason === 'H2_CONTINUATIONS_TOO_MANY';
}
