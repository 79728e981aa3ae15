/**
 * An exchange in memory: a request without a client, answered by any `HttpApplication` as if it had come over a connection.
 *
 * ```text
 *   maker ── feed, feedEnd ─► BodyQueue ─────► onRequestData, onRequestEnd ──┐
 *                                                                      application
 *   sink  ◄── tellNext ────── ResponseQueue ◄── sendHead, sendData, sendEnd ─┘
 * ```
 *
 * Rules of this file:
 * - The application is called as by the sessions of `@ferrata/http`: requests, pieces, ends and drains come at the end of a turn of the event loop, never from inside a
 *   method of the exchange. Only `onExchangeClose` comes from inside `sendEnd` and `abort`, as over HTTP/1, and during `onRequest` when that has returned.
 * - What reaches the sink is always told later (see `running-subrequest.ts`): no side is ever called from inside the other.
 * - The response is whole for the application once it has said all of it, whoever has yet to take it.
 * - There is no connection: settings of one are checked and otherwise mean nothing; `isConnectionReusable` is false.
 *
 * @see RFC 9110 §6.4, §8.6, §10.1.1, §15.2
 */
import type { WireError } from '@ferrata/error';
import { asksToContinue, type HeaderMap, HttpVersion, type RequestHead, type ResponseHead } from '@ferrata/headers';
import type {
  ExchangeSettings,
  HttpApplication,
  HttpEnvironment,
  ServerConnectionState,
  ServerExchange,
  ServerExchangeHandler,
  Tunnel,
} from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { callUser, type StreamInfo } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';
import type { SubrequestFacts } from '../exchange-origin.ts';
import { BodyQueue } from './body-queue.ts';
import { ExchangeTimeouts } from './exchange-timeouts.ts';
import { callApplication, endByThrow, watchHandler } from './handler-calls.ts';
import { receivedFinalHead, receivedHead, receivedTrailers, refusalBody, refusalHead } from './received-response.ts';
import type { ResponseQueue } from './response-queue.ts';
import { bodyLengthWrong, bodyStalled, heldTooMuch, noResponse, sinkStalled } from './subrequest-errors.ts';

/** Interim responses that are told, beside the 100 that is waited for: as many as over a connection. */
const MAX_INTERIM_RESPONSES = 8;

/** What an exchange is made from. */
export interface SubrequestExchangeInit extends SubrequestFacts {
  readonly application: HttpApplication;
  readonly environment: HttpEnvironment;
  readonly request: RequestHead;
  /** ≥ 0, or `BodyLength.chunked`. */
  readonly bodyLength: number;
  readonly info: StreamInfo;
  readonly response: ResponseQueue;
  /** There is something to tell: have `runTurn` called, but not at once. */
  readonly schedule: () => void;
}

/** The server's side of a subrequest. */
export class SubrequestExchange implements ServerExchange, SubrequestFacts {
  readonly #application: HttpApplication;
  readonly #environment: HttpEnvironment;
  readonly #response: ResponseQueue;
  readonly #schedule: () => void;
  readonly request: RequestHead;
  readonly requestBodyLength: number;
  /** Nobody could take the connection over. */
  readonly upgrade = null;
  readonly protocol = null;
  readonly expectsContinue: boolean;
  readonly info: StreamInfo;
  readonly startedAt: number;
  /** Of this exchange alone. */
  readonly connection: ServerConnectionState = { requestCount: 1, hasClientEnded: false, context: undefined };
  readonly isConnectionReusable = false;
  readonly context: unknown;
  readonly depth: number;
  readonly peer: Peer | null;
  requestBytes = 0;
  responseBytes = 0;
  status = 0;
  isClosed = false;
  #handler: ServerExchangeHandler | null = null;
  #hasBegun = false;
  #closeError: WireError | null = null;
  #isCloseTold = false;

  // The request's body.
  readonly #body = new BodyQueue();
  /** Bytes that are still to be fed when the length is exact, else -1. */
  #bodyLeft: number;
  #isRequestEnded: boolean;
  #isRequestEndTold = false;
  #requestTrailers: HeaderMap | null = null;
  #isRequestPaused = false;
  /** The maker waits to hear that its body is wanted: from the start, and after each `false`. */
  #owesRequestDrain: boolean;
  #isContinueDue: boolean;

  // The response.
  #interimsSent = 0;
  #isBodyless = false;
  #responseLeft = 0;
  /** −1: the sink takes what comes. */
  #fullSince = -1;
  #writePendingMs = 0;

  #timeouts: ExchangeTimeouts | null = null;
  #deadline: ReturnType<HttpEnvironment['deadlines']['deadline']> | null = null;
  /** `requestBytes` and bytes told of the response, when times were last looked at. */
  #notedRequestBytes = 0;
  #notedResponseBytes = 0;

  constructor(init: SubrequestExchangeInit) {
    const { request, bodyLength, environment } = init;
    this.#application = init.application;
    this.#environment = environment;
    this.#response = init.response;
    this.#schedule = init.schedule;
    this.request = request;
    this.requestBodyLength = bodyLength;
    this.expectsContinue = bodyLength !== 0 && asksToContinue(request.headers);
    this.info = init.info;
    this.startedAt = environment.now();
    this.context = init.context;
    this.depth = init.depth;
    this.peer = init.peer;
    this.#bodyLeft = bodyLength;
    this.#isRequestEnded = bodyLength === 0;
    this.#owesRequestDrain = bodyLength !== 0;
    this.#isContinueDue = this.expectsContinue;
  }

  // ---- the application's side ----------------------------------------------------------------------------------------------------

  get hasResponded(): boolean {
    return this.status !== 0;
  }
  get writePendingMs(): number {
    return this.#writePendingMs + (this.#fullSince < 0 ? 0 : this.#environment.now() - this.#fullSince);
  }

  pauseRequest(): void {
    if (!this.isClosed) this.#isRequestPaused = true;
  }

  resumeRequest(): void {
    if (!this.#isRequestPaused || this.isClosed) return;
    this.#isRequestPaused = false;
    this.#schedule();
  }

  sendInterim(head: ResponseHead): void {
    if (this.isClosed) return;
    if (!(head.status >= 100 && head.status <= 199) || head.status === 101) throw new RangeError(`not an interim status: ${head.status}`);
    this.#requireNoResponse();
    if (this.request.version === HttpVersion.http10) return;
    const isDue = head.status === 100 && this.#isContinueDue;
    if (!isDue && (this.#timeouts?.settings.dropInterim === true || this.#interimsSent >= MAX_INTERIM_RESPONSES)) return;
    this.#response.interim(receivedHead(head));
    if (isDue) this.#isContinueDue = false;
    else this.#interimsSent++;
    this.#schedule();
  }

  sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.isClosed) return;
    const { status } = head;
    this.#requireNoResponse();
    if (status === 101) throw new TypeError('101 would make a tunnel, and a subrequest has none');
    if (status < 200) throw new RangeError(`not a final status: ${status}`);
    if (!Number.isSafeInteger(bodyLength) || bodyLength < BodyLength.untilClose)
      throw new RangeError(`not the length of a body: ${bodyLength}`);
    const length = bodyLength < 0 ? BodyLength.chunked : bodyLength;
    const isBodyless = this.request.method === 'HEAD' || status === 204 || status === 304;
    const received = receivedFinalHead(head, { bodyLength: length, isBodyless, date: this.#environment.date() });
    this.#response.head(received, isBodyless ? 0 : length);
    this.#isBodyless = isBodyless;
    this.#responseLeft = length;
    this.status = status;
    this.#schedule();
  }

  sendData(chunk: Uint8Array): boolean {
    if (this.isClosed) return false;
    this.#requireResponse();
    if (this.#isBodyless) return true;
    const { body } = this.#response;
    const { length } = chunk;
    if (length === 0) return !body.isFull;
    if (this.#responseLeft >= 0) {
      if (length > this.#responseLeft) this.#breakOff(`body is longer than announced: ${length - this.#responseLeft} bytes too many`);
      this.#responseLeft -= length;
    }
    if (body.isOverflowing) {
      this.abort(heldTooMuch('response'));
      return false;
    }
    this.responseBytes += length;
    this.#schedule();
    if (body.push(chunk)) return true;
    if (this.#fullSince < 0) this.#fullSince = this.#environment.now();
    return false;
  }

  sendEnd(trailers: HeaderMap | null = null): void {
    if (this.isClosed) return;
    this.#requireResponse();
    if (this.#responseLeft > 0 && !this.#isBodyless) this.#breakOff(`body is shorter than announced: ${this.#responseLeft} bytes missing`);
    this.#response.end(this.#isBodyless ? null : receivedTrailers(trailers), null);
    this.#close(null);
    this.#tellClose();
  }

  /** @throws {TypeError} always: there is no connection to hand over */
  openTunnel(_head: ResponseHead): Tunnel {
    throw new TypeError('a subrequest has no connection that could become a tunnel');
  }

  /** Does nothing, as there is no tunnel. */
  closeTunnel(_error: WireError | null): void {}

  /** Of what may be adjusted, this is what there is here: `bodyTimeoutMs`, `writeTimeoutMs`, `minSendBytesPerSecond` and `dropInterim`. */
  adjust(settings: ExchangeSettings): void {
    const timeouts = this.#timeouts ?? new ExchangeTimeouts();
    timeouts.adjust(settings);
    if (this.isClosed) return;
    this.#timeouts = timeouts;
    this.#schedule();
  }

  /**
   * Ends the exchange: with the status of `error` if no response has begun, which is a whole response then; else the sink is told that it was cut, and by a status of 0
   * that there is none. The sink hears `error` in all three cases.
   */
  abort(error: WireError): void {
    if (this.isClosed) return;
    const { status } = error;
    if (this.hasResponded) this.#response.cut(error);
    else if (Number.isInteger(status) && status >= 400 && status <= 599) this.#refuse(error);
    else this.#response.cut(noResponse(error));
    this.#close(error);
    this.#tellClose();
  }

  #refuse(error: WireError): void {
    const body = refusalBody(error.status);
    const isBodyless = this.request.method === 'HEAD';
    const framing = { bodyLength: body.length, isBodyless, date: this.#environment.date() };
    this.#response.head(receivedFinalHead(refusalHead(error.status), framing), isBodyless ? 0 : body.length);
    if (!isBodyless) this.#response.body.push(body);
    this.#response.end(null, error);
    this.status = error.status;
  }

  #requireNoResponse(): void {
    if (this.hasResponded) throw new TypeError('the response to this request has begun');
  }

  #requireResponse(): void {
    if (!this.hasResponded) throw new TypeError('no response is open');
  }

  /** Whether or not its caller looks at the throw: nobody must take the body for whole. */
  #breakOff(message: string): never {
    const thrown = new RangeError(message);
    this.abort(bodyLengthWrong(thrown));
    throw thrown;
  }

  // ---- the maker's side ----------------------------------------------------------------------------------------------------------

  /**
   * Takes a piece of the request's body, which then belongs to the exchange.
   *
   * @returns false: wait until `takeRequestDrain`; also when nobody wants it any more
   * @throws {RangeError} when it is more than the length announced: nothing of it is taken, and the exchange ends with `BODY_LENGTH_WRONG`
   */
  feed(chunk: Uint8Array): boolean {
    if (this.isClosed) return false;
    const { length } = chunk;
    if (length === 0) return !this.#body.isFull;
    if (this.#bodyLeft >= 0) {
      if (length > this.#bodyLeft) throw new RangeError(`body is longer than announced: ${length - this.#bodyLeft} bytes too many`);
      this.#bodyLeft -= length;
    }
    if (this.#isRequestEnded) return false;
    if (this.#body.push(chunk)) {
      this.#schedule();
      return true;
    }
    this.#owesRequestDrain = true;
    this.#schedule();
    return false;
  }

  /** So much of the request waits that its maker cannot have looked at what `feed` returned. */
  get isOverfed(): boolean {
    return this.#body.isOverflowing;
  }

  /** The request is whole. @throws {RangeError} when bytes of the length announced are missing */
  feedEnd(trailers: HeaderMap | null): void {
    if (this.isClosed || this.#isRequestEnded) return;
    if (this.#bodyLeft > 0) throw new RangeError(`body is shorter than announced: ${this.#bodyLeft} bytes missing`);
    this.#isRequestEnded = true;
    this.#requestTrailers = receivedTrailers(trailers);
    this.#schedule();
  }

  /** @returns true once, when the application wants the body, or more of it */
  takeRequestDrain(): boolean {
    if (!this.#owesRequestDrain || !this.#wantsBody()) return false;
    if (this.#body.isFull && !this.#body.takeDrain()) return false;
    this.#owesRequestDrain = false;
    return true;
  }

  #wantsBody(): boolean {
    return this.#handler !== null && !this.isClosed && !this.#isRequestPaused && !this.#isRequestEnded;
  }

  /** Whoever made the request has gone: the application hears of it in the next turn. */
  lose(error: WireError): void {
    this.#close(error);
    this.#schedule();
  }

  // ---- turns ---------------------------------------------------------------------------------------------------------------------

  /** Tells the application what is new of the request, and of its end. */
  runRequest(): void {
    this.#begin();
    this.#deliver();
    if (this.isClosed) this.#tellClose();
  }

  /** Tells the application that it may go on, once the sink has taken enough. */
  runResponse(): void {
    const { body } = this.#response;
    if (body.takeDrain()) {
      this.#endWait();
      this.#tellDrain();
    }
    if (this.#timeouts !== null && !this.isClosed) this.#watch(this.#timeouts);
  }

  #begin(): void {
    if (this.#hasBegun || this.isClosed) return;
    this.#hasBegun = true;
    this.#handler = callApplication(this.#application, this);
  }

  #tellDrain(): void {
    const handler = this.#handler;
    if (handler === null || this.isClosed) return;
    try {
      watchHandler(this, handler.onResponseDrain());
    } catch (thrown) {
      endByThrow(this, thrown);
    }
  }

  #deliver(): void {
    const handler = this.#handler;
    if (handler === null) return;
    // No more than is there now: what comes meanwhile is for the next turn.
    for (let count = this.#body.chunkCount; count > 0 && !this.isClosed && !this.#isRequestPaused; count--) {
      const chunk = this.#body.take();
      if (chunk === undefined) break;
      this.#isContinueDue = false;
      this.requestBytes += chunk.length;
      this.#tellData(handler, chunk);
    }
    if (!this.#isRequestEnded || this.#isRequestEndTold || this.isClosed || this.#isRequestPaused || this.#body.chunkCount > 0) return;
    this.#isRequestEndTold = true;
    try {
      watchHandler(this, handler.onRequestEnd(this.#requestTrailers));
    } catch (thrown) {
      endByThrow(this, thrown);
    }
  }

  #tellData(handler: ServerExchangeHandler, chunk: Uint8Array): void {
    try {
      watchHandler(this, handler.onRequestData(chunk));
    } catch (thrown) {
      endByThrow(this, thrown);
    }
  }

  #close(error: WireError | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#closeError = error;
    this.#body.clear();
    this.#endWait();
    this.#deadline?.cancel();
    this.#schedule();
  }

  #endWait(): void {
    if (this.#fullSince < 0) return;
    this.#writePendingMs += this.#environment.now() - this.#fullSince;
    this.#fullSince = -1;
  }

  /** An application may have answered before it returned a handler: that hears of the end then. */
  #tellClose(): void {
    const handler = this.#handler;
    if (handler === null || this.#isCloseTold) return;
    this.#isCloseTold = true;
    callUser(() => handler.onExchangeClose(this.#closeError));
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------------

  #watch(timeouts: ExchangeTimeouts): void {
    const { body } = this.#response;
    const now = this.#environment.recentNow;
    const waiting = { forBody: this.#wantsBody() && this.#body.chunkCount === 0, fullBytes: body.isFull ? body.byteLength : 0 };
    const toldBytes = this.responseBytes - body.byteLength;
    const moved = { request: this.requestBytes !== this.#notedRequestBytes, response: toldBytes !== this.#notedResponseBytes };
    this.#notedRequestBytes = this.requestBytes;
    this.#notedResponseBytes = toldBytes;
    timeouts.note(waiting, moved, now);
    const next = Math.min(timeouts.bodyDueAt, timeouts.writeDueAt);
    if (next === Number.POSITIVE_INFINITY) {
      this.#deadline?.cancel();
      return;
    }
    const { deadlines } = this.#environment;
    this.#deadline ??= deadlines.deadline(() => this.#onDeadline(timeouts));
    this.#deadline.arm(Math.min(Math.max(0, next - now), deadlines.maxDelayMs));
  }

  #onDeadline(timeouts: ExchangeTimeouts): void {
    const now = this.#environment.now();
    if (now >= timeouts.bodyDueAt) this.abort(bodyStalled());
    else if (now >= timeouts.writeDueAt) this.#giveUp(sinkStalled());
    else this.#watch(timeouts);
  }

  /** Nothing more can be told to the sink but that. */
  #giveUp(error: WireError): void {
    this.#response.cut(error);
    this.#close(error);
    this.#tellClose();
  }
}

/** What an exchange knows of being a subrequest; null: it is a client's. */
export function subrequestOf(exchange: ServerExchange): SubrequestFacts | null {
  return exchange instanceof SubrequestExchange ? exchange : null;
}
