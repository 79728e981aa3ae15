/**
 * A tunnel by CONNECT, over either version of HTTP: the server's side, for one exchange.
 *
 * The stream that results looks after its exchange: when it has closed, so has that. An application that calls `openTunnel` by itself must do that.
 */
import { type Authority, parseAuthority, type RequestHead, type ResponseHead, responseHead } from '@ferrata/headers';
import type { ServerExchange } from '@ferrata/http';
import { type L4Stream, park, type StreamInfo, tapped } from '@ferrata/stream';

/** What a client asks for by CONNECT; the `info.extension` of the stream that `acceptConnect` makes. */
export class ConnectRequest {
  /** To where. The port is never null, and not 0. */
  readonly authority: Authority & { readonly port: number };
  readonly head: RequestHead;
  /** Of the connection that the request came on. */
  readonly info: StreamInfo;

  /** @throws {TypeError} when the exchange is no CONNECT to a host and port */
  constructor(exchange: ServerExchange) {
    const { request, protocol, info } = exchange;
    const authority = request.method === 'CONNECT' && protocol === null ? parseAuthority(request.target) : null;
    if (authority === null || authority.port === null || authority.port === 0)
      throw new TypeError('the request is no CONNECT to host:port');
    this.authority = { host: authority.host, port: authority.port };
    this.head = request;
    this.info = info;
  }
}

/** The CONNECT that a stream was made by, looked for in all its layers; null if there was none. */
export function connectRequestOf(info: StreamInfo): ConnectRequest | null {
  for (let layer: StreamInfo | null = info; layer !== null; layer = layer.below) {
    if (layer.extension instanceof ConnectRequest) return layer.extension;
  }
  return null;
}

/**
 * Answers 2xx to CONNECT and gives the tunnel as a stream, paused until a sink is attached; what the client has said already comes first.
 *
 * @param head what to answer; default 200 without fields
 * @throws {TypeError} when the request is no CONNECT to a host and port, it was answered already, or the status makes no tunnel
 * @throws {WireError} over HTTP/2 when the client takes no head of that size (`H2_PEER_HEADER_LIST`); the exchange has ended
 * @see RFC 9110 §9.3.6
 */
export function acceptConnect(exchange: ServerExchange, head: ResponseHead = responseHead(200)): L4Stream {
  const request = new ConnectRequest(exchange);
  const { stream, remaining } = exchange.openTunnel(head);
  const { localAddress, remoteAddress, timing } = stream.info;
  const tunnel = tapped(
    stream,
    { onClose: (error) => exchange.closeTunnel(error) },
    // The tunnel's own bytes are nobody's TLS, whatever lies below.
    { kind: 'connect', localAddress, remoteAddress, tls: null, timing, below: stream.info, extension: request },
  );
  park(tunnel, remaining);
  return tunnel;
}
