import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { applicationError, type WireError } from '@ferrata/error';
import { type L4Stream, memoryPair, type RelayResult, relay, relayed } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '../../src/index.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Chain {
  readonly client: L4Stream;
  readonly server: L4Stream;
  readonly near: L4Stream;
  readonly far: L4Stream;
  readonly clientSink: RecordingSink;
  readonly serverSink: RecordingSink;
}

/** client ═ near · far ═ server, the middle to be joined. */
function chain(highWaterBytes = 1_000): Chain {
  const left = memoryPair({ highWaterBytes });
  const right = memoryPair({ highWaterBytes });
  const clientSink = new RecordingSink();
  const serverSink = new RecordingSink();
  left.a.attach(clientSink);
  right.b.attach(serverSink);
  return { client: left.a, near: left.b, far: right.a, server: right.b, clientSink, serverSink };
}

describe('relay', () => {
  test('carries both ways, heads first, and reports what it carried', async () => {
    const { client, server, near, far, clientSink, serverSink } = chain();
    const done = relayed(near, far, { headA: positionalBytes(10, 1), headB: positionalBytes(20, 2) });
    client.write(positionalBytes(90, 1, 10));
    server.write(positionalBytes(180, 2, 20));
    client.end();
    server.end();
    assert.deepEqual(await done, { bytesAToB: 100, bytesBToA: 200, error: null, brokenBy: null });
    await Promise.all([clientSink.untilClose(), serverSink.untilClose()]);
    assert.equal(firstMisplacedByte(serverSink.bytes(), 1), -1);
    assert.equal(firstMisplacedByte(clientSink.bytes(), 2), -1);
    assert.deepEqual([clientSink.closeError, serverSink.closeError], [null, null]);
  });

  test('half-close: an end on one side leaves the other direction open', async () => {
    const { client, server, near, far, clientSink, serverSink } = chain();
    const joint = relay(near, far);
    client.end();
    await serverSink.untilEnd();
    server.write(positionalBytes(500));
    await clientSink.untilBytes(500);
    assert.equal(clientSink.hasEnded, false);
    assert.equal(joint.bytesBToA, 500);
    assert.equal(joint.isDone, false);
    server.end();
    await clientSink.untilClose();
    await turn();
    assert.equal(joint.isDone, true);
  });

  test('back-pressure: a server that does not read stops the client, with bounded memory between', async () => {
    const { client, server, near, far, clientSink, serverSink } = chain();
    relay(near, far);
    server.pause();
    let written = 0;
    for (let round = 0; round < 100; round++) {
      while (client.write(positionalBytes(100, 0, written))) written += 100;
      written += 100;
      const drains = clientSink.drainCount;
      await turn();
      if (clientSink.drainCount === drains) break;
    }
    assert.ok(written <= 2 * 1_000 + 2 * 100, `${written} bytes were taken from a client whose server does not read`);
    assert.ok(far.bufferedBytes <= 1_100);
    server.resume();
    await serverSink.untilBytes(written);
    assert.equal(firstMisplacedByte(serverSink.bytes()), -1);
  });

  for (const side of ['client', 'server'] as const) {
    test(`a reset of the ${side} resets the other side, and is the result`, async () => {
      const links = chain();
      const results: RelayResult[] = [];
      relay(links.near, links.far, { onDone: (result) => results.push(result) });
      links.client.write(positionalBytes(5));
      await links.serverSink.untilBytes(5);
      links[side].abort();
      await Promise.all([links.clientSink.untilClose(), links.serverSink.untilClose()]);
      await turn();
      const other = side === 'client' ? links.serverSink : links.clientSink;
      assert.equal(other.closeError?.reason, 'CONNECTION_RESET');
      assert.equal(results.length, 1);
      assert.equal(results[0]?.brokenBy, side === 'client' ? 'a' : 'b');
      assert.equal(results[0]?.error?.reason, 'CONNECTION_RESET');
      assert.equal(results[0]?.bytesAToB, 5);
    });
  }

  test('abort drops both sides, with the error or without', async () => {
    for (const error of [applicationError('ENOUGH'), undefined]) {
      const { near, far, clientSink, serverSink } = chain();
      const results: RelayResult[] = [];
      const joint = relay(near, far, { onDone: (result) => results.push(result) });
      joint.abort(error);
      await Promise.all([clientSink.untilClose(), serverSink.untilClose()]);
      await turn();
      assert.equal(results.length, 1);
      assert.equal(results[0]?.error, error ?? null);
      assert.equal(results[0]?.brokenBy, 'a');
      assert.deepEqual([joint.bytesAToB, joint.bytesBToA], [0, 0]);
    }
  });

  test('silence: both are given up where nothing moves, not before, and no deadline is left', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const { client, server, near, far, clientSink, serverSink } = chain();
    const done = relayed(near, far, { idle: { timeoutMs: 100, deadlines } });
    for (const side of [client, server, client]) {
      clock.advance(90);
      side.write(positionalBytes(1));
      await turn();
    }
    assert.deepEqual([clientSink.isClosed, serverSink.isClosed], [false, false]);
    // That the last byte has gone out is seen only now.
    clock.advance(120);
    clock.advance(120);
    const { error, brokenBy } = await done;
    assert.deepEqual([error?.reason, brokenBy], ['STREAM_IDLE_TIMEOUT', 'a']);
    await Promise.all([clientSink.untilClose(), serverSink.untilClose()]);
    assert.equal(deadlines.size, 0);
  });

  test('silence: a side that has all, and goes, does not leave the other one to wait for ever', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const { client, server, near, far, clientSink } = chain();
    const done = relayed(near, far, { idle: { timeoutMs: 100, deadlines } });
    server.end();
    server.pause();
    client.write(positionalBytes(900));
    client.end();
    await clientSink.untilClose();
    assert.equal(clientSink.closeError, null);
    assert.ok(far.bufferedBytes > 0);
    clock.advance(120);
    const { error, brokenBy } = await done;
    assert.deepEqual([error?.reason, brokenBy], ['STREAM_IDLE_TIMEOUT', 'b']);
    assert.equal(deadlines.size, 0);
  });

  test('silence is said to be of a, whichever of the two tells of its close first', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const { near, far } = chain();
    // As streams over TLS, which are cut a turn later.
    const late = new Proxy(near, {
      get(target, key): unknown {
        if (key === 'abort') return (error?: WireError) => void setImmediate(() => target.abort(error));
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const done = relayed(late, far, { idle: { timeoutMs: 100, deadlines } });
    clock.advance(120);
    const { error, brokenBy } = await done;
    assert.deepEqual([error?.reason, brokenBy], ['STREAM_IDLE_TIMEOUT', 'a']);
  });

  test('silence: more than the deadlines can wait is for ever', async () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    const { near, far } = chain();
    const joint = relay(near, far, { idle: { timeoutMs: Number.POSITIVE_INFINITY, deadlines } });
    assert.equal(deadlines.size, 0);
    joint.abort();
    await turn();
    assert.equal(joint.isDone, true);
  });

  test('silence: a relay that ends in order leaves no deadline, and 0 is no time', async () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    const { client, server, near, far } = chain();
    assert.throws(() => relay(near, far, { idle: { timeoutMs: 0, deadlines } }), RangeError);
    await assert.rejects(relayed(near, far, { idle: { timeoutMs: Number.NaN, deadlines } }), RangeError);
    const done = relayed(near, far, { idle: { timeoutMs: 100, deadlines } });
    client.write(positionalBytes(10));
    client.end();
    server.end();
    assert.equal((await done).error, null);
    assert.equal(deadlines.size, 0);
  });

  test('a stream that has failed before is noticed', async () => {
    const { near, far, clientSink } = chain();
    far.abort(applicationError('GONE'));
    const result = await relayed(near, far);
    assert.equal(result.brokenBy, 'b');
    assert.equal(result.error?.reason, 'GONE');
    await clientSink.untilClose();
    assert.equal(clientSink.closeError?.reason, 'CONNECTION_RESET');
  });
});
