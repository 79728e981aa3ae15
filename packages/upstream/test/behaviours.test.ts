/** Behaviours of connectors that other proxies are known by, and faults of peers: over sockets on loopback, and over pairs in memory. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import { type ClientSession, HttpEnvironment } from '@ferrata/http';
import { connect, holdSockets, listen } from '@ferrata/net';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { originRig, rejection, send, settle } from './rig.ts';

/** Sends a request. @returns why it failed, null if it was answered */
function ask(session: ClientSession): { readonly isReused: boolean; readonly outcome: Promise<WireError | null> } {
  const { promise, resolve } = Promise.withResolvers<WireError | null>();
  const exchange = session.request(
    requestHead('GET', '/', { headers: { Host: 'h' } }),
    { bodyLength: 0, upgrade: null },
    {
      onInterim: () => {},
      onResponse: () => {},
      onTunnel: () => {},
      onResponseData: () => {},
      onResponseEnd: () => {},
      onRequestDrain: () => {},
      onClientClose: resolve,
    },
  );
  return { isReused: exchange.isReused, outcome: promise };
}

const answering = (stream: L4Stream): void =>
  stream.attach({
    onData: () => void stream.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n')),
    onDrain: () => {},
    onEnd: () => stream.end(),
    onClose: () => {},
  });

describe('connecting', () => {
  test('#229 U1: a closed port is CONNECT_REFUSED, at once: another peer may be asked', async () => {
    const listener = await listen('127.0.0.1:0', () => {});
    assert.ok(listener.address.kind === 'ip');
    await listener.close();
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const error = await rejection(connector.connect(peer(`127.0.0.1:${listener.address.port}`)));
    assert.deepEqual(
      [error.type, error.reason, error.status, error.retry, error.source],
      ['connect', 'CONNECT_REFUSED', 502, 'always', 'upstream'],
    );
    assert.equal(connector.counts.failed, 1);
  });

  for (const code of ['EHOSTUNREACH', 'ENETUNREACH'])
    test(`#230 U1: ${code} is CONNECT_NO_ROUTE`, async () => {
      const connect = (): Promise<never> => Promise.reject(Object.assign(new Error('no route'), { code }));
      const connector = new UpstreamConnector({ environment: new HttpEnvironment(), connect });
      const error = await rejection(connector.connect(peer('192.0.2.1:80')));
      assert.deepEqual([error.type, error.reason, error.status, error.retry], ['connect', 'CONNECT_NO_ROUTE', 502, 'always']);
    });

  test('#233 U2: a peer that answers no SYN is given up after connectTimeoutMs', {
    skip: process.platform !== 'linux' && 'other kernels answer when the queue is full',
  }, async () => {
    const [hole] = await holdSockets([{ transport: 'tcp', host: '127.0.0.1', port: 0, backlog: 1 }]);
    assert.ok(hole?.address.kind === 'ip');
    const place = `127.0.0.1:${hole.address.port}`;
    // The queue of the kernel is full with these; what comes then is dropped.
    const filling = [await connect(place), await connect(place)];
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const before = performance.now();
    const error = await rejection(connector.connect(peer(place, { connectTimeoutMs: 100 })));
    assert.deepEqual([error.type, error.reason, error.status, error.retry], ['timeout', 'CONNECT_TIMEOUT', 504, 'always']);
    assert.ok(performance.now() - before >= 95);
    for (const stream of filling) stream.abort();
    await hole.release();
  });

  test('#234 the shorter of the two times is the one that is told of', async () => {
    const connect = (): Promise<L4Stream> => new Promise(() => {});
    for (const [times, reason] of [
      [{ connectTimeoutMs: 50, totalTimeoutMs: 100 }, 'CONNECT_TIMEOUT'],
      [{ connectTimeoutMs: 100, totalTimeoutMs: 50 }, 'CONNECT_TOTAL_TIMEOUT'],
      [{ connectTimeoutMs: 50 }, 'CONNECT_TIMEOUT'],
    ] as const) {
      const clock = new ManualClock();
      const connector = new UpstreamConnector({ environment: new HttpEnvironment({ clock }), connect });
      const failed = rejection(connector.connect(peer('h:443', { tls: true, ...times })));
      clock.advance(70);
      assert.equal((await failed).reason, reason);
    }
  });

  test('#243 connections over TCP and Unix sockets are used again', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ferrata-upstream-'));
    for (const where of ['127.0.0.1:0', `unix:${join(directory, 'app.sock')}`]) {
      const listener = await listen(where, answering);
      const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
      assert.ok(listener.address.kind !== 'unset');
      const origin = peer(listener.address);
      const first = ask(await connector.connect(origin));
      assert.deepEqual([first.isReused, await first.outcome], [false, null]);
      const session = connector.take(origin);
      assert.ok(session !== null);
      const second = ask(session);
      assert.deepEqual([second.isReused, await second.outcome], [true, null]);
      assert.deepEqual(connector.counts, { connected: 1, failed: 0, reused: 1, dirty: 0 });
      connector.close();
      await listener.close();
    }
    rmSync(directory, { recursive: true });
  });

  test('U3, U4: a peer that resets before a byte of its answer: the request may go again only if its connection was reused', async () => {
    const accepted: L4Stream[] = [];
    const connector = new UpstreamConnector({
      environment: new HttpEnvironment(),
      connect: async () => {
        const { a, b } = memoryPair();
        accepted.push(b);
        return a;
      },
    });
    const origin = peer('10.0.0.1:80');
    const fresh = ask(await connector.connect(origin));
    await settle();
    accepted[0]?.abort();
    const first = await fresh.outcome;
    assert.deepEqual([fresh.isReused, first?.retry, first?.status], [false, 'ifReused', 502]);

    const served = await connector.connect(origin);
    accepted[1]?.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: () => {} });
    const before = ask(served);
    accepted[1]?.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n'));
    await before.outcome;
    const again = connector.take(origin);
    assert.ok(again !== null);
    const reused = ask(again);
    await settle();
    accepted[1]?.abort();
    const second = await reused.outcome;
    assert.deepEqual([reused.isReused, second?.retry], [true, 'ifReused']);
    assert.equal(connector.connectionCount, 0);
  });

  test('U18: a peer that is down fails everybody fast, by one attempt each; when it is up again the next request is served', async () => {
    let isDown = true;
    let attempts = 0;
    const environment = new HttpEnvironment({ clock: new ManualClock() });
    const connector = new UpstreamConnector({
      environment,
      connect: async () => {
        attempts++;
        if (isDown) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
        return memoryPair().a;
      },
    });
    const origin = peer('10.0.0.1:80', { maxConnections: 2 });
    const errors = await Promise.all(Array.from({ length: 50 }, () => rejection(connector.connect(origin))));
    assert.ok(errors.every(({ reason }) => reason === 'CONNECT_REFUSED'));
    assert.equal(attempts, 50);
    assert.equal(environment.deadlines.size, 0);
    isDown = false;
    assert.ok((await connector.connect(origin)).isReusable);
    assert.equal(attempts, 51);
  });
});

/** An origin of HTTP/2. */
function http2Rig(more: PeerOptions) {
  return { ...originRig(), origin: peer('10.0.0.1:80', { protocol: 'http2', ...more }) };
}

describe('connections of HTTP/2', () => {
  test('#222 with one stream each, the second needs another connection, and a free one is used again', async () => {
    const { connector, origin, answer } = http2Rig({ maxStreamsPerConnection: 1 });
    const first = await connector.connect(origin);
    send(first);
    await settle();
    assert.equal(connector.take(origin), null);
    await answer();
    for (let round = 0; round < 2; round++) {
      const again = connector.take(origin);
      assert.equal(again, first);
      send(first);
      await settle();
      await answer();
    }
    assert.equal(connector.counts.connected, 1);
  });

  test('#223 with three, the fourth finds no place; one that ends makes one, and when all have ended the connection serves again', async () => {
    const { connector, origin, answer } = http2Rig({ maxStreamsPerConnection: 3 });
    const first = await connector.connect(origin);
    send(first);
    for (let count = 1; count < 3; count++) {
      assert.equal(connector.take(origin), first);
      send(first);
    }
    await settle();
    assert.equal(connector.take(origin), null);
    await answer(1);
    assert.equal(connector.take(origin), first);
    assert.equal(connector.take(origin), null);
    connector.release(first);
    await answer();
    assert.equal(connector.take(origin), first);
    assert.equal(connector.counts.connected, 1);
  });

  test('#224 a connection that its peer has dropped gives no place, and that is no error', async () => {
    const { connector, origin, ends } = http2Rig({});
    connector.release(await connector.connect(origin));
    await settle();
    ends[0]?.abort();
    await settle();
    assert.equal(connector.take(origin), null);
    assert.equal(connector.connectionCount, 0);
    assert.ok((await connector.connect(origin)).isReusable);
  });

  test('the set grows with the load up to maxConnections, and what the load no longer needs falls idle and is closed', async () => {
    const { connector, origin, answer, clock, environment } = http2Rig({
      maxStreamsPerConnection: 2,
      maxConnections: 4,
      idleTimeoutMs: 10_000,
    });
    const connections: number[] = [];
    const asking: Promise<void>[] = [];
    for (let count = 1; count <= 10; count++) {
      asking.push(connector.connect(origin).then((session) => void send(session)));
      await settle();
      connections.push(connector.connectionCount);
    }
    assert.deepEqual(connections, [1, 1, 2, 2, 3, 3, 4, 4, 4, 4]);
    assert.equal(connector.pendingCount, 2);
    await answer();
    await answer();
    await Promise.all(asking);
    assert.equal(connector.idleCount, 4);
    // One request at a time from then on: it is served by the connection used last.
    for (let second = 0; second < 12; second++) {
      clock.advance(1_000);
      environment.now();
      const session = connector.take(origin);
      assert.ok(session !== null);
      send(session);
      await settle();
      await answer();
    }
    assert.equal(connector.connectionCount, 1);
    clock.advance(20_000);
    await settle();
    assert.equal(connector.connectionCount, 0);
  });
});
