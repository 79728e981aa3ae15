/**
 * Backends that the DNS knows: `node examples/discovery-dns.ts app.example:80`, or by SRV records `node examples/discovery-dns.ts _http._tcp.app.example`;
 * a name server may follow, `127.0.0.1:5353`.
 */
import { once } from 'node:events';
import { type Discovery, dnsDiscovery, LoadBalancer, srvDiscovery } from '@ferrata/load-balancing';

const [what = 'app.example:80', server] = process.argv.slice(2);

function discoveryOf(text: string): Discovery {
  const servers = server === undefined ? {} : { servers: [server] };
  if (text.startsWith('_')) return srvDiscovery({ name: text, ...servers });
  const [host = '', port = '80'] = text.split(':');
  return dnsDiscovery({ host, port: Number(port), ...servers });
}

const balancer = new LoadBalancer({
  discovery: discoveryOf(what),
  observer: {
    onUpdate: () =>
      console.log(`backends ${balancer.backends.map(({ name, priority }) => `${name} (tier ${priority})`).join(', ') || 'none'}`),
    // What was found before is still there, and it is asked again by itself.
    onDiscoveryFailed: (error) => console.log(`failed ${error.message}`),
  },
});
balancer.start();
console.log(`ready ${what}`);

// What waits for an answer to grow old keeps no program alive.
const alive = setInterval(() => {}, 60_000);
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
clearInterval(alive);
balancer.close();
