/** Connections above a cap that wait for a place; and the rate at which connections come. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import type { L4Stream } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { ConnectionCap, connect, descriptorLimit, type Listener, type ListenOptions, listen } from '../src/index.ts';
import { endOfConnection, until } from './pairs.ts';

interface Rig extends AsyncDisposable {
  readonly listener: Listener;
  readonly streams: L4Stream[];
  readonly sinks: RecordingSink[];
}

async function rig(options: ListenOptions): Promise<Rig> {
  const streams: L4Stream[] = [];
  const sinks: RecordingSink[] = [];
  const listener = await listen({ host: '127.0.0.1', port: 0, ...options }, (stream) => {
    const sink = new RecordingSink();
    streams.push(stream);
    sinks.push(sink);
    stream.attach(sink);
  });
  return {
    listener,
    streams,
    sinks,
    [Symbol.asyncDispose]: async () => {
      for (const stream of streams) stream.abort();
      await listener.close();
    },
  };
}

/** Says its name, and goes when the server does. */
async function client(listener: Listener, name: string): Promise<RecordingSink> {
  const stream = await connect(listener.address);
  const sink = new RecordingSink({ onEnd: () => stream.end() });
  stream.attach(sink);
  stream.write(new TextEncoder().encode(name));
  return sink;
}

describe('maxWaiting', () => {
  test('connections above the cap wait, in the order in which they came, with what they have sent; more are shed', async () => {
    await using it = await rig({ maxConnections: 1, maxWaiting: 2 });
    const { listener, streams } = it;
    const clients = [await client(listener, 'a')];
    await until(() => streams.length === 1);
    for (const name of ['b', 'c']) {
      clients.push(await client(listener, name));
      const expected = clients.length - 1;
      await until(() => listener.waitingCount === expected);
    }
    assert.equal((await endOfConnection(listener.address))?.reason, 'CONNECTION_RESET');
    assert.equal(listener.shedCount, 1);
    assert.equal(listener.connectionCount, 1);
    for (const [index, name] of ['b', 'c'].entries()) {
      streams[index]?.abort();
      await until(() => streams.length === index + 2);
      await it.sinks[index + 1]?.untilBytes(1);
      assert.equal(it.sinks[index + 1]?.text(), name);
    }
    assert.equal(listener.waitingCount, 0);
    assert.equal(listener.acceptedCount, 3);
    assert.equal(listener.connectionCount, 1);
  });

  test('nobody passes those who wait', async () => {
    const cap = new ConnectionCap(1);
    assert.ok(cap.tryTake());
    await using it = await rig({ connectionCap: cap, maxWaiting: 2 });
    const { listener, streams } = it;
    const first = await connect(listener.address);
    await until(() => listener.waitingCount === 1);
    const second = await connect(listener.address);
    await until(() => listener.waitingCount === 2);
    cap.release();
    await until(() => streams.length === 1);
    assert.deepEqual(streams[0]?.info.remoteAddress, first.info.localAddress);
    streams[0]?.abort();
    await until(() => streams.length === 2);
    assert.deepEqual(streams[1]?.info.remoteAddress, second.info.localAddress);
    first.abort();
    second.abort();
  });

  test('listeners with one cap are served in the order in which their connections came, whoever is busier', async () => {
    const cap = new ConnectionCap(1);
    assert.ok(cap.tryTake());
    const order: string[] = [];
    const open: L4Stream[] = [];
    const one = (name: string) => (stream: L4Stream) => {
      order.push(name);
      open.push(stream);
      stream.attach(new RecordingSink());
    };
    const where = { host: '127.0.0.1', port: 0, connectionCap: cap };
    await using a = await listen({ ...where, maxWaiting: 5 }, one('a'));
    await using b = await listen({ ...where, maxWaiting: 5, maxConnections: 1 }, one('b'));
    await using c = await listen(where, one('c'));
    const clients: L4Stream[] = [];
    for (const [index, listener] of [a, b, a, b].entries()) {
      clients.push(await connect(listener.address));
      await until(() => a.waitingCount + b.waitingCount === index + 1);
    }
    cap.release();
    // In the same turn: a newcomer of a listener that lets nobody wait, which must not pass either.
    assert.equal((await endOfConnection(c.address))?.reason, 'CONNECTION_RESET');
    for (let i = 0; i < 4; i++) {
      await until(() => open.length === i + 1);
      if (i === 0) assert.equal((await endOfConnection(c.address))?.reason, 'CONNECTION_RESET');
      open[i]?.abort();
    }
    assert.deepEqual(order, ['a', 'b', 'a', 'b']);
    for (const client of clients) client.abort();
    await until(() => cap.count === 0);
  });

  test('who cannot use a place, because of a cap of its own, keeps nobody else from it', async () => {
    const cap = new ConnectionCap(1);
    assert.ok(cap.tryTake());
    await using full = await rig({ connectionCap: cap, maxConnections: 0, maxWaiting: 2 });
    await using it = await rig({ connectionCap: cap, maxWaiting: 2 });
    await client(full.listener, 'a');
    await until(() => full.listener.waitingCount === 1);
    await client(it.listener, 'b');
    await until(() => it.listener.waitingCount === 1);
    cap.release();
    await until(() => it.streams.length === 1);
    it.streams[0]?.abort();
    await until(() => cap.count === 0);
    full.listener.maxConnections = 1;
    await until(() => full.streams.length === 1);
  });

  test('the filter is asked as one begins to wait: whom it refuses at once holds no chair, while its promise is pending it holds one', async () => {
    const refused: string[] = [];
    let answer: boolean | Promise<boolean> = true;
    await using it = await rig({
      maxConnections: 1,
      maxWaiting: 1,
      filter: { shouldAccept: () => answer },
      onRefused: (error) => refused.push(error.reason),
    });
    const { listener, streams } = it;
    await client(listener, 'a');
    await until(() => streams.length === 1);
    answer = false;
    for (let i = 0; i < 3; i++) await endOfConnection(listener.address);
    assert.equal(listener.refusedCount, 3);
    const slow = Promise.withResolvers<boolean>();
    answer = slow.promise;
    const late = endOfConnection(listener.address);
    await until(() => listener.waitingCount === 1);
    slow.resolve(false);
    await late;
    assert.equal(listener.waitingCount, 0);
    assert.equal(listener.refusedCount, 4);
    answer = true;
    await client(listener, 'b');
    await until(() => listener.waitingCount === 1);
    assert.equal(listener.shedCount, 0);
    streams[0]?.abort();
    await until(() => streams.length === 2);
    assert.equal(listener.connectionCount, 1);
  });

  test('a place that comes before the answer of the filter is held; a filter whose connection is shed is given up', async () => {
    const clock = new ManualClock();
    const answers: ((isAccepted: boolean) => void)[] = [];
    const givenUp: unknown[] = [];
    const filter = {
      shouldAccept: () => new Promise<boolean>((resolve) => answers.push(resolve)),
      onGivenUp: (_peer: unknown, info: unknown) => givenUp.push(info),
    };
    await using it = await rig({ maxConnections: 0, maxWaiting: 2, waitTimeoutMs: 1_000, filterTimeoutMs: 5_000, filter, clock });
    const { listener, streams } = it;
    await client(listener, 'a');
    await until(() => listener.waitingCount === 1);
    listener.maxConnections = 1;
    await until(() => listener.waitingCount === 0);
    assert.deepEqual([listener.pendingCount, listener.connectionCount, streams.length], [1, 1, 0]);
    answers[0]?.(true);
    await until(() => streams.length === 1);
    assert.equal(listener.pendingCount, 0);
    const second = endOfConnection(listener.address);
    await until(() => listener.waitingCount === 1);
    clock.advance(1_000);
    assert.equal((await second)?.reason, 'CONNECTION_RESET');
    assert.equal(listener.shedCount, 1);
    assert.equal(givenUp.length, 1);
    assert.equal(listener.connectionCount, 1, 'it had no place to give back');
    answers[1]?.(false);
  });

  test('who waits too long is shed', async () => {
    const clock = new ManualClock();
    await using it = await rig({ maxConnections: 0, maxWaiting: 1, waitTimeoutMs: 1_000, clock });
    const { listener, streams } = it;
    const sink = await client(listener, 'a');
    await until(() => listener.waitingCount === 1);
    clock.advance(900);
    assert.equal(listener.waitingCount, 1);
    clock.advance(200);
    assert.equal(listener.waitingCount, 0);
    assert.equal(listener.shedCount, 1);
    await sink.untilClose();
    listener.maxConnections = 1;
    await client(listener, 'b');
    await until(() => streams.length === 1);
  });

  test('a raised cap lets them in', async () => {
    await using it = await rig({ maxConnections: 0, maxWaiting: 5 });
    const { listener, streams } = it;
    for (const name of ['a', 'b', 'c']) await client(listener, name);
    await until(() => listener.waitingCount === 3);
    listener.maxConnections = 2;
    await until(() => streams.length === 2);
    assert.equal(listener.waitingCount, 1);
    listener.maxConnections = Infinity;
    await until(() => streams.length === 3);
  });

  test('a full shared cap leaves the own one alone: no wake-up for nothing', async () => {
    const cap = new ConnectionCap(0);
    await using it = await rig({ maxConnections: 5, connectionCap: cap, maxWaiting: 5 });
    const { listener, streams } = it;
    await client(listener, 'a');
    await until(() => listener.waitingCount === 1);
    listener.maxConnections = 6;
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(listener.connectionCount, 0);
    cap.max = 1;
    await until(() => streams.length === 1);
  });

  test('one who has gone while waiting does no harm', async () => {
    await using it = await rig({ maxConnections: 0, maxWaiting: 5 });
    const { listener, streams } = it;
    const gone = await connect(listener.address);
    await until(() => listener.waitingCount === 1);
    gone.abort(new Error('gone') as never);
    await client(listener, 'b');
    await until(() => listener.waitingCount === 2);
    listener.maxConnections = 1;
    const isServed = (): boolean => streams.some((stream) => stream.state === 'open');
    await until(() => listener.waitingCount === 0 && isServed());
  });

  test('close stops accepting; those who wait are served all the same', async () => {
    await using it = await rig({ maxConnections: 0, maxWaiting: 1 });
    const { listener, streams } = it;
    await client(listener, 'a');
    await until(() => listener.waitingCount === 1);
    await listener.close();
    listener.maxConnections = 1;
    await until(() => streams.length === 1);
  });
});

describe('ConnectionCap.ofDescriptors', () => {
  test('stays below the limit of this process, by a reserve and a share', () => {
    const limit = descriptorLimit();
    assert.ok(limit > 0);
    if (limit === Infinity) {
      assert.equal(ConnectionCap.ofDescriptors().max, Infinity);
      return;
    }
    assert.equal(ConnectionCap.ofDescriptors().max, Math.floor(limit - Math.min(256, limit / 2)));
    assert.equal(ConnectionCap.ofDescriptors({ reserve: 0 }).max, limit);
    assert.equal(ConnectionCap.ofDescriptors({ reserve: 0, share: 0.25 }).max, Math.floor(limit / 4));
    for (const wrong of [{ share: 0 }, { share: 1.5 }, { reserve: -1 }, { reserve: limit }, { reserve: 1e9 }])
      assert.throws(() => ConnectionCap.ofDescriptors(wrong), RangeError);
  });
});

describe('acceptRate', () => {
  test('is the number of the last whole second', async () => {
    const clock = new ManualClock();
    await using it = await rig({ maxConnections: 2, clock });
    const { listener } = it;
    assert.equal(listener.acceptRate, 0);
    for (let i = 0; i < 2; i++) await client(listener, 'a');
    await endOfConnection(listener.address);
    await until(() => listener.acceptedCount + listener.shedCount === 3);
    assert.equal(listener.acceptRate, 0, 'the second is not over');
    clock.advance(1_000);
    assert.equal(listener.acceptRate, 3, 'what was shed came, too');
    clock.advance(999);
    assert.equal(listener.acceptRate, 3);
    clock.advance(1);
    assert.equal(listener.acceptRate, 0);
    clock.advance(10_500);
    await endOfConnection(listener.address);
    await until(() => listener.shedCount === 2);
    clock.advance(500);
    assert.equal(listener.acceptRate, 1);
  });
});
