/** Which version is spoken, and where connections go, when ALPN decides: with a TLS in name only, over pairs in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ClientSession, Http1ClientSession } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type Peer, type PeerOptions, peer, UpstreamConnector, type UpstreamConnectorOptions } from '@ferrata/upstream';
import { type Choice, FakeTls, speaks } from './fake-tls.ts';
import { originRig, rejection, send, settle } from './rig.ts';

function rig(
  choose: (offered: readonly string[], index: number) => Choice,
  more: PeerOptions = {},
  options: Partial<UpstreamConnectorOptions> = {},
) {
  const { ends: origins, ...rest } = originRig(options);
  const tls = new FakeTls(choose);
  const origin: Peer = peer('origin.test:443', { protocol: 'auto', tls, ...more });
  return { ...rest, tls, origin, origins };
}

const http1 = speaks('http/1.1');
const http2 = speaks('h2');

describe('protocol auto (RFC 7301, RFC 9113 §3.3)', () => {
  test('HTTP/2 chosen: requests that connect at once share one connection, and so do later ones', async () => {
    const { connector, origin, tls, answer, waiting } = rig(http2);
    const sessions = await Promise.all(Array.from({ length: 8 }, () => connector.connect(origin)));
    assert.equal(new Set(sessions).size, 1);
    assert.equal(sessions[0]?.protocol, 'http2');
    for (const session of sessions) send(session);
    await settle();
    assert.equal(waiting.length, 8);
    await answer();
    assert.equal(connector.take(origin), sessions[0]);
    assert.deepEqual(
      tls.asked.map(({ alpn, host }) => [alpn, host]),
      [[['h2', 'http/1.1'], 'origin.test']],
    );
    assert.deepEqual(connector.counts, { connected: 1, failed: 0, reused: 1, dirty: 0 });
  });

  for (const [what, choose] of [
    ['HTTP/1 chosen', http1],
    ['nothing chosen, as by a server without ALPN', () => null],
  ] as const) {
    test(`${what}: those who waited for one connection get one each, and the pool keeps them`, async () => {
      const { connector, origin, tls, answer } = rig(choose);
      const sessions = await Promise.all(Array.from({ length: 5 }, () => connector.connect(origin)));
      assert.equal(new Set(sessions).size, 5);
      assert.ok(sessions.every(({ protocol }) => protocol === 'http1'));
      assert.equal(tls.asked.length, 5, 'the connection that found it out is used');
      for (const session of sessions) send(session);
      await settle();
      await answer();
      assert.equal(connector.idleCount, 5);
      assert.ok(sessions.includes(connector.take(origin) as ClientSession));
      assert.deepEqual(connector.counts, { connected: 5, failed: 0, reused: 1, dirty: 0 });
      assert.equal(connector.pendingCount, 0);
    });
  }

  test('what a peer chose is remembered: the next burst connects side by side, and still offers both', async () => {
    const { connector, origin, tls } = rig(http1);
    await connector.connect(origin);
    await settle();
    assert.equal(tls.asked.length, 1);
    const [a, b] = [connector.connect(origin), connector.connect(origin)];
    await Promise.resolve();
    await settle();
    assert.equal(tls.asked.length, 3);
    assert.notEqual(await a, await b);
    assert.deepEqual(tls.asked[2]?.alpn, ['h2', 'http/1.1']);
  });

  test('a peer that chose HTTP/1 and now chooses HTTP/2 is understood at once; who still connects joins the first', async () => {
    const choices = ['http/1.1', 'h2', 'h2'];
    const { connector, origin, answer, waiting } = rig((_offered, index) => choices[index] ?? 'h2');
    assert.equal((await connector.connect(origin)).protocol, 'http1');
    const [second, third] = await Promise.all([connector.connect(origin), connector.connect(origin)]);
    assert.deepEqual([second?.protocol, third?.protocol], ['http2', 'http2']);
    assert.equal(second, third);
    for (const session of [second, third]) send(session);
    await settle();
    assert.equal(waiting.length, 2);
    await answer();
    const shared = connector.take(origin);
    assert.equal(shared?.protocol, 'http2', 'HTTP/2 goes before an idle connection of HTTP/1');
    const fourth = await connector.connect(origin);
    assert.equal(fourth.protocol, 'http2');
    assert.equal(connector.counts.connected, 2, 'no new connection');
    assert.equal(connector.counts.failed, 0, 'what was given up for it is no failure');
  });

  test('such a burst keeps to maxConnections, whenever its handshakes end', async () => {
    const ends: (() => void)[] = [];
    const { connector, origin, answer, tls, clock } = rig(http1);
    connector.release(await connector.connect(origin));
    connector.take(origin);
    const shaking = tls.connect.bind(tls);
    tls.choose = http2;
    // All of them end in one turn: each has its connection before it could be called to share.
    tls.connect = (...args) => void ends.push(() => shaking(...args));
    const burst = Array.from({ length: 100 }, () => connector.connect(origin));
    await settle();
    assert.equal(ends.length, 100, 'as many as HTTP/1 may have, and more than HTTP/2 may');
    for (const end of ends) end();
    const sessions = await Promise.all(burst);
    for (const session of sessions) send(session);
    await settle();
    await answer();
    await settle();
    assert.equal(connector.connectionCount - 1, Math.min(64, new Set(sessions).size), 'but for that of HTTP/1');
    clock.advance(60_000);
    await settle();
    assert.equal(connector.idleCount, 0);
  });

  test('who waits in the line of HTTP/1 is called to share, too, when the peer chooses HTTP/2', async () => {
    const choices = ['http/1.1', 'h2'];
    const { connector, origin, tls } = rig((_offered, index) => choices[index] ?? 'h2', { maxConnections: 2 });
    await connector.connect(origin);
    const burst = Array.from({ length: 5 }, () => connector.connect(origin));
    await settle();
    const sessions = await Promise.all(burst);
    assert.equal(new Set(sessions).size, 1);
    assert.equal(sessions[0]?.protocol, 'http2');
    assert.equal(tls.asked.length, 2);
    assert.equal(connector.pendingCount, 0);
  });

  test('a cold burst to a peer that turns out to speak HTTP/1 refuses nobody: there is no line where that is spoken', async () => {
    const { connector, origin } = rig(http1, { maxPending: 3 });
    const sessions = await Promise.all(Array.from({ length: 20 }, () => connector.connect(origin)));
    assert.equal(new Set(sessions).size, 20);
  });

  test('where HTTP/2 is spoken, the line is bounded as soon as that is known', async () => {
    const { connector, origin } = rig(http2, { maxPending: 3, maxConnections: 1, maxStreamsPerConnection: 1 });
    send(await connector.connect(origin));
    await settle();
    const outcomes = Array.from({ length: 4 }, () => connector.connect(origin));
    assert.equal((await rejection(outcomes[3] as Promise<unknown>)).reason, 'UPSTREAM_TOO_MANY_PENDING');
    for (const outcome of outcomes) outcome.catch(() => {});
    connector.close();
  });

  test('a place on a connection that came unasked is given back, and the connection ends when it is idle for too long', async () => {
    const choices = ['http/1.1', 'h2'];
    const { connector, origin, clock } = rig((_offered, index) => choices[index] ?? 'h2', { idleTimeoutMs: 1_000 });
    const first = await connector.connect(origin);
    const second = await connector.connect(origin);
    connector.release(second);
    connector.release(first);
    await settle();
    assert.equal(connector.connectionCount, 2);
    clock.advance(1_100);
    await settle();
    assert.equal(connector.connectionCount, 0);
  });

  test('a peer that chose HTTP/2 and now chooses HTTP/1 serves everybody', async () => {
    const choices = ['h2', 'http/1.1'];
    const { connector, origin, answer } = rig((_offered, index) => choices[index] ?? 'http/1.1', { maxStreamsPerConnection: 1 });
    const first = await connector.connect(origin);
    send(first);
    await settle();
    const [second, third] = await Promise.all([connector.connect(origin), connector.connect(origin)]);
    assert.deepEqual([first.protocol, second?.protocol, third?.protocol], ['http2', 'http1', 'http1']);
    assert.notEqual(second, third);
    await answer();
    assert.equal(connector.take(origin), first);
  });

  test('without a pool the connection that found HTTP/1 out is not kept, and everybody is served all the same', async () => {
    const { connector, origin, tls } = rig(http1, {}, { maxIdlePerPeer: 0 });
    const sessions = await Promise.all([connector.connect(origin), connector.connect(origin)]);
    assert.ok(sessions.every(({ isReusable }) => isReusable));
    assert.equal(new Set(sessions).size, 2);
    assert.equal(tls.asked.length, 3);
    assert.equal(connector.connectionCount, 2);
  });

  test('nobody waits any more: the connection that was made goes to the pool of its version', async () => {
    const { connector, origin } = rig(http1);
    const abort = new AbortController();
    const given = rejection(connector.connect(origin, abort.signal));
    abort.abort();
    assert.equal((await given).reason, 'CONNECT_ABORTED');
    await settle();
    assert.equal(connector.idleCount, 1);
    assert.equal(connector.take(origin)?.protocol, 'http1');
  });

  test('closed while connecting: who waits is served, and nothing is left afterwards', async () => {
    for (const choose of [http1, http2]) {
      const { connector, origin, answer } = rig(choose);
      const connecting = Promise.all([connector.connect(origin), connector.connect(origin)]);
      connector.close();
      const sessions = await connecting;
      for (const session of sessions) send(session);
      await settle();
      await answer();
      assert.equal(connector.connectionCount, 0);
    }
  });

  test('without TLS nothing can choose: it is HTTP/1', async () => {
    const { connector } = rig(http2);
    const plain = peer('10.0.0.1:80', { protocol: 'auto' });
    assert.equal(plain.protocol, 'http1');
    assert.equal((await connector.connect(plain)).protocol, 'http1');
  });

  test('for an upgrade there is a peer that offers HTTP/1 alone, with the same TLS (RFC 9113 §8.6)', async () => {
    const { connector, origin, tls } = rig((offered) => offered[0] ?? null);
    assert.equal((await connector.connect(origin)).protocol, 'http2');
    const { forUpgrade } = origin;
    assert.ok(forUpgrade !== null);
    assert.equal(connector.take(forUpgrade), null);
    assert.equal((await connector.connect(forUpgrade)).protocol, 'http1');
    assert.deepEqual(tls.asked[1]?.alpn, ['http/1.1']);
    assert.equal(peer('h:443', { tls, protocol: 'http2' }).forUpgrade, null);
    assert.equal(peer('h:443', { tls }).forUpgrade, null);
  });
});

describe('TLS to a peer', () => {
  test('http1 offers http/1.1 only; http2 offers h2 only, and takes nothing else (RFC 9113 §3.3)', async () => {
    const first = rig(http1, { protocol: 'http1' });
    assert.equal((await first.connector.connect(first.origin)).protocol, 'http1');
    assert.deepEqual(first.tls.asked[0]?.alpn, ['http/1.1']);
    const second = rig(() => null, { protocol: 'http2' });
    const error = await rejection(second.connector.connect(second.origin));
    assert.deepEqual(
      [error.type, error.reason, error.retry, error.source, error.wire.status],
      ['tls', 'TLS_ALPN_MISMATCH', 'never', 'upstream', 502],
    );
    assert.deepEqual(second.tls.asked[0]?.alpn, ['h2']);
    assert.equal(second.origins[0]?.state, 'closed');
    assert.deepEqual(second.connector.counts, { connected: 0, failed: 1, reused: 0, dirty: 0 });
  });

  test('a handshake that fails is told to all who wait, and costs no place', async () => {
    const { connector, origin, environment } = rig(() => ({ does: 'fail' }));
    const [a, b] = await Promise.all([rejection(connector.connect(origin)), rejection(connector.connect(origin))]);
    assert.deepEqual([a.reason, b.reason, a.source], ['TLS_CERT_EXPIRED', 'TLS_CERT_EXPIRED', 'upstream']);
    assert.deepEqual(connector.counts, { connected: 0, failed: 1, reused: 0, dirty: 0 });
    assert.equal(connector.connectionCount, 0);
    assert.equal(environment.deadlines.size, 0);
  });

  test('a handshake that never ends is given up after tlsTimeoutMs, and the stream with it', async () => {
    const { connector, origin, clock, origins, tls } = rig(() => ({ does: 'nothing' }), { protocol: 'http1', tlsTimeoutMs: 700 });
    const failed = rejection(connector.connect(origin));
    await settle();
    clock.advance(690);
    await settle();
    assert.equal(tls.asked[0]?.signal.aborted, false);
    clock.advance(20);
    const error = await failed;
    assert.deepEqual([error.type, error.reason, error.retry], ['timeout', 'TLS_HANDSHAKE_TIMEOUT', 'always']);
    assert.equal(tls.asked[0]?.signal.aborted, true);
    await settle();
    assert.equal(origins[0]?.state, 'closed');
  });

  test('transport and handshake have 5 s together, whatever the transport took (and the error says which time it was)', async () => {
    const { clock, tls, environment } = rig(() => ({ does: 'nothing' }));
    const { promise: stream, resolve } = Promise.withResolvers<L4Stream>();
    const connector = new UpstreamConnector({ environment, connect: () => stream });
    const failed = rejection(connector.connect(peer('origin.test:443', { tls })));
    await settle();
    clock.advance(2_500);
    resolve(memoryPair({ clock }).a);
    await settle();
    clock.advance(2_400);
    await settle();
    assert.equal(tls.asked[0]?.signal.aborted, false);
    clock.advance(110);
    const error = await failed;
    assert.deepEqual([error.type, error.reason, error.retry], ['timeout', 'CONNECT_TOTAL_TIMEOUT', 'always']);
    assert.match(error.message, /5000 ms in all/);
  });

  test('a handshake can be given up', async () => {
    const { connector, origin, origins } = rig(() => ({ does: 'nothing' }), { protocol: 'http1' });
    const abort = new AbortController();
    const failed = rejection(connector.connect(origin, abort.signal));
    await settle();
    abort.abort();
    assert.equal((await failed).reason, 'CONNECT_ABORTED');
    await settle();
    assert.equal(origins[0]?.state, 'closed');
    assert.equal(connector.counts.failed, 0);
  });

  test('a connector of one’s own that throws costs its request, not more', async () => {
    const { connector, origin, origins } = rig(() => ({ does: 'throw' }), { protocol: 'http1' });
    const error = await rejection(connector.connect(origin));
    assert.deepEqual([error.type, error.reason], ['internal', 'CONNECT_THREW']);
    await settle();
    assert.equal(origins[0]?.state, 'closed');
  });

  test('who waits for a shared connection waits for its handshake too', async () => {
    const { connector, origin, clock } = rig(() => ({ does: 'nothing' }), {
      protocol: 'http2',
      connectTimeoutMs: 1_000,
      tlsTimeoutMs: 30_000,
      pendingTimeoutMs: 1_000,
    });
    const failed = rejection(connector.connect(origin));
    await settle();
    clock.advance(29_000);
    await settle();
    assert.equal(connector.pendingCount, 1);
    clock.advance(1_100);
    assert.equal((await failed).reason, 'TLS_HANDSHAKE_TIMEOUT');
  });

  test('a peer’s own way of connecting goes before the connector’s, and TLS runs over it', async () => {
    const { connector, tls, server, origins } = rig(http1);
    let asked: Peer | null = null;
    const own = peer('origin.test:443', {
      tls,
      connect: async (to) => {
        asked = to;
        const { a, b } = memoryPair();
        server.accept(b);
        return a;
      },
    });
    const session = await connector.connect(own);
    assert.equal(asked, own);
    assert.equal(session.stream.info.kind, 'tls');
    assert.equal(session.stream.info.below?.kind, 'memory');
    assert.equal(origins.length, 0);
  });
});

describe('custom protocols (RFC 7301 §3.2)', () => {
  /** HTTP/1 under another name, and marked. */
  class MyOwn extends Http1ClientSession {}

  test('both agree: a session of one’s own, kept and used again as HTTP/1 is', async () => {
    const options: PeerOptions = {
      customProtocols: { 'my-http': (stream, environment, owner) => new MyOwn(stream, environment, origin.client, owner) },
    };
    const { connector, origin, tls, answer } = rig(speaks('my-http'), options);
    const session = await connector.connect(origin);
    assert.ok(session instanceof MyOwn);
    assert.deepEqual(tls.asked[0]?.alpn, ['my-http', 'h2', 'http/1.1']);
    send(session);
    await settle();
    await answer();
    assert.equal(connector.take(origin), session);
  });

  test('the server knows another one only, or HTTP: HTTP it is', async () => {
    for (const [protocol, choose, spoken] of [
      ['http1', () => null, 'http1'],
      ['http1', http1, 'http1'],
      ['auto', http2, 'http2'],
    ] as const) {
      const { connector, origin } = rig(choose, { protocol, customProtocols: { mine: () => assert.fail('nobody agreed on it') } });
      assert.equal((await connector.connect(origin)).protocol, spoken);
    }
  });

  test('a function that throws, or makes a shared session, costs its connection', async () => {
    for (const open of [
      () => {
        throw new Error('oh');
      },
      () => ({ isShared: true }) as ClientSession,
      () => null as unknown as ClientSession,
    ]) {
      const { connector, origin, origins } = rig(speaks('mine'), { customProtocols: { mine: open } });
      const error = await rejection(connector.connect(origin));
      assert.deepEqual([error.type, error.reason, error.source], ['application', 'CUSTOM_SESSION_THREW', 'internal']);
      await settle();
      assert.equal(origins[0]?.state, 'closed');
      assert.equal(connector.connectionCount, 0);
    }
  });
});
