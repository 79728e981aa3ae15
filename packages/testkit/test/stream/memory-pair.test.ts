import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { deferToMicrotask, formatAddress, type MemoryParcel, memoryPair, nextStreamId } from '@ferrata/stream';
import { positionalBytes, RecordingSink } from '../../src/index.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('memoryPair', () => {
  test('refuses limits that make no sense', () => {
    assert.throws(() => memoryPair({ highWaterBytes: 0 }), RangeError);
    assert.throws(() => memoryPair({ highWaterBytes: Number.NaN }), RangeError);
    assert.throws(() => memoryPair({ highWaterBytes: 10, hardLimitBytes: 9 }), RangeError);
    memoryPair({ highWaterBytes: 10_000_000 });
  });

  test('answers false from the high-water mark on, and drains when half of it is free', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 10 });
    const sinkA = new RecordingSink();
    const sinkB: RecordingSink = new RecordingSink({
      onData: () => {
        if (sinkB.chunks().length === 2) b.pause();
      },
    });
    a.attach(sinkA);
    b.attach(sinkB);
    b.pause();
    assert.equal(a.write(positionalBytes(3)), true);
    assert.equal(a.write(positionalBytes(3)), true);
    assert.equal(a.write(positionalBytes(4)), false);
    assert.equal(a.bufferedBytes, 10);
    b.resume();
    await turn();
    assert.equal(a.bufferedBytes, 4);
    assert.equal(sinkA.drainCount, 1);
    b.resume();
    await turn();
    assert.equal(sinkA.drainCount, 1, 'one drain for one false');
  });

  test('a writer that ignores back-pressure is cut off at the hard limit, and it is its own fault', async () => {
    for (const write of ['write', 'writev'] as const) {
      const { a, b } = memoryPair({ highWaterBytes: 10, hardLimitBytes: 20 });
      const sinkA = new RecordingSink();
      const sinkB = new RecordingSink();
      a.attach(sinkA);
      b.attach(sinkB);
      b.pause();
      const chunk = positionalBytes(15);
      const put = (): boolean => (write === 'write' ? a.write(chunk) : a.writev([chunk]));
      assert.deepEqual([put(), put(), put()], [false, false, false]);
      await sinkA.untilClose();
      assert.equal(sinkA.closeError?.reason, 'STREAM_WRITE_OVERFLOW');
      assert.equal(sinkA.closeError?.type, 'limit');
      assert.equal(sinkA.closeError?.fault, 'local');
      await sinkB.untilClose();
      assert.equal(sinkB.closeError?.reason, 'CONNECTION_RESET');
    }
  });

  test('one chunk above the hard limit is taken whole', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 10, hardLimitBytes: 20 });
    const sink = new RecordingSink();
    b.attach(sink);
    assert.equal(a.write(positionalBytes(1_000)), false);
    await sink.untilBytes(1_000);
  });

  test('bytes before an abort reach a flowing reader, and are lost to a paused one', async () => {
    for (const isPaused of [false, true]) {
      const { a, b } = memoryPair();
      const sink = new RecordingSink();
      b.attach(sink);
      if (isPaused) b.pause();
      a.write(positionalBytes(5));
      a.abort();
      await sink.untilClose();
      assert.deepEqual(sink.kinds(), isPaused ? ['close'] : ['data', 'close']);
    }
  });

  test("a head given to attach is none of the peer's buffered bytes", async () => {
    const { a, b } = memoryPair();
    const sink = new RecordingSink();
    b.attach(sink, positionalBytes(50));
    b.pause();
    a.write(positionalBytes(10));
    assert.equal(a.bufferedBytes, 10);
    b.resume();
    await sink.untilBytes(60);
    assert.equal(a.bufferedBytes, 0);
  });

  test('of two heads the later is told first: it was read earlier', async () => {
    const { a } = memoryPair();
    a.attach(new RecordingSink(), new TextEncoder().encode('second'));
    const sink = new RecordingSink();
    a.attach(sink, new TextEncoder().encode('first'));
    await sink.untilBytes(11);
    assert.equal(sink.text(), 'firstsecond');
  });

  test('knows its addresses, its time and its kind', () => {
    const clock = new ManualClock({ now: 123 });
    const addressA = { kind: 'ip', host: '::1', port: 9 } as const;
    const addressB = { kind: 'unix', path: '/b' } as const;
    const { a, b } = memoryPair({ clock, addressA, addressB, kind: 'test', nextId: () => 7 });
    assert.deepEqual([a.info.localAddress, a.info.remoteAddress], [addressA, addressB]);
    assert.deepEqual([b.info.localAddress, b.info.remoteAddress], [addressB, addressA]);
    assert.deepEqual(a.info.timing, { startedAt: 123, establishedAt: 123 });
    assert.deepEqual([a.info.kind, a.info.tls, a.info.below, a.id], ['test', null, null, 7]);
    assert.deepEqual(
      [addressA, addressB, { kind: 'unset' as const }, { kind: 'ip' as const, host: '10.0.0.1', port: 80 }].map(formatAddress),
      ['[::1]:9', 'unix:/b', '-', '10.0.0.1:80'],
    );
  });

  test('a carrier decides when things arrive; after a reset later parcels do nothing', async () => {
    const held: (() => void)[] = [];
    const kinds: string[] = [];
    const { a, b } = memoryPair({
      carry: (parcel: MemoryParcel, deliver, from) => {
        kinds.push(`${from} ${parcel.kind}`);
        held.push(() => deliver(parcel));
      },
    });
    const sink = new RecordingSink();
    b.attach(sink);
    a.write(positionalBytes(3));
    a.end();
    a.abort();
    b.abort();
    await turn();
    assert.deepEqual(kinds, ['a data', 'a end', 'a reset', 'b reset']);
    assert.deepEqual(sink.kinds(), ['close']);
    for (const arrive of held) arrive();
    await turn();
    assert.deepEqual(sink.kinds(), ['close']);
  });

  test('an abort after both ends, but before all bytes are out, still drops them', async () => {
    const { a, b } = memoryPair();
    const sinkA = new RecordingSink();
    const sinkB = new RecordingSink();
    a.attach(sinkA);
    b.attach(sinkB);
    b.end();
    await sinkA.untilEnd();
    b.pause();
    a.write(positionalBytes(5));
    a.end();
    assert.equal(a.state, 'closed');
    await turn();
    assert.equal(sinkA.isClosed, false);
    a.abort();
    await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
    assert.equal(sinkB.byteLength, 0);
    assert.equal(sinkB.closeError?.reason, 'CONNECTION_RESET');
  });
});

describe('the small parts', () => {
  test('stream ids rise', () => {
    const first = nextStreamId();
    assert.equal(nextStreamId(), first + 1);
  });

  test('deferred tasks run later and in order', async () => {
    const order: number[] = [];
    deferToMicrotask(() => order.push(1));
    deferToMicrotask(() => order.push(2));
    assert.deepEqual(order, []);
    await turn();
    assert.deepEqual(order, [1, 2]);
  });
});
