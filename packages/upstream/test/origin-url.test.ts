/** Peers by the URL of an origin: what it says, what it must not say, and that no password is told on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OriginUrlError, type OriginUrlFault, type PeerOptions, parseOriginUrl, peer, peerFromUrl } from '@ferrata/upstream';
import fc from 'fast-check';

describe('peerFromUrl', () => {
  test('scheme, host and port say where and how; a port that is not said is that of the scheme (RFC 9110 §4.2)', () => {
    for (const [url, address, options] of [
      ['http://origin.test:8080', 'origin.test:8080', {}],
      ['http://origin.test', 'origin.test:80', {}],
      ['HTTP://origin.test/', 'origin.test:80', {}],
      ['http://[::1]', '[::1]:80', {}],
      ['https://[::1]:8443/', '[::1]:8443', { tls: true, protocol: 'auto' }],
      ['https://origin.test', 'origin.test:443', { tls: true, protocol: 'auto' }],
      ['h2c://my_host.test', 'my_host.test:80', { protocol: 'http2' }],
      ['http://unix:/run/a?b#c@d.sock', 'unix:/run/a?b#c@d.sock', {}],
      ['https://unix:/run/app.sock', 'unix:/run/app.sock', { tls: true, protocol: 'auto' }],
    ] as const)
      assert.equal(peerFromUrl(url).key, peer(address, options).key, url);
    assert.equal(peerFromUrl(new URL('https://origin.test:443/')).key, peerFromUrl('https://origin.test').key);
    assert.equal(peerFromUrl('https://origin.test').authority, 'origin.test');
  });

  test('options say the rest, and go before what the scheme means', () => {
    const made = peerFromUrl('https://origin.test', { tls: { minVersion: 'TLSv1.3' }, protocol: 'http1', connectTimeoutMs: 500 });
    assert.equal(made.key, peer('origin.test:443', { tls: { minVersion: 'TLSv1.3' } }).key);
    assert.deepEqual([made.protocol, made.connectTimeoutMs], ['http1', 500]);
    assert.equal(peerFromUrl('http://origin.test', { protocol: 'http2', tls: false }).protocol, 'http2');
  });

  test('and must not contradict it', () => {
    const both: readonly (readonly [string, PeerOptions])[] = [
      ['http://origin.test', { tls: true }],
      ['http://origin.test', { tls: {} }],
      ['h2c://origin.test', { tls: true }],
      ['https://origin.test', { tls: false }],
      ['h2c://origin.test', { protocol: 'http1' }],
      ['h2c://origin.test', { protocol: 'auto' }],
    ];
    for (const [url, options] of both) assert.throws(() => peerFromUrl(url, options), { name: 'TypeError' }, url);
  });
});

describe('parseOriginUrl', () => {
  const faults: readonly (readonly [string, OriginUrlFault])[] = [
    ['', 'scheme'],
    ['origin.test', 'scheme'],
    ['origin.test:80', 'scheme'],
    ['//origin.test', 'scheme'],
    ['http:origin.test', 'scheme'],
    ['ftp://origin.test', 'scheme'],
    ['ws://origin.test', 'scheme'],
    ['http://user@origin.test', 'userinfo'],
    ['http://user:secret@origin.test/path', 'userinfo'],
    ['http://user:sec/ret@origin.test', 'userinfo'],
    ['http://origin.test/path', 'path'],
    ['http://origin.test//', 'path'],
    ['http://origin.test/path?query', 'path'],
    ['http://origin.test?query', 'query'],
    ['http://origin.test/?query', 'query'],
    ['http://origin.test#fragment', 'fragment'],
    ['http://origin.test/#fragment', 'fragment'],
    ['http://', 'address'],
    ['http:///path', 'path'],
    ['http://:80', 'address'],
    ['http://origin.test:', 'address'],
    ['http://origin.test:65536', 'address'],
    ['http://::1', 'address'],
    ['http://0177.1', 'address'],
    ['http://a b', 'address'],
    ['http://unix:', 'address'],
  ];
  for (const [url, fault] of faults)
    test(`${JSON.stringify(url)} names no origin: ${fault}`, () => {
      assert.throws(
        () => parseOriginUrl(url),
        (error) => {
          assert.ok(error instanceof OriginUrlError && error instanceof TypeError);
          assert.equal(error.fault, fault);
          assert.equal(error.name, 'OriginUrlError');
          assert.ok(error.message.endsWith(error.detail) && error.detail !== '');
          return true;
        },
      );
    });

  test('total: any text is an origin or an OriginUrlError of bounded length, which tells no password', () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^(https?|h2c|unix|ftp):\/{0,3}[a-z:@[\]/?#.%0-9]{0,30}$/),
      fc.string({ minLength: 1, maxLength: 400 }).map((rest) => `http://${rest}`),
      fc.string().map((name) => `${name}:hunter2@origin.test`),
      fc.string().map((name) => `https://${name}:hunter2@origin.test/`),
    );
    fc.assert(
      fc.property(text, (url) => {
        try {
          const { address, isSecure } = parseOriginUrl(url);
          assert.ok(address.kind === 'unix' || address.host !== '');
          assert.equal(isSecure, /^https:/i.test(url));
        } catch (error) {
          assert.ok(error instanceof OriginUrlError, String(error));
          assert.ok(error.message.length < 1_000);
          assert.ok(!error.message.includes('hunter2'));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
