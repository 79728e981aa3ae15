/**
 * The running containers with the label `ferrata.enable=true`: `node examples/discovery-docker.ts /var/run/docker.sock`.
 *
 * Without an argument it asks a small fake of its own, so that there is something to see.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpEnvironment } from '@ferrata/http';
import { dockerDiscovery } from '@ferrata/load-balancing';

const [place] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'docker-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const server = createServer((request, response) => {
  const Networks = { bridge: { IPAddress: '10.0.0.1' } };
  const container = {
    Id: '8dfafdbc3a40',
    Names: ['/app-1'],
    State: 'running',
    Labels: { 'ferrata.port': '80' },
    NetworkSettings: { Networks },
  };
  // The events go on; here none comes.
  if (request.url?.includes('/events') === true) response.flushHeaders();
  else response.end(request.url === '/_ping' ? 'OK' : JSON.stringify([container]));
});
const socketPath = place ?? join(folder, 'docker.sock');
if (place === undefined) await once(server.listen(socketPath), 'listening');

const discovery = dockerDiscovery({ socketPath });
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
