/**
 * Fields of requests and responses, edited on their way: `node examples/edit-headers.ts 127.0.0.1:3000 127.0.0.1:8080`.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8080'] = process.argv.slice(2);

/** What each request carries through the phases. */
interface Context {
  readonly id: string;
}

const environment = new HttpEnvironment();
const origin = peer(to);
const proxy = new HttpProxy<Context>(
  {
    newContext: () => ({ id: randomUUID() }),
    upstreamPeer: () => origin,

    // A copy of the request, of which hop-by-hop fields are gone already, and with them whatever the client has named in `Connection`: it cannot remove ours.
    upstreamRequestFilter(session, request, { id }) {
      const { headers } = request;
      // As this is the first proxy that we trust, what a client says of itself is not to be believed.
      for (const name of ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-User']) headers.delete(name);
      appendForwarded(session, request);
      headers.set('Host', origin.authority);
      headers.set('X-Request-Id', id);
    },

    responseFilter(_session, { headers }, { id }) {
      headers.delete('Server');
      headers.deleteWhere((name) => name.toLowerCase().startsWith('x-internal-'));
      headers.set('X-Request-Id', id);
      // Several lines of one name; `append` adds one, `set` leaves only this one.
      headers.append('Vary', 'Accept-Language');
      if (!headers.has('Content-Security-Policy')) headers.set('Content-Security-Policy', "default-src 'self'");
    },
  },
  { environment },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${to}`);
console.log(`try: curl -i -H "X-User: root" -H "Connection: X-Request-Id" http://${where}/`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
