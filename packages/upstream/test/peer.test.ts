import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type PeerOptions, peer } from '@ferrata/upstream';

describe('peer', () => {
  test('has the defaults of the project', () => {
    const it = peer('127.0.0.1:8080');
    assert.equal(it.connectTimeoutMs, 3_000);
    assert.equal(it.idleTimeoutMs, 50_000);
    assert.equal(it.maxConnectionAgeMs, 3_600_000);
    assert.equal(it.client.connection.firstByteTimeoutMs, 60_000);
    assert.equal(it.client.connection.readTimeoutMs, 60_000);
    assert.equal(it.client.writeTimeoutMs, 30_000);
    assert.ok(Object.isFrozen(it));
  });

  test('HTTP/2 by prior knowledge: 100 streams a connection, 64 connections', () => {
    const it = peer('127.0.0.1:8080', { protocol: 'http2' });
    assert.deepEqual(
      [it.protocol, it.maxStreamsPerConnection, it.maxConnections, it.maxPending, it.pendingTimeoutMs],
      ['http2', 100, 64, 1_024, 5_000],
    );
    assert.equal(it.http2?.connection.maxConcurrentStreams, 100);
    assert.equal(peer('h:80', { protocol: 'http2', maxStreamsPerConnection: 500 }).http2?.connection.maxConcurrentStreams, 500);
    assert.equal(peer('127.0.0.1:8080').http2, null);
  });

  test('its authority leaves out port 80, and puts IPv6 in brackets (RFC 9110 §7.2)', () => {
    assert.equal(peer('example.org:80').authority, 'example.org');
    assert.equal(peer('example.org:81').authority, 'example.org:81');
    assert.equal(peer('[::1]:81').authority, '[::1]:81');
    assert.equal(peer('unix:/run/app.sock').authority, 'localhost');
  });

  test('its key is different wherever connections must not be shared, and equal elsewhere', () => {
    const base: PeerOptions = { connectTimeoutMs: 1_000, idleTimeoutMs: 1_000 };
    assert.equal(peer('10.0.0.1:80', base).key, peer('10.0.0.1:80').key);
    const keys = [
      peer('10.0.0.1:80'),
      peer('10.0.0.1:81'),
      peer('[::1]:80'),
      peer('unix:/10.0.0.1:80'),
      peer('10.0.0.1:80', { localAddress: '10.0.0.2' }),
      peer('10.0.0.1:80', { group: '10.0.0.2' }),
      peer('10.0.0.1:80', { group: 'a', localAddress: '10.0.0.2' }),
      peer('10.0.0.1:80', { writeTimeoutMs: 1 }),
      peer('10.0.0.1:80', { connection: { readTimeoutMs: 1 } }),
      peer('10.0.0.1:80', { connection: { readTimeoutMs: 2 } }),
      peer('10.0.0.1:80', { protocol: 'http2' }),
      peer('10.0.0.1:80', { protocol: 'http2', maxStreamsPerConnection: 7 }),
      peer('10.0.0.1:80', { protocol: 'http2', maxConnections: 7 }),
      peer('10.0.0.1:80', { protocol: 'http2', http2: { connection: { readTimeoutMs: 7 } } }),
    ].map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
  });

  test('refuses what no connection could be made with, and takes what the timers can keep', () => {
    const most = 2_147_483_647;
    for (const time of [2_500.5, Number.POSITIVE_INFINITY, most + 1, 0]) {
      assert.throws(() => peer('h:80', { connectTimeoutMs: time }), /RangeError: connectTimeoutMs/);
      assert.throws(() => peer('h:80', { tls: true, totalTimeoutMs: time }), /RangeError: totalTimeoutMs/);
      assert.throws(() => peer('h:80', { tls: true, tlsTimeoutMs: time }), /RangeError: tlsTimeoutMs/);
    }
    for (const localAddress of ['nonsense', '127.0.0.1:80', '10.0.0.0/8', ''])
      assert.throws(() => peer('h:80', { localAddress }), /TypeError: localAddress must be an IP address/, localAddress);
    assert.equal(peer('h:80', { connectTimeoutMs: most }).totalTimeoutMs, most);
    assert.equal(peer('h:80', { tls: true, connectTimeoutMs: most }).totalTimeoutMs, most);
    assert.equal(peer('h:80', { tls: true, tlsTimeoutMs: most }).totalTimeoutMs, most);
    assert.equal(peer('h:80', { localAddress: '::1' }).localAddresses[0], '::1');
  });

  test('refuses nonsense', () => {
    assert.throws(() => peer('nonsense'), TypeError);
    assert.throws(() => peer('h:80', { connectTimeoutMs: 0 }), /RangeError: connectTimeoutMs/);
    assert.throws(() => peer('h:80', { idleTimeoutMs: -1 }), RangeError);
    assert.throws(() => peer('h:80', { maxConnectionAgeMs: Number.NaN }), RangeError);
    assert.throws(() => peer('h:80', { writeTimeoutMs: 0 }), RangeError);
    assert.throws(() => peer('h:80', { maxStreamsPerConnection: 0 }), RangeError);
    assert.throws(() => peer('h:80', { maxConnections: 1.5 }), RangeError);
    assert.throws(() => peer('h:80', { maxPending: -1 }), RangeError);
    assert.throws(() => peer('h:80', { pendingTimeoutMs: 0 }), RangeError);
    assert.throws(() => peer('h:80', { protocol: 'http2', http2: { writeTimeoutMs: 0 } }), RangeError);
    assert.throws(() => peer('h:80', { protocol: 'spdy' as 'http2' }), RangeError);
  });
});
