/**
 * The one shape of an HTTP exchange, whatever carries it: a request one way, interim responses, a response and perhaps a tunnel the other way.
 *
 * Bodies are pushed: the receiver names a handler and pauses or resumes; the sender is told by `false` that the peer is slow, and by a drain
 * callback that it may go on. No promise, closure or event object is made per chunk.
 */
import type { WireError } from '@ferrata/error';
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import type { ExchangeSettings } from './exchange-settings.ts';

/**
 * What an application gives to follow one exchange in the server's role. A throw from any of these ends the exchange with a 500 or a close; so does the rejection of one
 * that is `async`, for which nothing waits.
 */
export interface ServerExchangeHandler {
  /** A piece of the request's body; it is yours. */
  onRequestData(chunk: Uint8Array): void;
  /** The request is whole. */
  onRequestEnd(trailers: HeaderMap | null): void;
  /** The client takes bytes again, after a `sendData` that returned false. */
  onResponseDrain(): void;
  /** Once and last. `null`: the response was sent whole, or the tunnel ended in order. */
  onExchangeClose(error: WireError | null): void;
}

/** What outlives the exchanges of a connection in the server's role. */
export interface ServerConnectionState {
  /** Exchanges begun on the connection so far; 1 in the first of them. */
  readonly requestCount: number;
  /** The client has ended its side: it will ask nothing more, and may be gone. What becomes of its exchanges is for `abortOnHalfClose` to say. */
  readonly hasClientEnded: boolean;
  /** The application's own, `undefined` at first: carried from one request of the connection to the next. */
  context: unknown;
}

/** One request and its response, in the server's role. */
export interface ServerExchange {
  readonly request: RequestHead;
  /** ≥ 0, or `BodyLength.chunked` if only the end of the body will tell. */
  readonly requestBodyLength: number;
  /** The protocols the client asks to switch to, or null; always null over HTTP/2, which has no Upgrade (RFC 9113 §8.6). */
  readonly upgrade: string | null;
  /** The `:protocol` of an extended CONNECT over HTTP/2 (`websocket`; RFC 8441 §4); null for all other requests, and always over HTTP/1. */
  readonly protocol: string | null;
  /** The client waits for a `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
  /** Facts about the connection. */
  readonly info: StreamInfo;
  /** What outlives the exchange: the same object for all exchanges of a connection, over HTTP/2 for those that run side by side too. */
  readonly connection: ServerConnectionState;
  /**
   * HTTP/1, from `onExchangeClose(null)` on: the connection will take another request, as far as is known. False before, after a failure, behind a tunnel, and always over HTTP/2, where
   * an exchange has no connection of its own.
   */
  readonly isConnectionReusable: boolean;
  /** When the request's head was read, in monotonic milliseconds. */
  readonly startedAt: number;
  /** Bytes of the request's body that were received. */
  readonly requestBytes: number;
  /** Bytes of the response's body that were sent. */
  readonly responseBytes: number;
  /**
   * For how long, in milliseconds so far, the client has not taken what was sent: from a `sendData` that returned false to the drain, or to the end of the exchange. Over HTTP/2 what
   * waits may wait for the stream's window, the connection's, or the network.
   */
  readonly writePendingMs: number;
  /** The final status sent, or 0. */
  readonly status: number;
  /** A final response has begun. */
  readonly hasResponded: boolean;
  /** The exchange is over: commands do nothing any more. */
  readonly isClosed: boolean;

  /**
   * Changes bounds of this exchange, from now on; absent members stay. Does nothing when the exchange is over.
   *
   * @throws {RangeError} when a number makes no sense, also when the exchange is over: nothing has changed
   * @throws {TypeError} when a member is unknown, or is no boolean where one is wanted: nothing has changed
   */
  adjust(settings: ExchangeSettings): void;
  /** No `onRequestData` until `resumeRequest`. */
  pauseRequest(): void;
  resumeRequest(): void;
  /** Sends an interim response (1xx but 101). Dropped where the client knows none. */
  sendInterim(head: ResponseHead): void;
  /**
   * Begins the response. `bodyLength` ≥ 0, or `BodyLength.chunked`. Framing and connection fields in `head` are replaced by true ones;
   * `Connection: close` is granted. 101, and 2xx to CONNECT, are for `openTunnel`.
   *
   * @throws {TypeError} when a response has begun, or `head` is invalid: another one may still be sent
   * @throws {RangeError} when the status is not final, or `bodyLength` is no length
   */
  sendHead(head: ResponseHead, bodyLength: number): void;
  /**
   * Sends a piece of the body, which then belongs to the exchange; dropped where the response has no body (HEAD, 204, 304).
   *
   * @returns false: accepted, but wait for `onResponseDrain`; also when the exchange is over
   * @throws {RangeError} when it is more than the length announced: nothing of it is sent, and the exchange ends with `BODY_LENGTH_WRONG`
   */
  sendData(chunk: Uint8Array): boolean;
  /** Ends the response. @throws {RangeError} when bytes of the length announced are missing: the exchange ends with `BODY_LENGTH_WRONG` */
  sendEnd(trailers?: HeaderMap | null): void;
  /**
   * Answers 101 (or 2xx to CONNECT) and hands the connection over, paused until you attach a sink; over HTTP/2 one stream of it, for 2xx to
   * CONNECT only. Call `closeTunnel` when the tunnel is at its end: until then it counts as a connection, and the handler does not hear of its end.
   * A tunnel that is lost before a sink was attached to it closes the exchange by itself, as nobody else would hear of it.
   *
   * @throws {TypeError} when the exchange is closed, the status makes no tunnel, 101 was not asked for, or a response has begun
   * @throws {WireError} HTTP/2: `limit H2_PEER_HEADER_LIST` when the head is larger than the client has said that it takes; the exchange has ended
   */
  openTunnel(head: ResponseHead): Tunnel;
  closeTunnel(error: WireError | null): void;
  /**
   * Ends the exchange: with the status of `error` if no response has begun, else so that the response shows to be cut short: by a close of the
   * connection, over HTTP/2 by RST_STREAM.
   */
  abort(error: WireError): void;
}

/** A connection, or one stream of a shared one, handed over after a switch of protocols. */
export interface Tunnel {
  readonly stream: L4Stream;
  /** Bytes read beyond the HTTP message: give them to `stream.attach`. */
  readonly remaining: Uint8Array;
}

/** What a user of a connection gives to follow one exchange in the client's role. A throw, or a rejection, from any of these cancels the exchange. */
export interface ClientExchangeHandler {
  /** An interim response (1xx but 101); a final one follows. */
  onInterim(head: ResponseHead): void;
  /** The response's head. `bodyLength` ≥ 0, or a `BodyLength`. */
  onResponse(head: ResponseHead, bodyLength: number): void;
  /**
   * The server has switched protocols: the connection is yours, paused until you attach a sink; over HTTP/2 one stream of it. `onClientClose(null)`
   * follows.
   */
  onTunnel(head: ResponseHead, tunnel: Tunnel): void;
  /** A piece of the response's body; it is yours. */
  onResponseData(chunk: Uint8Array): void;
  /** The response is whole. */
  onResponseEnd(trailers: HeaderMap | null): void;
  /** The server takes bytes again, after a `sendData` that returned false. */
  onRequestDrain(): void;
  /** Once and last. `null`: both messages were whole. */
  onClientClose(error: WireError | null): void;
}

/** One request and its response, in the client's role. */
export interface ClientExchange {
  /** This was not the first exchange of its connection. */
  readonly isReused: boolean;
  /** Facts about the connection. */
  readonly info: StreamInfo;
  /** Nothing of the request has been given to the network. */
  readonly isUnsent: boolean;
  /** Bytes of the request's body that were sent. */
  readonly requestBytes: number;
  /** Bytes of the response's body that were received. */
  readonly responseBytes: number;
  /** For how long, in milliseconds so far, the server has not taken what was sent; as `ServerExchange.writePendingMs`. */
  readonly writePendingMs: number;
  readonly isClosed: boolean;
  /**
   * Sends a piece of the body, which then belongs to the exchange.
   *
   * @returns false: accepted, but wait for `onRequestDrain`; also when the exchange is over
   * @throws {RangeError} when it is more than the length announced: nothing of it is sent, and the exchange ends with `BODY_LENGTH_WRONG`
   */
  sendData(chunk: Uint8Array): boolean;
  /** Ends the request. @throws {RangeError} when bytes of the length announced are missing: the exchange ends with `BODY_LENGTH_WRONG` */
  sendEnd(trailers?: HeaderMap | null): void;
  pauseResponse(): void;
  resumeResponse(): void;
  /** Gives the exchange up: the connection is dropped, over HTTP/2 only the stream is reset. `onClientClose` follows with `error`. */
  cancel(error: WireError): void;
}

/** What answers requests. */
export interface HttpApplication {
  /** A request has come. @returns who follows it */
  onRequest(exchange: ServerExchange): ServerExchangeHandler;
  /** A request was refused before it became an exchange: malformed, over a limit, too slow. */
  onRefused?(refusal: Refusal): void;
}

/** A request that never became an exchange. */
export interface Refusal {
  readonly error: WireError;
  /** The status that was sent; 0: none could be. */
  readonly status: number;
  readonly info: StreamInfo;
}
