/** Keys: what is read out of requests, and that nothing in a request makes reading fail or slow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type HeaderInit, requestHead } from '@ferrata/headers';
import type { StreamAddress } from '@ferrata/stream';
import fc from 'fast-check';
import {
  cookieKey,
  firstKey,
  headerKey,
  joinKeys,
  type KeySource,
  pathKey,
  queryKey,
  type RequestKey,
  sourceIpKey,
  uriKey,
} from '../src/keys.ts';

interface Given {
  readonly target?: string;
  readonly headers?: HeaderInit;
  readonly host?: string;
  readonly address?: StreamAddress;
}

function source({ target = '/', headers = {}, host = '192.0.2.1', address = { kind: 'ip', host, port: 5 } }: Given): KeySource {
  return { request: requestHead('GET', target, { headers }), client: { remoteAddress: address } };
}

const cookies = (...lines: readonly string[]): KeySource => source({ headers: lines.map((line) => ['Cookie', line] as const) });

describe('sourceIpKey', () => {
  test('is the address without the port: the next connection of a client has the same key', () => {
    const key = sourceIpKey();
    for (const port of [1, 40_000]) {
      assert.equal(key(source({ address: { kind: 'ip', host: '192.0.2.7', port } })), '192.0.2.7');
      assert.equal(key(source({ address: { kind: 'ip', host: '2001:db8::7', port } })), '2001:db8::7');
    }
  });

  test('takes a mapped IPv4 address for the IPv4 address (RFC 4291 §2.5.5.2), with and without a prefix length', () => {
    assert.equal(sourceIpKey()(source({ host: '::ffff:192.0.2.7' })), '192.0.2.7');
    assert.equal(sourceIpKey({ ipv6PrefixLength: 64 })(source({ host: '::ffff:192.0.2.7' })), '192.0.2.7');
  });

  test('is null for a client without an address', () => {
    assert.equal(sourceIpKey()(source({ address: { kind: 'unix', path: '/run/x' } })), null);
    assert.equal(sourceIpKey()(source({ address: { kind: 'unset' } })), null);
  });

  test('cuts IPv6 addresses to the prefix, and leaves IPv4 addresses alone', () => {
    const key = sourceIpKey({ ipv6PrefixLength: 64 });
    assert.equal(key(source({ host: '192.0.2.7' })), '192.0.2.7');
    assert.equal(key(source({ host: '2001:db8:1:2:3:4:5:6' })), '2001:db8:1:2/64');
    assert.equal(key(source({ host: '2001:db8:1:2::6' })), '2001:db8:1:2/64');
    assert.equal(key(source({ host: '2001:db8::6' })), '2001:db8:0:0/64');
    assert.equal(key(source({ host: '::1' })), '0:0:0:0/64');
    assert.equal(key(source({ host: '::' })), '0:0:0:0/64');
    assert.equal(key(source({ host: 'fe80::' })), 'fe80:0:0:0/64');
    assert.equal(key(source({ host: 'fe80::1%eth0' })), 'fe80:0:0:0/64');
    assert.equal(key(source({ host: '1::3:4:5:6:7:8' })), '1:0:3:4/64');
    assert.equal(key(source({ host: '::2:3:4:5:6:7:8' })), '0:2:3:4/64');
    assert.equal(sourceIpKey({ ipv6PrefixLength: 44 })(source({ host: '2001:db8:1fff::1' })), '2001:db8:1ff0/44');
    assert.equal(sourceIpKey({ ipv6PrefixLength: 1 })(source({ host: 'ffff::1' })), '8000/1');
    assert.equal(sourceIpKey({ ipv6PrefixLength: 127 })(source({ host: 'ABCD::f' })), 'abcd:0:0:0:0:0:0:e/127');
  });

  test('gives back what is no IPv6 address as it is', () => {
    const key = sourceIpKey({ ipv6PrefixLength: 64 });
    for (const host of [
      '1:2:3',
      ':',
      '1:::2',
      '12345::',
      '1:2:3:4:5:6:7:8:9',
      '1::2:3:4:5:6:7:8',
      'g::',
      '64:ff9b::192.0.2.1',
      '1::2::3',
      ':1',
    ])
      assert.equal(key(source({ host })), host);
  });

  test('gives all addresses of a prefix one key, however they are written', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.integer({ min: 1, max: 127 }), (groups, bits) => {
        const key = sourceIpKey({ ipv6PrefixLength: bits });
        const text = groups.map((value) => value.toString(16)).join(':');
        const long = groups.map((value) => value.toString(16).padStart(4, '0').toUpperCase()).join(':');
        const short = new URL(`http://[${text}]/`).hostname.slice(1, -1);
        const whole = BigInt(`0x${groups.map((value) => value.toString(16).padStart(4, '0')).join('')}`);
        const masked = (whole >> BigInt(128 - bits)) << BigInt(128 - bits);
        const digits = masked.toString(16).padStart(32, '0');
        const expected = Array.from({ length: Math.ceil(bits / 16) }, (_, index) =>
          Number.parseInt(digits.slice(index * 4, index * 4 + 4), 16).toString(16),
        );
        // Node writes a mapped address otherwise, and it is IPv4 then.
        for (const host of short.startsWith('::ffff:') ? [long] : [text, long, short])
          assert.equal(key(source({ host })), `${expected.join(':')}/${bits}`);
      }),
    );
  });

  test('refuses a prefix length out of range', () => {
    for (const ipv6PrefixLength of [0, 129, 1.5]) assert.throws(() => sourceIpKey({ ipv6PrefixLength }), RangeError);
  });
});

describe('uriKey and pathKey', () => {
  const rows: readonly (readonly [target: string, uri: string | null, path: string | null])[] = [
    ['/a/b?c=1', '/a/b?c=1', '/a/b'],
    ['/a?', '/a?', '/a'],
    ['/', '/', '/'],
    ['/a?x=http://b/c', '/a?x=http://b/c', '/a'],
    ['http://host/a?b', '/a?b', '/a'],
    ['http://host?b/c', '?b/c', null],
    ['http://host', null, null],
    ['*', '*', '*'],
    ['host:443', 'host:443', 'host:443'],
  ];
  for (const [target, uri, path] of rows) {
    test(`of ${target} are ${uri} and ${path}`, () => {
      assert.equal(uriKey()(source({ target })), uri);
      assert.equal(pathKey()(source({ target })), path);
    });
  }
});

describe('headerKey', () => {
  test('is the first line of the field, in any case of the name', () => {
    const given = source({
      headers: [
        ['X-User', 'a'],
        ['x-user', 'b'],
        ['Host', 'example.com'],
      ],
    });
    assert.equal(headerKey('x-USER')(given), 'a');
    assert.equal(headerKey('host')(given), 'example.com');
    assert.equal(headerKey('X-Other')(given), null);
    assert.equal(headerKey('Accept')(given), null);
  });

  test('is null for an empty field', () => {
    assert.equal(headerKey('X-User')(source({ headers: { 'X-User': '' } })), null);
  });

  test('refuses what is no name of a field', () => {
    for (const name of ['', 'a b', 'a:', 'ü']) assert.throws(() => headerKey(name), TypeError);
  });
});

describe('cookieKey', () => {
  const key = cookieKey('id');

  test('finds the cookie among others, whatever stands between them (RFC 6265 §4.2.1)', () => {
    for (const line of [
      'id=a',
      'x=1; id=a',
      'x=1;id=a;y=2',
      'xid=1; id=a',
      'id2=1; id=a',
      ';;\t id=a',
      'novalue; id=a',
      'x="id=b"; id=a; id=c',
    ])
      assert.equal(key(cookies(line)), 'a', line);
  });

  test('takes values as they are written, quotes and equals signs included', () => {
    assert.equal(key(cookies('id="a b"')), '"a b"');
    assert.equal(key(cookies('id=a=b;')), 'a=b');
  });

  test('goes over all lines, as HTTP/2 may send one for each cookie (RFC 9113 §8.2.3)', () => {
    assert.equal(key(cookies('x=1', 'id=a', 'id=b')), 'a');
  });

  test('is null without the cookie, or with an empty one; names differ by their case', () => {
    for (const line of ['', 'x=1', 'ID=a', 'id', 'id=', 'id=;id=a', 'id =a']) assert.equal(key(cookies(line)), null, line);
    assert.equal(key(source({})), null);
  });

  test('refuses what is no name of a cookie', () => {
    for (const name of ['', 'a=b', 'a;b', 'a b']) assert.throws(() => cookieKey(name), TypeError);
  });

  test('agrees with a plain reading of any line', () => {
    const piece = fc.constantFrom('id', '=', ';', ' ', 'a', '"', 'x=1', 'id=v', '\t');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const line = pieces.join('').trim();
        const pairs = line.split(';').map((pair) => pair.replaceAll(/^[ \t]+|[ \t]+$/g, ''));
        const found = pairs.find((pair) => pair.startsWith('id='));
        const value = found?.slice('id='.length);
        assert.equal(key(cookies(line)), value === undefined || value === '' ? null : value);
      }),
    );
  });
});

describe('queryKey', () => {
  test('is the first parameter of the name', () => {
    const key = queryKey('id');
    for (const target of ['/?id=a', '/?x=1&id=a', '/?xid=1&id=a&id=b', '/?id2=0&id=a', '/?&&id=a&', 'http://host/?id=a'])
      assert.equal(key(source({ target })), 'a', target);
    assert.equal(key(source({ target: '/?id=a=b?c' })), 'a=b?c');
  });

  test('is null without it, or if it is empty', () => {
    for (const decode of [false, true])
      for (const target of ['/', '/?', '/id=a', '/?ID=a', '/?id', '/?id=', '/?id&id=a', '/?x=id=a'])
        assert.equal(queryKey('id', { decode })(source({ target })), null, target);
  });

  test('counts as it is written, unless it is to be decoded as a form is', () => {
    const given = source({ target: '/?%69d=a%41+%C3%BC%2B&id=x' });
    assert.equal(queryKey('id')(given), 'x');
    assert.equal(queryKey('id', { decode: true })(given), 'aA ü+');
    assert.equal(queryKey('a b', { decode: true })(source({ target: '/?a+b=1' })), '1');
    assert.equal(queryKey('ü', { decode: true })(source({ target: '/?%C3%BC=1' })), '1');
  });

  test('takes what cannot be decoded as it is written', () => {
    for (const value of ['%', '%zz', '%ff', 'a+%f'])
      assert.equal(queryKey('id', { decode: true })(source({ target: `/?id=${value}` })), value);
  });

  test('agrees with the form parser of the platform where everything can be decoded', () => {
    const piece = fc.constantFrom('id', '=', '&', '+', 'a', '%41', '%26', '%69d', '%C3%BC', '?');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const query = pieces.join('');
        const value = new URLSearchParams(`&${query}`).get('id');
        assert.equal(queryKey('id', { decode: true })(source({ target: `/?${query}` })), value === '' ? null : value);
      }),
    );
  });

  test('refuses an empty name and a decode that is neither true nor false', () => {
    assert.throws(() => queryKey(''), TypeError);
    assert.throws(() => queryKey(1 as never), TypeError);
    assert.throws(() => queryKey('a', { decode: 'yes' as never }), TypeError);
  });
});

describe('joinKeys and firstKey', () => {
  const given = source({ target: '/a?id=1', headers: { Cookie: 'sid=s' }, host: '192.0.2.1' });

  test('join the keys, and are null if one of them is', () => {
    assert.equal(joinKeys(sourceIpKey(), pathKey())(given), '192.0.2.1\n/a');
    assert.equal(joinKeys(pathKey())(given), '/a');
    assert.equal(joinKeys(sourceIpKey(), cookieKey('none'))(given), null);
  });

  test('do not mix up what belongs to which key', () => {
    const key = joinKeys(headerKey('a'), headerKey('b'));
    assert.notEqual(key(source({ headers: { a: 'xy', b: 'z' } })), key(source({ headers: { a: 'x', b: 'yz' } })));
  });

  test('take the first that there is', () => {
    assert.equal(firstKey(cookieKey('none'), cookieKey('sid'), sourceIpKey())(given), 's');
    assert.equal(firstKey(cookieKey('none'), headerKey('none'))(given), null);
  });

  test('need keys', () => {
    for (const make of [joinKeys, firstKey]) {
      assert.throws(() => make(), TypeError);
      assert.throws(() => make('id' as never), TypeError);
    }
  });
});

test('reading takes time in proportion to what was sent, whatever it is', () => {
  // Each would be looked at over and over by a search that begins anew: 100 000 × 100 000 steps take minutes.
  const count = 100_000;
  const keys: readonly (readonly [RequestKey, KeySource])[] = [
    [cookieKey('id'), cookies('i;'.repeat(count))],
    [cookieKey('id'), cookies('; '.repeat(count).trim())],
    [cookieKey('id'), source({ headers: Array.from({ length: 1_000 }, () => ['Cookie', 'x=1; y=2'] as const) })],
    [queryKey('id'), source({ target: `/?${'i&'.repeat(count)}` })],
    [queryKey('id', { decode: true }), source({ target: `/?${'i&'.repeat(count)}` })],
    [queryKey('id', { decode: true }), source({ target: `/?${'%'.repeat(count)}` })],
  ];
  for (const [key, given] of keys) assert.equal(key(given), null);
});
