import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatNetAddress, parseAddress } from '../src/index.ts';

const almostAddress = fc
  .array(
    fc.constantFrom(
      'tcp://',
      'unix:',
      '//',
      '/',
      '[',
      ']',
      '::1',
      ':',
      '80',
      '0',
      '127.0.0.1',
      '.',
      'a',
      '-',
      '@',
      '%',
      '*',
      ' ',
      '\0',
      'é',
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

test('any text is an address that reads back the same, or a TypeError that shows the text', () => {
  fc.assert(
    fc.property(fc.oneof(almostAddress, fc.string({ unit: 'binary' })), (text) => {
      let address;
      try {
        address = parseAddress(text);
      } catch (error) {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /^invalid address "/);
        return;
      }
      assert.deepEqual(parseAddress(formatNetAddress(address)), address);
    }),
  );
});

test('every path that an object may give reads back the same', () => {
  const path = fc.array(fc.constantFrom('/', '//', 'a', '.', ':', '@', '?'), { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(path, (given) =>
      assert.deepEqual(parseAddress(formatNetAddress({ kind: 'unix', path: given })), { kind: 'unix', path: given }),
    ),
  );
});

test('every IPv4 and IPv6 address with every port is accepted', () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  fc.assert(
    fc.property(fc.ipV4(), port, (host, number) => {
      assert.deepEqual(parseAddress(`${host}:${number}`), { kind: 'tcp', host, port: number });
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), port, (host, number) => {
      assert.deepEqual(parseAddress(`tcp://[${host}]:${number}`), { kind: 'tcp', host, port: number });
    }),
  );
});
