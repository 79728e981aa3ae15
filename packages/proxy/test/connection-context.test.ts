/** What a request leaves on its connection, where others have something there, too: another proxy, or the application around both. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HttpApplication, HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy } from '@ferrata/proxy';
import { memoryPair } from '@ferrata/stream';
import { origin, settle, Wire } from './rig.ts';

test('two proxies behind one application, and the application itself, each find their own', async () => {
  const environment = new HttpEnvironment();
  const told: string[] = [];
  const proxyOf = (name: string): HttpProxy =>
    new HttpProxy(
      {
        upstreamPeer: () => origin,
        onConnectionReuse: (session, _context, previous) => void told.push(`${name} ${session.request.target}: ${previous}`),
        requestFilter(session) {
          session.respond(204);
          return true;
        },
        persistConnectionContext: (session) => `left by ${name} ${session.request.target}`,
      },
      { environment },
    );
  const proxies = { a: proxyOf('a'), b: proxyOf('b') };
  const application: HttpApplication = {
    onRequest(exchange) {
      const { connection, request } = exchange;
      told.push(`application ${request.target}: ${connection.context}`);
      connection.context = request.target;
      return proxies[request.target.startsWith('/a') ? 'a' : 'b'].onRequest(exchange);
    },
  };
  const server = new HttpServer(application, { environment });
  const { a, b } = memoryPair();
  server.accept(b);
  const client = new Wire(a);
  for (const target of ['/a1', '/b1', '/a2', '/b2']) {
    client.send(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await settle();
  }
  assert.deepEqual(told, [
    'application /a1: undefined',
    'application /b1: /a1',
    'application /a2: /b1',
    'a /a2: left by a /a1',
    'application /b2: /a2',
    'b /b2: left by b /b1',
  ]);
  client.reset();
  await settle();
  server.close();
});
