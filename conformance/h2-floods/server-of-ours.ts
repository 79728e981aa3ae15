/**
 * `HttpServer` of `@ferrata/http` as a process of its own: under attack, or, with a second argument `origin`, behind a proxy that is. The first argument
 * is a JSON object of options for the server.
 */
import { HeaderMap, HttpVersion, responseHead } from '@ferrata/headers';
import { HttpServer, type HttpServerOptions, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { serve } from '../rig/serve.ts';
import { BIG_BYTES, BIG_ORIGIN_BYTES, BIG_PIECE_BYTES, reportTo } from './behaviour.ts';

let begun = 0;
let closed = 0;

/** An origin answers from memory that it has, so that the delay which is measured is the proxy's. */
const ready = process.argv[3] === 'origin' ? new Uint8Array(BIG_ORIGIN_BYTES) : null;
const bigBytes = ready?.length ?? BIG_BYTES;
const options = JSON.parse(process.argv[2] ?? '{}') as HttpServerOptions;
const server = new HttpServer({ onRequest: (exchange) => new Answer(exchange) }, options);
const { port } = await serve(server);
reportTo(process, port, () => ({ begun, closed, connections: server.connectionCount }));

/** One answer, by the path. */
class Answer implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;
  readonly #path: string;
  readonly #isCounted: boolean;
  #unsent = 0;
  #received = 0;

  constructor(exchange: ServerExchange) {
    // By HTTP/1 nobody learns that a client is gone whose bytes are not read.
    this.#isCounted = exchange.request.target !== '/stuck' || exchange.request.version === HttpVersion.http2;
    if (this.#isCounted) begun++;
    this.#exchange = exchange;
    this.#path = exchange.request.target;
    if (exchange.request.method === 'CONNECT') {
      respond(exchange, 405);
      return;
    }
    switch (this.#path) {
      case '/wait':
      case '/read':
        break;
      case '/stuck':
        exchange.pauseRequest();
        break;
      case '/big':
        this.#unsent = bigBytes;
        exchange.sendHead(responseHead(200, { headers: HeaderMap.from({}) }), bigBytes);
        this.#write();
        break;
      case '/token':
        respond(exchange, 200, { body: exchange.request.headers.get('x-token') ?? '' });
        break;
      default:
        respond(exchange, 200, { body: 'ok' });
    }
  }

  onRequestData(chunk: Uint8Array): void {
    this.#received += chunk.length;
  }

  onRequestEnd(): void {
    if (this.#path === '/read') respond(this.#exchange, 200, { body: String(this.#received) });
  }

  onResponseDrain(): void {
    this.#write();
  }

  onExchangeClose(): void {
    if (this.#isCounted) closed++;
    this.#unsent = 0;
  }

  #write(): void {
    while (this.#unsent > 0) {
      const piece = ready ?? new Uint8Array(Math.min(BIG_PIECE_BYTES, this.#unsent));
      this.#unsent -= piece.length;
      const goesOn = this.#exchange.sendData(piece);
      if (this.#unsent === 0) this.#exchange.sendEnd();
      if (!goesOn) return;
    }
  }
}
