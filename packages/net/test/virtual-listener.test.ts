/** Listeners that are no sockets: a source of streams, and a listener in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import type { WireError } from '@ferrata/error';
import { type L4Sink, type L4Stream, memoryPair, type StreamAddress } from '@ferrata/stream';
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

/** A stream that says other things of itself than it should. */
function withFacts(stream: L4Stream, facts: object): L4Stream {
  return Object.assign(Object.create(stream) as L4Stream, { abort: (error: WireError) => stream.abort(error) }, facts);
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
      assert.deepEqual(
        errors.map((error) => error.reason),
        ['SOURCE_THREW'],
      );
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
      const { acceptedCount, refusedCount, headerFailedCount, shedCount } = listener;
      assert.equal(acceptedCount + refusedCount + headerFailedCount + shedCount, 2);
      assert.equal(shedCount, name === 'id' || name === 'info' ? 1 : 0);
      for (const error of errors) assert.equal(error.reason, 'STREAM_THREW');
      await listener.close();
      source.finish();
    });

  for (const [what, facts] of [
    ['no info', { info: undefined }],
    ['an info without an address', { info: { remoteAddress: undefined } }],
    ['an address without a host', { info: { remoteAddress: { kind: 'ip', port: 1 } } }],
    [
      'an address that throws',
      {
        info: {
          get remoteAddress(): never {
            throw new Error('a bug');
          },
        },
      },
    ],
    ['no id', { id: undefined }],
  ] as const)
    test(`a stream with ${what} is aborted, counted as shed and told; it takes no place, and no filter is asked`, async () => {
      const shed: StreamAddress[] = [];
      const errors: WireError[] = [];
      const streams: L4Stream[] = [];
      let asked = 0;
      const misfit = memoryPair();
      const peer = new RecordingSink();
      misfit.a.attach(peer);
      const good = memoryPair({ addressA: ip('192.0.2.1') });
      const source = new Source();
      const listener = listenTo(source, (stream) => streams.push(stream), {
        maxConnections: 1,
        filter: { shouldAccept: async () => ++asked > 0 },
        onShed: (address) => shed.push(address),
        onError: (error) => errors.push(error),
      });
      source.push(withFacts(misfit.b, facts), good.b);
      await until(() => streams.length === 1);
      assert.equal(peer.closeError?.reason, 'CONNECTION_RESET');
      assert.deepEqual([listener.shedCount, listener.connectionCount, asked], [1, 1, 1]);
      assert.deepEqual(shed, [{ kind: 'unset' }]);
      assert.deepEqual(
        errors.map((error) => error.reason),
        ['STREAM_THREW'],
      );
      // A second one, which comes after the close.
      await listener.close();
      source.push(withFacts(memoryPair().b, facts));
      await until(() => listener.shedCount === 2);
      if (what !== 'no id') assert.deepEqual(shed[1], { kind: 'unset' });
      for (const stream of streams) finish(stream);
    });

  test('a stream whose address throws when it is asked again is ended and told, and gives its place back', async () => {
    const { a, b } = memoryPair();
    const peer = new RecordingSink();
    a.attach(peer);
    let asked = 0;
    const info = {
      get remoteAddress(): StreamAddress {
        assert.ok(asked++ === 0, 'a bug');
        return ip('192.0.2.1');
      },
    };
    const errors: WireError[] = [];
    const onError = (error: WireError): void => void errors.push(error);
    const listener = listenTo([withFacts(b, { info })], finish, { filter: { shouldAccept: () => true }, onError });
    await until(() => listener.isClosed && peer.isClosed);
    assert.deepEqual([errors.map((error) => error.reason), listener.connectionCount, listener.pendingCount], [['STREAM_THREW'], 0, 0]);
  });

  test('a stream that is shed and throws from that is told as such', async () => {
    const { b } = memoryPair();
    const errors: WireError[] = [];
    const source = new Source();
    const listener = listenTo(source, finish, { onError: (error) => errors.push(error) });
    await listener.close();
    source.push(withFacts(b, { abort: () => assert.fail('a bug') }));
    await until(() => listener.shedCount === 1);
    assert.deepEqual(
      errors.map((error) => error.reason),
      ['STREAM_THREW'],
    );
  });

  test('who goes on with a stream at fault, from inside of being told, hears of it once', async () => {
    const { b } = memoryPair();
    const bug = (): never => assert.fail('a bug');
    const errors: WireError[] = [];
    let served: L4Stream | null = null;
    const onError = (error: WireError): void => {
      errors.push(error);
      served?.write(Uint8Array.of(1));
    };
    const listener = listenTo(
      [withFacts(b, { write: bug, abort: bug })],
      (stream) => {
        served = stream;
        stream.write(Uint8Array.of(1));
      },
      { onError },
    );
    await until(() => listener.isClosed);
    assert.deepEqual([errors.length, listener.connectionCount], [1, 0]);
  });

  test('streams with one id are told apart when they close', async () => {
    const [one, other] = ['192.0.2.1', '192.0.2.2'].map((host) => memoryPair({ nextId: () => 7, addressA: ip(host) }).b) as [
      L4Stream,
      L4Stream,
    ];
    const closed: StreamAddress[] = [];
    const streams: L4Stream[] = [];
    const listener = listenTo([one, other], (stream) => streams.push(stream), {
      filter: { shouldAccept: () => true, onClosed: (peer) => closed.push(peer) },
    });
    await until(() => streams.length === 2);
    for (const stream of streams) stream.abort();
    assert.deepEqual(closed, [ip('192.0.2.1'), ip('192.0.2.2')]);
    assert.equal(listener.connectionCount, 0);
  });

  test('under a shared cap with room, a raised cap of its own lets on who waits', async () => {
    const pairs = [memoryPair(), memoryPair()];
    const streams: L4Stream[] = [];
    const listener = listenTo(
      pairs.map((pair) => pair.b),
      (stream) => streams.push(stream),
      { maxConnections: 1, connectionCap: new ConnectionCap(5) },
    );
    await until(() => listener.waitingCount === 1);
    listener.maxConnections = 2;
    await turns();
    assert.equal(streams.length, 2);
    for (const stream of streams) finish(stream);
  });

  test('a stream whose methods throw is closed once, and nothing that it says later is heard', async () => {
    const { b } = memoryPair();
    const sinks: L4Sink[] = [];
    const fails = (): never => {
      throw new Error('a bug');
    };
    const faulty: L4Stream = {
      id: b.id,
      info: b.info,
      state: 'open',
      bufferedBytes: 0,
      attach: (sink) => void sinks.push(sink),
      write: fails,
      writev: () => true,
      pause() {},
      resume() {},
      end() {},
      abort: fails,
    };
    const errors: string[] = [];
    const heard = new RecordingSink();
    const onError = (error: WireError): void => void errors.push(error.reason);
    const onStream = (stream: L4Stream): void => {
      stream.attach(heard);
      assert.equal(stream.write(Uint8Array.of(1)), false);
      assert.equal(stream.state, 'closed');
    };
    const listener = listenTo([faulty], onStream, { onError });
    await until(() => heard.isClosed);
    const [sink] = sinks;
    sink?.onData(Uint8Array.of(1, 2, 3));
    sink?.onDrain();
    sink?.onEnd();
    sink?.onClose(null);
    assert.deepEqual([heard.kinds(), heard.closeError?.reason, errors], [['close'], 'STREAM_THREW', ['STREAM_THREW']]);
    assert.equal(listener.connectionCount, 0);
    await listener.close();
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
      assert.equal(errors[0]?.reason, 'SOURCE_THREW');
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
