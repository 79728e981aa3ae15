/** How many connections a peer has over HTTP/1, and who waits for one: over pairs in memory, with a clock that the test moves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import { type ClientSession, Http1ClientSession, HttpEnvironment } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type OpenSession, type PeerOptions, peer, UpstreamConnector, type UpstreamConnectorOptions } from '@ferrata/upstream';
import fc from 'fast-check';
import { FakeTls, speaks } from './fake-tls.ts';
import { rejection, send, settle } from './rig.ts';

function rig(more: PeerOptions = {}, options: Partial<UpstreamConnectorOptions> = {}) {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const origins: L4Stream[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair({ clock });
      // It reads, and answers when the test says so.
      b.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: () => {} });
      origins.push(b);
      return a;
    },
    ...options,
  });
  return { clock, environment, connector, origins, origin: peer('10.0.0.1:80', { maxConnections: 2, ...more }) };
}

/** Ends the exchange that runs on a connection. */
async function answer(stream: L4Stream | undefined): Promise<void> {
  stream?.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n'));
  await settle();
}

/** What has become of a promise so far. */
function watched(promise: Promise<ClientSession>): { value: ClientSession | null; error: unknown } {
  const seen: { value: ClientSession | null; error: unknown } = { value: null, error: null };
  promise.then(
    (value) => (seen.value = value),
    (error: unknown) => (seen.error = error),
  );
  return seen;
}

/** Asks for a tunnel, and does with it what `end` says. */
function openTunnel(
  session: ClientSession,
  end: 'peer' | 'handler' | 'never attached' | 'throws',
): { stream: L4Stream | null; text: string } {
  const tunnel: { stream: L4Stream | null; text: string } = { stream: null, text: '' };
  const onData = (chunk: Uint8Array): void => void (tunnel.text += latin1Decode(chunk, 0, chunk.length));
  session.request(
    requestHead('CONNECT', 'h:1', { headers: { Host: 'h:1' } }),
    { bodyLength: 0, upgrade: null },
    {
      onInterim() {},
      onResponse() {},
      onTunnel(_head, { stream, remaining }) {
        tunnel.stream = stream;
        if (end === 'throws') throw new Error('bug');
        if (end !== 'never attached') stream.attach({ onData, onDrain: () => {}, onEnd: () => {}, onClose: () => {} }, remaining);
      },
      onResponseData() {},
      onResponseEnd() {},
      onRequestDrain() {},
      onClientClose() {},
    },
  );
  return tunnel;
}

describe('connections of HTTP/1 in use', () => {
  test('a peer has 1 024 of them by default, and 1 024 may wait for 5 s', () => {
    const it = peer('10.0.0.1:80');
    assert.deepEqual([it.maxHttp1Connections, it.maxPending, it.pendingTimeoutMs], [1_024, 1_024, 5_000]);
    assert.equal(peer('h:80', { maxConnections: 7 }).maxHttp1Connections, 7);
    assert.notEqual(peer('h:80', { maxConnections: 7 }).key, peer('h:80').key);
    assert.notEqual(peer('h:80', { maxPending: 7 }).key, peer('h:80').key);
    assert.notEqual(peer('h:80', { pendingTimeoutMs: 7 }).key, peer('h:80').key);
  });

  test('no more are made: a connection that becomes free goes to the first in line, and the others follow in order', async () => {
    const { connector, origin, origins, environment } = rig();
    const [first, second] = [await connector.connect(origin), await connector.connect(origin)];
    for (const session of [first, second]) send(session);
    await settle();
    const line = [1, 2, 3].map(() => watched(connector.connect(origin)));
    await settle();
    assert.equal(origins.length, 2);
    assert.equal(connector.pendingCount, 3);
    assert.equal(connector.take(origin), null);
    await answer(origins[1]);
    assert.deepEqual(
      line.map(({ value }) => value),
      [second, null, null],
    );
    await answer(origins[0]);
    assert.deepEqual(
      line.map(({ value }) => value),
      [second, first, null],
    );
    // Carried nothing: it goes on just the same.
    connector.release(second);
    await settle();
    assert.equal(line[2]?.value, second);
    assert.equal(connector.connectionCount, 2);
    assert.equal(connector.pendingCount, 0);
    connector.close();
    for (const session of [first, second]) connector.release(session);
    assert.equal(connector.connectionCount, 0);
    assert.equal(environment.deadlines.size, 0);
  });

  test('a connection that is lost makes room for another one', async () => {
    const { connector, origin, origins } = rig();
    for (const session of [await connector.connect(origin), await connector.connect(origin)]) send(session);
    await settle();
    const next = watched(connector.connect(origin));
    await settle();
    origins[0]?.abort();
    await settle();
    assert.equal(origins.length, 3);
    assert.ok(next.value?.isReusable);
    assert.equal(connector.connectionCount, 2);
  });

  test('so does one that could not be made: the next in line tries for itself', async () => {
    let count = 0;
    const { connector, origin } = rig(
      { maxConnections: 1 },
      {
        connect: async () => {
          if (count++ === 0) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
          return memoryPair().a;
        },
      },
    );
    const outcomes = [1, 2, 3].map(() => watched(connector.connect(origin)));
    await settle();
    assert.ok(isWireError(outcomes[0]?.error) && outcomes[0].error.reason === 'CONNECT_REFUSED');
    assert.ok(outcomes[1]?.value?.isReusable);
    assert.deepEqual([outcomes[2]?.value, outcomes[2]?.error], [null, null]);
    assert.deepEqual([count, connector.connectionCount, connector.pendingCount], [2, 1, 1]);
  });

  test('a line that is full, and a wait in vain: 503, never tried again', async () => {
    const { connector, origin, clock, environment } = rig({ maxConnections: 1, maxPending: 2, pendingTimeoutMs: 1_000 });
    send(await connector.connect(origin));
    await settle();
    const waiting = [rejection(connector.connect(origin)), rejection(connector.connect(origin))];
    const refused = await rejection(connector.connect(origin));
    assert.deepEqual(
      [refused.type, refused.reason, refused.status, refused.retry, refused.source],
      ['limit', 'UPSTREAM_TOO_MANY_PENDING', 503, 'never', 'upstream'],
    );
    clock.advance(1_010);
    for (const late of await Promise.all(waiting))
      assert.deepEqual(
        [late.type, late.reason, late.status, late.retry, late.source],
        ['timeout', 'UPSTREAM_NO_CONNECTION', 503, 'never', 'upstream'],
      );
    assert.equal(connector.pendingCount, 0);
    assert.equal(connector.counts.failed, 0, 'nothing was tried');
    connector.close();
    assert.ok(environment.deadlines.size <= 1, 'but for that of the exchange that runs');
    const nobody = rig({ maxConnections: 1, maxPending: 0 });
    await nobody.connector.connect(nobody.origin);
    assert.equal((await rejection(nobody.connector.connect(nobody.origin))).reason, 'UPSTREAM_TOO_MANY_PENDING');
  });

  test('whoever gives up leaves the line at once, and makes room in it', async () => {
    const { connector, origin, origins } = rig({ maxConnections: 1, maxPending: 1 });
    const only = await connector.connect(origin);
    const abort = new AbortController();
    const gone = rejection(connector.connect(origin, abort.signal));
    abort.abort();
    assert.equal(connector.pendingCount, 0);
    assert.equal((await gone).reason, 'CONNECT_ABORTED');
    const next = watched(connector.connect(origin));
    assert.equal((await rejection(connector.connect(origin, AbortSignal.abort()))).reason, 'CONNECT_ABORTED');
    connector.release(only);
    await settle();
    assert.equal(next.value, only);
    assert.equal(origins.length, 1);
  });

  test('a connection that was handed to somebody who gives up at that moment goes on to the next', async () => {
    const { connector, origin, origins } = rig({ maxConnections: 1 });
    const only = await connector.connect(origin);
    const abort = new AbortController();
    const gone = watched(connector.connect(origin, abort.signal));
    const next = watched(connector.connect(origin));
    await settle();
    connector.release(only);
    abort.abort();
    await settle();
    assert.ok(isWireError(gone.error) && gone.error.reason === 'CONNECT_ABORTED');
    assert.equal(next.value, only);
    assert.deepEqual([origins.length, connector.pendingCount], [1, 0]);
  });

  for (const doesGiveUp of [false, true])
    test(`a connection that is lost before the first in line comes to run: its place is his${doesGiveUp ? ', and goes on if he has given up, too' : ''}`, async () => {
      const { connector, origin, origins } = rig({ maxConnections: 1, maxPending: 2 });
      send(await connector.connect(origin));
      const abort = new AbortController();
      const first = watched(connector.connect(origin, abort.signal));
      const second = watched(connector.connect(origin));
      await settle();
      // An origin that ends each connection behind its answer, and does not say so: both come at once.
      origins[0]?.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n'));
      origins[0]?.end();
      if (doesGiveUp) queueMicrotask(() => abort.abort());
      await settle();
      assert.deepEqual([first.value === null, second.value === null], [doesGiveUp, !doesGiveUp]);
      assert.equal(isWireError(first.error) && first.error.reason === 'CONNECT_ABORTED', doesGiveUp);
      assert.deepEqual([origins.length, connector.connectionCount, connector.pendingCount], [2, 1, doesGiveUp ? 0 : 1]);
      const { value } = doesGiveUp ? second : first;
      assert.ok(value !== null);
      connector.release(value);
      await settle();
      assert.ok(second.value?.isReusable);
      if (!doesGiveUp) connector.release(second.value);
      connector.close();
      assert.equal(connector.connectionCount, 0);
    });

  test('one that cannot be used any more when its new user comes to run is closed, and its place is his', async () => {
    const worn = new Set<ClientSession>();
    const mine: OpenSession = (stream, environment, owner) => {
      const session = new Http1ClientSession(stream, environment, peer('10.0.0.1:80').client, owner);
      return Object.defineProperty(session, 'isReusable', { get: () => !worn.has(session) });
    };
    const { connector, origin, origins } = rig({ maxConnections: 1, tls: new FakeTls(speaks('mine')), customProtocols: { mine } });
    const only = await connector.connect(origin);
    const next = watched(connector.connect(origin));
    await settle();
    connector.release(only);
    worn.add(only);
    await settle();
    assert.ok(next.value !== null && next.value !== only);
    assert.equal(only.stream.state, 'closed');
    assert.deepEqual([origins.length, connector.connectionCount], [2, 1]);
    connector.release(next.value);
    assert.equal(connector.take(origin), next.value);
  });

  test('whoever gives up while connecting gives the place on', async () => {
    let count = 0;
    const { connector, origin } = rig(
      { maxConnections: 1 },
      { connect: () => (count++ === 0 ? new Promise<L4Stream>(() => {}) : Promise.resolve(memoryPair().a)) },
    );
    const abort = new AbortController();
    const gone = rejection(connector.connect(origin, abort.signal));
    const next = watched(connector.connect(origin));
    await settle();
    assert.deepEqual([count, connector.pendingCount], [1, 1]);
    abort.abort();
    assert.equal((await gone).reason, 'CONNECT_ABORTED');
    await settle();
    assert.equal(count, 2);
    assert.ok(next.value?.isReusable);
  });

  test('an idle connection is used before anybody waits, and one past its time makes room', async () => {
    const { connector, origin, origins, clock, environment } = rig({ maxConnections: 1, maxConnectionAgeMs: 1_000 });
    const only = await connector.connect(origin);
    connector.release(only);
    assert.equal(await connector.connect(origin), only);
    connector.release(only);
    clock.advance(1_001);
    environment.now();
    assert.notEqual(await connector.connect(origin), only);
    assert.equal(origins.length, 2);
    assert.equal(connector.connectionCount, 1);
  });

  test('a connection past its age is not handed on: its place is', async () => {
    const { connector, origin, origins, clock, environment } = rig({ maxConnections: 1, maxConnectionAgeMs: 1_000 });
    const only = await connector.connect(origin);
    const next = watched(connector.connect(origin));
    await settle();
    clock.advance(1_001);
    environment.now();
    connector.release(only);
    await settle();
    assert.notEqual(next.value, only);
    assert.ok(next.value?.isReusable);
    assert.equal(origins.length, 2);
  });

  test('a connection that became a tunnel has its place until its stream is closed, whoever has the stream then', async () => {
    for (const end of ['peer', 'handler', 'never attached', 'throws'] as const) {
      const { connector, origin, origins } = rig({ maxConnections: 1 });
      const session = await connector.connect(origin);
      const tunnel = openTunnel(session, end);
      await settle();
      const next = watched(connector.connect(origin));
      origins[0]?.write(latin1Encode('HTTP/1.1 200 OK\r\n\r\nearly'));
      await settle();
      assert.deepEqual([connector.connectionCount, connector.pendingCount], end === 'throws' ? [1, 0] : [0, 1], end);
      if (end === 'peer') {
        assert.equal(tunnel.text, 'early');
        assert.equal(next.value, null);
        origins[0]?.abort();
      } else tunnel.stream?.abort();
      await settle();
      assert.ok(next.value !== null, end);
      assert.deepEqual([origins.length, connector.pendingCount], [2, 0]);
      connector.release(next.value);
      origins[1]?.abort();
      await settle();
      assert.ok((await connector.connect(origin)).isReusable, 'and the place was given back once');
      const waits = watched(connector.connect(origin));
      await settle();
      assert.equal(waits.value, null);
    }
  });

  test('where nothing is said of maxConnections tunnels do not count, and cost nothing more', async () => {
    assert.deepEqual([peer('h:80').areTunnelsCounted, peer('h:80', { maxConnections: 9 }).areTunnelsCounted], [false, true]);
    const { connector, origins } = rig();
    const session = await connector.connect(peer('10.0.0.1:80'));
    const tunnel = openTunnel(session, 'peer');
    origins[0]?.write(latin1Encode('HTTP/1.1 200 OK\r\n\r\n'));
    await settle();
    assert.equal(tunnel.stream, session.stream);
  });

  test('after close, who waits is served still, and nothing is kept', async () => {
    const { connector, origin, origins } = rig({ maxConnections: 1 });
    const only = await connector.connect(origin);
    const next = watched(connector.connect(origin));
    await settle();
    connector.close();
    connector.release(only);
    await settle();
    assert.equal(next.value, only);
    connector.release(only);
    assert.equal(connector.connectionCount, 0);
    assert.equal(origins.length, 1);
  });

  test('a peer of another key has places of its own', async () => {
    const { connector, origin } = rig({ maxConnections: 1 });
    await connector.connect(origin);
    const other = peer('10.0.0.1:80', { maxConnections: 1, group: 'b' });
    assert.ok((await connector.connect(other)).isReusable);
  });

  test('model: never more than maxConnections, in the order of asking, and nobody is forgotten', async () => {
    const step = fc.record({
      act: fc.constantFrom('ask', 'ask', 'give up', 'finish', 'finish and end', 'release', 'lose', 'fail', 'wait'),
      which: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), fc.integer({ min: 1, max: 3 }), async (steps, maxConnections) => {
        let doesFail = false;
        let doesEnd = false;
        let open = 0;
        let most = 0;
        const clock = new ManualClock();
        const environment = new HttpEnvironment({ clock });
        const ends = new Map<L4Stream, L4Stream>();
        const connector = new UpstreamConnector({
          environment,
          connect: async () => {
            if (doesFail) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
            const { a, b } = memoryPair({ clock });
            open++;
            // Our ends: the other hears of the close a moment later.
            most = Math.max(most, [...ends.keys()].filter(({ state }) => state !== 'closed').length + 1);
            b.attach({
              onData: (chunk) => {
                if (!latin1Decode(chunk, 0, chunk.length).includes('\r\n\r\n')) return;
                b.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n'));
                if (doesEnd) b.end();
              },
              onDrain: () => {},
              onEnd: () => {},
              onClose: () => open--,
            });
            ends.set(a, b);
            return a;
          },
        });
        const origin = peer('10.0.0.1:80', { maxConnections, maxPending: 4, pendingTimeoutMs: 3_000 });
        const asked: { readonly number: number; readonly abort: AbortController; isOver: boolean }[] = [];
        const busy: ClientSession[] = [];
        let lastServed = -1;
        const ask = (): void => {
          const request = { number: asked.length, abort: new AbortController(), isOver: false };
          asked.push(request);
          const idle = connector.take(origin);
          const outcome = idle === null ? connector.connect(origin, request.abort.signal) : Promise.resolve(idle);
          outcome.then(
            (session) => {
              request.isOver = true;
              assert.ok(!busy.includes(session), 'handed out twice');
              assert.ok(request.number > lastServed, 'overtaken');
              lastServed = request.number;
              busy.push(session);
            },
            () => (request.isOver = true),
          );
        };
        for (const { act, which } of steps) {
          doesFail = act === 'fail';
          doesEnd = act === 'finish and end';
          const session = busy[which % Math.max(1, busy.length)];
          if (act === 'ask' || act === 'fail') ask();
          else if (act === 'give up') asked[which % Math.max(1, asked.length)]?.abort.abort();
          else if (act === 'wait') clock.advance(100 * which);
          else if (session !== undefined) {
            busy.splice(busy.indexOf(session), 1);
            if (act === 'lose') ends.get(session.stream)?.abort();
            if (act.startsWith('finish') && session.isReusable) send(session);
            else connector.release(session);
          }
          await settle();
          assert.ok(connector.connectionCount <= maxConnections);
          assert.ok(connector.pendingCount <= 4);
          if (connector.pendingCount > 0) assert.equal(connector.connectionCount, maxConnections, 'nobody waits for nothing');
        }
        assert.ok(most <= maxConnections, `${most} at once`);
        doesFail = false;
        doesEnd = false;
        for (let round = 0; round < 20; round++) {
          for (const session of busy.splice(0)) connector.release(session);
          await settle();
        }
        clock.advance(10_000);
        await settle();
        assert.ok(
          asked.every(({ isOver }) => isOver),
          'nobody is forgotten',
        );
        for (const session of busy.splice(0)) connector.release(session);
        connector.close();
        await settle();
        assert.equal(connector.connectionCount, 0);
        assert.equal(open, 0);
        assert.equal(environment.deadlines.size, 0);
      }),
      { numRuns: 100 },
    );
  });
});
