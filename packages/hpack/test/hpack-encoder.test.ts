import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ByteWriter, latin1Decode, toHex } from '@ferrata/bytes';
import { HpackDecoder, HpackEncoder, Indexing, resolveHpackEncoderOptions, STATIC_TABLE } from '@ferrata/hpack';
import { decodeBlock, encodeBlock } from './fixtures/blocks.ts';

test('fields of the static table are one octet (RFC 7541 §6.1)', () => {
  const encoder = new HpackEncoder();
  for (let index = 1; index <= 61; index++) {
    const field = STATIC_TABLE[index] ?? ['', ''];
    if (['authorization', 'proxy-authorization', 'set-cookie', 'cookie'].includes(field[0])) continue;
    assert.deepEqual([...encodeBlock(encoder, [field])], [0x80 | index], field.join());
  }
  assert.deepEqual(encoder.tableFields(), []);
});

test('a field enters the table once and is a reference from then on (RFC 7541 §6.2.1)', () => {
  const encoder = new HpackEncoder();
  const first = encodeBlock(encoder, [['x-a', 'value']]);
  assert.equal(first[0], 0x40);
  assert.equal(toHex(encodeBlock(encoder, [['x-a', 'value']])), 'be');
  assert.equal(encodeBlock(encoder, [['x-a', 'other']])[0], 0x40 | 62);
  assert.equal(toHex(encodeBlock(encoder, [['x-a', 'value']])), 'bf');
  assert.equal(encoder.tableBytes(), 2 * 40);
});

for (const [name, value, first] of [
  ['authorization', 'Basic x', 0x10],
  ['proxy-authorization', 'Basic x', 0x10],
  ['set-cookie', 'a=1; Path=/; HttpOnly', 0x10],
  ['cookie', 'short=1', 0x10],
  [':path', '/a/b', 0x00],
  ['content-length', '123', 0x00],
  ['etag', '"abc"', 0x00],
] as const) {
  test(`${name} is left out of the table by itself, as ${first === 0x10 ? 'never indexed (RFC 7541 §7.1.3)' : 'it differs each time'}`, () => {
    const encoder = new HpackEncoder();
    for (let time = 0; time < 2; time++) assert.equal((encodeBlock(encoder, [[name, value]])[0] ?? 0) & 0xf0, first);
    assert.deepEqual(encoder.tableFields(), []);
    const decoder = new HpackDecoder();
    assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, [[name, value]])), [[name, value]]);
    assert.equal(decoder.isNeverIndexed, first === 0x10);
  });
}

test('a cookie of 20 characters enters the table, a shorter one does not (RFC 7541 §7.1.3)', () => {
  const encoder = new HpackEncoder();
  encodeBlock(encoder, [
    ['cookie', 'a=34567890123456789'],
    ['cookie', 'a=345678901234567890'],
  ]);
  assert.deepEqual(encoder.tableFields(), [['cookie', 'a=345678901234567890']]);
});

test('never is obeyed though the field stands in a table (RFC 7541 §6.2.3)', () => {
  const encoder = new HpackEncoder();
  encodeBlock(encoder, [['x-secret', 'abc']], Indexing.incremental);
  const block = encodeBlock(encoder, [['x-secret', 'abc']], Indexing.never);
  assert.equal(block[0], 0x1f);
  const decoder = new HpackDecoder();
  decodeBlock(decoder, encodeBlock(new HpackEncoder(), [['x-secret', 'abc']]));
  assert.deepEqual(decodeBlock(decoder, block), [['x-secret', 'abc']]);
  assert.equal(decoder.isNeverIndexed, true);
});

test('without uses a reference and adds nothing; incremental overrules the policy of a name (RFC 7541 §6.2.2)', () => {
  const encoder = new HpackEncoder();
  assert.equal(encodeBlock(encoder, [['x-a', '1']], Indexing.without)[0], 0x00);
  encodeBlock(encoder, [['authorization', 'x']], Indexing.incremental);
  assert.deepEqual(encoder.tableFields(), [['authorization', 'x']]);
  assert.equal(toHex(encodeBlock(encoder, [['authorization', 'x']], Indexing.without)), 'be');
});

test('a field that would take most of the table does not enter it by itself, one larger than it never (RFC 7541 §4.4)', () => {
  const encoder = new HpackEncoder();
  encodeBlock(encoder, [['a', '1']]);
  encodeBlock(encoder, [['big', 'x'.repeat(3072 - 34)]]);
  assert.equal(encoder.tableFields().length, 1);
  encodeBlock(encoder, [['big', 'x'.repeat(4096)]], Indexing.incremental);
  assert.equal(encoder.tableFields().length, 1);
  encodeBlock(encoder, [['big', 'x'.repeat(3072 - 35)]]);
  assert.equal(encoder.tableFields().length, 2);
});

test('size updates are said once, the smallest first (RFC 7541 §4.2)', () => {
  const encoder = new HpackEncoder();
  encodeBlock(encoder, [['a', '1']]);
  encoder.setPeerTableBytes(4096);
  assert.equal(toHex(encodeBlock(encoder, [])), '');
  encoder.setPeerTableBytes(10);
  encoder.setPeerTableBytes(30);
  assert.deepEqual(encoder.tableFields(), []);
  assert.equal(toHex(encodeBlock(encoder, [])), '2a3e');
  assert.equal(toHex(encodeBlock(encoder, [])), '');
  encoder.setPeerTableBytes(0);
  encoder.setPeerTableBytes(4096);
  assert.equal(toHex(encodeBlock(encoder, [])), '203fe11f');
});

test('more than maxTableBytes is not used, less is said in the first block', () => {
  const encoder = new HpackEncoder();
  encoder.setPeerTableBytes(0xffff_ffff);
  assert.equal(toHex(encodeBlock(encoder, [])), '');
  assert.equal(toHex(encodeBlock(new HpackEncoder({ maxTableBytes: 0 }), [])), '20');
  const large = new HpackEncoder({ maxTableBytes: 8192 });
  assert.equal(toHex(encodeBlock(large, [])), '');
  large.setPeerTableBytes(16_384);
  assert.equal(toHex(encodeBlock(large, [])), '3fe13f');
  assert.throws(() => encoder.setPeerTableBytes(-1), RangeError);
  assert.throws(() => encoder.setPeerTableBytes(2 ** 32), RangeError);
  assert.throws(() => new HpackEncoder({ maxTableBytes: 1.5 }), RangeError);
  const resolved = resolveHpackEncoderOptions();
  assert.equal(resolveHpackEncoderOptions(resolved), resolved);
});

test('a character above U+00FF throws, and neither bytes nor table have changed', () => {
  const encoder = new HpackEncoder();
  const writer = new ByteWriter();
  for (const [name, value] of [
    ['x-a', 'Ā'],
    ['x-ā', 'a'],
    ['cookie', `${'a'.repeat(300)}Ā`],
  ] as const) {
    assert.throws(() => encoder.writeField(writer, name, value), RangeError);
  }
  assert.equal(writer.length, 0);
  assert.deepEqual(encoder.tableFields(), []);
});

test('strings of every length come back, plain and in Huffman code, around the steps of their length (RFC 7541 §5.1, §5.2)', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder({ maxListBytes: 100_000 });
  for (const unit of ['0', 'X', '\x00', 'ÿ']) {
    for (const length of [0, 1, 2, 126, 127, 128, 129, 158, 202, 203, 204, 254, 255, 256, 300, 16_000]) {
      const fields = [['x', unit.repeat(length)]] as const;
      assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, fields)), fields);
    }
  }
});

test('a plain string is written where Huffman code is not shorter (RFC 7541 §5.2)', () => {
  const block = encodeBlock(new HpackEncoder(), [['x', '\x01\x02']], Indexing.without);
  assert.equal(toHex(block), '000178020102');
});

test('many values of one name are all found, the older ones too, and forgotten as they are evicted', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const value = (i: number): string => `value-${String(i).padStart(4, '0')}`;
  // 43 bytes an entry: 95 fit in.
  for (let i = 0; i < 300; i++) {
    decodeBlock(decoder, encodeBlock(encoder, [['n', value(i)]]));
    for (const back of [0, 1, 7, 15, 16, 17, 40, 94]) {
      if (back > i) continue;
      const again = encodeBlock(encoder, [['n', value(i - back)]]);
      assert.equal(again.length, back < 65 ? 1 : 2);
      assert.deepEqual(decodeBlock(decoder, again), [['n', value(i - back)]]);
    }
    assert.deepEqual(encoder.tableFields(), decoder.tableFields());
  }
  encoder.setPeerTableBytes(0);
  encoder.setPeerTableBytes(4096);
  decodeBlock(decoder, encodeBlock(encoder, [['n', value(299)]]));
  assert.deepEqual(encoder.tableFields(), [['n', value(299)]]);
  assert.deepEqual(decoder.tableFields(), [['n', value(299)]]);
});

test('values that agree in name, length and the characters that tell them apart cost bytes, and the tables stay equal', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const value = (i: number): string => `${String(i).padStart(4, '0')}-the-same-end`;
  for (let i = 0; i < 60; i++) decodeBlock(decoder, encodeBlock(encoder, [['n', value(i)]]));
  // One of the newest is found; of the oldest nobody looks at so many.
  for (const [i, isFound] of [
    [59, true],
    [50, true],
    [0, false],
  ] as const) {
    const block = encodeBlock(encoder, [['n', value(i)]], Indexing.without);
    assert.equal(block.length === 1, isFound, value(i));
    assert.deepEqual(decodeBlock(decoder, block), [['n', value(i)]]);
  }
  assert.deepEqual(encoder.tableFields(), decoder.tableFields());
});

test('values of all lengths are found again as octets, as the table turns over and its memory grows', () => {
  const encoder = new HpackEncoder({ maxTableBytes: 16_384 });
  encoder.setPeerTableBytes(16_384);
  const decoder = new HpackDecoder({ maxTableBytes: 16_384 });
  for (let i = 0; i < 600; i++) {
    const field = [`x-${i % 7}`, `${i}-`.padEnd(12 + ((i * 7919) % (i % 50 === 0 ? 3000 : 300)), 'abc def')] as const;
    decodeBlock(decoder, encodeBlock(encoder, [field]));
    assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, [field])), [field]);
    assert.equal(encoder.tableFields().length, decoder.tableFields().length);
    if (i % 20 === 0) assert.deepEqual(encoder.tableFields(), decoder.tableFields());
  }
});

test('names that objects have by nature are names like all others', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const fields = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '0', '12', ''].map((name) => [name, name] as const);
  assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, fields)), fields);
  const again = encodeBlock(encoder, fields);
  assert.equal(again.length, fields.length);
  assert.deepEqual(decodeBlock(decoder, again), fields);
});

test('neither table keeps the larger strings and chunks that its entries were cut from', () => {
  const encoders: HpackEncoder[] = [];
  const decoders: HpackDecoder[] = [];
  const before = heapBytes();
  for (let i = 0; i < 40; i++) {
    // A head of 1 MB as one string, as the HTTP/1 decoder makes it; its values point into it.
    const head = latin1Decode(new Uint8Array(1_000_000).fill(0x61 + (i % 20)));
    const encoder = new HpackEncoder();
    const block = encodeBlock(encoder, [[head.slice(100, 150), head.slice(200, 300)]], Indexing.incremental);
    encoders.push(encoder);
    const decoder = new HpackDecoder();
    const chunk = new Uint8Array(1_000_000);
    chunk.set(block);
    decoder.feed(chunk, 0, block.length);
    while (decoder.next());
    decoder.end();
    decoders.push(decoder);
  }
  const grown = heapBytes() - before;
  assert.ok(grown < 20_000_000, `${grown} bytes are kept alive by ${encoders.length + decoders.length} tables`);
});

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // Two: finalisers run after the first, and what they free goes with the second.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
