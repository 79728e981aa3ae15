/**
 * An HTTP/2 client connection on any L4 stream: joins the `Http2Connection` machine to bytes, time and whoever asks.
 *
 * Rules of this file:
 * - Many exchanges at once. What ends one of them (a reset, a time-out, a throw of its handler, `cancel`) leaves its neighbours alone.
 * - The connection takes requests while it is open, nobody has said GOAWAY, and the server's limit leaves a place; the owner hears
 *   `onSessionRoom` when that changes, and `onSessionIdle` when the last exchange is over.
 * - After GOAWAY what runs is finished, then the connection ends.
 * - Whether a lost request may be sent again is said by the error: `always` if nothing of it reached the network or the server said that it had
 *   not looked at it (REFUSED_STREAM, GOAWAY; RFC 9113 §8.7), `ifReused` if nothing of an answer came, `never` from then on.
 *
 * @see RFC 9113 §5.1.2, §6.8, §8.1, §8.7
 */
import { EMPTY_BYTES } from '@ferrata/bytes';
import { internalError, ioError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { RequestHead, ResponseHead } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { Http2Connection, Http2Event, type Http2Stream, Role } from '@ferrata/http2';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { callUser, type L4Sink, type L4Stream, watchAnswer } from '@ferrata/stream';
import type { ClientExchange, ClientExchangeHandler } from './exchange.ts';
import type { HttpEnvironment } from './http-environment.ts';
import { Http2ClientExchange } from './http2-client-exchange.ts';
import type { ResolvedHttp2ClientOptions } from './http2-options.ts';
import { fitsRequest, requestHeadTooLarge } from './internal/head-size.ts';
import { Http2Carrier } from './internal/http2-carrier.ts';
import { Http2Tunnel, settleFlushed, type TunnelCarrier } from './internal/http2-tunnel.ts';
import { Roster } from './internal/roster.ts';
import { SessionDeadline } from './internal/session-deadline.ts';
import { handlerError, watchClientHandler, withPeer } from './internal/session-errors.ts';
import { asUpstreamError, withRetry } from './internal/upstream-error.ts';
import type { ClientSession, ClientSessionOwner, RequestFraming } from './session.ts';

/** After GOAWAY a server has little left to say that was not asked for. */
const MAX_LINGERING_BYTES = 1_048_576;

const Mode = { open: 0, ending: 1, closed: 2 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

/** The client's end of one HTTP/2 connection, running. */
export class Http2ClientSession implements L4Sink, ClientSession, TunnelCarrier {
  readonly stream: L4Stream;
  readonly peer = 'upstream';
  readonly protocol = 'http2';
  /** Many exchanges at once. */
  readonly isShared = true;
  /** HTTP/2 has no Keep-Alive field: a server that closes says GOAWAY. */
  readonly keepAliveTimeoutMs: number = Number.POSITIVE_INFINITY;
  /** Time for all sessions of a thread. */
  readonly environment: HttpEnvironment;
  requestCount = 0;
  readonly #owner: ClientSessionOwner;
  readonly #machine: Http2Connection;
  readonly #carrier: Http2Carrier;
  readonly #deadline: SessionDeadline;
  /** Those that run, and those whose tunnels do. */
  readonly #exchanges = new Roster<Http2ClientExchange>();
  /** Tunnels whose END_STREAM waits for a write. */
  readonly #endingTunnels: Http2Tunnel[] = [];
  #mode: Mode = Mode.open;
  #isPumping = false;
  /** The owner knows that no request will be taken any more. */
  #isTold = false;
  /** Who waits for the server's SETTINGS; null: nobody any more. */
  #waiting: (() => void)[] | null = [];

  constructor(stream: L4Stream, environment: HttpEnvironment, options: ResolvedHttp2ClientOptions, owner: ClientSessionOwner) {
    this.stream = stream;
    this.environment = environment;
    this.#owner = owner;
    this.#machine = new Http2Connection(Role.client, environment.now(), options.connection);
    const { writeTimeoutMs, lingerTimeoutMs } = options;
    const bounds = { writeTimeoutMs, lingerTimeoutMs, maxLingeringBytes: MAX_LINGERING_BYTES };
    this.#carrier = new Http2Carrier(stream, this.#machine, environment, bounds, {
      onFlushed: () => this.#handleFlushed(),
      onBroken: (error) => this.#cut(error),
    });
    this.#deadline = new SessionDeadline(environment.deadlines, () => this.#onDeadline());
  }

  /** Begins to read, and says the preface and our SETTINGS. */
  start(): void {
    this.#carrier.schedule();
    this.#watch(this.environment.recentNow);
    this.stream.attach(this);
  }

  get isReusable(): boolean {
    return this.availableStreams > 0;
  }

  /** No request will be taken any more: GOAWAY was said or heard, the limit of streams over a connection's life is reached, or it is closed. */
  get isDraining(): boolean {
    return this.#mode !== Mode.open || this.#machine.isDraining || this.stream.state !== 'open';
  }

  /** Requests that may begin now; before the server's SETTINGS a careful guess. */
  get availableStreams(): number {
    return this.isDraining ? 0 : this.#machine.availableStreams;
  }

  /** The server's SETTINGS have come: `availableStreams` is no guess any more. */
  get hasPeerSettings(): boolean {
    return this.#machine.hasPeerSettings;
  }

  get takesExtendedConnect(): boolean {
    return this.#machine.peerSettings.isExtendedConnectEnabled;
  }

  whenReady(call: () => void): void {
    if (this.#waiting === null) call();
    else this.#waiting.push(call);
  }

  #tellReady(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    for (const call of waiting) callUser(call);
  }

  /** Exchanges and tunnels that run. */
  get openStreamCount(): number {
    return this.#exchanges.size;
  }

  request(head: RequestHead, framing: RequestFraming, handler: ClientExchangeHandler): ClientExchange {
    const { bodyLength, upgrade, protocol = null } = framing;
    const isConnect = head.method === 'CONNECT';
    if (!this.isReusable) throw new TypeError('the connection cannot take a request');
    if (upgrade !== null) throw new TypeError('HTTP/2 has no Upgrade (RFC 9113 §8.6)');
    if (!Number.isSafeInteger(bodyLength) || bodyLength < BodyLength.chunked)
      throw new RangeError(`not the length of a request's body: ${bodyLength}`);
    if (isConnect && bodyLength !== 0) throw new RangeError('CONNECT has no body');
    const { maxHeaderListSize } = this.#machine.peerSettings;
    if (!fitsRequest(head, maxHeaderListSize, protocol)) throw requestHeadTooLarge(maxHeaderListSize);
    const now = this.environment.now();
    // RFC 9113 §8.5: the stream stays open for what goes through the tunnel.
    const stream = this.#machine.request(head, { bodyLength: isConnect ? BodyLength.chunked : bodyLength, protocol }, now);
    const exchange = new Http2ClientExchange(this, this.#machine, stream, handler, {
      isReused: this.requestCount > 0,
      isWhole: bodyLength === 0,
      isConnect,
      writeCount: this.#carrier.writeCount,
      startedAt: now,
    });
    this.requestCount++;
    stream.attachment = exchange;
    this.#exchanges.add(exchange);
    this.#carrier.schedule();
    this.#watch(now);
    return exchange;
  }

  close(): void {
    if (this.#mode !== Mode.open) return;
    if (!this.#machine.shouldClose) this.#machine.goaway(Http2ErrorCode.noError, '', this.environment.now());
    this.#end();
    this.#tellReady();
    this.#closeAll(internalError('SESSION_CLOSED', 'the session was closed', { source: 'internal' }));
  }

  // ---- the stream's calls --------------------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    if (this.#mode === Mode.open) {
      const now = this.environment.now();
      this.#machine.receive(chunk, now);
      this.#pump(now);
    } else if (this.#mode === Mode.ending) {
      this.#carrier.handleLateBytes(chunk.length);
    }
  }

  onDrain(): void {
    if (this.#mode === Mode.closed) return;
    const now = this.environment.now();
    this.#carrier.handleDrain();
    this.#watch(now);
  }

  onEnd(): void {
    if (this.#mode !== Mode.open) return;
    const now = this.environment.now();
    this.#machine.receiveEnd(now);
    this.#pump(now);
  }

  onClose(error: WireError | null): void {
    if (this.#mode === Mode.closed) return;
    const wasOpen = this.#mode === Mode.open;
    this.#mode = Mode.closed;
    this.#carrier.stop();
    this.#deadline.cancel();
    if (wasOpen)
      this.#tellGone(error, error ?? ioError('UPSTREAM_CLOSED', 'the server closed the connection before the response was whole'));
  }

  // ---- machine to handlers -------------------------------------------------------------------------------------------------------

  #pump(now: number): void {
    if (this.#isPumping || this.#mode !== Mode.open) return;
    this.#isPumping = true;
    const machine = this.#machine;
    try {
      while (machine.nextEvent(now)) {
        this.#dispatch(machine);
        if (this.#mode !== Mode.open) break;
      }
    } catch (thrown) {
      this.#fail(toWireError(thrown));
    } finally {
      this.#isPumping = false;
    }
    if (this.#mode !== Mode.open) return;
    this.#carrier.schedule();
    this.#tellIfDraining();
    this.#watch(now);
  }

  #dispatch(machine: Http2Connection): void {
    if (machine.event === Http2Event.settings || machine.event === Http2Event.goaway) {
      if (this.hasPeerSettings) this.#tellReady();
      if (!this.isDraining) this.#owner.onSessionRoom?.(this);
      return;
    }
    const exchange = exchangeOf(machine.stream);
    if (exchange !== null && exchange.tunnel !== null) exchange.tunnel.handleEvent();
    if (exchange === null || exchange.isClosed) return;
    try {
      const answer = this.#deliver(exchange, machine);
      if (answer !== undefined) watchClientHandler(exchange, answer);
    } catch (thrown) {
      exchange.cancel(handlerError(thrown));
    }
  }

  /** @returns what the handler has returned, if it is to be watched */
  #deliver(exchange: Http2ClientExchange, machine: Http2Connection): unknown {
    const { handler, stream } = exchange;
    switch (machine.event) {
      case Http2Event.head:
        exchange.hasResponse = true;
        return this.#deliverHead(exchange, stream.response as ResponseHead);
      case Http2Event.interim:
        exchange.hasResponse = true;
        return handler.onInterim(stream.interim as ResponseHead);
      case Http2Event.data:
        exchange.responseBytes += machine.data.length;
        return handler.onResponseData(machine.data);
      case Http2Event.end:
        this.#endExchange(exchange);
        break;
      case Http2Event.reset:
        this.finish(exchange, asUpstreamError(machine.error as WireError));
        break;
      default:
    }
    return undefined;
  }

  #deliverHead(exchange: Http2ClientExchange, head: ResponseHead): unknown {
    const { handler, stream } = exchange;
    if (stream.method === 'CONNECT') {
      if (head.status < 300) {
        this.#openTunnel(exchange, head);
        return undefined;
      }
      // No tunnel: our side, which was kept open for it, is whole now.
      this.#machine.sendEnd(stream, null, this.environment.recentNow);
    }
    return handler.onResponse(head, stream.receiveLength);
  }

  /** RFC 9110 §9.3.6: any 2xx makes a tunnel. The exchange is over; its stream counts as long as the tunnel is there. */
  #openTunnel(exchange: Http2ClientExchange, head: ResponseHead): void {
    const tunnel = new Http2Tunnel(this, this.#machine, exchange.stream, exchange.startedAt);
    exchange.tunnel = tunnel;
    exchange.isClosed = true;
    let error: WireError | null = null;
    try {
      const answer: unknown = exchange.handler.onTunnel(head, { stream: tunnel, remaining: EMPTY_BYTES });
      watchAnswer(answer, (thrown) => tunnel.abort(handlerError(thrown)));
    } catch (thrown) {
      error = handlerError(thrown);
      tunnel.abort(error);
    }
    this.#tellClose(exchange, error);
  }

  #endExchange(exchange: Http2ClientExchange): void {
    const { trailers } = this.#machine;
    // RFC 9113 §8.1: a response may be whole before its request is; the rest of that is of no use to anybody.
    // Said is not framed: what waits for window would keep the stream, and its place, as long as the server gives none.
    const { stream } = exchange;
    if (!stream.isSendEnded || stream.queuedBytes > 0) this.#machine.reset(stream, Http2ErrorCode.noError, this.environment.recentNow);
    this.#leave(exchange);
    let error: WireError | null = null;
    try {
      watchAnswer(exchange.handler.onResponseEnd(trailers));
    } catch (thrown) {
      error = handlerError(thrown);
    }
    this.#tellClose(exchange, error);
  }

  /** Ends an exchange of which the stream is gone, or was just reset. */
  finish(exchange: Http2ClientExchange, error: WireError): void {
    if (exchange.isClosed) return;
    this.#leave(exchange);
    this.#tellClose(exchange, error);
  }

  /** First the owner, then the handler: the handler's next request finds the place that became free. */
  #leave(exchange: Http2ClientExchange): void {
    exchange.isClosed = true;
    if (!this.#exchanges.delete(exchange)) return;
    if (this.isDraining) {
      // The last one is over: the end of the connection follows in `#handleFlushed`.
      this.#carrier.schedule();
      return;
    }
    this.#owner.onSessionRoom?.(this);
    if (this.#exchanges.size === 0) this.#owner.onSessionIdle(this);
  }

  #tellClose(exchange: Http2ClientExchange, error: WireError | null): void {
    exchange.isClosed = true;
    exchange.endWait();
    try {
      watchAnswer(exchange.handler.onClientClose(error));
    } catch (thrown) {
      // Its exchange is over. A connection that nobody else uses ends, so that the bug is seen; neighbours are left alone.
      if (this.#exchanges.size === 0) this.#retire(handlerError(thrown));
    }
  }

  #tellIfDraining(): void {
    if (this.#isTold || !this.isDraining) return;
    this.#isTold = true;
    this.#owner.onSessionRoom?.(this);
  }

  // ---- called by tunnels ---------------------------------------------------------------------------------------------------------

  get writeCount(): number {
    return this.#carrier.writeCount;
  }

  resumeTunnel(stream: Http2Stream): void {
    if (this.#mode !== Mode.open) return;
    const now = this.environment.now();
    this.#machine.setReadingPaused(stream, false, now);
    this.#pump(now);
  }

  awaitFlush(tunnel: Http2Tunnel): void {
    this.#endingTunnels.push(tunnel);
  }

  releaseTunnel(tunnel: Http2Tunnel): void {
    const exchange = exchangeOf(tunnel.stream);
    if (exchange !== null) this.#leave(exchange);
  }

  // ---- called by exchanges -------------------------------------------------------------------------------------------------------

  /** What was said before the last write is with the network. */
  hasWrittenSince(writeCount: number): boolean {
    return this.#carrier.writeCount > writeCount;
  }

  afterSend(): void {
    this.#carrier.schedule();
  }

  /** @param queuedBytes how much of the request's body waits in its stream */
  afterSendData(queuedBytes: number): void {
    if (this.#isPumping) this.#carrier.schedule();
    else this.#carrier.scheduleData(queuedBytes);
  }

  resumeReading(exchange: Http2ClientExchange): void {
    this.resumeTunnel(exchange.stream);
  }

  cancel(exchange: Http2ClientExchange, error: WireError): void {
    this.#machine.reset(exchange.stream, Http2ErrorCode.cancel, this.environment.now());
    this.#carrier.schedule();
    this.finish(exchange, withPeer(error, 'upstream'));
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  #handleFlushed(): void {
    if (this.#mode !== Mode.open) return;
    if (this.#endingTunnels.length > 0) settleFlushed(this.#endingTunnels);
    for (;;) {
      const stream = this.#machine.takeWritable();
      if (stream === null) break;
      const exchange = exchangeOf(stream);
      if (exchange !== null && exchange.tunnel !== null) {
        exchange.tunnel.handleRoom();
        continue;
      }
      if (exchange === null || exchange.isClosed || exchange.hasEnded) continue;
      exchange.endWait();
      try {
        const answer: unknown = exchange.handler.onRequestDrain();
        if (answer !== undefined) watchClientHandler(exchange, answer);
      } catch (thrown) {
        exchange.cancel(handlerError(thrown));
      }
    }
    if (this.#mode !== Mode.open) return;
    this.#tellIfDraining();
    if (this.#machine.shouldClose || (this.isDraining && this.#exchanges.size === 0)) this.#retire(null);
    else this.#watch(this.environment.recentNow);
  }

  /** The server broke a rule, or is silent: it hears GOAWAY, all exchanges are told. */
  #fail(thrown: WireError): void {
    if (this.#mode !== Mode.open) return;
    const error = asUpstreamError(thrown);
    this.#end();
    this.#tellGone(error, error);
  }

  /** Nothing runs any more: the connection ends in order. */
  #retire(error: WireError | null): void {
    if (this.#mode !== Mode.open) return;
    if (!this.#machine.shouldClose) this.#machine.goaway(Http2ErrorCode.noError, '', this.environment.recentNow);
    this.#end();
    this.#tellGone(error, error ?? ioError('UPSTREAM_CLOSED', 'the connection has ended'));
  }

  #end(): void {
    this.#mode = Mode.ending;
    this.#carrier.end();
    this.#deadline.cancel();
    this.#watch(this.environment.recentNow);
  }

  #tellGone(error: WireError | null, reason: WireError): void {
    this.#tellReady();
    this.#owner.onSessionClose(this, error, false);
    this.#closeAll(reason);
  }

  #closeAll(reason: WireError): void {
    withPeer(reason, 'upstream');
    const exchanges = this.#exchanges.toArray();
    for (const exchange of exchanges) this.#exchanges.delete(exchange);
    for (const exchange of exchanges) {
      exchange.tunnel?.lose(withRetry(reason, 'never'));
      if (!exchange.isClosed) this.#tellClose(exchange, reason.type === 'internal' ? reason : withRetry(reason, exchange.retry()));
    }
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------------

  #watch(now: number): void {
    if (this.#mode === Mode.closed) return;
    let next = this.#carrier.nextTimeout();
    if (this.#mode === Mode.open) next = Math.min(next, this.#machine.nextTimeout());
    this.#deadline.watch(next, now);
  }

  #onDeadline(): void {
    if (this.#mode === Mode.closed) return;
    const now = this.environment.now();
    if (this.#carrier.handleTimeout(now)) {
      this.#cut(timeoutError('H2_CONNECTION_STALLED', 'the server reads nothing', { source: 'upstream' }));
    } else if (this.#mode === Mode.open) {
      const error = this.#machine.handleTimeout(now);
      if (error !== null) this.#fail(error);
      else this.#pump(now);
    } else {
      this.#watch(now);
    }
  }

  #cut(error: WireError): void {
    const wasOpen = this.#mode === Mode.open;
    this.#mode = Mode.closed;
    this.#carrier.stop();
    this.#deadline.cancel();
    this.stream.abort(error);
    if (wasOpen) this.#tellGone(error, error);
  }
}

function exchangeOf(stream: Http2Stream | null): Http2ClientExchange | null {
  return stream === null ? null : (stream.attachment as Http2ClientExchange | null);
}
