/** What the handshake owes to its neighbours: received data whatever ends first, a process that lives, a name that does not change, clear words. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { queryObjects } from 'node:v8';
import { createAuthority } from '@ferrata/dev-certificates';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { type HandshakeOwner, TlsHandshake } from '../../src/tls/tls-handshake.ts';
import { ServerContexts } from '../../src/tls/tls-server-contexts.ts';
import { resolveTlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { HandshakePlaces } from '../../src/tls/tls-server-places.ts';
import { connectedPair, until } from '../pairs.ts';
import { failureOf, makeRig, nodeClient, securePair } from './server-rig.ts';

const { clientHello, pki, serverWith, shake, trust } = await makeRig();

interface Ends {
  readonly client: L4Stream;
  readonly server: L4Stream;
  close(): Promise<void>;
}

const carriers: Record<string, () => Promise<Ends>> = {
  'a memory pair': async () => {
    const { a, b } = memoryPair();
    return { client: a, server: b, close: async () => undefined };
  },
  TCP: async () => connectedPair(),
  'TLS over TCP': async () => {
    const { close, ...ends } = await connectedPair();
    const { client, server } = await securePair(ends, serverWith(), trust);
    return { client, server, close };
  },
};

for (const [carrier, make] of Object.entries(carriers)) {
  for (const role of ['server', 'client'] as const) {
    test(`what a paused ${role} has received over ${carrier} after its own end waits for it, to the last byte`, async () => {
      const { close, ...ends } = await make();
      const pair = await securePair(ends, serverWith(), trust);
      const [reader, writer] = role === 'server' ? [pair.server, pair.client] : [pair.client, pair.server];
      const heard = new RecordingSink();
      const peer = new RecordingSink();
      reader.attach(heard);
      writer.attach(peer);
      reader.pause();
      reader.end();
      await peer.untilEnd();
      writer.write(new Uint8Array(40_000));
      writer.end();
      // All that can happen by itself has happened.
      for (let turn = 0; turn < 100; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
      assert.equal(heard.byteLength, 0);
      reader.resume();
      await heard.untilClose();
      assert.equal(heard.byteLength, 40_000);
      assert.equal(heard.closeError, null);
      await peer.untilClose();
      await close();
    });
  }
}

test('async callbacks that reject take neither the process nor other connections along', async (t) => {
  // What a program in JavaScript may give.
  const rejecting = (what: string) =>
    (async () => {
      throw new Error(`${what} rejects`);
    }) as () => unknown;
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(warning.message);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const server = serverWith({ keyLog: rejecting('keyLog'), onError: rejecting('onError') });
  const { a, b } = memoryPair();
  const below = new RecordingSink();
  server.accept(b, { onSecure: rejecting('onSecure'), onHandshakeFailed: () => assert.fail('it succeeds') });
  const { secure } = nodeClient(a, trust);
  (await secure).attach(below);
  await below.untilClose();
  const plain = memoryPair();
  plain.a.attach(new RecordingSink());
  server.accept(plain.b, { onSecure: () => assert.fail('it fails'), onHandshakeFailed: rejecting('onHandshakeFailed') });
  plain.a.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  await until(() => warnings.includes('onHandshakeFailed rejects') && warnings.includes('onError rejects'));
  const { client } = await shake(serverWith());
  client.abort();
});

test('the name of the digest is in lower case, as the one that certificateFor is asked for', async () => {
  const names: (string | null)[] = [];
  const server = serverWith({
    certificateFor: (name) => {
      names.push(name);
      return null;
    },
  });
  const pair = await shake(server, { servername: 'LocalHost' });
  assert.equal(pair.server.info.tls?.serverName, 'localhost');
  assert.deepEqual(names, ['localhost']);
  pair.client.abort();
});

test('an alert in front of the hello, which we do not read on behind, is refused', async () => {
  // A warning (RFC 5246 §7.2): did OpenSSL go on, it would see a name that we have not seen.
  const { a, b } = memoryPair();
  a.write(Uint8Array.of(21, 3, 1, 0, 2, 1, 112));
  const failed = failureOf(b, serverWith());
  nodeClient(a, { ...trust, maxVersion: 'TLSv1.2' });
  const { error } = await failed;
  assert.equal(error.reason, 'TLS_NOT_TLS');
});

test('messages have the reason of OpenSSL in one line', async () => {
  const { a, b } = memoryPair();
  const outcome = failureOf(b, serverWith({ alpn: ['h2'] }));
  nodeClient(a, { ...trust, ALPNProtocols: ['acme/1'] });
  const { error } = await outcome;
  assert.equal(error.reason, 'TLS_ALPN_REFUSED');
  assert.match(error.message, /^[^\n]*no application protocol[^\n]*$/);
  assert.doesNotMatch(error.message, /\.c:\d/);
});

test('a name that OpenSSL has in the end, and that is not the one the certificate was chosen by, is refused (RFC 8446 §4.1.2)', async () => {
  const config = resolveTlsServerOptions({ certificates: [pki.source] });
  let settled: string | null = null;
  const owner: HandshakeOwner = {
    config,
    contexts: new ServerContexts(config),
    places: new HandshakePlaces(config),
    clientCheck: null,
    chooseCertificate: () => new Promise(() => undefined),
    handleSettled: (_, outcome) => (settled = outcome),
  };
  for (const [servername, isResumed, expected] of [
    ['localhost', false, 'completed'],
    ['LOCALHOST', false, 'completed'],
    ['other.test', false, 'failed'],
    ['other.test', true, 'failed'],
    [false, false, 'failed'],
    // A session of TLS 1.2 leaves OpenSSL without a name.
    [false, true, 'resumed'],
  ] as const) {
    const { a, b } = memoryPair();
    a.attach(new RecordingSink());
    const heard = new Promise<string>((resolve) => {
      const handshake = new TlsHandshake(owner, b, {
        onSecure: () => resolve('secure'),
        onHandshakeFailed: (error) => resolve(error.reason),
      });
      handshake.start();
      void clientHello().then(async (hello) => {
        a.write(hello);
        await until(() => handshake.phase === 'callback');
        handshake.handleSecure(socketWith(servername, isResumed));
      });
    });
    assert.equal(await heard, expected === 'failed' ? 'TLS_NAME_CHANGED' : 'secure');
    assert.equal(settled, expected);
  }
});

/** What `TlsHandshake` asks a socket for whose handshake is complete. */
function socketWith(servername: string | false, isResumed: boolean): TLSSocket {
  const facts = {
    servername,
    isSessionReused: () => isResumed,
    disableRenegotiation() {},
    getProtocol: () => 'TLSv1.2',
    getCipher: () => ({ standardName: 'TLS_AES_128_GCM_SHA256' }),
    getPeerX509Certificate: () => undefined,
  };
  return Object.assign(new PassThrough(), facts) as unknown as TLSSocket;
}

test('whose certificate is not taken in the mode "required" gets an end, over TLS 1.3 after its handshake is complete: Node has closed by then', async (t) => {
  const { close, client, server: below } = await connectedPair();
  t.after(() => close());
  const stranger = await (await createAuthority()).issue({ names: ['stranger.test'], use: 'client' });
  const server = serverWith({ clientCertificates: { mode: 'required', ca: pki.authority.certificate } });
  const refusal = failureOf(below, server);
  const { socket } = nodeClient(client, { ...trust, cert: stranger.chain, key: stranger.key });
  const heard: string[] = [];
  for (const event of ['secureConnect', 'data', 'end', 'error'] as const) socket.on(event, () => heard.push(event));
  const ended = new Promise((resolve) => socket.once('end', resolve).once('error', resolve));
  assert.equal((await refusal).error.reason, 'TLS_CLIENT_CERT_UNTRUSTED');
  await ended;
  socket.destroy();
  assert.deepEqual(heard, ['secureConnect', 'end']);
});

test('whom OpenSSL refuses gets its alert and an end; whom our own callback refuses after the handshake gets a reset, which no end can be taken for', async (t) => {
  const refusing = await connectedPair();
  t.after(() => {
    refusing.client.abort();
    return refusing.close();
  });
  const failed = failureOf(refusing.server, serverWith({ profile: 'modern' }));
  const heard = new RecordingSink({ onEnd: () => refusing.client.end() });
  refusing.client.attach(heard);
  refusing.client.write(await clientHello({ maxVersion: 'TLSv1.2' }));
  assert.equal((await failed).error.reason, 'TLS_VERSION_REFUSED');
  await heard.untilClose();
  assert.equal(heard.closeError, null);
  // An alert (RFC 8446 §6): fatal, protocol_version.
  assert.equal(Buffer.concat(heard.chunks()).toString('hex'), '15030300020246');

  const { close, client, server: below } = await connectedPair();
  t.after(() => close());
  const refusal = failureOf(below, serverWith({ handshakeComplete: () => Promise.reject(new Error('not you')) }));
  const { socket } = nodeClient(client, trust);
  const lost = new Promise<Error & { code?: string }>((resolve) => socket.once('error', resolve));
  socket.resume();
  assert.equal((await refusal).error.reason, 'TLS_REFUSED');
  assert.equal((await lost).code, 'ECONNRESET');
});

test('a peer that has ended before its hello was whole gets an end, not a reset', async (t) => {
  const { close, client, server: below } = await connectedPair();
  t.after(() => close());
  const failed = failureOf(below, serverWith());
  const heard = new RecordingSink();
  client.attach(heard);
  client.write((await clientHello()).subarray(0, 100));
  client.end();
  assert.equal((await failed).error.reason, 'TLS_HANDSHAKE_CUT');
  await heard.untilClose();
  assert.equal(heard.closeError, null);
});

test('a stream that is up keeps nothing of its handshake', async () => {
  const server = serverWith();
  const before = queryObjects(TlsHandshake, { format: 'count' });
  const pairs = [await shake(server), await shake(server, { maxVersion: 'TLSv1.2' })];
  assert.ok(queryObjects(TlsHandshake, { format: 'count' }) <= before);
  for (const { client } of pairs) client.abort();
});
