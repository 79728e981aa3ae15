/** A server on @ferrata/http that answers `/SIZE` (`/100`, `/16k`, `/1m`) by itself, and `/wait` never. */
import { HttpServer, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { announce } from '../../proxy/baselines/serve.ts';
import { bodyOf } from './bodies.ts';

const followed: ServerExchangeHandler = {
  onRequestData() {},
  onRequestEnd() {},
  onResponseDrain() {},
  onExchangeClose() {},
};

const server = new HttpServer({
  onRequest(exchange: ServerExchange) {
    const body = bodyOf(exchange.request.target);
    if (body !== null) respond(exchange, 200, { headers: { 'Content-Type': 'text/plain' }, body });
    return followed;
  },
});
const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
if (listener.address.kind === 'ip') announce(listener.address.port);
process.once('SIGTERM', () => process.exit(0));
