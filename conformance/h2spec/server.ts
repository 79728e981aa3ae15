/** A process with our server in it: answers every request with 200 and the body given on the command line, and tells its parent its port. */
import { latin1Encode } from '@ferrata/bytes';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { HttpServer, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';

const body = latin1Encode(process.argv[2] ?? '');

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
const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
process.send?.(listener.address.kind === 'ip' ? listener.address.port : 0);
process.on('disconnect', () => process.exit());
