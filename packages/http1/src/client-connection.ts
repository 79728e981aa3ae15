/**
 * One HTTP/1 connection in the client's role, without I/O: requests and bytes go in, responses and bytes come out.
 *
 * Rules of this file:
 * - One exchange at a time: a proxy that pipelines upstream cannot retry what it lost, and one slow answer holds all behind it.
 * - The connection may be used again only after both messages were whole, in order, and nothing followed them (RFC 9112 §9.3). Bytes that come
 *   when no answer is due make it dirty for ever: they could be read as the answer to somebody else's request.
 * - After an error nothing that the peer sends is looked at.
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
import { type HeaderMap, HttpVersion, isValidHost, KnownHeader, type RequestHead, type ResponseHead } from '@ferrata/headers';
import {
  type ClientConnectionOptions,
  type ResolvedClientConnectionOptions,
  resolveClientConnectionOptions,
} from './connection-options.ts';
import { BodyWriter } from './internal/body-writer.ts';
import { hasConnectionOption } from './internal/connection-option.ts';
import { OutputQueue } from './internal/output-queue.ts';
import { isAmongOffered, namesProtocol } from './internal/upgrade.ts';
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
  /** The last Keep-Alive that came. */
  #keepAlive = '';
  #error: WireError | null = null;
  // Times, in milliseconds of the caller's clock.
  /** From here on the first byte of the next head is waited for. */
  #waitingSince: number;
  /** When the first byte of a head came that is no event yet; -1 if there is none. */
  #headSince = -1;
  #receivedAt: number;
  /** When a byte last went either way. */
  #lastProgressAt: number;
  #pausedAt: number;

  constructor(now: number, options: ClientConnectionOptions | ResolvedClientConnectionOptions = {}, writer: ByteWriter = new ByteWriter()) {
    this.#options = resolveClientConnectionOptions(options);
    this.#decoder = new ResponseDecoder(this.#options.decoder);
    this.#output = new OutputQueue(writer);
    this.#body = new BodyWriter(this.#output);
    this.#waitingSince = now;
    this.#receivedAt = now;
    this.#lastProgressAt = now;
    this.#pausedAt = now;
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
  /** How many requests more the server says that it takes (`Keep-Alive: max=n`); `Infinity` if it says nothing. It binds nobody (RFC 9112 §9.6). */
  get keepAliveMaxRequests(): number {
    return numberIn(this.#keepAlive, KEEP_ALIVE_MAX);
  }
  /** Exchanges begun on this connection. */
  get requestCount(): number {
    return this.#requests;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  receive(chunk: Uint8Array, now: number): void {
    if (this.#error !== null) return;
    this.#lastProgressAt = now;
    this.#receivedAt = now;
    if (this.#phase === Phase.busy) {
      this.#hasResponded = true;
      if (this.#headSince < 0 && !this.#hasFinalHead) this.#headSince = now;
    }
    this.#decoder.feed(chunk);
  }

  /** The peer has ended its side: completes a close-delimited body, is an error elsewhere (thrown by `nextEvent`). */
  receiveEnd(): void {
    this.#isPersistent = false;
    if (this.#phase === Phase.idle) this.#phase = Phase.finished;
    this.#decoder.end();
  }

  /** While the caller wants no data, no time-out runs. */
  setReadingPaused(paused: boolean, now: number): void {
    if (this.#isReadingPaused === paused) return;
    this.#isReadingPaused = paused;
    if (paused) {
      this.#pausedAt = now;
      return;
    }
    // Time in which nobody listened is not the peer's slowness.
    this.#lastProgressAt = now;
    this.#waitingSince += now - Math.max(this.#waitingSince, this.#pausedAt);
    if (this.#headSince >= 0) this.#headSince += now - Math.max(this.#headSince, this.#pausedAt);
  }

  /** When to call `handleTimeout` next; `Infinity` if nothing is waited for. */
  nextTimeout(): number {
    if (this.#phase !== Phase.busy || this.#isResponseDone || this.#isReadingPaused) return Number.POSITIVE_INFINITY;
    const byStall = this.#lastProgressAt + this.#options.readTimeoutMs;
    if (this.#hasFinalHead) return byStall;
    if (this.#headSince >= 0) return Math.min(byStall, this.#headSince + this.#options.headTimeoutMs);
    // Until the request is out, its own slowness is the client's: the write side has its own time-out.
    return this.#isRequestDone ? this.#waitingSince + this.#options.firstByteTimeoutMs : Number.POSITIVE_INFINITY;
  }

  /** @returns the error that is due at `now`, or null */
  handleTimeout(now: number): WireError | null {
    if (now < this.nextTimeout()) return null;
    if (!this.#hasFinalHead && this.#headSince < 0) return this.#fail(timeoutError('H1_FIRST_BYTE_TIMEOUT', 'no response in time'));
    const isHeadLate = !this.#hasFinalHead && now >= this.#headSince + this.#options.headTimeoutMs;
    return this.#fail(
      isHeadLate
        ? timeoutError('H1_HEAD_TIMEOUT', 'the response head took too long')
        : timeoutError('H1_READ_TIMEOUT', 'the response stalled'),
    );
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
    if (!found) {
      // Bytes that came and are read, but begin no head: empty lines, where they are let in.
      if (this.#headSince >= 0 && this.#decoder.bufferedBytes === 0) this.#headSince = -1;
    } else if (this.#decoder.event === MessageEvent.end) {
      this.#endResponse();
    }
    return found;
  }

  /** @throws {WireError} when this head may not come here */
  #acceptHead(): void {
    const decoder = this.#decoder;
    if (decoder.isInterim) {
      if (++this.#interimReceived > this.#options.maxInterimResponses) {
        throw protocolError('H1_TOO_MANY_INTERIM', 'more interim responses than allowed', { wire: { status: 502 } });
      }
      this.#waitingSince = Math.max(this.#waitingSince, this.#receivedAt);
      this.#headSince = decoder.bufferedBytes > 0 ? this.#receivedAt : -1;
      return;
    }
    if (decoder.isTunnel) {
      if (decoder.head.status === 101 && !this.#isUpgradeAsked(decoder.head)) {
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
    if (keepAlive === undefined) return;
    this.#keepAlive = keepAlive;
    this.#keepAliveTimeoutMs = numberIn(keepAlive, KEEP_ALIVE_TIMEOUT) * 1000;
  }

  /** RFC 9110 §7.8: a server may only switch to what the client offers, must say to what, and cannot in HTTP/1.0. */
  #isUpgradeAsked({ version, headers }: ResponseHead): boolean {
    if (this.#upgrade === null || version === HttpVersion.http10) return false;
    const chosen = headers.combinedKnown(KnownHeader.upgrade) ?? '';
    return namesProtocol(chosen) && isAmongOffered(chosen, this.#upgrade);
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

  /** The first error is final. @returns it */
  #fail(error: WireError): WireError {
    this.#error ??= error;
    this.#isPersistent = false;
    this.#phase = Phase.finished;
    this.#decoder.fail(this.#error);
    return this.#error;
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /**
   * Begins an exchange. Framing and connection fields of `head` are not sent as given: the machine writes those that are true.
   * `Connection: close` in `head` is a wish, and is granted: the connection ends after this exchange.
   *
   * @param bodyLength ≥ 0, or `BodyLength.chunked` if unknown
   * @param upgrade the value of `Upgrade` to ask for (RFC 9110 §7.8), or null
   * @throws {TypeError} when an exchange is running, the connection cannot take another, or `head` is invalid; also when it has not one valid
   *   Host, or a target that is none for its method, as servers send such requests to different places
   * @throws {RangeError} when `bodyLength` is no length of a request, or not 0 for CONNECT
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
    this.#waitingSince = now;
    this.#headSince = -1;
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
    this.#waitingSince = now;
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

/** RFC 9112 §3.2: one Host that is valid and not empty, and a target of a form that the method may have. @throws {TypeError} */
function checkRoute({ method, target, headers }: RequestHead): void {
  if (headers.countKnown(KnownHeader.host) !== 1) throw new TypeError('a request must have one Host field');
  if (!isValidHost(headers.getKnown(KnownHeader.host) as string)) throw new TypeError('Host is not uri-host [":" port]');
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

/** The parameters of Keep-Alive (RFC 2068 §19.7.1), in seconds and in requests. */
const KEEP_ALIVE_TIMEOUT = /(?:^|[,;\t ])timeout=(\d{1,9})(?![^,;\t ])/i;
const KEEP_ALIVE_MAX = /(?:^|[,;\t ])max=(\d{1,9})(?![^,;\t ])/i;

function numberIn(value: string, parameter: RegExp): number {
  const found = parameter.exec(value);
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1]);
}
