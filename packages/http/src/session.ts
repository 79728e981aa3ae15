/**
 * The two shapes of a running connection, whatever version of HTTP it speaks, and of those who keep it.
 *
 * Servers and pools hold these; the way of each byte goes through the classes that implement them, so that calls there stay monomorphic.
 */
import type { WireError } from '@ferrata/error';
import type { RequestHead } from '@ferrata/headers';
import type { L4Stream } from '@ferrata/stream';
import type { ClientExchange, ClientExchangeHandler } from './exchange.ts';

/** How near a server is to the end of its memory: `tight`, it takes no new connections to keep; `critical`, it takes no new requests. */
export type MemoryPressure = 'none' | 'tight' | 'critical';

/** The server's end of one connection, running. */
export interface ServerSession {
  readonly stream: L4Stream;
  /** No exchange runs, and nothing of the next one was read: closing it in order loses nothing; cutting it, what `heldBytes` still counts. */
  readonly isIdle: boolean;
  /** Bytes that wait here: to be sent, or read and not taken. Adding them up takes a while; for those who must choose. */
  readonly heldBytes: number;
  /** Begins to read. */
  start(): void;
  /**
   * Running exchanges are finished, then the connection ends. An idle one is closed at `closeIdleAt` (monotonic milliseconds), or before that
   * if the protocol can say that no request was lost (GOAWAY in HTTP/2).
   */
  drain(closeIdleAt: number): void;
  /** Drops the connection at once. */
  abort(error?: WireError): void;
}

/** Who keeps a `ServerSession`. */
export interface ServerSessionOwner {
  /**
   * Asked once a request. Not `none`: its connection takes no further one (`Connection: close`, GOAWAY); `critical`: it is answered 503 without the
   * application. Default `none`.
   */
  readonly pressure?: MemoryPressure;
  /** The connection is gone; once. */
  onSessionClose(session: ServerSession, error: WireError | null): void;
  /**
   * An HTTP/1 session has read the whole client preface of HTTP/2 instead of a request (RFC 9113 §3.4). Who takes the connection attaches a sink
   * of its own to `session.stream`, with `head` (the preface and what came behind it); the session hears and does nothing more. Without this
   * method no connection is HTTP/2.
   *
   * @returns false: not taken, the bytes are read as HTTP/1 and refused
   */
  onHttp2Preface?(session: ServerSession, head: Uint8Array): boolean;
}

/** The client's end of one connection, running. */
export interface ClientSession {
  readonly stream: L4Stream;
  readonly protocol: 'http1' | 'http2';
  /** The connection may take a request now. */
  readonly isReusable: boolean;
  /** It carries several exchanges at once; what ends one of them leaves the others alone. */
  readonly isShared: boolean;
  /**
   * The server takes extended CONNECT (RFC 8441 §3): a request may name a `protocol`. Always false over HTTP/1, and over HTTP/2 until the server's
   * SETTINGS have come.
   */
  readonly takesExtendedConnect: boolean;
  /**
   * Calls back once it is known what the server takes: at once if it is, else when its SETTINGS have come or the connection is lost. Absent where there is nothing
   * to wait for.
   */
  whenReady?(call: () => void): void;
  /** Exchanges begun on this connection. */
  readonly requestCount: number;
  /** How long the server says that it keeps the connection idle, in milliseconds; `Infinity` if it does not say. */
  readonly keepAliveTimeoutMs: number;
  /** Begins to read. */
  start(): void;
  /**
   * Sends a request's head. CONNECT has no body, and an answer of 2xx is told by `onTunnel`.
   *
   * @throws {TypeError} when the connection cannot take a request, or `head` is invalid
   * @throws {RangeError} when `bodyLength` is no length of a request, or not 0 for CONNECT
   * @throws {WireError} HTTP/2: `limit H2_PEER_HEADER_LIST` (431) when the head is larger than the server has said that it takes; nothing has changed
   */
  request(head: RequestHead, framing: RequestFraming, handler: ClientExchangeHandler): ClientExchange;
  /** Closes the connection, without a word to the owner, who asked for it. Running exchanges are given up (`SESSION_CLOSED`). */
  close(): void;
}

/** What goes with the head of a request. */
export interface RequestFraming {
  /** ≥ 0, or `BodyLength.chunked` if only the end of the body will tell. */
  readonly bodyLength: number;
  /** The protocols to ask a switch to, or null; HTTP/1 only. */
  readonly upgrade: string | null;
  /** The `:protocol` of an extended CONNECT (RFC 8441 §4), whose target is a path; HTTP/2 only, and only if `takesExtendedConnect`. Default null. */
  readonly protocol?: string | null;
}

/** Who keeps a `ClientSession` while it is idle. */
export interface ClientSessionOwner {
  /** HTTP/1: the connection is clean and may take another request. HTTP/2: the last of the running exchanges is over. */
  onSessionIdle(session: ClientSession): void;
  /**
   * HTTP/2: how many requests the connection can take has changed: a place became free, the server's settings came, or it takes no more
   * requests at all (`isReusable` is false then, and stays so).
   */
  onSessionRoom?(session: ClientSession): void;
  /**
   * HTTP/1: the connection becomes a tunnel. `onSessionClose` follows at once, and nothing after that.
   *
   * @returns the stream that the exchange is given, paused: that of the session, or one in its place that tells the owner more
   */
  onSessionTunnel?(session: ClientSession): L4Stream;
  /** The connection is gone, or is a tunnel from now on; once. `isDirty`: the peer sent bytes that belong to no exchange (HTTP/1 only). */
  onSessionClose(session: ClientSession, error: WireError | null, isDirty: boolean): void;
}
