import assert from 'node:assert/strict';
import { createSocket, Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { isWireError, type WireError } from '@ferrata/error';
import { bindUdp, connectUdp, MAX_DATAGRAM_BYTES, type UdpAddress, type UdpSink } from '../src/index.ts';
import { UdpEndpoint } from '../src/udp/udp-endpoint.ts';
import { resolveUdpBindOptions } from '../src/udp/udp-options.ts';
import { until } from './pairs.ts';

interface Received {
  readonly bytes: Uint8Array;
  readonly peer: UdpAddress;
}

/** A sink that keeps everything. */
class KeepingSink implements UdpSink {
  readonly received: Received[] = [];
  readonly errors: WireError[] = [];
  readonly closes: (WireError | null)[] = [];

  onDatagram(bytes: Uint8Array, peer: UdpAddress): void {
    this.received.push({ bytes, peer });
  }

  onError(error: WireError): void {
    this.errors.push(error);
  }

  onClose(error: WireError | null): void {
    this.closes.push(error);
  }

  get sizes(): number[] {
    return this.received.map(({ bytes }) => bytes.length);
  }
}

function addressOf(endpoint: UdpEndpoint): UdpAddress {
  assert.equal(endpoint.address.kind, 'ip');
  return endpoint.address;
}

async function bound(where: Parameters<typeof bindUdp>[0] = '127.0.0.1:0'): Promise<{ endpoint: UdpEndpoint; sink: KeepingSink }> {
  const sink = new KeepingSink();
  return { endpoint: await bindUdp(where, sink), sink };
}

/** A port on which nobody receives. */
async function deadPort(): Promise<number> {
  const { endpoint } = await bound();
  await endpoint.close();
  return addressOf(endpoint).port;
}

function hasReason(reason: string): (error: unknown) => boolean {
  return (error) => isWireError(error) && error.reason === reason;
}

describe('datagrams', () => {
  test('go from one endpoint to another, of none, one and the most bytes there can be, each with its peer', async () => {
    const a = await bound('udp://127.0.0.1:0');
    const b = await bound({ host: '127.0.0.1', port: 0 });
    for (const size of [0, 1, 1400, MAX_DATAGRAM_BYTES])
      assert.equal(a.endpoint.send(new Uint8Array(size).fill(7), addressOf(b.endpoint)), true);
    await until(() => b.sink.received.length === 4);
    assert.deepEqual(b.sink.sizes, [0, 1, 1400, MAX_DATAGRAM_BYTES]);
    assert.deepEqual(b.sink.received[0]?.peer, addressOf(a.endpoint));
    assert.ok(b.sink.received[2]?.bytes.every((byte) => byte === 7));
    b.endpoint.send(new Uint8Array(3), addressOf(a.endpoint));
    await until(() => a.sink.received.length === 1);
    const { received, receivedBytes } = b.endpoint.counts;
    assert.deepEqual([received, receivedBytes], [4, 1401 + MAX_DATAGRAM_BYTES]);
    await until(() => a.endpoint.counts.sent === 4);
    assert.equal(a.endpoint.counts.sentBytes, 1401 + MAX_DATAGRAM_BYTES);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
    assert.deepEqual([...a.sink.closes, ...b.sink.closes], [null, null]);
  });

  test('IPv6 with IPv4: a peer of IPv4 is shown and reached as such', async () => {
    const both = await bound('[::]:0');
    const four = await bound();
    const { port } = addressOf(both.endpoint);
    four.endpoint.send(new Uint8Array(1), { kind: 'ip', host: '127.0.0.1', port });
    await until(() => both.sink.received.length === 1);
    const { peer } = both.sink.received[0] as Received;
    assert.deepEqual(peer, addressOf(four.endpoint));
    both.endpoint.send(new Uint8Array(2), peer);
    await until(() => four.sink.received.length === 1);
    await Promise.all([both.endpoint.close(), four.endpoint.close()]);
  });

  test('ipv6Only takes no IPv4: another socket may have the port there', async () => {
    const six = await bound({ host: '::', port: 0, ipv6Only: true });
    const four = await bound({ host: '0.0.0.0', port: addressOf(six.endpoint).port });
    await Promise.all([six.endpoint.close(), four.endpoint.close()]);
  });

  test('a datagram that is too large is dropped, counted and told; the endpoint lives on', async () => {
    const a = await bound();
    const b = await bound();
    assert.equal(a.endpoint.send(new Uint8Array(MAX_DATAGRAM_BYTES + 1), addressOf(b.endpoint)), true);
    await until(() => a.sink.errors.length === 1);
    assert.deepEqual([a.sink.errors[0]?.reason, a.sink.errors[0]?.fault], ['UDP_TOO_LARGE', 'local']);
    assert.equal(a.endpoint.counts.dropped.sendFailed, 1);
    a.endpoint.send(new Uint8Array(5), addressOf(b.endpoint));
    await until(() => b.sink.received.length === 1);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });

  test('of many datagrams at once each is sent or dropped, and counted once', async () => {
    const a = await bound({ address: '127.0.0.1:0', maxSendBytes: 0, sendBufferBytes: 4096 });
    const b = await bound();
    let dropped = 0;
    // The kernel's buffer holds a few of these; where it drains at once (loopback), nothing ever waits, and nothing is dropped.
    for (let i = 0; i < 100; i++) if (!a.endpoint.send(new Uint8Array(60_000), addressOf(b.endpoint))) dropped++;
    assert.equal(a.endpoint.counts.dropped.sendQueueFull, dropped);
    await until(() => a.endpoint.counts.sent + a.endpoint.counts.dropped.sendFailed + dropped === 100);
    assert.equal(a.endpoint.bufferedBytes, 0);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });

  test('behind a kernel that takes nothing, what waits is bounded in bytes and in count: each datagram has 256 bytes for itself', async (t) => {
    const waiting: number[] = [];
    t.mock.method(Socket.prototype, 'send', (bytes: Uint8Array) => waiting.push(bytes.length));
    t.mock.method(Socket.prototype, 'getSendQueueSize', () => waiting.reduce((sum, size) => sum + size, 0));
    t.mock.method(Socket.prototype, 'getSendQueueCount', () => waiting.length);
    const to = { kind: 'ip', host: '127.0.0.1', port: 9 } as const;
    for (const [size, count] of [
      [0, 9],
      [256, 5],
      [4_000, 1],
    ] as const) {
      waiting.length = 0;
      const { endpoint } = await bound({ address: '127.0.0.1:0', maxSendBytes: 2_048 });
      let taken = 0;
      for (let i = 0; i < 20; i++) if (endpoint.send(new Uint8Array(size), to)) taken++;
      assert.deepEqual([taken, endpoint.counts.dropped.sendQueueFull], [count, 20 - count], `of ${size} bytes`);
      assert.equal(endpoint.bufferedBytes, size * count);
      await endpoint.close();
    }
  });

  test('no way to the host or the network: UDP_UNREACHABLE, counted; the endpoint lives on', async (t) => {
    const codes = ['EHOSTUNREACH', 'ENETUNREACH'];
    t.mock.method(Socket.prototype, 'send', (_bytes: Uint8Array, _port: number, _host: string, done: (error: Error) => void) => {
      process.nextTick(done, Object.assign(new Error('send'), { code: codes.shift() }));
    });
    const { endpoint, sink } = await bound();
    for (let i = 0; i < 2; i++) endpoint.send(new Uint8Array(1), { kind: 'ip', host: '192.0.2.1', port: 9 });
    await until(() => sink.errors.length === 2);
    for (const { reason, fault } of sink.errors) assert.deepEqual([reason, fault], ['UDP_UNREACHABLE', 'remote']);
    assert.deepEqual([endpoint.counts.dropped.sendFailed, endpoint.isClosed], [2, false]);
    await endpoint.close();
  });

  test('a name is looked up when binding', async () => {
    const { endpoint } = await bound('localhost:0');
    assert.match(addressOf(endpoint).host, /^127\.0\.0\.1$|^::1$/);
    await endpoint.close();
  });

  test('two sockets share a port with reusePort', {
    skip: process.platform === 'linux' ? false : 'only Linux spreads datagrams',
  }, async () => {
    const first = await bound({ host: '127.0.0.1', port: 0, reusePort: true });
    const second = await bound({ ...portOf(first.endpoint), reusePort: true });
    await assert.rejects(bound(portOf(first.endpoint)), hasReason('ADDRESS_IN_USE'));
    await Promise.all([first.endpoint.close(), second.endpoint.close()]);
  });
});

function portOf(endpoint: UdpEndpoint): { host: string; port: number } {
  const { host, port } = addressOf(endpoint);
  return { host, port };
}

describe('a paused endpoint', () => {
  test('keeps datagrams up to its limits, drops the rest with a count, and gives the kept ones in order', async () => {
    const a = await bound();
    const b = await bound({ address: '127.0.0.1:0', maxReceiveQueue: 3 });
    b.endpoint.pause();
    for (let size = 1; size <= 5; size++) a.endpoint.send(new Uint8Array(size), addressOf(b.endpoint));
    await until(() => b.endpoint.counts.dropped.receiveQueueFull === 2);
    assert.equal(b.endpoint.queuedCount, 3);
    assert.deepEqual(b.sink.sizes, []);
    b.endpoint.resume();
    assert.deepEqual(b.sink.sizes, [], 'not from inside resume');
    await until(() => b.sink.received.length === 3);
    assert.deepEqual(b.sink.sizes, [1, 2, 3]);
    await Promise.all([a.endpoint.close(), b.endpoint.close()]);
  });

  test('a kept datagram is received or dropped, never both: the sink closes the endpoint, or throws, at the second of three', async () => {
    for (const end of ['close', 'throw']) {
      const a = await bound();
      let count = 0;
      const b: UdpEndpoint = await bindUdp('127.0.0.1:0', {
        onDatagram: () => {
          if (++count < 2) return;
          if (end === 'throw') throw new Error('boom');
          void b.close();
        },
        onClose: () => {},
      });
      b.pause();
      for (let i = 0; i < 3; i++) a.endpoint.send(new Uint8Array(1), addressOf(b));
      await until(() => b.queuedCount === 3);
      b.resume();
      await until(() => b.isClosed);
      assert.deepEqual([b.counts.received, b.counts.dropped.closed, b.queuedCount], [2, 1, 0], end);
      await Promise.all([a.endpoint.close(), b.close()]);
    }
  });

  test('counts bytes, of each datagram 256 more than it has; paused again while it gives them, it stops', async () => {
    const a = await bound();
    const sizes: number[] = [];
    const b = await bindUdp(
      { address: '127.0.0.1:0', maxReceiveBytes: 530 },
      {
        onDatagram: (bytes) => {
          sizes.push(bytes.length);
          b.pause();
        },
        onClose: () => {},
      },
    );
    b.pause();
    for (const size of [4, 4, 4]) a.endpoint.send(new Uint8Array(size), addressOf(b));
    await until(() => b.counts.dropped.receiveQueueFull === 1);
    b.resume();
    b.resume();
    await until(() => sizes.length === 1);
    assert.equal(b.queuedCount, 1);
    await b.close();
    assert.equal(b.counts.dropped.closed, 1, 'what was still kept counts as dropped');
    await a.endpoint.close();
  });
});

describe('connected endpoints', () => {
  test('drop what the kernel had queued of strangers before they were connected, with a count', async () => {
    const server = await bound();
    const sink = new KeepingSink();
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const client = new UdpEndpoint(socket, resolveUdpBindOptions('127.0.0.1:0'), sink, addressOf(server.endpoint));
    const stranger = await bound();
    stranger.endpoint.send(new Uint8Array(9), addressOf(client));
    await until(() => client.counts.dropped.notPeer === 1);
    server.endpoint.send(new Uint8Array(3), addressOf(client));
    await until(() => sink.received.length === 1);
    assert.deepEqual([sink.sizes, client.counts.received], [[3], 1]);
    await Promise.all([server.endpoint.close(), stranger.endpoint.close(), client.close()]);
  });

  test('know their peer as the kernel writes it, however it was given', async () => {
    const server = await bound('[::1]:0');
    const sink = new KeepingSink();
    const client = await connectUdp({ host: '0:0::0:1', port: addressOf(server.endpoint).port }, sink);
    client.send(new Uint8Array(1));
    await until(() => server.sink.received.length === 1);
    server.endpoint.send(new Uint8Array(2), server.sink.received[0]?.peer);
    await until(() => sink.received.length === 1);
    assert.deepEqual([client.peer, client.counts.dropped.notPeer], [addressOf(server.endpoint), 0]);
    await Promise.all([server.endpoint.close(), client.close()]);
  });

  test('send without an address, and hear nobody but their peer', async () => {
    const server = await bound();
    const stranger = await bound();
    const sink = new KeepingSink();
    const client = await connectUdp({ ...portOf(server.endpoint), localAddress: '127.0.0.1' }, sink);
    assert.deepEqual(client.peer, addressOf(server.endpoint));
    assert.equal(client.send(new Uint8Array(2)), true);
    await until(() => server.sink.received.length === 1);
    stranger.endpoint.send(new Uint8Array(9), addressOf(client));
    server.endpoint.send(new Uint8Array(3), addressOf(client));
    await until(() => sink.received.length === 1);
    assert.deepEqual(sink.sizes, [3]);
    assert.deepEqual(sink.received[0]?.peer, client.peer);
    await Promise.all([server.endpoint.close(), stranger.endpoint.close(), client.close()]);
  });

  test('over IPv6, with a name or an address', async () => {
    const server = await bound('[::1]:0');
    const sink = new KeepingSink();
    const client = await connectUdp(addressOf(server.endpoint), sink);
    client.send(new Uint8Array(1));
    await until(() => server.sink.received.length === 1);
    await Promise.all([server.endpoint.close(), client.close()]);
  });

  test('nobody there: ICMP is an error, counted, and the endpoint lives on until somebody is', async () => {
    const port = await deadPort();
    const sink = new KeepingSink();
    const client = await connectUdp({ host: '127.0.0.1', port }, sink);
    client.send(new Uint8Array(1));
    await until(() => sink.errors.length > 0);
    assert.deepEqual([sink.errors[0]?.reason, sink.errors[0]?.type, sink.errors[0]?.fault], ['UDP_REFUSED', 'io', 'remote']);
    assert.equal(client.isClosed, false);
    assert.ok(client.counts.receiveErrors + client.counts.dropped.sendFailed > 0);
    const server = await bound({ host: '127.0.0.1', port });
    // The first one may be told of the refusal before.
    client.send(new Uint8Array(1));
    client.send(new Uint8Array(2));
    await until(() => server.sink.received.length > 0);
    await Promise.all([server.endpoint.close(), client.close()]);
  });

  test('no way to the host from the address given, or the port is taken: an error that names the address', async () => {
    const taken = await bound();
    await assert.rejects(
      connectUdp({ host: '127.0.0.1', port: 9, localAddress: '127.0.0.1', localPort: addressOf(taken.endpoint).port }, new KeepingSink()),
      (error) => hasReason('ADDRESS_IN_USE')(error) && (error as Error).message.includes('127.0.0.1:9'),
    );
    await assert.rejects(connectUdp({ host: '192.0.2.1', port: 9, localAddress: '127.0.0.1' }, new KeepingSink()), isWireError);
    await assert.rejects(
      connectUdp('nowhere.invalid:9', new KeepingSink()),
      (error) => isWireError(error) && error.reason.startsWith('DNS_'),
    );
    await taken.endpoint.close();
  });
});

describe('faults', () => {
  test('a datagram from port 0 is dropped and counted: an answer to it would throw (RFC 768)', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const closes: unknown[] = [];
    const endpoint: UdpEndpoint = new UdpEndpoint(
      socket,
      resolveUdpBindOptions('127.0.0.1:0'),
      { onDatagram: (bytes, peer) => void endpoint.send(bytes, peer), onClose: (error) => closes.push(error) },
      null,
    );
    // Only a raw socket, for which one needs a privilege, can send such a datagram.
    socket.emit('message', Buffer.from('x'), { address: '127.0.0.1', family: 'IPv4', port: 0, size: 1 });
    assert.deepEqual([endpoint.counts.dropped.noSourcePort, endpoint.counts.received, endpoint.isClosed], [1, 0, false]);
    await endpoint.close();
    assert.deepEqual(closes, [null]);
  });

  test('async callbacks that reject are callbacks that throw', async () => {
    const port = await deadPort();
    for (const callback of ['onDatagram', 'onError'] as const) {
      const closed = Promise.withResolvers<WireError | null>();
      const fails = (async () => {
        throw new Error('later');
      }) as () => void;
      const failsAtLast = (async (error: WireError | null) => {
        closed.resolve(error);
        throw new Error('again');
      }) as (error: WireError | null) => void;
      const sink: UdpSink = {
        onDatagram: () => {},
        [callback]: fails,
        onClose: failsAtLast,
      };
      const a = await bound();
      const endpoint = callback === 'onDatagram' ? await bindUdp('127.0.0.1:0', sink) : await connectUdp({ host: '127.0.0.1', port }, sink);
      if (callback === 'onDatagram') a.endpoint.send(new Uint8Array(1), addressOf(endpoint));
      else endpoint.send(new Uint8Array(1));
      const error = await closed.promise;
      assert.deepEqual([error?.reason, error?.message.includes('later')], ['SINK_THREW', true]);
      await Promise.all([endpoint.close(), a.endpoint.close()]);
    }
  });

  test('a sink that throws closes the endpoint with SINK_THREW, and nothing else; a throw of onClose is a warning of the process', async () => {
    const warned = once(process, 'warning');
    const a = await bound();
    const closed = Promise.withResolvers<WireError | null>();
    const b = await bindUdp('127.0.0.1:0', {
      onDatagram: () => {
        throw new Error('boom');
      },
      onClose: (error) => {
        closed.resolve(error);
        throw new Error('again');
      },
    });
    a.endpoint.send(new Uint8Array(1), addressOf(b));
    const error = await closed.promise;
    assert.deepEqual([error?.reason, error?.type, error?.message.includes('boom')], ['SINK_THREW', 'internal', true]);
    assert.equal(b.isClosed, true);
    await b.close();
    assert.match(String((await warned)[0]), /again/);
    await a.endpoint.close();
  });

  test('a throw of onError closes it, too; without an onError errors are counted alone', async () => {
    const port = await deadPort();
    const closed = Promise.withResolvers<WireError | null>();
    const loud = await connectUdp(
      { host: '127.0.0.1', port },
      {
        onDatagram: () => {},
        onError: () => {
          throw new Error('boom');
        },
        onClose: closed.resolve,
      },
    );
    loud.send(new Uint8Array(1));
    assert.equal((await closed.promise)?.reason, 'SINK_THREW');
    const quiet = await connectUdp({ host: '127.0.0.1', port }, { onDatagram: () => {}, onClose: () => {} });
    quiet.send(new Uint8Array(1));
    await until(() => quiet.counts.receiveErrors + quiet.counts.dropped.sendFailed > 0);
    await quiet.close();
  });

  test('what the socket still gives after the close is dropped and counted', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const sink = new KeepingSink();
    const endpoint = new UdpEndpoint(socket, resolveUdpBindOptions('127.0.0.1:0'), sink, null);
    await endpoint.close();
    socket.emit('message', Buffer.from('x'), { address: '127.0.0.1', family: 'IPv4', port: 9, size: 1 });
    assert.deepEqual([endpoint.counts.dropped.closed, endpoint.counts.received, sink.received.length], [1, 0, 0]);
  });

  test('after the close nothing is sent, each attempt is counted, and the port is free', async () => {
    const a = await bound();
    const to = addressOf(a.endpoint);
    a.endpoint.send(new Uint8Array(1), to);
    await Promise.all([a.endpoint.close(), a.endpoint.close()]);
    assert.deepEqual(a.sink.closes, [null]);
    const before = a.endpoint.counts.dropped.closed;
    assert.equal(a.endpoint.send(new Uint8Array(1), to), false);
    assert.equal(a.endpoint.counts.dropped.closed, before + 1);
    assert.equal(a.endpoint.bufferedBytes, 0);
    const again = await bound(to);
    await again.endpoint[Symbol.asyncDispose]();
  });

  test('no descriptor left: DESCRIPTORS_EXHAUSTED', async (t) => {
    t.mock.method(Socket.prototype, 'bind', function bind(this: Socket) {
      process.nextTick(() => this.emit('error', Object.assign(new Error('bind EMFILE'), { code: 'EMFILE' })));
      return this;
    });
    await assert.rejects(bound(), hasReason('DESCRIPTORS_EXHAUSTED'));
  });

  test('an address that is taken, or not ours, is named', async () => {
    const a = await bound();
    await assert.rejects(
      bound(addressOf(a.endpoint)),
      (error) => hasReason('ADDRESS_IN_USE')(error) && (error as Error).message.includes('udp://127'),
    );
    await assert.rejects(bound('192.0.2.1:0'), hasReason('LISTEN_NO_SUCH_ADDRESS'));
    await assert.rejects(bound('nowhere.invalid:1'), isWireError);
    await a.endpoint.close();
  });

  test('datagrams of a plain socket of Node are as good as ours', async () => {
    const { endpoint, sink } = await bound();
    const plain = createSocket('udp4');
    const { host, port } = addressOf(endpoint);
    plain.send('ping', port, host);
    await until(() => sink.received.length === 1);
    const answered = once(plain, 'message');
    endpoint.send(Buffer.from('pong'), sink.received[0]?.peer);
    assert.equal(String((await answered)[0]), 'pong');
    plain.close();
    await endpoint.close();
  });
});

describe('misuse', () => {
  test('a missing, superfluous or impossible destination is told at once', async () => {
    const { endpoint } = await bound();
    const client = await connectUdp(addressOf(endpoint), new KeepingSink());
    const bytes = new Uint8Array(1);
    assert.throws(() => endpoint.send(bytes), /TypeError: say whom to send to/);
    assert.throws(() => client.send(bytes, addressOf(endpoint)), /TypeError: a connected endpoint/);
    assert.throws(() => endpoint.send(bytes, { kind: 'ip', host: 'localhost', port: 1 }), /TypeError: not an IP address/);
    assert.throws(() => endpoint.send(bytes, { kind: 'ip', host: '::1', port: 1 }), /TypeError: an endpoint of IPv4/);
    for (const port of [0, 65_536, 1.5]) assert.throws(() => endpoint.send(bytes, { kind: 'ip', host: '127.0.0.1', port }), RangeError);
    await Promise.all([endpoint.close(), client.close()]);
  });

  test('options that make no sense, are not known, or cannot be had in Node are named', async () => {
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [{ address: '127.0.0.1:0', ttl: 0 }, /RangeError: ttl/],
      [{ address: '127.0.0.1:0', ttl: 256 }, /RangeError: ttl/],
      [{ address: '127.0.0.1:0', receiveBufferBytes: 0 }, /RangeError: receiveBufferBytes/],
      [{ address: '127.0.0.1:0', sendBufferBytes: 2 ** 31 }, /RangeError: sendBufferBytes/],
      [{ address: '127.0.0.1:0', maxReceiveQueue: -1 }, /RangeError: maxReceiveQueue/],
      [{ address: '127.0.0.1:0', dscp: 10 }, /TypeError: bindUdp cannot take the option dscp/],
      [{ address: '127.0.0.1:0', localPort: 1 }, /TypeError: bindUdp has no option "localPort"/],
      [{ address: '127.0.0.1:0', host: '127.0.0.1' }, /TypeError: give either/],
      [{ host: '127.0.0.1' }, /TypeError: say where/],
      ['tcp://127.0.0.1:0', /TypeError: .*it is of TCP/],
      ['unix:/run/a', /TypeError: Node has no datagrams over Unix sockets/],
      [{ path: '/run/a' }, /TypeError: Node has no datagrams over Unix sockets/],
    ];
    for (const [where, expected] of cases) {
      await assert.rejects(bindUdp(where as string, new KeepingSink()), (error) => expected.test(String(error)), JSON.stringify(where));
    }
    await assert.rejects(connectUdp('127.0.0.1:0', new KeepingSink()), RangeError);
    await assert.rejects(connectUdp({ host: '127.0.0.1', port: 1, localPort: -1 }, new KeepingSink()), RangeError);
  });

  test('socket options are taken: buffers, hops', async (t) => {
    const bind = t.mock.method(Socket.prototype, 'bind');
    const setTtl = t.mock.method(Socket.prototype, 'setTTL');
    const { endpoint } = await bound({ address: '127.0.0.1:0', receiveBufferBytes: 8_192, sendBufferBytes: 16_384, ttl: 3 });
    const client = await connectUdp({ ...portOf(endpoint), ttl: 4 }, new KeepingSink());
    assert.deepEqual(
      setTtl.mock.calls.map((call) => call.arguments),
      [[3], [4]],
    );
    const socket = bind.mock.calls[0]?.this as Socket;
    // Linux doubles them for its own book-keeping.
    assert.ok([8_192, 16_384].includes(socket.getRecvBufferSize()), `${socket.getRecvBufferSize()}`);
    assert.ok([16_384, 32_768].includes(socket.getSendBufferSize()), `${socket.getSendBufferSize()}`);
    await Promise.all([endpoint.close(), client.close()]);
  });

  test('reuseAddr takes a port that another socket has', async () => {
    const first = await bound({ address: '127.0.0.1:0', reuseAddr: true });
    const second = await bound({ ...portOf(first.endpoint), reuseAddr: true });
    assert.deepEqual(second.endpoint.address, first.endpoint.address);
    await Promise.all([first.endpoint.close(), second.endpoint.close()]);
  });
});
