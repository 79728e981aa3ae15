/**
 * A gateway with an algorithm of its own: each client has the origin that the letters of its address lead to, as long as that is there: `node examples/custom-balancer.ts 127.0.0.1:8080 127.0.0.1:3000 127.0.0.1:3001`.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { LoadBalancer, type SelectionAlgorithm, sourceIpKey } from '@ferrata/load-balancing';
import { listen } from '@ferrata/net';
import { balance, HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';

/** The first that is open, counted from where the sum of the key's letters says. An algorithm sees members by their numbers, and which of them are open for this request. */
const byLetters: SelectionAlgorithm = {
  name: 'by-letters',
  build: ({ count }) => ({
    pick(key, candidates) {
      let start = 0;
      for (const letter of String(key ?? '')) start += letter.codePointAt(0) ?? 0;
      for (let step = 0; step < count; step++) {
        const member = (start + step) % count;
        if (candidates.isOpen(member)) return member;
      }
      return -1;
    },
  }),
};

const [at = '127.0.0.1:8080', ...to] = process.argv.slice(2);
const addresses = to.length > 0 ? to : ['127.0.0.1:3000', '127.0.0.1:3001'];
const environment = new HttpEnvironment();
const balancer = new LoadBalancer({ environment, algorithm: byLetters, backends: addresses.map((address) => ({ address })) });
balancer.start();
const proxy = new HttpProxy(balance(balancer, { key: sourceIpKey() }), { environment });

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
console.log(`ready ${formatAddress(listener.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
balancer.close();
