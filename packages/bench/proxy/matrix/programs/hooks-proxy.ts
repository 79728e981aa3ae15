/**
 * A proxy as somebody builds it on @ferrata/proxy: three hooks that do a little, no log. `--to http://127.0.0.1:PORT`.
 *
 * What they do, nginx and haproxy do beside it: a path that is refused, X-Forwarded-For, -Proto and -Host, a field of the answer.
 */
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { announce, originOfCommandLine } from '../../baselines/serve.ts';
import { ADDED_FIELD, REFUSED_PATH } from './hook-work.ts';

const to = peer(originOfCommandLine().host);
const environment = new HttpEnvironment();
const proxy = new HttpProxy<null>(
  {
    newContext: () => null,
    upstreamPeer: () => to,
    requestFilter(session) {
      if (session.request.target !== REFUSED_PATH) return false;
      session.respond(403, { body: 'no\n' });
      return true;
    },
    upstreamRequestFilter: appendForwarded,
    responseFilter(_session, response) {
      response.headers.set(ADDED_FIELD.name, ADDED_FIELD.value);
    },
  },
  { environment },
);
const server = new HttpServer(proxy, { environment });
const listener = await listen({ host: '127.0.0.1', port: 0 }, (stream) => server.accept(stream));
if (listener.address.kind === 'ip') announce(listener.address.port);
process.once('SIGTERM', () => process.exit(0));
