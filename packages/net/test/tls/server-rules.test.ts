/** What the handshake owes to its neighbours: received data whatever ends first, a process that lives, a name that does not change, clear words. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import type { TlsServer } from '../../src/tls/tls-server.ts';
import type { TlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { connectedPair, until } from '../pairs.ts';
import { failureOf, makePki, nodeClient, securePair, tlsServer } from './server-rig.ts';

const pki = await makePki();
const trust = { ca: pki.authority.certificate };
const servers: TlsServer[] = [];
after(async () => {
  for (const server of servers) await server.close();
});

function serverWith(options: TlsServerOptions = {}): TlsServer {
  const server = tlsServer(pki, options);
  servers.push(server);
  return server;
}

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
  const { client } = await securePair(memoryEnds(), serverWith(), trust);
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
  const pair = await securePair(memoryEnds(), server, { ...trust, servername: 'LocalHost' });
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

function memoryEnds(): { client: L4Stream; server: L4Stream } {
  const { a, b } = memoryPair();
  return { client: a, server: b };
}
