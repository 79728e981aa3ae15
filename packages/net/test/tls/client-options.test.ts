/** Settings of a TLS client, checked; and the key that tells whether connections of two clients are equal. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import { alpnProtocols, checkAlpn } from '../../src/tls/alpn.ts';
import { handshakeExtension } from '../../src/tls/handshake-extension.ts';
import { TlsClient } from '../../src/tls/tls-client.ts';
import { handshakeCut, handshakeError } from '../../src/tls/tls-client-errors.ts';
import type { TlsClientOptions } from '../../src/tls/tls-client-options.ts';
import { makeClientPki } from './client-rig.ts';

const pki = await makeClientPki();
const other = await makeClientPki();
const crl = await pki.authority.revocationList([]);
/** Its longest delay is 6 days. */
const fineDeadlines = new DeadlineQueue({ clock: new ManualClock(), tickMs: 1 });
const identity = { certificate: pki.leaf.chain, key: pki.leaf.key };

describe('ALPN (RFC 7301 §3.1)', () => {
  test('the choices of Pingora stand for lists', () => {
    assert.deepEqual(alpnProtocols('h1'), ['http/1.1']);
    assert.deepEqual(alpnProtocols('h2'), ['h2']);
    assert.deepEqual(alpnProtocols('h2h1'), ['h2', 'http/1.1']);
    assert.deepEqual(alpnProtocols({ custom: 'mine/1' }), ['mine/1']);
  });

  test('a custom name must be 1 to 255 bytes, and none of an HTTP version', () => {
    assert.deepEqual(alpnProtocols({ custom: 'x'.repeat(255) }), ['x'.repeat(255)]);
    for (const custom of ['', 'x'.repeat(256), 'ü'.repeat(128), 'h2', 'http/1.1'])
      assert.throws(() => alpnProtocols({ custom }), RangeError);
    assert.throws(() => alpnProtocols('h3' as never), /an ALPN choice is/);
    assert.throws(() => alpnProtocols(null as never), /an ALPN choice is/);
  });

  test('a list must be one, of names that are each 1 to 255 bytes, none twice, and fit', () => {
    assert.deepEqual(checkAlpn('alpn', []), []);
    assert.throws(() => checkAlpn('alpn', 'h2' as never), TypeError);
    assert.throws(() => checkAlpn('alpn', ['h2', '']), /alpn must be named with 1 to 255 bytes, not 0/);
    assert.throws(() => checkAlpn('alpn', ['h2', 2 as never]), RangeError);
    assert.throws(() => checkAlpn('alpn', [Object.create(null) as never]), RangeError);
    assert.throws(() => checkAlpn('alpn', ['h2', 'h2']), /names a protocol twice/);
    assert.throws(
      () =>
        checkAlpn(
          'alpn',
          Array.from({ length: 257 }, (_, i) => `${i}`.padStart(255, 'x')),
        ),
      /must fit into 65535 bytes/,
    );
  });
});

describe('settings that cannot work are refused by the constructor', () => {
  const wrongs: readonly (readonly [string, TlsClientOptions, RegExp])[] = [
    ['a name that is none', { serverName: 'two words' }, /serverName must be a host name/],
    ['a label that is too long', { serverName: `${'x'.repeat(64)}.test` }, /serverName must be a host name/],
    ['a name that is too long', { serverName: `${'x.'.repeat(127)}test` }, /serverName must be a host name/],
    ['a NUL in a name (CVE-2021-44533)', { alternativeCn: 'good.test\0.evil.test' }, /alternativeCn must be a host name/],
    ['no text as a name', { serverName: 7 as never }, /serverName must be a host name/],
    ['a certificate without its key', { certificate: pki.leaf.chain }, /belong together/],
    ['a key without its certificate', { key: pki.leaf.key }, /belong together/],
    ['a key of another certificate', { certificate: pki.leaf.chain, key: other.leaf.key }, /OpenSSL refuses .*mismatch/],
    ['a certificate that is none', { certificate: 'hello', key: pki.leaf.key }, /certificate holds no CERTIFICATE block/],
    ['authorities that are none', { ca: 'hello' }, /ca/],
    ['authorities that look like some', { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }, /ca/],
    ['an empty list of authorities, which would trust everybody’s', { ca: [] }, /ca is an empty list/],
    ['empty authorities', { ca: [pki.authority.certificate, ''] }, /ca holds no CERTIFICATE block/],
    ['authorities that are no text', { ca: 7 as never }, /ca: PEM is given as a string or as bytes/],
    ['revocation lists that are none', { crl: 'hello' }, /crl/],
    ['a version that is none', { minVersion: 'TLSv1.1' as never }, /minVersion must be one of TLSv1.2, TLSv1.3/],
    ['versions the wrong way round', { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, /minVersion TLSv1.3 is above/],
    ['unknown ciphers', { ciphers: ['ROT13'] }, /ciphers/],
    ['no ciphers', { ciphers: [] }, /ciphers/],
    ['unknown curves', { curves: ['circle'] }, /OpenSSL refuses/],
    ['no curves', { curves: [] }, /curves must be a list of names/],
    ['no time', { handshakeTimeoutMs: 0 }, /handshakeTimeoutMs must be/],
    ['no sessions where there are to be some', { maxSessions: 0 }, /maxSessions must be/],
    ['a callback that cannot be called', { handshakeComplete: 'yes' as never }, /handshakeComplete must be a function/],
    ['a key log that cannot be called', { keyLog: 'keys.txt' as never }, /keyLog must be a function/],
    ['a switch that is a word', { verifyCert: 'false' as never }, /verifyCert must be true or false/],
    ['a switch that is a number', { verifyHostname: 0 as never }, /verifyHostname must be true or false/],
    ['a switch that is null', { verifyCert: null as never }, /verifyCert must be true or false/],
    ['sessions that are a number', { sessions: 1 as never }, /sessions must be true or false/],
    ['a passphrase that is no text', { passphrase: 7 as never }, /passphrase must be text/],
    ['a clock that is none', { clock: {} as never }, /clock must be a Clock/],
    ['deadlines that are none', { deadlines: {} as never }, /deadlines must be a DeadlineQueue/],
    ['more time than its deadlines keep', { deadlines: fineDeadlines, handshakeTimeoutMs: 2_000_000_000 }, /handshakeTimeoutMs must be/],
    ['an option that is none', { verifyCerts: false } as never, /verifyCerts/],
  ];
  for (const [what, options, message] of wrongs) {
    test(what, () => {
      assert.throws(
        () => new TlsClient(options),
        (error) => (error instanceof TypeError || error instanceof RangeError) && message.test(error.message),
      );
    });
  }
});

describe('TlsClient.key', () => {
  const complete = (): null => null;
  const differences: Readonly<Record<string, TlsClientOptions>> = {
    serverName: { serverName: 'one.test' },
    'another serverName': { serverName: 'two.test' },
    'a serverName that is the word for none': { serverName: 'host' },
    'no SNI': { serverName: null },
    verifyCert: { verifyCert: false },
    verifyHostname: { verifyHostname: false },
    alternativeCn: { alternativeCn: 'one.test' },
    ca: { ca: pki.authority.certificate },
    'another ca': { ca: other.authority.certificate },
    'both ca': { ca: [pki.authority.certificate, other.authority.certificate] },
    crl: { crl },
    'client certificate': identity,
    'another client certificate': { certificate: other.leaf.chain, key: other.leaf.key },
    alpn: { alpn: ['h2'] },
    'alpn in another order': { alpn: ['http/1.1', 'h2'] },
    'alpn in one order': { alpn: ['h2', 'http/1.1'] },
    minVersion: { minVersion: 'TLSv1.3' },
    maxVersion: { maxVersion: 'TLSv1.2' },
    ciphers: { ciphers: ['TLS_AES_128_GCM_SHA256'] },
    curves: { curves: ['X25519'] },
    handshakeComplete: { handshakeComplete: complete },
    'another handshakeComplete': { handshakeComplete: () => null },
    'an extension': { handshakeComplete: handshakeExtension(complete) },
    keyLog: { keyLog: complete },
  };

  test('differs by each setting that makes two connections unequal', () => {
    const keys = new Map<string, string>([[new TlsClient().key, 'the default']]);
    for (const [name, options] of Object.entries(differences)) {
      const { key } = new TlsClient(options);
      assert.equal(keys.get(key), undefined, `${name} is told apart from ${keys.get(key)}`);
      keys.set(key, name);
    }
  });

  test('is the same for the same settings, however they are written', () => {
    for (const [name, options] of Object.entries(differences))
      assert.equal(new TlsClient(options).key, new TlsClient({ ...options }).key, name);
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    const mine = { certificate: bytes(identity.certificate), key: bytes(identity.key) };
    assert.equal(new TlsClient(mine).key, new TlsClient(identity).key);
    assert.equal(new TlsClient({ ca: [pki.authority.certificate] }).key, new TlsClient({ ca: bytes(pki.authority.certificate) }).key);
    assert.equal(new TlsClient({ serverName: 'One.Test.' }).key, new TlsClient({ serverName: 'one.test' }).key);
    assert.equal(new TlsClient({ serverName: 'bücher.test' }).key, new TlsClient({ serverName: 'xn--bcher-kva.test' }).key);
  });

  test('does not mind what only changes how long connecting takes', () => {
    assert.equal(new TlsClient({ handshakeTimeoutMs: 1, sessions: false, maxSessions: 3 }).key, new TlsClient().key);
  });

  test('shows nothing of keys and passphrases', () => {
    assert.match(new TlsClient({ ...identity, passphrase: 'secret' }).key, /^tls:[A-Za-z0-9_-]{43}$/);
  });
});

describe('what Node and OpenSSL say of a failed handshake', () => {
  const error = (code: string, more: object = {}): Error => Object.assign(new Error('text of OpenSSL'), { code, ...more });

  for (const [code, reason, fault] of [
    ['CERT_HAS_EXPIRED', 'TLS_CERT_EXPIRED', 'remote'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'TLS_CERT_UNTRUSTED', 'remote'],
    ['UNSPECIFIED', 'TLS_CERT_UNTRUSTED', 'remote'],
    ['CRL_HAS_EXPIRED', 'TLS_CRL_EXPIRED', 'local'],
    ['CRL_NOT_YET_VALID', 'TLS_CRL_EXPIRED', 'local'],
    ['UNABLE_TO_GET_CRL', 'TLS_CERT_UNTRUSTED', 'remote'],
    ['CRL_SIGNATURE_FAILURE', 'TLS_CERT_UNTRUSTED', 'remote'],
  ] as const) {
    test(`${code} of the server's chain is ${reason}`, () => {
      const wire = handshakeError(error(code), 'one.test', code);
      assert.deepEqual([wire.type, wire.reason, wire.retry, wire.fault, wire.status], ['tls', reason, 'never', fault, 502]);
      assert.match(wire.message, new RegExp(`text of OpenSSL \\(${code}\\)`));
      assert.equal(wire.context, 'one.test');
    });
  }

  for (const [code, reason, retry] of [
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'TLS_CLIENT_CERT_REFUSED', 'never'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'TLS_CLIENT_CERT_REFUSED', 'never'],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'TLS_CLIENT_CERT_REFUSED', 'never'],
    ['ERR_SSL_TLSV1_ALERT_ACCESS_DENIED', 'TLS_CLIENT_CERT_REFUSED', 'never'],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', 'TLS_NAME_REFUSED', 'never'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'TLS_VERSION_REFUSED', 'never'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'TLS_NOT_TLS', 'never'],
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'TLS_HANDSHAKE_FAILED', 'never'],
    ['ERR_SSL_SSLV3_ALERT_UNEXPECTED_MESSAGE', 'TLS_HANDSHAKE_FAILED', 'never'],
    ['ERR_SSL_UNEXPECTED_MESSAGE', 'TLS_HANDSHAKE_FAILED', 'never'],
    ['ERR_TLS_DH_PARAM_SIZE', 'TLS_HANDSHAKE_FAILED', 'never'],
    ['ECONNRESET', 'TLS_HANDSHAKE_CUT', 'always'],
  ] as const) {
    test(`${code} is ${reason}`, () => {
      const wire = handshakeError(error(code), 'one.test', null);
      assert.deepEqual([wire.type, wire.reason, wire.retry, wire.fault, wire.status], ['tls', reason, retry, 'remote', 502]);
      assert.match(wire.message, /text of OpenSSL/);
      assert.equal(wire.context, 'one.test');
    });
  }

  test('the reason of OpenSSL stands for its whole line, if there is one', () => {
    const wire = handshakeError(error('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', { reason: 'tlsv1 alert unknown ca' }), 'one.test', null);
    assert.equal(wire.message, 'tls TLS_CLIENT_CERT_REFUSED: tlsv1 alert unknown ca (ERR_SSL_TLSV1_ALERT_UNKNOWN_CA) (one.test)');
  });

  test('what is no error at all is a cut', () => {
    assert.deepEqual(
      [handshakeError(undefined, 'x', undefined).reason, handshakeError({ code: 7 }, 'x', null).reason],
      ['TLS_HANDSHAKE_CUT', 'TLS_HANDSHAKE_CUT'],
    );
    assert.equal(handshakeCut('x').retry, 'always');
  });
});
