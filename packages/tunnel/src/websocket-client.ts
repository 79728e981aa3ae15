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
import { checkNumber } from '@ferrata/error';
import { type HeaderInit, HeaderMap, type RequestHead, type ResponseHead, requestHead } from '@ferrata/headers';
import type { ClientSession, HttpEnvironment } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import { Role } from '@ferrata/websocket';
import { askForTunnel, statusText, type TunnelQuestion } from './internal/tunnel-request.ts';
import { madeOf } from './websocket-errors.ts';
import { offerFields, readAnswer, type WebSocketAgreement, type WebSocketHandshake, type WebSocketOffer } from './websocket-handshake.ts';
import { checkWebSocketSessionOptions, type WebSocketSessionOptions } from './websocket-options.ts';
import { type WebSocketHandler, WebSocketSession } from './websocket-session.ts';
import { webSocketStream } from './websocket-stream.ts';

const REASONS = {
  noSession: 'WS_NO_SESSION',
  aborted: 'WS_HANDSHAKE_ABORTED',
  timeout: 'WS_HANDSHAKE_TIMEOUT',
  refused: 'WS_REFUSED',
  closed: 'WS_HANDSHAKE_CLOSED',
} as const;

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
  /**
   * From the request to the head of the answer, above 0; default 5 000. Raising it lets a server that is stuck hold the caller. The session's own
   * `connection.firstByteTimeoutMs` (60 000 unless it was told otherwise) ends a longer wait by `WS_HANDSHAKE_CLOSED`.
   */
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
    super(statusText(response));
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
 *   `connect WS_HANDSHAKE_CLOSED` (retry `always` if the server has not looked at the request), `timeout WS_HANDSHAKE_TIMEOUT`,
 *   `io WS_HANDSHAKE_ABORTED`, `connect WS_NO_SESSION` (nothing was sent: retry `always`), `internal COMPRESSION_THREW` (`session.compression` did; the
 *   connection is reset), or, of type `protocol`, what is wrong with the answer (see `readAnswer`)
 * @throws {TypeError} (as a rejection) when a field, the target or a subprotocol is invalid
 * @throws {RangeError} (as a rejection) when an option makes no sense
 */
export async function connectWebSocket(
  session: ClientSession,
  handler: WebSocketHandler,
  options: ConnectWebSocketOptions,
): Promise<WebSocketSession> {
  const { stream, agreement } = await shakeHands(session, options);
  return madeOf(stream, () => new WebSocketSession(Role.client, stream, handler, sessionOptions(options), agreement));
}

/** The same with a stream of bytes for a result (`webSocketStream`), paused until a sink is attached. */
export async function connectWebSocketStream(session: ClientSession, options: ConnectWebSocketOptions): Promise<L4Stream> {
  const { stream, agreement } = await shakeHands(session, options);
  return madeOf(stream, () => webSocketStream(Role.client, stream, sessionOptions(options), undefined, agreement));
}

function sessionOptions({ session, environment }: ConnectWebSocketOptions): WebSocketSessionOptions {
  return { ...session, environment };
}

interface Opened {
  readonly stream: L4Stream;
  readonly agreement: WebSocketAgreement;
}

async function shakeHands(session: ClientSession, options: ConnectWebSocketOptions): Promise<Opened> {
  const { environment, timeoutMs = 5_000, signal } = options;
  checkNumber('timeoutMs', timeoutMs, { above: 0, max: environment.deadlines.maxDelayMs });
  checkWebSocketSessionOptions(sessionOptions(options), options.deflate ?? null);
  const handshake = session.protocol === 'http2' ? 'connect' : 'upgrade';
  const asked = offerFields(handshake, options, environment.random);
  const question: TunnelQuestion<WebSocketAgreement> = {
    head: handshakeHead(handshake, options, asked),
    framing: handshake === 'connect' ? { bodyLength: 0, upgrade: null, protocol: 'websocket' } : { bodyLength: 0, upgrade: 'websocket' },
    unavailable: unavailable(session, handshake),
    reasons: REASONS,
    asked: 'the server',
    subject: 'the handshake',
    refusalOf: (head) => new WebSocketRefusal(head),
    // RFC 6455 §4.1: the client fails the connection whose answer is none to its handshake.
    accept: (head) => readAnswer(handshake, asked, options, head),
  };
  const { stream, accepted } = await askForTunnel(session, question, { environment, timeoutMs, signal });
  return { stream, agreement: accepted };
}

function handshakeHead(handshake: WebSocketHandshake, options: ConnectWebSocketOptions, asked: HeaderMap): RequestHead {
  const { authority, target = '/', headers = {} } = options;
  const fields = HeaderMap.from({ Host: authority });
  const extra = headers instanceof HeaderMap ? headers : HeaderMap.from(headers);
  for (let line = 0; line < extra.size; line++) {
    const name = extra.nameAt(line);
    if (/^(?:host|connection|upgrade|sec-websocket-.*)$/i.test(name)) throw new TypeError(`${name} is a field of the handshake itself`);
    fields.append(name, extra.valueAt(line));
  }
  for (let line = 0; line < asked.size; line++) fields.append(asked.nameAt(line), asked.valueAt(line));
  return requestHead(handshake === 'connect' ? 'CONNECT' : 'GET', target, { headers: fields });
}

function unavailable(session: ClientSession, handshake: WebSocketHandshake): string | null {
  if (!session.isReusable) return 'the connection takes no request';
  // RFC 8441 §3: not before the server has said so.
  return handshake === 'connect' && !session.takesExtendedConnect ? 'the server takes no extended CONNECT' : null;
}
