/**
 * The codec against hpack.js: the stories of the conformance suite, encoded and decoded, a new pair of tables for each; and a block in which
 * every field stands in a table, which is what a proxy sends and reads most. CPU time in turns, medians, and the ratio within each round.
 */
import { createRequire } from 'node:module';
import { ByteWriter } from '@ferrata/bytes';
import { HpackDecoder, HpackEncoder } from '@ferrata/hpack';
import { blockCount, encodeBlock, encoded, fieldCount, request, stories } from './blocks.ts';

interface Reader<Item> {
  read(): Item | null;
}
interface Compressor extends Reader<Uint8Array> {
  write(fields: readonly { readonly name: string; readonly value: string }[]): void;
}
interface Decompressor extends Reader<{ readonly name: string; readonly value: string }> {
  write(block: Uint8Array): void;
  execute(): void;
}
const hpackJs = createRequire(import.meta.url)('hpack.js') as {
  readonly compressor: { create(options: { table: { maxSize: number } }): Compressor };
  readonly decompressor: { create(options: { table: { maxSize: number } }): Decompressor };
};

interface Case {
  readonly name: string;
  /** What one call does, in units of `unit`. */
  readonly operations: number;
  readonly unit: string;
  readonly ours: () => number;
  readonly theirs: () => number;
  /** What has to hold: our figure ÷ theirs, or ours alone in ns. */
  readonly bar: { readonly timesFaster: number } | { readonly maxNs: number };
}

const writer = new ByteWriter({ initialCapacity: 65_536 });
const buffers = encoded.map((blocks) => blocks.map((block) => Buffer.from(block)));
const warm = new HpackEncoder();
const warmDecoder = new HpackDecoder();
const theirCompressor = hpackJs.compressor.create({ table: { maxSize: 4096 } });
const theirDecompressor = hpackJs.decompressor.create({ table: { maxSize: 4096 } });
const first = encodeBlock(warm, request);
read(warmDecoder, first);
theirDecompressor.write(Buffer.from(first));
theirDecompressor.execute();
drain(theirDecompressor);
theirCompressor.write(request);
drain(theirCompressor);
const indexed = encodeBlock(warm, request);
const indexedBuffer = Buffer.from(indexed);
if (indexed.length !== request.length) throw new Error(`${indexed.length} bytes for ${request.length} fields: they are not all indexed`);

function read(decoder: HpackDecoder, block: Uint8Array): number {
  let characters = 0;
  decoder.feed(block);
  while (decoder.next()) characters += decoder.value.length;
  decoder.end();
  return characters;
}

function drain<Item>(reader: Reader<Item>): number {
  let items = 0;
  while (reader.read() !== null) items += 1;
  return items;
}

const cases: readonly Case[] = [
  {
    name: 'decode a block of the stories',
    operations: blockCount,
    unit: 'block',
    ours: () => {
      let sum = 0;
      for (const blocks of encoded) {
        const decoder = new HpackDecoder();
        for (const block of blocks) sum += read(decoder, block);
      }
      return sum;
    },
    theirs: () => {
      let sum = 0;
      for (const blocks of buffers) {
        const decompressor = hpackJs.decompressor.create({ table: { maxSize: 4096 } });
        for (const block of blocks) {
          decompressor.write(block);
          decompressor.execute();
          sum += drain(decompressor);
        }
      }
      return sum;
    },
    bar: { timesFaster: 5 },
  },
  {
    name: 'encode a block of the stories',
    operations: blockCount,
    unit: 'block',
    ours: () => {
      let sum = 0;
      for (const blocks of stories) {
        const encoder = new HpackEncoder();
        for (const fields of blocks) {
          encoder.beginBlock(writer);
          for (let i = 0; i < fields.length; i++) {
            const field = fields[i];
            if (field !== undefined) encoder.writeField(writer, field.name, field.value);
          }
          sum += writer.take().length;
        }
      }
      return sum;
    },
    theirs: () => {
      let sum = 0;
      for (const blocks of stories) {
        const compressor = hpackJs.compressor.create({ table: { maxSize: 4096 } });
        for (const fields of blocks) {
          compressor.write(fields);
          sum += drain(compressor);
        }
      }
      return sum;
    },
    bar: { timesFaster: 8 },
  },
  {
    name: 'decode a field that is indexed',
    operations: request.length * 100,
    unit: 'field',
    ours: () => {
      let sum = 0;
      for (let i = 0; i < 100; i++) sum += read(warmDecoder, indexed);
      return sum;
    },
    theirs: () => {
      let sum = 0;
      for (let i = 0; i < 100; i++) {
        theirDecompressor.write(indexedBuffer);
        theirDecompressor.execute();
        sum += drain(theirDecompressor);
      }
      return sum;
    },
    bar: { maxNs: 25 },
  },
  {
    name: 'encode a field that is indexed',
    operations: request.length * 100,
    unit: 'field',
    ours: () => {
      let sum = 0;
      for (let i = 0; i < 100; i++) {
        warm.beginBlock(writer);
        for (let at = 0; at < request.length; at++) {
          const field = request[at];
          if (field !== undefined) warm.writeField(writer, field.name, field.value);
        }
        sum += writer.take().length;
      }
      return sum;
    },
    theirs: () => {
      let sum = 0;
      for (let i = 0; i < 100; i++) {
        theirCompressor.write(request);
        sum += drain(theirCompressor);
      }
      return sum;
    },
    bar: { maxNs: 40 },
  },
];

const ROUNDS = 15;
const ROUND_MS = 20;
const WARM_UP_MS = 500;
let sink = 0;

/** @returns CPU ns of one operation, over about `ms` */
function measure(run: () => number, operations: number, ms: number): number {
  const before = process.cpuUsage();
  let calls = 0;
  for (;;) {
    sink ^= run();
    calls += 1;
    const { user, system } = process.cpuUsage(before);
    const used = user + system;
    if (used >= ms * 1000) return (used * 1000) / calls / operations;
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}

console.log(`${stories.length} stories, ${blockCount} blocks of ${(fieldCount / blockCount).toFixed(1)} fields`);
for (const { name, operations, unit, ours, theirs, bar } of cases) {
  measure(ours, operations, WARM_UP_MS);
  measure(theirs, operations, WARM_UP_MS);
  const rounds = Array.from(
    { length: ROUNDS },
    () => [measure(ours, operations, ROUND_MS), measure(theirs, operations, ROUND_MS)] as const,
  );
  const own = median(rounds.map(([ns]) => ns));
  const timesFaster = median(rounds.map(([ns, peer]) => peer / ns));
  const isKept = 'maxNs' in bar ? own <= bar.maxNs : timesFaster >= bar.timesFaster;
  const asked = 'maxNs' in bar ? `at most ${bar.maxNs} ns` : `at least ${bar.timesFaster} ×`;
  console.log(
    `${name.padEnd(32)} ${own.toFixed(0).padStart(6)} ns a ${unit}, ${timesFaster.toFixed(1).padStart(5)} × as fast as hpack.js` +
      ` (${median(rounds.map(([, ns]) => ns)).toFixed(0)} ns); asked: ${asked}, ${isKept ? 'kept' : 'MISSED'}`,
  );
}
const length = encoded.flat().reduce((sum, block) => sum + block.length, 0);
const theirLength = stories.reduce((sum, blocks) => {
  const compressor = hpackJs.compressor.create({ table: { maxSize: 4096 } });
  return sum + blocks.reduce((bytes, fields) => bytes + lengthOf(compressor, fields), 0);
}, 0);
console.log(`bytes of all stories: ${length}, hpack.js ${theirLength} (checksum ${sink & 1})`);

function lengthOf(compressor: Compressor, fields: (typeof stories)[number][number]): number {
  compressor.write(fields);
  let bytes = 0;
  for (let piece = compressor.read(); piece !== null; piece = compressor.read()) bytes += piece.length;
  return bytes;
}
