/** One request and its response on an `Http1ServerSession`: what the application holds. Its session does the work; this keeps the one terminal state. */
import type { WireError } from '@ferrata/error';
import { type HeaderMap, HttpVersion, type RequestHead, type ResponseHead, reasonPhrase } from '@ferrata/headers';
import type { ServerConnection } from '@ferrata/http1';
import type { StreamInfo } from '@ferrata/stream';
import type { ServerExchangeHandler, Tunnel } from './exchange.ts';
import type { Http1ServerSession } from './http1-server-session.ts';
import { breakOff, type FollowedExchange, tellClose } from './internal/application-calls.ts';

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
  get hasResponded(): boolean {
    return this.status !== 0;
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
    return this.#session.openTunnel();
  }

  closeTunnel(error: WireError | null): void {
    this.#session.closeTunnel(error);
  }

  abort(error: WireError): void {
    if (this.isClosed) return;
    this.#session.failExchange(this, error);
    this.close(error);
  }

  /** Tells the handler that all is over, once. */
  close(error: WireError | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.closeError = error;
    if (this.handler !== null) tellClose(this.#session, this.handler, error);
  }
}

/** HTTP/2 carries no reason phrases, and old clients of HTTP/1 want one (RFC 9112 §4 lets a sender choose it). One that HTTP/1 left out stays so. */
function fillReason(head: ResponseHead): void {
  if (head.reason === '' && head.version === HttpVersion.http2) head.reason = reasonPhrase(head.status);
}
