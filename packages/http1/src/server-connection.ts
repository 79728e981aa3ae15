/**
 * One HTTP/1 connection in the server's role, without I/O: bytes and time go in, events come out; commands go in, bytes come out.
 *
 * Rules of this file:
 * - One exchange at a time (RFC 9112 §9.3.2): the next request is not looked at before the current one is read whole and answered whole, so
 *   answers leave in the order of the requests and a peer that pipelines only fills the buffer, which the caller bounds.
 * - Bytes of one request are never read as another: what remains of an unread body is drained if it is known to be no more than `maxDrainBytes`,
 *   else the connection ends with the answer, which says so.
 * - After the decision to close, and after an error, nothing that the peer sends is looked at (RFC 9112 §9.6).
 * - The end of the peer's side is no wish to hear nothing: all requests that came before it are answered (half-close).
 *
 * ```text
 *  request side    waiting ──► body ──► done ─┐   both done, persistent: back to waiting
 *                                             ├─► both done, not persistent: `shouldClose`
 *  response side   waiting ──► body ──► done ─┘
 *                    └─ 1xx ─┘  101, or 2xx to CONNECT: `tunnel`, the machine is finished
 * ```
 *
 * @see RFC 9112 §6, §9 · RFC 9110 §6.6, §10.1.1, §15.2 · RFC 9931
 */
import { ByteWriter } from '@ferrata/bytes';
import { timeoutError, toWireError, type WireError } from '@ferrata/error';
import { type HeaderMap, HttpVersion, KnownHeader, type RequestHead, type ResponseHead } from '@ferrata/headers';
import {
  type ResolvedServerConnectionOptions,
  resolveServerConnectionOptions,
  type ServerConnectionOptions,
  type ServerExchangeBounds,
} from './connection-options.ts';
import { BodyPace, slowBody } from './internal/body-pace.ts';
import { BodyWriter } from './internal/body-writer.ts';
import { hasConnectionOption } from './internal/connection-option.ts';
import { OutputQueue } from './internal/output-queue.ts';
import { formatRefusal } from './internal/refusal.ts';
import { checkSwitch } from './internal/upgrade.ts';
import { BodyLength, MessageEvent } from './message-event.ts';
import { formatResponseHead } from './message-writer.ts';
import { RequestDecoder } from './request-decoder.ts';

const Side = { waiting: 0, body: 1, done: 2, tunnel: 3 } as const;
type Side = (typeof Side)[keyof typeof Side];

/** The server's end of one HTTP/1 connection. */
export class ServerConnection {
  readonly #options: ResolvedServerConnectionOptions;
  readonly #decoder: RequestDecoder;
  readonly #output: OutputQueue;
  readonly #body: BodyWriter;
  #request: Side = Side.waiting;
  #response: Side = Side.waiting;
  /** The connection may carry another request after this one. */
  #isPersistent = true;
  #isClosing = false;
  #isDraining = false;
  #isReadingPaused = false;
  #isHeld = false;
  #hasEnded = false;
  #answered = 0;
  #isHeadRequest = false;
  #error: WireError | null = null;
  #interimSent = 0;
  /** The client waits for 100 (Continue), as far as is known: it was not sent, and no byte of the body has come. */
  #isContinueDue = false;
  // Times, in milliseconds of the caller's clock.
  #waitingSince: number;
  #headSince = -1;
  readonly #pace = new BodyPace();
  /** What holds for the exchange at hand: the options, unless `setBounds` was called. */
  #bounds: ServerExchangeBounds;
  #idleTimeoutMs: number;

  /**
   * @param now time of accepting the connection
   * @param writer a writer that joins output; pass one for all connections of a thread to spare memory
   */
  constructor(now: number, options: ServerConnectionOptions | ResolvedServerConnectionOptions = {}, writer: ByteWriter = new ByteWriter()) {
    this.#options = resolveServerConnectionOptions(options);
    this.#bounds = this.#options;
    this.#idleTimeoutMs = this.#options.idleTimeoutMs;
    this.#decoder = new RequestDecoder(this.#options.decoder);
    this.#output = new OutputQueue(writer);
    this.#body = new BodyWriter(this.#output);
    this.#waitingSince = now;
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What `nextEvent` found: `head` a request, `data` a piece of its body, `end` its end. */
  get event(): MessageEvent {
    return this.#decoder.event;
  }
  /** The request of the exchange at hand. */
  get request(): RequestHead {
    return this.#decoder.head;
  }
  /** Length of the request's body; `BodyLength.chunked` if only its end will tell. */
  get requestBodyLength(): number {
    return this.#decoder.bodyLength;
  }
  get requestHeadBytes(): number {
    return this.#decoder.headBytes;
  }
  /** A piece of the body, valid after a `data` event; a view of a chunk given to `receive`. */
  get data(): Uint8Array {
    return this.#decoder.data;
  }
  /** Trailer fields, valid after an `end` event. */
  get trailers(): HeaderMap | null {
    return this.#decoder.trailers;
  }
  /** The protocols the request asks to switch to, or null (RFC 9110 §7.8). */
  get upgrade(): string | null {
    return this.#decoder.upgrade;
  }
  /** The client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1). */
  get expectsContinue(): boolean {
    return this.#decoder.expectsContinue;
  }
  /** Between two exchanges, with nothing of the next request read yet, and not held. */
  get isIdle(): boolean {
    return this.#request === Side.waiting && this.#headSince < 0 && !this.#isClosing && !this.#isHeld;
  }
  /** A request has been read whole. */
  get isRequestDone(): boolean {
    return this.#request === Side.done;
  }
  /** A response has begun: an error can no longer be told by a status. */
  get hasResponded(): boolean {
    return this.#response !== Side.waiting;
  }
  /** All is said: write what `takeOutput` gives, then end the stream. */
  get shouldClose(): boolean {
    return this.#isClosing;
  }
  /** The response goes on to the end of the connection: an orderly close would make a cut one look complete. */
  get isCloseDelimited(): boolean {
    return this.#body.isCloseDelimited;
  }
  /** Bytes received and not looked at. */
  get bufferedBytes(): number {
    return this.#decoder.bufferedBytes;
  }
  /** Bytes that wait to be taken. */
  get outputBytes(): number {
    return this.#output.byteLength;
  }
  /** Requests answered so far. */
  get answeredCount(): number {
    return this.#answered;
  }
  /** The connection can take another request, if not at once then when what runs is over. */
  get isReusable(): boolean {
    if (this.#isClosing || this.#error !== null || this.#request === Side.tunnel || this.#bounds.isLast === true) return false;
    return !this.#hasEnded || this.#decoder.bufferedBytes > 0;
  }
  /** The request at hand is answered whole, and what is left of it is read and thrown away. */
  get isDrainingRest(): boolean {
    return this.#request === Side.body && this.#response === Side.done && !this.#isClosing;
  }
  /** The connection will carry another request after this one, as far as is known now. */
  get isPersistent(): boolean {
    return this.#isPersistent;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  /** Takes bytes of the peer; the chunk belongs to the machine from now on. */
  receive(chunk: Uint8Array, now: number): void {
    if (this.#isClosing || this.#error !== null) return;
    if (this.#request === Side.waiting) {
      if (this.#headSince < 0) this.#headSince = now;
    } else if (this.#request === Side.body) {
      this.#pace.lastAt = now;
    }
    this.#decoder.feed(chunk);
  }

  /** The peer has ended its side. What it has sent whole is still answered (half-close), pipelined requests too. */
  receiveEnd(): void {
    this.#hasEnded = true;
    if (!this.#isClosing) this.#decoder.end();
  }

  /**
   * The caller has stopped (`true`) or again begun (`false`) to want the body: while it is stopped, no body time-out runs.
   */
  setReadingPaused(paused: boolean, now: number): void {
    if (this.#isReadingPaused === paused) return;
    this.#isReadingPaused = paused;
    if (!paused) this.#pace.resume(now);
  }

  /**
   * Holds back (`true`), or again allows (`false`), the beginning of the next exchange, while the one at hand goes on. For a caller whose peer
   * sends requests but reads no answers: each further answer would only be stored. No time-out runs between two requests meanwhile.
   */
  setHeld(held: boolean, now: number): void {
    if (this.#isHeld === held) return;
    this.#isHeld = held;
    if (held || this.#request !== Side.waiting) return;
    this.#waitingSince = now;
    if (this.#headSince >= 0) this.#headSince = now;
  }

  /** Bounds of the exchange at hand in place of the options; what is not named stays. The next request has those of the options again. */
  setBounds(bounds: Partial<ServerExchangeBounds>): void {
    this.#bounds = { ...this.#bounds, ...bounds };
  }

  /** How long the connection may be idle from now on, behind every request; `Infinity`: for ever. The time for its first byte stays. */
  setIdleTimeout(idleTimeoutMs: number): void {
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** No further request after this one; an idle connection stays open until the caller closes it. */
  drain(): void {
    this.#isDraining = true;
  }

  /** When to call `handleTimeout` next; `Infinity` if nothing is waited for. */
  nextTimeout(): number {
    const options = this.#options;
    if (this.#isClosing || this.#error !== null) return Number.POSITIVE_INFINITY;
    if (this.#request === Side.waiting) {
      if (this.#isHeld) return Number.POSITIVE_INFINITY;
      if (this.#headSince >= 0) return this.#headSince + options.headTimeoutMs;
      return this.#waitingSince + (this.#answered === 0 ? options.firstByteTimeoutMs : this.#idleTimeoutMs);
    }
    if (this.#request !== Side.body || this.#isReadingPaused) return Number.POSITIVE_INFINITY;
    // Who was told to wait for 100 (Continue) is not slow; yet it does not wait for ever, lest two sides that wait for each other do.
    return this.#pace.dueAt(this.#bounds.bodyTimeoutMs, options, !this.#isContinueDue);
  }

  /**
   * Does what is due.
   * @returns the error that ended the connection, or null: nothing was due, or an idle connection came to its end in order
   */
  handleTimeout(now: number): WireError | null {
    if (now < this.nextTimeout()) return null;
    if (this.#request === Side.waiting) {
      if (this.#headSince < 0) {
        this.#isClosing = true;
        return null;
      }
      return this.#fail(timeoutError('H1_HEAD_TIMEOUT', 'the request head took too long', { wire: { status: 408 } }));
    }
    const isStalled = this.#isContinueDue || now >= this.#pace.stallsAt(this.#bounds.bodyTimeoutMs);
    return this.#fail(slowBody(isStalled));
  }

  // ---- events ------------------------------------------------------------------------------------------------------------------

  /**
   * Moves on to the next event; false if more bytes, or the end of the response, are needed first.
   *
   * @throws {WireError} when the peer broke a rule or a limit; the first one is final and thrown again by every later call. Answer it with `refuse`.
   */
  nextEvent(now: number): boolean {
    if (this.#error !== null) throw this.#error;
    for (;;) {
      if (this.#isClosing || this.#request === Side.tunnel) return false;
      if (this.#request === Side.done && !this.#beginNext(now)) return false;
      if (this.#isHeld && this.#request === Side.waiting) return false;
      let found: boolean;
      try {
        found = this.#decoder.next();
      } catch (error) {
        throw this.#fail(toWireError(error));
      }
      if (!found) {
        if (this.#hasEnded && this.#request === Side.waiting) this.#isClosing = true;
        if (this.#request === Side.waiting && this.#decoder.bufferedBytes === 0) this.#headSince = -1;
        return false;
      }
      if (this.#advance(now)) return true;
    }
  }

  #advance(now: number): boolean {
    const decoder = this.#decoder;
    switch (decoder.event) {
      case MessageEvent.head:
        this.#request = Side.body;
        this.#isHeadRequest = decoder.head.method === 'HEAD';
        this.#isPersistent = decoder.keepAlive;
        this.#isContinueDue = decoder.expectsContinue;
        this.#pace.begin(now);
        this.#bounds = this.#options;
        return true;
      case MessageEvent.data:
        if (this.#isContinueDue) this.#beginBody(now);
        this.#pace.move(decoder.data.length, now);
        // After the answer nobody wants it any more; `#canReadOn` has seen to it that there is little.
        return this.#response !== Side.done;
      case MessageEvent.end:
        this.#request = Side.done;
        if (this.#response === Side.done && !this.#canReadOn()) this.#isClosing = true;
        return this.#response !== Side.done;
      default:
        return false;
    }
  }

  /** The client has no more reason to hold its body back: the clock of its rate begins. */
  #beginBody(now: number): void {
    this.#isContinueDue = false;
    this.#pace.restart(now);
  }

  /** Between exchanges. @returns true if the next head may be looked at */
  #beginNext(now: number): boolean {
    if (this.#response !== Side.done) return false;
    this.#request = Side.waiting;
    this.#response = Side.waiting;
    this.#interimSent = 0;
    this.#waitingSince = now;
    this.#headSince = this.#decoder.bufferedBytes > 0 ? now : -1;
    return true;
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /**
   * Sends an interim response, 100 to 199 but 101 (RFC 9110 §15.2). Dropped for HTTP/1.0 clients, which know none, and past
   * `maxInterimResponses`; the 100 that a client waits for is neither counted nor dropped.
   *
   * @throws {TypeError} when no request is at hand, or its response has begun
   * @throws {RangeError} when the status is not an interim one
   */
  sendInterim(head: ResponseHead, now: number): void {
    if (!(head.status >= 100 && head.status <= 199) || head.status === 101) throw new RangeError(`not an interim status: ${head.status}`);
    this.#requireAnswerDue();
    if (this.request.version === HttpVersion.http10) return;
    const isDue = head.status === 100 && this.#isContinueDue;
    if (!isDue && this.#interimSent >= this.#bounds.maxInterimResponses) return;
    this.#output.pushText(formatResponseHead(head, { bodyLength: 0, isBodyless: true, connection: '' }));
    // Only now: a client that was not told to go on may leave its body out, and the next request would be read as that body.
    if (isDue) this.#beginBody(now);
    else this.#interimSent++;
  }

  /**
   * Begins the response.
   *
   * Framing and connection fields of `head` are not sent as given: the machine writes those that are true. A response that may have no body
   * (to HEAD, 204, 304) keeps its Content-Length where RFC 9110 §8.6 allows one, and `sendData` is then ignored. `Connection: close` in `head`
   * is a wish, and is granted: the connection ends after this response.
   *
   * @param bodyLength ≥ 0, or `BodyLength.chunked` if unknown (to HTTP/1.0: until close)
   * @param date value of Date for a head without one
   * @throws {TypeError} when a response has begun already, or none is due; for 101 and 2xx to CONNECT, which are for `sendTunnelHead`
   * @throws {RangeError} when the status is not a final one, or `bodyLength` is no length
   */
  sendHead(head: ResponseHead, bodyLength: number, date = ''): void {
    this.#requireAnswerDue();
    const { status } = head;
    if (this.#isTunnelStatus(status)) throw new TypeError(`${status} would make a tunnel: use sendTunnelHead`);
    if (status < 200) throw new RangeError(`not a final status: ${status}`);
    if (!Number.isSafeInteger(bodyLength) || bodyLength < BodyLength.untilClose)
      throw new RangeError(`not the length of a body: ${bodyLength}`);
    const isBodyless = this.#isHeadRequest || status === 204 || status === 304;
    const isHttp10 = this.request.version === HttpVersion.http10;
    let framing = bodyLength;
    if (framing < 0) framing = isHttp10 ? BodyLength.untilClose : BodyLength.chunked;
    const isPersistent = this.#isPersistent && this.#staysPersistent(head, framing === BodyLength.untilClose && !isBodyless);
    let connection = '';
    if (!isPersistent) connection = 'close';
    else if (isHttp10 || this.#options.sayKeepAlive) connection = 'keep-alive';
    // First what may throw for a wrong head, then what changes the state: the caller may still answer with another one.
    this.#output.pushText(formatResponseHead(head, { bodyLength: framing, isBodyless, connection, date }));
    this.#isPersistent = isPersistent;
    this.#response = Side.body;
    this.#body.begin(framing, { isBodyless });
  }

  /**
   * Answers 101, or 2xx to CONNECT: no HTTP follows, the machine is finished, and `takeRemaining` has what the client sent beyond its request.
   *
   * @param date value of Date for a head without one
   * @throws {TypeError} when a response has begun already, none is due, or the status makes no tunnel; for 101 also when none was asked for, or
   *   its Upgrade does not name a protocol, or one that was not offered (RFC 9110 §7.8)
   */
  sendTunnelHead(head: ResponseHead, date = ''): void {
    this.#requireAnswerDue();
    const { status } = head;
    if (!this.#isTunnelStatus(status)) throw new TypeError(`${status} to ${this.request.method} makes no tunnel`);
    if (status === 101) checkSwitch(head.headers, this.upgrade);
    this.#output.pushText(formatResponseHead(head, { bodyLength: 0, isTunnel: true, connection: status === 101 ? 'upgrade' : '', date }));
    this.#response = Side.tunnel;
    this.#request = Side.tunnel;
    this.#isPersistent = false;
  }

  /**
   * Sends a piece of the body; the chunk belongs to the machine from now on.
   * @returns false: dropped, as this response has no body (RFC 9110 §6.4.1)
   * @throws {RangeError} when it is more than the length announced; nothing of it is sent, and the response is abandoned
   */
  sendData(chunk: Uint8Array): boolean {
    if (this.#response !== Side.body) throw new TypeError('no response is open');
    try {
      return this.#body.write(chunk);
    } catch (thrown) {
      this.abandon();
      throw thrown;
    }
  }

  /**
   * Ends the response.
   * @param trailers sent if the body is chunked, else dropped
   * @throws {RangeError} when less was sent than the length announced; the response is abandoned
   */
  sendEnd(trailers: HeaderMap | null = null): void {
    if (this.#response !== Side.body) throw new TypeError('no response is open');
    try {
      this.#body.end(trailers);
    } catch (thrown) {
      this.abandon();
      throw thrown;
    }
    this.#response = Side.done;
    this.#answered++;
    // What was said of the connection with the head may have been taken back since.
    if (!this.#isPersistent || this.#bounds.isLast === true || !this.#canReadOn()) this.#isClosing = true;
  }

  /**
   * Answers an error with its status if no response has begun, and closes: nothing that follows is to be trusted.
   * @param date value of Date
   * @returns the status sent, 0 if none was
   * @throws {TypeError} when `date` is no field value
   */
  refuse(error: WireError, date: string): number {
    const { status } = error;
    const canAnswer = this.#response === Side.waiting && Number.isInteger(status) && status >= 400 && status <= 599;
    if (canAnswer) this.#output.pushText(formatRefusal(status, date, this.#isHeadRequest && this.#request !== Side.waiting));
    this.abandon();
    return canAnswer ? status : 0;
  }

  /** Gives up a response that cannot be completed: nothing more is said or looked at, so that the peer sees it cut short. */
  abandon(): void {
    this.#isPersistent = false;
    this.#isClosing = true;
    this.#response = Side.done;
  }

  #requireAnswerDue(): void {
    if (this.#request === Side.waiting) throw new TypeError('no request to answer');
    if (this.#response !== Side.waiting) throw new TypeError('the response to this request has begun');
  }

  #isTunnelStatus(status: number): boolean {
    return status === 101 || (status >= 200 && status < 300 && this.#decoder.isConnect);
  }

  /** The first error is final. @returns it */
  #fail(error: WireError): WireError {
    this.#error ??= error;
    this.#isPersistent = false;
    this.#decoder.fail(this.#error);
    return this.#error;
  }

  /** Whether the connection can go on after a response with this head. */
  #staysPersistent(head: ResponseHead, isCloseDelimited: boolean): boolean {
    if (isCloseDelimited || this.#isDraining || this.#bounds.isLast === true || this.#answered + 1 >= this.#options.maxRequests)
      return false;
    // RFC 9931: a client may send what it means for the tunnel before it knows that there is none. It must not be read as a request.
    if (this.#decoder.isConnect) return false;
    if (head.headers.hasKnown(KnownHeader.connection) && hasConnectionOption(head.headers, 'close')) return false;
    // After the peer's end only what is buffered can follow.
    if (this.#hasEnded && this.#decoder.bufferedBytes === 0) return false;
    return this.#canReadOn();
  }

  /** Whether what is left of the request's body is small enough to be read and thrown away, and what came behind a whole one may be read. */
  #canReadOn(): boolean {
    if (this.#request === Side.done) return this.#options.allowPipelining || this.#decoder.bufferedBytes === 0;
    // A client that waits for 100 (Continue) may send its body or the next request after a final status: only closing is unambiguous.
    if (this.#isContinueDue) return false;
    const length = this.requestBodyLength;
    // Of an unknown rest it can only be hoped that it is short: a client that hears of no close sends its next request behind it, and loses it.
    return length >= 0 && length - this.#pace.bytes <= this.#bounds.maxDrainBytes;
  }

  // ---- outputs -----------------------------------------------------------------------------------------------------------------

  /** Moves out all bytes to be written, in order. */
  takeOutput(): Uint8Array[] {
    return this.#output.take();
  }

  /** After a switch of protocols: bytes that were read beyond the request. The machine is finished. */
  takeRemaining(): Uint8Array {
    return this.#decoder.takeRemaining();
  }
}
