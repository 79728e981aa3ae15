import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs, { existsSync, readdirSync, readFileSync, readlinkSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { WireError } from '@ferrata/error';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  allowOnly,
  ConnectionCap,
  connect,
  formatNetAddress,
  type ListenOptions,
  listen,
  listenTo,
  MemoryListener,
  parseAddress,
  perSource,
  TlsServer,
  toNetAddress,
} from '../src/index.ts';
import { connectedPair, endOfConnection, temporaryDirectory, until } from './pairs.ts';

const ignore = (): void => {};

function portOf(address: StreamAddress): number {
  assert.equal(address.kind, 'ip');
  return address.kind === 'ip' ? address.port : 0;
}

function isWireError(reason: string, text: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof WireError);
    assert.equal(error.reason, reason);
    assert.ok(error.message.includes(text), `${error.message} names ${text}`);
    assert.equal(error.fault, 'local');
    return true;
  };
}

const isLinux = process.platform === 'linux';

/** The number of the descriptor of this process that listens on `port`: its inode in /proc/net/tcp, its link in /proc/self/fd. */
function descriptorOf(port: number): number {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const inode = rows.find((row) => row[1]?.endsWith(suffix) && row[3] === '0A')?.[9];
  const fd = readdirSync('/proc/self/fd').find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === `socket:[${inode ?? 'none'}]`;
    } catch {
      return false;
    }
  });
  assert.ok(fd !== undefined);
  return Number(fd);
}

/** The descriptor of this process that listens at `path`. */
function unixDescriptorOf(path: string): number {
  const line = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .find((row) => row.endsWith(path));
  const inode = line?.trim().split(/\s+/)[6] ?? 'none';
  const fd = readdirSync('/proc/self/fd').find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === `socket:[${inode}]`;
    } catch {
      return false;
    }
  });
  assert.ok(fd !== undefined);
  return Number(fd);
}

/** Calls `instead` for every call of this function of `node:fs` in this test. */
function mockFs<Name extends 'chmodSync' | 'lstatSync' | 'renameSync'>(
  t: TestContext,
  name: Name,
  instead: (path: string) => unknown,
): void {
  const mocked = t.mock.method(fs, name, instead as (typeof fs)[Name]);
  syncBuiltinESMExports();
  t.after(() => {
    mocked.mock.restore();
    syncBuiltinESMExports();
  });
}

/** A socket file that its owner left behind: the owner dies before it can remove it. */
function leaveStaleSocket(path: string): void {
  const script = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script, path]);
  assert.ok(existsSync(path));
}

describe('listen on TCP', () => {
  test('port 0 reports the port that the kernel chose', async () => {
    await using listener = await listen('127.0.0.1:0', ignore);
    assert.ok(portOf(listener.address) > 0);
    assert.equal(listener.isClosed, false);
  });

  test('IPv6 works, in text and in parts', async () => {
    for (const where of ['tcp://[::1]:0', { host: '::1', port: 0 }]) {
      const { client, server, close } = await connectedPair(where);
      assert.deepEqual(server.info.localAddress, client.info.remoteAddress);
      assert.equal(server.info.localAddress.kind === 'ip' && server.info.localAddress.host, '::1');
      client.abort();
      server.abort();
      await close();
    }
  });

  test('an IPv4 peer of an IPv6 listener shows its IPv4 address (RFC 4291 §2.5.5.2)', async () => {
    const accepted = Promise.withResolvers<L4Stream>();
    await using listener = await listen('[::]:0', accepted.resolve);
    const client = await connect({ host: '127.0.0.1', port: portOf(listener.address) });
    const server = await accepted.promise;
    assert.deepEqual(server.info.remoteAddress, client.info.localAddress);
    client.abort();
    server.abort();
  });

  test('ipv6Only leaves the same port of IPv4 alone', async () => {
    await using listener = await listen({ host: '::', port: 0, ipv6Only: true }, ignore);
    await assert.rejects(connect({ host: '127.0.0.1', port: portOf(listener.address) }), { reason: 'CONNECT_REFUSED' });
  });

  test('a port in use is an error that names the address', async () => {
    await using first = await listen('127.0.0.1:0', ignore);
    const port = portOf(first.address);
    await assert.rejects(listen(`127.0.0.1:${port}`, ignore), isWireError('ADDRESS_IN_USE', `tcp://127.0.0.1:${port}`));
  });

  test('an address of another machine and an unknown name are errors that name it', async () => {
    await assert.rejects(listen('192.0.2.1:0', ignore), isWireError('LISTEN_NO_SUCH_ADDRESS', 'tcp://192.0.2.1:0'));
  });

  test('with reusePort, two listeners share a port (Linux)', { skip: isLinux ? false : 'SO_REUSEPORT spreads only on Linux' }, async () => {
    await using first = await listen({ host: '127.0.0.1', port: 0, reusePort: true }, ignore);
    await using second = await listen({ host: '127.0.0.1', port: portOf(first.address), reusePort: true }, ignore);
    assert.deepEqual(second.address, first.address);
  });

  test('close stops accepting at once, frees the port, leaves streams open, and may be called again', async () => {
    const { client, server, listener } = await connectedPair();
    await listener.close();
    await listener.close();
    assert.equal(listener.isClosed, true);
    await assert.rejects(connect(listener.address), { reason: 'CONNECT_REFUSED' });
    const again = await listen(formatNetAddress(toNetAddress(listener.address)), ignore);
    await again.close();
    const sink = new RecordingSink();
    client.attach(sink);
    server.write(Buffer.from('still here'));
    await sink.untilBytes(10);
    assert.equal(listener.connectionCount, 1);
    server.attach(new RecordingSink());
    client.abort();
    server.abort();
  });

  test('a descriptor that listens already is taken over, and closed by close', {
    skip: isLinux ? false : 'finds the descriptor in /proc',
  }, async () => {
    const script = `
      import { listen } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const listener = await listen({ fd: 3 }, (stream) => {
        stream.write(Buffer.from('inherited'));
        stream.end();
        listener.close();
      });
      process.send(listener.address);
      process.disconnect();`;
    const owner = createServer().listen(0, '127.0.0.1');
    await once(owner, 'listening');
    const { port } = owner.address() as AddressInfo;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'inherit', 'inherit', descriptorOf(port), 'ipc'],
    });
    const [address] = (await once(child, 'message')) as [StreamAddress];
    assert.deepEqual(address, { kind: 'ip', host: '127.0.0.1', port });
    owner.close();
    const sink = new RecordingSink();
    const client = await connect(address);
    client.attach(sink);
    await sink.untilEnd();
    assert.equal(sink.text(), 'inherited');
    client.abort();
    child.kill();
  });
});

describe('listen on Unix sockets', () => {
  test('bytes flow, and the addresses are the path and nothing', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    const { client, server, listener } = await connectedPair(`unix:${path}`);
    assert.deepEqual(listener.address, { kind: 'unix', path });
    assert.deepEqual(client.info.remoteAddress, { kind: 'unix', path });
    assert.deepEqual(client.info.localAddress, { kind: 'unset' });
    assert.deepEqual(server.info.localAddress, { kind: 'unix', path });
    assert.deepEqual(server.info.remoteAddress, { kind: 'unset' });
    assert.equal(server.info.kind, 'unix');
    await listener.close();
    assert.equal(existsSync(path), false);
    client.abort();
    server.abort();
  });

  test('a stale socket file is removed', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    leaveStaleSocket(path);
    const { client, server, close } = await connectedPair({ path });
    client.abort();
    server.abort();
    await close();
  });

  test('a socket on which somebody answers is in use', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    await using first = await listen({ path }, (stream) => stream.abort());
    await assert.rejects(listen({ path }, ignore), isWireError('ADDRESS_IN_USE', `unix:${path}`));
    assert.equal(existsSync(path), true);
    assert.equal(first.isClosed, false);
  });

  test('a file of another kind is left alone', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    writeFileSync(path, 'precious');
    await assert.rejects(listen({ path }, ignore), isWireError('LISTEN_PATH_TAKEN', `unix:${path}`));
    assert.equal(readFileSync(path, 'utf8'), 'precious');
  });

  test('a directory that does not exist is an error that names the path', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('missing/s');
    await assert.rejects(listen({ path }, ignore), isWireError('LISTEN_NO_SUCH_DIRECTORY', `unix:${path}`));
  });

  test('no moment shows the file with more permissions than mode has', async (t) => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    const before = process.umask(0);
    t.after(() => process.umask(before));
    const seen: number[] = [];
    mockFs(t, 'chmodSync', (target) => {
      seen.push(statSync(target).mode & 0o777);
    });
    await using _listener = await listen({ path, mode: 0o640 }, ignore);
    assert.deepEqual(seen, [0o640]);
    assert.equal(process.umask(0), 0, 'the umask is as it was');
  });

  test('permissions that cannot be set are an error, and nothing listens any more', async (t) => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    mockFs(t, 'chmodSync', () => {
      throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
    });
    await assert.rejects(listen({ path, mode: 0o600 }, ignore), isWireError('LISTEN_MODE_NOT_SET', path));
    assert.equal(existsSync(path), false);
  });

  test('a file whose time of birth is that of its last change, for want of a better one, is known again after its mode is set', async (t) => {
    using directory = temporaryDirectory();
    const { chmodSync, lstatSync } = fs;
    let changes = 0n;
    mockFs(t, 'chmodSync', (path) => {
      changes++;
      chmodSync(path, 0o600);
    });
    mockFs(t, 'lstatSync', (path) => {
      const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      return stat && Object.assign(stat, { birthtimeNs: changes });
    });
    const path = directory.file('s');
    await (await listen({ path, mode: 0o600 }, ignore)).close();
    assert.equal(existsSync(path), false);
  });

  test('a file that cannot be given its name again is told of with the name it has, and the listener is closed', async (t) => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    let closed = 0;
    t.mock.method(TlsServer.prototype, 'close', async () => void closed++);
    const listener = await listen({ path, tls: { certificateFor: () => null } }, ignore);
    const { renameSync } = fs;
    const names: string[] = [];
    mockFs(t, 'renameSync', ((from: string, to: string) => {
      if (names.push(to) === 2) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      renameSync(from, to);
    }) as (path: string) => void);
    await assert.rejects(listener.close({ keepFile: true }), (error) => isWireError('SOCKET_FILE_NOT_KEPT', names[0] ?? '?')(error));
    assert.ok(existsSync(names[0] as string));
    assert.deepEqual([listener.isClosed, closed], [true, 1]);
    await listener.close();
  });

  test('close can leave the file to a successor, and does not remove a file that is somebody else’s', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    const first = await listen({ path }, ignore);
    const { ino } = statSync(path);
    await first.close({ keepFile: true });
    assert.equal(statSync(path).ino, ino);
    const second = await listen({ path }, ignore);
    unlinkSync(path);
    await using third = await listen({ path }, ignore);
    await second.close();
    (await connect({ path })).abort();
    await third.close();
    assert.equal(existsSync(path), false);
    assert.deepEqual(readdirSync(directory.path), []);
  });

  test('a successor that inherits the descriptor knows its path, and clients find it by the file that was kept', {
    skip: isLinux ? false : 'finds the descriptor in /proc',
  }, async () => {
    using directory = temporaryDirectory();
    const path = directory.file('a b');
    const script = `
      import { listen } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const listener = await listen({ fd: 3 }, (stream) => {
        stream.write(Buffer.from(JSON.stringify(stream.info.localAddress)));
        stream.end();
        listener.close();
      });
      process.send(listener.address);
      process.disconnect();`;
    const owner = await listen({ path }, ignore);
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'inherit', 'inherit', unixDescriptorOf(path), 'ipc'],
    });
    const [address] = (await once(child, 'message')) as [StreamAddress];
    assert.deepEqual(address, { kind: 'unix', path });
    await owner.close({ keepFile: true });
    const sink = new RecordingSink();
    const client = await connect({ path });
    client.attach(sink);
    await sink.untilEnd();
    assert.deepEqual(JSON.parse(sink.text()), address);
    client.abort();
    child.kill();
  });

  test('of two listeners that find one stale file at once, one listens and the other is told', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    leaveStaleSocket(path);
    const outcomes = await Promise.allSettled([listen({ path }, ignore), listen({ path }, ignore)]);
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'listens' : (outcome.reason as WireError).reason)),
      ['listens', 'ADDRESS_IN_USE'],
    );
    (await connect({ path })).abort();
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') await outcome.value.close();
    assert.equal(existsSync(path), false);
  });

  test('mode sets the permissions of the file', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    await using _listener = await listen({ path, mode: 0o600 }, ignore);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });
});

describe('caps on connections', () => {
  test('above maxConnections a connection is closed at once and told of, and the count follows every close', async () => {
    const streams: L4Stream[] = [];
    const shed: StreamAddress[] = [];
    await using listener = await listen({ host: '127.0.0.1', port: 0, maxConnections: 1, onShed: (peer) => shed.push(peer) }, (stream) =>
      streams.push(stream),
    );
    const first = await connect(listener.address);
    await until(() => streams.length === 1);
    assert.equal((await endOfConnection(listener.address))?.reason, 'CONNECTION_RESET');
    assert.equal(listener.connectionCount, 1);
    assert.equal(listener.shedCount, 1);
    assert.equal(shed[0]?.kind, 'ip');

    const serverSink = new RecordingSink();
    streams[0]?.attach(serverSink);
    first.abort();
    await serverSink.untilEnd();
    streams[0]?.end();
    await serverSink.untilClose();
    assert.equal(listener.connectionCount, 0);

    const third = await connect(listener.address);
    await until(() => streams.length === 2);
    assert.equal(listener.connectionCount, 1);
    third.abort();
    streams[1]?.abort();
  });

  test('maxConnections can be moved while listening', async () => {
    await using listener = await listen({ host: '127.0.0.1', port: 0, maxConnections: 5 }, (stream) => stream.attach(new RecordingSink()));
    assert.equal(listener.maxConnections, 5);
    listener.maxConnections = 0;
    await endOfConnection(listener.address);
    assert.equal(listener.shedCount, 1);
    assert.throws(() => (listener.maxConnections = -1), RangeError);
  });

  test('a cap is shared by listeners and connectors, and a failed attempt gives its place back', async () => {
    const cap = new ConnectionCap(2);
    const accepted: L4Stream[] = [];
    await using listener = await listen({ host: '127.0.0.1', port: 0, connectionCap: cap }, (stream) => accepted.push(stream));
    const client = await connect(listener.address, { connectionCap: cap });
    await until(() => accepted.length === 1);
    assert.equal(cap.count, 2);

    await assert.rejects(connect(listener.address, { connectionCap: cap }), {
      type: 'limit',
      reason: 'CONNECTION_CAP_REACHED',
      status: 503,
    });
    await endOfConnection(listener.address);
    assert.equal(listener.connectionCount, 1);

    const sinks = [client, accepted[0] as L4Stream].map((stream) => {
      const sink = new RecordingSink();
      stream.attach(sink);
      stream.abort();
      return sink;
    });
    await Promise.all(sinks.map((sink) => sink.untilClose()));
    assert.equal(cap.count, 0);

    await listener.close();
    await assert.rejects(connect(listener.address, { connectionCap: cap }), { reason: 'CONNECT_REFUSED' });
    assert.equal(cap.count, 0);
  });
});

describe('callbacks that throw', () => {
  test('a throw from onStream ends that stream only, and is told to onError', async () => {
    const errors: WireError[] = [];
    let calls = 0;
    await using listener = await listen({ host: '127.0.0.1', port: 0, onError: (error) => errors.push(error) }, (stream) => {
      if (++calls === 1) throw new Error('a bug');
      stream.attach(new RecordingSink());
      stream.end();
    });
    assert.equal((await endOfConnection(listener.address))?.reason, 'CONNECTION_RESET');
    const second = new RecordingSink();
    const client = await connect(listener.address);
    client.attach(second);
    await second.untilEnd();
    client.end();
    assert.deepEqual(
      errors.map((error) => [error.reason, (error.cause as Error).message]),
      [['ON_STREAM_THREW', 'a bug']],
    );
  });

  test('a throw from onShed or onError is a warning, and listening goes on', async (t) => {
    const warnings: unknown[] = [];
    t.mock.method(process, 'emitWarning', (warning: unknown) => warnings.push(warning));
    await using listener = await listen(
      {
        host: '127.0.0.1',
        port: 0,
        maxConnections: 0,
        onShed: () => {
          throw new Error('from onShed');
        },
        onError: () => {
          throw new Error('from onError');
        },
      },
      ignore,
    );
    await endOfConnection(listener.address);
    assert.deepEqual(
      warnings.map((warning) => (warning as Error).message),
      ['from onError'],
    );
    assert.equal(listener.isClosed, false);
  });
});

describe('options of listen', () => {
  test('it must be clear where to listen', async () => {
    await assert.rejects(listen({}, ignore), /exactly one of/);
    await assert.rejects(listen({ path: '/s', fd: 3 }, ignore), /exactly one of/);
    await assert.rejects(listen({ address: '127.0.0.1:0', port: 0 }, ignore), /exactly one of/);
    await assert.rejects(listen({ port: 0 }, ignore), /needs a host and a port/);
    await assert.rejects(listen('localhost', ignore), /the port is missing/);
    await using listener = await listen({ address: '127.0.0.1:0' }, ignore);
    assert.equal(listener.isClosed, false);
  });

  test('an address that was spread into the options takes none of them away', async () => {
    const address = parseAddress('127.0.0.1:0');
    await using listener = await listen({ ...address, filter: allowOnly(['10.0.0.0/8']), maxConnections: 7 }, ignore);
    assert.equal((await endOfConnection(listener.address))?.reason, 'CONNECTION_RESET');
    assert.equal(listener.refusedCount, 1);
    assert.equal(listener.maxConnections, 7);
    await using bare = await listen(address, ignore);
    await assert.rejects(listen({ ...(bare.address as object), maxConections: 1 } as ListenOptions, ignore), /no option "maxConections"/);
    await assert.rejects(listen({ ...address, kind: 'unix' }, ignore), TypeError);
    await assert.rejects(listen({ kind: 'unix', host: '127.0.0.1', port: 0, backlog: 1 }, ignore), /kind of the address/);
  });

  test('an option that can take no effect there, or is of the wrong kind, is refused', async () => {
    const tcp = { host: '127.0.0.1', port: 0 };
    for (const wrong of [
      { ...tcp, mode: 0o600 },
      { ...tcp, ipv6Only: true },
      { path: '/s', ipv6Only: true },
      { path: '/s', reusePort: true },
      { fd: 3, reusePort: true },
      { ...tcp, noDelay: 'no' },
      { ...tcp, reusePort: 1 },
      { ...tcp, connectionCap: {} },
      { ...tcp, clock: {} },
      { ...tcp, clock: { now: () => 0 } },
      { ...tcp, proxyProtocol: { trusted: 'all', clock: { now: () => 0 } } },
      { ...tcp, onRefused: 5 },
      { ...tcp, onError: 'x' },
      { ...tcp, filter: { shouldAccept: () => true, onClosed: 1 } },
      { ...tcp, proxyProtocol: { trusted: 'all', requird: false } },
      { ...tcp, proxyProtocol: { trusted: 'all', required: 'no' } },
      { ...tcp, proxyProtocol: 'all' },
      { ...tcp, tls: true },
    ])
      await assert.rejects(listen(wrong, ignore), TypeError, JSON.stringify(wrong));
    await assert.rejects(listen(tcp, undefined as never), TypeError);
    await assert.rejects(listen(null as never, ignore), TypeError);
    assert.throws(() => perSource({ maxConcurrent: 1, connectionPerSecond: 1 } as never), TypeError);
    assert.throws(() => perSource({ maxConcurrent: 1, burst: 7 }), TypeError);
    assert.throws(() => ConnectionCap.ofDescriptors({ reserv: 1 } as never), TypeError);
    assert.throws(() => new MemoryListener(ignore, { pair: { highWater: 1 } as never }), TypeError);
    assert.throws(() => listenTo([], 1 as never), TypeError);
  });

  test('numbers out of range are refused', async () => {
    const base = { host: '127.0.0.1', port: 0 };
    for (const wrong of [
      { backlog: 0 },
      { keepAliveMs: -1 },
      { keepAliveMs: 1 },
      { keepAliveMs: 999 },
      { keepAliveMs: 32_767_001 },
      { highWaterBytes: 0 },
      { hardLimitBytes: 1 },
      { hardLimitBytes: '9999999' as never },
      { maxConnections: -1 },
    ]) {
      await assert.rejects(listen({ ...base, ...wrong }, ignore), RangeError);
    }
    await assert.rejects(listen({ path: '/s', mode: 0o1777 }, ignore), RangeError);
    await assert.rejects(connect('127.0.0.1:1', { keepAliveMs: 999 }), RangeError);
    await assert.rejects(listen({ fd: -1 }, ignore), RangeError);
  });
});
