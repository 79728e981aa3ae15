/** What becomes of messages on their way through the command, both ways. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { startFerrata } from './support/command.ts';
import { exchange, httpOrigin, type Mirrored, mirror, RawClient, rawOrigin, statusOf } from './support/peers.ts';

const origin = await httpOrigin(mirror);
/** What the scripted origin does with what it gets, as the test that runs says. */
let script: (socket: Socket, received: string) => void = (socket) => socket.destroy();
const scriptedOrigin = await rawOrigin((socket) => void socket.on('data', (chunk: Buffer) => script(socket, chunk.toString('latin1'))));
const [ferrata, scripted] = await Promise.all([startFerrata([origin.port]), startFerrata([scriptedOrigin.port])]);

/** Sends a whole request with `Connection: close`, and parses what the mirror says. */
async function reflect(head: string, body = ''): Promise<Mirrored> {
  const answers = await exchange(ferrata.port, `${head}Connection: close\r\n\r\n${body}`);
  const answer = answers.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  assert.equal(statusOf(answer), 200, answer);
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Mirrored;
}

/** Has the origin behind `scripted` answer each request (one without a body, in one piece) with these bytes. @returns the port of the command */
function inFrontOf(answer: string, afterwards: 'leave' | 'end' = 'leave'): number {
  script = (socket) => {
    socket.write(answer, 'latin1');
    if (afterwards === 'end') socket.end();
  };
  return scripted.port;
}

test('X-Forwarded-For, -Proto and -Host say who asked, how, and for which host; Host is kept', async () => {
  const { headers } = await reflect('GET / HTTP/1.1\r\nHost: shop.example:8080\r\n');
  assert.equal(headers['host'], 'shop.example:8080');
  assert.equal(headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(headers['x-forwarded-proto'], 'http');
  assert.equal(headers['x-forwarded-host'], 'shop.example:8080');
});

test('X-Forwarded fields that are there already are appended to, several lines of one being joined', async () => {
  const { headers, rawHeaders } = await reflect(
    'GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2, 192.0.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example\r\n',
  );
  assert.equal(headers['x-forwarded-for'], '192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1');
  assert.equal(headers['x-forwarded-proto'], 'https, http');
  assert.equal(headers['x-forwarded-host'], 'b.example, a.example');
  assert.equal(rawHeaders.filter((name) => name.toLowerCase() === 'x-forwarded-for').length, 1);
});

test('hop-by-hop fields end here, also those that Connection names; what it may not name stays (RFC 9110 §7.6.1)', async () => {
  const { headers } = await reflect(
    'GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nX-Private: secret\r\nX-Public: 1\r\nConnection: x-private, host, authorization\r\nAuthorization: Basic Zm9v\r\n',
  );
  for (const name of ['keep-alive', 'proxy-connection', 'te', 'x-private', 'upgrade']) assert.equal(headers[name], undefined, name);
  assert.equal(headers['x-public'], '1');
  assert.equal(headers['host'], 'a');
  assert.equal(headers['authorization'], 'Basic Zm9v');
});

test('hop-by-hop fields of a response end here too, and its other fields keep their order, case and number', async () => {
  const port = inFrontOf(
    'HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-Odd-CASE: v\r\nset-cookie: b=2\r\nConnection: x-gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
  );
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const lines = answer.slice(0, answer.indexOf('\r\n\r\n')).split('\r\n');
  assert.equal(lines[0], 'HTTP/1.1 200 Fine');
  assert.deepEqual(
    lines.filter((line) => /^(set-cookie|x-|keep-alive|connection)/i.test(line)),
    ['Set-Cookie: a=1', 'X-Odd-CASE: v', 'set-cookie: b=2', 'Connection: close'],
  );
  assert.ok(answer.endsWith('\r\n\r\nok'));
});

test('a request in absolute-form goes on in origin-form with the Host of its target (RFC 9112 §3.2.2)', async () => {
  const { url, headers } = await reflect('GET http://true.example/path?q HTTP/1.1\r\nHost: false.example\r\n');
  assert.equal(url, '/path?q');
  assert.equal(headers['host'], 'true.example');
});

test('OPTIONS * keeps its target (RFC 9112 §3.2.4)', async () => {
  assert.equal((await reflect('OPTIONS * HTTP/1.1\r\nHost: a\r\n')).url, '*');
});

test('an HTTP/1.0 request without Host is answered, and its connection closed (RFC 9112 §9.3)', async () => {
  const answer = await exchange(ferrata.port, 'GET /old HTTP/1.0\r\n\r\n');
  assert.equal(statusOf(answer), 200);
  assert.doesNotMatch(answer, /transfer-encoding/i);
  const { httpVersion, headers } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Mirrored;
  assert.equal(httpVersion, '1.1');
  assert.equal(headers['host'], `127.0.0.1:${origin.port}`);
});

test('an HTTP/1.0 request that asks for it keeps its connection', async () => {
  const client = new RawClient(ferrata.port).send('GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.match(await client.until('"url":"/1"'), /^Connection: keep-alive\r$/m);
  client.send('GET /2 HTTP/1.0\r\n\r\n');
  assert.match(await client.untilEnd(), /"url":"\/2"/);
});

test('a chunked response reaches an HTTP/1.0 client without chunks, up to the end of the connection', async () => {
  const port = inFrontOf('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n');
  const answer = await exchange(port, 'GET / HTTP/1.0\r\n\r\n');
  assert.doesNotMatch(answer, /transfer-encoding|content-length/i);
  assert.ok(answer.endsWith('\r\n\r\nabcdefg'));
});

test('a response up to the end of the connection reaches an HTTP/1.1 client in chunks', async () => {
  const port = inFrontOf('HTTP/1.1 200 OK\r\n\r\nabcdefg', 'end');
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(answer, /^Transfer-Encoding: chunked\r$/im);
  assert.ok(answer.endsWith('7\r\nabcdefg\r\n0\r\n\r\n'), answer);
});

test('a response of HTTP/1.0 goes on as HTTP/1.1', async () => {
  const port = inFrontOf('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', 'end');
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
});

test('a chunked request with trailers keeps both; forbidden trailers are dropped (RFC 9110 §6.5.1)', async () => {
  const { headers, body, trailers } = await reflect(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n',
    '3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\nContent-Length: 1\r\n\r\n',
  );
  assert.equal(headers['transfer-encoding'], 'chunked');
  assert.equal(headers['content-length'], undefined);
  assert.equal(body, 'abcdefg');
  assert.deepEqual(trailers, { 'x-sum': '7' });
});

test('trailers of a response reach the client', async () => {
  const port = inFrontOf('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n');
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, te\r\n\r\n');
  assert.ok(answer.endsWith('3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n'), answer);
});

for (const [name, head] of [
  ['204', 'HTTP/1.1 204 No Content\r\nX-Kind: none\r\n\r\n'],
  ['304 with the length of what it stands for', 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 500\r\n\r\n'],
] as const) {
  test(`${name} has no body, and the connection goes on behind it (RFC 9112 §6.3)`, async () => {
    const port = inFrontOf(head);
    const client = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until('\r\n\r\n');
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const answer = await client.untilEnd();
    assert.equal(answer.split('HTTP/1.1 ').length, 3, answer);
    assert.doesNotMatch(answer, /transfer-encoding/i);
    if (name === '204') assert.doesNotMatch(answer, /content-length/i);
  });
}

test('HEAD gets the head that GET would get, its Content-Length included, and no body (RFC 9110 §9.3.2)', async () => {
  const port = inFrontOf('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n');
  const client = new RawClient(port).send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match(await client.until('\r\n\r\n'), /^Content-Length: 1234\r$/im);
  client.send('HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const answer = await client.untilEnd();
  assert.equal(answer.split('HTTP/1.1 200').length - 1, 2);
  assert.ok(answer.endsWith('\r\n\r\n'));
});

test('Expect: 100-continue goes to the origin, and its 100 comes back before the body is sent (RFC 9110 §10.1.1)', async () => {
  let received = '';
  script = (socket, piece) => {
    received += piece;
    if (received.endsWith('\r\n\r\n') && /^expect: 100-continue\r$/im.test(received)) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    if (received.endsWith('body')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone');
  };
  const client = new RawClient(scripted.port).send(
    'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n',
  );
  await client.until('HTTP/1.1 100 Continue\r\n\r\n');
  client.send('body');
  assert.match(await client.untilEnd(), /HTTP\/1\.1 200 OK\r\n[^]*done$/);
});

test('Expect: 100-continue without a body does not hold anything up', async () => {
  const { method } = await reflect('GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n');
  assert.equal(method, 'GET');
});

test('103 Early Hints come through before the response (RFC 8297)', async () => {
  const port = inFrontOf('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
});

test('an upgrade goes through: 101, early bytes, then both ways until one side ends (RFC 9110 §7.8)', async () => {
  origin.server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n\r\nearly:`);
    socket.write(head);
    socket.pipe(socket);
  });
  const client = new RawClient(ferrata.port).send('GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  const head = await client.until('early:');
  assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.match(head, /^upgrade: echo\r$/im);
  assert.match(head, /^connection: upgrade\r$/im);
  client.send('one ');
  await client.until('one ');
  const more = 'x'.repeat(200_000);
  client.send(more);
  client.socket.end();
  assert.equal((await client.untilEnd()).split('early:')[1], `one ${more}`);
});

test('an upgrade that the origin does not want is an ordinary request', async () => {
  const port = inFrontOf('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno');
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*no$/);
});

test('pipelined requests are answered in their order (RFC 9112 §9.3.2)', async () => {
  const client = new RawClient(ferrata.port);
  const paths = Array.from({ length: 50 }, (_, index) => `/p${index}`);
  client.send(
    paths
      .map((path, index) => `GET ${path} HTTP/1.1\r\nHost: a\r\n${index === paths.length - 1 ? 'Connection: close\r\n' : ''}\r\n`)
      .join(''),
  );
  const answers = await client.untilEnd();
  assert.deepEqual(
    [...answers.matchAll(/"url":"([^"]+)"/g)].map((match) => match[1]),
    paths,
  );
});

test('a request behind Connection: close is not looked at (RFC 9112 §9.6)', async () => {
  const answer = await exchange(
    ferrata.port,
    'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /more HTTP/1.1\r\nHost: a\r\n\r\n',
  );
  assert.deepEqual(
    [...answer.matchAll(/"url":"([^"]+)"/g)].map((match) => match[1]),
    ['/last'],
  );
});

test('a client that ends its side after the request still gets the answer (RFC 9112 §9.6)', async () => {
  const client = new RawClient(ferrata.port).send('GET /half HTTP/1.1\r\nHost: a\r\n\r\n');
  client.socket.end();
  assert.match(await client.untilEnd(), /"url":"\/half"/);
});
