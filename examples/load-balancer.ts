/**
 * A gateway to several origins, in turn; one that cannot be reached is passed over: `node examples/load-balancer.ts 127.0.0.1:8080 127.0.0.1:3000 127.0.0.1:3001`.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { LoadBalancer } from '@ferrata/load-balancing';
import { listen } from '@ferrata/net';
import { appendForwarded, balance, HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

/** How long an origin that could not be reached gets no requests. */
const PAUSE_MS = 5_000;

const [at = '127.0.0.1:8080', ...to] = process.argv.slice(2);
const addresses = to.length > 0 ? to : ['127.0.0.1:3000', '127.0.0.1:3001'];
const environment = new HttpEnvironment();
const balancer = new LoadBalancer({
  environment,
  // Take another algorithm, add `health: { check: httpCheck() }`, or discover the origins: see the README of @ferrata/load-balancing.
  backends: addresses.map((address) => ({ address, extension: peer(address, { connectTimeoutMs: 1_000 }) })),
  // All of them may be out: then the next in turn is asked all the same.
  outliers: { consecutiveFailures: 1, baseEjectionMs: PAUSE_MS, maxEjectionMs: PAUSE_MS, maxEjectedShare: 1 },
});
balancer.start();

const hooks = balance(
  balancer,
  {},
  {
    failToConnect: (_session, origin, error) => console.log(`${origin.authority} is away: ${error.reason}`),
    upstreamRequestFilter: appendForwarded,
    responseFilter: (session, response) => void response.headers.set('X-Origin', session.peer?.authority ?? ''),
  },
);
const proxy = new HttpProxy(hooks, { environment, maxRetries: addresses.length - 1 });

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
balancer.close();
