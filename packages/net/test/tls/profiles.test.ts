/** Profiles and the names of cipher suites, against what Node's OpenSSL makes of them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect, createSecureContext, createServer, getCiphers, type Server, type TLSSocket } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import { openSslCipherName, resolveCiphers } from '../../src/tls/cipher-names.ts';
import { type TlsProfileName, tlsProfile, tlsProfiles } from '../../src/tls/tls-profiles.ts';

interface Negotiated {
  readonly version: string | null;
  readonly name: string;
  readonly standardName: string;
}

/** What a handshake with a server of these settings comes to; null if it fails. */
type Handshake = (settings: object, client: object) => Promise<Negotiated | null>;

/** All suites of this OpenSSL but those without certificates. */
const certificateCiphers = getCiphers()
  .map((cipher) => cipher.toUpperCase())
  .filter((cipher) => !/PSK|SRP/.test(cipher));

let handshake: Handshake;
let close: () => void;

before(async () => {
  const authority = await createAuthority();
  const pairs = [
    await authority.issue({ names: ['a.test'], key: 'ecdsa-p256' }),
    await authority.issue({ names: ['a.test'], key: 'rsa-2048' }),
  ];
  const servers: Server[] = [];
  close = () => {
    for (const server of servers) server.close();
  };
  handshake = async (settings, client) => {
    const server = createServer({ cert: pairs.map(({ chain }) => chain), key: pairs.map(({ key }) => key), ...settings });
    servers.push(server);
    server.on('secureConnection', (socket) => socket.on('error', ignore).end());
    server.on('tlsClientError', ignore);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false, ...client });
    try {
      await once(socket, 'secureConnect');
      return negotiated(socket);
    } catch {
      return null;
    } finally {
      socket.on('error', ignore).destroy();
      server.close();
    }
  };
});

after(() => close());

describe('the profiles of Mozilla, guideline 5.7', () => {
  for (const name of ['intermediate', 'modern'] as const) {
    test(`${name}: OpenSSL knows every suite and every group of it`, () => {
      const { ciphers, curves } = tlsProfile(name);
      assert.deepEqual(resolveCiphers(ciphers), ciphers);
      const known = new Set(getCiphers().map((cipher) => cipher.toUpperCase()));
      assert.deepEqual(
        ciphers.filter((cipher) => !known.has(cipher)),
        [],
      );
      assert.doesNotThrow(() => createSecureContext({ ciphers: ciphers.join(':'), ecdhCurve: curves.join(':') }));
    });
  }

  test('intermediate takes TLS 1.2 and 1.3 with forward secrecy and AEAD, and nothing older or weaker', async () => {
    const settings = settingsOf('intermediate');
    assert.equal((await handshake(settings, {}))?.version, 'TLSv1.3');
    assert.equal((await handshake(settings, { maxVersion: 'TLSv1.2' }))?.version, 'TLSv1.2');
    assert.equal(await handshake(settings, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }), null);
    for (const cipher of ['ECDHE-RSA-AES128-SHA256', 'AES128-GCM-SHA256', 'DHE-RSA-AES128-GCM-SHA256']) {
      assert.equal(await handshake(settings, { maxVersion: 'TLSv1.2', ciphers: cipher }), null, cipher);
    }
  });

  test('modern takes TLS 1.3 only', async () => {
    const settings = settingsOf('modern');
    assert.equal((await handshake(settings, {}))?.version, 'TLSv1.3');
    assert.equal(await handshake(settings, { maxVersion: 'TLSv1.2' }), null);
  });

  test('the order of the client counts', async () => {
    const chosen = await handshake(settingsOf('intermediate'), {
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256',
    });
    assert.equal(chosen?.name, 'ECDHE-ECDSA-CHACHA20-POLY1305');
  });

  test('profiles can not be changed, and another name is none', () => {
    assert.ok(Object.isFrozen(tlsProfiles) && Object.isFrozen(tlsProfiles.modern) && Object.isFrozen(tlsProfiles.modern.ciphers));
    for (const name of ['old', 'toString', '', null]) assert.throws(() => tlsProfile(name as never), RangeError);
  });
});

describe('names of cipher suites', () => {
  test('each by IANA is the one that Node names after the handshake, for every suite that a handshake can be had with', async () => {
    for (const cipher of certificateCiphers) {
      const is13 = cipher.startsWith('TLS_');
      const version = is13 ? 'TLSv1.3' : 'TLSv1.2';
      // "ALL" is for TLS 1.2 only: without any suite of it, OpenSSL does not take the level, which the short tags of CCM_8 need.
      const settings = { ciphers: `${cipher}${is13 ? ':ALL' : ''}:@SECLEVEL=0`, minVersion: version, maxVersion: version, dhparam: 'auto' };
      const chosen = await handshake(settings, { ciphers: settings.ciphers });
      assert.ok(chosen !== null, cipher);
      assert.equal(chosen.name, cipher);
      assert.equal(openSslCipherName(chosen.standardName), cipher);
    }
    assert.ok(certificateCiphers.length > 20);
  });

  test('the table has every suite of this OpenSSL that works with certificates', () => {
    assert.deepEqual(
      certificateCiphers.filter((cipher) => openSslCipherName(cipher) !== cipher),
      [],
    );
  });

  test('either name is understood, repetitions are left out, the order is kept', () => {
    assert.equal(openSslCipherName('TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'), 'ECDHE-RSA-AES128-GCM-SHA256');
    assert.equal(openSslCipherName('ECDHE-RSA-AES128-GCM-SHA256'), 'ECDHE-RSA-AES128-GCM-SHA256');
    assert.equal(openSslCipherName('HIGH'), null);
    assert.deepEqual(resolveCiphers(['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']), [
      'ECDHE-RSA-AES128-GCM-SHA256',
      'TLS_AES_128_GCM_SHA256',
    ]);
  });

  test('what is no suite is refused by name, OpenSSL’s language of sets included', () => {
    for (const name of ['HIGH:!aNULL', 'ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA', '!RC4', 'NULL-SHA', 'RC4-SHA', '', 5, null]) {
      assert.throws(() => resolveCiphers([name as never]), { name: 'RangeError', message: /no cipher suite that is known/ });
    }
    assert.throws(() => resolveCiphers([]), RangeError);
    assert.throws(() => resolveCiphers('AES128-SHA' as never), TypeError);
  });
});

function settingsOf(name: TlsProfileName): object {
  const { ciphers, curves, minVersion, maxVersion, honorCipherOrder } = tlsProfile(name);
  return { ciphers: ciphers.join(':'), ecdhCurve: curves.join(':'), minVersion, maxVersion, honorCipherOrder };
}

function negotiated(socket: TLSSocket): Negotiated {
  const { name, standardName } = socket.getCipher();
  return { version: socket.getProtocol(), name, standardName };
}

function ignore(): void {
  // A handshake that fails is told by what the client hears.
}
