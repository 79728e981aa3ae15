/** One request and its response on an `Http1ServerSession`: what the application holds. Its session does the work; this keeps the one terminal state. */
import type { WireError } from '@ferrata/error';
import { type HeaderMap, HttpVersion, type RequestHead, type ResponseHead, reasonPhrase } from '@ferrata/headers';
import type { ServerConnection } from '@ferrata/http1';
import type { StreamInfo } from '@ferrata/stream';
import type { ServerConnectionState, ServerExchangeHandler, Tunnel } from './exchange.ts';
import { checkExchangeSettings, type ExchangeSettings } from './exchange-settings.ts';
import type { Http1ServerSession } from './http1-server-session.ts';
import { breakOff, type FollowedExchange, tellClose } from './internal/application-calls.ts';
import { WaitTime } from './internal/wait-time.ts';

/** One exchange of an `Http1ServerSession`. */
export class Http1ServerExchange implements FollowedExchange {
  readonly #session: Http1ServerSession;
  readonly #machine: ServerConnection;
  readonly request: RequestHead;
  readonly requestBodyLength: number;
  readonly upgrade: string | null;
  /** There is no extended CONNECT in HTTP/1. */
  readonly protocol = null;
  readonly expectsContinue: boolean;
  readonly startedAt: number;
  handler: ServerExchangeHandler | null = null;
  closeError: WireError | null = null;
  /** What `adjust` has set. */
  settings: ExchangeSettings | null = null;
  #waitTime: WaitTime | null = null;
  requestBytes = 0;
  responseBytes = 0;
  status = 0;
  isClosed = false;

  constructor(session: Http1ServerSession, machine: ServerConnection, now: number) {
    this.#session = session;
    this.#machine = machine;
    this.request = machine.request;
    this.requestBodyLength = machine.requestBodyLength;
    this.upgrade = machine.upgrade;
    this.expectsContinue = machine.expectsContinue;
    this.startedAt = now;
  }

  get info(): StreamInfo {
    return this.#session.stream.info;
  }
  get connection(): ServerConnectionState {
    return this.#session.connection;
  }
  get isConnectionReusable(): boolean {
    return this.isClosed && this.closeError === null && this.#session.isReusable;
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
  /** Nothing of the request waits to be read. */
  get isRequestRead(): boolean {
    return this.#machine.isRequestDone;
  }

  adjust(settings: ExchangeSettings): void {
    const all = checkExchangeSettings(settings, this.settings);
    if (this.isClosed) return;
    this.settings = all;
    this.#session.adjust(this, all);
  }

  pauseRequest(): void {
    if (!this.isClosed) this.#session.pauseRequest();
  }
  resumeRequest(): void {
    if (!this.isClosed) this.#session.resumeRequest();
  }

  sendInterim(head: ResponseHead): void {
    if (this.isClosed) return;
    fillReason(head);
    this.#machine.sendInterim(head, this.#session.environment.now());
    this.#session.scheduleFlush();
  }

  sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.isClosed) return;
    fillReason(head);
    this.#machine.sendHead(head, bodyLength, this.#session.environment.date());
    this.status = head.status;
    this.#session.scheduleFlush();
  }

  sendData(chunk: Uint8Array): boolean {
    if (this.isClosed) return false;
    try {
      if (this.#machine.sendData(chunk)) this.responseBytes += chunk.length;
    } catch (thrown) {
      breakOff(this, thrown);
    }
    return this.#session.afterSend();
  }

  sendEnd(trailers: HeaderMap | null = null): void {
    if (this.isClosed) return;
    try {
      this.#machine.sendEnd(trailers);
    } catch (thrown) {
      breakOff(this, thrown);
    }
    this.#session.endExchange(this);
  }

  openTunnel(head: ResponseHead): Tunnel {
    if (this.isClosed) throw new TypeError('the exchange is closed');
    this.#machine.sendTunnelHead(head, this.#session.environment.date());
    this.status = head.status;
    const tunnel = this.#session.openTunnel();
    // From here on the drain is told to somebody else.
    this.endWait(this.#session.environment.recentNow);
    return tunnel;
  }

  closeTunnel(error: WireError | null): void {
    this.#session.closeTunnel(error);
  }

  abort(error: WireError): void {
    if (this.isClosed) return;
    this.#session.failExchange(this, error);
    this.close(error);
  }

  /** The stream has become full. */
  beginWait(now: number): void {
    this.#waitTime ??= new WaitTime();
    this.#waitTime.begin(now);
  }

  /** The stream has room again. */
  endWait(now: number): void {
    this.#waitTime?.end(now);
  }

  /** Tells the handler that all is over, once. */
  close(error: WireError | null): void {
    if (this.isClosed) return;
    if (this.isWritePending) this.endWait(this.#session.environment.now());
    this.isClosed = true;
    this.closeError = error;
    if (this.handler !== null) tellClose(this.#session, this.handler, error);
  }
}

/** HTTP/2 carries no reason phrases, and old clients of HTTP/1 want one (RFC 9112 §4 lets a sender choose it). One that HTTP/1 left out stays so. */
function fillReason(head: ResponseHead): void {
  if (head.reason === '' && head.version === HttpVersion.http2) head.reason = reasonPhrase(head.status);
}
