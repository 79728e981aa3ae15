/** A server that answers by itself and sends uploads back at the pace of the reader: `node examples/http-server.ts 127.0.0.1:3000`. */
import { once } from 'node:events';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { type HttpApplication, HttpServer, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { formatAddress } from '@ferrata/stream';

const [at = '127.0.0.1:3000'] = process.argv.slice(2);

const application: HttpApplication = {
  onRequest(exchange) {
    const { method, target } = exchange.request;
    if (method === 'POST') return new Echo(exchange);
    respond(exchange, target === '/' ? 200 : 404, {
      headers: { Server: 'example' },
      body: target === '/' ? 'hello\n' : `nothing at ${target}\n`,
    });
    return answered;
  },
};

/** Follows a request that is answered already. */
const answered: ServerExchangeHandler = {
  onRequestData() {},
  onRequestEnd() {},
  onResponseDrain() {},
  onExchangeClose() {},
};

/** Sends each piece back. Nothing is gathered: a slow reader slows the sender down. */
class Echo implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
    const type = exchange.request.headers.get('content-type') ?? 'application/octet-stream';
    exchange.sendHead(responseHead(200, { headers: HeaderMap.from({ 'Content-Type': type }) }), exchange.requestBodyLength);
  }

  onRequestData(chunk: Uint8Array): void {
    if (!this.#exchange.sendData(chunk)) this.#exchange.pauseRequest();
  }

  onResponseDrain(): void {
    this.#exchange.resumeRequest();
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    this.#exchange.sendEnd(trailers);
  }

  onExchangeClose(): void {}
}

const server = new HttpServer(application);
const listener = await listen(at, (stream) => server.accept(stream));
console.log(`ready ${formatAddress(listener.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
