/** Listeners that are no sockets: a source of streams, and a listener in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import type { WireError } from '@ferrata/error';
import { type L4Stream, memoryPair, type StreamAddress } from '@ferrata/stream';
import { RecordingSink, streamCompliance } from '@ferrata/testkit';
import { type AcceptOptions, ConnectionCap, connectTls, listenTo, MemoryListener, perSource, refuse } from '../src/index.ts';
import { until } from './pairs.ts';

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function ip(host: string): StreamAddress {
  return { kind: 'ip', host, port: 1 };
}

/** Both sides of a connection end, and nobody keeps it. */
function finish(stream: L4Stream): void {
  stream.attach(new RecordingSink());
  stream.abort();
}

/** A source that one pushes into, like the accept queue of something. */
class Source implements AsyncIterableIterator<L4Stream> {
  readonly #queue: L4Stream[] = [];
  #wake: (() => void) | null = null;
  askedCount = 0;
  isReturned = false;
  isDone = false;
  failure: Error | null = null;

  push(...streams: L4Stream[]): void {
    this.#queue.push(...streams);
    this.#wake?.();
  }

  finish(failure: Error | null = null): void {
    this.isDone = true;
    this.failure = failure;
    this.#wake?.();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<L4Stream>> {
    this.askedCount++;
    while (this.#queue.length === 0 && !this.isDone) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const value = this.#queue.shift();
    if (value !== undefined) return { done: false, value };
    if (this.failure !== null) throw this.failure;
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<L4Stream>> {
    this.isReturned = true;
    return { done: true, value: undefined };
  }
}

describe('listenTo', () => {
  test('takes streams from an array, until it ends', async () => {
    const pairs = [memoryPair(), memoryPair(), memoryPair()];
    const streams: L4Stream[] = [];
    const listener = listenTo(
      pairs.map((pair) => pair.b),
      (stream) => streams.push(stream),
    );
    assert.equal(streams.length, 0, 'called from inside');
    await until(() => listener.isClosed);
    assert.deepEqual(
      streams.map((stream) => stream.id),
      pairs.map((pair) => pair.b.id),
    );
    assert.equal(listener.acceptedCount, 3);
    assert.equal(listener.connectionCount, 3);
    assert.deepEqual(listener.address, { kind: 'unset' });
    assert.equal(listener.tls, null);
    for (const { a } of pairs) a.abort();
    for (const stream of streams) stream.attach(new RecordingSink());
    await until(() => listener.connectionCount === 0);
  });

  test('takes streams from an async generator; the streams live on when the listener closes', async () => {
    const { a, b } = memoryPair();
    let isFinished = false;
    async function* generate(): AsyncGenerator<L4Stream> {
      try {
        yield b;
        await new Promise(() => {});
      } finally {
        isFinished = true;
      }
    }
    const streams: L4Stream[] = [];
    const listener = listenTo(generate(), (stream) => streams.push(stream));
    await until(() => streams.length === 1);
    await listener.close();
    await listener.close();
    assert.ok(listener.isClosed);
    // It hangs in its own await: nobody waits for it.
    assert.equal(isFinished, false);
    const sink = new RecordingSink();
    a.attach(sink);
    streams[0]?.attach(new RecordingSink());
    streams[0]?.write(Uint8Array.of(7));
    await sink.untilBytes(1);
    finish(a);
  });

  test('at a cap the source is not asked until a place is free: nothing is shed', async () => {
    const source = new Source();
    const streams: L4Stream[] = [];
    const pairs = Array.from({ length: 5 }, () => memoryPair());
    const listener = listenTo(source, (stream) => streams.push(stream), { maxConnections: 2 });
    source.push(...pairs.map((pair) => pair.b));
    await turns();
    assert.equal(streams.length, 2);
    assert.equal(listener.waitingCount, 1);
    // The third was taken out to see whether there is one; the fourth was not.
    assert.equal(source.askedCount, 3);
    finish(streams[0] as L4Stream);
    await turns();
    assert.equal(streams.length, 3);
    listener.maxConnections = 4;
    await turns();
    assert.equal(streams.length, 5);
    assert.equal(listener.waitingCount, 0);
    assert.equal(listener.shedCount, 0);
    for (const stream of streams) finish(stream);
    await listener.close();
    assert.ok(source.isReturned);
  });

  test('a shared cap holds it up too, and a close frees it', async () => {
    const cap = new ConnectionCap(1);
    assert.ok(cap.tryTake());
    const source = new Source();
    const streams: L4Stream[] = [];
    const listener = listenTo(source, (stream) => streams.push(stream), { connectionCap: cap });
    const first = memoryPair();
    const second = memoryPair();
    source.push(first.b, second.b);
    await turns();
    assert.equal(streams.length, 0);
    cap.release();
    await turns();
    assert.equal(streams.length, 1);
    const client = new RecordingSink();
    second.a.attach(client);
    await listener.close();
    await turns();
    assert.ok(client.isClosed, 'the stream that waited was aborted');
    assert.equal(streams.length, 1);
    assert.equal(cap.count, 1);
    finish(streams[0] as L4Stream);
    await turns();
    assert.equal(cap.count, 0);
  });

  test('a stream that comes after the close is aborted', async () => {
    const source = new Source();
    const listener = listenTo(source, () => assert.fail('it was handed on'));
    await turns();
    await listener.close();
    const { a, b } = memoryPair();
    source.push(b);
    const client = new RecordingSink();
    a.attach(client);
    await client.untilClose();
    assert.equal(listener.connectionCount, 0);
  });

  for (const [what, source] of [
    ['throws', () => Object.assign(new Source(), { isDone: true, failure: new Error('a bug') })],
    [
      'yields something else',
      function* () {
        yield { not: 'a stream' } as unknown as L4Stream;
      },
    ],
    [
      'yields nothing',
      function* () {
        yield null as unknown as L4Stream;
      },
    ],
  ] as const) {
    test(`a source that ${what} closes the listener, and onError is told`, async () => {
      const errors: WireError[] = [];
      const listener = listenTo(source(), () => {}, { onError: (error) => errors.push(error) });
      await until(() => listener.isClosed);
      assert.equal(errors.length, 1);
      assert.equal(errors[0]?.type, 'internal');
    });
  }

  test('a source that yields something else is ended by its return', async () => {
    let isFinished = false;
    function* generate(): Generator<L4Stream> {
      try {
        yield 42 as unknown as L4Stream;
      } finally {
        isFinished = true;
      }
    }
    const listener = listenTo(generate(), () => {}, { onError: () => {} });
    await until(() => listener.isClosed);
    assert.ok(isFinished);
  });

  test('a stream that waits for its place at the close is shed: it is in one count as all others', async () => {
    const pairs = [memoryPair({ addressA: ip('192.0.2.1') }), memoryPair({ addressA: ip('192.0.2.2') })];
    const shed: StreamAddress[] = [];
    const streams: L4Stream[] = [];
    const listener = listenTo(
      pairs.map((pair) => pair.b),
      (stream) => streams.push(stream),
      { maxConnections: 1, onShed: (peer) => shed.push(peer) },
    );
    await until(() => listener.waitingCount === 1);
    await listener.close();
    await turns();
    assert.deepEqual([listener.acceptedCount, listener.shedCount, listener.waitingCount, listener.pendingCount], [1, 1, 0, 0]);
    assert.deepEqual(shed, [ip('192.0.2.2')]);
    for (const stream of streams) finish(stream);
  });

  for (const name of ['id', 'info', 'state', 'attach', 'abort', 'pause', 'resume', 'write', 'writev', 'end', 'bufferedBytes'])
    test(`a stream whose ${name} throws is ended and told; the next one is served`, async () => {
      const { b } = memoryPair();
      const bad = new Proxy(b, {
        get: (stream, key) => {
          if (key === name && ['id', 'info', 'state', 'bufferedBytes'].includes(name)) throw new Error('a bug');
          const value: unknown = Reflect.get(stream, key, stream);
          if (typeof value !== 'function') return value;
          return key === name ? () => assert.fail('a bug') : (value.bind(stream) as unknown);
        },
      });
      const errors: WireError[] = [];
      const good = memoryPair();
      let closes = 0;
      let served = 0;
      const clock = new ManualClock();
      const options: AcceptOptions = {
        clock,
        onError: (error) => errors.push(error),
        filter: { shouldAccept: async () => name !== 'abort' },
        ...(name === 'attach' || name === 'pause' ? { proxyProtocol: { trusted: 'all', required: false, timeoutMs: 5 } } : {}),
      };
      const source = new Source();
      const listener = listenTo(
        source,
        (stream) => {
          served++;
          stream.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: () => closes++ });
          assert.equal(stream.bufferedBytes, 0);
          if (stream.state === 'open') stream.resume();
          stream.write(Uint8Array.of(1));
          stream.writev([Uint8Array.of(1)]);
          stream.end();
          stream.abort();
        },
        options,
      );
      source.push(bad, good.b);
      await turns();
      clock.advance(100);
      await turns();
      assert.ok(errors.length > 0 || name === 'pause');
      assert.equal(listener.isClosed, false);
      assert.equal(listener.connectionCount, 0);
      assert.equal(listener.pendingCount, 0);
      assert.equal(closes, served, 'each sink has been told once');
      assert.equal(listener.acceptedCount + listener.refusedCount + listener.headerFailedCount, name === 'id' ? 1 : 2);
      await listener.close();
      source.finish();
    });

  test('a source that always has a stream leaves the event loop its turns', async () => {
    let turnsSeen = 0;
    let isDone = false;
    const tick = (): void => {
      turnsSeen++;
      if (!isDone) setImmediate(tick);
    };
    setImmediate(tick);
    function* generate(): Generator<L4Stream> {
      for (let i = 0; i < 640; i++) yield memoryPair().b;
    }
    const listener = listenTo(generate(), (stream) => stream.abort());
    await until(() => listener.isClosed);
    isDone = true;
    assert.ok(turnsSeen >= 9);
    assert.equal(listener.connectionCount, 0);
  });

  test('a source whose return throws or rejects does not end the process', async () => {
    for (const end of [() => Promise.reject(new Error('a bug')), () => assert.fail('a bug')]) {
      const errors: WireError[] = [];
      const source = new Source();
      source.return = end as Source['return'];
      const listener = listenTo(source, () => {}, { onError: (error) => errors.push(error) });
      await turns();
      await listener.close();
      await until(() => errors.length === 1);
      source.finish();
    }
  });

  test('what cannot be iterated, and options that are not its own, are mistakes at once', () => {
    assert.throws(() => listenTo({} as Iterable<L4Stream>, () => {}), TypeError);
    assert.throws(() => listenTo([], () => {}, { port: 80 } as AcceptOptions), /no option "port"/);
    assert.throws(() => listenTo([], () => {}, { maxConnections: -1 }), RangeError);
  });
});

describe('MemoryListener', () => {
  test('connects, and both ends see the addresses', async () => {
    const streams: L4Stream[] = [];
    const listener = new MemoryListener((stream) => streams.push(stream), { address: ip('10.0.0.1') });
    const client = listener.connect(ip('10.0.0.2'));
    assert.equal(streams.length, 0, 'called from inside connect');
    await turns();
    const server = streams[0] as L4Stream;
    assert.deepEqual(server.info.remoteAddress, ip('10.0.0.2'));
    assert.deepEqual(client.info.remoteAddress, ip('10.0.0.1'));
    assert.deepEqual(listener.address, ip('10.0.0.1'));
    assert.deepEqual(listener.connect().info.localAddress, { kind: 'unset' });
    await listener.close();
    assert.throws(() => listener.connect(), { reason: 'CONNECT_REFUSED' });
  });

  test('above its cap it resets, counts and tells; a close makes room', async () => {
    const streams: L4Stream[] = [];
    const shed: StreamAddress[] = [];
    await using listener = new MemoryListener((stream) => streams.push(stream), { maxConnections: 1, onShed: (peer) => shed.push(peer) });
    const first = listener.connect();
    const second = new RecordingSink();
    listener.connect(ip('192.0.2.1')).attach(second);
    await second.untilClose();
    assert.equal(second.closeError?.reason, 'CONNECTION_RESET');
    assert.deepEqual(shed, [ip('192.0.2.1')]);
    assert.equal(listener.shedCount, 1);
    await turns();
    first.abort();
    streams[0]?.attach(new RecordingSink());
    await until(() => listener.connectionCount === 0);
    listener.connect();
    assert.equal(listener.connectionCount, 1);
  });

  test('has a filter, which is told of the end also of what nobody ever attached to', async () => {
    const streams: L4Stream[] = [];
    const limits = perSource({ maxConcurrent: 1 });
    await using listener = new MemoryListener((stream) => streams.push(stream), { filter: limits });
    const from = ip('192.0.2.1');
    listener.connect(from);
    listener.connect(from);
    await turns();
    assert.equal(listener.refusedCount, 1);
    streams[0]?.abort();
    streams[0]?.abort();
    listener.connect(from);
    await turns();
    assert.equal(listener.refusedCount, 1);
    assert.equal(listener.acceptedCount, 2);
    assert.equal(listener.connectionCount, 1);
  });

  test('what the filter refuses is reset', async () => {
    await using listener = new MemoryListener(() => assert.fail('it was handed on'), { filter: refuse(['192.0.2.0/24']) });
    const sink = new RecordingSink();
    listener.connect(ip('192.0.2.1')).attach(sink);
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
    assert.equal(listener.connectionCount, 0);
  });

  test('a close in the same tick as the connect takes no TLS server away', async () => {
    const authority = await createAuthority();
    const { chain, key } = await authority.issue({ names: ['localhost'] });
    const accepted = Promise.withResolvers<L4Stream>();
    const listener = new MemoryListener(accepted.resolve, { tls: { certificates: [{ certificate: chain, key }] } });
    const client = connectTls(listener.connect(), { ca: authority.certificate, serverName: 'localhost' });
    await listener.close();
    for (const stream of await Promise.all([client, accepted.promise])) finish(stream);
    assert.equal(listener.handshakeFailedCount, 0);
  });

  test('options that are not its own are a mistake', () => {
    assert.throws(() => new MemoryListener(() => {}, { backlog: 1 } as AcceptOptions), TypeError);
  });
});

streamCompliance('MemoryListener', async () => {
  const accepted = Promise.withResolvers<L4Stream>();
  const listener = new MemoryListener(accepted.resolve);
  const a = listener.connect();
  return { a: await accepted.promise, b: a, close: () => listener.close() };
});
