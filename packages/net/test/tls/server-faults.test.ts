/** What peers may do to a TLS server: nothing, garbage, halves, cuts at every byte, and thousands of them. */
import assert from 'node:assert/strict';
import { connect as tcpConnect } from 'node:net';
import { test } from 'node:test';
import { ioError } from '@ferrata/error';
import { type L4Stream, memoryPair, rechunked } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import fc from 'fast-check';
import { listen } from '../../src/accept/listener.ts';
import { connect } from '../../src/connect/connect.ts';
import { SocketStream } from '../../src/socket/socket-stream.ts';
import type { TlsServer } from '../../src/tls/tls-server.ts';
import { connectedPair, until } from '../pairs.ts';
import { failureOf, makeRig, nodeClient, outcomeOf, securePair } from './server-rig.ts';

const { clientHello, serverWith, shake, trust } = await makeRig();

/** Passes bytes from one stream to the other, at most `limit` of them, and then cuts or ends. */
function pass(from: L4Stream, to: L4Stream, limit = Infinity, atLimit: () => void = () => undefined): { count(): number } {
  let count = 0;
  from.attach({
    onData(chunk) {
      const left = limit - count;
      count += Math.min(chunk.length, left);
      to.write(chunk.length > left ? chunk.subarray(0, left) : chunk);
      if (count >= limit) atLimit();
    },
    onDrain() {},
    onEnd: () => to.end(),
    onClose: (error) => to.abort(error ?? undefined),
  });
  return { count: () => count };
}

/** A handshake whose client bytes pass through our hands. */
function throughUs(server: TlsServer, limit: number, how: 'abort' | 'end') {
  const near = memoryPair();
  const far = memoryPair();
  const outcome = outcomeOf(far.b, server);
  const { secure, socket } = nodeClient(near.a, { ...trust, ALPNProtocols: ['h2'] });
  pass(far.a, near.b);
  const passed = pass(near.b, far.a, limit, () => (how === 'abort' ? far.a.abort(ioError('CUT', 'cut by the test')) : far.a.end()));
  return { outcome, secure, socket, passed };
}

test('a ClientHello that comes byte by byte is understood, in memory and over TCP', async () => {
  const server = serverWith({ alpn: ['h2'] });
  const { close, ...tcp } = await connectedPair();
  const { a, b } = memoryPair();
  for (const { client, server: below } of [tcp, { client: a, server: b }]) {
    const sliced = rechunked(below, { incoming: [1] });
    const pair = await securePair({ client, server: sliced }, server, { ...trust, ALPNProtocols: ['h2'] });
    assert.equal(pair.server.info.tls?.alpn, 'h2');
    assert.equal(pair.server.info.tls?.serverName, 'localhost');
    pair.client.abort();
  }
  await close();
});

test('bytes put back by an earlier reader belong to the handshake', async () => {
  const server = serverWith();
  const { client, server: below, close } = await connectedPair();
  const { secure } = nodeClient(client, trust);
  const first = new RecordingSink();
  below.attach(first);
  await until(() => first.byteLength > 0);
  below.pause();
  const all = Buffer.concat(first.chunks());
  assert.ok(below instanceof SocketStream);
  below.unread(all.subarray(100));
  below.unread(all.subarray(0, 100));
  const outcome = outcomeOf(below, server);
  assert.ok('stream' in (await outcome));
  (await secure).abort();
  await close();
});

test('HTTP without TLS is told by its name, with the address of the peer', async () => {
  const server = serverWith();
  const { client, server: below, close } = await connectedPair();
  const failed = failureOf(below, server);
  client.attach(new RecordingSink());
  client.write(Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'));
  const { error, info } = await failed;
  assert.equal(error.reason, 'TLS_NOT_TLS');
  assert.equal(error.fault, 'remote');
  assert.deepEqual(info.remoteAddress, client.info.localAddress);
  await close();
});

test('any bytes end in an outcome, and never in more than their own connection', async () => {
  const server = serverWith({ handshakeTimeoutMs: 60_000 });
  const hello = fc.uint8Array({ minLength: 1, maxLength: 400 });
  const looksLikeTls = hello.map((bytes) => Uint8Array.from([22, 3, 1, bytes.length >> 8, bytes.length & 0xff, ...bytes]));
  const looksLikeHello = hello.map((bytes) =>
    Uint8Array.from([22, 3, 1, (bytes.length + 4) >> 8, (bytes.length + 4) & 0xff, 1, 0, bytes.length >> 8, bytes.length & 0xff, ...bytes]),
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(hello, looksLikeTls, looksLikeHello), async (bytes) => {
      const { a, b } = memoryPair();
      const failed = failureOf(b, server);
      a.attach(new RecordingSink());
      a.write(bytes);
      a.end();
      const { error } = await failed;
      // A length of 16 MiB is one more way to be wrong.
      assert.ok(error.type === 'tls' || error.reason === 'TLS_HELLO_TOO_LONG', error.message);
    }),
    { numRuns: 150 },
  );
  assert.equal(server.handshakeCount, 0);
});

test('a ClientHello beyond the limit is cut', async () => {
  const server = serverWith({ maxHelloBytes: 1024 });
  const { a, b } = memoryPair();
  const failed = failureOf(b, server);
  nodeClient(a, { ...trust, ALPNProtocols: Array.from({ length: 100 }, (_, i) => `protocol-number-${i}`) });
  assert.equal((await failed).error.reason, 'TLS_HELLO_TOO_LONG');
});

for (const how of ['abort', 'end'] as const) {
  test(`a client cut by ${how} at every position of its handshake fails, or is through`, { timeout: 60_000 }, async () => {
    const server = serverWith({ alpn: ['h2'] });
    const whole = throughUs(server, Infinity, how);
    const outcome = await whole.outcome;
    assert.ok('stream' in outcome);
    const total = whole.passed.count();
    assert.ok(total > 300);
    whole.socket.destroy();
    let failed = 0;
    for (let limit = 1; limit <= total; limit += limit < 8 || limit > total - 8 ? 1 : 13) {
      const { outcome: cut, socket } = throughUs(server, limit, how);
      const result = await cut;
      if ('error' in result) {
        failed++;
        assert.ok(['TLS_HANDSHAKE_CUT', 'TLS_HANDSHAKE_FAILED'].includes(result.error.reason), result.error.message);
        assert.equal(result.error.retry, 'never');
      }
      socket.destroy();
    }
    assert.ok(failed > 20);
    assert.equal(server.handshakeCount, 0);
    const { client } = await shake(server);
    client.abort();
  });
}

test('over TCP, a peer that resets in the middle leaves nothing behind', async () => {
  const server = serverWith();
  const failures: string[] = [];
  await using listener = await listen('127.0.0.1:0', (stream) => {
    server.accept(stream, {
      onSecure: (secure) => secure.abort(),
      onHandshakeFailed: (error, info) => failures.push(`${error.reason} ${info.remoteAddress.kind}`),
    });
  });
  const hello = await clientHello();
  const cuts = [0, 1, 4, 5, 9, 100, hello.length - 1, hello.length];
  for (const cut of cuts) {
    const { address } = listener;
    assert.equal(address.kind, 'ip');
    const socket = tcpConnect({ host: '127.0.0.1', port: address.kind === 'ip' ? address.port : 0 });
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    if (cut > 0) await new Promise<void>((resolve) => socket.write(hello.subarray(0, cut), () => resolve()));
    const before = failures.length;
    await until(() => server.counts.started > before);
    socket.resetAndDestroy();
    await until(() => failures.length > before);
  }
  assert.deepEqual([...new Set(failures)], ['TLS_HANDSHAKE_CUT ip']);
  await until(() => listener.connectionCount === 0);
});

test('a renegotiation asked for by the client ends the connection (CVE-2011-1473)', async () => {
  const server = serverWith();
  const { a, b } = memoryPair();
  const { server: stream, socket, client } = await securePair({ client: a, server: b }, server, { ...trust, maxVersion: 'TLSv1.2' });
  const sink = new RecordingSink();
  stream.attach(sink);
  client.attach(new RecordingSink());
  socket.renegotiate({}, () => undefined);
  await sink.untilClose();
  assert.ok(sink.closeError !== null);
  assert.equal((await shake(server)).server.info.kind, 'tls');
});

test('half hellos beyond the cap shed the oldest of their kind, and others are served between them', { timeout: 60_000 }, async () => {
  const cap = 64;
  const server = serverWith({ maxPending: cap });
  const half = (await clientHello()).subarray(0, 200);
  const cut: number[] = [];
  for (let i = 0; i < 1000; i++) {
    const { a, b } = memoryPair();
    a.attach(new RecordingSink());
    server.accept(b, { onSecure: () => assert.fail('it never finished'), onHandshakeFailed: () => cut.push(i) });
    a.write(Uint8Array.from(half));
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.ok(server.handshakeCount <= cap);
    if (i % 100 === 99) (await shake(server)).client.abort();
  }
  assert.equal(server.handshakeCount, cap - 1, 'the last one that was served had shed one by coming');
  assert.equal(server.counts.completed, 10);
  assert.deepEqual(
    cut,
    Array.from({ length: 1000 - cap + 1 }, (_, i) => i),
  );
});

test('over TCP the oldest of those that are silent give way, and are closed', async () => {
  const server = serverWith({ maxPending: 8 });
  const failures: string[] = [];
  await using listener = await listen('127.0.0.1:0', (stream) => {
    server.accept(stream, { onSecure: (secure) => secure.abort(), onHandshakeFailed: (error) => failures.push(error.reason) });
  });
  const sinks: RecordingSink[] = [];
  for (let i = 0; i < 40; i++) {
    const sink = new RecordingSink();
    (await connect(listener.address)).attach(sink);
    sinks.push(sink);
  }
  await until(() => server.counts.started === 40);
  for (const sink of sinks.slice(0, 32)) await sink.untilClose();
  assert.deepEqual(new Set(failures), new Set(['TLS_HANDSHAKE_SHED']));
  assert.equal(listener.connectionCount, 8);
  const client = nodeClient(await connect(listener.address), trust);
  await client.secure;
  client.socket.destroy();
  await server.close();
  await until(() => listener.connectionCount === 0);
});
