/**
 * Origins by path: `/api/…` and `/files/…` have one each, the second without its prefix; all else has a third or, if there is none, is not found:
 * `node examples/path-routing.ts 127.0.0.1:8080 API FILES [OTHERS]`.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';

const [at = '127.0.0.1:8080', api = '127.0.0.1:3000', files = '127.0.0.1:3001', others = null] = process.argv.slice(2);

interface Route {
  readonly prefix: string;
  readonly origin: Peer;
  readonly dropsPrefix?: boolean;
}

const routes: Route[] = [
  { prefix: '/api', origin: peer(api) },
  { prefix: '/files', origin: peer(files), dropsPrefix: true },
  ...(others === null ? [] : [{ prefix: '', origin: peer(others) }]),
];

const environment = new HttpEnvironment();
const proxy = new HttpProxy<{ route: Route | null }>(
  {
    newContext: () => ({ route: null }),
    requestFilter(session, context) {
      // One reading of the path for us and the origin: `/files/../api` and `/%61pi` must not be one thing here and another there.
      const { pathname, search } = new URL(`http://host${session.request.target}`);
      const path = pathname.replace(/%[0-9a-f]{2}/gi, plain);
      context.route = routes.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`)) ?? null;
      if (context.route === null) session.respond(404, { body: `nothing at ${path}\n` });
      else session.request.target = (context.route.dropsPrefix ? path.slice(context.route.prefix.length) || '/' : path) + search;
      return context.route === null;
    },
    upstreamPeer: (_session, { route }) => (route as Route).origin,
  },
  { environment },
);

/** RFC 3986 §6.2.2.2: letters, digits and four marks mean the same as themselves and as their code; all other codes stay. */
function plain(code: string): string {
  const character = String.fromCharCode(Number.parseInt(code.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : code.toUpperCase();
}

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${api}   and ${files}`);
console.log(`try: curl -i http://${where}/api/x ; curl -i http://${where}/files/x ; curl -i http://${where}/else`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
