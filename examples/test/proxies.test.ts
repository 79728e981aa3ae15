/** The proxies of this folder, each in front of origins that are Node's own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { createServer as createHttp2Server, type IncomingHttpHeaders as Http2Headers, type ServerHttp2Stream } from 'node:http2';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createAuthority } from '@ferrata/dev-certificates';
import { ask, DEADLINE_MS, type Origin, type Program, start, startOrigin } from './programs.ts';

/** Starts a proxy of this folder, which says what to try. */
async function startProxy(name: string, ...args: string[]): Promise<Program> {
  const proxy = await start(name, ...args);
  await proxy.printed(/^try: .*https?:\/\/127\.0\.0\.1:\d+\//m);
  return proxy;
}

/** An origin that says its name, and what it was asked for. */
function named(name: string): Promise<Origin> {
  return startOrigin((asked, response) => response.end(`${name} ${asked.method} ${asked.url}`));
}

/** Gives the fields of the last request back as JSON. */
function mirror(fields: Readonly<Record<string, string>> = {}): Promise<Origin> {
  return startOrigin((asked, response) => {
    for (const [name, value] of Object.entries(fields)) response.setHeader(name, value);
    response.end(JSON.stringify(asked.headers));
  });
}

test('load-balancer.ts takes its origins in turn, and passes over one that is away, without an error for anybody', async () => {
  const origins = [await named('one'), await named('two'), await named('three')];
  const proxy = await startProxy('load-balancer.ts', '127.0.0.1:0', ...origins.map(({ address }) => address));
  const four = async (): Promise<string[]> => {
    const names: string[] = [];
    for (let i = 0; i < 4; i++) {
      const response = await ask(proxy.address, `/${i}`);
      assert.equal(response.status, 200);
      names.push((await response.text()).split(' ')[0] ?? '');
    }
    return names;
  };
  assert.deepEqual(await four(), ['one', 'two', 'three', 'one']);
  await origins[1]?.stop();
  // The turn of the one that is away goes to another, by turns of their own that retries have.
  assert.deepEqual(await four(), ['one', 'three', 'one', 'three']);
  assert.equal(proxy.output().match(/ is away: CONNECT_REFUSED/g)?.length, 1);
  // A body is not lost by it.
  await origins[2]?.stop();
  assert.equal(await (await ask(proxy.address, '/p', { method: 'POST', body: 'x' })).text(), 'one POST /p');
  await origins[0]?.stop();
  assert.equal((await ask(proxy.address, '/')).status, 502);
  assert.equal(await proxy.interrupt(), 0);
});

test('path-routing.ts chooses by whole segments of one reading of the path, and strips a prefix', async () => {
  const [api, files, others] = [await named('api'), await named('files'), await named('others')];
  const proxy = await startProxy('path-routing.ts', '127.0.0.1:0', api.address, files.address, others.address);
  const text = async (path: string): Promise<string> => await (await ask(proxy.address, path)).text();
  assert.equal(await text('/api/x?y=1'), 'api GET /api/x?y=1');
  assert.equal(await text('/api'), 'api GET /api');
  assert.equal(await text('/files/a/b?c'), 'files GET /a/b?c');
  assert.equal(await text('/files'), 'files GET /');
  assert.equal(await text('/apia'), 'others GET /apia');
  // What the origin gets is what was routed by.
  assert.equal(await text('/%61pi/%7Ex'), 'api GET /api/~x');
  assert.equal(await text('/files/%2e%2E/api'), 'api GET /api');
  assert.equal(await text('/files/..%2fapi'), 'files GET /..%2Fapi');
  assert.equal(await proxy.interrupt(), 0);
  const two = await startProxy('path-routing.ts', '127.0.0.1:0', api.address, files.address);
  assert.equal((await ask(two.address, '/else')).status, 404);
});

test('edit-headers.ts edits fields both ways, and a client can neither claim nor remove what is ours', async () => {
  const origin = await mirror({ Server: 'old', 'X-Internal-Host': 'a', 'X-INTERNAL-Id': 'b', Vary: 'Cookie' });
  const proxy = await startProxy('edit-headers.ts', origin.address, '127.0.0.1:0');
  const response = await ask(proxy.address, '/', {
    headers: { 'X-User': 'root', 'X-Forwarded-For': '10.0.0.1', Forwarded: 'for=10.0.0.1' },
  });
  const seen = (await response.json()) as IncomingHttpHeaders;
  assert.equal(seen.host, origin.address);
  assert.equal(seen['x-user'], undefined);
  assert.equal(seen['forwarded'], undefined);
  assert.equal(seen['x-forwarded-for'], '127.0.0.1');
  assert.equal(seen['x-forwarded-host'], proxy.address);
  assert.match(String(seen['x-request-id']), /^[0-9a-f-]{36}$/);
  assert.equal(response.headers.get('x-request-id'), seen['x-request-id']);
  assert.equal(response.headers.get('server'), null);
  assert.equal(response.headers.get('x-internal-host'), null);
  assert.equal(response.headers.get('x-internal-id'), null);
  assert.equal(response.headers.get('vary'), 'Cookie, Accept-Language');
  assert.equal(response.headers.get('content-security-policy'), "default-src 'self'");

  // RFC 9110 §7.6.1: what Connection names is removed, but before ours is added.
  const nominating = { Connection: 'close, X-Request-Id, X-Forwarded-For', 'X-Request-Id': 'mine' };
  const sent = httpRequest(`http://${proxy.address}/`, { agent: false, headers: nominating }).end();
  const [answer] = (await once(sent, 'response', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [IncomingMessage];
  const kept = JSON.parse(Buffer.concat(await answer.toArray()).toString()) as IncomingHttpHeaders;
  assert.equal(kept['x-forwarded-for'], '127.0.0.1');
  assert.match(String(kept['x-request-id']), /^[0-9a-f-]{36}$/);
  assert.equal(kept.connection, undefined);
  assert.equal(await proxy.interrupt(), 0);
});

test('rate-limit.ts counts by key, and says with a 429 when to come again', async () => {
  const origin = await named('origin');
  // One token comes back in 100 s: none within this test.
  const proxy = await startProxy('rate-limit.ts', origin.address, '127.0.0.1:0', '0.01', '2');
  const of = async (key: string): Promise<Response> => await ask(proxy.address, '/', { headers: { 'X-Api-Key': key } });
  const first = await of('a');
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('x-ratelimit-limit'), '2');
  assert.equal(first.headers.get('x-ratelimit-remaining'), '1');
  assert.equal((await of('a')).headers.get('x-ratelimit-remaining'), '0');
  const third = await of('a');
  assert.equal(third.status, 429);
  const wait = Number(third.headers.get('retry-after'));
  assert.ok(wait > 60 && wait <= 100, `Retry-After: ${wait}`);
  assert.equal((await of('b')).status, 200);
  assert.equal((await ask(proxy.address, '/')).status, 401);
  assert.equal(await proxy.interrupt(), 0);
});

test('client-cert-upstream.ts tells the origin who the client is, and nobody can claim to be another', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-client-cert-upstream-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const authority = await createAuthority();
  const ours = await authority.issue({ names: ['localhost'] });
  const client = await authority.issue({
    names: [],
    commonName: 'Ada; cn="x"',
    organisation: 'Exämple',
    use: 'client',
    serialNumber: '7b',
  });
  const files = Object.entries({ 'server.pem': ours.chain, 'key.pem': ours.key, 'ca.pem': authority.certificate }).map(([name, text]) => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  });
  const origin = await mirror();
  const proxy = await startProxy('client-cert-upstream.ts', origin.address, '127.0.0.1:0', ...files);
  const [, port = ''] = proxy.address.split(':');
  const asked = async (identity: { readonly cert?: string; readonly key?: string }): Promise<IncomingHttpHeaders> => {
    const options = { host: '127.0.0.1', port: Number(port), ca: authority.certificate, servername: 'localhost', agent: false };
    const sent = request({ ...options, ...identity, headers: { 'X-Client-Cert': 'sha256=0; cn="root"' } }).end();
    const [response] = (await once(sent, 'response', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [IncomingMessage];
    return JSON.parse(Buffer.concat(await response.toArray()).toString()) as IncomingHttpHeaders;
  };
  const known = await asked({ cert: client.chain, key: client.key });
  assert.match(String(known['x-client-cert']), /^sha256=[0-9a-f]{64}; serial=7b; cn="Ada%3B%20cn%3D%22x%22"; o="Ex%C3%A4mple"$/);
  assert.equal((await asked({}))['x-client-cert'], 'none');
  assert.equal(await proxy.interrupt(), 0);
});

test('virtual-l4.ts asks an application in its own process, over one connection that is kept', async () => {
  const proxy = await startProxy('virtual-l4.ts', '127.0.0.1:0');
  assert.equal(await (await ask(proxy.address, '/a')).text(), '/a over connection 1\n');
  assert.equal(await (await ask(proxy.address, '/b')).text(), '/b over connection 1\n');
  assert.equal(await proxy.interrupt(), 0);
});

test('grpc-web.ts turns gRPC-Web into gRPC over HTTP/2 and trailers into a last frame, and lets one site ask', async () => {
  const seen: Http2Headers[] = [];
  const service = createHttp2Server();
  service.on('stream', (stream: ServerHttp2Stream, headers: Http2Headers) => {
    seen.push(headers);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
    stream.pipe(stream);
  });
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  after(() => service.close());
  const proxy = await startProxy(
    'grpc-web.ts',
    `127.0.0.1:${(service.address() as AddressInfo).port}`,
    '127.0.0.1:0',
    'https://app.example',
  );

  const message = '\0\0\0\0\x03abc';
  const headers = { 'Content-Type': 'application/grpc-web+proto', Origin: 'https://app.example', 'X-Grpc-Web': '1' };
  const answer = await ask(proxy.address, '/a.B/C', { method: 'POST', body: message, headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'application/grpc-web+proto');
  assert.equal(answer.headers.get('access-control-allow-origin'), 'https://app.example');
  const bytes = Buffer.from(await answer.arrayBuffer()).toString('latin1');
  // A frame of its own with the highest bit set: 5 bytes of head, then the trailers as fields of HTTP/1.
  const trailers = 'grpc-status: 0\r\ngrpc-message: fine\r\n';
  assert.equal(bytes, `${message}\x80\0\0\0${String.fromCharCode(trailers.length)}${trailers}`);
  assert.equal(seen[0]?.['content-type'], 'application/grpc+proto');
  assert.equal(seen[0]?.['te'], 'trailers');
  assert.equal(seen[0]?.[':path'], '/a.B/C');

  const text = { ...headers, 'Content-Type': 'application/grpc-web-text+proto' };
  const encoded = await ask(proxy.address, '/a.B/C', {
    method: 'POST',
    body: Buffer.from(message, 'latin1').toString('base64'),
    headers: text,
  });
  assert.ok((await encoded.text()).startsWith(Buffer.from(message, 'latin1').toString('base64').slice(0, 8)));

  const preflight = {
    method: 'OPTIONS',
    headers: {
      Origin: 'https://app.example',
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,x-grpc-web',
    },
  };
  assert.match(
    (await ask(proxy.address, '/a.B/C', preflight)).headers.get('access-control-allow-headers') ?? '',
    /^content-type, x-grpc-web,/,
  );
  assert.equal(seen.length, 2);
  assert.equal(await proxy.interrupt(), 0);
});

test('basic-auth.ts asks for a password in front of everything, keeps it from the origin, and compresses behind it', async () => {
  const origin = await startOrigin((asked, response) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ ...asked.headers, padding: 'x'.repeat(1_000) }));
  });
  const proxy = await startProxy('basic-auth.ts', origin.address, '127.0.0.1:0', 'ada');
  const refused = await ask(proxy.address, '/');
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get('www-authenticate') ?? '', /^Basic realm="example"/);
  const wrong = `Basic ${Buffer.from('ada:other').toString('base64')}`;
  assert.equal((await ask(proxy.address, '/', { headers: { Authorization: wrong } })).status, 401);
  const right = `Basic ${Buffer.from('ada:secret').toString('base64')}`;
  const response = await ask(proxy.address, '/', { headers: { Authorization: right, 'Accept-Encoding': 'br' } });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-encoding'), 'br');
  assert.equal(response.headers.get('vary'), 'Accept-Encoding');
  const seen = (await response.json()) as IncomingHttpHeaders;
  assert.equal(seen.authorization, undefined);
  assert.equal(seen['x-user'], 'ada');
  assert.equal(await proxy.interrupt(), 0);
});

test('auth-subrequest.ts asks its service before each request, and lets nobody pass whom that has not let pass', async () => {
  const checks: IncomingMessage[] = [];
  const service = await startOrigin((asked, response) => {
    checks.push(asked);
    if (asked.headers.authorization === 'Bearer good') response.writeHead(200, { 'X-User': 'ada' }).end();
    else if (asked.headers.authorization === 'Bearer odd') response.writeHead(302, { Location: '/' }).end();
    else if (asked.headers.authorization === 'Bearer long') response.writeHead(401).end('x'.repeat(100_000));
    else response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end('who?');
  });
  const origin = await startOrigin((asked, response) => {
    asked.setEncoding('utf8').on('data', (body: string) => response.write(body));
    asked.on('end', () => response.end(` ${asked.method} ${asked.url} for ${String(asked.headers['x-user'])}`));
  });
  const proxy = await startProxy('auth-subrequest.ts', origin.address, service.address, '127.0.0.1:0');
  const init = { method: 'POST', body: 'body', headers: { Authorization: 'Bearer good', 'X-User': 'root' } };
  assert.equal(await (await ask(proxy.address, '/a?b', init)).text(), 'body POST /a?b for ada');
  const [check] = checks;
  assert.deepEqual(
    [check?.method, check?.url, check?.headers['x-original-target'], check?.headers['x-original-method']],
    ['GET', '/check', '/a?b', 'POST'],
  );
  assert.equal(check?.headers['content-length'], undefined);
  const refused = await ask(proxy.address, '/a', { headers: { Authorization: 'Bearer bad' } });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
  assert.equal(await refused.text(), 'who?');
  assert.equal((await ask(proxy.address, '/a', { headers: { Authorization: 'Bearer odd' } })).status, 503);
  // An answer that is longer than what is kept of it is not passed on in part.
  const long = await ask(proxy.address, '/a', { headers: { Authorization: 'Bearer long' } });
  assert.deepEqual([long.status, await long.text()], [503, 'nobody can say who you are\n']);
  await service.stop();
  assert.equal((await ask(proxy.address, '/a', init)).status, 503);
  assert.equal(await proxy.interrupt(), 0);
});

test('rewrite-bodies.ts rewrites pages across the borders of pieces and JSON as a whole, leaves the rest, and lets no password slip through', async () => {
  const secret = '{"password": "1234"}';
  const origin = await startOrigin((asked, response) => {
    assert.ok(['identity', undefined].includes(asked.headers['accept-encoding']));
    switch (asked.url) {
      case '/shouted':
        response.setHeader('Content-Type', 'Application/JSON').end(secret);
        break;
      case '/problem':
        response.setHeader('Content-Type', 'application/problem+json').end(secret);
        break;
      case '/gzip':
        response.setHeader('Content-Type', 'application/json').setHeader('Content-Encoding', 'gzip').end(gzipSync(secret));
        break;
      case '/range': {
        const part = asked.headers.range !== undefined;
        if (part) response.writeHead(206, { 'Content-Type': 'application/json', 'Content-Range': `bytes 1-19/${secret.length}` });
        else response.setHeader('Content-Type', 'application/json');
        response.end(part ? secret.slice(1) : secret);
        break;
      }
      case '/broken':
        response.setHeader('Content-Type', 'application/json').end(`${secret}{`);
        break;
      case '/page':
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        response.write('<a href="http://old.ex');
        setImmediate(() => response.end('ample/a">a</a> http://old.example'));
        break;
      case '/json':
        response.setHeader('Content-Type', 'application/json').end('{"name": "ada", "of": [{"password": "1234"}]}');
        break;
      case '/large':
        response.setHeader('Content-Type', 'application/json').end(`"${'x'.repeat(300_000)}"`);
        break;
      default:
        response.setHeader('Content-Type', 'text/plain').end(`http://old.example/ ${'x'.repeat(1_000)}`);
    }
  });
  const proxy = await startProxy('rewrite-bodies.ts', origin.address, '127.0.0.1:0');
  assert.equal(await (await ask(proxy.address, '/page')).text(), '<a href="https://new.example/a">a</a> http://old.example');
  assert.deepEqual(await (await ask(proxy.address, '/json')).json(), { name: 'ada', of: [{ password: '***' }] });
  assert.equal((await ask(proxy.address, '/large')).status, 502);
  for (const [path, status] of [
    ['/shouted', 200],
    ['/problem', 200],
    ['/gzip', 502],
    ['/range', 200],
  ] as const) {
    const response = await ask(proxy.address, path, { headers: { Range: 'bytes=1-' } });
    const text = await response.text();
    assert.ok(!text.includes('1234'), `${path}: ${text}`);
    assert.equal(response.status, status, path);
  }
  // Its head has gone by the time that this is known.
  const cut = await ask(proxy.address, '/broken');
  await assert.rejects(cut.text(), TypeError);
  const plain = await ask(proxy.address, '/else', { headers: { 'Accept-Encoding': 'gzip' } });
  assert.equal(plain.headers.get('content-encoding'), 'gzip');
  assert.match(await plain.text(), /^http:\/\/old\.example\/ x{1000}$/);
  assert.equal(await proxy.interrupt(), 0);
});
