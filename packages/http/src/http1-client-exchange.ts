/** One request and its response on an `Http1ClientSession`. Its session does the work. */
import type { WireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import type { StreamInfo } from '@ferrata/stream';
import type { ClientExchange, ClientExchangeHandler } from './exchange.ts';
import type { Http1ClientSession } from './http1-client-session.ts';
import { WaitTime } from './internal/wait-time.ts';

/** One exchange of an `Http1ClientSession`. */
export class Http1ClientExchange implements ClientExchange {
  readonly #session: Http1ClientSession;
  readonly handler: ClientExchangeHandler;
  readonly isReused: boolean;
  /** Writes given to the network for this exchange, and their bytes. */
  writeCount = 0;
  writtenBytes = 0;
  requestBytes = 0;
  responseBytes = 0;
  #waitTime: WaitTime | null = null;
  isClosed = false;

  constructor(session: Http1ClientSession, handler: ClientExchangeHandler, isReused: boolean) {
    this.#session = session;
    this.handler = handler;
    this.isReused = isReused;
  }

  get info(): StreamInfo {
    return this.#session.stream.info;
  }
  get isUnsent(): boolean {
    return this.writeCount === 0;
  }
  get writePendingMs(): number {
    return this.#waitTime === null ? 0 : this.#waitTime.at(this.#session.environment.now());
  }

  sendData(chunk: Uint8Array): boolean {
    return !this.isClosed && this.#session.sendData(this, chunk);
  }
  sendEnd(trailers: HeaderMap | null = null): void {
    if (!this.isClosed) this.#session.sendEnd(trailers);
  }
  pauseResponse(): void {
    if (!this.isClosed) this.#session.pauseResponse();
  }
  resumeResponse(): void {
    if (!this.isClosed) this.#session.resumeResponse();
  }
  cancel(error: WireError): void {
    if (!this.isClosed) this.#session.cancel(this, error);
  }

  /** The stream has become full. */
  beginWait(now: number): void {
    this.#waitTime ??= new WaitTime();
    this.#waitTime.begin(now);
  }

  /** The stream has room again, or the exchange is over. */
  endWait(): void {
    if (this.#waitTime?.isRunning === true) this.#waitTime.end(this.#session.environment.now());
  }
}
