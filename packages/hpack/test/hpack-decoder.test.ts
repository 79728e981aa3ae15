import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '@ferrata/bytes';
import { HPACK_REASONS, HpackDecoder, hpackError, makeFieldTagger, resolveHpackDecoderOptions, STATIC_TABLE } from '@ferrata/hpack';
import { decodeBlock, incremental, integer, plain, refuses } from './fixtures/blocks.ts';

const bytesOf = (...octets: readonly (number | readonly number[])[]): Uint8Array => Uint8Array.from(octets.flat());

test('every static field is read by its index (RFC 7541 §2.3.3, §6.1)', () => {
  const decoder = new HpackDecoder();
  for (let index = 1; index <= 61; index++) assert.deepEqual(decodeBlock(decoder, bytesOf(0x80 | index)), [STATIC_TABLE[index]]);
});

test('index 0 of an indexed field is an error (RFC 7541 §6.1)', () => {
  assert.throws(() => decodeBlock(new HpackDecoder(), '80'), refuses('HPACK_INDEX_ZERO'));
});

test('an index beyond both tables is an error in each form (RFC 7541 §2.3.3)', () => {
  for (const block of [bytesOf(integer(62, 7, 0x80)), bytesOf(integer(62, 6, 0x40), plain('x')), bytesOf(integer(62, 4, 0), plain('x'))]) {
    assert.throws(() => decodeBlock(new HpackDecoder(), block), refuses('HPACK_INDEX_TOO_LARGE'));
  }
  const decoder = new HpackDecoder();
  decodeBlock(decoder, bytesOf(incremental('a', '1')));
  assert.deepEqual(decodeBlock(decoder, 'be'), [['a', '1']]);
  assert.throws(() => decodeBlock(decoder, 'bf'), refuses('HPACK_INDEX_TOO_LARGE'));
});

test('an index is refused before the strings behind it have come', () => {
  const decoder = new HpackDecoder();
  decoder.feed(bytesOf(integer(62, 6, 0x40)));
  assert.throws(() => decoder.next(), refuses('HPACK_INDEX_TOO_LARGE'));
});

test('the first error is thrown again by every later call', () => {
  const decoder = new HpackDecoder();
  assert.throws(() => decodeBlock(decoder, '80'), refuses('HPACK_INDEX_ZERO'));
  assert.throws(() => decoder.next(), refuses('HPACK_INDEX_ZERO'));
  assert.throws(() => decoder.feed(fromHex('82')), refuses('HPACK_INDEX_ZERO'));
  assert.throws(() => decoder.end(), refuses('HPACK_INDEX_ZERO'));
  assert.equal(decoder.bufferedBytes(), 0);
});

test('integers end within five continuation octets and 31 bits (RFC 7541 §5.1)', () => {
  // 2^31 - 1 as a table size: no overflow, but more than is allowed.
  assert.throws(() => decodeBlock(new HpackDecoder(), bytesOf(integer(2 ** 31 - 1, 5, 0x20))), refuses('HPACK_TABLE_UPDATE_TOO_LARGE'));
  assert.throws(() => decodeBlock(new HpackDecoder(), bytesOf(integer(2 ** 31, 5, 0x20))), refuses('HPACK_INTEGER_TOO_LARGE'));
  assert.throws(() => decodeBlock(new HpackDecoder(), 'ffffffffff7f'), refuses('HPACK_INTEGER_TOO_LARGE'));
  assert.throws(() => decodeBlock(new HpackDecoder(), '7fffffffff7f'), refuses('HPACK_INTEGER_TOO_LARGE'));
  // Zeros in front of nothing: as many as fit in, and one more.
  assert.throws(() => decodeBlock(new HpackDecoder(), 'ff808080808000'), refuses('HPACK_INTEGER_TOO_LONG'));
  assert.throws(() => decodeBlock(new HpackDecoder(), 'ff8080808000'), refuses('HPACK_INDEX_TOO_LARGE'));
  assert.deepEqual(decodeBlock(new HpackDecoder(), '3f808080800082'), [[':method', 'GET']]);
});

test('a size update comes first or not at all, and twice at most (RFC 7541 §4.2)', () => {
  assert.deepEqual(decodeBlock(new HpackDecoder(), '203fe11f82'), [[':method', 'GET']]);
  assert.throws(() => decodeBlock(new HpackDecoder(), '8220'), refuses('HPACK_TABLE_UPDATE_LATE'));
  assert.throws(() => decodeBlock(new HpackDecoder(), '202120'), refuses('HPACK_TABLE_UPDATES_TOO_MANY'));
  // Each block may have its own.
  const decoder = new HpackDecoder();
  for (let block = 0; block < 3; block++) assert.deepEqual(decodeBlock(decoder, '203fe11f'), []);
});

test('a size update evicts, and one to 0 empties the table (RFC 7541 §4.3)', () => {
  const decoder = new HpackDecoder();
  decodeBlock(decoder, bytesOf(incremental('a', '1'), incremental('b', '2'), incremental('c', '3')));
  assert.equal(decoder.tableBytes(), 3 * 34);
  decodeBlock(decoder, bytesOf(integer(70, 5, 0x20)));
  assert.deepEqual(decoder.tableFields(), [
    ['c', '3'],
    ['b', '2'],
  ]);
  decodeBlock(decoder, '20');
  assert.deepEqual(decoder.tableFields(), []);
  decodeBlock(decoder, bytesOf(integer(4096, 5, 0x20), incremental('d', '4')));
  assert.deepEqual(decoder.tableFields(), [['d', '4']]);
});

test('after the size was lowered the next block must say so first (RFC 7541 §4.2)', () => {
  for (const block of ['82', '4001610162', '0001610162', '1001610162']) {
    const decoder = new HpackDecoder();
    decoder.setMaxTableBytes(100);
    assert.throws(() => decodeBlock(decoder, block), refuses('HPACK_TABLE_UPDATE_MISSING'));
  }
  const decoder = new HpackDecoder();
  decoder.setMaxTableBytes(100);
  assert.deepEqual(decodeBlock(decoder, bytesOf(integer(100, 5, 0x20), 0x82)), [[':method', 'GET']]);
  assert.deepEqual(decodeBlock(decoder, '82'), [[':method', 'GET']]);
});

test('of several sizes between two blocks the smallest must be said first (RFC 7541 §4.2)', () => {
  const lowered = (): HpackDecoder => {
    const decoder = new HpackDecoder();
    decodeBlock(decoder, bytesOf(incremental('a', '1')));
    for (const bytes of [100, 20, 50]) decoder.setMaxTableBytes(bytes);
    return decoder;
  };
  assert.throws(() => decodeBlock(lowered(), bytesOf(integer(50, 5, 0x20))), refuses('HPACK_TABLE_UPDATE_MISSING'));
  assert.throws(() => decodeBlock(lowered(), bytesOf(integer(51, 5, 0x20))), refuses('HPACK_TABLE_UPDATE_TOO_LARGE'));
  const decoder = lowered();
  decodeBlock(decoder, bytesOf(integer(20, 5, 0x20), integer(50, 5, 0x20)));
  assert.deepEqual(decoder.tableFields(), []);
});

test('a raised size needs no update, and one may follow later (RFC 7541 §4.2)', () => {
  const decoder = new HpackDecoder();
  decoder.setMaxTableBytes(8192);
  assert.deepEqual(decodeBlock(decoder, '82'), [[':method', 'GET']]);
  assert.deepEqual(decodeBlock(decoder, bytesOf(integer(8192, 5, 0x20), 0x82)), [[':method', 'GET']]);
  assert.throws(() => decoder.setMaxTableBytes(-1), RangeError);
  assert.throws(() => decoder.setMaxTableBytes(2 ** 31), RangeError);
});

test('a field larger than the table empties it and is given all the same (RFC 7541 §4.4)', () => {
  const decoder = new HpackDecoder({ maxTableBytes: 100 });
  decodeBlock(decoder, bytesOf(incremental('a', '1')));
  const value = 'x'.repeat(68);
  assert.deepEqual(decodeBlock(decoder, bytesOf(incremental('b', value))), [['b', value]]);
  assert.deepEqual(decoder.tableFields(), []);
  // One less fits in exactly.
  decodeBlock(decoder, bytesOf(incremental('b', value.slice(1))));
  assert.equal(decoder.tableBytes(), 100);
});

test('a new entry may take its name from the one that it evicts (RFC 7541 §4.4)', () => {
  const decoder = new HpackDecoder({ maxTableBytes: 60 });
  decodeBlock(decoder, bytesOf(incremental('name', 'old')));
  assert.deepEqual(decodeBlock(decoder, bytesOf(integer(62, 6, 0x40), plain('new'))), [['name', 'new']]);
  assert.deepEqual(decoder.tableFields(), [['name', 'new']]);
});

test('the ring keeps its order while it grows and turns', () => {
  const decoder = new HpackDecoder({ maxTableBytes: 40 * 36, maxFieldCount: 1000 });
  for (let i = 0; i < 200; i++) {
    decodeBlock(decoder, bytesOf(incremental('n', String(i).padStart(3, '0'))));
    const expected = Array.from({ length: Math.min(i + 1, 40) }, (_, back) => ['n', String(i - back).padStart(3, '0')]);
    assert.deepEqual(decoder.tableFields(), expected);
  }
});

test('a block that ends within a field is an error, wherever (RFC 7541 §3.1)', () => {
  // Two indexed fields, a literal with Huffman code, one with two plain strings, and an index of two octets.
  const block = fromHex('8286418cf1e3c2e5f23a6ba0ab90f4ff400a637573746f6d2d6b65790d637573746f6d2d6865616465720f0d0178');
  const ends = new Set([0, 1, 2, 16, 42, 46]);
  for (let length = 0; length <= block.length; length++) {
    const decoder = new HpackDecoder();
    decoder.feed(block, 0, length);
    while (decoder.next());
    if (ends.has(length)) decoder.end();
    else assert.throws(() => decoder.end(), refuses('HPACK_TRUNCATED'), String(length));
  }
});

test('end() before all fields have been read is a mistake of the caller', () => {
  const decoder = new HpackDecoder();
  decoder.feed(fromHex('8286'));
  assert.equal(decoder.next(), true);
  assert.throws(() => decoder.end(), RangeError);
  assert.equal(decoder.next(), true);
  decoder.end();
});

test('feed() refuses a range outside of its bytes, and joins what has not been read', () => {
  const decoder = new HpackDecoder();
  const bytes = fromHex('828684');
  for (const [start, end] of [
    [-1, 1],
    [2, 1],
    [0, 4],
    [Number.NaN, 1],
  ] as const) {
    assert.throws(() => decoder.feed(bytes, start, end), RangeError);
  }
  decoder.feed(bytes, 0, 2);
  decoder.feed(bytes, 2, 3);
  decoder.feed(bytes, 3);
  assert.equal(decoder.bufferedBytes(), 3);
  const names: string[] = [];
  while (decoder.next()) names.push(decoder.name);
  decoder.end();
  assert.deepEqual(names, [':method', ':scheme', ':path']);
});

test('a string is checked against its limit when its length is known, before its bytes have come', () => {
  for (const block of [
    bytesOf(0x40, integer(101, 7, 0)),
    bytesOf(0x44, integer(101, 7, 0x80)),
    bytesOf(0x40, plain('a'), integer(101, 7, 0)),
  ]) {
    const decoder = new HpackDecoder({ maxStringBytes: 100 });
    decoder.feed(block);
    assert.throws(() => decoder.next(), refuses('HPACK_STRING_TOO_LONG'));
  }
  const decoder = new HpackDecoder({ maxStringBytes: 100 });
  const value = 'v'.repeat(100);
  assert.deepEqual(decodeBlock(decoder, bytesOf(0x04, plain(value)), 1), [[':path', value]]);
});

test('Huffman code is checked in names and values (RFC 7541 §5.2)', () => {
  assert.throws(() => decodeBlock(new HpackDecoder(), '4484ffffffff'), refuses('HPACK_HUFFMAN_EOS'));
  assert.throws(() => decodeBlock(new HpackDecoder(), '4082ffff0161'), refuses('HPACK_HUFFMAN_PADDING'));
  assert.throws(() => decodeBlock(new HpackDecoder(), '448100'), refuses('HPACK_HUFFMAN_PADDING'));
  assert.deepEqual(decodeBlock(new HpackDecoder(), '4480'), [[':path', '']]);
});

test('over maxListBytes the rest is read for the table alone (RFC 9113 §6.5.2, §10.5.1)', () => {
  const decoder = new HpackDecoder({ maxListBytes: 68 });
  const block = bytesOf(incremental('a', '1'), incremental('b', '2'), incremental('c', '3'), 0x82, 0x04, plain('/x'), 0xbe);
  decoder.feed(block);
  const names: string[] = [];
  while (decoder.next()) names.push(decoder.name);
  assert.deepEqual(names, ['a', 'b']);
  assert.equal(decoder.isOverLimit, true);
  assert.equal(decoder.fieldCount, 6);
  assert.equal(decoder.listBytes, 4 * 34 + 42 + 39);
  decoder.end();
  assert.deepEqual(
    decoder.tableFields().map(([name]) => name),
    ['c', 'b', 'a'],
  );
  // The next block has its own count.
  assert.equal(decoder.isOverLimit, false);
  assert.deepEqual(decodeBlock(decoder, 'bebf'), [
    ['c', '3'],
    ['b', '2'],
  ]);
});

test('over maxFieldCount the rest is read for the table alone, and still checked', () => {
  const decoder = new HpackDecoder({ maxFieldCount: 2 });
  assert.deepEqual(decodeBlock(decoder, bytesOf(0x82, 0x86, incremental('a', '1'))), [
    [':method', 'GET'],
    [':scheme', 'http'],
  ]);
  assert.deepEqual(decoder.tableFields(), [['a', '1']]);
  assert.throws(() => decodeBlock(decoder, bytesOf(0x82, 0x86, 0x84, 0x44, 0x81, 0)), refuses('HPACK_HUFFMAN_PADDING'));
});

test('a smaller field behind the one that went over the limit is not given either', () => {
  const decoder = new HpackDecoder({ maxListBytes: 100 });
  assert.deepEqual(decodeBlock(decoder, bytesOf(0x04, plain('x'.repeat(100)), 0x82)), []);
});

test('names that objects have by nature are names like all others', () => {
  const decoder = new HpackDecoder();
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '0', '12', ''];
  const block = bytesOf(...names.map((name) => incremental(name, 'v')));
  assert.deepEqual(
    decodeBlock(decoder, block),
    names.map((name) => [name, 'v']),
  );
});

test('a tag is computed once for a literal and kept with its entry', () => {
  const asked: string[] = [];
  const tagger = makeFieldTagger((name, value) => {
    asked.push(`${name}=${value}`);
    return name.length * 100 + value.length;
  });
  assert.equal(asked.length, 61);
  asked.length = 0;
  const decoder = new HpackDecoder({ tagger });
  const tags: number[] = [];
  decoder.feed(bytesOf(0x82, incremental('abc', 'de'), 0xbe, 0x0f, 0x2f, plain('xyz'), 0xbe));
  while (decoder.next()) tags.push(decoder.tag);
  decoder.end();
  assert.deepEqual(tags, [703, 302, 302, 303, 302]);
  assert.deepEqual(asked, ['abc=de', 'abc=xyz']);
});

test('a tagger that throws has consumed nothing', () => {
  let isBroken = true;
  const tagger = {
    staticTags: new Int32Array(62),
    tag(): number {
      if (isBroken) throw new TypeError('not now');
      return 5;
    },
  };
  const decoder = new HpackDecoder({ tagger });
  decoder.feed(bytesOf(incremental('a', '1')));
  assert.throws(() => decoder.next(), TypeError);
  isBroken = false;
  assert.equal(decoder.next(), true);
  assert.equal(decoder.tag, 5);
  assert.equal(decoder.tableFields().length, 1);
});

test('size updates and evictions are counted for the life of the connection', () => {
  const decoder = new HpackDecoder({ maxTableBytes: 70 });
  decodeBlock(decoder, bytesOf(incremental('a', '1'), incremental('b', '2'), incremental('c', '3')));
  assert.deepEqual([decoder.tableUpdateCount, decoder.evictionCount], [0, 1]);
  decodeBlock(decoder, bytesOf(0x20, integer(70, 5, 0x20), incremental('d', '4')));
  assert.deepEqual([decoder.tableUpdateCount, decoder.evictionCount], [2, 3]);
  decodeBlock(decoder, bytesOf(incremental('e', 'x'.repeat(70))));
  assert.deepEqual([decoder.tableUpdateCount, decoder.evictionCount], [2, 4]);
});

test('a table of 0 bytes holds nothing', () => {
  const decoder = new HpackDecoder({ maxTableBytes: 0 });
  assert.deepEqual(decodeBlock(decoder, bytesOf(incremental('a', '1'))), [['a', '1']]);
  assert.throws(() => decodeBlock(decoder, 'be'), refuses('HPACK_INDEX_TOO_LARGE'));
});

test('options are checked, and resolved ones taken as they are', () => {
  const resolved = resolveHpackDecoderOptions({ maxListBytes: 1000 });
  assert.deepEqual(resolved, {
    isResolved: true,
    maxTableBytes: 4096,
    maxListBytes: 1000,
    maxFieldCount: 100,
    maxStringBytes: 16_384,
    tagger: null,
  });
  assert.equal(resolveHpackDecoderOptions(resolved), resolved);
  assert.ok(Object.isFrozen(resolved));
  for (const options of [{ maxTableBytes: -1 }, { maxListBytes: 1.5 }, { maxFieldCount: Number.NaN }, { maxStringBytes: 0 }]) {
    assert.throws(() => new HpackDecoder(options), RangeError);
  }
  assert.throws(() => new HpackDecoder({ tagger: { tag: () => 0, staticTags: new Int32Array(61) } }), RangeError);
});

test('every reason is a COMPRESSION_ERROR and has a sentence (RFC 9113 §4.3)', () => {
  for (const reason of HPACK_REASONS) {
    const error = hpackError(reason);
    assert.equal(error.wire.http2Code, 9);
    assert.match(error.message, new RegExp(`${reason}.+ `));
  }
});
