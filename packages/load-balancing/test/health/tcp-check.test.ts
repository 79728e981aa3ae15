/** Checks by connecting, against sockets on loopback and streams that are none. */
import assert from 'node:assert/strict';
import { createServer as createTcpServer } from 'node:net';
import { describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpEnvironment } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import type { Backend } from '../../src/backend.ts';
import type { HealthCheck } from '../../src/health/health-check.ts';
import { tcpCheck } from '../../src/health/tcp-check.ts';
import { listening, rejection, settle } from '../internal/http-rig.ts';
import { backendOf } from './rig.ts';

const authority = await createAuthority();
const [served, elsewhere, expired] = await Promise.all([
  authority.issue({ names: ['127.0.0.1'] }),
  authority.issue({ names: ['elsewhere.test'] }),
  authority.issue({ names: ['127.0.0.1'], validFrom: new Date(Date.now() - 7_200_000), validTo: new Date(Date.now() - 3_600_000) }),
]);
const ca = authority.certificate;

function look(check: HealthCheck, backend: Backend, signal = new AbortController().signal): Promise<void> {
  return check.check(backend, { environment: new HttpEnvironment(), signal });
}

/** Sockets of this process that are open: of clients, and of what servers have accepted. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
}

describe('connecting', () => {
  test('is enough, and leaves nothing behind', async (t) => {
    const server = await listening(t, createTcpServer());
    await look(tcpCheck(), backendOf({ address: `127.0.0.1:${server.port}` }));
    await server.allGone();
    assert.equal(server.accepted(), 1);
  });

  test('fails where nobody listens', async (t) => {
    const server = createTcpServer();
    const { port } = await listening(t, server);
    await new Promise((resolve) => server.close(resolve));
    const error = await rejection(look(tcpCheck(), backendOf({ address: `127.0.0.1:${port}` })));
    assert.deepEqual([error.type, error.reason], ['connect', 'CONNECT_REFUSED']);
  });

  test('goes to the port for checks, where there is one', async (t) => {
    const server = await listening(t, createTcpServer());
    await look(tcpCheck(), backendOf({ address: '127.0.0.1:1', healthPort: server.port }));
    await server.allGone();
    assert.equal(server.accepted(), 1);
  });

  test('goes by the backend’s own way, which gets the backend, and drops the stream', async () => {
    const { a, b } = memoryPair();
    let isClosed = false;
    b.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: () => (isClosed = true) });
    const seen: unknown[] = [];
    const backend = backendOf({
      address: '127.0.0.1:1',
      connect: (given) => {
        seen.push(given);
        return Promise.resolve(a);
      },
    });
    await look(tcpCheck(), backend);
    await settle();
    assert.deepEqual([seen, isClosed], [[backend], true]);
  });

  test('of a backend’s own way that throws, or gives no stream, fails', async () => {
    const failing = backendOf({ address: '127.0.0.1:1', connect: () => Promise.reject(new Error('of the program')) });
    assert.equal((await rejection(look(tcpCheck(), failing))).reason, 'CONNECT_THREW');
    const wrong = backendOf({ address: '127.0.0.1:1', connect: () => Promise.resolve({}) as never });
    await assert.rejects(look(tcpCheck(), wrong), TypeError);
  });

  test('to a black hole is over after a second, or the time given, or when the checker gives up', async () => {
    const hole = backendOf({ address: '127.0.0.1:1', connect: () => new Promise<L4Stream>(() => {}) });
    for (const [options, timeoutMs] of [[{}, 1_000] as const, [{ timeoutMs: 200 }, 200] as const]) {
      const clock = new ManualClock();
      const environment = new HttpEnvironment({ clock });
      const asked = rejection(tcpCheck(options).check(hole, { environment, signal: new AbortController().signal }));
      clock.advance(timeoutMs - 1);
      await settle();
      assert.equal(environment.deadlines.size, 1);
      clock.advance(20);
      const error = await asked;
      assert.deepEqual([error.type, error.reason, environment.deadlines.size], ['timeout', 'CONNECT_TIMEOUT', 0]);
    }
    const abort = new AbortController();
    const asked = rejection(look(tcpCheck(), hole, abort.signal));
    abort.abort();
    assert.equal((await asked).reason, 'HTTP_ABORTED');
    assert.equal((await rejection(look(tcpCheck(), hole, abort.signal))).reason, 'HTTP_ABORTED');
  });
});

describe('shaking hands', () => {
  test('is part of it where TLS is asked for', async (t) => {
    let handshakes = 0;
    const errors: Error[] = [];
    const server = await listening(
      t,
      createTlsServer({ cert: served.chain, key: served.key }, (socket) => {
        handshakes++;
        socket.on('error', (error: Error) => void errors.push(error));
        socket.resume();
      }),
    );
    const check = tcpCheck({ tls: { ca } });
    assert.equal(check.name, 'tls');
    await look(check, backendOf({ address: `127.0.0.1:${server.port}` }));
    await server.allGone();
    assert.deepEqual([handshakes, errors], [1, []]);
  });

  test('fails for the wrong name, an authority that nobody knows, and a certificate out of date', async (t) => {
    const reasonOf = async (certificate: typeof served, options: object): Promise<string> => {
      const server = await listening(t, createTlsServer({ cert: certificate.chain, key: certificate.key }));
      const { reason } = await rejection(look(tcpCheck(options), backendOf({ address: `127.0.0.1:${server.port}` })));
      await server.allGone();
      return reason;
    };
    assert.equal(await reasonOf(elsewhere, { tls: { ca } }), 'TLS_HOSTNAME_MISMATCH');
    assert.equal(await reasonOf(served, { tls: true }), 'TLS_CERT_UNTRUSTED');
    assert.equal(await reasonOf(expired, { tls: { ca } }), 'TLS_CERT_EXPIRED');
    assert.equal(await reasonOf(served, { tls: { ca }, servername: 'elsewhere.test' }), 'TLS_HOSTNAME_MISMATCH');
  });

  test('fails where a server speaks something else, or nothing at all', async (t) => {
    const talker = await listening(
      t,
      createTcpServer((socket) => void socket.resume().write('220 mail.test\r\n')),
    );
    const other = await rejection(look(tcpCheck({ tls: { ca } }), backendOf({ address: `127.0.0.1:${talker.port}` })));
    assert.equal(other.type, 'tls');
    await talker.allGone();

    const { a, b } = memoryPair();
    let isClosed = false;
    b.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: () => (isClosed = true) });
    const clock = new ManualClock();
    const silent = backendOf({ address: '127.0.0.1:1', connect: () => Promise.resolve(a) });
    const asked = rejection(
      tcpCheck({ tls: { ca } }).check(silent, { environment: new HttpEnvironment({ clock }), signal: new AbortController().signal }),
    );
    await settle();
    clock.advance(1_020);
    assert.equal((await asked).reason, 'TLS_HANDSHAKE_TIMEOUT');
    await settle();
    assert.equal(isClosed, true);
  });

  test('with a server that does not end its side leaves the connection for a second, and no longer', async (t) => {
    const secure = createTlsServer({ cert: served.chain, key: served.key, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      socket.resume();
    });
    const server = await listening(t, secure);
    const clock = new ManualClock();
    const held = new HttpEnvironment({ clock });
    await tcpCheck({ tls: { ca } }).check(backendOf({ address: `127.0.0.1:${server.port}` }), {
      environment: held,
      signal: new AbortController().signal,
    });
    for (let turn = 0; turn < 20; turn++) await settle();
    assert.deepEqual([held.deadlines.size, openSockets()], [1, 2]);
    clock.advance(1_020);
    for (let turn = 0; turn < 20; turn++) await settle();
    assert.deepEqual([held.deadlines.size, openSockets()], [0, 1]);
  });

  test('refuses options that cannot work', () => {
    assert.throws(() => tcpCheck({ timeoutMs: 0 }), RangeError);
    assert.throws(() => tcpCheck({ tls: 'yes' as never }), TypeError);
    assert.throws(() => tcpCheck({ tls: { ca: 'no certificate' } }), TypeError);
    assert.throws(() => tcpCheck({ servername: 1 as never }), TypeError);
  });
});
