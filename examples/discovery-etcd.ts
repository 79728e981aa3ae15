/**
 * Backends that stand in the keys of etcd: `node examples/discovery-etcd.ts 127.0.0.1:2379 /backends/`.
 *
 * Without an argument it asks a small fake of its own, so that there is something to see.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HttpEnvironment } from '@ferrata/http';
import { etcdDiscovery } from '@ferrata/load-balancing';

const [place, prefix = '/backends/'] = process.argv.slice(2);
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const header = { cluster_id: '1', revision: '2' };
const server = createServer((request, response) => {
  const isList = request.url === '/v3/kv/range';
  const kvs = [{ key: base64('/backends/1'), value: base64('{"address":"10.0.0.1:80","weight":2}'), mod_revision: '2' }];
  response.write(`${JSON.stringify(isList ? { header, kvs } : { result: { header, created: true } })}\n`);
  // A watch goes on.
  if (isList) response.end();
});
if (place === undefined) await once(server.listen(0, '127.0.0.1'), 'listening');
const address = place ?? `127.0.0.1:${(server.address() as AddressInfo).port}`;

const discovery = etcdDiscovery({ address, prefix });
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
