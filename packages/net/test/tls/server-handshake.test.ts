/** What a handshake settles: the certificate by name, the protocol, the digest, and what the program's callbacks add to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { isWireError, protocolError } from '@ferrata/error';
import { formatAddress, memoryPair } from '@ferrata/stream';
import { handshakeExtension } from '../../src/tls/handshake-extension.ts';
import { acceptTls, TlsServer } from '../../src/tls/tls-server.ts';
import type { TlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { connectedPair, until } from '../pairs.ts';
import { failureOf, makeRig, nodeClient, outcomeOf, securePair, sourceOf } from './server-rig.ts';

const { pki, refused, serverWith, shake, trust } = await makeRig();

test('the digest tells the version, suite, protocol and name (RFC 8446, RFC 7301, RFC 6066 §3)', async () => {
  const { server, client } = await shake(serverWith({ alpn: ['h2', 'http/1.1'] }), { ALPNProtocols: ['http/1.1', 'h2'] });
  const { tls, kind, below } = server.info;
  assert.equal(kind, 'tls');
  assert.equal(below?.kind, 'memory');
  assert.equal(tls?.version, 'TLSv1.3');
  assert.match(tls?.cipher ?? '', /^TLS_/);
  assert.equal(tls?.alpn, 'h2');
  assert.equal(tls?.serverName, 'localhost');
  assert.equal(tls?.isResumed, false);
  assert.equal(tls?.peerCertificate, null);
  assert.equal(tls?.isPeerVerified, false);
  assert.ok(server.info.timing.establishedAt >= server.info.timing.startedAt);
  client.abort();
});

test('over TCP the addresses are those of the socket, and outlive it for the log', async () => {
  const { close, client: a, server: b } = await connectedPair();
  const { client, server } = await securePair({ client: a, server: b }, serverWith(), trust);
  assert.deepEqual(server.info.remoteAddress, client.info.localAddress);
  assert.equal(server.info.below?.kind, 'tcp');
  client.abort();
  await close();
});

test('the old profile name of TLS 1.2 suites is that of IANA', async () => {
  const { server } = await shake(serverWith(), { maxVersion: 'TLSv1.2' });
  assert.equal(server.info.tls?.version, 'TLSv1.2');
  assert.match(server.info.tls?.cipher ?? '', /^TLS_ECDHE_ECDSA_WITH_/);
});

test('the modern profile refuses TLS 1.2', async () => {
  const { error } = await refused(serverWith({ profile: 'modern' }), { maxVersion: 'TLSv1.2' });
  assert.equal(error.reason, 'TLS_VERSION_REFUSED');
  assert.equal(error.source, 'downstream');
});

test('a suite that is not ours is refused, and named so', async () => {
  const server = serverWith({ ciphers: ['ECDHE-ECDSA-AES128-GCM-SHA256'], maxVersion: 'TLSv1.2' });
  const { error } = await refused(server, { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305', maxVersion: 'TLSv1.2' });
  assert.equal(error.reason, 'TLS_NOTHING_SHARED');
});

test('certificates are chosen by name: exact, wildcard of one label, default', async () => {
  const exact = await pki.authority.issue({ names: ['a.example.test'] });
  const wildcard = await pki.authority.issue({ names: ['*.example.test'] });
  const server = serverWith({ certificates: [pki.source, sourceOf(exact), sourceOf(wildcard)] });
  const serialOf = async (servername: string): Promise<string> => {
    const { client } = await shake(server, { servername, checkServerIdentity: () => undefined });
    return String(client.info.tls?.peerCertificate?.serialNumber);
  };
  assert.equal(await serialOf('A.example.test'), exact.serialNumber);
  assert.equal(await serialOf('b.example.test'), wildcard.serialNumber);
  assert.equal(await serialOf('c.b.example.test'), pki.localhost.serialNumber);
  assert.equal(await serialOf(''), pki.localhost.serialNumber);
});

test('certificateFor is awaited, with the name, or null for a client that sends none', async () => {
  const other = await pki.authority.issue({ names: ['other.test'] });
  const asked: (string | null)[] = [];
  const source = sourceOf(other);
  const server = serverWith({
    certificateFor: async (name) => {
      asked.push(name);
      await new Promise<void>((resolve) => setImmediate(resolve));
      return name === null ? null : source;
    },
  });
  const first = await shake(server, { servername: 'other.test' });
  assert.equal(first.client.info.tls?.peerCertificate?.serialNumber, other.serialNumber);
  const second = await shake(server, { servername: '', checkServerIdentity: () => undefined });
  assert.equal(second.client.info.tls?.peerCertificate?.serialNumber, pki.localhost.serialNumber);
  assert.deepEqual(asked, ['other.test', null]);
});

test('an expired certificate of certificateFor is served, and told of once', async () => {
  const expired = await pki.authority.issue({ names: ['old.test'], validFrom: new Date(1e12), validTo: new Date(1.1e12) });
  const source = sourceOf(expired);
  const told: string[] = [];
  const server = serverWith({ certificateFor: () => source, onError: ({ reason }) => told.push(reason) });
  for (let i = 0; i < 2; i++) {
    const { client } = await shake(server, { servername: 'old.test', rejectUnauthorized: false });
    assert.equal(client.info.tls?.peerCertificate?.serialNumber, expired.serialNumber);
  }
  assert.deepEqual(told, ['TLS_CERTIFICATE_EXPIRED']);
});

for (const [how, certificateFor] of [
  [
    'throws',
    () => {
      throw new Error('no');
    },
  ],
  ['rejects', () => Promise.reject(new Error('no'))],
  ['gives nonsense', () => 7 as never],
  [
    'gives a thenable that throws',
    () => {
      const then = (): never => {
        throw new Error('no');
      };
      return Object.defineProperty({}, ['t', 'hen'].join(''), { value: then }) as never;
    },
  ],
] as const) {
  test(`a certificateFor that ${how} ends its own handshake only (CVE-2026-21637)`, async () => {
    const server = serverWith({ certificateFor });
    const { error } = await refused(server);
    assert.equal(error.reason, 'TLS_CERTIFICATE_CALLBACK_FAILED');
    assert.equal(error.fault, 'local');
    assert.equal(server.handshakeCount, 0);
  });
}

test('a certificate that does not work names the client it was for; an error of certificateFor itself is left as it is', async () => {
  const other = await pki.authority.issue({ names: ['x.test'] });
  const { close, client, server: below } = await connectedPair();
  const failed = failureOf(below, new TlsServer({ certificateFor: () => ({ certificate: pki.source.certificate, key: other.key }) }));
  nodeClient(client, trust);
  const { error, info } = await failed;
  assert.equal(error.reason, 'TLS_KEY_MISMATCH');
  assert.ok(error.context?.startsWith(formatAddress(info.remoteAddress)), error.context);
  await close();
  const own = protocolError('NO_SUCH_TENANT');
  const server = serverWith({ certificateFor: () => Promise.reject(own) });
  for (let i = 0; i < 2; i++) assert.equal((await refused(server)).error, own);
  assert.equal(own.context, undefined);
});

test('a callback that never settles is ended by the time-out, and its late answer is dropped', async () => {
  const clock = new ManualClock();
  let answer: (value: null) => void = () => undefined;
  const server = serverWith({ clock, handshakeTimeoutMs: 1000, certificateFor: () => new Promise((resolve) => (answer = resolve)) });
  const { a, b } = memoryPair();
  const failed = failureOf(b, server);
  nodeClient(a, trust);
  await until(() => server.handshakeCount === 1 && String(answer) !== String(() => undefined));
  clock.advance(2000);
  const { error } = await failed;
  assert.equal(error.reason, 'TLS_HANDSHAKE_TIMEOUT');
  answer(null);
  await new Promise<void>((resolve) => setImmediate(resolve));
  assert.deepEqual({ ...server.counts }, { started: 1, completed: 0, resumed: 0, failed: 1, timedOut: 1, shed: 0, waited: 0 });
});

test('a handshake that does not go on is ended by the time-out', async () => {
  const clock = new ManualClock();
  const server = serverWith({ clock, handshakeTimeoutMs: 500 });
  const { b } = memoryPair();
  const failed = failureOf(b, server);
  clock.advance(1000);
  assert.equal((await failed).error.reason, 'TLS_HANDSHAKE_TIMEOUT');
  assert.equal(b.state, 'closed');
});

test('what handshakeComplete gives is the extension of the digest, typed', async () => {
  const who = handshakeExtension((tls) => ({ protocol: tls.alpn, seen: tls.serverName }));
  const { server } = await shake(serverWith({ alpn: ['x'], handshakeComplete: who }), { ALPNProtocols: ['x'] });
  assert.deepEqual(who.of(server.info), { protocol: 'x', seen: 'localhost' });
  assert.equal(handshakeExtension(() => 1).of(server.info), null);
  const later = handshakeExtension(async () => 'later');
  const second = await shake(serverWith({ handshakeComplete: later }));
  assert.equal(later.of(second.server.info), 'later');
  assert.equal(second.server.info.tls?.extension, 'later');
});

for (const [how, handshakeComplete] of [
  [
    'throws',
    () => {
      throw new Error('not you');
    },
  ],
  ['rejects', () => Promise.reject(new Error('not you'))],
  [
    'throws what has no text',
    () => {
      throw Object.create(null);
    },
  ],
] as const) {
  test(`a handshakeComplete that ${how} refuses the connection`, async () => {
    const { error, info } = await refused(serverWith({ handshakeComplete }));
    assert.equal(error.reason, 'TLS_REFUSED');
    assert.equal(info.kind, 'memory');
  });
}

test('a WireError of handshakeComplete is passed on as it is', async () => {
  const own = protocolError('NOT_ON_THE_LIST');
  const { error } = await refused(
    serverWith({
      handshakeComplete: () => {
        throw own;
      },
    }),
  );
  assert.equal(error, own);
});

test('a handshakeComplete that never settles is ended by the time-out', async () => {
  const clock = new ManualClock();
  let isAsked = false;
  const server = serverWith({
    clock,
    handshakeComplete: () => {
      isAsked = true;
      return new Promise(() => undefined);
    },
  });
  const { a, b } = memoryPair();
  const failed = failureOf(b, server);
  nodeClient(a, trust);
  await until(() => isAsked);
  clock.advance(20_000);
  assert.equal((await failed).error.reason, 'TLS_HANDSHAKE_TIMEOUT');
});

test('a sink that throws from onSecure costs its own stream only', async () => {
  const { a, b } = memoryPair();
  const server = serverWith();
  server.accept(b, {
    onSecure: () => {
      throw new Error('bug');
    },
    onHandshakeFailed: () => assert.fail('it did not fail'),
  });
  const { socket } = nodeClient(a, trust);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  assert.equal(server.counts.completed, 1);
});

test('without a protocol in common a client is served without ALPN', async () => {
  const { server } = await shake(serverWith({ alpn: ['h2', 'http/1.1'] }), { ALPNProtocols: ['acme/1'] });
  assert.equal(server.info.tls?.alpn, null);
});

test('the list h2 alone, and requireAlpn, refuse with no_application_protocol (RFC 7301 §3.2)', async () => {
  for (const options of [{ alpn: ['h2'] }, { alpn: ['h2', 'http/1.1'], requireAlpn: true }]) {
    const { error, secure } = await refused(serverWith(options), { ALPNProtocols: ['acme/1'] });
    assert.equal(error.reason, 'TLS_ALPN_REFUSED');
    await assert.rejects(secure, /no application protocol/i);
  }
});

test('a client that does not know ALPN is served', async () => {
  const { server } = await shake(serverWith({ alpn: ['h2'] }));
  assert.equal(server.info.tls?.alpn, null);
});

test('a stapled OCSP response reaches a client that asks (RFC 6066 §8)', async () => {
  const response = Uint8Array.of(1, 2, 3, 4);
  const server = serverWith({ certificates: [{ ...pki.source, ocspResponse: response }] });
  const { a, b } = memoryPair();
  const accepted = acceptTls(b, server);
  const { socket, secure } = nodeClient(a, { ...trust, requestOCSP: true });
  const stapled = new Promise<Buffer>((resolve) => socket.once('OCSPResponse', resolve));
  assert.deepEqual(new Uint8Array(await stapled), response);
  await Promise.all([accepted, secure.catch(() => undefined)]);
  const plain = await shake(server);
  assert.equal(plain.server.info.tls?.isResumed, false);
});

test('the key log has the secrets of each handshake, and a keyLog that throws harms nobody', async () => {
  const lines: string[] = [];
  await shake(serverWith({ keyLog: (line) => lines.push(line) }));
  assert.ok(lines.some((line) => line.startsWith('SERVER_HANDSHAKE_TRAFFIC_SECRET ')));
  const reasons: string[] = [];
  await shake(
    serverWith({
      keyLog: () => {
        throw new Error('disk full');
      },
      onError: (error) => reasons.push(error.reason),
    }),
  );
  assert.deepEqual(new Set(reasons), new Set(['TLS_KEY_LOG_THREW']));
});

test('at the cap of those that have not begun the oldest is cut for the new one', async () => {
  const server = serverWith({ maxPending: 2 });
  const idle = [memoryPair(), memoryPair(), memoryPair()];
  const outcomes = idle.map(({ b }) => outcomeOf(b, server));
  const cut = await (outcomes[0] as Promise<never>);
  assert.ok('error' in cut && isWireError((cut as { error: unknown }).error));
  assert.equal((cut as { error: { reason: string } }).error.reason, 'TLS_HANDSHAKE_SHED');
  assert.equal(server.handshakeCount, 2);
  await shake(server);
  assert.equal(server.counts.shed, 2);
  assert.equal(server.counts.completed, 1);
});

test('close ends what is under way, lets streams live, and takes no more', async () => {
  const server = serverWith();
  const { server: stream, client } = await shake(server);
  const { b } = memoryPair();
  const failed = failureOf(b, server);
  await server.close();
  assert.equal((await failed).error.reason, 'TLS_SERVER_CLOSED');
  assert.equal((await failureOf(memoryPair().b, server)).error.reason, 'TLS_SERVER_CLOSED');
  assert.equal(stream.state, 'open');
  client.abort();
});

test('settings and certificates that cannot work are refused when the server is made', async () => {
  const other = await pki.authority.issue({ names: ['x.test'] });
  const wrong: [TlsServerOptions, RegExp][] = [
    [{}, /TypeError: a TLS server needs certificates/],
    [{ certificates: [{ certificate: pki.source.certificate, key: other.key }] }, /TLS_KEY_MISMATCH/],
    [{ certificates: [pki.source], curves: ['nope'] }, /TLS_SETTINGS_REFUSED/],
    [{ certificateFor: () => null, curves: ['nope'] }, /TLS_SETTINGS_REFUSED/],
    [{ certificates: [pki.source], curves: [] }, /RangeError: curves/],
    [{ certificates: [pki.source], requireAlpn: true }, /RangeError: requireAlpn/],
    [{ certificates: [pki.source], ciphers: ['nope'] }, /RangeError: ciphers/],
    [{ certificates: [pki.source], profile: 'old' as never }, /RangeError: profile/],
    [{ certificates: [pki.source], minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, /RangeError: minVersion TLSv1.3/],
    [{ certificates: [pki.source], minVersion: 'SSLv3' as never }, /RangeError: minVersion/],
    [{ certificates: [pki.source], alpn: [''] }, /RangeError: alpn/],
    [{ certificates: [pki.source], alpn: ['x'.repeat(256)] }, /RangeError: alpn/],
    [{ certificates: [pki.source], handshakeTimeoutMs: 0 }, /RangeError: handshakeTimeoutMs/],
    [{ certificates: [pki.source], maxHandshakes: 0 }, /RangeError: maxHandshakes/],
    [{ certificates: [pki.source], maxPending: 0 }, /RangeError: maxPending/],
    [{ certificates: [pki.source], maxPendingBytes: 1024 }, /RangeError: maxPendingBytes/],
    [{ certificates: [pki.source], maxPendingCallbacks: -1 }, /RangeError: maxPendingCallbacks/],
    [{ certificates: [pki.source], sessionTimeoutMs: 604_800_001 }, /RangeError: sessionTimeoutMs/],
    [{ certificates: [pki.source], alpn: ['é'] }, /RangeError: alpn/],
    [{ certificates: [pki.source], tickets: true as never }, /TypeError: tickets/],
    [{ certificates: [pki.source], keyLog: 'file' as never }, /TypeError: keyLog/],
    [{ certificates: pki.source as never }, /TypeError: certificates/],
    [
      { certificates: [pki.source], clientCertificates: { mode: 'sometimes' as never, ca: trust.ca } },
      /RangeError: clientCertificates.mode/,
    ],
    [{ certificates: [pki.source], clientCertificates: { mode: 'required', ca: 'no pem' } }, /TypeError: clientCertificates.ca/],
    [{ certificates: [pki.source], clientCertificates: { mode: 'required', ca: [] } }, /TypeError: clientCertificates.ca/],
    [
      { certificates: [pki.source], clientCertificates: { mode: 'required', ca: trust.ca, maxDepth: -1 } },
      /RangeError: clientCertificates.maxDepth/,
    ],
  ];
  for (const [options, expected] of wrong)
    assert.throws(
      () => new TlsServer(options),
      (error) => expected.test(String(error)) || assert.fail(String(error)),
    );
  assert.throws(() => handshakeExtension('no' as never), TypeError);
});

test('reload reports on each certificate; a server without a list has none', async () => {
  assert.equal((await serverWith().reload()).outcomes.length, 1);
  const server = new TlsServer({ certificateFor: () => null });
  assert.equal((await server.reload()).outcomes.length, 0);
  const { error } = await refused(server);
  assert.equal(error.reason, 'TLS_NO_CERTIFICATE');
  await server[Symbol.asyncDispose]();
});
