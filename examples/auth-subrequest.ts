/**
 * A service of its own decides who may pass: each request asks it first, by a subrequest with the client's credentials (as `auth_request` of nginx):
 * `node examples/auth-subrequest.ts 127.0.0.1:3000 127.0.0.1:3001 127.0.0.1:8080`.
 *
 * A service to try it with: `node -e 'http.createServer((q, r) => r.writeHead(q.headers.authorization ? 200 : 401, { "X-User": "ada" }).end()).listen(3001)'`.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', authAt = '127.0.0.1:3001', at = '127.0.0.1:8080'] = process.argv.slice(2);

const environment = new HttpEnvironment();
const origin = peer(to);
const authService = peer(authAt);
const proxy = new HttpProxy(
  {
    // Subrequests come through these phases, too: they are what is asked, so nobody is asked about them.
    async requestFilter(session) {
      const { request } = session;
      request.headers.delete('X-User');
      if (session.isSubrequest) return false;
      const answer = await session.subrequests?.collect({
        // A copy of the request, without its body, and changed so. Its cookies and `Authorization` go along.
        request: { method: 'GET', target: '/check', headers: { 'X-Original-Method': request.method, 'X-Original-Target': request.target } },
        maxBodyBytes: 4_096,
        timeoutMs: 2_000,
      });
      // 401 and 403 are answers. All else, no answer or half of one too, is a failure: nobody passes.
      const status = answer?.error === null ? answer.status : 0;
      if (status === 200) {
        request.headers.set('X-User', answer?.headers.get('X-User') ?? '');
        return false;
      }
      if (answer !== undefined && (status === 401 || status === 403))
        session.respond(status, { headers: answer.headers, body: answer.body });
      else session.respond(503, { headers: { 'Retry-After': '1' }, body: 'nobody can say who you are\n' });
      return true;
    },

    upstreamPeer: (session) => (session.isSubrequest ? authService : origin),
  },
  { environment },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${to}   and a service at ${authAt}, as in the first lines of this file`);
console.log(`try: curl -i http://${where}/ ; curl -i -H "Authorization: Bearer x" http://${where}/`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
