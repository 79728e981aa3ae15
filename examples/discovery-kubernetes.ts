/**
 * The endpoints of a service, by the API of Kubernetes; in a pod, `inClusterOptions(process.env)` has the address, the token and the authorities: `node examples/discovery-kubernetes.ts 127.0.0.1:8001 default app` beside a `kubectl proxy`.
 *
 * Without an argument it asks a small fake of its own, so that there is something to see.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HttpEnvironment } from '@ferrata/http';
import { kubernetesDiscovery } from '@ferrata/load-balancing';

const [place, namespace = 'default', service = 'app'] = process.argv.slice(2);
const server = createServer((request, response) => {
  const slice = {
    metadata: { name: 'app-1', resourceVersion: '7' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ port: 80 }],
  };
  // A watch goes on, and tells when something changes; here nothing does.
  if (request.url?.includes('watch=1') === true) response.flushHeaders();
  else response.end(JSON.stringify({ metadata: { resourceVersion: '7' }, items: [slice] }));
});
if (place === undefined) await once(server.listen(0, '127.0.0.1'), 'listening');
const address = place ?? `127.0.0.1:${(server.address() as AddressInfo).port}`;

const discovery = kubernetesDiscovery({ apiServer: address, tls: null, namespace, service });
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
