import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { crc32, crc32Text } from '@ferrata/hash';
import fc from 'fast-check';

test('the check value of CRC-32/ISO-HDLC is cbf43926', () => {
  assert.equal(crc32Text('123456789'), 0xcbf4_3926);
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf4_3926);
  assert.equal(crc32(new Uint8Array()), 0);
  assert.equal(crc32Text(''), 0);
});

test('crc32 agrees with zlib, whole or in pieces', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(), (bytes, at) => {
      const cut = at % (bytes.length + 1);
      assert.equal(crc32(bytes), zlibCrc32(bytes));
      assert.equal(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut))), zlibCrc32(bytes));
    }),
  );
});

test('crc32Text agrees with zlib of the UTF-8 form, for any text, lone surrogates included', () => {
  const unit = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7ff, max: 0xe000 }), fc.integer({ min: 0, max: 0x801 }));
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 100 }), fc.integer({ min: 0, max: 0xffff_ffff }), (units, previous) => {
      const text = String.fromCharCode(...units);
      assert.equal(crc32Text(text, previous), zlibCrc32(new TextEncoder().encode(text), previous));
    }),
    { numRuns: 500 },
  );
});
