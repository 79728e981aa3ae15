/** Sockets that are held without accepting: real ones, on loopback, with processes that inherit them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, readdirSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { StreamAddress } from '@ferrata/stream';
import { connectUdp, describeDescriptor, type HeldSocket, holdSockets, listen, type SocketToHold } from '../src/index.ts';
import { answerFrom, inheritor, targetOf } from './inheritors.ts';
import { temporaryDirectory, until } from './pairs.ts';

const loopback = { transport: 'tcp', host: '127.0.0.1', port: 0 } as const;
const skip = process.platform === 'win32' ? 'Windows has no descriptors to hand on' : false;

/** Releases what is held, whatever becomes of the test. */
async function held(...sockets: SocketToHold[]): Promise<HeldSocket[] & AsyncDisposable> {
  const all = await holdSockets(sockets);
  return Object.assign(all, {
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(all.map((each) => each.release()));
    },
  });
}

async function connected(address: StreamAddress): Promise<Socket> {
  const socket = connectSocket(targetOf(address));
  await once(socket, 'connect');
  return socket;
}

function portOf(socket: HeldSocket | undefined): number {
  return socket?.address.kind === 'ip' ? socket.address.port : 0;
}

describe('holdSockets', { skip }, () => {
  test('opens sockets of all kinds, with their addresses and descriptors, in the order in which they were asked for', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('a.sock');
    await using sockets = await held(
      loopback,
      { transport: 'udp', host: '127.0.0.1', port: 0, count: 3 },
      { transport: 'unix', path },
      { transport: 'tcp', host: '::1', port: 0, ipv6Only: true },
      { transport: 'udp', host: '::1', port: 0 },
      { ...loopback, host: 'localhost', backlog: 16 },
    );
    assert.deepEqual(
      sockets.map(({ descriptors }) => descriptors.length),
      [1, 3, 1, 1, 1, 1],
    );
    assert.equal(new Set(sockets.flatMap(({ descriptors }) => descriptors)).size, 8);
    assert.deepEqual(sockets[2]?.address, { kind: 'unix', path });
    if (process.platform !== 'linux') return;
    const transports = ['tcp', 'udp', 'unix', 'tcp', 'udp', 'tcp'];
    for (const [at, { address, descriptors }] of sockets.entries())
      for (const fd of descriptors) assert.deepEqual(describeDescriptor(fd), { transport: transports[at], address });
  });

  test('nothing asked for is nothing opened', async () => {
    assert.deepEqual(await holdSockets([]), []);
  });

  test('what connects waits, however early it comes, until somebody who has inherited the socket serves it', async () => {
    // A port that is free now, to connect to before anybody says that it is open.
    const [scout] = await holdSockets([loopback]);
    const port = portOf(scout);
    await scout?.release();
    const answers: Promise<string>[] = [];
    using clients = new DisposableStack();
    let isHeld = false;
    const knock = async (): Promise<void> => {
      for (let tries = 0; tries < 5_000 && !isHeld; tries++) {
        const socket = connectSocket({ host: '127.0.0.1', port });
        clients.defer(() => socket.destroy());
        const answer = text(socket);
        answer.catch(() => {});
        const isIn = await new Promise<boolean>((resolve) => {
          socket.once('connect', () => resolve(true));
          socket.once('error', () => resolve(false));
        });
        if (isIn) answers.push(answer);
        else await new Promise(setImmediate);
      }
    };
    const knocking = Promise.all([knock(), knock()]);
    // Others behind it: time in which a loop that turned would accept.
    await using sockets = await held({ ...loopback, port }, ...Array.from({ length: 20 }, () => loopback));
    isHeld = true;
    await knocking;
    const late = answerFrom({ kind: 'ip', host: '127.0.0.1', port });
    await using child = await inheritor(sockets[0]?.descriptors ?? []);
    await child.ask({ do: 'listen', fds: [3], name: 'a' });
    assert.deepEqual(new Set(await Promise.all([...answers, late])), new Set(['a']));
    // It lives on in whoever has inherited it.
    await sockets[0]?.release();
    assert.equal(await answerFrom(sockets[0]?.address as StreamAddress), 'a');
  });

  test('datagrams wait as well, and each socket that shares the port gets its own', async () => {
    await using sockets = await held({ transport: 'udp', host: '127.0.0.1', port: 0, count: 4 });
    const [socket] = [...sockets] as [HeldSocket];
    const clients = await Promise.all(
      Array.from({ length: 24 }, async () => {
        const echoed = Promise.withResolvers<Uint8Array>();
        const endpoint = await connectUdp(socket.address, { onDatagram: echoed.resolve, onClose: () => {} });
        endpoint.send(Uint8Array.of(7));
        return { endpoint, echoed: echoed.promise };
      }),
    );
    await using child = await inheritor(socket.descriptors);
    for (const fd of [3, 4, 5, 6]) await child.ask({ do: fd % 2 === 0 ? 'bindUdp' : 'listenUdp', fd });
    for (const { endpoint, echoed } of clients) {
      assert.deepEqual([...(await echoed)], [7]);
      await endpoint.close();
    }
  });

  test('release closes one socket and leaves the others; it may be called again', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('a.sock');
    await using sockets = await held(
      loopback,
      loopback,
      { transport: 'unix', path },
      { transport: 'udp', host: '127.0.0.1', port: 0, count: 2 },
    );
    const [first, second, unix, udp] = [...sockets] as [HeldSocket, HeldSocket, HeldSocket, HeldSocket];
    const queued = await connected(first.address);
    // Nobody has accepted it: the kernel resets it.
    const reset = assert.rejects(once(queued, 'close'), { code: 'ECONNRESET' });
    await Promise.all([first.release(), first.release()]);
    await reset;
    await assert.rejects(connected(first.address), { code: 'ECONNREFUSED' });
    (await connected(second.address)).destroy();
    (await connected(unix.address)).destroy();
    await unix.release();
    assert.deepEqual(readdirSync(directory.path), []);
    const again = createSocket('udp4');
    await udp.release();
    again.bind(portOf(udp), '127.0.0.1');
    await once(again, 'listening');
    again.close();
    await second.release();
    await first.release();
  });

  test('all or nothing: one that cannot be opened leaves none open, and no file', async () => {
    using directory = temporaryDirectory();
    await using taken = await listen('127.0.0.1:0', () => {});
    const { port } = taken.address as { port: number };
    const [scout] = await holdSockets([loopback]);
    const free = { host: '127.0.0.1', port: portOf(scout) };
    await scout?.release();
    const wanted: SocketToHold[] = [
      { transport: 'unix', path: directory.file('a.sock'), mode: 0o600 },
      { transport: 'tcp', ...free },
      { transport: 'udp', ...free },
    ];
    const failures: [SocketToHold, string, RegExp][] = [
      [{ ...loopback, port }, 'ADDRESS_IN_USE', new RegExp(`tcp://127.0.0.1:${port}`)],
      [{ ...loopback, host: '192.0.2.1' }, 'LISTEN_NO_SUCH_ADDRESS', /192\.0\.2\.1/],
      [{ transport: 'udp', host: '192.0.2.1', port: 53 }, 'LISTEN_NO_SUCH_ADDRESS', /udp:\/\/192\.0\.2\.1:53/],
      [{ transport: 'unix', path: directory.file('no/b.sock') }, 'LISTEN_NO_SUCH_DIRECTORY', /b\.sock/],
      [{ transport: 'unix', path: directory.file('a.sock') }, 'ADDRESS_IN_USE', /a\.sock/],
    ];
    for (const [failing, reason, message] of failures) {
      await assert.rejects(holdSockets([...wanted, failing]), { reason, message, fault: 'local', type: 'io' });
      assert.deepEqual(readdirSync(directory.path), []);
    }
    await using sockets = await held(...wanted);
    assert.equal(sockets.length, 3);
  });

  test('a file that a dead owner left is removed; that of a living one, or one of another kind, is not', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('a.sock');
    const server = createServer().listen(directory.file('b.sock'));
    await once(server, 'listening');
    // Under another name it stays when its owner closes.
    renameSync(directory.file('b.sock'), path);
    await assert.rejects(holdSockets([{ transport: 'unix', path }]), { reason: 'ADDRESS_IN_USE' });
    server.close();
    await using sockets = await held({ transport: 'unix', path });
    (await connected(sockets[0]?.address as StreamAddress)).destroy();
    writeFileSync(directory.file('c.sock'), 'kept');
    await assert.rejects(holdSockets([{ transport: 'unix', path: directory.file('c.sock') }]), { reason: 'LISTEN_PATH_TAKEN' });
    assert.deepEqual(readdirSync(directory.path).toSorted(), ['a.sock', 'c.sock']);
  });

  test('two calls for the same paths, in whatever order, come one after the other', async () => {
    using directory = temporaryDirectory();
    const sockets = ['a', 'b'].map((name): SocketToHold => ({ transport: 'unix', path: directory.file(name) }));
    const outcomes = await Promise.allSettled([holdSockets(sockets), holdSockets(sockets.toReversed())]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') await Promise.all(outcome.value.map((each) => each.release()));
    assert.deepEqual(readdirSync(directory.path), []);
  });

  test('files have the mode that was asked for, others what the umask leaves, and the umask is as before', async () => {
    using directory = temporaryDirectory();
    const before = process.umask(0o027);
    let after = -1;
    try {
      await using sockets = await held(
        { transport: 'unix', path: directory.file('a'), mode: 0o660 },
        { transport: 'unix', path: directory.file('b') },
        { transport: 'unix', path: directory.file('c'), mode: 0o606 },
      );
      assert.equal(sockets.length, 3);
      assert.deepEqual(
        ['a', 'b', 'c'].map((name) => statSync(directory.file(name)).mode & 0o777),
        [0o660, 0o750, 0o606],
      );
    } finally {
      after = process.umask(before);
    }
    assert.equal(after, 0o027);
  });

  test('a file that has become somebody else’s, or is gone, is left alone by release', async () => {
    using directory = temporaryDirectory();
    const paths = [directory.file('a.sock'), directory.file('b.sock')];
    await using sockets = await held(...paths.map((path): SocketToHold => ({ transport: 'unix', path })));
    for (const path of paths) unlinkSync(path);
    await using successor = await listen({ path: paths[0] as string }, (stream) => stream.abort());
    for (const socket of sockets) await socket.release();
    assert.deepEqual(readdirSync(directory.path), ['a.sock']);
    (await connected(successor.address)).destroy();
  });

  test('release closes a socket whose file cannot be looked at any more', async () => {
    using directory = temporaryDirectory();
    mkdirSync(directory.file('a'));
    await using sockets = await held({ transport: 'unix', path: directory.file('a/a.sock') });
    renameSync(directory.file('a'), directory.file('b'));
    symlinkSync(directory.file('a'), directory.file('a'));
    await sockets[0]?.release();
    await assert.rejects(connected({ kind: 'unix', path: directory.file('b/a.sock') }), { code: 'ECONNREFUSED' });
  });

  test('nothing is left of what was released', { skip: process.platform === 'linux' ? false : 'counts descriptors in /proc' }, async () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let turn = 0; turn < 6; turn++) {
      const sockets = await holdSockets([loopback, { transport: 'udp', host: '127.0.0.1', port: 0, count: 8 }]);
      assert.ok(count() >= 9);
      await Promise.all(sockets.map((each) => each.release()));
    }
    // The threads end a moment after they have said so, with the descriptors of their loops.
    await until(() => count() <= before);
  });

  test('malformed requests are refused at once', async () => {
    const wrongs: [unknown, RegExp][] = [
      [null, /must be an object/],
      [{ transport: 'sctp', host: '::1', port: 1 }, /transport must be tcp, unix or udp/],
      [{ transport: 'tcp', host: '::1' }, /a host and a port/],
      [{ transport: 'tcp', host: '1.2.3', port: 1 }, /not an IPv4 address/],
      [{ transport: 'tcp', host: '::1', port: 65_536 }, /port/],
      [{ transport: 'tcp', host: '::1', port: 1, path: '/a' }, /path means nothing/],
      [{ transport: 'tcp', host: '::1', port: 1, count: 2 }, /count means nothing/],
      [{ transport: 'udp', host: '::1', port: 1, backlog: 2 }, /backlog means nothing/],
      [{ transport: 'udp', host: '::1', port: 1, count: 0 }, /count/],
      [{ transport: 'udp', host: '127.0.0.1', port: 1, ipv6Only: true }, /ipv6Only/],
      [{ transport: 'unix' }, /needs a path/],
      [{ transport: 'unix', path: '/a', port: 1 }, /port means nothing/],
      [{ transport: 'unix', path: '/a', mode: 0o1777 }, /mode/],
      [{ transport: 'tcp', host: '::1', port: 1, backlog: 0 }, /backlog/],
      [{ transport: 'tcp', host: '::1', port: 1, reuse: true }, /no option "reuse"/],
    ];
    for (const [wrong, message] of wrongs) await assert.rejects(holdSockets([loopback, wrong as SocketToHold]), message);
  });
});

describe('a program that holds sockets', { skip }, () => {
  const run = async (args: readonly string[], nodeOptions?: string): Promise<string> => {
    const file = new URL('fixtures/holding.ts', import.meta.url).pathname;
    const env = nodeOptions === undefined ? process.env : { ...process.env, NODE_OPTIONS: nodeOptions };
    const { stdout } = await promisify(execFile)(process.execPath, [file, ...args], { timeout: 30_000, env });
    return stdout.trim();
  };

  test('ends by itself when it has nothing else to do; what it preloads stays out of the thread that holds, and it can write a report', async () => {
    const preload = 'data:text/javascript,import%20%22node:worker_threads%22;console.log(%22preloaded%22)';
    assert.equal(await run(['forget'], `--import=${preload}`), 'preloaded\nheld\nfalse 1');
  });

  test('stays for a release that it waits for, and may hold in a thread of its own', async () => {
    using directory = temporaryDirectory();
    assert.equal(await run(['release', directory.file('a.sock')]), 'released\nreleased');
    assert.deepEqual(readdirSync(directory.path), []);
  });
});
