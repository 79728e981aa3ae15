/** One request and its response on an `Http2ServerSession`: what the application holds. Its session does the work; this keeps the one terminal state. */
import { EMPTY_BYTES } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { asksToContinue, type HeaderMap, type RequestHead, type ResponseHead } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import type { Http2Connection, Http2Stream } from '@ferrata/http2';
import type { StreamInfo } from '@ferrata/stream';
import type { ServerConnectionState, ServerExchangeHandler, Tunnel } from './exchange.ts';
import { checkExchangeSettings, type ExchangeSettings } from './exchange-settings.ts';
import type { Http2ServerSession } from './http2-server-session.ts';
import { breakOff, type FollowedExchange, tellClose } from './internal/application-calls.ts';
import { fitsResponse, responseHeadTooLarge } from './internal/head-size.ts';
import type { Http2Tunnel } from './internal/http2-tunnel.ts';
import type { RosterMember } from './internal/roster.ts';
import { WaitTime } from './internal/wait-time.ts';
import type { WriteBounds } from './internal/write-progress.ts';

/** One exchange of an `Http2ServerSession`. */
export class Http2ServerExchange implements FollowedExchange {
  readonly #session: Http2ServerSession;
  readonly #machine: Http2Connection;
  /** The stream that carries it. */
  readonly stream: Http2Stream;
  readonly request: RequestHead;
  readonly requestBodyLength: number;
  /** There is no Upgrade in HTTP/2 (RFC 9113 §8.6). */
  readonly upgrade = null;
  readonly protocol: string | null;
  readonly expectsContinue: boolean;
  readonly startedAt: number;
  /** The request asks for a tunnel: it has no body, and what comes on its stream is kept for `openTunnel`. */
  readonly isConnect: boolean;
  /** Set by `openTunnel`. */
  tunnel: Http2Tunnel | null = null;
  handler: ServerExchangeHandler | null = null;
  rosterBefore: RosterMember | null = null;
  rosterBehind: RosterMember | null = null;
  closeError: WireError | null = null;
  /** What `adjust` has set. */
  settings: ExchangeSettings | null = null;
  /** How slow the client may be, if that was set. */
  writeBounds: WriteBounds | null = null;
  #waitTime: WaitTime | null = null;
  /** 100 (Continue) was sent. */
  #hasContinued = false;
  /** HEAD, 204, 304: what is sent as body is dropped. */
  #isBodyless = false;
  requestBytes = 0;
  responseBytes = 0;
  status = 0;
  /** The application has stopped to want the body. */
  isPaused = false;
  /** The application has said all; the rest of it is on its way. */
  hasEnded = false;
  isClosed = false;

  constructor(session: Http2ServerSession, machine: Http2Connection, stream: Http2Stream, now: number) {
    this.#session = session;
    this.#machine = machine;
    this.stream = stream;
    this.request = stream.request as RequestHead;
    this.protocol = stream.protocol;
    this.isConnect = this.request.method === 'CONNECT';
    this.requestBodyLength = this.isConnect ? 0 : stream.receiveLength;
    this.expectsContinue = this.requestBodyLength !== 0 && asksToContinue(this.request.headers);
    this.startedAt = now;
    // RFC 9110 §9.3.6: what comes early belongs to the tunnel, if there will be one. The window bounds it.
    if (this.isConnect) this.#hold();
  }

  get info(): StreamInfo {
    return this.#session.stream.info;
  }
  get connection(): ServerConnectionState {
    return this.#session.connection;
  }
  /** A stream is not the connection. */
  get isConnectionReusable(): boolean {
    return false;
  }
  get hasResponded(): boolean {
    return this.status !== 0;
  }
  get writePendingMs(): number {
    return this.#waitTime === null ? 0 : this.#waitTime.at(this.#session.environment.now());
  }
  /** The client does not take what was sent, at this moment. */
  get isWritePending(): boolean {
    return this.#waitTime?.isRunning === true;
  }
  /** Nothing of the request waits to be read. Of a tunnel nobody knows. */
  get isRequestRead(): boolean {
    return this.tunnel === null && (this.isConnect || this.stream.isReceiveEnded);
  }

  adjust(settings: ExchangeSettings): void {
    const all = checkExchangeSettings(settings, this.settings);
    if (this.isClosed) return;
    this.settings = all;
    this.#session.adjust(this, all);
  }

  pauseRequest(): void {
    if (!this.isPaused && !this.isClosed && !this.isConnect) this.#hold();
  }

  #hold(): void {
    this.isPaused = true;
    this.#machine.setReadingPaused(this.stream, true, this.#session.environment.recentNow);
  }

  resumeRequest(): void {
    if (!this.isPaused || this.isClosed || this.isConnect) return;
    this.#session.resumeReading(this);
  }

  sendInterim(head: ResponseHead): void {
    if (this.#isOver()) return;
    if (!(head.status >= 100 && head.status <= 199) || head.status === 101) throw new RangeError(`not an interim status: ${head.status}`);
    if (this.status !== 0) throw new TypeError('the response to this request has begun');
    if (this.settings?.dropInterim === true && !this.#isContinueDue(head.status)) return;
    if (!fitsResponse(head, this.#machine.peerSettings.maxHeaderListSize)) return;
    if (head.status === 100) this.#hasContinued = true;
    this.#machine.sendInterim(this.stream, head, this.#session.environment.now());
    this.#session.afterSend();
  }

  /** Whether an interim response is the 100 that the client waits for. */
  #isContinueDue(status: number): boolean {
    return status === 100 && this.expectsContinue && !this.#hasContinued && this.requestBytes === 0;
  }

  sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.#isOver()) return;
    const { status } = head;
    if (this.status !== 0) throw new TypeError('the response to this request has begun');
    if (status === 101) throw new TypeError('HTTP/2 has no 101 (RFC 9113 §8.6)');
    if (status < 200) throw new RangeError(`not a final status: ${status}`);
    if (this.isConnect && status < 300) throw new TypeError(`${status} would make a tunnel: use openTunnel`);
    if (!Number.isSafeInteger(bodyLength) || bodyLength < BodyLength.untilClose)
      throw new RangeError(`not the length of a body: ${bodyLength}`);
    const { maxHeaderListSize } = this.#machine.peerSettings;
    if (!fitsResponse(head, maxHeaderListSize)) {
      this.abort(responseHeadTooLarge(maxHeaderListSize));
      return;
    }
    const { environment } = this.#session;
    const length = bodyLength < 0 ? BodyLength.chunked : bodyLength;
    this.#machine.sendHead(this.stream, head, length, environment.date(), environment.recentNow);
    this.status = status;
    this.#isBodyless = this.stream.method === 'HEAD' || status === 204 || status === 304;
    this.#session.afterSend();
  }

  sendData(chunk: Uint8Array): boolean {
    if (this.#isOver()) return false;
    if (this.status === 0) throw new TypeError('no response is open');
    if (this.#isBodyless) return true;
    let hasRoom: boolean;
    try {
      hasRoom = this.#machine.sendData(this.stream, chunk, this.#session.environment.recentNow);
    } catch (thrown) {
      breakOff(this, thrown);
    }
    this.responseBytes += chunk.length;
    this.#session.afterSendData(this.stream.queuedBytes);
    // Behind the write that may have followed: what the network has taken does not wait.
    if (!hasRoom) this.beginWait();
    return hasRoom;
  }

  sendEnd(trailers: HeaderMap | null = null): void {
    if (this.#isOver()) return;
    if (this.status === 0) throw new TypeError('no response is open');
    try {
      this.#machine.sendEnd(this.stream, trailers, this.#session.environment.recentNow);
    } catch (thrown) {
      breakOff(this, thrown);
    }
    this.hasEnded = true;
    this.#session.endExchange(this);
  }

  /** A method and no accessor: V8 calls into its runtime for each read of a private accessor, some 0.2 µs each. */
  #isOver(): boolean {
    return this.isClosed || this.hasEnded;
  }

  openTunnel(head: ResponseHead): Tunnel {
    if (this.#isOver()) throw new TypeError('the exchange is closed');
    const { status } = head;
    if (this.status !== 0) throw new TypeError('the response to this request has begun');
    if (!this.isConnect || status < 200 || status > 299)
      throw new TypeError(`${status} to ${this.request.method} makes no tunnel over HTTP/2`);
    const { maxHeaderListSize } = this.#machine.peerSettings;
    if (!fitsResponse(head, maxHeaderListSize)) {
      const error = responseHeadTooLarge(maxHeaderListSize);
      this.abort(error);
      throw error;
    }
    const { environment } = this.#session;
    this.#machine.sendHead(this.stream, head, BodyLength.chunked, environment.date(), environment.recentNow);
    this.status = status;
    // The tunnel pauses and resumes from here on.
    this.isPaused = false;
    this.tunnel = this.#session.openTunnel(this);
    return { stream: this.tunnel, remaining: EMPTY_BYTES };
  }

  closeTunnel(error: WireError | null): void {
    const { tunnel } = this;
    if (tunnel === null || this.isClosed) return;
    if (tunnel.state !== 'closed') tunnel.abort(error ?? undefined);
    this.close(error);
  }

  abort(error: WireError): void {
    if (this.isClosed) return;
    if (this.tunnel !== null) {
      this.closeTunnel(error);
      return;
    }
    this.#session.failExchange(this, error);
    this.close(error);
  }

  /** The queue of the stream is full, or all is said and much of it waits. */
  beginWait(): void {
    if (this.isClosed || this.isWritePending) return;
    const now = this.#session.environment.now();
    this.#waitTime ??= new WaitTime();
    this.#waitTime.begin(now);
    if (this.writeBounds !== null) this.#session.watchSlowReader(this, this.writeBounds, now);
  }

  /** The queue has room again, or the exchange is over. */
  endWait(): void {
    if (!this.isWritePending) return;
    this.#waitTime?.end(this.#session.environment.now());
    if (this.writeBounds !== null) this.#session.forgetSlowReader(this, this.writeBounds);
  }

  /** The response cannot be completed for a reason of the connection. The user of a tunnel hears of it there, and closes the exchange. */
  fail(error: WireError): void {
    if (this.tunnel === null) this.abort(error);
    else this.tunnel.fail(error);
  }

  /** The connection has ended. */
  lose(error: WireError): void {
    if (this.tunnel === null) this.close(error);
  }

  /** Tells the handler that all is over, once. */
  close(error: WireError | null): void {
    if (this.isClosed) return;
    this.endWait();
    this.isClosed = true;
    this.closeError = error;
    this.#session.forget(this);
    if (this.handler !== null) tellClose(this.#session, this.handler, error);
  }
}
