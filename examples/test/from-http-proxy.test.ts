/** from-http-proxy.ts, and what its document says: each name that http-proxy has is in it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ask, DEADLINE_MS, start, startOrigin } from './programs.ts';

test('from-http-proxy.ts has two targets, and edits requests and responses as the options of http-proxy do', async () => {
  const [api, site] = await Promise.all(
    ['api', 'site'].map((name) =>
      startOrigin((asked, response) => {
        response.setHeader('Set-Cookie', ['a=b; Domain=.internal.example; Path=/app; HttpOnly', 'c=d; path=/other; DOMAIN=x']);
        if (asked.url === '/away') response.writeHead(302, { Location: `http://${String(asked.headers.host)}/here?x#y` });
        if (asked.url === '/elsewhere') response.writeHead(302, { Location: 'https://other.example/' });
        response.end(JSON.stringify({ ...asked.headers, name }));
      }),
    ),
  );
  assert.ok(api !== undefined && site !== undefined);
  const proxy = await start('from-http-proxy.ts', '127.0.0.1:0', api.address, site.address);

  const response = await ask(proxy.address, '/api/x');
  const seen = (await response.json()) as IncomingHttpHeaders & { readonly name: string };
  assert.equal(seen.name, 'api');
  assert.equal(seen.host, api.address);
  assert.equal(seen['x-forwarded-for'], '127.0.0.1');
  assert.equal(seen['x-forwarded-host'], proxy.address);
  assert.equal(seen['x-special-proxy-header'], 'foobar');
  assert.deepEqual(response.headers.getSetCookie(), ['a=b; Path=/; HttpOnly', 'c=d; path=/other']);
  assert.equal(((await (await ask(proxy.address, '/apis')).json()) as { readonly name: string }).name, 'site');

  assert.equal((await ask(proxy.address, '/away')).headers.get('location'), `http://${proxy.address}/here?x#y`);
  assert.equal((await ask(proxy.address, '/elsewhere')).headers.get('location'), 'https://other.example/');
  await proxy.printed(/^200 GET \/api\/x $/m);

  await api.stop();
  const failed = await ask(proxy.address, '/api/y');
  assert.equal(failed.status, 502);
  assert.equal(failed.headers.get('content-type'), 'text/html');
  assert.equal(await failed.text(), '<h1>502</h1>Please come again later.\n');
  await proxy.printed(/^502 GET \/api\/y CONNECT_REFUSED$/m);
  assert.equal(await proxy.interrupt(), 0);
});

test('from-http-proxy.ts makes a tunnel of an upgrade that the target grants, and answers with what it says if it does not', async () => {
  const site = await startOrigin((_asked, response) => response.writeHead(403).end('not here'));
  site.server.on('upgrade', (asked: IncomingMessage, socket: Socket) => {
    if (asked.url !== '/socket') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nnot here');
      return;
    }
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${String(asked.headers.host)}`);
    socket.pipe(socket);
  });
  const proxy = await start('from-http-proxy.ts', '127.0.0.1:0', site.address, site.address);
  const upgrade = (path: string): ReturnType<typeof httpRequest> =>
    httpRequest(`http://${proxy.address}${path}`, { agent: false, headers: { Connection: 'Upgrade', Upgrade: 'websocket' } }).end();

  const signal = AbortSignal.timeout(DEADLINE_MS);
  const [response, socket, head] = (await once(upgrade('/socket'), 'upgrade', { signal })) as [IncomingMessage, Socket, Buffer];
  assert.equal(response.statusCode, 101);
  let received = head.toString();
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  socket.end('there and back');
  await once(socket, 'close', { signal });
  assert.equal(received, `${site.address}there and back`);
  await proxy.printed(/^101 GET \/socket $/m);

  const [refused] = (await once(upgrade('/no'), 'response', { signal })) as [IncomingMessage];
  assert.equal(refused.statusCode, 403);
  assert.equal(Buffer.concat(await refused.toArray()).toString(), 'not here');
  assert.equal(await proxy.interrupt(), 0);
});

test('docs/from-http-proxy.md has a row for each option, event and method of http-proxy and http-proxy-3', () => {
  const folderOf = (name: string): URL => new URL('.', import.meta.resolve(`${name}/package.json`));
  const read = (path: string, folder: URL): string => readFileSync(fileURLToPath(new URL(path, folder)), 'utf8');
  const readme = read('README.md', folderOf('http-proxy'));
  const declared = read('dist/lib/http-proxy/index.d.ts', folderOf('http-proxy-3'));
  const bodyOf = (start: string): string => /[^]*?\n\}/.exec(declared.slice(declared.indexOf(start)))?.[0] ?? '';

  const names = [
    ...namesIn(readme, /^\* {2}\*\*(\w+)\*\*/gm, 25),
    ...namesIn(readme, /^\* (?:\(DEPRECATED\) )?`(\w+)`: /gm, 7),
    ...namesIn(bodyOf('interface ServerOptions {'), /^ {4}(\w+)\?:/gm, 31),
    ...namesIn(bodyOf('type ProxyServerEventMap'), /^ {4}(\w+):/gm, 9),
    ...namesIn(readme, /^\* (web|ws|listen|close) `/gm, 4),
    'before',
    'after',
  ];
  const firstCells = read('../../docs/from-http-proxy.md', new URL(import.meta.url)).matchAll(/^\|([^|]*)\|/gm);
  const rows = new Set([...firstCells].flatMap(([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name)));
  assert.deepEqual(
    names.filter((name) => !rows.has(name)),
    [],
  );
});

/** @param least as many as there are: fewer, and it was not they that were found */
function namesIn(text: string, pattern: RegExp, least: number): readonly string[] {
  const names = [...text.matchAll(pattern)].map(([, name = '']) => name);
  assert.ok(names.length >= least, `${names.length} names by ${pattern}: ${names.join(' ')}`);
  return names;
}
