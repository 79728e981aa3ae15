/**
 * One HTTP/1 connection in the client's role, without I/O: requests and bytes go in, responses and bytes come out.
 *
 * Rules of this file:
 * - One exchange at a time: a proxy that pipelines upstream cannot retry what it lost, and one slow answer holds all behind it.
 * - The connection may be used again only after both messages were whole, in order, and nothing followed them (RFC 9112 §9.3). Bytes that come
 *   when no answer is due make it dirty for ever: they could be read as the answer to somebody else's request.
 *
 * ```text
 *   idle ── sendHead ──► busy ── response done, request done, persistent ──► idle
 *                         │  └── 101 that was asked for, or 2xx to CONNECT ──► tunnel
 *                         └───── anything else ──► finished (`isReusable` false)
 * ```
 *
 * @see RFC 9112 §9 · RFC 9110 §15.2
 */
import { ByteWriter } from '@ferrata/bytes';
import { internalError, protocolError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import { type HeaderMap, KnownHeader, listHas, parseList, type RequestHead, type ResponseHead } from '@ferrata/headers';
import {
  type ClientConnectionOptions,
  type ResolvedClientConnectionOptions,
  resolveClientConnectionOptions,
} from './connection-options.ts';
import { BodyWriter } from './internal/body-writer.ts';
import { hasConnectionOption } from './internal/connection-option.ts';
import { OutputQueue } from './internal/output-queue.ts';
import { MessageEvent } from './message-event.ts';
import { formatRequestHead } from './message-writer.ts';
import { targetForm } from './request-target.ts';
import { ResponseDecoder } from './response-decoder.ts';

const Phase = { idle: 0, busy: 1, tunnel: 2, finished: 3 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** The client's end of one HTTP/1 connection. */
export class ClientConnection {
  readonly #options: ResolvedClientConnectionOptions;
  readonly #decoder: ResponseDecoder;
  readonly #output: OutputQueue;
  readonly #body: BodyWriter;
  #phase: Phase = Phase.idle;
  #isRequestDone = true;
  #isResponseDone = true;
  /** The body came out longer or shorter than announced. */
  #isBrokenOff = false;
  #hasResponded = false;
  #hasFinalHead = false;
  #isPersistent = true;
  #isReadingPaused = false;
  /** The protocols that the request at hand asks a switch to. */
  #upgrade: string | null = null;
  #requests = 0;
  #interimReceived = 0;
  #keepAliveTimeoutMs = Number.POSITIVE_INFINITY;
  #error: WireError | null = null;
  /** When the last thing happened that the running time-out counts from. */
  #lastProgressAt: number;

  constructor(now: number, options: ClientConnectionOptions | ResolvedClientConnectionOptions = {}, writer: ByteWriter = new ByteWriter()) {
    this.#options = resolveClientConnectionOptions(options);
    this.#decoder = new ResponseDecoder(this.#options.decoder);
    this.#output = new OutputQueue(writer);
    this.#body = new BodyWriter(this.#output);
    this.#lastProgressAt = now;
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What `nextEvent` found: `head` a response (final or interim), `data` a piece of its body, `end` its end. */
  get event(): MessageEvent {
    return this.#decoder.event;
  }
  get response(): ResponseHead {
    return this.#decoder.head;
  }
  /** The response at hand is interim (1xx but 101): another one follows. */
  get isInterim(): boolean {
    return this.#decoder.isInterim;
  }
  /** The response at hand made the connection a tunnel: take the rest with `takeRemaining`. */
  get isTunnel(): boolean {
    return this.#phase === Phase.tunnel;
  }
  /** Length of the response's body; a `BodyLength` if it is not known. */
  get responseBodyLength(): number {
    return this.#decoder.bodyLength;
  }
  get data(): Uint8Array {
    return this.#decoder.data;
  }
  get trailers(): HeaderMap | null {
    return this.#decoder.trailers;
  }
  /** No exchange is running, and another may begin. */
  get isReusable(): boolean {
    // Bytes that nobody asked for would be read as the answer to the next request.
    return this.#phase === Phase.idle && this.#error === null && this.#decoder.bufferedBytes === 0;
  }
  get isBusy(): boolean {
    return this.#phase === Phase.busy;
  }
  get isRequestDone(): boolean {
    return this.#isRequestDone;
  }
  /** A byte of the response at hand has come: the request must have been read, so it may not be sent again blindly. */
  get hasResponded(): boolean {
    return this.#hasResponded;
  }
  get bufferedBytes(): number {
    return this.#decoder.bufferedBytes;
  }
  get outputBytes(): number {
    return this.#output.byteLength;
  }
  /** What the server's `Keep-Alive: timeout=n` promises, in milliseconds; `Infinity` if it says nothing (RFC 2068 §19.7.1). */
  get keepAliveTimeoutMs(): number {
    return this.#keepAliveTimeoutMs;
  }
  /** Exchanges begun on this connection. */
  get requestCount(): number {
    return this.#requests;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  receive(chunk: Uint8Array, now: number): void {
    this.#lastProgressAt = now;
    if (this.#phase === Phase.busy) this.#hasResponded = true;
    this.#decoder.feed(chunk);
  }

  /** The peer has ended its side: completes a close-delimited body, is an error elsewhere (thrown by `nextEvent`). */
  receiveEnd(): void {
    this.#isPersistent = false;
    if (this.#phase === Phase.idle) this.#phase = Phase.finished;
    this.#decoder.end();
  }

  /** While the caller wants no data, no read time-out runs. */
  setReadingPaused(paused: boolean, now: number): void {
    if (this.#isReadingPaused && !paused) this.#lastProgressAt = now;
    this.#isReadingPaused = paused;
  }

  nextTimeout(): number {
    if (this.#phase !== Phase.busy || this.#isResponseDone || this.#isReadingPaused) return Number.POSITIVE_INFINITY;
    if (this.#hasFinalHead) return this.#lastProgressAt + this.#options.readTimeoutMs;
    // Until the request is out, its own slowness is the client's: the write side has its own time-out.
    return this.#isRequestDone ? this.#lastProgressAt + this.#options.firstByteTimeoutMs : Number.POSITIVE_INFINITY;
  }

  /** @returns the error that is due at `now`, or null */
  handleTimeout(now: number): WireError | null {
    if (now < this.nextTimeout()) return null;
    const error = this.#hasFinalHead
      ? timeoutError('H1_READ_TIMEOUT', 'the response stalled')
      : timeoutError('H1_FIRST_BYTE_TIMEOUT', 'no response in time');
    return this.#fail(error);
  }

  // ---- events ------------------------------------------------------------------------------------------------------------------

  /**
   * Moves on to the next event; false if more bytes are needed.
   * @throws {WireError} when the peer broke a rule or a limit; final
   */
  nextEvent(): boolean {
    if (this.#error !== null) throw this.#error;
    if (this.#phase === Phase.tunnel) return false;
    let found: boolean;
    try {
      found = this.#decoder.next();
      if (found && this.#decoder.event === MessageEvent.head) this.#acceptHead();
    } catch (error) {
      throw this.#fail(toWireError(error));
    }
    if (found && this.#decoder.event === MessageEvent.end) this.#endResponse();
    return found;
  }

  /** @throws {WireError} when this head may not come here */
  #acceptHead(): void {
    const decoder = this.#decoder;
    if (decoder.isInterim) {
      if (++this.#interimReceived > this.#options.maxInterimResponses) {
        throw protocolError('H1_TOO_MANY_INTERIM', 'more interim responses than allowed', { wire: { status: 502 } });
      }
      return;
    }
    if (decoder.isTunnel) {
      if (decoder.head.status === 101 && !this.#isUpgradeAsked(decoder.head.headers)) {
        throw protocolError('H1_UNASKED_UPGRADE', '101 to a protocol that the request did not ask for', { wire: { status: 502 } });
      }
      // RFC 9110 §7.8: the new protocol begins after the whole request. With half of one sent, nobody knows where that is.
      if (!this.#isRequestDone) {
        throw protocolError('H1_EARLY_TUNNEL', 'a switch of protocols before the end of the request', { wire: { status: 502 } });
      }
      this.#hasFinalHead = true;
      this.#phase = Phase.tunnel;
      this.#isPersistent = false;
      return;
    }
    this.#hasFinalHead = true;
    if (!decoder.keepAlive) this.#isPersistent = false;
    const keepAlive = decoder.head.headers.getKnown(KnownHeader.keepAlive);
    if (keepAlive !== undefined) this.#keepAliveTimeoutMs = parseKeepAliveTimeout(keepAlive);
  }

  /** RFC 9110 §7.8: a server may only switch to what the client offers. A 101 that names nothing is taken at its word. */
  #isUpgradeAsked(headers: HeaderMap): boolean {
    const asked = this.#upgrade;
    if (asked === null) return false;
    const chosen = headers.combined('upgrade');
    return chosen === undefined || parseList(chosen).every((protocol) => listHas(asked, protocol.toLowerCase()));
  }

  #endResponse(): void {
    this.#isResponseDone = true;
    // An answer before the end of the request: the rest of the body has nowhere to go, so the connection cannot be used again.
    if (!this.#isRequestDone) this.#isPersistent = false;
    this.#settle();
  }

  #settle(): void {
    if (this.#phase !== Phase.busy || !this.#isResponseDone) return;
    if (!this.#isPersistent) this.#phase = Phase.finished;
    else if (this.#isRequestDone) this.#phase = Phase.idle;
  }

  #fail(error: WireError): WireError {
    this.#error = error;
    this.#isPersistent = false;
    this.#phase = Phase.finished;
    return error;
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /**
   * Begins an exchange. Framing and connection fields of `head` are not sent as given: the machine writes those that are true.
   * `Connection: close` in `head` is a wish, and is granted: the connection ends after this exchange.
   *
   * @param bodyLength ≥ 0, or `BodyLength.chunked` if unknown
   * @param upgrade the value of `Upgrade` to ask for (RFC 9110 §7.8), or null
   * @throws {TypeError} when an exchange is running, the connection cannot take another, or `head` is invalid; also when it has not one Host, or
   *   a target that is none for its method, as servers send such requests to different places
   * @throws {RangeError} when `bodyLength` is no length of a request
   */
  sendHead(head: RequestHead, bodyLength: number, upgrade: string | null, now: number): void {
    if (!this.isReusable) throw new TypeError('the connection cannot take a request');
    checkRoute(head);
    // Asked to switch, a server may take what follows for the new protocol: such a connection carries nothing after this (CVE-2026-58055).
    const isLast = upgrade !== null || this.#requests + 1 >= this.#options.maxRequests || wantsClose(head.headers);
    let connection = '';
    if (upgrade !== null) connection = 'upgrade';
    else if (isLast) connection = 'close';
    // First what may throw for a wrong head, then what changes the state: the connection stays clean for another request.
    this.#output.pushText(formatRequestHead(head, { bodyLength, connection, upgrade }));
    this.#body.begin(bodyLength, { isBodyless: false });
    this.#decoder.expect(head.method);
    this.#phase = Phase.busy;
    this.#requests++;
    if (isLast) this.#isPersistent = false;
    this.#isRequestDone = false;
    this.#isResponseDone = false;
    this.#hasResponded = false;
    this.#hasFinalHead = false;
    this.#interimReceived = 0;
    this.#isReadingPaused = false;
    this.#upgrade = upgrade;
    this.#lastProgressAt = now;
    if (bodyLength === 0) this.#isRequestDone = true;
  }

  /**
   * Sends a piece of the body; the chunk belongs to the machine from now on.
   *
   * @throws {RangeError} when it is more than the length announced; nothing of it is sent, and the connection can only be aborted: `nextEvent`
   *   throws from now on
   * @throws {TypeError} when no request is open
   */
  sendData(chunk: Uint8Array, now: number): void {
    if (this.#isRequestDone || this.#isBrokenOff) throw new TypeError('no request is open');
    this.#lastProgressAt = now;
    try {
      this.#body.write(chunk);
    } catch (thrown) {
      throw this.#breakOff(thrown);
    }
  }

  /**
   * Ends the request. Does nothing if it is whole.
   *
   * @param trailers sent if the body is chunked, else dropped
   * @throws {RangeError} when less was sent than the length announced; the connection can only be aborted: `nextEvent` throws from now on
   * @throws {TypeError} when the request was broken off by such an error
   */
  sendEnd(trailers: HeaderMap | null, now: number): void {
    if (this.#isBrokenOff) throw new TypeError('the request was broken off');
    if (this.#isRequestDone) return;
    try {
      this.#body.end(trailers);
    } catch (thrown) {
      throw this.#breakOff(thrown);
    }
    this.#isRequestDone = true;
    this.#lastProgressAt = now;
    this.#settle();
  }

  /** A request that cannot be completed: whatever followed it would be read as the rest of its body. */
  #breakOff(thrown: unknown): unknown {
    this.#fail(internalError('H1_BODY_LENGTH_WRONG', 'the body is not as long as announced', { retry: 'never', cause: thrown }));
    this.#isBrokenOff = true;
    return thrown;
  }

  /** No more requests on this connection; the one that runs goes on. */
  retire(): void {
    this.#isPersistent = false;
    if (this.#phase === Phase.idle) this.#phase = Phase.finished;
  }

  // ---- outputs -----------------------------------------------------------------------------------------------------------------

  takeOutput(): Uint8Array[] {
    return this.#output.take();
  }

  /** After a switch of protocols: bytes that came beyond the response head. */
  takeRemaining(): Uint8Array {
    return this.#decoder.takeRemaining();
  }
}

/** RFC 9112 §3.2: one Host, and a target of a form that the method may have. @throws {TypeError} */
function checkRoute({ method, target, headers }: RequestHead): void {
  if (headers.countKnown(KnownHeader.host) !== 1) throw new TypeError('a request must have one Host field');
  // Usual targets cost one comparison.
  if (target.charCodeAt(0) === 0x2f && method !== 'CONNECT') return;
  try {
    targetForm(method, target);
  } catch (thrown) {
    throw new TypeError(`not a target for ${JSON.stringify(method)}: ${JSON.stringify(target)}`, { cause: thrown });
  }
}

function wantsClose(headers: HeaderMap): boolean {
  return headers.hasKnown(KnownHeader.connection) && hasConnectionOption(headers, 'close');
}

function parseKeepAliveTimeout(value: string): number {
  const found = /(?:^|[,;\s])timeout=(\d{1,9})(?![^,;\s])/i.exec(value);
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1]) * 1000;
}
