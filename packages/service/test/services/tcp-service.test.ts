import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type L4Stream, StreamReader } from '@ferrata/stream';
import { TcpService, type TcpServiceOptions } from '../../src/services/tcp-service.ts';
import { Gate, RawClient, until } from './raw-client.ts';
import { loopback, TestHost } from './service-harness.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function serving<C>(handle: TcpServiceOptions<C>['handle'], options: Partial<TcpServiceOptions<C>> = {}): TcpService<C> {
  return new TcpService<C>({ name: 'tcp', listen: loopback, handle, ...options });
}

function echo(stream: L4Stream): void {
  stream.attach({
    onData: (chunk) => void stream.write(chunk),
    onDrain() {},
    onEnd: () => stream.end(),
    onClose() {},
  });
}

test('a handler that attaches a sink leaves the stream to it, half-close included', async () => {
  await using host = await TestHost.start([serving(echo)], undefined);
  using client = await RawClient.connect(host.port('tcp'));
  client.write('hello');
  await client.read('hello');
  client.write('bye');
  client.end();
  await client.read('bye');
  await client.closed();
  assert.equal(client.error, null);
});

test('a stream that is open when the promise of its handler is fulfilled is closed in order', async () => {
  const service = serving(async (stream) => {
    const reader = new StreamReader(stream);
    const line = await reader.readUntil(bytes('\n'));
    stream.write(line ?? bytes('nothing'));
  });
  await using host = await TestHost.start([service], undefined);
  using client = await RawClient.connect(host.port('tcp'));
  client.write('a line\n');
  await client.read('a line\n');
  await client.ended();
  client.end();
  await client.closed();
  assert.equal(client.error, null);
  await until(() => host.host.counts()['tcp']?.connections === 0);
});

test('a throw or a rejection ends its own stream, and is told once a second at most', async () => {
  let calls = 0;
  const service = serving((stream) => {
    calls++;
    if (calls === 1) echo(stream);
    else if (calls % 2 === 0) throw new Error('a bug');
    else return Promise.reject(new Error('a bug'));
    return undefined;
  });
  await using host = await TestHost.start([service], undefined);
  using other = await RawClient.connect(host.port('tcp'));
  await until(() => calls === 1);
  for (let i = 0; i < 6; i++) await RawClient.refused(host.port('tcp'));
  other.write('still here');
  await other.read('still here');
  assert.equal(calls, 7);
  assert.match(host.notices[0]?.text ?? '', /^the handler of a connection failed: a bug \(at /);
  assert.deepEqual([host.notices[0]?.service, host.notices[0]?.worker, host.notices[0]?.severity], ['tcp', 1, 'error']);
  assert.ok(host.notices.length < 6);
});

test('a handler keeps the configuration that its connection began with', async () => {
  const service = serving<{ word: string }>((stream, { snapshot, context }) => {
    stream.attach({
      onData: () => void stream.write(bytes(`${snapshot.config.word} ${context.snapshot.config.word}.`)),
      onDrain() {},
      onEnd: () => stream.end(),
      onClose() {},
    });
  });
  await using host = await TestHost.start([service], { word: 'old' });
  using before = await RawClient.connect(host.port('tcp'));
  before.write('?');
  await before.read('old old.');
  await host.reload({ word: 'new' });
  before.write('?');
  await before.read('old new.');
  using after = await RawClient.connect(host.port('tcp'));
  after.write('?');
  await after.read('new new.');
});

test('stopping is told to handlers, and the drain is over when the last stream is', async () => {
  const service = serving((stream, { stopping }) => {
    echo(stream);
    stopping.addEventListener('abort', () => {
      stream.write(bytes('goodbye'));
      stream.end();
    });
  });
  await using host = await TestHost.start([service], undefined);
  using client = await RawClient.connect(host.port('tcp'));
  client.write('hello');
  await client.read('hello');
  const drained = host.host.drain(600_000);
  await client.read('goodbye');
  client.end();
  assert.equal(await drained, 0);
});

test('what has not ended at the deadline is cut and counted; a second call brings the deadline forward', async () => {
  for (const hastens of [false, true]) {
    const never = new Gate();
    const service = serving(() => never.promise);
    await using host = await TestHost.start([service], undefined);
    using client = await RawClient.connect(host.port('tcp'));
    using another = await RawClient.connect(host.port('tcp'));
    await until(() => host.host.counts()['tcp']?.accepted === 2);
    const drained = host.host.drain(hastens ? 600_000 : 30);
    if (hastens) assert.equal(await host.host.drain(10), 2);
    assert.equal(await drained, 2);
    await Promise.all([client.closed(), another.closed()]);
    never.open();
  }
});

test('one that is still being admitted at the deadline is not counted as cut', async () => {
  const service = serving(echo, { accept: () => ({ proxyProtocol: { trusted: ['127.0.0.1'] } }) });
  await using host = await TestHost.start([service], undefined);
  using client = await RawClient.connect(host.port('tcp'));
  await until(() => host.host.counts()['tcp']?.connections === 1);
  assert.equal(await host.host.drain(30), 0);
  client.socket.destroy();
});

test('above the cap connections are shed', async () => {
  await using host = await TestHost.start([serving(echo, { accept: () => ({ maxConnections: 1 }) })], undefined);
  using client = await RawClient.connect(host.port('tcp'));
  client.write('hello');
  await client.read('hello');
  await RawClient.refused(host.port('tcp'));
  assert.deepEqual(host.host.counts(), { tcp: { connections: 1, accepted: 1, shed: 1 } });
});

test('a connection that asks for its signal only when the server stops is told at once', async () => {
  const gate = new Gate();
  const seen: boolean[] = [];
  const service = serving(async (stream, connection) => {
    if (seen.length === 0) seen.push(connection.context.stopping.aborted);
    await gate.promise;
    const { stopping } = connection;
    seen.push(stopping.aborted, stopping === connection.stopping);
    stream.write(bytes('bye'));
  });
  await using host = await TestHost.start([service], undefined);
  using client = await RawClient.connect(host.port('tcp'));
  await until(() => seen.length === 1);
  const drained = host.host.drain(600_000);
  gate.open();
  await client.read('bye');
  client.end();
  assert.equal(await drained, 0);
  assert.deepEqual(seen, [false, true, true]);
});

test('streams of a crowd that has gone are forgotten with the next connection', async () => {
  const streams: WeakRef<L4Stream>[] = [];
  const service = serving((stream) => {
    streams.push(new WeakRef(stream));
    echo(stream);
  });
  await using host = await TestHost.start([service], undefined);
  const port = host.port('tcp');
  const openCount = (): number | undefined => host.host.counts()['tcp']?.connections;
  const crowd = await Promise.all(Array.from({ length: 300 }, () => RawClient.connect(port)));
  await until(() => openCount() === 300);
  for (const client of crowd) client.end();
  await until(() => openCount() === 0);
  using next = await RawClient.connect(port);
  await until(() => openCount() === 1);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const known = (): number => streams.filter((stream) => stream.deref() !== undefined).length;
  // What the present turn has touched is kept until it is over.
  for (let turn = 0; turn < 20 && known() > 5; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  assert.ok(known() <= 5, `${known()} streams are still known`);
  next.end();
});

test('a service runs where it is placed', () => {
  assert.equal(serving(echo).placement, 'workers');
  assert.equal(serving(echo, { placement: 'main' }).placement, 'main');
  assert.throws(() => serving(echo, { placement: 'here' as never }), RangeError);
});

test('connections that the first socket has brought are dropped when a later one cannot be listened on', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tcp-service-'));
  const path = join(folder, 'first.sock');
  const closed = new Gate<string | undefined>();
  const clients: Promise<RawClient>[] = [];
  let served = 0;
  const service = serving(
    (stream) => {
      served++;
      stream.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: (error) => closed.open(error?.reason) });
    },
    {
      // A name has to be looked up, so that the loop turns at each of those in the middle.
      listen: [{ address: `unix:${path}` }, ...Array.from({ length: 10 }, () => ({ address: 'localhost:0' })), { address: '127.0.0.1:0' }],
      accept: ({ address }) => {
        if (address === 'localhost:0' && clients.length === 0) clients.push(RawClient.connect(0, { path }));
        if (address === '127.0.0.1:0') throw new Error(`a bug, after ${served} connection`);
        return {};
      },
    },
  );
  try {
    await using host = TestHost.idle([service], undefined);
    await assert.rejects(host.host.start('tcp', 0), /after 1 connection$/);
    assert.equal(await closed.promise, 'SERVER_CLOSED');
    for (const client of clients) await (await client).ended();
  } finally {
    for (const client of clients) (await client)[Symbol.dispose]();
    await rm(folder, { recursive: true });
  }
});

test('what accept says is only how, never where', async () => {
  for (const settings of [{ port: 1 }, { fd: 3 }, { reusePort: true }] as never[]) {
    await using host = TestHost.idle([serving(echo, { accept: () => settings })], undefined);
    await assert.rejects(host.host.start('tcp', 0), /accept cannot say/);
  }
  for (const accept of [() => null, () => 7, async () => ({}), () => Promise.reject(new Error('a bug'))]) {
    await using host = TestHost.idle([serving(echo, { accept: accept as never })], undefined);
    await assert.rejects(host.host.start('tcp', 0), /^TypeError: accept of tcp must give options/);
  }
});
