/** Round trips with our own decoder and with hpack.js both ways, and blocks cut anywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWireError } from '@ferrata/error';
import { HpackDecoder, HpackEncoder, Indexing } from '@ferrata/hpack';
import fc from 'fast-check';
import { decodeBlock, encodeBlock, type Field } from './fixtures/blocks.ts';
import { TEXTS_IT_CORRUPTS, TheirDecoder, TheirEncoder } from './fixtures/hpack-js.ts';

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 300 });
const known = fc.constantFrom(
  ':method',
  ':path',
  'accept',
  'cookie',
  'authorization',
  'x-request-id',
  'set-cookie',
  'constructor',
  '__proto__',
);
const name = fc.oneof(known, fc.string({ unit: 'binary-ascii', maxLength: 30 }), latin1);
const value = fc.oneof(fc.constantFrom('', 'GET', '/', 'text/html', 'a=1; b=2; c=3; d=4'), fc.string({ unit: 'binary-ascii' }), latin1);
const field: fc.Arbitrary<Field> = fc.tuple(name, value);
const blocks = fc.array(fc.array(field, { maxLength: 20 }), { maxLength: 8 });
const indexing = fc.constantFrom(...Object.values(Indexing));
const size = fc.constantFrom(1, 2, 3, 16, 100_000);
// It writes a zero octet to the right of an empty list of pieces, and it knows no empty block.
const theirBlocks = fc.array(
  fc.array(
    field.filter((texts) => !texts.some((text) => TEXTS_IT_CORRUPTS.includes(text))),
    { minLength: 1, maxLength: 20 },
  ),
  { maxLength: 8 },
);

test('what is encoded comes back, whatever the fields and the fragments (RFC 7541 §3)', () => {
  fc.assert(
    fc.property(blocks, indexing, size, (list, choice, fragment) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder({ maxListBytes: 1_000_000 });
      for (const fields of list) {
        assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, fields, choice), fragment), fields);
        assert.deepEqual(decoder.tableFields(), encoder.tableFields());
      }
    }),
    { numRuns: 300 },
  );
});

test('hpack.js reads what we write', () => {
  fc.assert(
    fc.property(theirBlocks, indexing, (list, choice) => {
      const encoder = new HpackEncoder();
      const decoder = new TheirDecoder();
      for (const fields of list) assert.deepEqual(decoder.decode(encodeBlock(encoder, fields, choice)), fields);
    }),
    { numRuns: 200 },
  );
});

test('we read what hpack.js writes', () => {
  fc.assert(
    fc.property(theirBlocks, size, (list, fragment) => {
      const encoder = new TheirEncoder();
      const decoder = new HpackDecoder({ maxListBytes: 1_000_000 });
      for (const fields of list) assert.deepEqual(decodeBlock(decoder, encoder.encode(fields), fragment), fields);
    }),
    { numRuns: 200 },
  );
});

test('any bytes give fields or a HPACK reason, the same ones however they are cut', () => {
  const read = (bytes: Uint8Array, fragment: number): readonly unknown[] => {
    const decoder = new HpackDecoder({ maxListBytes: 2_000, maxFieldCount: 20, maxStringBytes: 200, maxTableBytes: 200 });
    try {
      return [decodeBlock(decoder, bytes, fragment), decoder.tableFields()];
    } catch (error) {
      if (!isWireError(error)) throw error;
      return [error.reason];
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (bytes, fragment) => {
      assert.deepEqual(read(bytes, fragment), read(bytes, 1_000));
    }),
    { numRuns: 2_000 },
  );
});
