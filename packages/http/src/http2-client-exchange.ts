/** One request and its response on an `Http2ClientSession`. Its session does the work. */
import type { Retry, WireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import type { Http2Connection, Http2Stream } from '@ferrata/http2';
import type { StreamInfo } from '@ferrata/stream';
import type { ClientExchange, ClientExchangeHandler } from './exchange.ts';
import type { Http2ClientSession } from './http2-client-session.ts';
import type { Http2Tunnel } from './internal/http2-tunnel.ts';
import type { RosterMember } from './internal/roster.ts';
import { bodyLengthWrong } from './internal/session-errors.ts';
import { WaitTime } from './internal/wait-time.ts';

/** One exchange of an `Http2ClientSession`. */
export class Http2ClientExchange implements ClientExchange {
  readonly #session: Http2ClientSession;
  readonly #machine: Http2Connection;
  /** The stream that carries it. */
  readonly stream: Http2Stream;
  readonly handler: ClientExchangeHandler;
  readonly isReused: boolean;
  /** Writes of the connection before the request was made. */
  readonly #writeCount: number;
  #isPaused = false;
  /** Something of an answer has come. */
  hasResponse = false;
  /** The request has been said to its end. */
  hasEnded: boolean;
  /** When the request was made. */
  readonly startedAt: number;
  /** Asks for a tunnel: what is sent before the answer would be in it. */
  readonly #isConnect: boolean;
  /** The server has answered 2xx to CONNECT: the exchange is over, its stream goes on. */
  tunnel: Http2Tunnel | null = null;
  requestBytes = 0;
  responseBytes = 0;
  #waitTime: WaitTime | null = null;
  rosterBefore: RosterMember | null = null;
  rosterBehind: RosterMember | null = null;
  isClosed = false;

  constructor(
    session: Http2ClientSession,
    machine: Http2Connection,
    stream: Http2Stream,
    handler: ClientExchangeHandler,
    begin: {
      readonly isReused: boolean;
      readonly isWhole: boolean;
      readonly isConnect: boolean;
      readonly writeCount: number;
      readonly startedAt: number;
    },
  ) {
    this.#session = session;
    this.#machine = machine;
    this.stream = stream;
    this.handler = handler;
    this.isReused = begin.isReused;
    this.hasEnded = begin.isWhole;
    this.#writeCount = begin.writeCount;
    this.#isConnect = begin.isConnect;
    this.startedAt = begin.startedAt;
  }

  get info(): StreamInfo {
    return this.#session.stream.info;
  }
  get isUnsent(): boolean {
    return !this.#session.hasWrittenSince(this.#writeCount);
  }
  get writePendingMs(): number {
    return this.#waitTime === null ? 0 : this.#waitTime.at(this.#session.environment.now());
  }

  sendData(chunk: Uint8Array): boolean {
    if (this.isClosed || (this.hasEnded && chunk.length === 0)) return false;
    if (this.#isConnect) this.#breakOff(new RangeError('CONNECT has no body'));
    let hasRoom: boolean;
    try {
      hasRoom = this.#machine.sendData(this.stream, chunk, this.#session.environment.recentNow);
    } catch (thrown) {
      this.#breakOff(thrown);
    }
    this.requestBytes += chunk.length;
    if (!hasRoom) this.#beginWait();
    this.#session.afterSendData(this.stream.queuedBytes);
    return hasRoom;
  }

  sendEnd(trailers: HeaderMap | null = null): void {
    if (this.isClosed || this.hasEnded) return;
    try {
      this.#machine.sendEnd(this.stream, trailers, this.#session.environment.recentNow);
    } catch (thrown) {
      this.#breakOff(thrown);
    }
    this.hasEnded = true;
    // No drain follows: what still waits is told by the end of the exchange.
    this.endWait();
    this.#session.afterSend();
  }

  #beginWait(): void {
    this.#waitTime ??= new WaitTime();
    this.#waitTime.begin(this.#session.environment.now());
  }

  /** The stream has room again, or the exchange is over. */
  endWait(): void {
    if (this.#waitTime?.isRunning === true) this.#waitTime.end(this.#session.environment.now());
  }

  /** A body longer or shorter than announced: the server must not take it for whole. */
  #breakOff(thrown: unknown): never {
    if (thrown instanceof RangeError) this.cancel(bodyLengthWrong(thrown));
    throw thrown;
  }

  pauseResponse(): void {
    if (this.#isPaused || this.isClosed) return;
    this.#isPaused = true;
    this.#machine.setReadingPaused(this.stream, true, this.#session.environment.recentNow);
  }

  resumeResponse(): void {
    if (!this.#isPaused || this.isClosed) return;
    this.#isPaused = false;
    this.#session.resumeReading(this);
  }

  cancel(error: WireError): void {
    if (!this.isClosed) this.#session.cancel(this, error);
  }

  /** Whether the request may be sent again, if the connection ends now. */
  retry(): Retry {
    if (this.hasResponse) return 'never';
    return this.isUnsent ? 'always' : 'ifReused';
  }
}
