/**
 * So many requests a second for each key that clients send as `X-Api-Key`, by token buckets of fixed memory; more are answered 429 with a Retry-After:
 * `node examples/rate-limit.ts 127.0.0.1:3000 127.0.0.1:8080 2 5` for 2 a second, 5 at once.
 */
import { once } from 'node:events';
import { systemClock } from '@ferrata/clock';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { KeyedGcra } from '@ferrata/limits';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8080', perSecond = '2', burst = '5'] = process.argv.slice(2);

// The table never grows, whatever keys peers make up. Its `memory` may be shared by all threads: `new KeyedGcra({ memory, clock })`.
const buckets = new KeyedGcra({ tokensPerSecond: Number(perSecond), burst: Number(burst), maxKeys: 10_000, clock: systemClock });

const environment = new HttpEnvironment();
const origin = peer(to);
const proxy = new HttpProxy<{ key: string }>(
  {
    newContext: () => ({ key: '' }),
    requestFilter(session, context) {
      const key = session.request.headers.get('X-Api-Key');
      if (key === undefined) {
        session.respond(401, { body: 'say who you are by X-Api-Key\n' });
        return true;
      }
      context.key = key;
      if (buckets.tryTake(key)) return false;
      const seconds = Math.max(1, Math.ceil(buckets.retryAfterMs(key) / 1_000));
      session.respond(429, { headers: { 'Retry-After': String(seconds) }, body: `too many requests: wait for ${seconds} s\n` });
      return true;
    },
    upstreamPeer: () => origin,
    responseFilter(_session, response, { key }) {
      response.headers.set('X-RateLimit-Limit', burst);
      response.headers.set('X-RateLimit-Remaining', String(buckets.remaining(key)));
    },
  },
  { environment },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${to}`);
console.log(`try: for i in 1 2 3 4 5 6 7; do curl -i -H "X-Api-Key: a" http://${where}/; done`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
