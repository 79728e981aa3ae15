import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import type { LookupFunction } from 'node:net';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { connectError, WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { DeadlineQueue } from '@ferrata/timeout';
import { ReadingSocket } from '../src/connect/reading-socket.ts';
import { ConnectionCap, type ConnectSink, connect, connectWith, listen, TlsClient } from '../src/index.ts';
import { connectedPair, temporaryDirectory, until } from './pairs.ts';

const ignore = (): void => {};

/** A look-up that never answers: connecting hangs for as long as the test wants. */
const neverAnswers: LookupFunction = ignore;

function answers(...addresses: { address: string; family: number }[]): LookupFunction {
  return (_name, _options, callback) => process.nextTick(callback, null, addresses);
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const listener = await listen('127.0.0.1:0', ignore);
  await listener.close();
  return listener.address.kind === 'ip' ? listener.address.port : 0;
}

describe('connect', () => {
  test('a connected stream knows its addresses and times', async () => {
    const clock = new ManualClock();
    clock.advance(1_000);
    const accepted = Promise.withResolvers<L4Stream>();
    await using listener = await listen({ host: '127.0.0.1', port: 0, clock }, accepted.resolve);
    const client = await connect(listener.address, { clock });
    const server = await accepted.promise;
    assert.equal(client.info.kind, 'tcp');
    assert.deepEqual(client.info.remoteAddress, listener.address);
    assert.deepEqual(client.info.localAddress, server.info.remoteAddress);
    assert.deepEqual(server.info.timing, { startedAt: clock.now(), establishedAt: clock.now() });
    assert.equal(client.info.timing.startedAt, clock.now());
    assert.equal(client.info, client.info);
    assert.equal(client.info.tls, null);
    client.abort();
    server.abort();
  });

  test('nobody listens: CONNECT_REFUSED, to be retried, naming the address', async () => {
    const port = await closedPort();
    await assert.rejects(connect(`127.0.0.1:${port}`), (error) => {
      assert.ok(error instanceof WireError);
      assert.deepEqual([error.type, error.reason, error.retry, error.status], ['connect', 'CONNECT_REFUSED', 'always', 502]);
      assert.ok(error.message.includes(`tcp://127.0.0.1:${port}`));
      return true;
    });
  });

  test('no such Unix socket: CONNECT_NO_SOCKET', async () => {
    using directory = temporaryDirectory();
    await assert.rejects(connect({ path: directory.file('s') }), { reason: 'CONNECT_NO_SOCKET' });
  });

  test('a name that has no address: DNS_NOT_FOUND', async () => {
    const lookup: LookupFunction = (name, _options, callback) =>
      process.nextTick(callback, Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }), '');
    await assert.rejects(connect('nowhere.test:80', { lookup }), { reason: 'DNS_NOT_FOUND', context: 'tcp://nowhere.test:80' });
  });

  test('port 0 cannot be connected to', () => {
    assert.throws(() => connectWith('127.0.0.1:0', {}, { onConnected: ignore, onConnectFailed: ignore }), TypeError);
  });

  test('localAddress is where the connection comes from', {
    skip: process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8',
  }, async () => {
    const accepted = Promise.withResolvers<L4Stream>();
    await using listener = await listen('127.0.0.1:0', accepted.resolve);
    const client = await connect(listener.address, { localAddress: '127.0.0.2' });
    const server = await accepted.promise;
    assert.equal(server.info.remoteAddress.kind === 'ip' && server.info.remoteAddress.host, '127.0.0.2');
    client.abort();
    server.abort();
    await assert.rejects(connect(listener.address, { localAddress: '192.0.2.1' }), { reason: 'CONNECT_NO_LOCAL_ADDRESS' });
  });

  test('time-outs that a queue of deadlines cannot keep are refused before anything is connected, and so is what is no option of its kind', async () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock(), tickMs: 1 });
    const cap = new ConnectionCap(1);
    const tooLong = 2_000_000_000;
    for (const wrong of [
      { connectTimeoutMs: tooLong },
      { totalTimeoutMs: tooLong, tls: {} },
      { tls: new TlsClient({ handshakeTimeoutMs: tooLong }) },
    ])
      await assert.rejects(connect('127.0.0.1:1', { ...wrong, deadlines, connectionCap: cap }), RangeError);
    for (const wrong of [{ noDelay: 'no' }, { lookup: 7 }, { signal: {} }, { deadlines: {} }, { connectionCap: {} }])
      await assert.rejects(connect('127.0.0.1:1', wrong as never), TypeError);
    assert.equal(cap.count, 0);
  });

  test('options out of range are refused', async () => {
    for (const wrong of [
      { connectTimeoutMs: 0 },
      { attemptTimeoutMs: 1 },
      { keepAliveMs: -1 },
      { localPort: 70_000 },
      { hardLimitBytes: 1 },
    ]) {
      await assert.rejects(connect('127.0.0.1:1', wrong), RangeError);
    }
    await assert.rejects(connect('127.0.0.1:1', { localAddress: 'localhost' }), /localAddress must be an IP address/);
    await assert.rejects(connect('localhost'), /the port is missing/);
  });
});

describe('a look-up of the program', () => {
  const wrongs: readonly (readonly [string, (...args: Parameters<LookupFunction>) => unknown, string])[] = [
    [
      'throws',
      () => {
        throw new Error('a bug of the look-up');
      },
      'DNS_LOOKUP_FAILED',
    ],
    [
      'rejects',
      async () => {
        throw new Error('a bug of the look-up');
      },
      'DNS_LOOKUP_FAILED',
    ],
    ['answers with no address', (_name, _options, answer) => answer(null, 'not-ip', 4), 'DNS_LOOKUP_FAILED'],
    ['answers with nothing', (_name, _options, answer) => (answer as () => void)(), 'DNS_LOOKUP_FAILED'],
    ['answers with a list of nothing', (_name, _options, answer) => answer(null, [null] as never), 'DNS_LOOKUP_FAILED'],
    ['answers so later', (_name, _options, answer) => setImmediate(() => answer(null, [null] as never)), 'DNS_LOOKUP_FAILED'],
    ['answers with an empty list', (_name, _options, answer) => answer(null, []), 'DNS_NOT_FOUND'],
    ['fails with something that is no error', (_name, _options, answer) => answer('no' as never, ''), 'DNS_LOOKUP_FAILED'],
    ['fails with a value without a text', (_name, _options, answer) => answer(Object.create(null) as never, ''), 'DNS_LOOKUP_FAILED'],
  ];
  for (const [what, lookup, reason] of wrongs) {
    test(`that ${what} fails its connection, and gives the place under the cap back`, async () => {
      const cap = new ConnectionCap(1);
      const failure = connect('some.test:80', { connectionCap: cap, lookup: lookup });
      await assert.rejects(failure, { reason, type: 'connect', context: 'tcp://some.test:80' });
      await until(() => cap.count === 0);
    });
  }

  test('may answer twice, with one address instead of a list, and at once', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink({ onEnd: () => stream.end() })));
    const port = listener.address.kind === 'ip' ? listener.address.port : 0;
    const twice: LookupFunction = (_name, _options, answer) => {
      answer(null, '127.0.0.1', 4);
      answer(null, '127.0.0.1', 4);
      answer(new Error('after all'), '');
    };
    for (const options of [{}, { localAddress: '127.0.0.1' }]) {
      const stream = await connect({ host: 'some.test', port }, { ...options, lookup: twice });
      assert.deepEqual(stream.info.remoteAddress, listener.address);
      stream.abort();
    }
  });

  test('that aborts the signal from inside: CONNECT_ABORTED, and no connection is left', async () => {
    const controller = new AbortController();
    const cap = new ConnectionCap(1);
    const lookup: LookupFunction = () => controller.abort();
    await assert.rejects(connect('some.test:80', { lookup, signal: controller.signal, connectionCap: cap }), { reason: 'CONNECT_ABORTED' });
    assert.equal(cap.count, 0);
  });
});

test('a socket that would not even begin to connect fails the connection, and gives the place back', async (t) => {
  const cap = new ConnectionCap(1);
  const clock = new ManualClock();
  t.mock.method(ReadingSocket.prototype, 'connect', () => {
    throw new TypeError('an argument that Node refuses');
  });
  await assert.rejects(connect('127.0.0.1:1', { connectionCap: cap, clock }), { reason: 'CONNECT_FAILED', retry: 'never', fault: 'local' });
  assert.deepEqual([cap.count, clock.pendingCount], [0, 0]);
});

describe('several addresses of a name, one after the other', () => {
  test('the next is tried when one refuses', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink()));
    const port = listener.address.kind === 'ip' ? listener.address.port : 0;
    const lookup = answers({ address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 });
    const client = await connect({ host: 'both.test', port }, { lookup });
    assert.deepEqual(client.info.remoteAddress, listener.address);
    const sink = new RecordingSink();
    client.attach(sink);
    client.abort();
    await sink.untilClose();
  });

  test('bytes of a peer that speaks first arrive, whichever attempt won', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => {
      stream.attach(new RecordingSink());
      stream.write(Buffer.from('hello'));
      stream.end();
    });
    const port = listener.address.kind === 'ip' ? listener.address.port : 0;
    const lookup = answers({ address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 });
    const client = await connect({ host: 'both.test', port }, { lookup });
    const sink = new RecordingSink({ onEnd: () => client.end() });
    client.attach(sink);
    await sink.untilClose();
    assert.equal(sink.text(), 'hello');
    assert.equal(sink.closeError, null);
  });

  test('when all refuse, the error tells of each', async () => {
    const port = await closedPort();
    const lookup = answers({ address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 });
    await assert.rejects(connect({ host: 'both.test', port }, { lookup }), (error) => {
      assert.ok(error instanceof WireError);
      assert.equal(error.reason, 'CONNECT_REFUSED');
      assert.match(error.message, /::1.*127\.0\.0\.1/);
      return true;
    });
  });

  test('with a localAddress, only its family is asked for', async () => {
    const families: unknown[] = [];
    const lookup: LookupFunction = (_name, options, callback) => {
      families.push(options.family);
      process.nextTick(callback, Object.assign(new Error('none'), { code: 'ENOTFOUND' }), '');
    };
    await assert.rejects(connect('both.test:80', { lookup, localAddress: '::1' }), { reason: 'DNS_NOT_FOUND' });
    assert.deepEqual(families, [6]);
  });
});

describe('giving up', () => {
  test('after connectTimeoutMs, look-up included: CONNECT_TIMEOUT, to be retried', async () => {
    const clock = new ManualClock();
    const cap = new ConnectionCap(1);
    const connecting = connect('slow.test:80', { lookup: neverAnswers, clock, connectionCap: cap });
    clock.advance(2_999);
    assert.equal(cap.count, 1);
    clock.advance(1);
    await assert.rejects(connecting, {
      type: 'timeout',
      reason: 'CONNECT_TIMEOUT',
      retry: 'always',
      status: 504,
      context: 'tcp://slow.test:80',
    });
    assert.equal(cap.count, 0, 'a second try at once finds its place');
    assert.equal(clock.pendingCount, 0);
  });

  test('a connection that came while the loop stood still is taken, though its time-out passed meanwhile', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.abort());
    const connecting = connect(listener.address, { connectTimeoutMs: 50 });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    (await connecting).abort();
  });

  test('the time-out may live in a deadline queue, and leaves it when connected', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const connecting = connect('slow.test:80', { lookup: neverAnswers, clock, deadlines, connectTimeoutMs: 100 });
    assert.equal(deadlines.size, 1);
    clock.advance(200);
    await assert.rejects(connecting, { reason: 'CONNECT_TIMEOUT' });

    await using listener = await listen('127.0.0.1:0', (stream) => stream.abort());
    const client = await connect(listener.address, { deadlines });
    assert.equal(deadlines.size, 0);
    client.abort();
  });

  test('by an AbortSignal: CONNECT_ABORTED with its reason as the cause', async () => {
    const controller = new AbortController();
    const connecting = connect('slow.test:80', { lookup: neverAnswers, signal: controller.signal });
    const cause = new Error('changed my mind');
    controller.abort(cause);
    await assert.rejects(connecting, { type: 'connect', reason: 'CONNECT_ABORTED', retry: 'never', fault: 'local', cause });
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });

  test('by an AbortSignal that was aborted before: nothing is even begun', async () => {
    const cap = new ConnectionCap(1);
    const lookup: LookupFunction = () => assert.fail('looked up');
    await assert.rejects(connect('slow.test:80', { lookup, signal: AbortSignal.abort(), connectionCap: cap }), {
      reason: 'CONNECT_ABORTED',
    });
    assert.equal(cap.count, 0);
  });

  test('after a time-out of the TLS handshake, too, a second try at once finds its place', async () => {
    const clock = new ManualClock();
    const cap = new ConnectionCap(1);
    const accepted: L4Stream[] = [];
    const heard: Uint8Array[] = [];
    await using listener = await listen('127.0.0.1:0', (stream) => {
      accepted.push(stream);
      stream.attach(new RecordingSink({ onData: (chunk) => void heard.push(chunk) }));
    });
    const connecting = connect(listener.address, { clock, connectionCap: cap, tls: { serverName: 'slow.test', clock } });
    await until(() => heard.length > 0);
    clock.advance(5_000);
    await assert.rejects(connecting, { type: 'timeout', reason: 'TLS_HANDSHAKE_TIMEOUT', retry: 'always' });
    assert.equal(cap.count, 0);
    for (const stream of accepted) stream.abort();
  });

  test('an AbortSignal has no effect on a connected stream', async () => {
    const controller = new AbortController();
    await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink({ onEnd: () => stream.end() })));
    const client = await connect(listener.address, { signal: controller.signal });
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0, 'a signal for many connections keeps none of them');
    controller.abort();
    assert.equal(client.state, 'open');
    const sink = new RecordingSink();
    client.attach(sink);
    client.end();
    await sink.untilClose();
    assert.equal(sink.closeError, null);
  });
});

describe('connectWith', () => {
  class Outcome implements ConnectSink {
    readonly settled = Promise.withResolvers<L4Stream | WireError>();
    count = 0;
    onConnected(stream: L4Stream): void {
      this.count++;
      this.settled.resolve(stream);
    }
    onConnectFailed(error: WireError): void {
      this.count++;
      this.settled.resolve(error);
    }
  }

  test('tells of the outcome once, never from inside', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink()));
    const outcome = new Outcome();
    const pending = connectWith(listener.address, {}, outcome);
    assert.equal(outcome.count, 0);
    const stream = (await outcome.settled.promise) as L4Stream;
    pending.abort();
    assert.equal(stream.state, 'open');
    assert.equal(outcome.count, 1);
    stream.abort();
  });

  for (const how of ['throws', 'rejects']) {
    test(`a sink that ${how} ends its stream, or is a warning, and the process lives`, async () => {
      const thrower = (what: string) =>
        (() => {
          if (how === 'rejects') return Promise.reject(new Error(what));
          throw new Error(what);
        }) as () => void;
      const cap = new ConnectionCap(1);
      await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink()));
      connectWith(listener.address, { connectionCap: cap }, { onConnected: thrower('of onConnected'), onConnectFailed: ignore });
      await until(() => cap.count === 1);
      await until(() => cap.count === 0);
      const port = await closedPort();
      for (const options of [{}, { signal: AbortSignal.abort() }]) {
        const warned = once(process, 'warning');
        connectWith(`127.0.0.1:${port}`, options, { onConnected: ignore, onConnectFailed: thrower('of onConnectFailed') });
        assert.match(String((await warned)[0]), /of onConnectFailed/);
      }
    });
  }

  test('whatever error a sink throws, its stream ends with SINK_THREW', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink({ onEnd: () => stream.end() })));
    const sink = new RecordingSink();
    const thrown = connectError('CONNECT_REFUSED', 'an error of the sink’s own');
    const onConnected = (stream: L4Stream): void => {
      stream.attach(sink);
      throw thrown;
    };
    connectWith(listener.address, {}, { onConnected, onConnectFailed: ignore });
    await sink.untilClose();
    assert.deepEqual([sink.closeError?.reason, sink.closeError?.cause], ['SINK_THREW', thrown]);
  });

  test('abort tells later, and once', async () => {
    const outcome = new Outcome();
    const pending = connectWith('slow.test:80', { lookup: neverAnswers }, outcome);
    pending.abort('why');
    pending.abort('again');
    assert.equal(outcome.count, 0);
    const error = (await outcome.settled.promise) as WireError;
    assert.deepEqual([error.reason, error.cause], ['CONNECT_ABORTED', 'why']);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(outcome.count, 1);
  });

  test('a full cap tells later, too', async () => {
    const outcome = new Outcome();
    connectWith('slow.test:80', { connectionCap: new ConnectionCap(0) }, outcome);
    assert.equal(outcome.count, 0);
    assert.equal(((await outcome.settled.promise) as WireError).reason, 'CONNECTION_CAP_REACHED');
  });
});

test('a listener may close before the other end of a queued connection is accepted', async () => {
  const pair = await connectedPair();
  await pair.close();
  const sinks = [pair.client, pair.server].map((stream) => {
    const sink = new RecordingSink();
    stream.attach(sink);
    stream.end();
    return sink;
  });
  await Promise.all(sinks.map((sink) => sink.untilClose()));
  assert.deepEqual(
    sinks.map((sink) => sink.closeError),
    [null, null],
  );
});
