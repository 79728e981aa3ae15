/**
 * The instances of a service, by Consul: `node examples/discovery-consul.ts 127.0.0.1:8500 app`.
 *
 * Without an argument it asks a small fake of its own, so that there is something to see.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HttpEnvironment } from '@ferrata/http';
import { consulDiscovery } from '@ferrata/load-balancing';

const [place, service = 'app'] = process.argv.slice(2);
const server = createServer((request, response) => {
  // Consul answers a question behind an index when something changes; here nothing does.
  if (request.url?.includes('index=') === true) return;
  response.setHeader('X-Consul-Index', '7');
  response.end(JSON.stringify([{ Service: { ID: 'app-1', Address: '10.0.0.1', Port: 80 }, Checks: [{ Status: 'passing' }] }]));
});
if (place === undefined) await once(server.listen(0, '127.0.0.1'), 'listening');
const address = place ?? `127.0.0.1:${(server.address() as AddressInfo).port}`;

const discovery = consulDiscovery({ address, service });
console.log(`ready ${discovery.name}`);
const watch = discovery.watch(
  {
    onBackends: (backends) => console.log(`backends: ${backends.map(({ address }) => address).join(' ')}`),
    // What was told last holds on; it tries again by itself.
    onFailed: (error) => console.log(`failed: ${error.message}`),
  },
  new HttpEnvironment(),
);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
watch.close();
server.close();
server.closeAllConnections();
