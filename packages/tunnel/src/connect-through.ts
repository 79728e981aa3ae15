/**
 * A tunnel through a proxy by CONNECT, over either version of HTTP: the client's side.
 *
 * ```text
 *   connectThrough ── CONNECT host:port ──► proxy ──► 2xx ──────► the stream, paused, with what came behind the head
 *                                             ├─────► other ────► TUNNEL_REFUSED, with the response
 *                                             ├─────► nothing ──► TUNNEL_TIMEOUT
 *                                             └─────► gone ─────► TUNNEL_CLOSED
 * ```
 * Rules of this file:
 * - Over HTTP/1 the whole connection becomes the tunnel, over HTTP/2 one stream of it.
 * - Any 2xx makes the tunnel; its Content-Length means nothing (RFC 9110 §9.3.6). A Transfer-Encoding on it is an error: whoever writes one may also write
 *   chunks, and the first of them would be read as bytes of the tunnel.
 * - None of its errors may be retried blindly: the proxy may have connected, and what it connected to may count connections.
 *
 * @see RFC 9110 §9.3.6 · RFC 9112 §3.2.3 · RFC 9113 §8.5
 */
import { checkNumber, connectError, ioError, protocolError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import {
  type Authority,
  formatAuthority,
  type HeaderInit,
  HeaderMap,
  KnownHeader,
  parseAuthority,
  type RequestHead,
  type ResponseHead,
  requestHead,
} from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ClientSession, HttpEnvironment, Tunnel } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { park } from './internal/parking.ts';

/** How to make a tunnel. */
export interface ConnectThroughOptions {
  /** Where time comes from. */
  readonly environment: HttpEnvironment;
  /** Fields beside Host, which is the authority (RFC 9110 §7.2): Proxy-Authorization, User-Agent. Default none. */
  readonly headers?: HeaderInit;
  /** From the request to the head of the answer, above 0; default 5 000 ms. Raising it lets a proxy that is stuck hold the caller. */
  readonly timeoutMs?: number;
  /** Called with the head of a 2xx, before the stream is given out. A throw refuses the tunnel (`TUNNEL_RESPONSE_REJECTED`). Default: nothing. */
  readonly onResponse?: (head: ResponseHead) => void;
  /** Gives up waiting; `TUNNEL_ABORTED`. A tunnel that is made already is not touched. */
  readonly signal?: AbortSignal;
}

/** What a proxy has answered instead of making a tunnel: the `cause` of `TUNNEL_REFUSED`. */
export class ConnectRefusal extends Error {
  /** The head of its response. */
  readonly response: ResponseHead;

  constructor(response: ResponseHead) {
    const { status, reason, headers } = response;
    // RFC 9209: the proxy's own account of what went wrong, if it gives one.
    const proxyStatus = headers.combined('Proxy-Status');
    super(`${status} ${reason}`.trimEnd() + (proxyStatus === undefined ? '' : ` (Proxy-Status: ${proxyStatus.slice(0, 256)})`));
    this.response = response;
  }

  override get name(): string {
    return 'ConnectRefusal';
  }
}

/**
 * Asks the server of `session`, a proxy, for a tunnel to `authority`.
 *
 * The stream that results is paused until a sink is attached; what the other end has said already comes first. Over HTTP/1 the session is used up.
 *
 * @param authority `host:port`, an IPv6 address in brackets; or its parts, an IPv6 address without them
 * @returns a promise of the stream. It is rejected with a `WireError`: `connect TUNNEL_REFUSED` (its `cause` is a `ConnectRefusal`),
 *   `connect TUNNEL_CLOSED`, `timeout TUNNEL_TIMEOUT`, `protocol TUNNEL_TRANSFER_ENCODING`, `connect TUNNEL_NO_SESSION` (nothing was sent: retry
 *   `always`), `io TUNNEL_ABORTED`, `application TUNNEL_RESPONSE_REJECTED`
 * @throws {TypeError} (as a rejection) when the authority has no host and port, or a field is invalid
 * @throws {RangeError} (as a rejection) when `timeoutMs` is not above 0, or longer than the environment's deadlines can wait
 * @see RFC 9110 §9.3.6
 */
export function connectThrough(session: ClientSession, authority: string | Authority, options: ConnectThroughOptions): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    new TunnelRequest(session, options, resolve, reject).start(authority);
  });
}

/** One CONNECT, until it has its answer. */
class TunnelRequest implements ClientExchangeHandler {
  readonly #session: ClientSession;
  readonly #options: ConnectThroughOptions;
  readonly #resolve: (stream: L4Stream) => void;
  readonly #reject: (error: Error) => void;
  readonly #onAbort = (): void => this.#giveUp(ioError('TUNNEL_ABORTED', 'the caller gave up', { retry: 'never', fault: 'local' }));
  #exchange: ClientExchange | null = null;
  #deadline: Deadline | null = null;
  #isSettled = false;

  constructor(session: ClientSession, options: ConnectThroughOptions, resolve: (stream: L4Stream) => void, reject: (error: Error) => void) {
    this.#session = session;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** What it throws rejects the promise. */
  start(authority: string | Authority): void {
    const { environment, headers, signal, timeoutMs = 5_000 } = this.#options;
    checkNumber('timeoutMs', timeoutMs, { above: 0, max: environment.deadlines.maxDelayMs });
    const head = connectHead(authority, headers);
    if (signal?.aborted === true) {
      this.#onAbort();
      return;
    }
    if (!this.#session.isReusable) {
      this.#fail(
        connectError('TUNNEL_NO_SESSION', 'the connection to the proxy takes no request', { retry: 'always', source: 'upstream' }),
      );
      return;
    }
    this.#exchange = this.#session.request(head, { bodyLength: 0, upgrade: null }, this);
    this.#deadline = environment.deadlines.deadline(() => this.#handleTimeout(timeoutMs));
    this.#deadline.arm(timeoutMs);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  #handleTimeout(timeoutMs: number): void {
    const message = `the proxy did not answer CONNECT within ${timeoutMs} ms`;
    this.#giveUp(timeoutError('TUNNEL_TIMEOUT', message, { retry: 'never', source: 'upstream' }));
  }

  // ---- the exchange's calls ------------------------------------------------------------------------------------------------------

  onInterim(): void {}

  onResponse(head: ResponseHead): void {
    const cause = new ConnectRefusal(head);
    this.#giveUp(connectError('TUNNEL_REFUSED', `the proxy answered ${cause.message}`, { cause, retry: 'never', source: 'upstream' }));
  }

  onTunnel(head: ResponseHead, { stream, remaining }: Tunnel): void {
    const error = this.#isSettled ? ioError('TUNNEL_ABORTED', 'the answer came too late', { retry: 'never' }) : this.#faultOf(head);
    if (error !== null) {
      stream.abort(error);
      this.#fail(error);
      return;
    }
    park(stream, remaining);
    this.#settle();
    this.#resolve(stream);
  }

  /** What is wrong with a 2xx. */
  #faultOf(head: ResponseHead): WireError | null {
    if (head.headers.hasKnown(KnownHeader.transferEncoding)) {
      const details = { wire: { status: 502 }, source: 'upstream', retry: 'never' } as const;
      return protocolError('TUNNEL_TRANSFER_ENCODING', `${head.status} to CONNECT with a Transfer-Encoding`, details);
    }
    try {
      this.#options.onResponse?.(head);
      return null;
    } catch (thrown) {
      return toWireError(thrown, 'TUNNEL_RESPONSE_REJECTED');
    }
  }

  onResponseData(): void {}
  onResponseEnd(): void {}
  onRequestDrain(): void {}

  onClientClose(cause: WireError | null): void {
    const message = 'the proxy closed the connection instead of answering CONNECT';
    this.#fail(connectError('TUNNEL_CLOSED', message, { retry: 'never', source: 'upstream', ...(cause === null ? {} : { cause }) }));
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

/** The head of the request: authority-form, Host the same, then the caller's fields (RFC 9112 §3.2.3). */
function connectHead(given: string | Authority, fields: HeaderInit | undefined): RequestHead {
  const authority = typeof given === 'string' ? parseAuthority(given) : parseAuthority(formatAuthority(given));
  if (authority === null || authority.port === null || authority.port === 0)
    throw new TypeError(`CONNECT needs host:port, not ${JSON.stringify(typeof given === 'string' ? given : formatAuthority(given))}`);
  const target = formatAuthority(authority);
  const headers = HeaderMap.from({ Host: target });
  if (fields !== undefined) {
    const extra = fields instanceof HeaderMap ? fields : HeaderMap.from(fields);
    for (let line = 0; line < extra.size; line++) {
      const name = extra.nameAt(line);
      if (name.toLowerCase() !== 'host') headers.append(name, extra.valueAt(line));
    }
  }
  return requestHead('CONNECT', target, { headers });
}
