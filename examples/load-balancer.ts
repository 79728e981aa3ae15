/**
 * A gateway to several origins, in turn; one that cannot be reached is passed over: `node examples/load-balancer.ts 127.0.0.1:8080 127.0.0.1:3000 127.0.0.1:3001`.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';

/** How long an origin that could not be reached gets no requests. */
const PAUSE_MS = 5_000;

const [at = '127.0.0.1:8080', ...to] = process.argv.slice(2);
const addresses = to.length > 0 ? to : ['127.0.0.1:3000', '127.0.0.1:3001'];
const origins = addresses.map((address) => peer(address, { connectTimeoutMs: 1_000 }));
const pausedUntil = new Map<Peer, number>();
let turn = 0;

/** The next in turn that is not paused; if all are, the next: an error of its own tells more than one of ours. */
function next(): Peer {
  const now = performance.now();
  for (let tried = 0; tried < origins.length; tried++) {
    const origin = origins[turn++ % origins.length] as Peer;
    if ((pausedUntil.get(origin) ?? 0) <= now) return origin;
  }
  return origins[turn++ % origins.length] as Peer;
}

const environment = new HttpEnvironment();
const proxy = new HttpProxy(
  {
    // Asked again for each attempt.
    upstreamPeer: next,
    failToConnect(_session, origin, error) {
      console.log(`${origin.authority} is away: ${error.reason}`);
      pausedUntil.set(origin, performance.now() + PAUSE_MS);
      // Nothing was sent yet, so any request may go elsewhere, whatever the reason: a certificate that is no good, too.
      error.retry = 'always';
    },
    upstreamRequestFilter: appendForwarded,
    responseFilter: (session, response) => void response.headers.set('X-Origin', session.peer?.authority ?? ''),
  },
  { environment, maxRetries: origins.length - 1 },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${String(addresses[0])}   and the others, or some of them`);
console.log(`try: for i in 1 2 3 4; do curl -si http://${where}/ | grep X-Origin; done`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
