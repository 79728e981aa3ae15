/** What an inherited descriptor is, and UDP sockets that somebody else has bound. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import type { StreamAddress } from '@ferrata/stream';
import { bindUdp, connectUdp, describeDescriptor, type HeldSocket, holdSockets, listenUdp, type SocketToHold } from '../src/index.ts';
import { inheritor } from './inheritors.ts';
import { temporaryDirectory } from './pairs.ts';

const skip = process.platform === 'linux' ? false : 'only Linux tells what a descriptor is';
const sink = { onDatagram() {}, onClose() {} };

async function withHeld(sockets: readonly SocketToHold[], body: (held: readonly HeldSocket[]) => Promise<void>): Promise<void> {
  const held = await holdSockets(sockets);
  try {
    await body(held);
  } finally {
    await Promise.all(held.map((each) => each.release()));
  }
}

/** Sends a datagram, and waits for one. */
async function echoOf(address: StreamAddress): Promise<Uint8Array> {
  const echoed = Promise.withResolvers<Uint8Array>();
  await using endpoint = await connectUdp(address, { onDatagram: echoed.resolve, onClose: () => {} });
  endpoint.send(Uint8Array.of(1, 2, 3));
  return await echoed.promise;
}

describe('describeDescriptor', { skip }, () => {
  test('tells transport and address of what listens, or is bound', async () => {
    using directory = temporaryDirectory();
    const sockets: SocketToHold[] = [
      { transport: 'tcp', host: '127.0.0.1', port: 0 },
      { transport: 'tcp', host: '::', port: 0 },
      { transport: 'tcp', host: '::ffff:127.0.0.1', port: 0 },
      { transport: 'udp', host: '0.0.0.0', port: 0 },
      { transport: 'udp', host: '::1', port: 0, ipv6Only: true },
      { transport: 'unix', path: directory.file('with a blank.sock') },
    ];
    await withHeld(sockets, async (held) => {
      for (const [at, { address, descriptors }] of held.entries())
        assert.deepEqual(describeDescriptor(descriptors[0] as number), { transport: sockets[at]?.transport, address });
      assert.deepEqual(
        held.map(({ address }) => (address.kind === 'ip' ? address.host : address.kind)),
        ['127.0.0.1', '::', '127.0.0.1', '0.0.0.0', '::1', 'unix'],
      );
    });
  });

  test('a stranger whose socket has a line end in its name does not say where ours is', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('ours.sock');
    await withHeld([{ transport: 'unix', path }], async ([held]) => {
      const fd = held?.descriptors[0] as number;
      const inode = fstatSync(fd).ino;
      for (const row of [`00010000 0001 01 ${inode} /run/admin.sock`, `00000000 0002 01 ${inode}`]) {
        const stranger = createServer().listen(`\0${process.pid}\n0: 00000002 00000000 ${row}`);
        try {
          await once(stranger, 'listening');
          assert.equal(describeDescriptor(fd), null);
        } finally {
          stranger.close();
        }
        assert.deepEqual(describeDescriptor(fd), { transport: 'unix', address: { kind: 'unix', path } });
      }
    });
  });

  test('null for a file, a pipe, and a number that nothing has', () => {
    const fd = openSync(import.meta.filename, 'r');
    assert.equal(describeDescriptor(fd), null);
    closeSync(fd);
    assert.equal(describeDescriptor(fd), null);
    assert.equal(describeDescriptor(0x7fff_ffff), null);
  });

  test('what is no number of a descriptor is a RangeError', () => {
    for (const wrong of [-1, 1.5, Number.NaN, 2 ** 31]) assert.throws(() => describeDescriptor(wrong), RangeError);
  });
});

describe('UDP on an inherited descriptor', { skip }, () => {
  test('endpoints and flows receive and send on it, over IPv4 and IPv6, and have its address', async () => {
    const hosts = ['127.0.0.1', '::1', '::ffff:127.0.0.1', '::'];
    await withHeld(
      hosts.map((host) => ({ transport: 'udp', host, port: 0 })),
      async (held) => {
        const fds = held.flatMap(({ descriptors }) => descriptors);
        await using child = await inheritor([...fds, ...fds]);
        for (const [first, what] of [
          [3, 'bindUdp'],
          [7, 'listenUdp'],
        ] as const) {
          for (const [at, { address }] of held.entries()) {
            assert.deepEqual(await child.ask({ do: 'describe', fd: first + at }), { transport: 'udp', address });
            assert.deepEqual(await child.ask({ do: what, fd: first + at }), address);
            const to = address.kind === 'ip' && address.host === '::' ? { ...address, host: '::1' } : address;
            assert.deepEqual([...(await echoOf(to))], [1, 2, 3]);
          }
          await child.ask({ do: 'closeUdp' });
          assert.equal(await child.ask({ do: 'describe', fd: first }), null);
        }
      },
    );
  });

  test('a descriptor of another kind, or none, is LISTEN_FAILED, and stays as it was', async () => {
    await withHeld([{ transport: 'tcp', host: '127.0.0.1', port: 0 }], async ([held]) => {
      const [fd = -1] = held?.descriptors ?? [];
      await assert.rejects(bindUdp({ fd }, sink), { reason: 'LISTEN_FAILED', message: new RegExp(`descriptor ${fd}`) });
      await assert.rejects(
        listenUdp({ fd: 0x7fff_ffff }, () => {}),
        { reason: 'LISTEN_FAILED', message: /descriptor 2147483647/ },
      );
      assert.deepEqual(describeDescriptor(fd), { transport: 'tcp', address: held?.address });
    });
  });
});

describe('options of UDP with fd', () => {
  test('what says where in another way, or how to bind, is refused', async () => {
    const wrongs: [object, typeof TypeError | typeof RangeError][] = [
      [{ fd: 3, host: '::1', port: 1 }, TypeError],
      [{ fd: 3, address: '127.0.0.1:1' }, TypeError],
      [{ fd: 3, reusePort: true }, TypeError],
      [{ fd: 3, reuseAddr: true }, TypeError],
      [{ fd: 3, ipv6Only: true }, TypeError],
      [{ fd: 0 }, RangeError],
      [{ fd: -1 }, RangeError],
      [{ fd: 1.5 }, RangeError],
      [{ fd: '3' }, RangeError],
    ];
    for (const [options, kind] of wrongs) {
      await assert.rejects(bindUdp(options, sink), kind, JSON.stringify(options));
      await assert.rejects(
        listenUdp(options, () => {}),
        kind,
        JSON.stringify(options),
      );
    }
    await assert.rejects(connectUdp({ fd: 3 } as object, sink), TypeError);
  });
});
