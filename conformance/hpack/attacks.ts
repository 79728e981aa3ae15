/** What a hostile encoder sends: each attack ends with a reason, or within the limits and with the right table (RFC 7541 §7). */
import { fromHex } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { HpackDecoder, type HpackDecoderOptions } from '@ferrata/hpack';

export interface Attack {
  readonly id: string;
  readonly options?: HpackDecoderOptions;
  /** Done to the decoder before its last block. */
  readonly before?: (decoder: HpackDecoder) => void;
  /** Blocks in hexadecimal; blanks are for the eye. */
  readonly blocks: readonly string[];
  /** The reason of the refusal, of the last block; or what is left after it. */
  readonly expect: string | Aftermath;
}

export interface Aftermath {
  /** Fields of the last block that were given out. */
  readonly given: number;
  readonly isOverLimit: boolean;
  readonly tableEntries: number;
}

const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

/** A literal that enters the table, with plain strings of up to 126 characters. */
const entry = (name: string, value: string): string => `40${byte(name.length)}${hex(name)}${byte(value.length)}${hex(value)}`;
const byte = (value: number): string => value.toString(16).padStart(2, '0');

/** An entry that fills the default table: 4 064 bytes of name and value. */
const largest = `4001${hex('b')}7fe01e${hex('x'.repeat(4_063))}`;

export const attacks: readonly Attack[] = [
  // Bombs: few bytes that name many
  {
    id: 'bomb/the largest entry named 8 000 times',
    blocks: [largest, 'be'.repeat(8_000)],
    expect: { given: 8, isOverLimit: true, tableEntries: 1 },
  },
  {
    id: 'bomb/small fields beyond the count',
    blocks: ['82'.repeat(20_000)],
    expect: { given: 100, isOverLimit: true, tableEntries: 0 },
  },
  {
    id: 'bomb/cookie crumbs',
    blocks: [`0f1100${'0f1100'.repeat(5_000)}`],
    expect: { given: 100, isOverLimit: true, tableEntries: 0 },
  },
  {
    id: 'bomb/entries made and named in the same block, over the limit',
    options: { maxListBytes: 100 },
    blocks: [entry('a', '1') + entry('b', '2') + entry('c', '3') + entry('d', '4') + 'be'.repeat(1_000)],
    expect: { given: 2, isOverLimit: true, tableEntries: 4 },
  },
  { id: 'bomb/a string of 2 GiB announced', blocks: ['40 7f80ffffff07'], expect: 'HPACK_STRING_TOO_LONG' },
  {
    id: 'bomb/a Huffman-coded string one byte over the limit',
    options: { maxStringBytes: 100 },
    blocks: ['04 e5'],
    expect: 'HPACK_STRING_TOO_LONG',
  },
  // Thrash: each field evicts
  {
    id: 'thrash/4 000 entries through a table of two',
    options: { maxTableBytes: 70, maxListBytes: 1_000_000, maxFieldCount: 10_000 },
    blocks: [entry('n', '1').concat(entry('m', '2')).repeat(2_000)],
    expect: { given: 4_000, isOverLimit: false, tableEntries: 2 },
  },
  {
    id: 'thrash/entries larger than the table',
    options: { maxTableBytes: 40, maxListBytes: 1_000_000, maxFieldCount: 10_000 },
    blocks: [entry('name', 'larger').repeat(2_000)],
    expect: { given: 2_000, isOverLimit: false, tableEntries: 0 },
  },
  { id: 'thrash/sizes up and down', blocks: ['203fe11f'.repeat(100)], expect: 'HPACK_TABLE_UPDATES_TOO_MANY' },
  { id: 'thrash/a size update between fields', blocks: ['82 20 82'], expect: 'HPACK_TABLE_UPDATE_LATE' },
  {
    id: 'thrash/a size update behind fields over the limit',
    options: { maxFieldCount: 0 },
    blocks: ['82 20'],
    expect: 'HPACK_TABLE_UPDATE_LATE',
  },
  { id: 'thrash/the size that was never allowed', blocks: ['3fe21f'], expect: 'HPACK_TABLE_UPDATE_TOO_LARGE' },
  { id: 'thrash/the largest size there is', blocks: ['3fe0ffffff07'], expect: 'HPACK_TABLE_UPDATE_TOO_LARGE' },
  {
    id: 'thrash/a lowered size ignored',
    before: (decoder) => decoder.setMaxTableBytes(0),
    blocks: [entry('a', '1'), 'be'],
    expect: 'HPACK_TABLE_UPDATE_MISSING',
  },
  {
    id: 'thrash/a lowered size raised again, and only that said',
    before(decoder) {
      decoder.setMaxTableBytes(0);
      decoder.setMaxTableBytes(4_096);
    },
    blocks: [entry('a', '1'), '3fe11f be'],
    expect: 'HPACK_TABLE_UPDATE_MISSING',
  },
  {
    id: 'thrash/a reference to what a size update has evicted',
    blocks: [entry('a', '1'), '20 be'],
    expect: 'HPACK_INDEX_TOO_LARGE',
  },
  // Integers
  { id: 'integer/index 0', blocks: ['80'], expect: 'HPACK_INDEX_ZERO' },
  { id: 'integer/the first index beyond the tables', blocks: ['be'], expect: 'HPACK_INDEX_TOO_LARGE' },
  { id: 'integer/an index of 2^31 - 1', blocks: ['ff80ffffff07'], expect: 'HPACK_INDEX_TOO_LARGE' },
  { id: 'integer/an index of 2^31', blocks: ['ff81ffffff07'], expect: 'HPACK_INTEGER_TOO_LARGE' },
  { id: 'integer/an index of 2^32 + 1, which 32 bits make 1', blocks: ['ff82ffffff0f'], expect: 'HPACK_INTEGER_TOO_LARGE' },
  { id: 'integer/an index of 2^64, which 64 bits make 0', blocks: ['ff81ffffffffffffffff01'], expect: 'HPACK_INTEGER_TOO_LARGE' },
  { id: 'integer/zeros without end', blocks: [`ff${'80'.repeat(10_000)}`], expect: 'HPACK_INTEGER_TOO_LONG' },
  { id: 'integer/a name index beyond the tables', blocks: ['7f00 0161'], expect: 'HPACK_INDEX_TOO_LARGE' },
  { id: 'integer/a string length of 2^32', blocks: ['00 ff81ffffff0f'], expect: 'HPACK_INTEGER_TOO_LARGE' },
  // Huffman code
  { id: 'huffman/the end-of-string symbol', blocks: ['44 84ffffffff'], expect: 'HPACK_HUFFMAN_EOS' },
  { id: 'huffman/the end-of-string symbol behind text', blocks: ['44 8507fffffff8'], expect: 'HPACK_HUFFMAN_EOS' },
  { id: 'huffman/padding of zeros', blocks: ['44 8100'], expect: 'HPACK_HUFFMAN_PADDING' },
  { id: 'huffman/padding of eight ones', blocks: ['44 8207ff'], expect: 'HPACK_HUFFMAN_PADDING' },
  { id: 'huffman/padding alone', blocks: ['44 81ff'], expect: 'HPACK_HUFFMAN_PADDING' },
  { id: 'huffman/bad padding in a name', blocks: ['40 8100 0161'], expect: 'HPACK_HUFFMAN_PADDING' },
  {
    id: 'huffman/bad padding over the limit, where no string is made',
    options: { maxFieldCount: 0 },
    blocks: ['04 8100'],
    expect: 'HPACK_HUFFMAN_PADDING',
  },
  // Ends
  { id: 'end/within an integer', blocks: ['ff80'], expect: 'HPACK_TRUNCATED' },
  { id: 'end/within a name', blocks: ['40 05 6162'], expect: 'HPACK_TRUNCATED' },
  { id: 'end/before a value', blocks: ['40 01 61'], expect: 'HPACK_TRUNCATED' },
  { id: 'end/within a Huffman-coded value', blocks: ['44 8507ff'], expect: 'HPACK_TRUNCATED' },
  { id: 'end/within a size update', blocks: ['3f'], expect: 'HPACK_TRUNCATED' },
];

/** Runs an attack, in fragments of so many bytes. @returns a problem, or null if it ends as it should */
export function runAttack({ options, before, blocks, expect }: Attack, fragment: number): string | null {
  const decoder = new HpackDecoder(options);
  let outcome: string | Aftermath = '';
  for (const [i, block] of blocks.entries()) {
    if (i === blocks.length - 1) before?.(decoder);
    outcome = readBlock(decoder, fromHex(block.replaceAll(' ', '')), fragment);
  }
  const [seen, wanted] = [JSON.stringify(outcome), JSON.stringify(expect)];
  return seen === wanted ? null : `ended with ${seen}, not with ${wanted}`;
}

function readBlock(decoder: HpackDecoder, bytes: Uint8Array, fragment: number): string | Aftermath {
  let given = 0;
  try {
    for (let start = 0; start < bytes.length; start += fragment) {
      decoder.feed(bytes, start, Math.min(bytes.length, start + fragment));
      while (decoder.next()) given += 1;
    }
    const { isOverLimit } = decoder;
    decoder.end();
    return { given, isOverLimit, tableEntries: decoder.tableFields().length };
  } catch (error) {
    if (isWireError(error) && error.wire.http2Code === 9) return error.reason;
    throw error;
  }
}
