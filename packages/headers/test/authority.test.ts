import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatAuthority, isValidHost, parseAuthority } from '../src/index.ts';

describe('a Host value (RFC 9110 §7.2, RFC 3986 §3.2.2)', () => {
  it('is a name or an address, with or without a port', () => {
    for (const value of [
      'localhost',
      'a.example:8080',
      'a:',
      '192.0.2.1:80',
      '[::1]',
      '[::1]:80',
      '[2001:db8::192.0.2.1]',
      'a_b',
      'a%20b',
      "!$&'()*+,;=~",
      'xn--bcher-kva.example',
      'a.',
      'a:00080',
      'a:65535',
    ]) {
      assert.ok(isValidHost(value), value);
    }
  });

  it('is nothing else: one that two servers could read in two ways is refused', () => {
    const wrong = [
      '',
      ':80',
      'a b',
      ' a',
      'a ',
      'user@a',
      'a@b:80',
      'a/b',
      'a?b',
      'a#b',
      'a\\b',
      'a:b',
      'a:-80',
      'a:+80',
      'a:8 0',
      'a:65536',
      'a:99999999999999999999',
      'a:80:80',
      'a\0b',
      'a\tb',
      'aÿ',
      'é',
      '\u0141',
    ];
    const brackets = [
      '[',
      '[]',
      '[::1',
      '::1',
      '[::1]x',
      '[::1]x:80',
      '[::1%25eth0]',
      '[fe80::1%eth0]',
      '[v1.a]',
      '[1]',
      '[::1]]',
      'a[::1]',
      '[192.0.2.1]',
    ];
    for (const value of [...wrong, ...brackets, 'a%', 'a%2', 'a%zz', '%2', 'a,b c', 'http://a', '"a"', '<a>', 'a|b', 'a^b', '{a}', 'a`']) {
      assert.equal(isValidHost(value), false, JSON.stringify(value));
      assert.equal(parseAuthority(value), null, JSON.stringify(value));
    }
  });
});

describe('parseAuthority and formatAuthority', () => {
  it('take apart and put together', () => {
    assert.deepEqual(parseAuthority('Example.com:443'), { host: 'Example.com', port: 443 });
    assert.deepEqual(parseAuthority('[2001:DB8::1]:0'), { host: '2001:DB8::1', port: 0 });
    assert.deepEqual(parseAuthority('a:'), { host: 'a', port: null });
    assert.deepEqual(parseAuthority('a'), { host: 'a', port: null });
    assert.equal(formatAuthority({ host: '::1', port: 80 }), '[::1]:80');
    assert.equal(formatAuthority({ host: '::1', port: null }), '[::1]');
    assert.equal(formatAuthority({ host: 'a', port: 0 }), 'a:0');
  });
});
