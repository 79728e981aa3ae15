/** Switching protocols (RFC 9110 §7.8, §15.2.2): tunnels, refusals, and what must never leak around them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applicationError } from '@ferrata/error';
import type { ProxySession } from '@ferrata/proxy';
import { answering, get, ok, Rig, readResponse, settle, type Wire, when } from './rig.ts';

const ask = (protocol: string): string =>
  `GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: ${protocol}\r\n\r\n`;
const accept =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';
const headLength = (text: string): number => text.indexOf('\r\n\r\n') + 4;

describe('an upgrade that the upstream accepts', () => {
  test('is a tunnel both ways, with the leftovers of both heads, and is never pooled', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(`${accept}early down;`)) });
    const client = await rig.ask(`${ask('websocket')}early up;`);
    const origin = rig.origins[0] as Wire;
    assert.match(origin.text, /\r\nUpgrade: websocket\r\nConnection: upgrade\r\n/i);
    assert.doesNotMatch(origin.text, /X-Hop/);
    assert.match(client.text, /^HTTP\/1.1 101 /);
    assert.match(client.text, /\r\nUpgrade: websocket\r\n/i);
    assert.match(client.text, /\r\nConnection: upgrade\r\n/i);
    assert.doesNotMatch(client.text, /X-Hop/);
    assert.ok(client.text.endsWith('\r\n\r\nearly down;'));
    assert.ok(origin.text.endsWith('\r\n\r\nearly up;'));
    client.send('more up');
    origin.send('more down');
    await settle();
    assert.ok(origin.text.endsWith('early up;more up'));
    assert.ok(client.text.endsWith('early down;more down'));
    assert.equal(rig.logged.length, 0);
    assert.equal(rig.proxy.connector.connectionCount, 0);

    client.end();
    await settle();
    assert.ok(origin.hasEnded, 'a half-close passes');
    origin.send(' last').end();
    await settle();
    assert.ok(client.text.endsWith('more down last'));
    assert.equal(rig.last.outcome, 'completed');
    assert.equal(rig.last.status, 101);
    assert.equal(rig.last.session.requestBytes, 'early up;more up'.length);
    assert.equal(rig.last.session.responseBytes, 'early down;more down last'.length);
    await rig.finish(client);
  });

  for (const [who, outcome] of [
    ['client', 'client_abort'],
    ['origin', 'upstream_error'],
  ] as const) {
    test(`a reset by the ${who} resets the other`, async () => {
      const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(accept)) });
      const client = await rig.ask(ask('websocket'));
      const ends = { client, origin: rig.origins[0] as Wire };
      ends[who].reset();
      await settle();
      assert.ok(client.wasReset || who === 'client');
      assert.ok(ends.origin.isClosed);
      assert.equal(rig.last.outcome, outcome);
      await rig.finish(client);
    });
  }

  test('an idle tunnel is cut', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(accept)), proxy: { tunnelIdleTimeoutMs: 5_000 } });
    const client = await rig.ask(ask('websocket'));
    await rig.pass(4_000);
    rig.origins[0]?.send('ping');
    await rig.pass(4_000);
    assert.ok(!client.isOver);
    // Written bytes on their way out are noticed late: by up to once more the limit.
    await rig.pass(7_000);
    assert.ok(client.isOver);
    assert.equal(rig.last.outcome, 'timeout');
    await rig.finish(client);
  });

  test('closing the server, or session.fail, ends a tunnel', async () => {
    for (const how of ['server', 'session'] as const) {
      let session: ProxySession | undefined;
      const rig = new Rig({
        origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(accept)),
        proxy: { tunnelIdleTimeoutMs: Number.POSITIVE_INFINITY },
        hooks: { upstreamRequestFilter: (it) => void (session = it) },
      });
      const client = await rig.ask(ask('websocket'));
      if (how === 'server') rig.server.close();
      else session?.fail(applicationError('ENOUGH'));
      await settle();
      assert.ok(client.isOver);
      assert.ok(rig.origins[0]?.isOver);
      assert.equal(rig.last.outcome, 'failed');
      await rig.finish(client);
    }
  });
});

describe('an upgrade that the upstream refuses', () => {
  test('is an ordinary response; bytes behind the request are the next request, and the origin does not get them before (CVE-2026-2833)', async () => {
    const rig = new Rig({
      origin: (wire) => when(wire, '/chat', () => wire.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')),
    });
    const client = await rig.ask(`${ask('websocket')}\x81\x05hello`);
    const response = readResponse(client.text);
    assert.equal(response.status, 403);
    assert.equal(readResponse(response.rest).status, 400);
    assert.ok(rig.origins[0]?.text.endsWith('\r\n\r\n'));
    assert.equal(rig.origins[0]?.text.length, headLength(rig.origins[0]?.text ?? ''));
    await rig.finish(client);
  });
  test('the client goes on, the upstream connection is not used again (CVE-2026-58055)', async () => {
    const rig = new Rig({ origin: answering(ok) });
    const client = await rig.ask(ask('websocket'));
    client.send(get);
    await settle();
    assert.equal(rig.origins.length, 2);
    assert.equal(rig.logged.length, 2);
    await rig.finish(client);
  });
  test('nor does it take a connection that others have used', async () => {
    const rig = new Rig({ origin: answering(ok) });
    const client = await rig.ask(get);
    client.send(ask('websocket'));
    await settle();
    assert.equal(rig.origins.length, 2);
    await rig.finish(client);
  });
});

test('h2c is not forwarded: requests in it would pass every filter by (RFC 9113 §3.1)', async () => {
  for (const [asked, sent] of [
    ['h2c', null],
    ['H2C, websocket', 'websocket'],
  ] as const) {
    const rig = new Rig();
    const client = await rig.ask(ask(asked));
    const found = /^upgrade: (.*)$/im.exec(rig.origins[0]?.text ?? '');
    assert.equal(found?.[1] ?? null, sent);
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  }
});

test('the retry of a lost upgrade asks again', async () => {
  const rig = new Rig({ origin: (wire, index) => when(wire, '\r\n\r\n', () => (index === 0 ? wire.reset() : wire.send(accept))) });
  const client = await rig.ask(ask('websocket'));
  assert.match(client.text, /^HTTP\/1.1 101 /);
  await rig.finish(client);
});
