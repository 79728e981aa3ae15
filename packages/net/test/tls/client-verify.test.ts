/** Who a TLS client takes for its server, and whom it refuses; the other end is Node's server. */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { after, describe, test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { fromDuplex, toDuplex } from '../../src/index.ts';
import { connectTls, TlsClient } from '../../src/tls/tls-client.ts';
import { digestOf, exchange, failureOf, makeClientPki, nodeServer, noOutcome, secure } from './client-rig.ts';

const DAY_MS = 86_400_000;
const pki = await makeClientPki(['service.test', '*.wild.test', 'with-hyphen.inner.test', '127.0.0.1', '::1']);
const { authority, trust } = pki;
const peer = await nodeServer(pki.shown);
after(() => peer[Symbol.asyncDispose]());

describe('a server that is who it was meant to be', () => {
  test('the digest tells what was settled, and whose certificate was verified', async () => {
    const stream = await secure(peer, { ...trust, serverName: 'service.test' });
    const digest = digestOf(stream);
    assert.equal(stream.info.kind, 'tls');
    assert.equal(digest.version, 'TLSv1.3');
    assert.match(digest.cipher, /^TLS_/);
    assert.equal(digest.serverName, 'service.test');
    assert.deepEqual([digest.isResumed, digest.isPeerVerified, digest.alpn, digest.extension], [false, true, null, undefined]);
    assert.equal(digest.peerCertificate?.serialNumber, pki.leaf.serialNumber.replace(/^0+/, ''));
    assert.deepEqual(digest.peerCertificate?.subjectAltNames[0], { kind: 'dns', name: 'service.test' });
    assert.equal(stream.info.below?.kind, 'tcp');
    assert.deepEqual(stream.info.remoteAddress, { kind: 'ip', host: '127.0.0.1', port: peer.port });
    assert.equal(await exchange(stream), 'ping');
  });

  for (const [what, serverName] of [
    ['a wildcard stands for one label (RFC 9525 §6.3)', 'one.wild.test'],
    ['case and a dot at the end do not matter', 'Service.TEST.'],
    ['an underscore of the first label is taken for a hyphen, as Pingora does', 'with_hyphen.inner.test'],
    ['an IPv4 address is compared with addresses, and not sent as SNI (RFC 6066 §3)', '127.0.0.1'],
    ['an IPv6 address is compared as an address, not as text', '[0:0::0:1]'],
  ] as const) {
    test(what, async () => {
      const stream = await secure(peer, { ...trust, serverName });
      assert.equal(digestOf(stream).isPeerVerified, true);
      if (/[0-9\]]$/.test(serverName)) assert.equal(digestOf(stream).serverName, null);
      stream.abort();
    });
  }

  test('alternativeCn is a further name that will do', async () => {
    const stream = await secure(peer, { ...trust, serverName: 'other.test', alternativeCn: 'service.test' });
    assert.equal(digestOf(stream).serverName, 'other.test');
    stream.abort();
  });

  test('without SNI (serverName null) the certificate must still be for the host: not so in Pingora', async () => {
    const stream = await secure(peer, { ...trust, serverName: null }, { host: 'service.test' });
    assert.deepEqual([digestOf(stream).serverName, digestOf(stream).isPeerVerified], [null, true]);
    stream.abort();
    assert.equal((await failureOf(peer, { ...trust, serverName: null }, { host: 'stranger.test' })).reason, 'TLS_HOSTNAME_MISMATCH');
  });

  test('with no name given at all, it is the address of the stream that counts', async () => {
    const stream = await secure(peer, trust);
    assert.equal(digestOf(stream).isPeerVerified, true);
    stream.abort();
  });

  test('a stream without address and without a name cannot be verified: misuse', () => {
    const { a, b } = memoryPair();
    assert.throws(() => new TlsClient(trust).connect(a, noOutcome), /there is no name to verify the server by/);
    assert.throws(() => new TlsClient(trust).connect(a, noOutcome, { host: 'two words' }), /must be a host name or an IP address/);
    a.abort();
    b.abort();
  });

  test('the chain may have an intermediate authority', async () => {
    const middle = await authority.createIntermediate({ name: 'Middle' });
    const leaf = await middle.issue({ names: ['service.test'] });
    await using chained = await nodeServer({ cert: leaf.chain, key: leaf.key });
    (await secure(chained, { ...trust, serverName: 'service.test' })).abort();
    await using cut = await nodeServer({ cert: leaf.certificate, key: leaf.key });
    assert.equal((await failureOf(cut, { ...trust, serverName: 'service.test' })).reason, 'TLS_CERT_UNTRUSTED');
  });
});

describe('a server that is not', () => {
  async function refusalOf(leaf: { readonly chain: string; readonly key: string }, more: object = {}): Promise<string> {
    await using other = await nodeServer({ cert: leaf.chain, key: leaf.key });
    const error = await failureOf(other, { ...trust, serverName: 'service.test', ...more });
    assert.deepEqual([error.type, error.retry, error.fault, error.status], ['tls', 'never', 'remote', 502]);
    assert.match(error.message, /service\.test/);
    return error.reason;
  }

  test('a name that the certificate is not for: TLS_HOSTNAME_MISMATCH, with the names that it is for', async () => {
    for (const serverName of ['stranger.test', 'wild.test', 'two.labels.wild.test', '127.0.0.2', '::2']) {
      const error = await failureOf(peer, { ...trust, serverName });
      assert.deepEqual([error.reason, error.retry, error.fault, error.status], ['TLS_HOSTNAME_MISMATCH', 'never', 'remote', 502]);
      assert.match(error.message, /the certificate is for "service\.test", "\*\.wild\.test", .*127\.0\.0\.1/);
    }
  });

  test('a certificate that names the server by its common name only: no authority’s constraints hold for that (RFC 9525 §2)', async () => {
    for (const more of [{}, { alternativeCn: 'service.test', serverName: 'other.test' }]) {
      const leaf = await authority.issue({ names: ['me@service.test'], commonName: 'service.test' });
      await using other = await nodeServer({ cert: leaf.chain, key: leaf.key });
      assert.equal((await failureOf(other, { ...trust, serverName: 'service.test', ...more })).reason, 'TLS_HOSTNAME_MISMATCH');
    }
  });

  test('an authority that is not trusted: TLS_CERT_UNTRUSTED', async () => {
    const stranger = await createAuthority({ name: 'Stranger' });
    assert.equal(await refusalOf(await stranger.issue({ names: ['service.test'] })), 'TLS_CERT_UNTRUSTED');
    assert.equal(
      (await failureOf(peer, { serverName: 'service.test' })).reason,
      'TLS_CERT_UNTRUSTED',
      'ours is none of those that Node comes with',
    );
  });

  test('a certificate of the past or the future: TLS_CERT_EXPIRED, TLS_CERT_NOT_YET_VALID', async () => {
    const now = Date.now();
    const names = ['service.test'];
    const past = await authority.issue({ names, validFrom: new Date(now - 2 * DAY_MS), validTo: new Date(now - DAY_MS) });
    assert.equal(await refusalOf(past), 'TLS_CERT_EXPIRED');
    const future = await authority.issue({ names, validFrom: new Date(now + DAY_MS), validTo: new Date(now + 2 * DAY_MS) });
    assert.equal(await refusalOf(future), 'TLS_CERT_NOT_YET_VALID');
  });

  test('a certificate for clients: TLS_CERT_WRONG_PURPOSE', async () => {
    assert.equal(await refusalOf(await authority.issue({ names: ['service.test'], use: 'client' })), 'TLS_CERT_WRONG_PURPOSE');
  });

  test('a revoked certificate: TLS_CERT_REVOKED', async () => {
    const revoked = await authority.issue({ names: ['service.test'] });
    const crl = await authority.revocationList([revoked.serialNumber]);
    assert.equal(await refusalOf(revoked, { crl }), 'TLS_CERT_REVOKED');
    await using fine = await nodeServer(pki.shown);
    (await secure(fine, { ...trust, serverName: 'service.test', crl })).abort();
  });

  test('several lists may stand in one text, each counts; without one a chain is not trusted: TLS_CERT_UNTRUSTED', async () => {
    const middle = await authority.createIntermediate({ name: 'Middle' });
    const leaf = await middle.issue({ names: ['service.test'] });
    const [above, none, revoked] = [
      await authority.revocationList([]),
      await middle.revocationList([]),
      await middle.revocationList([leaf.serialNumber]),
    ];
    await using other = await nodeServer({ cert: leaf.chain, key: leaf.key });
    (await secure(other, { ...trust, serverName: 'service.test', crl: above + none })).abort();
    assert.equal((await failureOf(other, { ...trust, serverName: 'service.test', crl: above + revoked })).reason, 'TLS_CERT_REVOKED');
    const error = await failureOf(other, { ...trust, serverName: 'service.test', crl: above });
    assert.deepEqual([error.reason, error.fault], ['TLS_CERT_UNTRUSTED', 'remote']);
    assert.match(error.message, /UNABLE_TO_GET_CRL/);
  });

  test('a stranger is no fault of ours, whatever it calls its authority, and though no list of ours is about it', async () => {
    const mine = await createAuthority({ name: 'Mine' });
    const crl = await mine.revocationList([]);
    for (const name of ['Stranger', 'Mine']) {
      const stranger = await createAuthority({ name });
      const leaf = await stranger.issue({ names: ['service.test'] });
      await using other = await nodeServer({ cert: leaf.chain + stranger.certificate, key: leaf.key });
      const error = await failureOf(other, { ca: mine.certificate, serverName: 'service.test', crl });
      assert.deepEqual([error.reason, error.fault], ['TLS_CERT_UNTRUSTED', 'remote'], name);
    }
  });

  test('PEM that is indented is read as it is: authorities, lists and the chain of the client', async () => {
    const indented = (pem: string): string => pem.replaceAll(/^/gm, '  ');
    const stranger = await createAuthority({ name: 'Stranger' });
    const middle = await authority.createIntermediate({ name: 'Middle' });
    const mine = await middle.issue({ names: ['me@clients.test'], use: 'client' });
    await using asking = await nodeServer({ ...pki.shown, requestCert: true, rejectUnauthorized: true, ca: trust.ca });
    const stream = await secure(asking, {
      serverName: 'service.test',
      ca: stranger.certificate + indented(authority.certificate),
      crl: indented(await authority.revocationList([])),
      certificate: mine.certificate + indented(middle.certificate),
      key: mine.key,
    });
    assert.equal(await exchange(stream), 'ping');
  });

  test('nobody gets a stream to read from, whatever it sends along with its handshake', async () => {
    await using eager = await nodeServer(pki.shown, (socket) => socket.write('not for you'));
    const error = await failureOf(eager, {
      ...trust,
      serverName: 'stranger.test',
      handshakeComplete: () => assert.fail('it is not complete'),
    });
    assert.equal(error.reason, 'TLS_HOSTNAME_MISMATCH');
    const stream = await secure(eager, { ...trust, serverName: 'service.test' });
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    stream.attach(new RecordingSink({ onData: resolve }));
    assert.equal(Buffer.from(await promise).toString(), 'not for you', 'what a verified server sends is there');
    stream.abort();
  });
});

describe('the switches of verification', () => {
  test('verifyHostname false: any name, but the chain is verified', async () => {
    const stream = await secure(peer, { ...trust, serverName: 'stranger.test', verifyHostname: false });
    assert.equal(digestOf(stream).isPeerVerified, true);
    stream.abort();
    assert.equal((await failureOf(peer, { serverName: 'service.test', verifyHostname: false })).reason, 'TLS_CERT_UNTRUSTED');
  });

  test('verifyCert false: anybody; the digest says so', async () => {
    const stream = await secure(peer, { serverName: 'stranger.test', verifyCert: false });
    assert.equal(digestOf(stream).isPeerVerified, false);
    assert.equal(digestOf(stream).peerCertificate?.subject.commonName, 'service.test');
    assert.equal(await exchange(stream), 'ping');
  });

  test('NODE_TLS_REJECT_UNAUTHORIZED decides nothing', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      assert.equal((await failureOf(peer, { serverName: 'service.test' })).reason, 'TLS_CERT_UNTRUSTED');
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    }
  });

  test('over a duplex of somebody else it is all the same', async () => {
    const socket = connectSocket({ host: '127.0.0.1', port: peer.port, allowHalfOpen: true });
    const stream = await connectTls(fromDuplex(toDuplex(fromDuplex(socket))), { ...trust, serverName: 'service.test' });
    assert.equal(digestOf(stream).isPeerVerified, true);
    stream.abort();
  });
});

describe('the certificate of the client', () => {
  test('is shown to a server that asks, with the chain behind it', async () => {
    const middle = await authority.createIntermediate({ name: 'Middle' });
    const mine = await middle.issue({ names: ['me@clients.test'], organisation: 'We', use: 'client' });
    await using asking = await nodeServer({ ...pki.shown, requestCert: true, rejectUnauthorized: true, ca: trust.ca }, (socket) => {
      socket.end(String(socket.getPeerCertificate().subject['O']));
    });
    const stream = await secure(asking, { ...trust, serverName: 'service.test', certificate: mine.chain, key: mine.key });
    assert.equal(await exchange(stream), 'We');
  });

  test('a server that wants one and gets none: TLS 1.2 refuses in the handshake, TLS 1.3 after it', async () => {
    await using asking = await nodeServer({ ...pki.shown, requestCert: true, rejectUnauthorized: true, ca: trust.ca });
    const error = await failureOf(asking, { ...trust, serverName: 'service.test', maxVersion: 'TLSv1.2' });
    assert.deepEqual([error.type, error.reason, error.retry], ['tls', 'TLS_HANDSHAKE_FAILED', 'never']);
    // RFC 8446 §4.4.2.4: the client is done before the server has seen that there is none.
    const stream = await secure(asking, { ...trust, serverName: 'service.test' });
    await assert.rejects(exchange(stream), { type: 'tls' });
  });
});
