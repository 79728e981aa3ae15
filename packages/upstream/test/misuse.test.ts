/** Functions and objects of the user's that do not keep what they promise: each request hears why, and the process goes on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { listen, TlsClient } from '@ferrata/net';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { type OpenSession, type OpenStream, type Peer, type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';
import { rejection, settle } from './rig.ts';

/** Whatever is to be taken for what the type asks for. */
function asIf<T>(thing: unknown): T {
  return thing as T;
}

function rig() {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  return { clock, environment, connector: new UpstreamConnector({ environment }) };
}

function closed(): L4Stream {
  const { a, b } = memoryPair();
  a.abort();
  b.abort();
  return a;
}

const protocols = ['http1', 'http2'] as const;
const secure: PeerOptions = { protocol: 'auto', tls: new FakeTls(speaks('h2')) };

describe('a stream that has ended already', () => {
  const makers: readonly (readonly [string, () => L4Stream])[] = [
    ['closed', closed],
    [
      'ended by its peer',
      () => {
        const { a, b } = memoryPair();
        b.end();
        return a;
      },
    ],
    [
      'cut by its peer',
      () => {
        const { a, b } = memoryPair();
        b.abort();
        return a;
      },
    ],
  ];
  for (const [what, make] of makers)
    for (const [name, options] of [
      ['HTTP/2', { protocol: 'http2' }],
      ['by ALPN', secure],
    ] as const)
      test(`${what}, ${name}: fails after few attempts, and the event loop turns`, async () => {
        const { connector, environment, clock } = rig();
        let count = 0;
        const connect: OpenStream = async () => {
          // An endless loop of microtasks would never let this test fail by itself.
          if (++count > 50) throw new Error('asked again and again');
          return make();
        };
        const end = connector.connect(peer('x:1', { ...options, connect })).then(
          () => null,
          (thrown: unknown) => thrown,
        );
        await settle();
        const error = await rejection(Promise.reject(await end));
        assert.deepEqual([error.reason, error.retry, error.source], ['CONNECT_CLOSED', 'always', 'upstream']);
        assert.ok(count <= 2, `${count} attempts`);
        // What a session says at its end waits a while for somebody to read it.
        clock.advance(60_000);
        await settle();
        assert.deepEqual([connector.connectionCount, connector.pendingCount, environment.deadlines.size], [0, 0, 0]);
      });

  test('HTTP/1: CONNECT_CLOSED, and nothing is kept', async () => {
    const { connector, environment } = rig();
    const error = await rejection(connector.connect(peer('x:1', { connect: async () => closed() })));
    assert.deepEqual([error.reason, error.retry, error.context], ['CONNECT_CLOSED', 'always', 'tcp://x:1']);
    assert.deepEqual([connector.connectionCount, environment.deadlines.size], [0, 0]);
  });
});

describe('what is no stream', () => {
  for (const protocol of protocols)
    for (const [what, made] of [
      ['nothing', undefined],
      ['null', null],
      ['an object', {}],
      ['text', 'stream'],
      ['a stream without facts', { attach() {}, write() {}, abort() {} }],
    ] as const)
      test(`${protocol}, ${what}: CONNECT_THREW, in time and too late`, async () => {
        const { connector, clock, environment } = rig();
        const early = await rejection(connector.connect(peer('x:1', { protocol, connect: asIf(async () => made) })));
        assert.deepEqual([early.type, early.reason, early.retry], ['internal', 'CONNECT_THREW', 'never']);

        const late = Promise.withResolvers<unknown>();
        const end = rejection(connector.connect(peer('x:2', { protocol, connect: asIf(() => late.promise) })));
        await settle();
        clock.advance(3_000);
        assert.equal((await end).reason, 'CONNECT_TIMEOUT');
        late.resolve(made);
        await settle();
        assert.deepEqual([connector.connectionCount, environment.deadlines.size], [0, 0]);
      });

  test('from a TlsConnector, in time and too late', async () => {
    const { connector, clock } = rig();
    const ends: (() => void)[] = [];
    const tls = new FakeTls(speaks('http/1.1'));
    tls.connect = (_stream, sink) => void ends.push(() => sink.onSecure(asIf(undefined)));
    const origin = peer('x:1', { tls, connect: async () => memoryPair().a });
    const first = rejection(connector.connect(origin));
    await settle();
    ends[0]?.();
    assert.equal((await first).reason, 'CONNECT_THREW');
    const second = rejection(connector.connect(origin));
    await settle();
    clock.advance(5_000);
    assert.equal((await second).reason, 'TLS_HANDSHAKE_TIMEOUT');
    ends[1]?.();
    await settle();
  });

  for (const [what, abort] of [
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', async () => await Promise.reject(new Error('no'))],
  ] as const)
    test(`a late stream that ${what} when it is dropped`, async () => {
      const { connector, clock } = rig();
      const late = Promise.withResolvers<L4Stream>();
      const end = rejection(connector.connect(peer('x:1', { connect: () => late.promise })));
      await settle();
      clock.advance(3_000);
      assert.equal((await end).reason, 'CONNECT_TIMEOUT');
      late.resolve(asIf({ abort }));
      await settle();
    });

  test('a stream that throws when a session attaches to it leaves nothing behind', async () => {
    for (const protocol of protocols) {
      const { connector } = rig();
      const { a } = memoryPair();
      const broken = Object.create(a, {
        attach: {
          value() {
            throw new Error('no');
          },
        },
        abort: { value() {} },
        state: { value: 'open' },
        info: { value: a.info },
      }) as L4Stream;
      const error = await rejection(connector.connect(peer('x:1', { protocol, connect: async () => broken })));
      assert.equal(error.reason, 'CONNECT_THREW', protocol);
      assert.deepEqual([connector.connectionCount, connector.pendingCount], [0, 0], protocol);
    }
  });
});

describe('sessions of custom protocols', () => {
  const bad: readonly (readonly [string, OpenSession])[] = [
    ['null', asIf(() => null)],
    ['an object', asIf(() => ({}))],
    ['a promise', asIf(async () => ({}))],
    ['a promise that rejects', asIf(async () => await Promise.reject(new Error('no')))],
    [
      'one that throws in start',
      asIf((stream: L4Stream) => ({
        stream,
        isShared: false,
        start() {
          throw new Error('no');
        },
        request() {},
        close() {},
      })),
    ],
  ];
  for (const [what, mine] of bad)
    test(`${what}: CUSTOM_SESSION_THREW, and neither session nor stream is kept`, async () => {
      const { connector } = rig();
      const { a, b } = memoryPair();
      const origin = peer('x:1', { tls: new FakeTls(speaks('mine')), customProtocols: { mine }, connect: async () => a });
      const error = await rejection(connector.connect(origin));
      assert.deepEqual([error.type, error.reason], ['application', 'CUSTOM_SESSION_THREW']);
      assert.deepEqual([connector.connectionCount, a.state], [0, 'closed']);
      b.abort();
    });
});

describe('a session of a custom protocol that fails later', () => {
  /** The peer, and the stream of its session. */
  function own(parts: Partial<Record<'start' | 'close', () => unknown>>): { origin: Peer; stream: L4Stream } {
    const { a: stream } = memoryPair();
    const mine: OpenSession = (secure) =>
      asIf({
        stream: secure,
        isShared: false,
        isReusable: true,
        keepAliveTimeoutMs: 60_000,
        start() {},
        request() {},
        close() {},
        ...parts,
      });
    const options = { tls: new FakeTls(speaks('mine')), customProtocols: { mine }, idleTimeoutMs: 1_000, connect: async () => stream };
    return { origin: peer('x:1', options), stream };
  }

  for (const [what, close] of [
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', async () => await Promise.reject(new Error('no'))],
  ] as const)
    test(`in close, which ${what}: the timer that evicts it goes on, and its stream is ended`, async () => {
      const { connector, clock } = rig();
      const { origin, stream } = own({ close });
      connector.release(await connector.connect(origin));
      assert.equal(connector.idleCount, 1);
      clock.advance(1_100);
      await settle();
      assert.deepEqual([connector.idleCount, connector.connectionCount, stream.state], [0, 0, 'closed']);
    });

  test('in start, by a promise: it is handed out to nobody again', async () => {
    const { connector } = rig();
    const { origin, stream } = own({ start: async () => await Promise.reject(new Error('no')) });
    connector.release(await connector.connect(origin));
    await settle();
    assert.deepEqual([connector.take(origin), connector.connectionCount, stream.state], [null, 0, 'closed']);
  });
});

describe('a TlsConnector that answers by promises', () => {
  test('connect rejects: the request hears it at once, and the stream is ended', async () => {
    const { connector, environment } = rig();
    const { a } = memoryPair();
    const tls = new FakeTls(speaks('http/1.1'));
    tls.connect = asIf(async () => await Promise.reject(new Error('the vault is down')));
    const error = await rejection(connector.connect(peer('x:1', { tls, connect: async () => a })));
    assert.deepEqual([error.type, error.reason, error.source], ['internal', 'CONNECT_THREW', 'upstream']);
    assert.match(error.message, /the vault is down/);
    assert.deepEqual([a.state, environment.deadlines.size], ['closed', 0]);
  });

  test('connect rejects after the handshake: the connection is used', async () => {
    const { connector } = rig();
    const tls = new FakeTls(speaks('http/1.1'));
    const shakeHands = tls.connect.bind(tls);
    const rejected = Promise.withResolvers<void>();
    tls.connect = asIf(async (...args: Parameters<typeof shakeHands>) => {
      shakeHands(...args);
      await rejected.promise;
    });
    const session = await connector.connect(peer('x:1', { tls, connect: async () => memoryPair().a }));
    rejected.reject(new Error('too late'));
    await settle();
    assert.equal(session.stream.state, 'open');
  });

  test('checkHost must answer when the peer is made', async () => {
    const tls = Object.assign(new FakeTls(speaks('http/1.1')), { checkHost: async () => await Promise.reject(new Error('no')) });
    assert.throws(() => peer('x:1', { tls: asIf(tls) }), /TypeError: checkHost must answer at once/);
    await settle();
  });
});

test('times longer than a queue of deadlines can keep are kept as far as it can', async () => {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock, deadlines: new DeadlineQueue({ clock, tickMs: 1 }) });
  const connector = new UpstreamConnector({ environment });
  await using listener = await listen('127.0.0.1:0', (stream) => stream.abort());
  const most = 2_147_483_647;
  assert.ok(environment.deadlines.maxDelayMs < most);
  const tls = new TlsClient();
  const error = await rejection(connector.connect(peer(listener.address, { tls, connectTimeoutMs: most, tlsTimeoutMs: most })));
  assert.equal(error.type, 'tls', error.message);
});

describe('totalTimeoutMs', () => {
  test('bounds the transport too', async () => {
    const { connector, clock } = rig();
    const origin = peer('x:1', {
      tls: new FakeTls(speaks('http/1.1')),
      totalTimeoutMs: 200,
      connect: () => new Promise<L4Stream>(() => {}),
    });
    const end = rejection(connector.connect(origin));
    await settle();
    clock.advance(200);
    const error = await end;
    assert.deepEqual([error.reason, error.retry], ['CONNECT_TOTAL_TIMEOUT', 'always']);
    assert.match(error.message, /within 200 ms in all/);
  });

  test('is not begun anew by a handshake for which nothing is left', async () => {
    const { connector, clock } = rig();
    const tls = new FakeTls(speaks('http/1.1'));
    const connect = async (): Promise<L4Stream> => {
      // A clock that a busy process has not looked at: the deadline comes later than it should.
      clock.advance(0);
      return memoryPair().a;
    };
    const origin: Peer = { ...peer('x:1', { tls, connect }), totalTimeoutMs: 0 };
    const error = await rejection(connector.connect(origin));
    assert.equal(error.reason, 'CONNECT_TOTAL_TIMEOUT');
    assert.equal(tls.asked.length, 0);
  });

  test('makes room for the handshake time of a TlsClient, and for tlsTimeoutMs', () => {
    const client = (handshakeTimeoutMs: number): PeerOptions => ({ tls: new TlsClient({ handshakeTimeoutMs }) });
    assert.equal(peer('a.test:443', { tls: true }).totalTimeoutMs, 5_000);
    assert.equal(peer('a.test:443', client(30_000)).totalTimeoutMs, 33_000);
    assert.equal(peer('a.test:443', client(1_000)).totalTimeoutMs, 4_000);
    assert.equal(peer('a.test:443', { ...client(30_000), tlsTimeoutMs: 500 }).totalTimeoutMs, 3_500);
  });
});

describe('options that are none', () => {
  for (const [options, message] of [
    [{ connect: 5 }, /connect must be a function/],
    [{ connect: null }, /connect must be a function/],
    [{ tls: true, customProtocols: { x: 5 } }, /"x" must be a function/],
    [{ tls: true, customProtocols: 5 }, /customProtocols must be functions/],
    [{ localAddress: 5 }, /localAddress must be/],
    [{ group: 5 }, /group must be/],
    [{ conectTimeoutMs: 5 }, /no option "conectTimeoutMs"/],
    [{ tls: { connect() {} } }, /needs a key/],
    [{ tls: { connect() {}, key: 5 } }, /needs a key/],
  ] as const)
    test(`${JSON.stringify(options)} is a TypeError`, () => {
      assert.throws(() => peer('x:1', asIf(options)), { name: 'TypeError', message });
    });
});

test('messages name the address, and not the whole key', async () => {
  const { connector, clock } = rig();
  const origin = peer('x:1', { protocol: 'http2', group: 'g', connect: () => new Promise<L4Stream>(() => {}) });
  assert.match(origin.key, /^\[/);
  const end = rejection(connector.connect(origin));
  await settle();
  clock.advance(3_000);
  assert.equal((await end).context, 'tcp://x:1');
});
