/** Sessions of a TLS client: resumed where that is safe, and nowhere else (RFC 8446 §2.2). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import type { PeerCertificate } from '@ferrata/stream';
import { createPeerCertificate } from '../../src/tls/peer-certificate.ts';
import { TlsClient } from '../../src/tls/tls-client.ts';
import { TlsClientSessions } from '../../src/tls/tls-client-sessions.ts';
import { digestOf, exchange, failureOf, makeClientPki, nodeServer, type Peer, secure } from './client-rig.ts';

const pki = await makeClientPki(['one.test', 'two.test', '127.0.0.1']);
const { trust } = pki;
const peer = await nodeServer(pki.shown);
after(() => peer[Symbol.asyncDispose]());

/** Connects, talks until the tickets are there, and says whether a session was resumed. */
async function isResumed(client: TlsClient, options: { serverName?: string; place?: string } = {}, to: Peer = peer): Promise<boolean> {
  const stream = await secure(to, client, options);
  const digest = digestOf(stream);
  assert.equal(digest.isPeerVerified, true);
  assert.equal(digest.peerCertificate?.serialNumber, pki.leaf.serialNumber.replace(/^0+/, ''), 'the certificate is known, resumed or not');
  assert.equal(await exchange(stream), 'ping');
  return digest.isResumed;
}

describe('sessions', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`the next connection to the same server resumes (${maxVersion})`, async () => {
      const client = new TlsClient({ ...trust, maxVersion });
      assert.deepEqual([await isResumed(client), await isResumed(client), await isResumed(client)], [false, true, true]);
      assert.equal(client.sessionCount, 1);
    });
  }

  test('sessions: false keeps none', async () => {
    const client = new TlsClient({ ...trust, sessions: false });
    assert.deepEqual([await isResumed(client), await isResumed(client), client.sessionCount], [false, false, 0]);
  });

  test('another name, and another place if places are told apart, has sessions of its own', async () => {
    const client = new TlsClient(trust);
    assert.equal(await isResumed(client, { serverName: 'one.test' }), false);
    assert.equal(await isResumed(client, { serverName: 'two.test' }), false);
    assert.equal(await isResumed(client, { serverName: 'one.test', place: 'elsewhere' }), false);
    assert.equal(await isResumed(client, { serverName: 'one.test' }), true);
    assert.equal(client.sessionCount, 3);
  });

  test('a session of one name never spares another one its verification', async () => {
    const client = new TlsClient(trust);
    await isResumed(client, { serverName: 'one.test' });
    assert.equal((await failureOf(peer, client, { serverName: 'stranger.test' })).reason, 'TLS_HOSTNAME_MISMATCH');
    // Nor without SNI, where OpenSSL itself would not notice.
    const silent = new TlsClient({ ...trust, serverName: null });
    (await secure(peer, silent, { host: 'one.test' })).abort();
    assert.equal((await failureOf(peer, silent, { host: 'stranger.test' })).reason, 'TLS_HOSTNAME_MISMATCH');
  });

  test('two clients share none: one that does not verify leaves nothing to one that does', async () => {
    const careless = new TlsClient({ verifyCert: false, serverName: 'one.test' });
    assert.equal(await exchange(await secure(peer, careless)), 'ping');
    const again = await secure(peer, careless);
    assert.deepEqual([digestOf(again).isResumed, digestOf(again).isPeerVerified], [true, false]);
    again.abort();
    assert.equal((await failureOf(peer, { serverName: 'one.test' })).reason, 'TLS_CERT_UNTRUSTED');
  });

  test('a server that has lost its keys makes a full handshake, and the next one resumes', async () => {
    const client = new TlsClient(trust);
    const ticketKeys = (): { ticketKeys: Buffer } => ({ ticketKeys: randomBytes(48) });
    await using before = await nodeServer({ ...pki.shown, ...ticketKeys() });
    await using later = await nodeServer({ ...pki.shown, ...ticketKeys() });
    assert.equal(await isResumed(client, {}, before), false);
    assert.equal(await isResumed(client, {}, later), false);
    assert.equal(await isResumed(client, {}, later), true);
  });

  test('a failed handshake drops the session that it was tried with', async () => {
    const client = new TlsClient({ ...trust, serverName: 'one.test' });
    await isResumed(client);
    await using closing = await nodeServer({ ...pki.shown, ALPNProtocols: ['h2'] });
    assert.equal(client.sessionCount, 1);
    assert.equal((await failureOf(closing, client, { alpn: ['other/1'] })).reason, 'TLS_ALPN_REFUSED');
    assert.equal(client.sessionCount, 0);
  });

  test('a connection that was given up leaves the session for the next one', async () => {
    const client = new TlsClient({ ...trust, serverName: 'one.test' });
    await isResumed(client);
    const given = await failureOf(peer, client, { signal: AbortSignal.abort(new Error('nobody waits any more')) });
    assert.deepEqual([given.reason, client.sessionCount], ['CONNECT_ABORTED', 1]);
    assert.equal(await isResumed(client), true);
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`a connection that handshakeComplete refuses leaves no session (${maxVersion})`, async () => {
      for (const handshakeComplete of [
        () => {
          throw new Error('not him');
        },
        async () => {
          // Later than the tickets of TLS 1.3, which come with the end of the handshake or right after it.
          await new Promise((resolve) => setImmediate(resolve));
          throw new Error('not him');
        },
      ]) {
        const client = new TlsClient({ ...trust, maxVersion, handshakeComplete });
        for (let i = 0; i < 2; i++) {
          assert.equal((await failureOf(peer, client)).reason, 'TLS_REFUSED');
          await new Promise((resolve) => setImmediate(resolve));
          assert.equal(client.sessionCount, 0);
        }
      }
    });

    test(`tickets that come while handshakeComplete takes its time are kept once it is through (${maxVersion})`, async () => {
      const handshakeComplete = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      const client = new TlsClient({ ...trust, maxVersion, handshakeComplete });
      assert.deepEqual([await isResumed(client), await isResumed(client)], [false, true]);
    });
  }

  test('a session does not outlive the certificate that it was verified by', async () => {
    // The clock of the client, not that of OpenSSL, which would refuse the certificate itself.
    const clock = new ManualClock({ wallNow: Date.now() });
    const client = new TlsClient({ ...trust, clock });
    assert.deepEqual([await isResumed(client), await isResumed(client)], [false, true]);
    clock.setWallNow(Date.now() + 400 * 86_400_000);
    assert.equal(await isResumed(client), false);
  });
});

describe('TlsClientSessions', () => {
  const session = (text: string): { ticket: Buffer; certificate: null } => ({ ticket: Buffer.from(text), certificate: null });

  test('the least recently used one goes first', () => {
    const sessions = new TlsClientSessions(2);
    sessions.keep('a', session('1'));
    sessions.keep('b', session('2'));
    assert.equal(sessions.find('a', 0)?.ticket.toString(), '1');
    sessions.keep('c', session('3'));
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => sessions.find(name, 0) !== null),
      [true, false, true],
    );
    sessions.keep('a', session('4'));
    assert.deepEqual([sessions.size, sessions.find('a', 0)?.ticket.toString()], [2, '4']);
    sessions.forget('a');
    assert.deepEqual([sessions.size, sessions.find('a', 0)], [1, null]);
  });

  test('one whose certificate cannot be read is not kept, nor an earlier one of that server', () => {
    const sessions = new TlsClientSessions(2);
    sessions.keep('a', session('1'));
    sessions.keep('a', { ticket: Buffer.from('2'), certificate: createPeerCertificate(new Uint8Array([0x30, 0])) });
    assert.deepEqual([sessions.size, sessions.find('a', 0)], [0, null]);
  });

  test('one whose certificate has expired is forgotten', () => {
    const sessions = new TlsClientSessions(2);
    sessions.keep('a', { ticket: Buffer.from('1'), certificate: { validTo: 1_000 } as PeerCertificate });
    assert.notEqual(sessions.find('a', 1_000), null);
    assert.equal(sessions.find('a', 1_001), null);
    assert.equal(sessions.size, 0);
  });
});
