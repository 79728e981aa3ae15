import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { applicationError, type WireError } from '@ferrata/error';
import {
  type Fault,
  type FilterOutlet,
  faulty,
  filtered,
  formatFaultPlan,
  formatTraceEvent,
  idleTimeout,
  type L4Stream,
  limited,
  memoryPair,
  park,
  rechunked,
  type StreamFilter,
  type TraceEvent,
  tapped,
  traced,
} from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '../../src/index.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Ends {
  readonly stream: L4Stream;
  readonly peer: L4Stream;
  readonly sink: RecordingSink;
  readonly peerSink: RecordingSink;
}

/** A wrapped stream and its plain peer, both attached. */
function ends(wrap: (stream: L4Stream) => L4Stream, highWaterBytes = 65_536): Ends {
  const { a, b } = memoryPair({ highWaterBytes });
  const stream = wrap(a);
  const sink = new RecordingSink();
  const peerSink = new RecordingSink();
  stream.attach(sink);
  b.attach(peerSink);
  return { stream, peer: b, sink, peerSink };
}

describe('idleTimeout', () => {
  function idleEnds(ms = 100): Ends & { clock: ManualClock; deadlines: DeadlineQueue } {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    return { ...ends((stream) => idleTimeout(stream, ms, deadlines), 100), clock, deadlines };
  }

  test('aborts a stream on which nothing has moved', async () => {
    const { clock, sink, peerSink, deadlines } = idleEnds();
    clock.advance(99);
    await turn();
    assert.equal(sink.isClosed, false);
    clock.advance(20);
    await Promise.all([sink.untilClose(), peerSink.untilClose()]);
    assert.equal(sink.closeError?.type, 'timeout');
    assert.equal(sink.closeError?.reason, 'STREAM_IDLE_TIMEOUT');
    assert.equal(deadlines.size, 0);
  });

  test('bytes that come or go, and the end, begin the time anew', async () => {
    const { clock, stream, peer, sink } = idleEnds();
    for (const move of [
      () => peer.write(ascii('x')),
      () => stream.write(ascii('y')),
      () => stream.writev([ascii('z')]),
      () => peer.end(),
    ]) {
      clock.advance(80);
      move();
      await turn();
    }
    assert.equal(sink.isClosed, false);
    clock.advance(120);
    await sink.untilClose();
  });

  test('written bytes that still go out count as movement, until they stop', async () => {
    const { clock, stream, peer, sink, peerSink } = idleEnds();
    peer.pause();
    stream.write(positionalBytes(20));
    stream.write(positionalBytes(20));
    peer.resume();
    await peerSink.untilBytes(40);
    clock.advance(120);
    await turn();
    assert.equal(sink.isClosed, false, 'bytes had gone out since');
    stream.write(positionalBytes(20));
    peer.pause();
    clock.advance(120);
    await turn();
    clock.advance(120);
    await sink.untilClose();
  });

  test('aborts a stream that both sides have ended, and that has written all, when its close does not come', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const { stream, peer, sink, peerSink } = ends((inner) =>
      // Above it both sides have ended; below the peer has not, and so there is no close.
      idleTimeout(faulty(inner, [{ direction: 'incoming', at: 1, kind: 'end' }]), 100, deadlines),
    );
    peer.pause();
    stream.write(positionalBytes(20));
    stream.end();
    peer.write(ascii('x'));
    await sink.untilEnd();
    peer.resume();
    await peerSink.untilEnd();
    assert.equal(stream.state, 'closed');
    assert.equal(stream.bufferedBytes, 0);
    clock.advance(120);
    await turn();
    assert.equal(sink.isClosed, false, 'bytes had gone out since');
    // What is written now is dropped.
    clock.advance(60);
    stream.write(ascii('still there?'));
    clock.advance(60);
    await Promise.all([sink.untilClose(), peerSink.untilClose()]);
    assert.equal(sink.closeError?.reason, 'STREAM_IDLE_TIMEOUT');
    assert.equal(deadlines.size, 0);
  });

  test('holds no deadline after an abort or a close, and does not take a late write for life', async () => {
    for (const close of [
      ({ stream }: Ends) => stream.abort(),
      ({ peer }: Ends) => peer.abort(),
      ({ stream, peer }: Ends) => {
        stream.end();
        peer.end();
      },
    ]) {
      const idle = idleEnds();
      close(idle);
      await idle.sink.untilClose();
      idle.stream.write(ascii('late'));
      assert.equal(idle.deadlines.size, 0);
    }
  });

  test('refuses a limit that is none', () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    assert.throws(() => idleTimeout(memoryPair().a, 0, deadlines), RangeError);
    assert.throws(() => idleTimeout(memoryPair().a, Number.NaN, deadlines), RangeError);
  });
});

describe('traced', () => {
  test('tells every event with its offset, as lines of text', async () => {
    const events: TraceEvent[] = [];
    const { a, b } = memoryPair({ nextId: () => 3, highWaterBytes: 8 });
    const stream = traced(a, (event) => events.push(event));
    const sink = new RecordingSink();
    stream.attach(sink, ascii('head'));
    b.attach(new RecordingSink());
    b.write(ascii('hello\r\n'));
    await sink.untilBytes(11);
    stream.pause();
    stream.resume();
    stream.write(ascii('first'));
    stream.writev([ascii('and the next'), ascii('!')]);
    await sink.until(() => sink.drainCount > 0);
    stream.end();
    b.abort();
    await sink.untilClose();
    stream.abort(applicationError('TOO_LATE'));
    assert.deepEqual(
      events.map((event) => formatTraceEvent(event, 8)),
      [
        '#3 > attach 0..4 "head"',
        '#3 < data 0..4 "head"',
        '#3 < data 4..11 "hello\\r\\n"',
        '#3 > pause',
        '#3 > resume',
        '#3 > write 0..5 "first"',
        '#3 > write 5..17 "and the "… (full)',
        '#3 > write 17..18 "!" (full)',
        '#3 < drain',
        '#3 > writeEnd 18',
        '#3 < close (io CONNECTION_RESET)',
        '#3 > abort (application TOO_LATE)',
      ],
    );
  });

  test('tells ends and orderly closes', async () => {
    const lines: string[] = [];
    const { stream, peer, sink } = ends((inner) => traced(inner, (event) => lines.push(formatTraceEvent({ ...event, streamId: 0 }))));
    peer.write(ascii('abc'));
    peer.end();
    await sink.untilEnd();
    stream.end();
    await sink.untilClose();
    assert.deepEqual(lines, ['#0 > attach', '#0 < data 0..3 "abc"', '#0 < end 3', '#0 > writeEnd 0', '#0 < close']);
  });
});

describe('tapped', () => {
  test('passes everything without a tap, and keeps the id and the info', async () => {
    const { a, b } = memoryPair();
    const stream = tapped(a, {});
    assert.equal(stream.id, a.id);
    assert.equal(stream.info, a.info);
    const sink = new RecordingSink();
    stream.attach(sink);
    b.write(ascii('x'));
    await sink.untilBytes(1);
    stream.pause();
    stream.resume();
    stream.abort();
    await sink.untilClose();
  });

  test('may give other facts about a stream, whose id and bytes stay the same', async () => {
    const { a, b } = memoryPair();
    const info = { ...a.info, kind: 'other', below: a.info };
    const stream = tapped(a, {}, info);
    assert.deepEqual([stream.info === info, stream.id], [true, a.id]);
    const sink = new RecordingSink();
    b.attach(sink);
    stream.attach(new RecordingSink());
    stream.write(ascii('x'));
    await sink.untilBytes(1);
    assert.equal(tapped(b, {}).info, b.info);
    stream.abort();
  });
});

describe('park', () => {
  test('puts bytes back in front, and gives all that comes to the next sink, also if somebody resumes the stream before', async () => {
    const { a, b } = memoryPair();
    park(b, ascii('read '));
    a.write(ascii('before'));
    a.end();
    await turn();
    b.resume();
    await turn();
    const sink = new RecordingSink();
    b.attach(sink);
    await sink.untilEnd();
    assert.equal(sink.text(), 'read before');
    assert.equal(sink.isClosed, false);
    a.abort();
  });

  test('tells of a close meanwhile, and the next sink hears of it again', async () => {
    const { a, b } = memoryPair();
    const told: (string | undefined)[] = [];
    park(b, new Uint8Array(0), (error) => told.push(error?.reason));
    a.abort();
    await turn();
    assert.deepEqual(told, ['CONNECTION_RESET']);
    const sink = new RecordingSink();
    b.attach(sink);
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
    assert.equal(told.length, 1);
    const quiet = memoryPair();
    park(quiet.b, new Uint8Array(0));
    quiet.a.abort();
    await turn();
    assert.equal(quiet.b.state, 'closed');
  });
});

describe('rechunked', () => {
  test('cuts at the sizes given, in a circle, both ways', async () => {
    const { stream, peer, sink, peerSink } = ends((inner) => rechunked(inner, { incoming: [1, 2], outgoing: [3] }));
    peer.write(positionalBytes(7));
    stream.write(positionalBytes(7));
    await Promise.all([sink.untilBytes(7), peerSink.untilBytes(7)]);
    assert.deepEqual(
      [sink, peerSink].map((one) => one.chunks().map((chunk) => chunk.byteLength)),
      [
        [1, 2, 1, 2, 1],
        [3, 3, 1],
      ],
    );
  });

  test('a piece cut short by the end of a chunk goes on in the next', async () => {
    const { peer, sink } = ends((inner) => rechunked(inner, { incoming: [4] }));
    peer.write(positionalBytes(3));
    peer.write(positionalBytes(6, 0, 3));
    await sink.untilBytes(9);
    assert.deepEqual(
      sink.chunks().map((chunk) => chunk.byteLength),
      [3, 1, 4, 1],
    );
  });

  test('merges what comes before the next task, if asked to', async () => {
    const { stream, peer, sink, peerSink } = ends((inner) => rechunked(inner, { incoming: [5], outgoing: [5], merge: true }));
    for (let i = 0; i < 6; i++) {
      peer.write(positionalBytes(2, 0, 2 * i));
      stream.write(positionalBytes(2, 0, 2 * i));
    }
    assert.equal(stream.bufferedBytes, 12);
    await Promise.all([sink.untilBytes(12), peerSink.untilBytes(12)]);
    for (const one of [sink, peerSink]) {
      assert.deepEqual(
        one.chunks().map((chunk) => chunk.byteLength),
        [5, 5, 2],
      );
      assert.equal(firstMisplacedByte(one.bytes()), -1);
    }
  });

  test('what is held goes out before the end', async () => {
    const { stream, peer, sink, peerSink } = ends((inner) => rechunked(inner, { incoming: [100], outgoing: [100], merge: true }));
    peer.write(ascii('in'));
    peer.end();
    stream.write(ascii('out'));
    stream.end();
    await Promise.all([sink.untilClose(), peerSink.untilClose()]);
    assert.deepEqual([sink.text(), peerSink.text()], ['in', 'out']);
  });

  test('refuses sizes that are none, at once or when they are asked for', async () => {
    const { a } = memoryPair();
    assert.throws(() => rechunked(a, { incoming: [] }), RangeError);
    assert.throws(() => rechunked(a, { outgoing: [1, 0] }), RangeError);
    assert.throws(() => rechunked(a, { incoming: () => 0.5 }), RangeError);
  });
});

describe('faulty', () => {
  async function afterFault(fault: Fault, bytes = 10): Promise<Ends> {
    const all = ends((stream) => faulty(stream, [fault]));
    if (fault.direction === 'incoming') {
      all.peer.write(positionalBytes(bytes));
      all.peer.end();
    } else {
      all.stream.write(positionalBytes(bytes));
      all.stream.end();
    }
    await turn();
    return all;
  }

  for (const direction of ['incoming', 'outgoing'] as const) {
    const receiver = (all: Ends): RecordingSink => (direction === 'incoming' ? all.sink : all.peerSink);

    for (const at of [0, 4, 10]) {
      test(`${direction} reset at ${at} lets exactly the bytes before pass`, async () => {
        const all = await afterFault({ direction, at, kind: 'reset' });
        assert.deepEqual(receiver(all).bytes(), positionalBytes(at));
        for (const sink of [all.sink, all.peerSink]) assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
        assert.equal(all.stream.state, 'closed');
      });

      test(`${direction} end at ${at} ends the direction and loses the rest`, async () => {
        const all = await afterFault({ direction, at, kind: 'end' });
        assert.deepEqual(receiver(all).bytes(), positionalBytes(at));
        assert.equal(receiver(all).hasEnded, true);
      });

      test(`${direction} truncate at ${at} loses the rest, and the end comes`, async () => {
        const all = await afterFault({ direction, at, kind: 'truncate' });
        assert.deepEqual(receiver(all).bytes(), positionalBytes(at));
        assert.equal(receiver(all).hasEnded, true);
      });

      test(`${direction} stall at ${at} holds the rest and the end`, async () => {
        const all = await afterFault({ direction, at, kind: 'stall' }, 11);
        assert.deepEqual(receiver(all).bytes(), positionalBytes(at));
        assert.equal(receiver(all).hasEnded, false);
        all.stream.abort(applicationError('ENOUGH'));
        await all.sink.untilClose();
        assert.equal(all.sink.closeError?.reason, 'ENOUGH');
      });
    }

    test(`${direction} truncate of some bytes, and corrupt`, async () => {
      const lost = await afterFault({ direction, at: 3, kind: 'truncate', bytes: 2 });
      assert.deepEqual([...receiver(lost).bytes()], [...positionalBytes(3), ...positionalBytes(5, 0, 5)]);
      const changed = await afterFault({ direction, at: 3, kind: 'corrupt', bytes: 2, mask: 0x0f });
      assert.deepEqual(
        [...receiver(changed).bytes()],
        [...positionalBytes(10)].map((byte, i) => (i === 3 || i === 4 ? byte ^ 0x0f : byte)),
      );
    });

    test(`${direction} delay holds what follows for its time, and no longer`, async () => {
      const clock = new ManualClock();
      const all = ends((stream) => faulty(stream, [{ direction, at: 2, kind: 'delay', ms: 50 }], { clock }));
      const [from, to] = direction === 'incoming' ? [all.peer, all.sink] : [all.stream, all.peerSink];
      from.write(positionalBytes(5));
      from.end();
      await turn();
      assert.equal(to.byteLength, 2);
      clock.advance(49);
      await turn();
      assert.equal(to.byteLength, 2);
      clock.advance(1);
      await turn();
      assert.deepEqual(to.bytes(), positionalBytes(5));
      assert.equal(to.hasEnded, true);
    });
  }

  test('an outgoing stall is felt as back-pressure, an outgoing delay drains when it is over', async () => {
    const clock = new ManualClock();
    const all = ends((stream) =>
      faulty(
        stream,
        [
          { direction: 'outgoing', at: 0, kind: 'delay', ms: 10 },
          { direction: 'outgoing', at: 5, kind: 'stall' },
        ],
        { clock },
      ),
    );
    assert.equal(all.stream.write(positionalBytes(5)), false);
    assert.equal(all.stream.bufferedBytes, 5);
    clock.advance(10);
    await turn();
    assert.equal(all.sink.drainCount, 1);
    assert.equal(all.stream.write(positionalBytes(1)), false);
    await turn();
    assert.equal(all.sink.drainCount, 1);
    assert.equal(all.stream.bufferedBytes, 1);
  });

  test('an abort forgets a delay that is under way', async () => {
    const clock = new ManualClock();
    const all = ends((stream) => faulty(stream, [{ direction: 'incoming', at: 0, kind: 'delay', ms: 10 }], { clock }));
    all.peer.write(positionalBytes(1));
    await turn();
    assert.equal(clock.pendingCount, 1);
    all.stream.abort();
    assert.equal(clock.pendingCount, 0);
    await all.sink.untilClose();
    assert.deepEqual(all.sink.kinds(), ['close']);
  });

  test('a clean close below waits for an end that is still delayed', async () => {
    const clock = new ManualClock();
    const all = ends((stream) => faulty(stream, [{ direction: 'incoming', at: 0, kind: 'delay', ms: 10 }], { clock }));
    all.stream.end();
    all.peer.write(positionalBytes(3));
    all.peer.end();
    await turn();
    assert.equal(all.sink.isClosed, false);
    clock.advance(10);
    await all.sink.untilClose();
    assert.deepEqual(all.sink.kinds(), ['data', 'end', 'close']);
    assert.equal(all.sink.closeError, null);
  });

  test('several faults happen in the order of their places', async () => {
    const plan: Fault[] = [
      { direction: 'incoming', at: 6, kind: 'reset' },
      { direction: 'incoming', at: 2, kind: 'corrupt' },
      { direction: 'incoming', at: 4, kind: 'truncate', bytes: 1 },
    ];
    const all = ends((stream) => faulty(stream, plan));
    all.peer.write(positionalBytes(10));
    await all.sink.untilClose();
    const [b0, b1, b2, b3, , b5] = positionalBytes(10);
    assert.deepEqual([...all.sink.bytes()], [b0, b1, (b2 as number) ^ 0xff, b3, b5]);
  });

  test('within a writev a fault stops exactly where it should', async () => {
    for (const kind of ['reset', 'end'] as const) {
      const all = ends((stream) => faulty(stream, [{ direction: 'outgoing', at: 3, kind }]));
      all.stream.writev([positionalBytes(2), positionalBytes(2, 0, 2), positionalBytes(2, 0, 4)]);
      await all.peerSink.until((sink) => sink.hasEnded || sink.isClosed);
      assert.deepEqual(all.peerSink.bytes(), positionalBytes(3));
    }
  });

  test('a plan is text too, and is checked', () => {
    const plan: Fault[] = [
      { direction: 'incoming', at: 1, kind: 'reset' },
      { direction: 'outgoing', at: 2, kind: 'truncate' },
      { direction: 'outgoing', at: 2, kind: 'truncate', bytes: 9 },
      { direction: 'incoming', at: 3, kind: 'delay', ms: 7 },
      { direction: 'incoming', at: 4, kind: 'corrupt' },
    ];
    assert.equal(
      formatFaultPlan(plan),
      'incoming@1 reset, outgoing@2 truncate, outgoing@2 truncate 9, incoming@3 delay 7, incoming@4 corrupt 1 0xff',
    );
    assert.equal(formatFaultPlan([]), 'no faults');
    const { a } = memoryPair();
    assert.throws(() => faulty(a, [{ direction: 'incoming', at: -1, kind: 'reset' }]), RangeError);
    assert.throws(() => faulty(a, [{ direction: 'incoming', at: 1, kind: 'truncate', bytes: 0.5 }]), RangeError);
    assert.throws(() => faulty(a, [{ direction: 'incoming', at: 1, kind: 'delay', ms: 1 }]), TypeError);
  });
});

describe('limited', () => {
  for (const direction of ['incoming', 'outgoing'] as const) {
    test(`${direction}: exactly the bytes allowed pass, one more fails the stream`, async () => {
      const all = ends((stream) => limited(stream, { [direction]: { maxBytes: 10 } }));
      const [from, to] = direction === 'incoming' ? [all.peer, all.sink] : [all.stream, all.peerSink];
      from.write(positionalBytes(4));
      from.write(positionalBytes(6, 0, 4));
      await turn();
      assert.equal(all.sink.isClosed, false);
      from.write(positionalBytes(1));
      await all.sink.untilClose();
      assert.deepEqual(to.bytes(), positionalBytes(10));
      assert.equal(all.sink.closeError?.type, 'limit');
      assert.equal(all.sink.closeError?.reason, direction === 'incoming' ? 'STREAM_TOO_MANY_BYTES_IN' : 'STREAM_TOO_MANY_BYTES_OUT');
    });

    test(`${direction}: a rate lets a burst pass, then so many bytes a second`, async () => {
      const clock = new ManualClock();
      const deadlines = new DeadlineQueue({ clock });
      const all = ends((stream) => limited(stream, { [direction]: { bytesPerSecond: 1_000, burstBytes: 100 }, deadlines }));
      const [from, to] = direction === 'incoming' ? [all.peer, all.sink] : [all.stream, all.peerSink];
      from.write(positionalBytes(600));
      from.write(positionalBytes(400, 0, 600));
      from.end();
      await turn();
      assert.equal(to.byteLength, 100);
      let last = 100;
      for (let ms = 10; ms <= 1_000; ms += 10) {
        clock.advance(10);
        await turn();
        // The invariant of a token bucket: never more than burst plus rate times time.
        assert.ok(to.byteLength <= 100 + ms, `${to.byteLength} bytes after ${ms} ms`);
        assert.ok(to.byteLength >= last);
        last = to.byteLength;
      }
      assert.equal(to.byteLength, 1_000);
      assert.equal(firstMisplacedByte(to.bytes()), -1);
      assert.equal(to.hasEnded, true);
      assert.equal(deadlines.size, 0);
    });
  }

  test('a rate is felt as back-pressure, and drains', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const all = ends((stream) => limited(stream, { outgoing: { bytesPerSecond: 1_000 }, deadlines }));
    assert.equal(all.stream.write(positionalBytes(150)), false);
    assert.equal(all.stream.bufferedBytes, 150);
    await turn();
    clock.advance(60);
    await turn();
    assert.equal(all.sink.drainCount, 1);
    all.stream.write(positionalBytes(500));
    all.stream.abort();
    assert.equal(deadlines.size, 0);
    await all.sink.untilClose();
  });

  test('refuses limits that make no sense', () => {
    const { a } = memoryPair();
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    assert.throws(() => limited(a, { incoming: { maxBytes: -1 } }), RangeError);
    assert.throws(() => limited(a, { incoming: { bytesPerSecond: 10 } }), TypeError);
    assert.throws(() => limited(a, { incoming: { bytesPerSecond: 0 }, deadlines }), RangeError);
    assert.throws(() => limited(a, { incoming: { bytesPerSecond: 10, burstBytes: 0.5 }, deadlines }), RangeError);
  });
});

describe('filtered', () => {
  /** Passes everything until told to hold, and fails on request. */
  class Gate implements StreamFilter {
    isBlocked = false;
    readonly heldBytes = 0;
    closeCount = 0;
    startCount = 0;
    readonly outlet: FilterOutlet;

    constructor(outlet: FilterOutlet) {
      this.outlet = outlet;
    }

    start(): void {
      this.startCount += 1;
    }

    data(chunk: Uint8Array): void {
      this.outlet.data(chunk);
    }

    end(): void {
      this.outlet.end();
    }

    close(): void {
      this.closeCount += 1;
    }
  }

  function gated(): Ends & { incoming: Gate; outgoing: Gate } {
    const gates: Gate[] = [];
    const make = (outlet: FilterOutlet): Gate => {
      const gate = new Gate(outlet);
      gates.push(gate);
      return gate;
    };
    const all = ends((stream) => filtered(stream, { incoming: make, outgoing: make }));
    return { ...all, incoming: gates[0] as Gate, outgoing: gates[1] as Gate };
  }

  test('starts its filters once, closes them, and keeps id and info', async () => {
    const all = gated();
    await turn();
    all.stream.attach(all.sink);
    await turn();
    assert.deepEqual([all.incoming.startCount, all.outgoing.startCount], [1, 1]);
    assert.equal(all.stream.info.kind, 'memory');
    assert.equal(typeof all.stream.id, 'number');
    all.stream.end();
    all.peer.end();
    await all.sink.untilClose();
    assert.ok(all.incoming.closeCount >= 1 && all.outgoing.closeCount >= 1);
  });

  test('a blocked incoming filter pauses the source until it is released', async () => {
    const all = gated();
    await turn();
    all.incoming.isBlocked = true;
    all.incoming.outlet.released();
    all.peer.write(positionalBytes(3));
    await turn();
    assert.equal(all.peer.bufferedBytes, 3);
    all.incoming.isBlocked = false;
    all.incoming.outlet.released();
    await all.sink.untilBytes(3);
  });

  test('an abort before the filters have started does not start them', async () => {
    const all = gated();
    all.stream.abort();
    await all.sink.untilClose();
    assert.deepEqual([all.incoming.startCount, all.outgoing.startCount], [0, 0]);
  });

  test('fails once, tells both sides, and passes nothing afterwards', async () => {
    const all = gated();
    await turn();
    const error: WireError = applicationError('FILTERED');
    all.incoming.outlet.fail(error);
    all.outgoing.outlet.fail(applicationError('AGAIN'));
    all.peer.write(positionalBytes(3));
    await Promise.all([all.sink.untilClose(), all.peerSink.untilClose()]);
    assert.equal(all.sink.closeError, error);
    assert.deepEqual(all.sink.kinds(), ['close']);
    assert.equal(all.stream.bufferedBytes, 0);
  });

  test('after a passed end the incoming filter can pass nothing more', async () => {
    const all = gated();
    all.incoming.outlet.end();
    all.incoming.outlet.end();
    all.incoming.outlet.data(positionalBytes(1));
    all.peer.write(positionalBytes(1));
    await turn();
    assert.deepEqual(all.sink.kinds(), ['end']);
    assert.equal(all.stream.state, 'peerEnded');
  });

  test('somebody else aborting the layer below shows as a close', async () => {
    const { a } = memoryPair();
    const stream = filtered(a, {});
    const sink = new RecordingSink();
    stream.attach(sink);
    a.abort();
    await sink.untilClose();
    assert.equal(sink.closeError, null);
    assert.equal(stream.state, 'closed');
  });
});
