/** Every example of RFC 7541 Appendix C. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '@ferrata/bytes';
import { HpackDecoder, HpackEncoder, Indexing } from '@ferrata/hpack';
import { decodeBlock, encodeBlock, type Field, integer } from './fixtures/blocks.ts';

const requests: readonly (readonly Field[])[] = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
];

const setCookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const responses: readonly (readonly Field[])[] = [
  [
    [':status', '302'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ],
  [
    [':status', '307'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ],
  [
    [':status', '200'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
    ['location', 'https://www.example.com'],
    ['content-encoding', 'gzip'],
    ['set-cookie', setCookie],
  ],
];

const plainRequests = [
  '828684410f7777772e6578616d706c652e636f6d',
  '828684be58086e6f2d6361636865',
  '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
];
const codedRequests = [
  '828684418cf1e3c2e5f23a6ba0ab90f4ff',
  '828684be5886a8eb10649cbf',
  '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
];
const plainResponses = [
  '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
  '4803333037c1c0bf',
  '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
];
const codedResponses = [
  '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
  '4883640effc1c0bf',
  '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
];

test('integers are written as in C.1, seen in table size updates', () => {
  assert.deepEqual(integer(10, 5, 0), [0x0a]);
  assert.deepEqual(integer(1337, 5, 0), [0x1f, 0x9a, 0x0a]);
  assert.deepEqual(integer(42, 8, 0), [0x2a]);
  for (const [bytes, hex] of [
    [10, '2a'],
    [1337, '3f9a0a'],
    [30, '3e'],
    [31, '3f00'],
    [158, '3f7f'],
    [159, '3f8001'],
  ] as const) {
    const encoder = new HpackEncoder();
    encoder.setPeerTableBytes(bytes);
    assert.equal(toHex(encodeBlock(encoder, [])), hex);
    const decoder = new HpackDecoder({ maxTableBytes: bytes });
    assert.deepEqual(decodeBlock(decoder, hex), []);
    assert.throws(() => decodeBlock(new HpackDecoder({ maxTableBytes: bytes - 1 }), hex), { reason: 'HPACK_TABLE_UPDATE_TOO_LARGE' });
  }
});

test('a literal that enters the table is read as in C.2.1', () => {
  const decoder = new HpackDecoder();
  assert.deepEqual(decodeBlock(decoder, '400a637573746f6d2d6b65790d637573746f6d2d686561646572'), [['custom-key', 'custom-header']]);
  assert.deepEqual(decoder.tableFields(), [['custom-key', 'custom-header']]);
  assert.equal(decoder.tableBytes(), 55);
});

test('literals that do not enter the table are read as in C.2.2 and C.2.3', () => {
  const decoder = new HpackDecoder();
  assert.deepEqual(decodeBlock(decoder, '040c2f73616d706c652f70617468'), [[':path', '/sample/path']]);
  assert.equal(decoder.isNeverIndexed, false);
  assert.deepEqual(decodeBlock(decoder, '100870617373776f726406736563726574'), [['password', 'secret']]);
  assert.equal(decoder.isNeverIndexed, true);
  assert.deepEqual(decodeBlock(decoder, '82'), [[':method', 'GET']]);
  assert.equal(decoder.isNeverIndexed, false);
  assert.equal(decoder.tableBytes(), 0);
});

for (const [section, blocks] of [
  ['C.3', plainRequests],
  ['C.4', codedRequests],
] as const) {
  test(`the requests of ${section} are read, and leave the table that it shows`, () => {
    const decoder = new HpackDecoder();
    const tableBytes = blocks.map((block, i) => {
      assert.deepEqual(decodeBlock(decoder, block), requests[i]);
      return decoder.tableBytes();
    });
    assert.deepEqual(tableBytes, [57, 110, 164]);
    assert.deepEqual(decoder.tableFields(), [
      ['custom-key', 'custom-value'],
      ['cache-control', 'no-cache'],
      [':authority', 'www.example.com'],
    ]);
  });
}

for (const [section, blocks] of [
  ['C.5', plainResponses],
  ['C.6', codedResponses],
] as const) {
  test(`the responses of ${section} are read within 256 bytes of table, and evict as it shows`, () => {
    const decoder = new HpackDecoder({ maxTableBytes: 256 });
    const tableBytes = blocks.map((block, i) => {
      assert.deepEqual(decodeBlock(decoder, block), responses[i]);
      return decoder.tableBytes();
    });
    assert.deepEqual(tableBytes, [222, 222, 215]);
    assert.deepEqual(decoder.tableFields(), [
      ['set-cookie', setCookie],
      ['content-encoding', 'gzip'],
      ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
    ]);
  });
}

test('the encoder writes the requests of C.4 byte by byte', () => {
  const encoder = new HpackEncoder();
  assert.deepEqual(
    requests.map((fields) => toHex(encodeBlock(encoder, fields))),
    codedRequests,
  );
});

test('the encoder writes the responses of C.6 in as many bytes, behind the update that says 256', () => {
  const encoder = new HpackEncoder({ maxTableBytes: 256 });
  const blocks = responses.map((fields) => toHex(encodeBlock(encoder, fields, Indexing.incremental)));
  assert.equal(blocks[0], `3fe101${codedResponses[0]}`);
  // `307` takes three octets either way: Huffman code is chosen where it is shorter.
  assert.equal(blocks[1], '4803333037c1c0bf');
  assert.equal(blocks[2], codedResponses[2]);
  assert.deepEqual(
    encoder.tableFields().map(([name]) => name),
    ['set-cookie', 'content-encoding', 'date'],
  );
  assert.equal(fromHex(blocks[1] ?? '').length, (codedResponses[1]?.length ?? 0) / 2);
});
