/**
 * A reverse proxy with a log, in one file: `node examples/reverse-proxy.ts 127.0.0.1:3000 127.0.0.1:8080`.
 *
 * The command `ferrata` does the same and more; this is where to start for a proxy that decides for itself.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8080'] = process.argv.slice(2);

// One environment a thread: its clock and timers, and the buffer in which small writes are joined.
const environment = new HttpEnvironment();
const origin = peer(to, { connectTimeoutMs: 1_000 });
const proxy = new HttpProxy(
  {
    upstreamPeer: () => origin,
    upstreamRequestFilter: appendForwarded,
    logging({ request, status, timing }, error) {
      console.log(status, request.method, request.target, `${(timing.endedAt - timing.startedAt).toFixed(1)} ms`, error?.reason ?? '');
    },
  },
  { environment, onRefused: ({ status, error }) => console.log(status, 'refused', error.reason) },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
console.log(`ready ${formatAddress(listener.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
