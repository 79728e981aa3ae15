/**
 * An upstream without a socket: each connection to it is a pair in memory, the other end of which an application of this very program serves:
 * `node examples/virtual-l4.ts 127.0.0.1:8080`.
 *
 * `connect` may give any stream: a tunnel, a pipe of a child process, a line that a test breaks. Pools, time-outs, TLS (`tls`) and HTTP/2 (`protocol`) run over
 * it as they do over TCP.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer, respond, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress, memoryPair } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [at = '127.0.0.1:8080'] = process.argv.slice(2);
const environment = new HttpEnvironment();

let connections = 0;
const answered: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
const inside = new HttpServer(
  {
    onRequest(exchange) {
      respond(exchange, 200, { body: `${exchange.request.target} over connection ${connections}\n` });
      return answered;
    },
  },
  { environment },
);

const origin = peer('inside.example:80', {
  // The address only gives the peer its name: nothing looks it up.
  connect: async () => {
    const { a, b } = memoryPair();
    connections++;
    inside.accept(b);
    return a;
  },
});
const proxy = new HttpProxy({ upstreamPeer: () => origin }, { environment });

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`try: curl -i http://${where}/a http://${where}/b`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
inside.close();
