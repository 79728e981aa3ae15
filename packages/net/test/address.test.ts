import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatNetAddress, type NetAddress, parseAddress, toNetAddress } from '../src/index.ts';

describe('parseAddress', () => {
  const accepted: readonly (readonly [string, NetAddress])[] = [
    ['tcp://127.0.0.1:8080', { kind: 'tcp', host: '127.0.0.1', port: 8080 }],
    ['127.0.0.1:8080', { kind: 'tcp', host: '127.0.0.1', port: 8080 }],
    ['TCP://127.0.0.1:0', { kind: 'tcp', host: '127.0.0.1', port: 0 }],
    ['tcp://[::1]:65535', { kind: 'tcp', host: '::1', port: 65535 }],
    ['[::]:80', { kind: 'tcp', host: '::', port: 80 }],
    ['[fe80::1%eth0]:80', { kind: 'tcp', host: 'fe80::1%eth0', port: 80 }],
    ['localhost:80', { kind: 'tcp', host: 'localhost', port: 80 }],
    ['tcp://a-b.example_1.test.:80', { kind: 'tcp', host: 'a-b.example_1.test.', port: 80 }],
    ['unix:/run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['unix:///run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['unix:run/app.sock', { kind: 'unix', path: 'run/app.sock' }],
    ['/run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
  ];
  for (const [text, address] of accepted) {
    test(`accepts ${text}`, () => assert.deepEqual(parseAddress(text), address));
  }

  const refused: readonly (readonly [text: string, why: RegExp])[] = [
    ['', /it is empty/],
    [' 127.0.0.1:80', /blank/],
    ['127.0.0.1:80\n', /blank/],
    ['a\0b:80', /NUL/],
    ['localhost', /the port is missing; write localhost:port/],
    ['9000', /the host is missing; write 127\.0\.0\.1:9000, or \[::\]:9000/],
    ['tcp://', /the port is missing; write host:port/],
    ['localhost:', /the port is missing after the colon/],
    ['localhost:http', /http is not a port number/],
    ['localhost:080', /080 is not a port number/],
    ['localhost:-1', /-1 is not a port number/],
    ['localhost:65536', /from 0 to 65535/],
    ['localhost:99999999999', /is not a port number/],
    [':80', /the host is missing; write 0\.0\.0\.0 or \[::\]/],
    ['*:80', /\* is not a host; write 0\.0\.0\.0/],
    ['::1:80', /needs brackets/],
    ['fe80::1', /needs brackets/],
    ['[::1]', /the port is missing; write \[::1\]:port/],
    ['[::1]80', /the port is missing/],
    ['[::1', /closing bracket/],
    ['[127.0.0.1]:80', /127\.0\.0\.1 is not an IPv6 address/],
    ['[]:80', /is not an IPv6 address/],
    ['127.1:80', /four decimal numbers/],
    ['0177.0.0.1:80', /four decimal numbers/],
    ['0x7f000001:80', /four decimal numbers/],
    ['256.0.0.1:80', /four decimal numbers/],
    ['-a.test:80', /is not a host name/],
    ['a..b:80', /is not a host name/],
    [`${'a'.repeat(64)}.test:80`, /is not a host name/],
    ['tcp://host:80/', /no path/],
    ['tcp://host:80?x', /no path, query/],
    ['tcp://user@host:80', /no user name/],
    ['http://host:80', /the scheme http is not known; known are tcp:\/\/ and unix:/],
    ['unix:', /the path of the Unix socket is missing/],
    ['unix://host/path', /a Unix socket has no host/],
    [`unix:/${'a'.repeat(120)}`, /has 121 bytes, and a Unix socket can have 10\d at most/],
    [`/${'a'.repeat(120)}`, /has 121 bytes, and a Unix socket can have 10\d at most/],
    ['run/app.sock', /an address has no path/],
    ['//host:80', /an address has no path/],
  ];
  for (const [text, why] of refused) {
    test(`refuses ${JSON.stringify(text.slice(0, 40))} and says why`, () => {
      assert.throws(
        () => parseAddress(text),
        (error) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, why);
          assert.match(error.message, /^invalid address "/);
          return true;
        },
      );
    });
  }

  test('an endless text is cut in the message', () => {
    assert.throws(
      () => parseAddress('x'.repeat(100_000)),
      (error: Error) => error.message.length < 400,
    );
  });
});

describe('toNetAddress', () => {
  test('takes the forms in which a program has an address', () => {
    assert.deepEqual(toNetAddress({ host: '::1', port: 80 }), { kind: 'tcp', host: '::1', port: 80 });
    assert.deepEqual(toNetAddress({ path: '/run/s' }), { kind: 'unix', path: '/run/s' });
    assert.deepEqual(toNetAddress({ kind: 'ip', host: '127.0.0.1', port: 80 }), { kind: 'tcp', host: '127.0.0.1', port: 80 });
    assert.deepEqual(toNetAddress('unix:/run/s'), { kind: 'unix', path: '/run/s' });
  });

  test('checks them as strictly as a text', () => {
    assert.throws(() => toNetAddress({ host: '', port: 80 }), /the host is missing/);
    assert.throws(() => toNetAddress({ host: 'localhost', port: 1.5 }), /whole number/);
    assert.throws(() => toNetAddress({ host: 'localhost', port: Number.NaN }), /whole number/);
    assert.throws(() => toNetAddress({ host: undefined as never, port: 80 }), /the host is missing/);
    assert.throws(() => toNetAddress({ path: '' }), /the path of the Unix socket is missing/);
    assert.throws(() => toNetAddress({ path: '/a\0b' }), /NUL/);
    assert.throws(() => toNetAddress({ kind: 'unset' }), /neither a host nor a path/);
  });
});

test('formatNetAddress writes what parseAddress reads', () => {
  for (const text of ['tcp://127.0.0.1:80', 'tcp://[::1]:80', 'tcp://localhost:80', 'unix:/run/s']) {
    assert.equal(formatNetAddress(parseAddress(text)), text);
  }
});
