/**
 * A process with our server in it: answers every request with 200 and the body given on the command line, and tells its parent its port. With
 * `alpn` behind the body its connections are HTTP/2 from the first byte on, as where TLS has agreed on it.
 */
import { latin1Encode } from '@ferrata/bytes';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { HttpServer, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { type L4Stream, type TlsDigest, tapped } from '@ferrata/stream';

const body = latin1Encode(process.argv[2] ?? '');
const isAlpn = process.argv[3] === 'alpn';

/** Answers once the request is whole, so that a stream is open for as long as h2spec leaves it so. */
class Answering implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
  }

  onRequestData(): void {}

  onRequestEnd(): void {
    this.#exchange.sendHead(responseHead(200, { headers: HeaderMap.from([['Content-Type', 'text/plain']]) }), body.length);
    if (this.#exchange.request.method !== 'HEAD') this.#exchange.sendData(body);
    this.#exchange.sendEnd(null);
  }

  onResponseDrain(): void {}

  onExchangeClose(): void {}
}

const server = new HttpServer({ onRequest: (exchange) => new Answering(exchange) });
const listener = await listen('127.0.0.1:0', (stream) => server.accept(isAlpn ? withAlpn(stream) : stream));
process.send?.(listener.address.kind === 'ip' ? listener.address.port : 0);
process.on('disconnect', () => process.exit());

/** A stream that says that its handshake settled on `h2` (RFC 9113 §3.2); its bytes are those of the stream below. */
function withAlpn(below: L4Stream): L4Stream {
  const tls: TlsDigest = {
    version: 'TLSv1.3',
    cipher: 'none',
    alpn: 'h2',
    serverName: null,
    isResumed: false,
    peerCertificate: null,
    isPeerVerified: false,
    extension: undefined,
  };
  return tapped(below, {}, { ...below.info, tls, below: below.info });
}
