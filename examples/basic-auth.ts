/**
 * Modules: compression, and one of one's own that asks for a name and a password (RFC 7617): `PASSWORD=secret node examples/basic-auth.ts 127.0.0.1:3000 127.0.0.1:8080`.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { compression, type HttpModule, type HttpModuleKind, type ModuleExchange } from '@ferrata/http-modules';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8080', user = 'ada'] = process.argv.slice(2);
const wanted = digest(`Basic ${Buffer.from(`${user}:${process.env['PASSWORD'] ?? 'secret'}`).toString('base64')}`);

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The module of one request. It knows nothing of proxies: `withModules` puts it in front of any application. */
class BasicAuth implements HttpModule {
  readonly user = user;

  requestFilter(request: ModuleExchange['request'], exchange: ModuleExchange): void {
    // Of digests, as the time that comparing takes tells nothing of them.
    if (!timingSafeEqual(digest(request.headers.get('Authorization') ?? ''), wanted)) {
      exchange.respond(401, { headers: { 'WWW-Authenticate': 'Basic realm="example", charset="UTF-8"' }, body: 'who are you?\n' });
      return;
    }
    // The password is ours: the origin need not see it.
    request.headers.delete('Authorization');
  }
}

/** Its kind: makes the module of each request, and is the key by which hooks find it. A larger `order` runs earlier; compression has -16 384. */
const basicAuth: HttpModuleKind<BasicAuth> = { name: 'basic-auth', order: 100, create: () => new BasicAuth() };

const environment = new HttpEnvironment();
const origin = peer(to);
const proxy = new HttpProxy(
  {
    upstreamPeer: () => origin,
    upstreamRequestFilter: (session, request) => void request.headers.set('X-User', session.module(basicAuth)?.user ?? ''),
  },
  { environment, modules: [basicAuth, compression({ levels: { br: 5 } })] },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${to}`);
console.log(`try: curl -i --compressed -u ${user}:secret http://${where}/`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
