/** The decoder of header blocks under the laws of codecs, with a naive reading as the oracle (RFC 7541). */
import assert from 'node:assert/strict';
import { ByteWriter, fromHex } from '@ferrata/bytes';
import { HpackDecoder, HpackEncoder, Indexing } from '@ferrata/hpack';
import fc from 'fast-check';
import {
  type CodecUnderTest,
  codecLaws,
  type DecoderDriver,
  fieldNames,
  fieldValues,
  nearMisses,
  type Transcript,
} from '../../src/index.ts';
import { type NaiveField, naiveHpack } from './naive-hpack.ts';

const MAX_TABLE_BYTES = 160;
const MAX_STRING_BYTES = 60;

/** A block that every decoder has read before, so that there are dynamic entries to name; newest last. */
const earlier: readonly (readonly [string, string])[] = [
  ['x-first', 'one'],
  ['x-second', 'two'],
  ['cookie', 'a-cookie=of-some-length'],
];

class BlockDriver implements DecoderDriver<NaiveField> {
  consumedBytes = 0;
  readonly #decoder: HpackDecoder;
  #bufferedBefore = 0;

  constructor() {
    this.#decoder = new HpackDecoder({ maxTableBytes: 4096, maxStringBytes: MAX_STRING_BYTES });
    this.#decoder.feed(encoderWithTable().writer.take());
    while (this.#decoder.next());
    this.#decoder.end();
  }

  get bufferedBytes(): number {
    return this.#decoder.bufferedBytes();
  }

  feed(chunk: Uint8Array): void {
    this.#decoder.feed(chunk);
    this.#bufferedBefore += chunk.byteLength;
  }

  next(): NaiveField | null {
    const isField = this.#decoder.next();
    this.consumedBytes += this.#bufferedBefore - this.bufferedBytes;
    this.#bufferedBefore = this.bufferedBytes;
    return isField ? { name: this.#decoder.name, value: this.#decoder.value, isNeverIndexed: this.#decoder.isNeverIndexed } : null;
  }

  end(): void {
    this.#decoder.end();
  }
}

function encoderWithTable(): { readonly encoder: HpackEncoder; readonly writer: ByteWriter } {
  const encoder = new HpackEncoder({ maxTableBytes: MAX_TABLE_BYTES });
  const writer = new ByteWriter();
  encoder.beginBlock(writer);
  for (const [name, value] of earlier) encoder.writeField(writer, name, value, Indexing.incremental);
  return { encoder, writer };
}

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 30 });
const name = fc.oneof(
  fieldNames().map((text) => text.toLowerCase().slice(0, 50)),
  fc.constantFrom('x-first', 'cookie', ':path', '__proto__'),
  latin1,
);
const value = fc.oneof(fieldValues(), fc.constantFrom('one', 'two', '/'), latin1);
const fields = fc.array(fc.tuple(name, value, fc.constantFrom(...Object.values(Indexing))), { maxLength: 12 });

const valid = fields.map((lines) => {
  const { encoder, writer } = encoderWithTable();
  writer.take();
  for (const [fieldName, fieldValue, indexing] of lines) encoder.writeField(writer, fieldName, fieldValue, indexing);
  return { bytes: writer.take(), meaning: lines.map(([fieldName, fieldValue]) => [fieldName, fieldValue]) };
});

/** What breaks parsers of HPACK: indexes around the tables' ends, long integers, padding, the end-of-string symbol, size updates. */
const dictionary = [
  '80',
  'be',
  'c0',
  'c1',
  'ff00',
  'ffffffff7f',
  '7f8080808000',
  '20',
  '3f01',
  '3fe11f',
  '3e',
  '00',
  '1f',
  '4400',
  '4481ff',
  '4484ffffffff',
  '407f',
  '7f',
].map(fromHex);

const codec: CodecUnderTest<NaiveField, readonly (readonly string[])[]> = {
  makeDecoder: () => new BlockDriver(),
  join: () => null,
  valid,
  nearlyValid: nearMisses(
    valid.map(({ bytes }) => bytes),
    { dictionary },
  ),
  check: (events, meaning) =>
    assert.deepEqual(
      events.map((field) => [field.name, field.value]),
      meaning,
    ),
  compareWithOracle: compareWithNaive,
  maxEventsPerByte: 1,
};

function compareWithNaive({ events, error, bufferedBytes }: Transcript<NaiveField>, bytes: Uint8Array): void {
  const table = earlier.map(([fieldName, fieldValue]) => ({ name: fieldName, value: fieldValue, isNeverIndexed: false })).toReversed();
  // The size update of the block before has set the capacity; what SETTINGS allow is still 4096.
  const naive = naiveHpack(bytes, { table, capacity: MAX_TABLE_BYTES, maxTableBytes: 4096, maxStringBytes: MAX_STRING_BYTES });
  assert.deepEqual(events, naive.fields);
  assert.equal(error === null && bufferedBytes === 0, naive.isValid);
}

codecLaws('HpackDecoder', codec, {
  runs: 500,
  examples: {
    'a block of all forms': fromHex('203fe11f828684418cf1e3c2e5f23a6ba0ab90f4ff0f0d0178100161016240016161'),
    'references into the table': fromHex('bebfc0c07e0178bf'),
    'a length that never ends': fromHex('407f80808080808000'),
    'Huffman code with bad padding': fromHex('448200fe'),
  },
});
