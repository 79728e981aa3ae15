/** Certificates of clients: asked for, required, verified, revoked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { type Clock, systemClock } from '@ferrata/clock';
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import type { TlsServer } from '../../src/tls/tls-server.ts';
import type { ClientCertificateOptions } from '../../src/tls/tls-server-options.ts';
import { connectedPair } from '../pairs.ts';
import { failureOf, makeRig, nodeClient } from './server-rig.ts';

const { pki, trust, refused, shake, serverWith } = await makeRig();
const { authority } = pki;
const clientCertificate = await authority.issue({ names: ['client@example.test'], use: 'client', organisation: 'Ada & Söhne' });

function serverAsking(clientCertificates: ClientCertificateOptions): TlsServer {
  return serverWith({ clientCertificates });
}

function withCertificate(issued: IssuedCertificate): ConnectionOptions {
  return { ...trust, cert: issued.chain, key: issued.key };
}

async function reasonOf(server: TlsServer, options: ConnectionOptions): Promise<string> {
  const { error } = await refused(server, options);
  assert.equal(error.type, 'tls');
  return error.reason;
}

for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
  test(`a required certificate is read from the digest, with ${maxVersion}`, async () => {
    const server = serverAsking({ mode: 'required', ca: authority.certificate });
    const { server: stream } = await shake(server, { ...withCertificate(clientCertificate), maxVersion });
    const { tls } = stream.info;
    assert.equal(tls?.isPeerVerified, true);
    assert.equal(tls?.peerCertificate?.subject.organisation, 'Ada & Söhne');
    assert.equal(tls?.peerCertificate?.serialNumber, clientCertificate.serialNumber);
    assert.deepEqual(tls?.peerCertificate?.subjectAltNames, [{ kind: 'email', address: 'client@example.test' }]);
    stream.abort();
  });

  test(`a client without one is refused, with ${maxVersion}, and over TCP hears why (RFC 8446 §4.4.2.4)`, async () => {
    const server = serverAsking({ mode: 'required', ca: authority.certificate });
    assert.equal(await reasonOf(server, { ...trust, maxVersion }), 'TLS_CLIENT_CERT_MISSING');
    const { client, server: below, close } = await connectedPair();
    const failed = failureOf(below, server);
    const { socket } = nodeClient(client, { ...trust, maxVersion });
    const heard = new Promise<Error & { code?: string }>((resolve) => socket.once('error', resolve));
    assert.equal((await failed).error.reason, 'TLS_CLIENT_CERT_MISSING');
    assert.match(
      String((await heard).code),
      /ERR_SSL_(?:TLSV13_ALERT_CERTIFICATE_REQUIRED|SSL\/TLS_ALERT_HANDSHAKE_FAILURE|SSLV3_ALERT_HANDSHAKE_FAILURE)/,
    );
    await close();
  });
}

test('an optional certificate may be missing', async () => {
  const { server: stream } = await shake(serverAsking({ mode: 'optional', ca: authority.certificate }), trust);
  assert.equal(stream.info.tls?.peerCertificate, null);
  assert.equal(stream.info.tls?.isPeerVerified, false);
});

test('a certificate of somebody else is refused, required or optional', async () => {
  const stranger = await (await createAuthority()).issue({ names: ['me@example.test'], use: 'client' });
  for (const mode of ['required', 'optional'] as const) {
    const server = serverAsking({ mode, ca: authority.certificate });
    assert.equal(await reasonOf(server, withCertificate(stranger)), 'TLS_CLIENT_CERT_UNTRUSTED');
  }
});

test('a certificate that has expired, was revoked, or is for servers, is refused', async () => {
  const day = 86_400_000;
  const expired = await authority.issue({
    names: ['old@example.test'],
    use: 'client',
    validFrom: new Date(Date.now() - 2 * day),
    validTo: new Date(Date.now() - day),
  });
  const plain = serverAsking({ mode: 'required', ca: authority.certificate });
  assert.equal(await reasonOf(plain, withCertificate(expired)), 'TLS_CLIENT_CERT_EXPIRED');
  const forServers = await authority.issue({ names: ['x.example.test'], use: 'server' });
  assert.equal(await reasonOf(plain, withCertificate(forServers)), 'TLS_CLIENT_CERT_UNTRUSTED');
  const crl = await authority.revocationList([clientCertificate.serialNumber]);
  const strict = serverAsking({ mode: 'required', ca: authority.certificate, crl });
  assert.equal(await reasonOf(strict, withCertificate(clientCertificate)), 'TLS_CLIENT_CERT_REVOKED');
  const other = await authority.issue({ names: ['other@example.test'], use: 'client' });
  assert.equal((await shake(strict, withCertificate(other))).server.info.tls?.isPeerVerified, true);
});

test('maxDepth counts the authorities between the certificate and the root', async () => {
  const intermediate = await authority.createIntermediate();
  const deep = await intermediate.issue({ names: ['deep@example.test'], use: 'client' });
  const shallow = serverAsking({ mode: 'required', ca: authority.certificate, maxDepth: 0 });
  assert.equal(await reasonOf(shallow, withCertificate(deep)), 'TLS_CLIENT_CERT_CHAIN_TOO_LONG');
  assert.equal((await shake(shallow, withCertificate(clientCertificate))).server.info.tls?.isPeerVerified, true);
  const deeper = serverAsking({ mode: 'required', ca: authority.certificate, maxDepth: 1 });
  const { server: stream } = await shake(deeper, withCertificate(deep));
  assert.deepEqual(stream.info.tls?.peerCertificate?.subjectAltNames, [{ kind: 'email', address: 'deep@example.test' }]);
});

test('maxDepth counts by signatures, whatever the order of the certificates that a client sends (RFC 8446 §4.4.2)', async () => {
  const first = await authority.createIntermediate();
  const second = await first.createIntermediate();
  const stranger = await (await createAuthority()).createIntermediate();
  const deep = await second.issue({ names: ['deep@example.test'], use: 'client' });
  const sent = [first.certificate, second.certificate, authority.certificate, stranger.certificate];
  const shallow = serverAsking({ mode: 'required', ca: authority.certificate, maxDepth: 1 });
  const enough = serverAsking({ mode: 'required', ca: authority.certificate, maxDepth: 2 });
  const orders = permutations(sent).concat(permutations(sent.slice(0, 2)));
  for (const [i, order] of orders.entries()) {
    const shown = {
      ...trust,
      cert: [deep.certificate, ...order].join('\n'),
      key: deep.key,
      maxVersion: i % 2 === 0 ? 'TLSv1.3' : 'TLSv1.2',
    } as const;
    assert.equal(await reasonOf(shallow, shown), 'TLS_CLIENT_CERT_CHAIN_TOO_LONG', `order ${i}`);
    assert.equal((await shake(enough, shown)).server.info.tls?.isPeerVerified, true, `order ${i}`);
  }
  // An authority that the server knows by itself need not be sent, and counts all the same.
  const knows = serverAsking({ mode: 'required', ca: [authority.certificate, first.certificate, second.certificate], maxDepth: 1 });
  assert.equal(await reasonOf(knows, { ...trust, cert: deep.certificate, key: deep.key }), 'TLS_CLIENT_CERT_CHAIN_TOO_LONG');
});

test('several lists of revoked certificates may stand in one text, and without one of its authority a client is not taken', async () => {
  const intermediate = await authority.createIntermediate();
  const good = await intermediate.issue({ names: ['good@example.test'], use: 'client' });
  const revoked = await intermediate.issue({ names: ['bad@example.test'], use: 'client' });
  const lists = [await authority.revocationList([]), await intermediate.revocationList([revoked.serialNumber])];
  const server = serverAsking({ mode: 'required', ca: authority.certificate, crl: lists.join('\n') });
  assert.equal((await shake(server, withCertificate(good))).server.info.tls?.isPeerVerified, true);
  assert.equal(await reasonOf(server, withCertificate(revoked)), 'TLS_CLIENT_CERT_REVOKED');
  const { error } = await refused(
    serverAsking({ mode: 'required', ca: authority.certificate, crl: lists[0] as string }),
    withCertificate(good),
  );
  // Who has made an authority up is answered alike: so it is no fault of ours, and no 500.
  assert.equal(error.reason, 'TLS_CLIENT_CERT_UNTRUSTED');
  assert.equal(error.fault, 'remote');
  assert.match(error.message, /UNABLE_TO_GET_CRL/);
});

test('a list that has run out, or that is none, is told of when the server is made (RFC 5280 §5.1.2.5)', async () => {
  const crl = await authority.revocationList([]);
  const later: Clock = {
    now: () => systemClock.now(),
    wallNow: () => systemClock.wallNow() + 10 * 86_400_000,
    schedule: (delayMs, wake) => systemClock.schedule(delayMs, wake),
  };
  const make = (clock: Clock, list: string) =>
    new Promise<string>((resolve) => {
      serverWith({
        clientCertificates: { mode: 'required', ca: authority.certificate, crl: list },
        clock,
        onError: ({ reason, fault }) => resolve(`${reason} ${fault}`),
      });
      setImmediate(() => resolve('nothing'));
    });
  assert.equal(await make(systemClock, crl), 'nothing');
  assert.equal(await make(later, crl), 'TLS_CRL_EXPIRED local');
  await assert.rejects(make(systemClock, '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n'), /TLS_CRL_UNREADABLE/);
});

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value, i) => permutations(values.toSpliced(i, 1)).map((rest) => [value, ...rest]));
}
