/** Which status goes with which fault, what the access log says about it, and that the next request is served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFerrata } from './support/command.ts';
import { closedPort, exchange, httpOrigin, mirror, RawClient, rawOrigin, statusOf } from './support/peers.ts';

const origin = await httpOrigin(mirror);
const ferrata = await startFerrata([origin.port], ['--access-log', '--max-header-bytes', '20000']);

const get = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

const refused: readonly (readonly [name: string, status: number, request: string])[] = [
  ['a line that is no request line', 400, 'NONSENSE\r\n\r\n'],
  ['no Host (RFC 9112 §3.2)', 400, 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts (RFC 9112 §3.2)', 400, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  ['a blank before the colon (RFC 9112 §5.1)', 400, 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['a folded line (RFC 9112 §5.2)', 400, 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n'],
  ['lines that end in a bare LF', 400, 'GET / HTTP/1.1\nHost: a\n\n'],
  [
    'Content-Length with Transfer-Encoding (RFC 9112 §6.3)',
    400,
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['two lengths that differ (RFC 9112 §6.3)', 400, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'],
  ['a target that is too long', 414, `GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ['a head that is too big', 431, `GET / HTTP/1.1\r\nHost: a\r\n${`X-Big: ${'b'.repeat(7_000)}\r\n`.repeat(3)}\r\n`],
  ['too many fields', 431, `GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(101)}\r\n`],
  [
    'a transfer coding nobody knows (RFC 9112 §6.1)',
    501,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a version nobody knows (RFC 9110 §15.6.6)', 505, 'GET / HTTP/3.0\r\nHost: a\r\n\r\n'],
];

for (const [name, status, request] of refused) {
  test(`${name} is ${status}, closes the connection and is logged`, async () => {
    const answer = await exchange(ferrata.port, request);
    assert.equal(statusOf(answer), status, answer);
    assert.match(answer, /^connection: close\r$/im);
    const line = await ferrata.logged((entry) => entry.status === status && entry.outcome === 'rejected' && entry.upstream === null);
    assert.match(line.error ?? '', /^[A-Z][A-Z0-9_]+$/);
    assert.equal(line.attempts, 0);
  });
}

test('each refused request has a line of its own in the access log', async () => {
  await ferrata.until('all lines', () => ferrata.log.filter((entry) => entry.outcome === 'rejected').length >= refused.length);
});

test('CONNECT is 405: a reverse proxy makes no tunnels', async () => {
  const answer = await exchange(ferrata.port, 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n');
  assert.equal(statusOf(answer), 405);
  const line = await ferrata.logged((entry) => entry.status === 405);
  assert.deepEqual([line.method, line.target, line.outcome], ['CONNECT', 'a:80', 'rejected']);
});

test('a chunk size that cannot be is 400 when the origin has said nothing yet', async () => {
  const answer = await exchange(ferrata.port, 'POST /chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n');
  assert.equal(statusOf(answer), 400);
  assert.equal((await ferrata.logged((entry) => entry.target === '/chunk')).status, 400);
});

test('a trailer section that is too big is 431 (RFC 6585 §5), a chunk line that is too long is 400', async () => {
  const trailers = await exchange(
    ferrata.port,
    `POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${`X: ${'t'.repeat(3_000)}\r\n`.repeat(4)}\r\n`,
  );
  assert.equal(statusOf(trailers), 431, trailers);
  assert.equal((await ferrata.logged((entry) => entry.target === '/trailers')).error, 'H1_TRAILERS_TOO_LARGE');
  const extension = await exchange(
    ferrata.port,
    `POST /extension HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${'e'.repeat(2_000)}\r\n`,
  );
  assert.equal(statusOf(extension), 400, extension);
  assert.equal((await ferrata.logged((entry) => entry.target === '/extension')).error, 'H1_CHUNK_LINE_TOO_LONG');
});

test('a status of the origin, 413 for one, goes through as it is', async () => {
  const { port } = await httpOrigin((_request, response) => response.writeHead(413, { 'Content-Length': 3 }).end('big'));
  const proxy = await startFerrata([port], ['--access-log']);
  const answer = await exchange(proxy.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc');
  assert.equal(statusOf(answer), 413);
  assert.equal((await proxy.logged((entry) => entry.status === 413)).outcome, 'completed');
});

test('an origin that refuses connections is 502, and the log names it', async () => {
  const port = await closedPort();
  const proxy = await startFerrata([port], ['--access-log']);
  assert.equal(statusOf(await exchange(proxy.port, get)), 502);
  const line = await proxy.logged((entry) => entry.status === 502);
  assert.deepEqual([line.upstream, line.outcome], [`127.0.0.1:${port}`, 'upstream_error']);
  assert.match(line.error ?? '', /REFUSED/);
});

const misbehaving: readonly (readonly [name: string, status: number, answer: string | null])[] = [
  ['ends the connection without an answer', 502, ''],
  ['resets it', 502, null],
  ['answers what is no HTTP', 502, 'nonsense\r\n\r\n'],
  ['answers with two lengths', 502, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ['answers with a length and chunks', 502, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['switches protocols unasked', 502, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
  ['sends a head without end', 502, `HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(9_000)}\r\n`.repeat(5)}`],
];

for (const [name, status, bytes] of misbehaving) {
  test(`an origin that ${name} is ${status}`, async () => {
    const { port } = await rawOrigin((socket) => {
      socket.once('data', () => {
        if (bytes === null) socket.resetAndDestroy();
        else socket.end(bytes, 'latin1');
      });
    });
    const proxy = await startFerrata([port], ['--access-log']);
    const answer = await exchange(proxy.port, get);
    assert.equal(statusOf(answer), status, answer);
    assert.equal((await proxy.logged((entry) => entry.status === status)).outcome, 'upstream_error');
  });
}

test('an origin that says nothing within --read-timeout is 504', async () => {
  const { port } = await rawOrigin(() => {});
  const proxy = await startFerrata([port], ['--access-log', '--read-timeout', '200ms']);
  assert.equal(statusOf(await exchange(proxy.port, get)), 504);
  const line = await proxy.logged((entry) => entry.status === 504);
  assert.equal(line.outcome, 'timeout');
  assert.ok((line.durationMs ?? 0) >= 200);
});

test('an origin that stops within the body leaves the client with a message that is visibly cut', async () => {
  const { port } = await rawOrigin((socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')),
  );
  const proxy = await startFerrata([port], ['--access-log', '--read-timeout', '200ms']);
  const answer = await exchange(proxy.port, get);
  assert.equal(statusOf(answer), 200);
  assert.match(answer, /hello/);
  assert.doesNotMatch(answer, /0\r\n\r\n$/);
  const line = await proxy.logged(() => true);
  assert.deepEqual([line.status, line.bytesOut, line.outcome], [200, 5, 'timeout']);
});

test('a client that goes away has its request cancelled at the origin, and the log says so', async () => {
  const closed = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const { port } = await httpOrigin((request, response) => {
    arrived.resolve();
    response.on('close', () => closed.resolve());
    request.resume();
  });
  const proxy = await startFerrata([port], ['--access-log']);
  const client = new RawClient(proxy.port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  await arrived.promise;
  client.reset();
  await closed.promise;
  const line = await proxy.logged((entry) => entry.target === '/slow');
  assert.deepEqual([line.status, line.outcome], [0, 'client_abort']);
  assert.notEqual(line.upstream, null);
});

test('an idle client is closed after --idle-timeout without a line in the log, and one that never speaks as well', async () => {
  const proxy = await startFerrata([origin.port], ['--access-log', '--idle-timeout', '200ms']);
  const silent = new RawClient(proxy.port);
  const client = new RawClient(proxy.port).send('GET /once HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await client.untilEnd()).split('HTTP/1.1 200').length - 1, 1);
  assert.equal(await silent.untilEnd(), '');
  await proxy.logged((entry) => entry.target === '/once');
  assert.equal(proxy.log.length, 1);
});
