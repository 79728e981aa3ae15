/**
 * The server's end of the WebSocket handshake, for one exchange, over HTTP/1.1 and HTTP/2 alike.
 *
 * ```ts
 * onRequest(exchange) {
 *   if (isWebSocketRequest(exchange)) {
 *     const session = acceptWebSocket(exchange, { onText: (text) => session?.sendText(text), onClose: () => {} });
 *     session?.start();
 *   }
 *   …
 * }
 * ```
 *
 * Rules of this file:
 * - A bad request is answered here; the caller gets null and has nothing more to do.
 * - What results looks after its exchange: when its stream has closed, so has that.
 *
 * @see RFC 6455 §4.2 · RFC 8441 §5
 */
import { isWireError, protocolError, toWireError, type WireError } from '@ferrata/error';
import { type HeaderMap, responseHead, tokenListHas } from '@ferrata/headers';
import type { ServerExchange } from '@ferrata/http';
import { callUser, type L4Stream, park, watchAnswer } from '@ferrata/stream';
import { Role, WEBSOCKET_VERSION } from '@ferrata/websocket';
import { madeOf } from './websocket-errors.ts';
import { answerFields, type WebSocketAgreement, type WebSocketChoice, type WebSocketHandshake } from './websocket-handshake.ts';
import { checkWebSocketSessionOptions, type WebSocketSessionOptions } from './websocket-options.ts';
import { type WebSocketHandler, WebSocketSession } from './websocket-session.ts';
import { webSocketStream } from './websocket-stream.ts';

/** How to accept a WebSocket connection. */
export interface AcceptWebSocketOptions extends WebSocketChoice {
  /** Of the session or stream. */
  readonly session?: WebSocketSessionOptions;
  /**
   * Judges the page that a browser's request came from (RFC 6455 §10.2); null if the request says nothing, as programs do. False: 403. Default: all,
   * which is wrong for a server that knows its users by cookies. It must answer at once: a promise is no yes.
   */
  isOriginAllowed?(origin: string | null): boolean;
}

/** Whether a request asks for WebSocket: by Upgrade over HTTP/1.1, by extended CONNECT over HTTP/2. */
export function isWebSocketRequest(exchange: ServerExchange): boolean {
  return handshakeOf(exchange) !== null;
}

/**
 * Answers the handshake, and makes a session of the connection. Call its `start`.
 *
 * @returns null if the request was refused: it has been answered
 * @throws {TypeError} when the exchange is closed or was answered already
 * @throws {RangeError} when an option makes no sense
 * @throws {WireError} `internal COMPRESSION_THREW` when `session.compression` has thrown; the connection is reset
 */
export function acceptWebSocket(
  exchange: ServerExchange,
  handler: WebSocketHandler,
  options: AcceptWebSocketOptions = {},
): WebSocketSession | null {
  const opened = open(exchange, options);
  if (opened === null) return null;
  const { stream, session, agreement } = opened;
  return madeOf(stream, () => new WebSocketSession(Role.server, stream, handler, session, agreement));
}

/** Answers the handshake, and makes a stream of bytes of the connection (`webSocketStream`), paused until a sink is attached; else like `acceptWebSocket`. */
export function acceptWebSocketStream(exchange: ServerExchange, options: AcceptWebSocketOptions = {}): L4Stream | null {
  const opened = open(exchange, options);
  if (opened === null) return null;
  const { stream, session, agreement } = opened;
  return madeOf(stream, () => webSocketStream(Role.server, stream, session, undefined, agreement));
}

interface Opened {
  readonly stream: L4Stream;
  readonly agreement: WebSocketAgreement;
  readonly session: WebSocketSessionOptions;
}

function open(exchange: ServerExchange, options: AcceptWebSocketOptions): Opened | null {
  const handshake = handshakeOf(exchange);
  // Nonsense in the options is found before anything is answered.
  checkWebSocketSessionOptions(options.session ?? {}, options.deflate ?? null);
  try {
    if (handshake === null) throw protocolError('WS_NOT_ASKED', 'the request asks for no WebSocket', { wire: { status: 426 } });
    const { agreement, headers } = judge(exchange, handshake, options);
    const tunnel = exchange.openTunnel(responseHead(handshake === 'upgrade' ? 101 : 200, { headers }));
    const closeTunnel = once((error) => {
      exchange.closeTunnel(error);
      callUser(() => options.session?.onStreamClosed?.(error));
    });
    // Whoever starts later, or never, hears nothing before; the exchange ends with the stream in any case.
    park(tunnel.stream, tunnel.remaining, closeTunnel);
    return { stream: tunnel.stream, agreement, session: { ...options.session, onStreamClosed: closeTunnel } };
  } catch (thrown) {
    if (!isWireError(thrown)) throw thrown;
    refuse(exchange, thrown);
    return null;
  }
}

function judge(
  exchange: ServerExchange,
  handshake: WebSocketHandshake,
  options: AcceptWebSocketOptions,
): { readonly agreement: WebSocketAgreement; readonly headers: HeaderMap } {
  let isAllowed: unknown;
  try {
    isAllowed = options.isOriginAllowed?.(exchange.request.headers.combined('Origin') ?? null) ?? true;
  } catch (thrown) {
    throw toWireError(thrown, 'ORIGIN_CHECK_THREW');
  }
  // A promise, say, is no yes; but it must not end the process, either.
  watchAnswer(isAllowed);
  if (isAllowed !== true) throw protocolError('WS_ORIGIN_REFUSED', 'the origin is not allowed', { wire: { status: 403 } });
  try {
    return answerFields(handshake, exchange.request, options);
  } catch (thrown) {
    throw toWireError(thrown, 'SUBPROTOCOL_CHOICE_THREW');
  }
}

/** The stream tells of its close both before and after its sink is attached. */
function once(callback: (error: WireError | null) => void): (error: WireError | null) => void {
  let isDone = false;
  return (error) => {
    if (isDone) return;
    isDone = true;
    callback(error);
  };
}

function handshakeOf(exchange: ServerExchange): WebSocketHandshake | null {
  if (exchange.protocol?.toLowerCase() === 'websocket') return 'connect';
  return exchange.upgrade !== null && tokenListHas(exchange.upgrade, 'websocket') ? 'upgrade' : null;
}

function refuse(exchange: ServerExchange, error: WireError): void {
  if (error.status !== 426) {
    exchange.abort(error);
    return;
  }
  // RFC 6455 §4.4 and RFC 9110 §15.5.22: the answer says what would do.
  const head = responseHead(426, { headers: { 'Sec-WebSocket-Version': WEBSOCKET_VERSION } });
  if (exchange.protocol === null) head.headers.set('Upgrade', 'websocket');
  exchange.sendHead(head, 0);
  exchange.sendEnd();
}
