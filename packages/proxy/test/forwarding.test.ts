/** What of a message is forwarded, and what is not (RFC 9110 §7.6, RFC 9112 §3.2, §6, §7). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { appendForwarded, setForwarded } from '@ferrata/proxy';
import { memoryPair } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';
import { answering, get, ok, Rig, readResponse, settle, Wire, when } from './rig.ts';

describe('fields of one connection stay on it (RFC 9110 §7.6.1)', () => {
  test('in requests, those nominated in Connection too', async () => {
    const rig = new Rig();
    const client = await rig.ask(
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: gzip\r\n' +
        'Proxy-Authorization: Basic eA==\r\nHTTP2-Settings: AAMAAABk\r\nX-End: 2\r\n\r\n',
    );
    assert.equal(rig.origins[0]?.text, 'GET / HTTP/1.1\r\nHost: h\r\nX-End: 2\r\n\r\n');
    await rig.finish(client);
  });
  test('in responses', async () => {
    const rig = new Rig({
      origin: answering(
        'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nUpgrade: x\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n',
      ),
    });
    const client = await rig.ask(get);
    assert.doesNotMatch(client.text, /hop|keep-alive|upgrade|connection/i);
    assert.match(client.text, /X-End: 2/);
    await rig.finish(client);
  });
  test('but TE: trailers is sent on, nominated by us (RFC 9110 §10.1.4)', async () => {
    const rig = new Rig();
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\nTE: gzip;q=0.5, trailers\r\nConnection: TE\r\n\r\n');
    assert.equal(rig.origins[0]?.text, 'GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n');
    await rig.finish(client);
  });
});

test('an absolute target becomes a path, and its host takes the place of Host, before any hook looks (RFC 9112 §3.2.2)', async () => {
  const seen: string[] = [];
  const rig = new Rig({
    hooks: { earlyRequestFilter: ({ request }) => void seen.push(`${request.target} ${request.headers.get('host')}`) },
  });
  const client = await rig.ask('GET http://real.example:81/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n');
  assert.equal(rig.origins[0]?.text, 'GET /p?q HTTP/1.1\r\nHost: real.example:81\r\n\r\n');
  assert.deepEqual(seen, ['/p?q real.example:81']);
  await rig.finish(client);
});

describe('trailers', () => {
  test('go both ways', async () => {
    const rig = new Rig({
      origin: (wire) =>
        when(wire, 'X-Up: 1\r\n\r\n', () =>
          wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Down: 2\r\n\r\n'),
        ),
    });
    const client = await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Up: 1\r\n\r\n');
    assert.equal(readResponse(client.text).trailers, 'X-Down: 2\r\n');
    assert.ok(rig.origins[0]?.text.endsWith('2\r\nab\r\n0\r\nX-Up: 1\r\n\r\n'));
    await rig.finish(client);
  });
  test('are repeated with the body when the request is', async () => {
    const rig = new Rig({
      origin: (wire, index) => when(wire, 'X-Up: 1\r\n\r\n', () => (index === 0 ? wire.reset() : wire.send(ok))),
    });
    const client = await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Up: 1\r\n\r\n');
    assert.equal(readResponse(client.text).status, 200);
    assert.equal(rig.origins[1]?.text, rig.origins[0]?.text);
    await rig.finish(client);
  });
});

describe('HTTP/1.0 clients (RFC 9112 §3.2, §6.1, §9.3)', () => {
  test('without Host: the peer’s authority is sent, and no X-Forwarded-Host', async () => {
    const to = peer('[fd00::1]:8080');
    const rig = new Rig({ hooks: { upstreamPeer: () => to, upstreamRequestFilter: appendForwarded } });
    const client = await rig.ask('GET / HTTP/1.0\r\n\r\n');
    assert.equal(
      rig.origins[0]?.text,
      'GET / HTTP/1.1\r\nHost: [fd00::1]:8080\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n\r\n',
    );
    assert.ok(client.hasEnded);
    await rig.finish(client);
  });
  test('without Host: what the client says of it is not passed on as this proxy’s word', async () => {
    const rig = new Rig({ hooks: { upstreamRequestFilter: appendForwarded } });
    const client = await rig.ask('GET / HTTP/1.0\r\nX-Forwarded-Host: admin.test\r\n\r\n');
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /admin/);
    await rig.finish(client);
  });

  test('a chunked response is given without chunks, up to the close', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n') });
    const client = await rig.ask('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const response = readResponse(client.text, { isOver: client.hasEnded });
    assert.equal(response.body, 'hello');
    assert.ok(response.isComplete);
    assert.doesNotMatch(response.head, /transfer-encoding|keep-alive/i);
    await rig.finish(client);
  });
  test('keep-alive is kept where the length is known', async () => {
    const rig = new Rig();
    const client = await rig.ask('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.match(client.text, /connection: keep-alive/i);
    assert.ok(!client.hasEnded);
    await rig.finish(client);
  });
});

describe('responses without a body (RFC 9110 §8.6, RFC 9112 §6.3)', () => {
  for (const [what, method, answer, head] of [
    ['HEAD keeps the length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n', /content-length: 10/i],
    ['304 keeps the length', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n', /content-length: 10/i],
    ['204 has none', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', /^(?!.*(content-length|transfer-encoding))/is],
  ] as const) {
    test(what, async () => {
      const rig = new Rig({ origin: answering(answer) });
      const request = `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`;
      const client = await rig.ask(request);
      assert.match(readResponse(client.text, { method }).head, head);
      client.send(request);
      await settle();
      assert.equal(rig.origins.length, 1, 'both connections go on');
      assert.equal(rig.logged.length, 2);
      await rig.finish(client);
    });
  }
});

describe('X-Forwarded-*', () => {
  test('are appended to what came', async () => {
    const rig = new Rig({ hooks: { upstreamRequestFilter: appendForwarded } });
    const client = await rig.ask(
      'GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nConnection: X-Forwarded-For\r\n\r\n',
    );
    assert.match(rig.origins[0]?.text ?? '', /X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.9\r\n/);
    assert.match(rig.origins[0]?.text ?? '', /X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n/);
    await rig.finish(client);
  });

  test('say what the proxy knows, and nothing that the client claims', async () => {
    const rig = new Rig({ hooks: { upstreamRequestFilter: setForwarded } });
    const client = await rig.ask(
      'GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: admin\r\n' +
        'X-Forwarded-Port: 443\r\nX-Real-IP: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\r\n',
    );
    assert.equal(
      rig.origins[0]?.text,
      'GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Port: 80\r\n' +
        'X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n\r\n',
    );
    await rig.finish(client);
  });

  test('of a client without Host, port or address of its own say so little, and not what it claims', async () => {
    const rig = new Rig({ hooks: { upstreamRequestFilter: setForwarded } });
    const { a, b } = memoryPair({ clock: rig.clock });
    rig.server.accept(b);
    const client = new Wire(a).send('GET / HTTP/1.0\r\nX-Forwarded-Host: admin\r\nX-Forwarded-Port: 443\r\n\r\n');
    await settle();
    assert.equal(rig.origins[0]?.text, 'GET / HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Forwarded-For: unknown\r\nX-Forwarded-Proto: http\r\n\r\n');
    await rig.finish(client);
  });
});

describe('connections to the upstream', () => {
  test('are shared within a key, and never across', async () => {
    const peers = [
      peer('10.0.0.1:80'),
      peer('10.0.0.1:80', { group: 'b' }),
      peer('10.0.0.1:80', { localAddress: '10.0.0.7' }),
      peer('10.0.0.2:80'),
    ];
    const rig = new Rig({ hooks: { upstreamPeer: ({ request }) => peers[Number(request.target.slice(1))] ?? peers[0]! } });
    const client = rig.connect();
    for (let round = 0; round < 2; round++) {
      for (const index of peers.keys()) {
        client.send(`GET /${index} HTTP/1.1\r\nHost: h\r\n\r\n`);
        await settle();
      }
    }
    assert.equal(rig.origins.length, 4);
    for (const [index, wire] of rig.origins.entries()) assert.deepEqual(wire.text.match(/GET \/\d/g), [`GET /${index}`, `GET /${index}`]);
    assert.equal(rig.proxy.connector.counts.reused, 4);
    await rig.finish(client);
  });
  test('Keep-Alive: timeout is kept, less a second', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n') });
    const client = await rig.ask(get);
    await rig.pass(3_900);
    assert.equal(rig.proxy.connector.idleCount, 1);
    await rig.pass(200);
    assert.equal(rig.proxy.connector.idleCount, 0);
    assert.ok(rig.origins[0]?.isOver);
    await rig.finish(client);
  });
  test('Connection: close of the upstream ends them', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n') });
    const client = await rig.ask(get);
    assert.equal(rig.proxy.connector.connectionCount, 0);
    assert.doesNotMatch(client.text, /close/i);
    await rig.finish(client);
  });
  test('after close() none is kept', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = await rig.ask(get);
    rig.proxy.close();
    rig.origins[0]?.send(ok);
    await settle();
    assert.equal(readResponse(client.text).body, 'ok');
    assert.equal(rig.proxy.connector.connectionCount, 0);
    await rig.finish(client);
  });
});

test('retries are a small share of the traffic: beyond the budget, 502 at once', async () => {
  const rig = new Rig({
    origin: (wire) => when(wire, '/lost', () => wire.reset()),
    proxy: { retryShare: 0.5, maxRetries: 5 },
    upstream: {},
  });
  const waiting = [];
  for (let i = 0; i < 4; i++) waiting.push(rig.connect().send(get));
  const hold = rig.connect().send('GET /held HTTP/1.1\r\nHost: h\r\n\r\n');
  await settle();
  const clients = Array.from({ length: 12 }, () => rig.connect().send('GET /lost HTTP/1.1\r\nHost: h\r\n\r\n'));
  await settle();
  for (const client of clients) assert.equal(readResponse(client.text).status, 502);
  const attempts = rig.origins.filter((wire) => wire.text.includes('/lost')).length;
  assert.ok(attempts > 12 && attempts < 12 * 6, `${attempts} attempts`);
  await rig.finish(...waiting, hold, ...clients);
});
