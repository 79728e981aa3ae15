import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type L4Stream, relay } from '@ferrata/stream';
import {
  drawFaultPlan,
  end,
  expect,
  expectClose,
  expectEnd,
  firstMisplacedByte,
  positionalBytes,
  RecordingSink,
  script,
  send,
  streamCompliance,
  World,
  type WorldOptions,
} from '../../src/index.ts';

streamCompliance(
  'a connection of a world',
  async () => {
    const world = new World(7);
    // A world moves only when it is told to: here the event loop tells it, until the test is over.
    let isOver = false;
    const pump = (): void => {
      for (let i = 0; i < 20; i++) world.step();
      if (!isOver) setImmediate(pump);
    };
    pump();
    const accepted = new Promise<L4Stream>((resolve) => world.listen('here', resolve));
    const [a, b] = await Promise.all([world.connected('here'), accepted]);
    return { a, b, close: () => void (isOver = true) };
  },
  { runs: 10 },
);

/** An echo server, a relay in front of it, and clients that send and read back: all under faults. */
async function relayedEchoes(seed: number, options: WorldOptions): Promise<{ world: World; clients: RecordingSink[] }> {
  const world = new World(seed, options);
  world.listen('echo', (stream) =>
    stream.attach(new RecordingSink({ onData: (chunk) => void stream.write(chunk), onEnd: () => stream.end() })),
  );
  world.listen('relay', (near) =>
    world.connect('echo', { onConnected: (far) => void relay(near, far), onConnectFailed: (error) => near.abort(error) }),
  );
  const clients: RecordingSink[] = [];
  for (let i = 0; i < 3; i++) {
    const sink = new RecordingSink();
    clients.push(sink);
    world.connect('relay', {
      onConnected: (stream) => {
        stream.attach(sink);
        stream.write(positionalBytes(3_000, i));
        stream.end();
      },
      onConnectFailed: (error) => sink.onClose(error),
    });
  }
  await world.run();
  return { world, clients };
}

describe('World', () => {
  test('delivers everything in order without faults, whatever the cuts', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { world, clients } = await relayedEchoes(seed, {});
      for (const [i, sink] of clients.entries()) {
        assert.equal(sink.byteLength, 3_000, `seed ${seed}`);
        assert.equal(firstMisplacedByte(sink.bytes(), i), -1, `seed ${seed}`);
        assert.equal(sink.closeError, null);
      }
      assert.equal(world.openStreamCount, 0);
    }
  });

  test('one seed gives one history, another seed another (determinism)', async () => {
    const faults: WorldOptions = { faults: (random) => drawFaultPlan(random) };
    const hashes = new Set<string>();
    for (let seed = 0; seed < 10; seed++) {
      const first = await relayedEchoes(seed, faults);
      const second = await relayedEchoes(seed, faults);
      assert.equal(first.world.trace.hash, second.world.trace.hash, `seed ${seed}`);
      assert.deepEqual(first.world.trace.lines, second.world.trace.lines);
      hashes.add(first.world.trace.hash);
    }
    assert.equal(hashes.size, 10);
  });

  test('under faults each client has a prefix of its own bytes, and what is short is never called whole', async () => {
    let shortCount = 0;
    for (let seed = 100; seed < 160; seed++) {
      const { clients } = await relayedEchoes(seed, { faults: (random) => drawFaultPlan(random, { kinds: ['reset', 'stall', 'delay'] }) });
      for (const [i, sink] of clients.entries()) {
        assert.equal(firstMisplacedByte(sink.bytes(), i), -1, `seed ${seed}`);
        if (sink.byteLength === 3_000) continue;
        shortCount += 1;
        assert.equal(sink.hasEnded, false, `seed ${seed}: a short body ended in order`);
      }
    }
    assert.ok(shortCount > 10, 'the faults have hit something');
  });

  test('refuses a connection that nobody listens for, also after the listener has closed', async () => {
    const world = new World(1);
    const listener = world.listen('gone', () => assert.fail('nobody listens'));
    listener.close();
    const results = Promise.allSettled([world.connected('gone'), world.connected('never')]);
    await world.run();
    for (const result of await results) {
      assert.equal(result.status, 'rejected');
      assert.equal((result.reason as { reason: string }).reason, 'CONNECT_REFUSED');
    }
  });

  test('a name can be listened on once at a time', () => {
    const world = new World(1);
    world.listen('x', () => {});
    assert.throws(() => world.listen('x', () => {}), TypeError);
  });

  test('runSync runs code without promises; run stops at a time or a condition', async () => {
    const world = new World(3);
    const woken: number[] = [];
    for (const ms of [10, 20, 30]) world.clock.schedule(ms, () => woken.push(ms));
    world.runSync({ forMs: 15 });
    assert.deepEqual(woken, [10]);
    assert.equal(world.clock.now(), 15);
    await world.run({ until: () => woken.length === 2 });
    assert.deepEqual(woken, [10, 20]);
    world.runSync();
    assert.deepEqual(woken, [10, 20, 30]);
    world.runSync({ forMs: 5 });
    assert.equal(world.clock.now(), 35);
  });

  test('a world that never rests is reported with its seed', () => {
    const world = new World(99);
    const again = (): void => void world.clock.schedule(1, again);
    again();
    assert.throws(() => world.runSync({ maxSteps: 100 }), /world 99/);
  });

  test('scripts play in a world, on its clock', async () => {
    const world = new World(5);
    const results: Promise<unknown>[] = [];
    world.listen('server', (stream) => {
      results.push(script(stream, [expect('ping\r\n'), send('pong\r\n'), end(), expectEnd(), expectClose()], { clock: world.clock }));
    });
    const client = world
      .connected('server')
      .then((stream) => script(stream, [send('ping\r\n'), expect('pong\r\n'), expectEnd()], { clock: world.clock }));
    await world.run();
    await Promise.all([client, ...results]);
    assert.equal(results.length, 1);
  });
});
