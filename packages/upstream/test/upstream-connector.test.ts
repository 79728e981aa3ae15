import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { type ClientSession, HttpEnvironment } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type OpenStream, type Peer, peer, UpstreamConnector, type UpstreamConnectorOptions } from '@ferrata/upstream';
import fc from 'fast-check';
import { rejection, send, settle } from './rig.ts';

const origin = peer('10.0.0.1:80');

/** Answers each request with `answer`. */
function serve(stream: L4Stream, answer = 'HTTP/1.1 204 No Content\r\n\r\n'): void {
  stream.attach({
    onData: (chunk) => {
      if (latin1Decode(chunk, 0, chunk.length).includes('\r\n\r\n')) stream.write(latin1Encode(answer));
    },
    onDrain: () => {},
    onEnd: () => {},
    onClose: () => {},
  });
}

function rig(options: Partial<UpstreamConnectorOptions> = {}, answer?: string) {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const origins: L4Stream[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair();
      serve(b, answer);
      origins.push(b);
      return a;
    },
    ...options,
  });
  return { clock, environment, origins, connector };
}

describe('UpstreamConnector', () => {
  test('keeps a connection whose exchange is over, and hands it out once', async () => {
    const { connector } = rig();
    const session = await connector.connect(origin);
    send(session);
    assert.equal(connector.take(origin), null);
    await settle();
    assert.equal(connector.idleCount, 1);
    assert.equal(connector.take(peer('10.0.0.2:80')), null);
    assert.equal(connector.take(origin), session);
    assert.equal(connector.take(origin), null);
    assert.deepEqual(connector.counts, { connected: 1, failed: 0, reused: 1, dirty: 0 });
    connector.release(session);
    assert.equal(connector.idleCount, 1);
    connector.close();
    assert.equal(connector.connectionCount, 0);
  });

  test('release drops a connection that has ended', async () => {
    const { connector, origins } = rig();
    const session = await connector.connect(origin);
    origins[0]?.end();
    await settle();
    connector.release(session);
    assert.equal(connector.connectionCount, 0);
    assert.equal(connector.idleCount, 0);
  });

  test('a busy connection is not kept after close, nor an idle one', async () => {
    const { connector } = rig();
    const idle = await connector.connect(origin);
    const busy = await connector.connect(origin);
    connector.release(idle);
    send(busy);
    connector[Symbol.dispose]();
    assert.equal(connector.connectionCount, 1);
    await settle();
    assert.equal(connector.connectionCount, 0);
  });

  for (const [what, act, isDirty] of [
    ['ends', (stream: L4Stream) => stream.end(), false],
    ['is reset', (stream: L4Stream) => stream.abort(), false],
    ['gets a byte', (stream: L4Stream) => stream.write(latin1Encode('x')), true],
  ] as const) {
    test(`an idle connection that ${what} leaves at once`, async () => {
      const { connector, origins } = rig();
      connector.release(await connector.connect(origin));
      act(origins[0] as L4Stream);
      await settle();
      assert.equal(connector.idleCount, 0);
      assert.equal(connector.connectionCount, 0);
      assert.equal(connector.counts.dirty, isDirty ? 1 : 0);
    });
  }

  test('idle time is the peer’s own, or a second less than the server promises', async () => {
    for (const [options, answer, lastsMs] of [
      [{}, '', 50_000],
      [{ idleTimeoutMs: 10_000 }, '', 10_000],
      [{}, 'Keep-Alive: timeout=5\r\n', 4_000],
      [{ idleTimeoutMs: 2_000 }, 'Keep-Alive: timeout=5\r\n', 2_000],
      [{}, 'Keep-Alive: timeout=100\r\n', 50_000],
      [{}, 'Keep-Alive: timeout=1\r\n', 0],
      [{ idleTimeoutMs: Number.POSITIVE_INFINITY }, '', Number.POSITIVE_INFINITY],
      [{ idleTimeoutMs: Number.MAX_SAFE_INTEGER }, '', Number.POSITIVE_INFINITY],
    ] as const) {
      const { connector, clock } = rig({}, `HTTP/1.1 204 No Content\r\n${answer}\r\n`);
      send(await connector.connect(peer('10.0.0.1:80', options)));
      await settle();
      assert.equal(connector.idleCount, lastsMs > 0 ? 1 : 0);
      if (lastsMs > 0) {
        clock.advance(Math.min(lastsMs, 10_000_000) - 1);
        assert.equal(connector.idleCount, 1, `${lastsMs}`);
      }
      if (lastsMs < Number.POSITIVE_INFINITY) {
        clock.advance(11);
        assert.equal(connector.idleCount, 0, `${lastsMs}`);
        assert.equal(connector.connectionCount, 0);
      }
      connector.close();
    }
  });

  test('a connection past its age is not used again, whether it is busy or idle when it comes to that', async () => {
    const { connector, clock, environment } = rig();
    const old = peer('10.0.0.1:80', { maxConnectionAgeMs: 1_000 });
    connector.release(await connector.connect(old));
    clock.advance(999);
    environment.now();
    const session = connector.take(old);
    assert.ok(session);
    connector.release(session);
    clock.advance(1);
    environment.now();
    assert.equal(connector.take(old), null);
    assert.equal(connector.connectionCount, 0);

    const busy = await connector.connect(old);
    clock.advance(1_000);
    send(busy);
    await settle();
    assert.equal(connector.connectionCount, 0);
  });

  test('limits: the oldest of a peer, and of all, makes room', async () => {
    const { connector } = rig({ maxIdlePerPeer: 2, maxIdle: 3 });
    const others = peer('10.0.0.2:80');
    for (const to of [origin, origin, origin, others, others]) {
      const session = await connector.connect(to);
      connector.release(session);
    }
    assert.equal(connector.idleCount, 3);
    assert.equal(connector.connectionCount, 3);
    assert.throws(() => rig({ maxIdle: -1 }), RangeError);
    const none = rig({ maxIdle: 0 }).connector;
    none.release(await none.connect(origin));
    assert.equal(none.connectionCount, 0);
  });

  test('what cannot be connected to is a WireError with source upstream', async () => {
    for (const [thrown, reason, status] of [
      [Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'CONNECT_REFUSED', 502],
      [Object.assign(new Error('none left'), { code: 'EMFILE' }), 'DESCRIPTORS_EXHAUSTED', 503],
      [new Error('bug'), 'CONNECT_THREW', 500],
    ] as const) {
      for (const open of [
        () => Promise.reject(thrown),
        () => {
          throw thrown;
        },
      ] satisfies OpenStream[]) {
        const { connector } = rig({ connect: open });
        const error = await rejection(connector.connect(origin));
        assert.equal(error.reason, reason);
        assert.equal(error.status, status);
        assert.equal(error.source, 'upstream');
        assert.equal(connector.counts.failed, 1);
      }
    }
  });

  test('the time-out holds for any maker of streams; what comes later is aborted', async () => {
    const late = Promise.withResolvers<L4Stream>();
    let signal: AbortSignal | undefined;
    const { connector, clock } = rig({
      connect: (_peer, given) => {
        signal = given;
        return late.promise;
      },
    });
    const failed = rejection(connector.connect(origin));
    clock.advance(2_990);
    assert.equal(signal?.aborted, false);
    clock.advance(20);
    const error = await failed;
    assert.equal(error.reason, 'CONNECT_TIMEOUT');
    assert.equal(error.status, 504);
    assert.equal(error.retry, 'always');
    assert.equal(signal?.aborted, true);
    const { a } = memoryPair();
    late.resolve(a);
    await settle();
    assert.equal(a.state, 'closed');
    assert.equal(connector.connectionCount, 0);
  });

  test('connecting can be given up, before and while it runs; it is not counted as a failure', async () => {
    for (const isEarly of [true, false]) {
      const { connector, environment } = rig({ connect: () => new Promise(() => {}) });
      const abort = new AbortController();
      if (isEarly) abort.abort();
      const failed = rejection(connector.connect(origin, abort.signal));
      abort.abort();
      const error = await failed;
      assert.equal(error.reason, 'CONNECT_ABORTED');
      assert.equal(error.retry, 'never');
      assert.equal(connector.counts.failed, 0);
      assert.equal(environment.deadlines.size, 0);
    }
  });

  test('without a maker of streams it connects by @ferrata/net', async () => {
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const error = await rejection(connector.connect(peer('unix:/nowhere/at/all.sock')));
    assert.equal(error.reason, 'CONNECT_NO_SOCKET');
    assert.equal(error.source, 'upstream');
  });

  test('model: whatever happens, a connection is handed out to one user at a time, to its own key, clean and in its time', async () => {
    const peers: Peer[] = [origin, peer('10.0.0.1:80', { group: 'b' }), peer('10.0.0.2:80', { idleTimeoutMs: 3_000 })];
    const step = fc.record({
      act: fc.constantFrom('use', 'finish', 'release', 'end', 'reset', 'dirty', 'wait'),
      who: fc.nat(2),
      which: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { connector, clock, environment, origins } = rig({ maxIdlePerPeer: 2, maxIdle: 4 });
        const keys = new Map<ClientSession, string>();
        const busy: ClientSession[] = [];
        const used = new Set<ClientSession>();
        for (const { act, who, which } of steps) {
          const to = peers[who] as Peer;
          const stream = origins[which % Math.max(1, origins.length)];
          if (act === 'use') {
            environment.now();
            const session = connector.take(to) ?? (await connector.connect(to));
            assert.ok(!busy.includes(session), 'handed out twice');
            assert.ok(session.isReusable, 'handed out unusable');
            assert.equal(keys.get(session) ?? to.key, to.key, 'handed out to another key');
            keys.set(session, to.key);
            busy.push(session);
          } else if (act === 'finish' || act === 'release') {
            const session = busy.splice(which % Math.max(1, busy.length), 1)[0];
            if (session === undefined) continue;
            if (act === 'release' || !session.isReusable) connector.release(session);
            else send(session);
            used.add(session);
          } else if (act === 'end') stream?.end();
          else if (act === 'reset') stream?.abort();
          else if (act === 'dirty') stream?.write(latin1Encode('x'));
          else clock.advance(1_000 * which);
          await settle();
          assert.ok(connector.idleCount <= 4);
          assert.ok(connector.connectionCount <= connector.idleCount + busy.length);
        }
        for (const session of busy) connector.release(session);
        connector.close();
        await settle();
        assert.equal(connector.connectionCount, 0);
        assert.equal(connector.idleCount, 0);
        for (const stream of origins) assert.notEqual(stream.state, 'open');
      }),
      { numRuns: 60 },
    );
  });
});
