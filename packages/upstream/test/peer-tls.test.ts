/** What a peer over TLS offers and says, and what of its TLS makes no sense; what of it is in the key, `peer-key.test.ts` shows. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TlsClient } from '@ferrata/net';
import { type PeerOptions, peer } from '@ferrata/upstream';
import { FakeTls } from './fake-tls.ts';

function keyFor(options: PeerOptions): string {
  return peer('origin.test:443', options).key;
}

describe('a peer over TLS', () => {
  test('the peer for upgrades has a key of its own', () => {
    const { key, forUpgrade } = peer('origin.test:443', { tls: true, protocol: 'auto' });
    assert.ok(forUpgrade !== null);
    assert.notEqual(forUpgrade.key, key);
    assert.equal(forUpgrade.key, keyFor({ tls: true }));
  });

  test('its authority leaves out port 443, and keeps 80 (RFC 9110 §4.2.2)', () => {
    assert.equal(peer('example.org:443', { tls: true }).authority, 'example.org');
    assert.equal(peer('example.org:80', { tls: true }).authority, 'example.org:80');
    assert.equal(peer('[::1]:443', { tls: true }).authority, '[::1]');
    assert.equal(peer('example.org:443').authority, 'example.org:443');
  });

  test(':scheme is https (RFC 9113 §8.3.1), unless the options say otherwise', () => {
    assert.equal(peer('h:443', { tls: true, protocol: 'http2' }).http2?.connection.scheme, 'https');
    assert.equal(peer('h:443', { tls: true, protocol: 'auto' }).http2?.connection.scheme, 'https');
    assert.equal(peer('h:443', { protocol: 'http2' }).http2?.connection.scheme, 'http');
    assert.equal(
      peer('h:443', { tls: true, protocol: 'http2', http2: { connection: { scheme: 'http' } } }).http2?.connection.scheme,
      'http',
    );
  });

  test('names itself localhost over a Unix socket, there is nothing else to verify', () => {
    assert.equal(peer('unix:/run/app.sock', { tls: true }).tls?.details.host, 'localhost');
    assert.equal(peer('[::1]:443', { tls: true }).tls?.details.host, '::1');
  });

  test('handshakes have 5 s, what TLS says, or what the peer says', () => {
    assert.equal(peer('h:443', { tls: true }).tls?.details.handshakeTimeoutMs, 5_000);
    assert.equal(peer('h:443', { tls: { handshakeTimeoutMs: 700 } }).tls?.details.handshakeTimeoutMs, 700);
    assert.equal(peer('h:443', { tls: new TlsClient({ handshakeTimeoutMs: 700 }) }).tls?.details.handshakeTimeoutMs, 700);
    assert.equal(peer('h:443', { tls: new FakeTls(() => null) }).tls?.details.handshakeTimeoutMs, 5_000);
    assert.equal(peer('h:443', { tls: { handshakeTimeoutMs: 700 }, tlsTimeoutMs: 900 }).tls?.details.handshakeTimeoutMs, 900);
  });

  test('connecting has 5 s in all by default, and follows what is given, as in connect of @ferrata/net', () => {
    assert.equal(peer('h:443', { tls: true }).totalTimeoutMs, 5_000);
    assert.equal(peer('h:443', { tls: true, connectTimeoutMs: 10_000 }).totalTimeoutMs, 15_000);
    assert.equal(peer('h:443', { tls: new FakeTls(() => null) }).totalTimeoutMs, 5_000);
    assert.equal(peer('h:443', { tls: true, tlsTimeoutMs: 7_000 }).totalTimeoutMs, 10_000);
    assert.equal(peer('h:443', { tls: true, totalTimeoutMs: 700 }).totalTimeoutMs, 700);
    assert.equal(peer('h:443').totalTimeoutMs, 3_000);
    assert.throws(() => peer('h:443', { tls: true, totalTimeoutMs: 0 }), /RangeError: totalTimeoutMs/);
    assert.throws(() => peer('h:443', { totalTimeoutMs: 5 }), /RangeError: totalTimeoutMs needs tls/);
  });

  test('what is offered by ALPN must fit what is to be spoken', () => {
    const fake = (...alpn: string[]): FakeTls => new FakeTls(() => null, { alpn });
    assert.throws(() => peer('h:443', { tls: fake('http/1.1'), protocol: 'http2' }), /RangeError: .*must offer h2/);
    assert.throws(() => peer('h:443', { tls: fake('h2', 'http/1.1') }), /RangeError: .*must not offer h2; say protocol auto/);
    assert.throws(() => peer('h:443', { tls: fake('spdy/3'), protocol: 'auto' }), /RangeError: .*"spdy\/3", and customProtocols/);
    const customProtocols = { mine: () => assert.fail() };
    assert.throws(
      () => peer('h:443', { tls: fake('http/1.1'), customProtocols }),
      /RangeError: alpn does not offer the custom protocol "mine"/,
    );
    assert.deepEqual(peer('h:443', { tls: fake('http/1.1', 'mine'), customProtocols }).tls?.details.alpn, ['http/1.1', 'mine']);
    assert.deepEqual(peer('h:443', { tls: fake('http/1.1', 'h2'), protocol: 'auto' }).tls?.details.alpn, ['http/1.1', 'h2']);
    assert.deepEqual(peer('h:443', { tls: { alpn: [] } }).tls?.details.alpn, ['http/1.1']);
  });

  test('refuses nonsense', () => {
    const mine = () => assert.fail();
    for (const name of ['', 'a'.repeat(256), 'é'.repeat(128), 'h2', 'http/1.1'])
      assert.throws(() => peer('h:443', { tls: true, customProtocols: { [name]: mine } }), RangeError, JSON.stringify(name));
    assert.ok(peer('h:443', { tls: true, customProtocols: { ['a'.repeat(255)]: mine } }));
    assert.throws(() => peer('h:80', { customProtocols: { mine } }), /RangeError: customProtocols .* need tls/);
    const both = { tls: true, customProtocols: { mine }, protocol: 'http2' } as const;
    assert.throws(() => peer('h:443', both), /RangeError: with protocol http2 nothing else is spoken/);
    assert.throws(() => peer('h:80', { tlsTimeoutMs: 5 }), /RangeError: tlsTimeoutMs needs tls/);
    assert.throws(() => peer('h:443', { tls: true, tlsTimeoutMs: 0 }), /RangeError: tlsTimeoutMs/);
    assert.throws(() => peer('h:443', { tls: { minVersion: 'SSLv3' as 'TLSv1.3' } }), RangeError);
    assert.throws(() => peer('h:443', { tls: { certificate: 'a certificate' } }), TypeError);
    assert.throws(() => peer('a b:443', { tls: true }), TypeError, 'no name that a certificate could be for');
    assert.throws(() => peer('h:443', { tls: 'yes' as unknown as boolean }), TypeError);
  });
});
