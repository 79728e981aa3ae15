/** Handshakes of a TLS client: what is negotiated, how long it may take, and servers that misbehave in every way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { ioError } from '@ferrata/error';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { DeadlineQueue } from '@ferrata/timeout';
import type { PendingConnect } from '../../src/connect/pending-connect.ts';
import { connect } from '../../src/index.ts';
import { handshakeExtension } from '../../src/tls/handshake-extension.ts';
import { connectTls, TlsClient } from '../../src/tls/tls-client.ts';
import { until } from '../pairs.ts';
import { digestOf, exchange, failureOf, failureOn, makeClientPki, nodeServer, noOutcome, rawServer, relay, secure } from './client-rig.ts';

const pki = await makeClientPki();
const peer = await nodeServer({ ...pki.shown, ALPNProtocols: ['h2', 'http/1.1', 'mine/1'] });
after(() => peer[Symbol.asyncDispose]());
const { trust } = pki;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

describe('what is negotiated', () => {
  test('ALPN: the server chooses among the protocols offered (RFC 7301)', async () => {
    for (const [alpn, expected] of [
      [['h2', 'http/1.1'], 'h2'],
      [['http/1.1'], 'http/1.1'],
      [['mine/1'], 'mine/1'],
      [[], null],
    ] as const) {
      const stream = await secure(peer, { ...trust, alpn });
      assert.equal(digestOf(stream).alpn, expected);
      stream.abort();
    }
  });

  test('one connection may offer something else than its client', async () => {
    const client = new TlsClient({ ...trust, alpn: ['h2', 'http/1.1'] });
    const stream = await secure(peer, client, { alpn: ['http/1.1'] });
    assert.deepEqual([digestOf(stream).alpn, client.alpn], ['http/1.1', ['h2', 'http/1.1']]);
    stream.abort();
  });

  test('a server without ALPN leaves it open', async () => {
    await using plain = await nodeServer(pki.shown);
    const stream = await secure(plain, { ...trust, alpn: ['h2'] });
    assert.equal(digestOf(stream).alpn, null);
    stream.abort();
  });

  test('a server that wants none of them: TLS_ALPN_REFUSED (RFC 7301 §3.2)', async () => {
    const error = await failureOf(peer, { ...trust, alpn: ['other/1'] });
    assert.deepEqual([error.reason, error.retry, error.fault], ['TLS_ALPN_REFUSED', 'never', 'remote']);
  });

  test('versions, ciphers and curves', async () => {
    const old = await secure(peer, { ...trust, maxVersion: 'TLSv1.2', ciphers: ['ECDHE-ECDSA-AES128-GCM-SHA256'] });
    assert.deepEqual([digestOf(old).version, digestOf(old).cipher], ['TLSv1.2', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256']);
    assert.equal(await exchange(old), 'ping');
    await using recent = await nodeServer({ ...pki.shown, minVersion: 'TLSv1.3', ecdhCurve: 'P-384' });
    const curved = await secure(recent, { ...trust, ciphers: ['TLS_CHACHA20_POLY1305_SHA256'], curves: ['X25519', 'P-384'] });
    assert.equal(digestOf(curved).cipher, 'TLS_CHACHA20_POLY1305_SHA256');
    curved.abort();
    assert.equal((await failureOf(recent, { ...trust, maxVersion: 'TLSv1.2' })).reason, 'TLS_VERSION_REFUSED');
    assert.equal((await failureOf(recent, { ...trust, curves: ['X25519'] })).reason, 'TLS_HANDSHAKE_FAILED');
  });

  test('the key log gets the secrets of the connection, and may throw', async () => {
    const lines: string[] = [];
    (await secure(peer, { ...trust, keyLog: (line) => void lines.push(line) })).abort();
    assert.ok(lines.length >= 4);
    for (const line of lines) assert.match(line, /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]+$/);
    const warned = once(process, 'warning');
    const stream = await secure(peer, {
      ...trust,
      keyLog: () => {
        throw new Error('disk full');
      },
    });
    assert.match(String(await warned), /disk full/);
    assert.equal(await exchange(stream), 'ping');
  });
});

function notToday(): never {
  throw new Error('not today');
}

describe('handshakeComplete', () => {
  test('what it returns, or its promise brings, is found again by its type', async () => {
    const names = handshakeExtension((tls) => ({ issuer: tls.peerCertificate?.issuer.commonName ?? null }));
    const stream = await secure(peer, { ...trust, handshakeComplete: names });
    assert.deepEqual(names.of(stream.info), { issuer: 'Ferrata development CA' });
    stream.abort();
    const later = await secure(peer, { ...trust, handshakeComplete: (tls, info) => Promise.resolve([tls.version, info.kind]) });
    assert.deepEqual(digestOf(later).extension, ['TLSv1.3', 'tls']);
    later.abort();
  });

  for (const [what, handshakeComplete] of [
    ['throws', notToday],
    ['rejects', () => Promise.reject(new Error('not today'))],
    ['returns something that may not be looked at', () => new Proxy({}, { has: notToday })],
  ] as const) {
    test(`one that ${what} refuses the connection: TLS_REFUSED`, async () => {
      const error = await failureOf(peer, { ...trust, handshakeComplete });
      assert.deepEqual([error.reason, error.retry, error.fault], ['TLS_REFUSED', 'never', 'local']);
      assert.match(error.message, /not today/);
    });
  }

  test('one that never settles is ended by the time-out, and forgotten', async () => {
    const clock = new ManualClock();
    const { promise: called, resolve } = Promise.withResolvers<void>();
    const handshakeComplete = (): Promise<never> => {
      resolve();
      return new Promise(() => {});
    };
    const failure = failureOf(peer, { ...trust, clock, handshakeComplete });
    await called;
    clock.advance(5_000);
    assert.equal((await failure).reason, 'TLS_HANDSHAKE_TIMEOUT');
  });

  test('a connection that is reset meanwhile fails, and the late answer changes nothing', async () => {
    const sockets: Socket[] = [];
    await using relaying = await relay(peer.port, { onConnection: (socket) => sockets.push(socket) });
    const { promise: answer, resolve } = Promise.withResolvers<string>();
    const error = await failureOf(relaying, {
      ...trust,
      handshakeComplete() {
        void turns(30).then(() => sockets[0]?.resetAndDestroy());
        return answer;
      },
    });
    assert.deepEqual([error.reason, error.retry], ['TLS_HANDSHAKE_CUT', 'always']);
    resolve('too late');
    await answer;
  });
});

describe('time', () => {
  test('a server that stalls: TLS_HANDSHAKE_TIMEOUT after handshakeTimeoutMs, to be retried, and the connection is gone', async () => {
    const clock = new ManualClock();
    const sockets: Socket[] = [];
    await using silent = await rawServer((socket) => sockets.push(socket.resume()));
    const stream = await connect({ host: '127.0.0.1', port: silent.port });
    const failure = failureOn(stream, { ...trust, clock });
    await until(() => (sockets[0]?.bytesRead ?? 0) > 0);
    clock.advance(4_999);
    assert.equal(clock.pendingCount, 1);
    clock.advance(1);
    const error = await failure;
    assert.deepEqual([error.type, error.reason, error.retry, error.status], ['timeout', 'TLS_HANDSHAKE_TIMEOUT', 'always', 504]);
    assert.equal(clock.pendingCount, 0);
    await until(() => silent.errors.length > 0);
    assert.deepEqual(silent.errors, ['ECONNRESET']);
  });

  test('the time-out may live in a deadline queue, and leaves it once the handshake is complete', async () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    const pending = secure(peer, { ...trust, deadlines });
    await until(() => deadlines.size === 1);
    const stream = await pending;
    assert.equal(deadlines.size, 0);
    stream.abort();
  });

  test('a connection may have less time than its client', async () => {
    const clock = new ManualClock();
    const { a, b } = memoryPair();
    const failure = failureOn(a, { ...trust, clock }, { host: 'localhost', handshakeTimeoutMs: 10 });
    clock.advance(10);
    assert.match((await failure).message, /within 10 ms/);
    const sink = new RecordingSink();
    b.attach(sink);
    await sink.untilClose();
    assert.notEqual(sink.closeError, null, 'the other end can tell it from an orderly end');
  });

  test('a signal gives a handshake up, before or while it runs; a stream handed over does not mind', async () => {
    const controller = new AbortController();
    const { a } = memoryPair();
    const failure = failureOn(a, trust, { host: 'localhost', signal: controller.signal });
    controller.abort(new Error('changed my mind'));
    const error = await failure;
    assert.deepEqual(
      [error.reason, error.retry, error.fault, (error.cause as Error).message],
      ['CONNECT_ABORTED', 'never', 'local', 'changed my mind'],
    );
    assert.equal((await failureOn(memoryPair().a, trust, { host: 'localhost', signal: AbortSignal.abort() })).reason, 'CONNECT_ABORTED');
    const other = new AbortController();
    const stream = await secure(peer, trust, { signal: other.signal });
    other.abort();
    assert.equal(await exchange(stream), 'ping');
  });

  test('abort() of the pending handshake tells later, and once', async () => {
    const outcomes: string[] = [];
    const { a } = memoryPair();
    const pending = new TlsClient(trust).connect(
      a,
      { onSecure: noOutcome.onSecure, onHandshakeFailed: (error) => void outcomes.push(error.reason) },
      { host: 'localhost' },
    );
    pending.abort();
    pending.abort();
    assert.deepEqual(outcomes, []);
    await until(() => outcomes.length > 0);
    pending.abort();
    await until(() => true);
    assert.deepEqual(outcomes, ['CONNECT_ABORTED']);
  });
});

test('until the stream is told of, abort() cuts it and tells CONNECT_ABORTED, once', async () => {
  let pending: PendingConnect | null = null;
  const told: string[] = [];
  const handshakeComplete = (): Promise<number> => {
    const answer = Promise.resolve(1);
    // Runs after the handshake has got the answer, and before the tick in which it tells.
    void answer.then(() => queueMicrotask(() => queueMicrotask(() => pending?.abort('too late?'))));
    return answer;
  };
  const below = await connect({ host: '127.0.0.1', port: peer.port });
  const failed = Promise.withResolvers<string>();
  pending = new TlsClient({ ...trust, handshakeComplete }).connect(below, {
    onSecure: () => void told.push('onSecure'),
    onHandshakeFailed: (error) => {
      told.push('onHandshakeFailed');
      failed.resolve(error.reason);
    },
  });
  assert.equal(await failed.promise, 'CONNECT_ABORTED');
  await until(() => below.state === 'closed');
  pending.abort();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['onHandshakeFailed']);
});

test('giving up at any moment of a handshake, or of the stream with an error inside a callback: an outcome each time, and the process lives', async () => {
  const client = new TlsClient(trust);
  const outcomes = new Set<string>();
  for (let moment = 0; moment < 60; moment++) {
    const stream = await connect({ host: '127.0.0.1', port: peer.port });
    const { promise, resolve } = Promise.withResolvers<string>();
    const pending = client.connect(stream, {
      onSecure(secured) {
        secured.attach(new RecordingSink({ onClose: (error) => resolve(error?.reason ?? 'none') }));
        secured.abort(ioError('TEST_ABORT'));
      },
      onHandshakeFailed: (error) => resolve(error.reason),
    });
    void turns(moment).then(() => pending.abort());
    outcomes.add(await promise);
  }
  assert.deepEqual([...outcomes].toSorted(), ['CONNECT_ABORTED', 'TEST_ABORT']);
});

describe('servers that misbehave', () => {
  async function failureAgainst(onConnection: (socket: Socket) => void, more: object = {}): Promise<[string, string, string]> {
    await using raw = await rawServer(onConnection);
    const error = await failureOf(raw, { ...trust, ...more });
    assert.equal(error.fault, 'remote');
    return [error.type, error.reason, error.retry];
  }

  test('plaintext first: TLS_NOT_TLS (CVE-2026-1642)', async () => {
    const greeting = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
    assert.deepEqual(await failureAgainst((socket) => socket.end(greeting)), ['tls', 'TLS_NOT_TLS', 'never']);
    assert.deepEqual(await failureAgainst((socket) => socket.once('data', () => socket.write(greeting))), ['tls', 'TLS_NOT_TLS', 'never']);
  });

  test('plaintext that was read before TLS began is TLS’s to read: TLS_NOT_TLS', async () => {
    const { a, b } = memoryPair();
    b.attach(new RecordingSink());
    b.write(Buffer.from('220 smtp ready\r\n'));
    assert.equal((await failureOn(a, trust, { host: 'localhost' })).reason, 'TLS_NOT_TLS');
  });

  test('garbage of every first byte fails, and nothing else happens', async () => {
    let first = 0;
    await using raw = await rawServer((socket) => socket.end(Buffer.alloc(64, first)));
    for (first = 0; first < 256; first += 5) {
      const error = await failureOf(raw, trust);
      assert.equal(error.type, 'tls', `first byte ${first}`);
    }
  });

  test('closing at once, or after the client’s hello: TLS_HANDSHAKE_CUT, to be retried', async () => {
    assert.deepEqual(await failureAgainst((socket) => socket.end()), ['tls', 'TLS_HANDSHAKE_CUT', 'always']);
    assert.deepEqual(await failureAgainst((socket) => socket.once('data', () => socket.end())), ['tls', 'TLS_HANDSHAKE_CUT', 'always']);
    assert.deepEqual(await failureAgainst((socket) => socket.once('data', () => socket.resetAndDestroy())), [
      'tls',
      'TLS_HANDSHAKE_CUT',
      'always',
    ]);
  });

  test('a stream that is closed already fails at once, and later', async () => {
    const { a } = memoryPair();
    a.attach(new RecordingSink());
    a.abort();
    assert.equal((await failureOn(a, trust, { host: 'localhost' })).reason, 'TLS_HANDSHAKE_CUT');
  });

  for (const how of ['end', 'resetAndDestroy'] as const) {
    test(`a ${how === 'end' ? 'close' : 'reset'} at every position of the handshake: always an error, and never a stream`, async () => {
      // What a real server answers, cut off after every so many bytes.
      let limit = 0;
      let answered = 0;
      let left = 0;
      await using cutting = await relay(peer.port, {
        onConnection: () => (left = limit),
        send(socket, chunk) {
          answered += chunk.length;
          if (left > 0) socket.write(chunk.subarray(0, left));
          left -= chunk.length;
          if (left <= 0) socket[how]();
        },
      });
      // The whole flight, once, to know its length: the client is done when it has all of it.
      limit = 1_000_000;
      (await secure(cutting, { ...trust, sessions: false })).abort();
      const flight = Math.min(answered, 900);
      assert.ok(flight > 400);
      for (limit = 0; limit < flight - 300; limit += 13) {
        const error = await failureOf(cutting, { ...trust, sessions: false });
        assert.equal(error.type, 'tls', `after ${limit} bytes`);
        assert.equal(error.reason, 'TLS_HANDSHAKE_CUT', `after ${limit} bytes`);
      }
    });
  }

  test('a byte changed at any position of the handshake: always an error, and never a stream', async () => {
    let position = 0;
    let sent = 0;
    await using lying = await relay(peer.port, {
      onConnection: () => (sent = 0),
      send(socket, chunk) {
        const at = position - sent;
        if (at >= 0 && at < chunk.length) chunk[at] = (chunk[at] as number) ^ (1 << (position % 8));
        sent += chunk.length;
        // A length that was made greater would be waited for.
        if (sent > position) socket.end(chunk);
        else socket.write(chunk);
      },
    });
    for (position = 0; position < 600; position += 11) {
      const error = await failureOf(lying, { ...trust, sessions: false });
      assert.equal(error.type, 'tls', `byte ${position}`);
    }
  });

  test('a server that sends its handshake byte by byte is served', async () => {
    await using slow = await relay(peer.port, {
      send(socket, chunk) {
        for (const byte of chunk) socket.write(Uint8Array.of(byte));
      },
    });
    assert.equal(await exchange(await secure(slow, trust)), 'ping');
  });

  test('a server that asks for another handshake (TLS 1.2) is refused it: TLS_RENEGOTIATION (CVE-2009-3555)', async () => {
    const options = { ...pki.shown, maxVersion: 'TLSv1.2' } as const;
    await using asking = await nodeServer(options, (socket) => {
      socket.once('data', () => {
        socket.renegotiate({}, () => undefined);
        socket.write('x');
      });
    });
    let completed = 0;
    const stream = await secure(asking, { ...trust, handshakeComplete: () => completed++ });
    const sink = new RecordingSink();
    stream.attach(sink);
    stream.write(Buffer.from('now'));
    await sink.untilClose();
    assert.deepEqual([sink.closeError?.type, sink.closeError?.reason, completed], ['tls', 'TLS_RENEGOTIATION', 1]);
  });

  test('an end without close_notify looks like an end: Node does not tell them apart', async () => {
    const sockets: Socket[] = [];
    await using raw = await relay(peer.port, { onConnection: (socket) => sockets.push(socket) });
    const stream = await secure(raw, trust);
    const sink = new RecordingSink({ onEnd: () => stream.end() });
    stream.attach(sink);
    sockets[0]?.end();
    await sink.untilClose();
    assert.deepEqual([sink.hasEnded, sink.closeError], [true, null]);
  });
});

describe('the sink', () => {
  test('hears of both outcomes later, never from inside connect', async () => {
    const heard: string[] = [];
    const client = new TlsClient(trust);
    const stream = await connect({ host: '127.0.0.1', port: peer.port });
    const { promise, resolve } = Promise.withResolvers<L4Stream>();
    client.connect(stream, {
      onSecure(secured) {
        heard.push('secure');
        resolve(secured);
      },
      onHandshakeFailed: noOutcome.onHandshakeFailed,
    });
    assert.deepEqual(heard, []);
    (await promise).abort();
    assert.deepEqual(heard, ['secure']);
  });

  test('one that throws ends its stream, and not the process', async () => {
    const client = new TlsClient(trust);
    const stream = await connect({ host: '127.0.0.1', port: peer.port });
    const { promise, resolve } = Promise.withResolvers<L4Stream>();
    client.connect(stream, {
      onSecure: (secured) => {
        resolve(secured);
        throw new Error('a bug');
      },
      onHandshakeFailed: noOutcome.onHandshakeFailed,
    });
    const secured = await promise;
    const sink = new RecordingSink();
    secured.attach(sink);
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'SINK_THREW');
    const warned = once(process, 'warning');
    client
      .connect(
        memoryPair().a,
        {
          onSecure: noOutcome.onSecure,
          onHandshakeFailed: () => {
            throw new Error('another bug');
          },
        },
        { host: 'localhost' },
      )
      .abort();
    assert.match(String(await warned), /another bug/);
  });

  test('connectTls refuses settings that cannot work', async () => {
    await assert.rejects(connectTls(memoryPair().a, { handshakeTimeoutMs: 0 }), RangeError);
    await assert.rejects(connectTls(memoryPair().a, trust, { host: 'x', handshakeTimeoutMs: -1 }), RangeError);
    await assert.rejects(connectTls(memoryPair().a, trust, { host: 'x', alpn: [''] }), RangeError);
  });
});
