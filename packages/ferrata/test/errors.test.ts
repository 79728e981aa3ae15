/** Which status goes with which fault, what the access log says about it, and that the next request is served. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { startFerrata, within } from './support/command.ts';
import { closedPort, exchange, httpOrigin, mirror, RawClient, rawOrigin, statusOf } from './support/peers.ts';

const origin = await httpOrigin(mirror);

/** What the origin does with a request for `/NAME`. */
const behaviours: Readonly<Record<string, (socket: Socket) => void>> = {
  'status-413': (socket) => socket.end('HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nbig'),
  ends: (socket) => socket.end(),
  resets: (socket) => socket.resetAndDestroy(),
  nonsense: (socket) => socket.end('nonsense\r\n\r\n'),
  'two-lengths': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
  'length-and-chunks': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  switches: (socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
  endless: (socket) => socket.end(`HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(9_000)}\r\n`.repeat(5)}`),
  silence: () => {},
  half: (socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'),
  whole: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
};
const arrivals = new EventEmitter();
const scripted = await rawOrigin((socket) => {
  socket.on('data', (chunk: Buffer) => {
    const name = /^[A-Z]+ \/(\S+) /.exec(chunk.toString('latin1'))?.[1] ?? '';
    behaviours[name]?.(socket);
    arrivals.emit(name, socket);
  });
});
const nobody = await closedPort();

const [ferrata, inFront, inFrontOfNobody, hasty] = await Promise.all([
  startFerrata([origin.port], ['--access-log', '--max-header-bytes', '20000']),
  startFerrata([scripted.port], ['--access-log']),
  startFerrata([nobody], ['--access-log']),
  startFerrata([scripted.port], ['--access-log', '--read-timeout', '200ms', '--idle-timeout', '200ms']),
]);

function getting(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
}

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
  test(`${name} is ${status}, closes the connection and has its line in the log`, async () => {
    const client = new RawClient(ferrata.port);
    await once(client.socket, 'connect');
    const from = `127.0.0.1:${client.socket.localPort}`;
    const answer = await client.send(request).untilEnd();
    assert.equal(statusOf(answer), status, answer);
    assert.match(answer, /^connection: close\r$/im);
    const line = await ferrata.logged((entry) => entry.client === from);
    assert.deepEqual([line.status, line.outcome, line.upstream, line.attempts], [status, 'rejected', null, 0]);
    assert.match(line.error ?? '', /^[A-Z][A-Z0-9_]+$/);
    client.socket.destroy();
  });
}

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

test('an origin that refuses connections is 502, and the log names it', async () => {
  assert.equal(statusOf(await exchange(inFrontOfNobody.port, getting('/'))), 502);
  const line = await inFrontOfNobody.logged((entry) => entry.status === 502);
  assert.deepEqual([line.upstream, line.outcome], [`127.0.0.1:${nobody}`, 'upstream_error']);
  assert.match(line.error ?? '', /REFUSED/);
});

test('a status of the origin, 413 for one, goes through as it is', async () => {
  const answer = await exchange(inFront.port, 'POST /status-413 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc');
  assert.equal(statusOf(answer), 413);
  assert.ok(answer.endsWith('\r\n\r\nbig'), answer);
  const line = await inFront.logged((entry) => entry.target === '/status-413');
  assert.deepEqual([line.status, line.outcome], [413, 'completed']);
});

for (const [does, name] of [
  ['ends the connection without an answer', 'ends'],
  ['resets it', 'resets'],
  ['answers what is no HTTP', 'nonsense'],
  ['answers with two lengths', 'two-lengths'],
  ['answers with a length and chunks', 'length-and-chunks'],
  ['switches protocols unasked', 'switches'],
  ['sends a head without end', 'endless'],
] as const) {
  test(`an origin that ${does} is 502`, async () => {
    const answer = await exchange(inFront.port, getting(`/${name}`));
    assert.equal(statusOf(answer), 502, answer);
    const line = await inFront.logged((entry) => entry.target === `/${name}`);
    assert.deepEqual([line.status, line.outcome], [502, 'upstream_error']);
  });
}

test('a client that goes away has its request cancelled at the origin, and the log says so', async () => {
  const arrived = once(arrivals, 'silence');
  const client = new RawClient(inFront.port).send('GET /silence HTTP/1.1\r\nHost: a\r\n\r\n');
  const [socket] = (await within('the request', arrived)) as [Socket];
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  client.reset();
  await within('the connection to the origin to be closed', closed);
  const line = await inFront.logged((entry) => entry.target === '/silence');
  assert.deepEqual([line.status, line.outcome], [0, 'client_abort']);
  assert.notEqual(line.upstream, null);
});

test('an origin that says nothing within --read-timeout is 504', async () => {
  assert.equal(statusOf(await exchange(hasty.port, getting('/silence'))), 504);
  const line = await hasty.logged((entry) => entry.target === '/silence');
  assert.deepEqual([line.status, line.outcome], [504, 'timeout']);
  assert.ok((line.durationMs ?? 0) >= 200);
});

test('an origin that stops within the body leaves the client with a message that is visibly cut', async () => {
  const answer = await exchange(hasty.port, getting('/half'));
  assert.equal(statusOf(answer), 200);
  assert.match(answer, /hello/);
  assert.doesNotMatch(answer, /0\r\n\r\n$/);
  const line = await hasty.logged((entry) => entry.target === '/half');
  assert.deepEqual([line.status, line.bytesOut, line.outcome], [200, 5, 'timeout']);
});

test('an idle client is closed after --idle-timeout without a line in the log, and one that never speaks as well', async () => {
  const silent = new RawClient(hasty.port);
  const client = new RawClient(hasty.port).send('GET /whole HTTP/1.1\r\nHost: a\r\n\r\n');
  await Promise.all([silent, client].map(({ socket }) => once(socket, 'connect')));
  const [never, served] = [silent, client].map(({ socket }) => `127.0.0.1:${socket.localPort}`);
  assert.match(await client.untilEnd(), /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/);
  assert.equal(await silent.untilEnd(), '');
  // Its line comes behind all that there would be of them.
  await exchange(hasty.port, getting('/status-413'));
  await hasty.logged((entry) => entry.target === '/status-413');
  assert.deepEqual(
    hasty.log.filter((entry) => entry.client === never || entry.client === served).map(({ target }) => target),
    ['/whole'],
  );
});
