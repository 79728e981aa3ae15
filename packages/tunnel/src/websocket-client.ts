/**
 * The client's end of the WebSocket handshake, on a session of either version of HTTP.
 *
 * ```text
 *   connectWebSocket ── GET, Upgrade (h1) · CONNECT, :protocol (h2) ──► 101 · 2xx ──► checked ──► the session
 *                                                                  ├──► other ──────► WS_REFUSED, with the response
 *                                                                  ├──► nothing ────► WS_HANDSHAKE_TIMEOUT
 *                                                                  └──► gone ───────► WS_HANDSHAKE_CLOSED
 * ```
 *
 * @see RFC 6455 §4.1 · RFC 8441 §5
 */
import { checkNumber, connectError, ioError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import { type HeaderInit, HeaderMap, type RequestHead, type ResponseHead, requestHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ClientSession, HttpEnvironment, Tunnel } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { Role } from '@ferrata/websocket';
import { park } from './internal/parking.ts';
import { offerFields, readAnswer, type WebSocketAgreement, type WebSocketHandshake, type WebSocketOffer } from './websocket-handshake.ts';
import { resolveWebSocketSessionOptions, type WebSocketSessionOptions } from './websocket-options.ts';
import { type WebSocketHandler, WebSocketSession } from './websocket-session.ts';
import { webSocketStream } from './websocket-stream.ts';

/** How to connect. */
export interface ConnectWebSocketOptions extends WebSocketOffer {
  /** Where time and masking keys come from. */
  readonly environment: HttpEnvironment;
  /** `host` or `host:port` of the resource: the Host field or `:authority`. */
  readonly authority: string;
  /** Path and query; default `/`. */
  readonly target?: string;
  /** Further fields: Origin, Cookie, Authorization. Those of the handshake may not be among them. Default none. */
  readonly headers?: HeaderInit;
  /** From the request to the head of the answer, above 0; default 5 000. Raising it lets a server that is stuck hold the caller. */
  readonly timeoutMs?: number;
  /** Gives up waiting; `WS_HANDSHAKE_ABORTED`. A connection that is made already is not touched. */
  readonly signal?: AbortSignal;
  /** Of the session or stream; its environment is the one above. */
  readonly session?: Omit<WebSocketSessionOptions, 'environment'>;
}

/** What a server has answered instead of switching: the `cause` of `WS_REFUSED`. */
export class WebSocketRefusal extends Error {
  /** The head of its response. */
  readonly response: ResponseHead;

  constructor(response: ResponseHead) {
    super(`${response.status} ${response.reason}`.trimEnd());
    this.response = response;
  }

  override get name(): string {
    return 'WebSocketRefusal';
  }
}

/**
 * Asks the server of `session` for a WebSocket connection. Over HTTP/1 the session is used up; over HTTP/2 one stream of it is.
 *
 * @returns a promise of a session; call its `start`. It is rejected with a `WireError`: `connect WS_REFUSED` (its `cause` is a `WebSocketRefusal`),
 *   `connect WS_HANDSHAKE_CLOSED`, `timeout WS_HANDSHAKE_TIMEOUT`, `io WS_HANDSHAKE_ABORTED`, `connect WS_NO_SESSION` (nothing was sent: retry `always`),
 *   or, of type `protocol`, what is wrong with the answer (see `readAnswer`)
 * @throws {TypeError} (as a rejection) when a field, the target or a subprotocol is invalid
 * @throws {RangeError} (as a rejection) when an option makes no sense
 */
export async function connectWebSocket(
  session: ClientSession,
  handler: WebSocketHandler,
  options: ConnectWebSocketOptions,
): Promise<WebSocketSession> {
  const { stream, agreement } = await shakeHands(session, options);
  return new WebSocketSession(Role.client, stream, handler, sessionOptions(options), agreement);
}

/** The same with a stream of bytes for a result (`webSocketStream`), paused until a sink is attached. */
export async function connectWebSocketStream(session: ClientSession, options: ConnectWebSocketOptions): Promise<L4Stream> {
  const { stream, agreement } = await shakeHands(session, options);
  return webSocketStream(Role.client, stream, sessionOptions(options), undefined, agreement);
}

function sessionOptions({ session, environment }: ConnectWebSocketOptions): WebSocketSessionOptions {
  return { ...session, environment };
}

interface Opened {
  readonly stream: L4Stream;
  readonly agreement: WebSocketAgreement;
}

function shakeHands(session: ClientSession, options: ConnectWebSocketOptions): Promise<Opened> {
  return new Promise((resolve, reject) => {
    new HandshakeRequest(session, options, resolve, reject).start();
  });
}

/** One handshake, until it has its answer. */
class HandshakeRequest implements ClientExchangeHandler {
  readonly #session: ClientSession;
  readonly #options: ConnectWebSocketOptions;
  readonly #handshake: WebSocketHandshake;
  readonly #resolve: (opened: Opened) => void;
  readonly #reject: (error: Error) => void;
  readonly #onAbort = (): void => this.#giveUp(ioError('WS_HANDSHAKE_ABORTED', 'the caller gave up', { retry: 'never', fault: 'local' }));
  #asked: HeaderMap = new HeaderMap();
  #exchange: ClientExchange | null = null;
  #deadline: Deadline | null = null;
  #isSettled = false;

  constructor(session: ClientSession, options: ConnectWebSocketOptions, resolve: (opened: Opened) => void, reject: (error: Error) => void) {
    this.#session = session;
    this.#options = options;
    this.#handshake = session.protocol === 'http2' ? 'connect' : 'upgrade';
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** What it throws rejects the promise. */
  start(): void {
    const { environment, timeoutMs = 5_000, signal } = this.#options;
    checkNumber('timeoutMs', timeoutMs, { above: 0, max: environment.deadlines.maxDelayMs });
    resolveWebSocketSessionOptions(sessionOptions(this.#options), null);
    const head = this.#head();
    if (signal?.aborted === true) {
      this.#onAbort();
      return;
    }
    const unavailable = this.#unavailable();
    if (unavailable !== null) {
      this.#fail(connectError('WS_NO_SESSION', unavailable, { retry: 'always', source: 'upstream' }));
      return;
    }
    const framing =
      this.#handshake === 'connect' ? { bodyLength: 0, upgrade: null, protocol: 'websocket' } : { bodyLength: 0, upgrade: 'websocket' };
    this.#exchange = this.#session.request(head, framing, this);
    this.#deadline = environment.deadlines.after(timeoutMs, () => this.#handleTimeout(timeoutMs));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  #head(): RequestHead {
    const { authority, target = '/', headers = {}, environment } = this.#options;
    const fields = HeaderMap.from({ Host: authority });
    const extra = headers instanceof HeaderMap ? headers : HeaderMap.from(headers);
    for (let line = 0; line < extra.size; line++) {
      const name = extra.nameAt(line);
      if (/^(?:host|connection|upgrade|sec-websocket-.*)$/i.test(name)) throw new TypeError(`${name} is a field of the handshake itself`);
      fields.append(name, extra.valueAt(line));
    }
    this.#asked = offerFields(this.#handshake, this.#options, environment.random);
    for (let line = 0; line < this.#asked.size; line++) fields.append(this.#asked.nameAt(line), this.#asked.valueAt(line));
    return requestHead(this.#handshake === 'connect' ? 'CONNECT' : 'GET', target, { headers: fields });
  }

  #unavailable(): string | null {
    if (!this.#session.isReusable) return 'the connection takes no request';
    // RFC 8441 §3: not before the server has said so.
    return this.#handshake === 'connect' && !this.#session.takesExtendedConnect ? 'the server takes no extended CONNECT' : null;
  }

  #handleTimeout(timeoutMs: number): void {
    const message = `the server did not answer the handshake within ${timeoutMs} ms`;
    this.#giveUp(timeoutError('WS_HANDSHAKE_TIMEOUT', message, { retry: 'never', source: 'upstream' }));
  }

  // ---- the exchange's calls ------------------------------------------------------------------------------------------------------

  onInterim(): void {}

  onResponse(head: ResponseHead): void {
    const cause = new WebSocketRefusal(head);
    this.#giveUp(connectError('WS_REFUSED', `the server answered ${cause.message}`, { cause, retry: 'never', source: 'upstream' }));
  }

  onTunnel(head: ResponseHead, { stream, remaining }: Tunnel): void {
    try {
      if (this.#isSettled) throw ioError('WS_HANDSHAKE_ABORTED', 'the answer came too late', { retry: 'never' });
      const agreement = readAnswer(this.#handshake, this.#asked, this.#options, head);
      park(stream, remaining);
      this.#settle();
      this.#resolve({ stream, agreement });
    } catch (thrown) {
      // RFC 6455 §4.1: the client fails the connection.
      const error = toWireError(thrown);
      stream.abort(error);
      this.#fail(error);
    }
  }

  onResponseData(): void {}
  onResponseEnd(): void {}
  onRequestDrain(): void {}

  onClientClose(cause: WireError | null): void {
    const message = 'the server closed the connection instead of answering the handshake';
    this.#fail(connectError('WS_HANDSHAKE_CLOSED', message, { retry: 'never', source: 'upstream', ...(cause === null ? {} : { cause }) }));
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  /** Fails, and takes the request back. */
  #giveUp(error: WireError): void {
    const exchange = this.#exchange;
    this.#fail(error);
    exchange?.cancel(error);
  }

  #fail(error: WireError): void {
    if (this.#isSettled) return;
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#isSettled = true;
    this.#exchange = null;
    this.#deadline?.cancel();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }
}
