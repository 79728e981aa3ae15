/** Session tickets: shared by threads, rotated, and worth nothing to a server with other demands (RFC 5077, RFC 8446 §2.2). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { connect as nodeConnect } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { type Clock, ManualClock, systemClock } from '@ferrata/clock';
import type { StreamAddress } from '@ferrata/stream';
import { listen } from '../../src/accept/listener.ts';
import { isNamed, TicketKeys } from '../../src/tls/ticket-keys.ts';
import { TlsServer } from '../../src/tls/tls-server.ts';
import type { TlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { answerInOneByte, makePki, sourceOf } from './server-rig.ts';

const pki = await makePki();
const client = await pki.authority.issue({ names: ['client@example.test'], use: 'client' });

interface Visit {
  readonly isResumed: boolean;
  readonly session: Buffer;
}

type Version = 'TLSv1.2' | 'TLSv1.3';

/** Connects, hears from the server whether it has resumed, and leaves with a session. */
async function visit(address: StreamAddress, maxVersion: Version, session?: Buffer, showsCertificate = true): Promise<Visit> {
  assert.equal(address.kind, 'ip');
  const socket = nodeConnect({
    host: '127.0.0.1',
    port: address.kind === 'ip' ? address.port : 0,
    servername: 'localhost',
    ca: pki.authority.certificate,
    ...(showsCertificate ? { cert: client.chain, key: client.key } : {}),
    maxVersion,
    ...(session === undefined ? {} : { session }),
  });
  // With TLS 1.3 tickets come after the handshake (RFC 8446 §4.6.1), and Node tells of them after the data behind them.
  const given = once(socket, 'session') as Promise<[Buffer]>;
  const [data] = (await once(socket, 'data')) as [Buffer];
  const isResumed = socket.isSessionReused();
  assert.equal(data[0] === 1, isResumed, 'both sides agree');
  const kept = isResumed ? session : (await given)[0];
  socket.end();
  await once(socket, 'close');
  assert.ok(kept !== undefined);
  return { isResumed, session: kept };
}

/** A server on a port of its own, that says in one byte whether a session was resumed. */
async function serve(options: TlsServerOptions): Promise<{ address: StreamAddress; server: TlsServer }> {
  const server = new TlsServer({ certificates: [pki.source], ...options });
  const listener = await listen('127.0.0.1:0', (stream) => {
    server.accept(stream, {
      onSecure: answerInOneByte,
      onHandshakeFailed() {},
    });
  });
  after(async () => {
    await listener.close();
    await server.close();
  });
  return { address: listener.address, server };
}

async function startThread(buffer: SharedArrayBuffer): Promise<{ address: StreamAddress; stop(): Promise<void> }> {
  const worker = new Worker(new URL('./server-tickets.worker.ts', import.meta.url), { workerData: { buffer, ...pki.source } });
  const [address] = (await once(worker, 'message')) as [StreamAddress];
  return {
    address,
    async stop() {
      worker.postMessage('stop');
      await once(worker, 'exit');
    },
  };
}

test('tickets of one thread are resumed by another, after one rotation too, and not after two', { timeout: 30_000 }, async () => {
  const keys = new TicketKeys({ rotationMs: Infinity });
  const [one, other] = await Promise.all([startThread(keys.buffer), startThread(keys.buffer)]);
  try {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await visit(one.address, version);
      assert.equal(first.isResumed, false);
      assert.equal((await visit(other.address, version, first.session)).isResumed, true, `${version}, the same key`);
      keys.rotate();
      assert.equal((await visit(other.address, version, first.session)).isResumed, true, `${version}, the key before`);
      keys.rotate();
      assert.equal((await visit(other.address, version, first.session)).isResumed, false, `${version}, two keys ago`);
      assert.equal((await visit(one.address, version)).isResumed, false);
    }
  } finally {
    await Promise.all([one.stop(), other.stop()]);
  }
});

test('a server that rotates for itself goes on resuming, and counts it', async () => {
  const { address, server } = await serve({});
  const first = await visit(address, 'TLSv1.3');
  server.rotateTicketKeys();
  assert.equal((await visit(address, 'TLSv1.3', first.session)).isResumed, true);
  assert.equal(server.counts.resumed, 1);
  assert.equal(server.counts.completed, 2);
});

test('without tickets nothing is resumed', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { address } = await serve({ tickets: false });
    const first = await visit(address, version);
    assert.equal((await visit(address, version, first.session)).isResumed, false);
  }
});

test('a session never crosses to a server with another certificate, or other demands on those of clients (CVE-2025-23419)', async () => {
  const tickets = new TicketKeys();
  const lenient = await serve({ tickets });
  const optional = await serve({ tickets, clientCertificates: { mode: 'optional', ca: pki.authority.certificate } });
  const required = await serve({ tickets, clientCertificates: { mode: 'required', ca: pki.authority.certificate } });
  const shallow = await serve({ tickets, clientCertificates: { mode: 'required', ca: pki.authority.certificate, maxDepth: 1 } });
  const other = sourceOf(await pki.authority.issue({ names: ['localhost'] }));
  const renewed = await serve({ tickets, certificates: [other] });
  const all = [lenient, optional, required, shallow, renewed];
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const from of all) {
      const { session } = await visit(from.address, version);
      for (const to of all) {
        const { isResumed } = await visit(to.address, version, session);
        assert.equal(isResumed, from === to, `${version} from ${all.indexOf(from)} to ${all.indexOf(to)}`);
      }
    }
  }
});

test('a resumed client that has never shown a certificate is not verified, whatever Node says of it', async () => {
  const server = new TlsServer({ certificates: [pki.source], clientCertificates: { mode: 'optional', ca: pki.authority.certificate } });
  const seen: string[] = [];
  await using listener = await listen('127.0.0.1:0', (stream) => {
    server.accept(stream, {
      onSecure(secure) {
        const { tls } = secure.info;
        seen.push(`${tls?.isResumed === true} ${tls?.isPeerVerified === true} ${tls?.peerCertificate === null}`);
        answerInOneByte(secure);
      },
      onHandshakeFailed() {},
    });
  });
  const first = await visit(listener.address, 'TLSv1.3', undefined, false);
  await visit(listener.address, 'TLSv1.3', first.session, false);
  assert.deepEqual(seen, ['false false true', 'true false true']);
  await server.close();
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a certificate that has expired since is not taken from a session either, with ${version}`, async () => {
    let wallMs = Date.now();
    const clock: Clock = { now: () => systemClock.now(), schedule: (ms, wake) => systemClock.schedule(ms, wake), wallNow: () => wallMs };
    const reasons: string[] = [];
    const server = new TlsServer({
      certificates: [pki.source],
      clientCertificates: { mode: 'optional', ca: pki.authority.certificate },
      clock,
    });
    await using listener = await listen('127.0.0.1:0', (stream) => {
      server.accept(stream, {
        onSecure: answerInOneByte,
        onHandshakeFailed: (error) => reasons.push(error.reason),
      });
    });
    const { session } = await visit(listener.address, version);
    assert.equal((await visit(listener.address, version, session)).isResumed, true);
    wallMs += 20 * 365 * 86_400_000;
    const refused = nodeConnect({
      host: '127.0.0.1',
      port: listener.address.kind === 'ip' ? listener.address.port : 0,
      servername: 'localhost',
      ca: pki.authority.certificate,
      maxVersion: version,
      session,
    });
    refused.on('error', () => undefined);
    await new Promise<void>((resolve) => refused.once('close', () => resolve()));
    assert.deepEqual(reasons, ['TLS_CLIENT_CERT_EXPIRED']);
    await server.close();
  });
}

test('sessionTimeoutMs is how long a client may keep its session (RFC 8446 §4.6.1)', async () => {
  const { address } = await serve({ sessionTimeoutMs: 3_600_000 });
  const { session } = await visit(address, 'TLSv1.3');
  // ticketLifetimeHint [9] EXPLICIT INTEGER of OpenSSL's SSL_SESSION: 3 600 seconds.
  assert.ok(session.includes(Buffer.of(0xa9, 4, 2, 2, 0x0e, 0x10)));
});

test('after a long absence the key that should have been forgotten is no previous key', () => {
  const clock = new ManualClock();
  const keys = new TicketKeys({ rotationMs: 1000, clock });
  const old = keys.read();
  clock.advance(2000);
  assert.equal(keys.refresh(), 3);
  const { current, previous } = keys.read();
  assert.notDeepEqual(previous, old.current);
  assert.notDeepEqual(current, previous);
});

test('a thread that was terminated while it made a key stops no other for long', () => {
  const clock = new ManualClock({ now: 5_000_000 });
  const keys = new TicketKeys({ rotationMs: 1000, clock });
  // As the other thread left it: the lock, taken now.
  new Int32Array(keys.buffer)[1] = Math.floor(clock.now()) | 0;
  keys.rotate();
  assert.equal(keys.generation, 1);
  clock.advance(10_001);
  keys.rotate();
  assert.equal(keys.generation, 2);
  keys.rotate();
  assert.equal(keys.generation, 3);
});

test('keys rotate when they are due, once for all who share them', () => {
  const clock = new ManualClock();
  const one = new TicketKeys({ rotationMs: 1000, clock });
  const other = new TicketKeys({ rotationMs: 1000, clock, buffer: one.buffer });
  const before = one.read();
  assert.equal(before.generation, 1);
  assert.equal(before.previous, null);
  assert.equal(before.current.length, 48);
  clock.advance(999);
  assert.equal(other.refresh(), 1);
  clock.advance(1);
  assert.equal(other.refresh(), 2);
  assert.equal(one.refresh(), 2);
  const later = one.read();
  assert.deepEqual(later.previous, before.current);
  assert.notDeepEqual(later.current, before.current);
  assert.deepEqual(other.read(), later);
  other.rotate();
  assert.equal(one.generation, 3);
  assert.deepEqual(one.read().previous, later.current);
});

test('the name of a key is its first 16 bytes (RFC 5077 §4)', () => {
  const { current } = new TicketKeys().read();
  assert.equal(isNamed(current, current.subarray(0, 16)), true);
  assert.equal(isNamed(current, current.subarray(0, 15)), false);
  assert.equal(isNamed(current, current.subarray(1, 17)), false);
});

test('what is no buffer of keys is refused', () => {
  assert.throws(() => new TicketKeys({ buffer: new SharedArrayBuffer(48) }), TypeError);
  const { byteLength } = new TicketKeys().buffer;
  assert.throws(() => new TicketKeys({ buffer: new SharedArrayBuffer(byteLength) }), /TypeError: .* no keys/);
  assert.throws(() => new TicketKeys({ buffer: new ArrayBuffer(160) as never }), TypeError);
  assert.throws(() => new TicketKeys({ rotationMs: 0 }), RangeError);
});
