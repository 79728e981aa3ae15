/**
 * Backends that a file lists, which may change at any time: `node examples/discovery-file.ts backends.json`.
 *
 * Write another file and rename it over this one: `{ "backends": ["127.0.0.1:3000", { "address": "127.0.0.1:3001", "weight": 2 }] }`, or a line for each.
 */
import { once } from 'node:events';
import { fileDiscovery, LoadBalancer } from '@ferrata/load-balancing';

const [path = 'backends.json'] = process.argv.slice(2);
const balancer = new LoadBalancer({
  discovery: fileDiscovery({ path }),
  observer: {
    onUpdate: () => console.log(`backends ${balancer.backends.map(({ name, weight }) => `${name} (${weight})`).join(', ') || 'none'}`),
    // What was there before is still there.
    onDiscoveryFailed: (error) => console.log(`failed ${error.message}`),
  },
});
balancer.start();
console.log(`ready ${path}`);

// What waits for a file keeps no program alive.
const alive = setInterval(() => {}, 60_000);
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
clearInterval(alive);
balancer.close();
