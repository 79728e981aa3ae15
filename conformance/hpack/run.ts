/** The suite `hpack`: see `README.md` beside this file. */
import { ByteWriter, fromHex } from '@ferrata/bytes';
import { HpackDecoder, type HpackDecoderOptions, HpackEncoder } from '@ferrata/hpack';
import { outcomeOf, report, summarise } from '../runner.ts';
import { attacks, runAttack } from './attacks.ts';
import { theirDecoder, theirEncodedLength } from './hpack-js.ts';
import { encoders, type Field, readStories, type Story } from './stories.ts';

/** How blocks are cut: whole, in single bytes, and so that cuts move through them. */
const FRAGMENTS = [Number.POSITIVE_INFINITY, 1, 7];

/** What our encoder may use of the peer's table. */
const TABLE_BYTES = [0, 256, 4_096];

/** The stories have long lists, and are no attack. */
const LIMITS: HpackDecoderOptions = { maxListBytes: 1_000_000, maxFieldCount: 1_000 };

const raw = readStories('raw-data');
const decoded = encoders().flatMap((name) => readStories(name));
let ours = 0;
let theirs = 0;

const outcomes = await Promise.all([
  ...decoded.flatMap((story) =>
    FRAGMENTS.map((fragment) => outcomeOf(`${story.id}/${cutOf(fragment)}`, () => decodeStory(story, fragment))),
  ),
  ...raw.flatMap((story) =>
    TABLE_BYTES.map((tableBytes) => outcomeOf(`${story.id}/table ${tableBytes}`, () => encodeStory(story, tableBytes))),
  ),
  ...raw.map((story) => outcomeOf(`${story.id}/hpack.js`, () => encodeForThem(story))),
  ...attacks.flatMap((attack) =>
    FRAGMENTS.map((fragment) => outcomeOf(`${attack.id}/${cutOf(fragment)}`, () => runAttack(attack, fragment))),
  ),
]);
outcomes.push(
  await outcomeOf('raw-data/bytes', () => (ours <= theirs ? null : `our encoder takes ${ours} bytes for all stories, hpack.js ${theirs}`)),
);
console.log(`hpack: ${decoded.length} stories read, ${raw.length} written, in ${ours} bytes where hpack.js takes ${theirs}`);
process.exitCode = report('hpack', summarise(outcomes, new Map()));

/** For ids: how a block was cut. */
function cutOf(fragment: number): string {
  return Number.isFinite(fragment) ? `by ${fragment}` : 'whole';
}

function decodeStory({ cases }: Story, fragment: number): string | null {
  const decoder = new HpackDecoder({ ...LIMITS, maxTableBytes: cases[0]?.tableBytes ?? 4_096 });
  for (const [i, { tableBytes, wire, fields }] of cases.entries()) {
    if (i > 0 && tableBytes !== null) decoder.setMaxTableBytes(tableBytes);
    const problem = differenceOf(readBlock(decoder, fromHex(wire), fragment), fields);
    if (problem !== null) return `block ${i}: ${problem}`;
  }
  return null;
}

function encodeStory({ cases }: Story, tableBytes: number): string | null {
  const encoder = new HpackEncoder({ maxTableBytes: tableBytes });
  const decoder = new HpackDecoder(LIMITS);
  for (const [i, { fields }] of cases.entries()) {
    const problem = differenceOf(readBlock(decoder, encode(encoder, fields), Number.POSITIVE_INFINITY), fields);
    if (problem !== null) return `block ${i}: ${problem}`;
    if (JSON.stringify(encoder.tableFields()) !== JSON.stringify(decoder.tableFields())) return `the tables differ after block ${i}`;
  }
  return null;
}

function encodeForThem({ cases }: Story): string | null {
  const encoder = new HpackEncoder();
  const decode = theirDecoder();
  const lengthOf = theirEncodedLength();
  for (const [i, { fields }] of cases.entries()) {
    const block = encode(encoder, fields);
    ours += block.length;
    theirs += lengthOf(fields);
    const problem = differenceOf(decode(block), fields);
    if (problem !== null) return `block ${i}: ${problem}`;
  }
  return null;
}

function encode(encoder: HpackEncoder, fields: readonly Field[]): Uint8Array {
  const writer = new ByteWriter();
  encoder.beginBlock(writer);
  for (const [name, value] of fields) encoder.writeField(writer, name, value);
  return writer.take();
}

function readBlock(decoder: HpackDecoder, bytes: Uint8Array, fragment: number): readonly Field[] {
  const fields: Field[] = [];
  for (let start = 0; start < bytes.length; start += fragment) {
    decoder.feed(bytes, start, Math.min(bytes.length, start + fragment));
    while (decoder.next()) fields.push([decoder.name, decoder.value]);
  }
  decoder.end();
  return fields;
}

function differenceOf(seen: readonly Field[], wanted: readonly Field[]): string | null {
  const [ourText, theirText] = [JSON.stringify(seen), JSON.stringify(wanted)];
  return ourText === theirText ? null : `read ${ourText} where the story has ${theirText}`;
}
