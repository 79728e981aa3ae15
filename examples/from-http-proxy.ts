/**
 * What a program with npm's http-proxy comes to here: two targets with WebSocket, `changeOrigin`, `xfwd`, `autoRewrite`, rewritten cookies, and a page for errors:
 * `node examples/from-http-proxy.ts 127.0.0.1:8080 127.0.0.1:3000 127.0.0.1:3001`. Each of its options beside ours: docs/from-http-proxy.md.
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';

const [at = '127.0.0.1:8080', apiAt = '127.0.0.1:3000', siteAt = '127.0.0.1:3001'] = process.argv.slice(2);

const environment = new HttpEnvironment();
// agent, secure, localAddress, proxyTimeout: a peer has them all, and a pool of its own.
const [api, site] = [peer(apiAt, { connection: { firstByteTimeoutMs: 120_000 } }), peer(siteAt)];

const proxy = new HttpProxy<{ target: Peer }>(
  {
    newContext: ({ request }) => ({ target: /^\/api(?:[/?]|$)/.test(request.target) ? api : site }),
    upstreamPeer: (_session, { target }) => target, // target; ws: an upgrade is a request like others, until the target answers 101
    upstreamRequestFilter(session, request, { target }) {
      // proxyReq, proxyReqWs
      appendForwarded(session, request); // xfwd
      request.headers.set('Host', target.authority); // changeOrigin
      request.headers.set('X-Special-Proxy-Header', 'foobar'); // headers
    },
    // proxyRes
    responseFilter(session, { headers }, { target }) {
      const location = URL.parse(headers.get('Location') ?? '');
      if (location?.host === target.authority) {
        location.host = session.request.headers.get('Host') ?? location.host; // autoRewrite
        location.protocol = session.client.tls === null ? 'http:' : 'https:'; // protocolRewrite
        headers.set('Location', location.href);
      }
      const cookies = headers.getAll('Set-Cookie');
      headers.delete('Set-Cookie');
      // cookieDomainRewrite: '', cookiePathRewrite: { '/app': '/' }
      for (const cookie of cookies)
        headers.append('Set-Cookie', cookie.replace(/;\s*domain=[^;]*/i, '').replace(/(;\s*path=)\/app(?=;|$)/i, '$1/'));
    },
    logging: ({ request, status }, error) => console.log(status, request.method, request.target, error?.reason ?? ''), // end, close, econnreset
  },
  {
    environment,
    errorPage: (status) => ({ headers: { 'Content-Type': 'text/html' }, body: `<h1>${status}</h1>Please come again later.\n` }), // error
  },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${apiAt}   and ${siteAt}`);
console.log(`try: curl -i http://${where}/api/`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close(); // close
await server.drain(10_000);
proxy.close();
