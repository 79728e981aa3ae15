/** `connect` with TLS: one call, two deadlines and a total one. */
import assert from 'node:assert/strict';
import type { LookupFunction, Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { RecordingSink } from '@ferrata/testkit';
import { DeadlineQueue } from '@ferrata/timeout';
import { ConnectionCap, connect, connectWith, listen } from '../../src/index.ts';
import { TlsClient } from '../../src/tls/tls-client.ts';
import { TlsServer } from '../../src/tls/tls-server.ts';
import { temporaryDirectory, until } from '../pairs.ts';
import { digestOf, exchange, makeClientPki, nodeServer, rawServer } from './client-rig.ts';

const pki = await makeClientPki();
const { trust } = pki;
const peer = await nodeServer(pki.shown);
const silentSockets: Socket[] = [];
const silent = await rawServer((socket) => silentSockets.push(socket.resume()));
after(async () => {
  await peer[Symbol.asyncDispose]();
  await silent[Symbol.asyncDispose]();
});

const unreached = (): never => assert.fail('nothing was to be connected');
const neverAnswers: LookupFunction = () => undefined;
const loopback: LookupFunction = (_name, _options, callback) => process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }]);

describe('connect with tls', () => {
  test('asks for the name connected to, and verifies it', async () => {
    const stream = await connect({ host: 'localhost', port: peer.port }, { tls: trust, lookup: loopback });
    assert.deepEqual([stream.info.kind, digestOf(stream).serverName, digestOf(stream).isPeerVerified], ['tls', 'localhost', true]);
    assert.ok(stream.info.timing.establishedAt >= (stream.info.below?.timing.establishedAt ?? Number.POSITIVE_INFINITY));
    assert.equal(await exchange(stream), 'ping');
    await assert.rejects(connect({ host: 'elsewhere.test', port: peer.port }, { tls: trust, lookup: loopback }), {
      reason: 'TLS_HOSTNAME_MISMATCH',
    });
  });

  test('an address is verified as one', async () => {
    const stream = await connect({ host: '127.0.0.1', port: peer.port }, { tls: trust });
    assert.deepEqual([digestOf(stream).serverName, digestOf(stream).isPeerVerified], [null, true]);
    stream.abort();
  });

  test('serverName of the settings goes before the name connected to', async () => {
    const stream = await connect(
      { host: 'elsewhere.test', port: peer.port },
      { tls: { ...trust, serverName: 'localhost' }, lookup: loopback },
    );
    assert.equal(digestOf(stream).serverName, 'localhost');
    stream.abort();
  });

  test('a client used again resumes', async () => {
    const tls = new TlsClient(trust);
    const resumed: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      const stream = await connect({ host: '127.0.0.1', port: peer.port }, { tls });
      resumed.push(digestOf(stream).isResumed);
      await exchange(stream);
    }
    assert.deepEqual(resumed, [false, true, true]);
  });

  test('over a Unix socket a name must be given', async () => {
    using directory = temporaryDirectory();
    const path = directory.file('s');
    const server = new TlsServer({ certificates: [{ certificate: pki.leaf.chain, key: pki.leaf.key }] });
    await using listener = await listen({ path, tls: server }, (stream) =>
      stream.attach({ onData: (chunk) => void stream.write(chunk), onDrain() {}, onEnd: () => stream.end(), onClose() {} }),
    );
    const stream = await connect({ path }, { tls: { ...trust, serverName: 'localhost' } });
    assert.equal(await exchange(stream), 'ping');
    assert.throws(() => connectWith({ path }, { tls: trust }, { onConnected: unreached, onConnectFailed: unreached }), /no name to verify/);
    const any = await connect({ path }, { tls: { ...trust, verifyHostname: false } });
    any.abort();
    await listener.close();
    await server.close();
  });

  test('settings that cannot work are thrown before anything is connected', async () => {
    await assert.rejects(connect('127.0.0.1:1', { tls: { ca: 'hello' } }), TypeError);
    await assert.rejects(connect('127.0.0.1:1', { totalTimeoutMs: 0 }), RangeError);
    await assert.rejects(connect('127.0.0.1:1', { fastOpen: true } as never), /fastOpen: Node cannot set TCP_FASTOPEN/);
  });

  test('a failure names the address as well as the name, and the connection counts no longer', async () => {
    const cap = new ConnectionCap(1);
    await assert.rejects(
      connect({ host: 'localhost', port: peer.port }, { tls: {}, lookup: loopback, connectionCap: cap }),
      (error: Error & { context?: string }) => {
        assert.equal(error.context, `localhost at tcp://localhost:${peer.port}`);
        return true;
      },
    );
    await until(() => cap.count === 0);
  });

  test('a TLS connection counts until it is closed', async () => {
    const cap = new ConnectionCap(1);
    const stream = await connect({ host: '127.0.0.1', port: peer.port }, { tls: trust, connectionCap: cap });
    assert.equal(cap.count, 1);
    await exchange(stream);
    await until(() => cap.count === 0);
  });
});

test('an answer that comes before the rest of an upload, and a reset, is delivered, then the failure', async () => {
  await using early = await nodeServer(pki.shown, (socket) => {
    // Closed with most of the upload unread: the kernel sends a reset after the answer.
    socket.once('data', () => socket.write('early answer', () => socket.destroy()));
  });
  const stream = await connect({ host: '127.0.0.1', port: early.port }, { tls: trust });
  const sink: RecordingSink = new RecordingSink({ onDrain: () => void stream.write(new Uint8Array(65_536)), onEnd: () => stream.end() });
  stream.attach(sink);
  while (stream.write(new Uint8Array(65_536)));
  await sink.untilClose();
  assert.equal(sink.text(), 'early answer');
  assert.notEqual(sink.closeError, null);
});

describe('time', () => {
  const target = { host: '127.0.0.1', port: silent.port };

  /** Connects to a server that says nothing, and waits until it has heard the client's hello. */
  async function stalled(options: object): Promise<{ failure: Promise<unknown>; clock: ManualClock }> {
    const clock = new ManualClock();
    const before = silentSockets.length;
    const failure = connect(target, { clock, ...options }).catch((error: unknown) => error);
    await until(() => (silentSockets[before]?.bytesRead ?? 0) > 0);
    return { failure, clock };
  }

  test('the total time-out covers connecting and the handshake, and its message says so (Pingora 234)', async () => {
    const { failure, clock } = await stalled({ tls: trust, totalTimeoutMs: 700 });
    clock.advance(700);
    const error = (await failure) as Error & { reason: string; type: string; retry: string };
    assert.deepEqual([error.type, error.reason, error.retry], ['timeout', 'CONNECT_TOTAL_TIMEOUT', 'always']);
    assert.match(error.message, /total time-out of 700 ms/);
    assert.equal(clock.pendingCount, 0);
  });

  test('a shorter one of the handshake wins, and then the message does not', async () => {
    const clock = new ManualClock();
    const { failure } = await stalled({ tls: { ...trust, clock, handshakeTimeoutMs: 300 }, clock });
    clock.advance(300);
    const error = (await failure) as Error & { reason: string };
    assert.equal(error.reason, 'TLS_HANDSHAKE_TIMEOUT');
    assert.doesNotMatch(error.message, /total/);
  });

  test('without a total one: 5 000 unless one of its parts is not as usual, then their sum, so that each can run to its end', async () => {
    for (const [options, tls, ms, reason] of [
      [{}, {}, 5_000, 'CONNECT_TOTAL_TIMEOUT'],
      [{}, { handshakeTimeoutMs: 8_000 }, 8_000, 'TLS_HANDSHAKE_TIMEOUT'],
      [{ connectTimeoutMs: 3_000 }, { handshakeTimeoutMs: 5_000 }, 5_000, 'CONNECT_TOTAL_TIMEOUT'],
      [{}, { handshakeTimeoutMs: 5_001 }, 5_001, 'TLS_HANDSHAKE_TIMEOUT'],
      [{ connectTimeoutMs: 100 }, {}, 5_000, 'TLS_HANDSHAKE_TIMEOUT'],
      [{ connectTimeoutMs: 9_000 }, { handshakeTimeoutMs: 300 }, 300, 'TLS_HANDSHAKE_TIMEOUT'],
    ] as const) {
      const clock = new ManualClock();
      let isTakingTime = true;
      // Ten milliseconds pass while it connects.
      const lookup: LookupFunction = (...args) => {
        if (isTakingTime) clock.advance(10);
        isTakingTime = false;
        loopback(...args);
      };
      const before = silentSockets.length;
      const failure = connect({ host: 'slow.test', port: silent.port }, { ...options, clock, lookup, tls: { ...trust, clock, ...tls } });
      await until(() => (silentSockets[before]?.bytesRead ?? 0) > 0);
      clock.advance(reason === 'CONNECT_TOTAL_TIMEOUT' ? ms - 11 : ms - 1);
      assert.equal(clock.pendingCount, 1);
      clock.advance(1);
      await assert.rejects(failure, { reason });
    }
  });

  test('a shorter one of connecting wins, too; without a total one the phrase never appears', async () => {
    for (const [options, reason] of [
      [{ connectTimeoutMs: 100, totalTimeoutMs: 200 }, 'CONNECT_TIMEOUT'],
      [{ connectTimeoutMs: 100 }, 'CONNECT_TIMEOUT'],
      [{ connectTimeoutMs: 200, totalTimeoutMs: 100 }, 'CONNECT_TOTAL_TIMEOUT'],
    ] as const) {
      const clock = new ManualClock();
      const failure = connect('slow.test:80', { lookup: neverAnswers, clock, ...options });
      clock.advance(100);
      await assert.rejects(failure, (error: Error & { reason: string }) => {
        assert.equal(error.reason, reason);
        assert.equal(error.message.includes('total'), reason === 'CONNECT_TOTAL_TIMEOUT');
        return true;
      });
    }
  });

  test('without tls, the total time-out is off unless it is given', async () => {
    const clock = new ManualClock();
    const failure = connect('slow.test:80', { lookup: neverAnswers, clock, connectTimeoutMs: 60_000 });
    clock.advance(59_999);
    assert.equal(clock.pendingCount, 1);
    clock.advance(1);
    await assert.rejects(failure, { reason: 'CONNECT_TIMEOUT' });
  });

  test('all of them may live in a deadline queue, and leave it', async () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    const stream = await connect({ host: '127.0.0.1', port: peer.port }, { tls: trust, deadlines });
    assert.equal(deadlines.size, 0);
    stream.abort();
  });

  test('a signal gives up the handshake, too', async () => {
    const controller = new AbortController();
    const { failure, clock } = await stalled({ tls: trust, signal: controller.signal });
    controller.abort();
    assert.equal(((await failure) as { reason: string }).reason, 'CONNECT_ABORTED');
    assert.equal(clock.pendingCount, 0);
  });
});
