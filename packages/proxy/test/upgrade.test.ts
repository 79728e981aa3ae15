/** Switching protocols (RFC 9110 §7.8, §15.2.2): tunnels, refusals, and what must never leak around them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applicationError, tlsError } from '@ferrata/error';
import type { AnswerableSession } from '@ferrata/proxy';
import { memoryPair } from '@ferrata/stream';
import { peer, type TlsConnector } from '@ferrata/upstream';
import fc from 'fast-check';
import { forwardedUpgrade, UpgradePeers, upgradeFor } from '../src/upgrade.ts';
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

  test('an origin that has ended, and reads no more of what a client has sent before it went, is cut when nothing has moved for so long', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(accept)), proxy: { tunnelIdleTimeoutMs: 5_000 } });
    const client = await rig.ask(ask('websocket'));
    const [origin] = rig.origins;
    assert.ok(origin !== undefined);
    origin.end();
    origin.stream.pause();
    await settle();
    client.send('x'.repeat(1_000)).end();
    await settle();
    assert.ok(client.isOver);
    assert.ok(!origin.isOver);
    await rig.pass(11_000);
    origin.stream.resume();
    await settle();
    assert.ok(origin.isOver);
    assert.equal(rig.last.outcome, 'timeout');
    await rig.finish(client);
  });

  test('closing the server, or session.fail, ends a tunnel', async () => {
    for (const how of ['server', 'session'] as const) {
      let session: AnswerableSession | undefined;
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

describe('of what a client asks for, nothing is sent on that carries requests, as they would pass every filter by (RFC 9110 §7.8, RFC 9113 §3.1)', () => {
  for (const [asked, sent] of [
    ['h2c', null],
    ['H2C, websocket', 'websocket'],
    ['h2c\t,\twebsocket,, chat/2 , ', 'websocket, chat/2'],
    ['h2c/2', null],
    ['websocket, H2c/2.0', 'websocket'],
    ['h2', null],
    ['h2c-14, x', 'x'],
    ['HTTP/2.0, IRC/6.9', 'IRC/6.9'],
    ['http', null],
    ['TLS/1.2, HTTP/1.1', null],
    ['h2cat, https, tlsx', 'h2cat, https, tlsx'],
    ['WebSocket\r\nUpgrade: h2c\r\nUpgrade: x', 'WebSocket, x'],
  ] as const) {
    test(`${JSON.stringify(asked)} becomes ${sent}`, async () => {
      const rig = new Rig();
      const client = await rig.ask(ask(asked));
      const text = rig.origins[0]?.text ?? '';
      assert.equal(/^upgrade: (.*)\r$/im.exec(text)?.[1] ?? null, sent);
      assert.equal(/^connection: upgrade\r$/im.test(text), sent !== null);
      assert.equal(readResponse(client.text).status, 200);
      await rig.finish(client);
    });
  }

  for (const asked of [
    '"a, h2c',
    '"a", h2c',
    '"a, h2c, b"',
    '"websocket"',
    'websocket;h2c',
    'websocket;q=1',
    'h2c h2c',
    'websocket h2c',
    'websocket, h2c h2c',
    'websocket/',
    '/13',
    'websocket/13/h2c',
    'websocket/"13"',
    'websocket=h2c',
    '\xa0h2c',
    'h2c\xa0',
    'websocket, (h2c)',
  ]) {
    test(`a list with a fault asks for nothing, and 101 is no answer: ${JSON.stringify(asked)}`, async () => {
      const rig = new Rig({ origin: answering(ok) });
      const client = await rig.ask(ask(asked));
      assert.doesNotMatch(rig.origins[0]?.text ?? '', /upgrade|h2c/i);
      assert.equal(readResponse(client.text).body, 'ok');
      await rig.finish(client);

      for (const chosen of ['h2c', asked]) {
        const switching = new Rig({
          origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(`${accept.replace('websocket', chosen)}HTTP/2 frames`)),
        });
        const victim = await switching.ask(`${ask(asked)}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`);
        assert.equal(readResponse(victim.text).status, 502);
        assert.doesNotMatch(victim.text, /frames/);
        assert.ok(switching.origins.every((origin) => !origin.text.includes('PRI')));
        await switching.finish(victim);
      }
    });
  }

  test('a 101 that chooses what was left out of the offer is 502', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(`${accept.replace('websocket', 'h2c')}frames`)) });
    const client = await rig.ask(ask('h2c, websocket'));
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(rig.last.error?.reason, 'H1_UNASKED_UPGRADE');
    assert.doesNotMatch(client.text, /frames/);
    await rig.finish(client);
  });

  test('however a recipient divides it, what is sent on names none of them', () => {
    const parts = fc.constantFrom(
      'h2c',
      'H2C',
      'h2',
      'http',
      'tls',
      'websocket',
      'a',
      '1',
      ',',
      ', ',
      '/',
      '"',
      '\\',
      ';',
      '=',
      ' ',
      '\t',
      '\xa0',
      '(',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (list) => {
        const sent = forwardedUpgrade(list.join('')) ?? '';
        assert.match(sent, /^(?:[\w/]+(?:, [\w/]+)*)?$/);
        for (const member of sent.split(', ')) assert.doesNotMatch(member, /^(?:h2c?|http|tls)(?:\/|$)/i);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('Upgrade in a response is for the connection it came by, but in a 426, which must say what is required (RFC 9110 §15.5.22)', () => {
  for (const [status, given, told] of [
    [426, 'websocket', 'websocket'],
    [426, 'HTTP/3.0', 'HTTP/3.0'],
    [426, 'h2c, websocket/13\r\nUpgrade: TLS/1.2', 'websocket/13, TLS/1.2'],
    [426, 'h2c', undefined],
    [426, '"websocket, h2c"', undefined],
    [426, 'websocket; x', undefined],
    [200, 'websocket', undefined],
    [400, 'websocket', undefined],
  ] as const) {
    test(`${status} with ${JSON.stringify(given)}`, async () => {
      const head = `HTTP/1.1 ${status} X\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: ${given}\r\nContent-Length: 0\r\n\r\n`;
      for (const connection of ['keep-alive', 'close']) {
        const rig = new Rig({ origin: answering(head) });
        const client = await rig.ask(get.replace('\r\n\r\n', `\r\nConnection: ${connection}\r\n\r\n`));
        const response = readResponse(client.text);
        assert.equal(response.status, status);
        assert.equal(/^upgrade: (.*)\r$/im.exec(response.head)?.[1], told);
        const named = [...(connection === 'close' ? ['close'] : []), ...(told === undefined ? [] : ['upgrade'])].join(', ');
        assert.equal(/^connection: (.*)\r$/im.exec(response.head)?.[1] ?? '', named);
        assert.doesNotMatch(response.head, /x-hop/i);
        await rig.finish(client);
      }
    });
  }
});

test('the retry of a lost upgrade asks again', async () => {
  const rig = new Rig({ origin: (wire, index) => when(wire, '\r\n\r\n', () => (index === 0 ? wire.reset() : wire.send(accept))) });
  const client = await rig.ask(ask('websocket'));
  assert.match(client.text, /^HTTP\/1.1 101 /);
  await rig.finish(client);
});

describe('a 101 of the upstream that names no protocol (RFC 9110 §7.8)', () => {
  for (const unnamed of ['', 'Upgrade:\r\n', 'Upgrade: ,\r\n']) {
    test(`${JSON.stringify(unnamed)}: is 502, and no byte behind it is passed on`, async () => {
      const switched = `HTTP/1.1 101 Switching Protocols\r\n${unnamed}\r\nsecret`;
      const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(switched)) });
      const client = await rig.ask(ask('websocket'));
      assert.equal(readResponse(client.text).status, 502);
      assert.doesNotMatch(client.text, /secret/);
      assert.equal(rig.last.error?.reason, 'H1_UNASKED_UPGRADE');
      assert.ok(rig.origins[0]?.isClosed);
      await rig.finish(client);
    });
  }
});

test('a peer that might choose HTTP/2 is asked by HTTP/1.1 for an upgrade, and for nothing else (RFC 9113 §8.6)', () => {
  const auto = peer('origin.test:443', { tls: true, protocol: 'auto' });
  const peers = new UpgradePeers();
  const peerForUpgrade = (asked: typeof auto, upgrade: string | null): typeof auto => peers.peerFor(asked, upgrade, 0);
  assert.equal(peerForUpgrade(auto, 'websocket'), auto.forUpgrade);
  assert.equal(auto.forUpgrade?.protocol, 'http1');
  assert.equal(peerForUpgrade(auto, null), auto);
  assert.equal(peerForUpgrade(auto, 'h2c, HTTP/2.0'), auto, 'nothing of it is sent on');
  for (const fixed of [
    peer('origin.test:80'),
    peer('origin.test:443', { tls: true }),
    peer('origin.test:443', { tls: true, protocol: 'http2' }),
  ])
    assert.equal(peerForUpgrade(fixed, 'websocket'), fixed);
});

describe('a peer that may choose HTTP/2, and knows no HTTP/1', () => {
  test('is asked without the switch, and for a minute not for HTTP/1 again', () => {
    const auto = peer('origin.test:443', { tls: true, protocol: 'auto' });
    const other = peer('other.test:443', { tls: true, protocol: 'auto' });
    const asked = auto.forUpgrade ?? auto;
    const peers = new UpgradePeers();
    assert.equal(peers.isRefusal(auto, asked, tlsError('TLS_CERT_EXPIRED', 'expired'), 0), false);
    assert.equal(peers.peerFor(auto, 'websocket', 1_000), asked);
    const refused = tlsError('TLS_ALPN_REFUSED', 'no application protocol');
    assert.equal(peers.isRefusal(auto, asked, refused, 1_000), true);
    assert.equal(peers.isRefusal(auto, auto, refused, 1_000), false, 'then it has none to ask');
    assert.equal(peers.peerFor(auto, 'websocket', 60_999), auto);
    assert.equal(peers.peerFor(other, 'websocket', 1_000), other.forUpgrade);
    assert.equal(peers.peerFor(auto, 'websocket', 61_000), asked);
    assert.equal(upgradeFor(auto, false, 'websocket'), null, 'it may be HTTP/1 by now: it is not asked for what it was not connected for');
    assert.equal(upgradeFor(asked, false, 'websocket'), 'websocket');
    assert.equal(upgradeFor(auto, true, 'websocket'), null);
  });

  test('the request is answered, and costs one attempt, of which failToConnect hears nothing', async () => {
    const offers: string[] = [];
    const tls: TlsConnector = {
      key: 'fake',
      connect(stream, sink, { alpn }) {
        offers.push(alpn.join());
        setImmediate(() => {
          stream.abort();
          // HTTP/2 alone is refused for a reason of its own, so that this test needs no HTTP/2.
          const reason = alpn.includes('h2') ? 'TLS_CERT_EXPIRED' : 'TLS_ALPN_REFUSED';
          sink.onHandshakeFailed(tlsError(reason, 'no', { retry: 'never' }), stream.info);
        });
      },
    };
    const failed: string[] = [];
    const auto = peer('origin.test:443', { tls, protocol: 'auto', connect: async () => memoryPair().a });
    const rig = new Rig({
      hooks: { upstreamPeer: () => auto, failToConnect: (_session, asked, { reason }) => void failed.push(`${asked.protocol} ${reason}`) },
    });
    for (const expected of ['http/1.1 h2,http/1.1', 'http/1.1 h2,http/1.1 h2,http/1.1']) {
      const client = await rig.ask(ask('websocket'));
      await settle();
      assert.equal(readResponse(client.text).status, 502);
      assert.equal(offers.join(' '), expected);
      assert.equal(rig.last.session.attempt, 1);
    }
    assert.deepEqual(failed, ['auto TLS_CERT_EXPIRED', 'auto TLS_CERT_EXPIRED']);
  });
});

test('a hook that takes Upgrade out of the request means it: nothing is asked of the upstream (RFC 9110 §7.8)', async () => {
  const asked = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket, other\r\n\r\n';
  const without = new Rig({
    hooks: {
      requestFilter: (session) => {
        session.request.headers.delete('Upgrade');
        return false;
      },
    },
  });
  const client = await without.ask(asked);
  assert.doesNotMatch(without.origins[0]?.text ?? '', /upgrade/i);
  assert.equal(readResponse(client.text).status, 200);
  await without.finish(client);
  const part = new Rig({
    hooks: {
      requestFilter: (session) => {
        session.request.headers.set('Upgrade', 'other');
        return false;
      },
    },
  });
  const other = await part.ask(asked);
  assert.match(part.origins[0]?.text ?? '', /\r\nUpgrade: other\r\n/i);
  await part.finish(other);
});
