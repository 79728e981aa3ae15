/**
 * A process with our server in it: answers every request with 200 and the body given on the command line, and tells its parent its port. With
 * `alpn` behind the body its connections are HTTP/2 from the first byte on, as where TLS has agreed on it.
 */
import { latin1Encode } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { HttpServer, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';
import type { L4Sink, L4Stream, StreamInfo, StreamState } from '@ferrata/stream';

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

/** A stream that says that its handshake settled on `h2` (RFC 9113 §3.2); its bytes are those of the stream below. */
class AlpnStream implements L4Stream {
  readonly info: StreamInfo;
  readonly #below: L4Stream;

  constructor(below: L4Stream) {
    this.#below = below;
    const tls = {
      version: 'TLSv1.3',
      cipher: 'none',
      alpn: 'h2',
      serverName: null,
      isResumed: false,
      peerCertificate: null,
      isPeerVerified: false,
      extension: undefined,
    };
    this.info = { ...below.info, tls, below: below.info };
  }

  get id(): number {
    return this.#below.id;
  }
  get state(): StreamState {
    return this.#below.state;
  }
  get bufferedBytes(): number {
    return this.#below.bufferedBytes;
  }
  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#below.attach(sink, head);
  }
  write(chunk: Uint8Array): boolean {
    return this.#below.write(chunk);
  }
  writev(chunks: readonly Uint8Array[]): boolean {
    return this.#below.writev(chunks);
  }
  pause(): void {
    this.#below.pause();
  }
  resume(): void {
    this.#below.resume();
  }
  end(): void {
    this.#below.end();
  }
  abort(error?: WireError): void {
    this.#below.abort(error);
  }
}

const server = new HttpServer({ onRequest: (exchange) => new Answering(exchange) });
const listener = await listen('127.0.0.1:0', (stream) => server.accept(isAlpn ? new AlpnStream(stream) : stream));
process.send?.(listener.address.kind === 'ip' ? listener.address.port : 0);
process.on('disconnect', () => process.exit());
