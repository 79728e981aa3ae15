/** Filter, PROXY header and TLS together, over TCP, a Unix socket and memory; and options that do not exist. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { createAuthority } from '@ferrata/dev-certificates';
import { createProxyHeader, writeProxyHeader } from '@ferrata/proxy-protocol';
import type { L4Stream, StreamAddress, StreamInfo } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  type AcceptOptions,
  allowOnly,
  connect,
  connectTls,
  everyFilter,
  type Listener,
  type ListenOptions,
  listen,
  MemoryListener,
  perSource,
  TlsServer,
} from '../src/index.ts';
import { endOfConnection, temporaryDirectory, until } from './pairs.ts';

const authority = await createAuthority();
const leaf = await authority.issue({ names: ['localhost'] });
const certificates = [{ certificate: leaf.chain, key: leaf.key }];

const front: StreamAddress = { kind: 'ip', host: '203.0.113.9', port: 4711 };
const here: StreamAddress = { kind: 'ip', host: '198.51.100.1', port: 443 };

function header(): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, createProxyHeader({ source: front, destination: here }));
  return writer.take();
}

interface World extends AsyncDisposable {
  readonly listener: Listener;
  dial(): Promise<L4Stream>;
}

type Open = (options: AcceptOptions, onStream: (stream: L4Stream) => void) => Promise<World>;

const worlds: readonly (readonly [name: string, open: Open])[] = [
  ['TCP', (options, onStream) => overSocket({ host: '127.0.0.1', port: 0, ...options }, onStream)],
  [
    'a Unix socket',
    async (options, onStream) => {
      const directory = temporaryDirectory();
      const world = await overSocket({ path: directory.file('s'), ...options }, onStream);
      return {
        ...world,
        [Symbol.asyncDispose]: async () => {
          await world.listener.close();
          directory[Symbol.dispose]();
        },
      };
    },
  ],
  [
    'memory',
    async (options, onStream) => {
      const listener = new MemoryListener(onStream, options);
      return {
        listener,
        dial: async () => listener.connect({ kind: 'ip', host: '127.0.0.1', port: 1 }),
        [Symbol.asyncDispose]: () => listener.close(),
      };
    },
  ],
];

async function overSocket(options: ListenOptions, onStream: (stream: L4Stream) => void): Promise<World> {
  const listener = await listen(options, onStream);
  return { listener, dial: () => connect(listener.address), [Symbol.asyncDispose]: () => listener.close() };
}

for (const [name, open] of worlds) {
  describe(`all stages over ${name}`, () => {
    test('the filter sees the proxy, the stream has the client of the header, and TLS lies on top of both', async () => {
      const asked: StreamAddress[] = [];
      const closed: StreamInfo[] = [];
      const streams: L4Stream[] = [];
      const filter = {
        shouldAccept: async (peer: StreamAddress) => {
          asked.push(peer);
          return true;
        },
        onClosed: (_peer: StreamAddress, info: StreamInfo) => closed.push(info),
      };
      await using world = await open({ filter, proxyProtocol: { trusted: 'all' }, tls: { certificates, alpn: ['h2'] } }, (stream) =>
        streams.push(stream),
      );
      const raw = await world.dial();
      raw.write(header());
      const client = await connectTls(raw, { ca: authority.certificate, serverName: 'localhost', alpn: ['h2'] });
      await until(() => streams.length === 1);
      const server = streams[0] as L4Stream;
      assert.deepEqual(server.info.remoteAddress, front);
      assert.deepEqual(server.info.localAddress, here);
      assert.equal(server.info.tls?.alpn, 'h2');
      assert.equal(server.info.kind, 'tls');
      assert.equal(server.info.proxyHeader?.version, 2);
      assert.deepEqual(server.info.below?.below?.remoteAddress, asked[0]);

      const sink = new RecordingSink();
      const serverSink = new RecordingSink({ onEnd: () => server.end() });
      client.attach(sink);
      server.attach(serverSink);
      server.write(Uint8Array.of(1, 2, 3));
      await sink.untilBytes(3);
      assert.equal(world.listener.connectionCount, 1, 'a TLS connection has its place as long as it lives');
      client.end();
      await serverSink.untilClose();
      await until(() => world.listener.connectionCount === 0);
      assert.equal(closed.length, 1);
      assert.equal(closed[0], server.info.below?.below);
      assert.equal(world.listener.acceptedCount, 1);
      assert.equal(world.listener.pendingCount, 0);
    });

    test('each stage that fails is counted once, and the next connection is served', async () => {
      const told: string[] = [];
      const streams: L4Stream[] = [];
      let step = 0;
      await using world = await open(
        {
          filter: { shouldAccept: () => ++step !== 1 },
          proxyProtocol: { trusted: 'all' },
          tls: { certificates, handshakeTimeoutMs: 2_000 },
          onRefused: (error) => told.push(error.reason),
          onHeaderFailed: (error) => told.push(error.reason),
          onHandshakeFailed: (error, info) => told.push(`${error.type} ${info.remoteAddress.kind}`),
        },
        (stream) => streams.push(stream),
      );
      const { listener } = world;
      const send = async (bytes: Uint8Array): Promise<RecordingSink> => {
        const sink = new RecordingSink();
        // Node tells a reset that comes quickly as a failure to connect.
        const stream = await world.dial().catch(() => null);
        if (stream === null) return sink;
        stream.attach(sink);
        stream.write(bytes);
        return sink;
      };
      await send(Uint8Array.of(1));
      await until(() => listener.refusedCount === 1);
      await send(new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n'));
      await until(() => listener.headerFailedCount === 1);
      await send(Uint8Array.from([...header(), ...new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')]));
      await until(() => listener.handshakeFailedCount === 1);
      assert.deepEqual(told, ['CONNECTION_FILTERED', 'PROXY_SIGNATURE', 'tls ip']);
      const raw = await world.dial();
      raw.write(header());
      const client = await connectTls(raw, { ca: authority.certificate, serverName: 'localhost' });
      await until(() => listener.acceptedCount === 1);
      assert.equal(listener.pendingCount, 0);
      await until(() => listener.connectionCount === 1);
      client.attach(new RecordingSink());
      client.abort();
      streams[0]?.attach(new RecordingSink());
      await until(() => listener.connectionCount === 0);
    });
  });
}

describe('who closes the TLS server', () => {
  test('the listener closes the one it has made, when the handshakes under way are through', async (t) => {
    const streams: L4Stream[] = [];
    const close = t.mock.method(TlsServer.prototype, 'close');
    const listener = await listen({ host: '127.0.0.1', port: 0, tls: { certificates } }, (stream) => streams.push(stream));
    assert.ok(listener.tls instanceof TlsServer);
    const raw = await connect(listener.address);
    await until(() => listener.pendingCount === 1);
    await listener.close();
    assert.equal(close.mock.callCount(), 0);
    const client = await connectTls(raw, { ca: authority.certificate, serverName: 'localhost' });
    await until(() => streams.length === 1);
    assert.equal(listener.pendingCount, 0);
    assert.equal(close.mock.callCount(), 1);
    client.abort();
    streams[0]?.abort();
  });

  test('who waits for a place when the listener closes still finds it', async () => {
    const streams: L4Stream[] = [];
    const options = { maxConnections: 0, maxWaiting: 1, tls: { certificates } };
    const listener = await listen({ host: '127.0.0.1', port: 0, ...options }, (stream) => streams.push(stream));
    const raw = await connect(listener.address);
    await until(() => listener.waitingCount === 1);
    await listener.close();
    listener.maxConnections = 1;
    const client = await connectTls(raw, { ca: authority.certificate, serverName: 'localhost' });
    await until(() => streams.length === 1);
    assert.equal(listener.tls?.handshakeCount, 0);
    client.abort();
    streams[0]?.abort();
  });

  test('one that was given serves several listeners, and stays open', async () => {
    await using server = new TlsServer({ certificates });
    const streams: L4Stream[] = [];
    const first = await listen({ host: '127.0.0.1', port: 0, tls: server }, (stream) => streams.push(stream));
    await using second = await listen({ host: '127.0.0.1', port: 0, tls: server }, (stream) => streams.push(stream));
    assert.equal(first.tls, server);
    await first.close();
    const client = await connectTls(await connect(second.address), { ca: authority.certificate, serverName: 'localhost' });
    await until(() => streams.length === 1);
    client.abort();
    streams[0]?.abort();
  });

  test('certificates that cannot be used, and a port in use, fail listening and leave nothing behind', async (t) => {
    const bad = { certificates: [{ certificate: 'nonsense', key: 'nonsense' }] };
    await assert.rejects(
      listen({ host: '127.0.0.1', port: 0, tls: bad }, () => {}),
      { reason: /^TLS_/ },
    );
    await using taken = await listen('127.0.0.1:0', () => {});
    const close = t.mock.method(TlsServer.prototype, 'close');
    await assert.rejects(
      listen({ address: taken.address, tls: { certificates } }, () => {}),
      { reason: 'ADDRESS_IN_USE' },
    );
    assert.equal(close.mock.callCount(), 1);
  });
});

describe('filters made here, on a socket', () => {
  test('a list, and a limit per source that a close gives back', async () => {
    const streams: L4Stream[] = [];
    const filter = everyFilter(allowOnly(['127.0.0.0/8']), perSource({ maxConcurrent: 2 }));
    await using listener = await listen({ host: '::', port: 0, filter }, (stream) => {
      streams.push(stream);
      stream.attach(new RecordingSink());
    });
    const { port } = listener.address as { port: number };
    const target = { host: '127.0.0.1', port };
    const clients = [await connect(target), await connect(target)];
    await until(() => streams.length === 2);
    assert.equal((await endOfConnection(target))?.reason, 'CONNECTION_RESET');
    assert.equal((await endOfConnection({ host: '::1', port }))?.reason, 'CONNECTION_RESET');
    streams[0]?.abort();
    clients[0]?.abort();
    await until(() => listener.connectionCount === 1);
    const third = await connect(target);
    await until(() => streams.length === 3);
    assert.equal(listener.refusedCount, 2);
    for (const stream of [...clients, third, ...streams]) stream.abort();
  });
});

describe('options that do not exist, or that Node cannot set', () => {
  for (const [option, why] of [
    ['fastOpen', /TCP_FASTOPEN/],
    ['dscp', /IP_TOS/],
    ['tcpInfo', /TCP_INFO/],
    ['userTimeoutMs', /TCP_USER_TIMEOUT/],
    ['tcp_user_timeout', /TCP_USER_TIMEOUT/],
    ['sendBufferSize', /SO_SNDBUF/],
    ['receiveBufferSize', /SO_RCVBUF/],
    ['originalDst', /SO_ORIGINAL_DST/],
    ['receiveTimestamps', /SO_TIMESTAMPING/],
    ['keepAliveIntervalMs', /keepAliveMs/],
    ['mptcp', /MPTCP/],
    ['reuseAddr', /always set/],
    ['maxConections', /has no option "maxConections"; it knows address, host/],
    ['__proto__x', /has no option/],
  ] as const) {
    test(`${option} is refused by its name, before anything listens`, async () => {
      await assert.rejects(
        listen({ host: '127.0.0.1', port: 0, [option]: 1 }, () => {}),
        (error: unknown) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, why);
          assert.ok(error.message.includes(option));
          return true;
        },
      );
    });
  }

  test('a port that is refused first leaves the others alone', async () => {
    await assert.rejects(
      listen({ host: '127.0.0.1', port: 0, maxWaiting: -1 }, () => {}),
      RangeError,
    );
    await assert.rejects(
      listen({ host: '127.0.0.1', port: 0, waitTimeoutMs: 0 }, () => {}),
      RangeError,
    );
    await assert.rejects(
      listen({ host: '127.0.0.1', port: 0, filterTimeoutMs: 0 }, () => {}),
      RangeError,
    );
    await assert.rejects(
      listen({ host: '127.0.0.1', port: 0, maxPendingFilters: 0 }, () => {}),
      RangeError,
    );
  });
});
