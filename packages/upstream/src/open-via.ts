/**
 * A hop through a proxy by CONNECT, over HTTP/1.1: the connection to the proxy becomes a tunnel to the peer.
 *
 * ```text
 *   connected to the proxy ── CONNECT host:port ──► 2xx ──────► the stream, paused, with what came behind the head
 *                                              ├──► other ────► CONNECT_PROXY_REFUSED, with the response
 *                                              ├──► gone ─────► CONNECT_PROXY_CLOSED
 *                                              └──► nothing ──► the time-out of connecting
 * ```
 * Rules of this file:
 * - Any 2xx makes the tunnel; its Content-Length means nothing (RFC 9110 §9.3.6). A Transfer-Encoding on it is an error: whoever writes one may also write
 *   chunks, and the first of them would be read as bytes of the peer.
 * - A refusal's body is not read: the connection to the proxy ends with it.
 *
 * @see RFC 9110 §9.3.6 · RFC 9112 §3.2.3 · RFC 9209 (Proxy-Status)
 */
import { connectError, protocolError, textOf, toWireError, type WireError, withSource } from '@ferrata/error';
import {
  formatAuthority,
  HeaderMap,
  KnownHeader,
  type ReadonlyHeaderMap,
  type RequestHead,
  type ResponseHead,
  requestHead,
} from '@ferrata/headers';
import { type ClientExchangeHandler, type ClientSessionOwner, Http1ClientSession, type HttpEnvironment, type Tunnel } from '@ferrata/http';
import { formatNetAddress } from '@ferrata/net';
import { type L4Stream, park, type StreamInfo, tapped } from '@ferrata/stream';
import { dropStream } from './open-stream.ts';
import type { Peer } from './peer.ts';
import type { PeerVia } from './peer-via.ts';

/** What of a reason phrase or a Proxy-Status goes into a message. */
const MAX_TEXT_LENGTH = 256;

/** What the proxy has answered instead of making a tunnel: the `cause` of `CONNECT_PROXY_REFUSED`. */
export class ConnectProxyRefusal extends Error {
  readonly status: number;
  readonly reason: string;
  /** The proxy's own account of what went wrong (RFC 9209), if it gives one. */
  readonly proxyStatus: string | null;
  readonly response: ResponseHead;

  constructor(response: ResponseHead) {
    const proxyStatus = response.headers.combined('Proxy-Status') ?? null;
    const words = `${response.status} ${response.reason.slice(0, MAX_TEXT_LENGTH)}`.trimEnd();
    super(words + (proxyStatus === null ? '' : ` (Proxy-Status: ${proxyStatus.slice(0, MAX_TEXT_LENGTH)})`));
    this.status = response.status;
    this.reason = response.reason;
    this.proxyStatus = proxyStatus;
    this.response = response;
  }

  override get name(): string {
    return 'ConnectProxyRefusal';
  }
}

/** How a connection came through a proxy: the `extension` of a layer of its stream's `info`; see `proxyDigestOf`. */
export class ProxyDigest {
  /** The head that was sent. */
  readonly request: RequestHead;
  /** The head that made the tunnel. */
  readonly response: ResponseHead;
  /** What `via.readResponse` made of it; undefined without that. */
  readonly userData: unknown;

  constructor(request: RequestHead, response: ResponseHead, userData: unknown) {
    this.request = request;
    this.response = response;
    this.userData = userData;
  }
}

/** The proxy that a connection came through last, looked for in all its layers; null if there was none. */
export function proxyDigestOf(info: StreamInfo): ProxyDigest | null {
  for (let layer: StreamInfo | null = info; layer !== null; layer = layer.below) {
    if (layer.extension instanceof ProxyDigest) return layer.extension;
  }
  return null;
}

/** What goes with a connection to a proxy. */
export interface ViaOptions {
  readonly peer: Peer;
  readonly via: PeerVia;
  readonly environment: HttpEnvironment;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/**
 * Asks the proxy at the other end of `stream` for a tunnel.
 *
 * @returns the tunnel, paused until a sink is attached; what the peer has said already comes first
 * @throws {WireError} rejects with `connect CONNECT_PROXY_REFUSED` (its `cause` is a `ConnectProxyRefusal`), `connect CONNECT_PROXY_CLOSED`,
 *   `protocol CONNECT_PROXY_TRANSFER_ENCODING`, `internal CONNECT_PROXY_READER_THREW`, or what is wrong with the answer; the stream is gone then
 */
export function openVia(stream: L4Stream, options: ViaOptions): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    try {
      new ProxyHop(stream, options, resolve, reject).start();
    } catch (thrown) {
      // A stream of the user's.
      dropStream(stream);
      throw thrown;
    }
  });
}

/** Nobody keeps this session: what becomes of it, its one exchange tells. */
const NO_OWNER: ClientSessionOwner = { onSessionIdle() {}, onSessionClose() {} };

class ProxyHop implements ClientExchangeHandler {
  readonly #options: ViaOptions;
  readonly #session: Http1ClientSession;
  readonly #request: RequestHead;
  readonly #resolve: (stream: L4Stream) => void;
  readonly #reject: (error: WireError) => void;
  readonly #handleAbort = (): void => this.#fail(this.#closed(null));
  #isSettled = false;

  constructor(stream: L4Stream, options: ViaOptions, resolve: (stream: L4Stream) => void, reject: (error: WireError) => void) {
    this.#options = options;
    this.#session = new Http1ClientSession(stream, options.environment, options.via.proxy.client, NO_OWNER);
    this.#request = connectHead(options.peer, options.via.headers);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { signal } = this.#options;
    signal.addEventListener('abort', this.#handleAbort, { once: true });
    this.#session.start();
    if (signal.aborted) return this.#handleAbort();
    this.#session.request(this.#request, { bodyLength: 0, upgrade: null }, this);
  }

  // ---- the exchange's calls ------------------------------------------------------------------------------------------------------

  onInterim(): void {}

  onResponse(head: ResponseHead): void {
    const cause = new ConnectProxyRefusal(head);
    const message = `the proxy answered ${cause.message}`;
    this.#fail(connectError('CONNECT_PROXY_REFUSED', message, { cause, wire: { status: 502 }, context: this.#place }));
  }

  onTunnel(head: ResponseHead, { stream, remaining }: Tunnel): void {
    if (this.#isSettled) return stream.abort();
    const userData = this.#read(head, stream);
    // Somebody's function may have given up meanwhile.
    if (this.#isSettled) return;
    park(stream, remaining);
    this.#settle();
    const { localAddress, remoteAddress, timing } = stream.info;
    const established = { startedAt: timing.startedAt, establishedAt: this.#options.environment.now() };
    const extension = new ProxyDigest(this.#request, head, userData);
    // The tunnel's own bytes are nobody's TLS, whatever lies below.
    const info = { kind: 'connect', localAddress, remoteAddress, tls: null, timing: established, below: stream.info, extension };
    this.#resolve(tapped(stream, {}, info));
  }

  onResponseData(): void {}
  onResponseEnd(): void {}
  onRequestDrain(): void {}

  onClientClose(error: WireError | null): void {
    this.#fail(this.#closed(error));
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  /** Looks at a 2xx, and shows it to the user's function. */
  #read(head: ResponseHead, stream: L4Stream): unknown {
    try {
      if (head.headers.hasKnown(KnownHeader.transferEncoding))
        throw protocolError('CONNECT_PROXY_TRANSFER_ENCODING', `${head.status} to CONNECT with a Transfer-Encoding`, {
          wire: { status: 502 },
          context: this.#place,
        });
      return this.#options.via.readResponse?.(head, this.#request);
    } catch (thrown) {
      const error = toWireError(thrown, 'CONNECT_PROXY_READER_THREW');
      stream.abort(error);
      this.#fail(error);
      return undefined;
    }
  }

  /** The proxy is gone, or what it says is no answer. */
  #closed(cause: WireError | null): WireError {
    if (cause !== null && cause.type !== 'io' && cause.reason !== 'H1_CLOSED_BEFORE_RESPONSE') return cause;
    const message = `the proxy did not answer CONNECT${cause === null ? '' : `: ${textOf(cause)}`}`;
    return connectError('CONNECT_PROXY_CLOSED', message, { context: this.#place, ...(cause === null ? {} : { cause }) });
  }

  #fail(error: WireError): void {
    if (this.#isSettled) return;
    this.#settle();
    error.retry = 'never';
    this.#session.close();
    this.#reject(withSource(error, 'upstream'));
  }

  #settle(): void {
    this.#isSettled = true;
    this.#options.signal.removeEventListener('abort', this.#handleAbort);
  }

  get #place(): string {
    return formatNetAddress(this.#options.via.proxy.address);
  }
}

/** Authority-form, Host the same, then the fields of the user (RFC 9112 §3.2.3). */
function connectHead({ address }: Peer, fields: ReadonlyHeaderMap): RequestHead {
  if (address.kind === 'unix') throw new TypeError('a Unix socket cannot be reached through a proxy');
  const target = formatAuthority({ host: address.host, port: address.port });
  const headers = HeaderMap.from({ Host: target });
  for (let line = 0; line < fields.size; line++) headers.append(fields.nameAt(line), fields.valueAt(line));
  return requestHead('CONNECT', target, { headers });
}
