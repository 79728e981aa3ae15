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
 * - Where the proxy may have seen the request, nothing may be retried blindly: it may have connected, and what it connected to may count connections.
 * - Asking, waiting and giving up are `TunnelRequest`'s.
 *
 * @see RFC 9110 §9.3.6 · RFC 9112 §3.2.3 · RFC 9113 §8.5
 */
import { checkNumber, protocolError, toWireError, type WireError } from '@ferrata/error';
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
import type { ClientSession, HttpEnvironment } from '@ferrata/http';
import { type L4Stream, watchAnswer } from '@ferrata/stream';
import { askForTunnel, statusText, type TunnelQuestion } from './internal/tunnel-request.ts';

const REASONS = {
  noSession: 'TUNNEL_NO_SESSION',
  aborted: 'TUNNEL_ABORTED',
  timeout: 'TUNNEL_TIMEOUT',
  refused: 'TUNNEL_REFUSED',
  closed: 'TUNNEL_CLOSED',
} as const;

/** How to make a tunnel. */
export interface ConnectThroughOptions {
  /** Where time comes from. */
  readonly environment: HttpEnvironment;
  /** Fields beside Host, which is the authority (RFC 9110 §7.2): Proxy-Authorization, User-Agent. Default none. */
  readonly headers?: HeaderInit;
  /**
   * From the request to the head of the answer, above 0; default 5 000 ms. Raising it lets a proxy that is stuck hold the caller. The session has a time of its
   * own for that, `connection.firstByteTimeoutMs` (60 000 ms unless it was told otherwise), which ends a longer wait by `TUNNEL_CLOSED`.
   */
  readonly timeoutMs?: number;
  /**
   * Called with the head of a 2xx, before the stream is given out. A throw refuses the tunnel: with the `WireError` thrown, else with
   * `internal TUNNEL_RESPONSE_REJECTED`. A promise is not awaited; if it rejects, the stream is reset with the same. Default: nothing.
   */
  readonly onResponse?: (head: ResponseHead) => void;
  /** Gives up waiting; `TUNNEL_ABORTED`. A tunnel that is made already is not touched. */
  readonly signal?: AbortSignal;
}

/** What a proxy has answered instead of making a tunnel: the `cause` of `TUNNEL_REFUSED`. */
export class ConnectRefusal extends Error {
  /** The head of its response. */
  readonly response: ResponseHead;

  constructor(response: ResponseHead) {
    // RFC 9209: the proxy's own account of what went wrong, if it gives one.
    const proxyStatus = response.headers.combined('Proxy-Status');
    super(statusText(response) + (proxyStatus === undefined ? '' : ` (Proxy-Status: ${proxyStatus.slice(0, 256)})`));
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
 *   `connect TUNNEL_CLOSED` (retry `always` if the proxy has not looked at the request), `timeout TUNNEL_TIMEOUT`, `protocol TUNNEL_TRANSFER_ENCODING`,
 *   `connect TUNNEL_NO_SESSION` (nothing was sent: retry `always`), `io TUNNEL_ABORTED`, `internal TUNNEL_RESPONSE_REJECTED`, or the `WireError` that
 *   `onResponse` threw
 * @throws {TypeError} (as a rejection) when the authority has no host and port, or a field is invalid
 * @throws {RangeError} (as a rejection) when `timeoutMs` is not above 0, or longer than the environment's deadlines can wait
 * @see RFC 9110 §9.3.6
 */
export async function connectThrough(
  session: ClientSession,
  authority: string | Authority,
  options: ConnectThroughOptions,
): Promise<L4Stream> {
  const { environment, headers, onResponse, signal, timeoutMs = 5_000 } = options;
  checkNumber('timeoutMs', timeoutMs, { above: 0, max: environment.deadlines.maxDelayMs });
  const question: TunnelQuestion<void> = {
    head: connectHead(authority, headers),
    framing: { bodyLength: 0, upgrade: null },
    unavailable: session.isReusable ? null : 'the connection to the proxy takes no request',
    reasons: REASONS,
    asked: 'the proxy',
    subject: 'CONNECT',
    refusalOf: (head) => new ConnectRefusal(head),
    accept: (head, stream) => accept(head, stream, onResponse),
  };
  const { stream } = await askForTunnel(session, question, { environment, timeoutMs, signal });
  return stream;
}

/** Looks at a 2xx, and shows it to the caller. What it throws refuses the tunnel. */
function accept(head: ResponseHead, stream: L4Stream, onResponse: ((head: ResponseHead) => void) | undefined): void {
  if (head.headers.hasKnown(KnownHeader.transferEncoding)) {
    const details = { wire: { status: 502 }, source: 'upstream', retry: 'never' } as const;
    throw protocolError('TUNNEL_TRANSFER_ENCODING', `${head.status} to CONNECT with a Transfer-Encoding`, details);
  }
  if (onResponse === undefined) return;
  const rejected = (thrown: unknown): WireError => toWireError(thrown, 'TUNNEL_RESPONSE_REJECTED');
  try {
    // An `async` function may come too late to refuse the tunnel, which is reset then.
    watchAnswer(onResponse(head), (thrown) => stream.abort(rejected(thrown)));
  } catch (thrown) {
    throw rejected(thrown);
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
