/** Shared connections with sessions of HTTP/2 on both ends of memory pairs, and a clock that the test moves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { ioError } from '@ferrata/error';
import { type ClientSession, HttpServer } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { originRig, rejection, send, settle } from './rig.ts';

const options: PeerOptions = { protocol: 'http2' };
const origin = peer('10.0.0.1:80', options);

describe('shared connections (RFC 9113 §5.1.2, §9.1)', () => {
  test('requests that connect at the same time share one connection', async () => {
    const { connector, answer, waiting } = originRig();
    assert.equal(connector.take(origin), null);
    const sessions = await Promise.all(Array.from({ length: 20 }, () => connector.connect(origin)));
    assert.equal(new Set(sessions).size, 1);
    for (const session of sessions) send(session);
    await settle();
    assert.equal(waiting.length, 20);
    assert.deepEqual(connector.counts, { connected: 1, failed: 0, reused: 0, dirty: 0 });
    assert.equal(connector.idleCount, 0);
    await answer(20);
    assert.equal(connector.idleCount, 1);
    assert.equal(connector.take(origin), sessions[0]);
    assert.equal(connector.counts.reused, 1);
  });

  test('a place that was handed out counts until it is used or given back', async () => {
    const { connector, answer } = originRig();
    const two = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 2, maxConnections: 1 });
    const session = await connector.connect(two);
    assert.equal(connector.take(two), session);
    assert.equal(connector.take(two), null);
    connector.release(session);
    assert.equal(connector.take(two), session);
    send(session);
    send(session);
    assert.equal(connector.take(two), null);
    await settle();
    await answer(1);
    assert.equal(connector.take(two), session);
  });

  test('who waits gets the next free place, in order, and may give up', async () => {
    const { connector, answer } = originRig();
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 1, maxConnections: 1 });
    send(await connector.connect(one));
    await settle();
    const got: string[] = [];
    const abort = new AbortController();
    const first = connector.connect(one).then((session) => {
      got.push('first');
      send(session);
    });
    const second = rejection(connector.connect(one, abort.signal));
    const third = connector.connect(one).then((session) => {
      got.push('third');
      send(session);
    });
    assert.equal(connector.pendingCount, 3);
    abort.abort();
    const error = await second;
    assert.deepEqual([error.reason, error.retry], ['CONNECT_ABORTED', 'never']);
    await answer(1);
    await first;
    assert.deepEqual(got, ['first']);
    await answer(1);
    await third;
    assert.deepEqual(got, ['first', 'third']);
    assert.equal(connector.counts.connected, 1);
  });

  test('no more than maxPending wait, and no longer than pendingTimeoutMs; both are 503 and never tried again', async () => {
    const { connector, clock } = originRig();
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 1, maxConnections: 1, maxPending: 2, pendingTimeoutMs: 1_000 });
    send(await connector.connect(one));
    await settle();
    const late = [rejection(connector.connect(one)), rejection(connector.connect(one))];
    const tooMany = await rejection(connector.connect(one));
    assert.deepEqual([tooMany.reason, tooMany.type, tooMany.status, tooMany.retry], ['UPSTREAM_TOO_MANY_PENDING', 'limit', 503, 'never']);
    clock.advance(990);
    assert.equal(connector.pendingCount, 2);
    clock.advance(30);
    for (const error of await Promise.all(late)) {
      assert.deepEqual(
        [error.reason, error.type, error.status, error.retry, error.source],
        ['UPSTREAM_NO_STREAM', 'timeout', 503, 'never', 'upstream'],
      );
    }
    assert.equal(connector.pendingCount, 0);
  });

  test('a burst waits for the connections that may be made for it: the line of maxPending begins behind what those can carry', async () => {
    const { connector, clock } = originRig();
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 10, maxConnections: 3, maxPending: 2, pendingTimeoutMs: 1_000 });
    const outcomes = Array.from({ length: 33 }, () => connector.connect(one));
    assert.equal((await rejection(outcomes[32] as Promise<unknown>)).reason, 'UPSTREAM_TOO_MANY_PENDING');
    const sessions = await Promise.all(outcomes.slice(0, 30));
    assert.equal(new Set(sessions).size, 3);
    assert.equal(connector.pendingCount, 2);
    for (const session of sessions) send(session);
    await settle();
    const late = outcomes.slice(30, 32).map(rejection);
    // Theirs and the time of a connection: one was in the making when they came.
    clock.advance(4_020);
    for (const { reason } of await Promise.all(late)) assert.equal(reason, 'UPSTREAM_NO_STREAM');
    connector.close();
  });

  test('everybody who waits for one connection hears why it could not be made, by an error of their own', async () => {
    const { connector } = originRig({ connect: () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })) });
    const errors = await Promise.all(Array.from({ length: 5 }, () => rejection(connector.connect(origin))));
    assert.deepEqual(
      errors.map(({ reason, status, retry, source }) => [reason, status, retry, source]),
      errors.map(() => ['CONNECT_REFUSED', 502, 'always', 'upstream']),
    );
    assert.equal(new Set(errors).size, 5);
    assert.equal(connector.counts.failed, 1);
    assert.equal(connector.connectionCount, 0);
  });

  test('an idle connection is closed after its time, and not while it is used', async () => {
    const { connector, clock, answer } = originRig();
    const short = peer('10.0.0.1:80', { ...options, idleTimeoutMs: 2_000 });
    const session = await connector.connect(short);
    send(session);
    await settle();
    clock.advance(5_000);
    await settle();
    assert.equal(connector.connectionCount, 1);
    await answer(1);
    clock.advance(1_500);
    assert.equal(connector.take(short), session);
    send(session);
    await settle();
    await answer(1);
    clock.advance(1_500);
    await settle();
    assert.equal(connector.idleCount, 1, 'its time began anew');
    clock.advance(600);
    await settle();
    assert.equal(connector.connectionCount, 0);
    assert.equal(session.stream.state, 'closed');
  });

  test('a connection past its age ends with what it carries; others go to a new one', async () => {
    const { connector, clock, environment, answer } = originRig();
    const old = peer('10.0.0.1:80', { ...options, maxConnectionAgeMs: 1_000 });
    const first = await connector.connect(old);
    send(first);
    await settle();
    clock.advance(1_000);
    environment.now();
    assert.equal(connector.take(old), null);
    const second = await connector.connect(old);
    assert.notEqual(second, first);
    assert.equal(connector.connectionCount, 2);
    await answer(1);
    assert.equal(connector.connectionCount, 1);
    assert.equal(first.stream.state, 'closed');
    connector.release(second);
  });

  test('a connection whose server says GOAWAY takes no more requests, and is forgotten when it ends (RFC 9113 §6.8)', async () => {
    const { connector, server, answer } = originRig();
    const first = await connector.connect(origin);
    send(first);
    await settle();
    void server.drain(60_000);
    await settle();
    assert.equal(connector.take(origin), null);
    await answer(1);
    await settle();
    assert.equal(connector.connectionCount, 0);
  });

  test('close ends idle connections at once, and busy ones when they are idle', async () => {
    const { connector, answer, environment, clock } = originRig();
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 1 });
    const busy = await connector.connect(one);
    send(busy);
    const idle = await connector.connect(one);
    connector.release(idle);
    await settle();
    assert.deepEqual([connector.connectionCount, connector.idleCount], [2, 1]);
    connector.close();
    assert.deepEqual([connector.connectionCount, connector.idleCount], [1, 0]);
    await answer(1);
    assert.equal(connector.connectionCount, 0);
    await settle();
    clock.advance(100_000);
    await settle();
    assert.equal(environment.deadlines.size, 0);
  });

  test('a session that refused a request is given again only if there is no other', async () => {
    const { connector } = originRig();
    const two = peer('10.0.0.1:80', { ...options, maxConnections: 2 });
    const first = await connector.connect(two);
    const second = await connector.connect(two, undefined, first);
    assert.notEqual(second, first);
    assert.equal(await connector.connect(two, undefined, second), first);
    const only = peer('10.0.0.1:80', { ...options, maxConnections: 1 });
    const one = await connector.connect(only);
    assert.equal(await connector.connect(only, undefined, one), one);
  });

  test('after a failed connect nobody waits once the last connection has gone: another one is made at once', async () => {
    const clock = new ManualClock();
    let isRefusing = false;
    const servers: L4Stream[] = [];
    const { connector, server } = originRig({
      connect: async () => {
        if (isRefusing) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
        const { a, b } = memoryPair({ clock });
        server.accept(b);
        servers.push(b);
        return a;
      },
    });
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 1, maxConnections: 2 });
    send(await connector.connect(one));
    await settle();
    isRefusing = true;
    const waiter = connector.connect(one);
    await settle();
    assert.deepEqual([connector.counts.failed, connector.pendingCount], [1, 1]);
    isRefusing = false;
    servers[0]?.abort();
    await settle();
    // Without a step of the clock: what failed a moment ago may work again.
    connector.release(await waiter);
    assert.equal(connector.counts.connected, 2);
  });

  test('while another connection stands, a failed connect is tried again after a second', async () => {
    let tries = 0;
    const { connector, clock, server } = originRig({
      connect: async () => {
        if (++tries === 2) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
        const { a, b } = memoryPair();
        server.accept(b);
        return a;
      },
    });
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 1, maxConnections: 2 });
    send(await connector.connect(one));
    await settle();
    const waiter = connector.connect(one);
    await settle();
    assert.deepEqual([tries, connector.pendingCount], [2, 1]);
    clock.advance(900);
    await settle();
    assert.equal(tries, 2);
    clock.advance(120);
    await settle();
    assert.equal(tries, 3);
    connector.release(await waiter);
  });

  test('whose time is over while no connection stands may go elsewhere, and whoever met full ones may not', async () => {
    const servers: L4Stream[] = [];
    const { connector, clock } = originRig({
      connect: () => {
        if (servers.length > 0) return new Promise<L4Stream>(() => {});
        const { a, b } = memoryPair();
        servers.push(b);
        return Promise.resolve(a);
      },
    });
    const one = peer('10.0.0.1:80', { ...options, maxStreamsPerConnection: 1, maxConnections: 1, pendingTimeoutMs: 1_000 });
    send(await connector.connect(one));
    const waiter = rejection(connector.connect(one));
    clock.advance(900);
    await settle();
    servers[0]?.abort();
    await settle();
    clock.advance(120);
    const { reason, retry, status } = await waiter;
    assert.deepEqual([reason, retry, status], ['UPSTREAM_NO_STREAM', 'always', 503]);
  });

  test('what the last SETTINGS allowed is what the next connection is taken to carry before its own, and never more than the first guess', async () => {
    for (const [allowed, early] of [
      [3, 3],
      [50, 10],
    ] as const) {
      const { environment } = originRig();
      const server = new HttpServer(
        { onRequest: () => ({ onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} }) },
        { environment, http2: { connection: { maxConcurrentStreams: allowed } } },
      );
      let made = 0;
      const connector = new UpstreamConnector({
        environment,
        connect: async () => {
          const { a, b } = memoryPair();
          // The second origin says nothing.
          if (++made === 1) server.accept(b);
          return a;
        },
      });
      const wide = peer('10.0.0.1:80', { ...options, maxConnections: 2 });
      const first = await connector.connect(wide);
      await settle();
      const places: ClientSession[] = [first];
      for (let count = 1; count < 200; count++)
        void connector.connect(wide).then(
          (session) => places.push(session),
          () => {},
        );
      for (let turn = 0; turn < 3; turn++) await settle();
      assert.equal(made, 2);
      assert.equal(places.filter((session) => session === first).length, allowed);
      assert.equal(places.filter((session) => session !== first).length, early);
    }
  });

  test('until the SETTINGS have come no news makes a connection known: a request given up lets no burst out', async () => {
    const servers: L4Stream[] = [];
    const { connector } = originRig({
      connect: async () => {
        const { a, b } = memoryPair();
        servers.push(b);
        return a;
      },
    });
    const one = peer('10.0.0.1:80', { ...options, maxConnections: 1 });
    const places: ClientSession[] = [];
    for (let count = 0; count < 60; count++)
      void connector.connect(one).then(
        (session) => places.push(session),
        () => {},
      );
    await settle();
    assert.equal(places.length, 10);
    const exchanges = places.map((session) => send(session));
    await settle();
    exchanges[0]?.cancel(ioError('CLIENT_GONE', 'it has gone'));
    await settle();
    assert.equal(places.length, 11, 'one place became free, and one is given');
  });

  test('a black hole is given up after connectTimeoutMs', async () => {
    const { connector, clock } = originRig({ connect: () => new Promise<L4Stream>(() => {}) });
    const failed = [rejection(connector.connect(origin)), rejection(connector.connect(origin))];
    await settle();
    clock.advance(3_020);
    for (const error of await Promise.all(failed)) assert.deepEqual([error.reason, error.status], ['CONNECT_TIMEOUT', 504]);
  });
});
