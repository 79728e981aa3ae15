/** Routes by prefix, changes of fields and retries: requests through the command, and through the function. */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, test } from 'node:test';
import { parseAddress } from '@ferrata/net';
import { outcomeOf } from '@ferrata/proxy';
import { startReverseProxy } from '../src/index.ts';
import { startFerrata } from './support/command.ts';
import { ask1 } from './support/http1.ts';
import { constants, H2Client, h2Mirror, h2Origin } from './support/http2.ts';
import { closedPort, exchange, httpOrigin, type Mirrored, mirror, type Origin, RawClient, rawOrigin, statusOf } from './support/peers.ts';

function named(name: string): Promise<Origin> {
  return httpOrigin((request, response) => response.end(`${name} ${request.url}`));
}

const url = ({ port }: { readonly port: number }): string => `http://127.0.0.1:${port}`;

test('each prefix has its own origins, which take turns; targets are passed on as they came; what no origin is for is 404, and its connection goes on', async () => {
  const [a, b, c, h2] = await Promise.all([named('a'), named('b'), named('c'), h2Origin(h2Mirror)]);
  const routes = [
    '--route',
    '/api',
    '--to',
    url(a),
    '--to',
    url(b),
    '--route',
    '/api/v2',
    '--to',
    url(c),
    '--route',
    '/grpc',
    '--to',
    `h2c://127.0.0.1:${h2.port}`,
  ];
  const ferrata = await startFerrata([], [...routes, '--access-log']);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  after(() => agent.destroy());
  const get = async (path: string): Promise<string> => {
    const { status, body } = await ask1(ferrata.port, path, { agent });
    return `${status} ${body.toString()}`;
  };
  assert.equal(await get('/api?x=/api/v2'), '200 a /api?x=/api/v2');
  assert.equal(await get('/api/v2/x//%7Ey'), '200 c /api/v2/x//%7Ey', 'the turns of one group are not those of another');
  assert.equal(await get('/api/x'), '200 b /api/x');
  assert.equal(await get('/api'), '200 a /api');
  assert.match(await get('/grpc/x'), /^200 .*":path":"\/grpc\/x"/);
  assert.match(await get('/apix'), /^404 /);
  assert.equal(await get('/api'), '200 b /api');
  await ferrata.until('all lines', () => ferrata.log.length === 7);
  const line = ferrata.log[5];
  assert.deepEqual(
    [line?.status, line?.attempts, line?.upstream, line?.outcome, line?.error, line?.target],
    [404, 0, null, 'completed', null, '/apix'],
  );
  assert.equal(new Set(ferrata.log.map(({ client }) => client)).size, 1, 'all over one connection');
});

test('I22: a path that another reading takes to other origins is refused, and reaches none', async () => {
  const seen: string[] = [];
  const [api, rest] = await Promise.all(
    ['api', 'rest'].map((name) =>
      httpOrigin((request, response) => {
        seen.push(`${name} ${request.url}`);
        response.end();
      }),
    ),
  );
  assert.ok(api !== undefined && rest !== undefined);
  const ferrata = await startFerrata([rest.port], ['--route', '/api', '--to', url(api), '--access-log']);
  for (const path of ['/api/../admin', '/x/%2e%2e/api', '//api', '/%61pi', '/api%2fx', '/x\\..\\api', '/..;/api', '/;%2fx/api']) {
    const answer = await exchange(ferrata.port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    assert.equal(statusOf(answer), 400, path);
  }
  const client = new H2Client(ferrata.port);
  assert.equal((await client.ask({ ':path': '/api/../admin' })).status, 400);
  assert.deepEqual(seen, []);
  // An absolute target is its path (RFC 9112 §3.2.2).
  const absolute = await exchange(ferrata.port, 'GET http://b/api/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.equal(statusOf(absolute), 200);
  assert.equal((await client.ask({ ':path': '/api/2' })).status, 200);
  assert.equal((await client.ask({ ':path': '/x//y%2fz' })).status, 200);
  assert.deepEqual(seen, ['api /api/1', 'api /api/2', 'rest /x//y%2fz']);
  const line = await ferrata.logged(({ target }) => target === '/x/%2e%2e/api');
  assert.deepEqual([line.status, line.outcome, line.error], [400, 'rejected', 'ROUTE_PATH_DOUBTFUL']);
});

test('a request that has failed leaves the connection of its client to the next one, over both versions; one that is refused does not', async () => {
  const [dead, alive, mute] = await Promise.all([
    closedPort(),
    named('alive'),
    rawOrigin((socket) => void socket.on('data', () => socket.end('no HTTP'))),
  ]);
  const failing = ['--route', '/dead', '--to', `http://127.0.0.1:${dead}`, '--route', '/mute', '--to', url(mute)];
  const ferrata = await startFerrata([alive.port], [...failing, '--access-log']);
  const client = new RawClient(ferrata.port);
  const statuses: number[] = [];
  for (const path of ['/dead', '/1', '/mute', '/2']) {
    client.received = '';
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.until(/\r\n\r\n(?:[^]*(?:alive|502))?/);
    statuses.push(statusOf(client.received));
    assert.doesNotMatch(client.received, /Connection: close/i, path);
  }
  assert.deepEqual(statuses, [502, 200, 502, 200]);
  client.received = '';
  const end = await client.send('GET /dead/../x HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n').untilEnd();
  assert.deepEqual([statusOf(end), /Connection: close/i.test(end), end.includes('alive')], [400, true, false]);

  const h2 = new H2Client(ferrata.port);
  const answers: number[] = [];
  for (const path of ['/dead', '/4', '/mute', '/mute/../x', '/5']) answers.push((await h2.ask({ ':path': path })).status);
  assert.deepEqual([answers, h2.goaways], [[502, 200, 502, 400, 200], []]);
  await ferrata.logged(({ target }) => target === '/5');
  const errors = ferrata.log
    .filter(({ error }) => error !== null)
    .map(({ target, status, outcome, error }) => `${target} ${status} ${outcome} ${error}`);
  assert.equal(errors.length, 6, errors.join('\n'));
  assert.ok(errors.includes('/dead 502 upstream_error CONNECT_REFUSED'), errors.join('\n'));
});

test('a group whose origins all refuse connections asks each once, and leaves other groups alone', async () => {
  const [dead, alsoDead, alive] = await Promise.all([closedPort(), closedPort(), named('alive')]);
  const ferrata = await startFerrata(
    [],
    [
      '--route',
      '/dead',
      '--to',
      `http://127.0.0.1:${dead}`,
      '--to',
      `http://127.0.0.1:${alsoDead}`,
      '--route',
      '/half',
      '--to',
      `http://127.0.0.1:${dead}`,
      '--to',
      url(alive),
    ].concat(['--retries', '9', '--access-log']),
  );
  assert.equal((await ask1(ferrata.port, '/dead/1')).status, 502);
  assert.equal((await ask1(ferrata.port, '/half')).body.toString(), 'alive /half');
  const line = await ferrata.logged(({ target }) => target === '/dead/1');
  assert.deepEqual([line.attempts, line.outcome, line.error], [2, 'upstream_error', 'CONNECT_REFUSED']);
});

for (const [count, sent] of [
  [0, 1],
  [1, 2],
  [3, 4],
] as const) {
  test(`--retries ${count}: a request that every origin answers by a reset is sent ${sent} times`, async () => {
    let requests = 0;
    const origins = await Promise.all(
      [0, 1].map(() =>
        rawOrigin((socket) => {
          socket.on('data', () => {
            requests++;
            socket.resetAndDestroy();
          });
        }),
      ),
    );
    const ferrata = await startFerrata(
      origins.map(({ port }) => port),
      ['--retries', String(count)],
    );
    assert.equal((await ask1(ferrata.port, '/')).status, 502);
    assert.equal(requests, sent);
  });
}

test('fields of requests and responses are set, added and removed in their order, behind what the proxy itself adds', async () => {
  const origin = await httpOrigin((request, response) => {
    response.setHeader('Server', 'origin').setHeader('X-A', ['1', '2']).setHeader('Vary', 'x');
    mirror(request, response);
  });
  const edits = [
    '--header-up',
    'X-Env: test',
    '--header-up',
    '-Cookie',
    '--header-up',
    '+x-env: more',
    '--header-up',
    'Host: inner.example',
    '--header-up',
    '-X-Forwarded-Proto',
  ];
  const down = ['--header-down', '-Server', '--header-down', 'X-A: only', '--header-down', '+Vary: Origin'];
  const h2 = await h2Origin(h2Mirror);
  const ferrata = await startFerrata([origin.port], [...edits, ...down, '--route', '/h2', '--to', `h2c://127.0.0.1:${h2.port}`]);
  const { rawHeaders, headers, body } = await ask1(ferrata.port, '/', {
    headers: { Cookie: 'a=b', 'X-Env': 'mine', Host: 'outer.example' },
  });
  const got = JSON.parse(body.toString()) as Mirrored;
  const pairs = got.rawHeaders
    .map((name, index) => (index % 2 === 0 ? `${name}: ${got.rawHeaders[index + 1]}` : ''))
    .filter((text) => /^(?:x-env|cookie|host|x-forwarded)/i.test(text));
  assert.deepEqual(pairs, [
    'X-Env: test',
    'Host: inner.example',
    'X-Forwarded-For: 127.0.0.1',
    'X-Forwarded-Host: outer.example',
    'x-env: more',
  ]);
  assert.deepEqual([headers['server'], headers['x-a'], headers.vary], [undefined, 'only', 'x, Origin']);
  assert.equal(rawHeaders.filter((name) => name.toLowerCase() === 'x-a').length, 1);

  const client = new H2Client(ferrata.port);
  const answer = await client.ask({ ':path': '/h2', cookie: 'a=b' });
  const upstream = (JSON.parse(answer.body.toString()) as { headers: Record<string, string> }).headers;
  assert.deepEqual(
    [upstream[':authority'], upstream['x-env'], upstream['cookie'], answer.headers['x-a']],
    ['inner.example', 'test, more', undefined, 'only'],
  );
});

test('each try has the changes of fields once; a POST that may have been read is tried once, and its 502 has no fields of origins', async () => {
  const heads: string[] = [];
  const origin = await rawOrigin((socket, connection) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      heads.push(text);
      if (connection === 1) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      else socket.resetAndDestroy();
    });
  });
  const ferrata = await startFerrata(
    [origin.port],
    ['--header-up', '+X-Once: 1', '--header-up', '-X-Never', '--header-down', 'X-Down: 1', '--access-log'],
  );
  const first = await ask1(ferrata.port, '/', { headers: { 'X-Never': 'x' } });
  assert.deepEqual([first.status, first.headers['x-down'], heads.length], [200, '1', 2]);
  for (const head of heads) {
    const names = head.split('\r\n').map((line) => line.split(':')[0]?.toLowerCase());
    assert.deepEqual(
      ['x-once', 'x-never', 'x-forwarded-for'].map((name) => names.filter((found) => found === name).length),
      [1, 0, 1],
      head,
    );
  }
  const post = await ask1(ferrata.port, '/post', { method: 'POST' });
  assert.deepEqual([post.status, post.headers['x-down'], heads.length], [502, undefined, 3]);
  assert.equal((await ferrata.logged(({ target }) => target === '/post')).attempts, 1);
});

test('the log names the origin that was asked last, connected to or not, and not the one before it', async () => {
  const [dead, failing] = await Promise.all([closedPort(), h2Origin((stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR))]);
  const ferrata = await startFerrata([`h2c://127.0.0.1:${failing.port}`, dead], ['--access-log']);
  assert.equal((await ask1(ferrata.port, '/')).status, 502);
  const line = await ferrata.logged(() => true);
  assert.deepEqual(
    [line.upstream, line.upstreamProtocol, line.attempts, line.error],
    [`127.0.0.1:${dead}`, null, 2, 'CONNECT_REFUSED'],
    JSON.stringify(line),
  );
});

test('the function has the same options, and says what is wrong with them', async () => {
  const [a, b] = await Promise.all([httpOrigin(mirror), named('b')]);
  const told: string[] = [];
  const listen = [parseAddress('127.0.0.1:0')];
  const proxy = await startReverseProxy({
    listen,
    routes: [
      { prefix: '/a', to: [parseAddress(`127.0.0.1:${a.port}`)] },
      { prefix: '/b', to: [parseAddress(`127.0.0.1:${b.port}`)] },
    ],
    headerUp: ['X-Env: test'],
    headerDown: ['X-Down: 1'],
    onSession: ({ request, status }, error) => told.push(`${request.target} ${status} ${outcomeOf(error)}`),
  });
  after(() => proxy.stop(0));
  const address = proxy.listeners[0]?.address;
  assert.ok(address?.kind === 'ip');
  const first = await ask1(address.port, '/a');
  assert.equal((JSON.parse(first.body.toString()) as Mirrored).headers['x-env'], 'test');
  assert.equal(first.headers['x-down'], '1');
  assert.equal((await ask1(address.port, '/b/x')).body.toString(), 'b /b/x');
  const none = await ask1(address.port, '/');
  assert.deepEqual([none.status, none.headers['x-down']], [404, undefined], 'what the proxy answers by itself has no fields of origins');
  assert.deepEqual(
    [none.body.toString(), none.headers['cache-control']],
    ['404 Not Found\n', 'private, no-store'],
    'a reload may bring the route',
  );
  assert.deepEqual(told, ['/a 200 completed', '/b/x 200 completed', '/ 404 completed']);
  const to = [parseAddress('127.0.0.1:1')];
  await assert.rejects(startReverseProxy({ listen }), RangeError);
  await assert.rejects(startReverseProxy({ listen, to, routes: [{ prefix: '/', to }] }), TypeError);
  await assert.rejects(startReverseProxy({ listen, routes: [{ prefix: 'x', to }] }), TypeError);
  await assert.rejects(startReverseProxy({ listen, to, headerUp: ['Connection: x'] }), TypeError);
  await assert.rejects(startReverseProxy({ listen, to, retries: -1 }), RangeError);
});
