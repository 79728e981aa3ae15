/**
 * A proxy that answers some requests itself, chooses origins by path, and edits what comes back:
 * `node examples/edit-responses.ts 127.0.0.1:3000 127.0.0.1:8080`.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8080'] = process.argv.slice(2);

/** What each request carries through the phases. */
interface Context {
  isText: boolean;
}

const environment = new HttpEnvironment();
const origin = peer(to);
const slowOrigin = peer(to, { connection: { firstByteTimeoutMs: 300_000 } });

const proxy = new HttpProxy<Context>(
  {
    newContext: () => ({ isText: false }),

    // `true`: answered here, the request goes no further. A callback may also be async; one that is not costs no promise.
    requestFilter(session) {
      if (!session.request.target.startsWith('/private')) return false;
      session.respond(403, { body: 'not from here\n' });
      return true;
    },

    upstreamPeer: ({ request }) => (request.target.startsWith('/reports') ? slowOrigin : origin),

    upstreamRequestFilter(_session, request) {
      // A body that is to be edited must come as it is, not compressed.
      request.headers.delete('accept-encoding');
    },

    responseFilter(_session, response, context) {
      response.headers.delete('server');
      response.headers.set('X-Served-By', 'ferrata');
      context.isText = response.headers.get('content-type')?.startsWith('text/plain') ?? false;
    },

    // Each piece as it comes, then null once. The length is not known any more: the body goes out in chunks.
    responseBodyFilter: (_session, chunk, { isText }) => (chunk !== null && isText ? toCapitals(chunk) : chunk),
  },
  { environment },
);

/** a to z become A to Z; a piece is ours, so it may be changed in place. */
function toCapitals(chunk: Uint8Array): Uint8Array {
  for (let i = 0; i < chunk.length; i++) {
    const byte = chunk[i] as number;
    if (byte >= 0x61 && byte <= 0x7a) chunk[i] = byte - 0x20;
  }
  return chunk;
}

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
console.log(`ready ${formatAddress(listener.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
