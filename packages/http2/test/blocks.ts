/** Header blocks for tests: fields encoded as literals and read back, in as many fragments as a test likes. */
import { ByteWriter } from '@ferrata/bytes';
import { HpackDecoder, type HpackDecoderOptions, HpackEncoder, Indexing } from '@ferrata/hpack';
import { FIELD_TAGGER } from '../src/field-tags.ts';

export type Fields = readonly (readonly [name: string, value: string])[];

/** The block of the fields as they are, right or wrong. */
export function blockOf(fields: Fields, encoder: HpackEncoder = new HpackEncoder(), indexing: Indexing = Indexing.automatic): Uint8Array {
  const writer = new ByteWriter();
  encoder.beginBlock(writer);
  for (const [name, value] of fields) encoder.writeField(writer, name, value, indexing);
  return writer.take().slice();
}

export function makeDecoder(options: HpackDecoderOptions = {}): HpackDecoder {
  return new HpackDecoder({ ...options, tagger: FIELD_TAGGER });
}

/** What the three readers have in common. */
export interface BlockReader {
  begin(): void;
  read(decoder: HpackDecoder): void;
}

/** Gives a block to a reader, cut into fragments of `size` bytes. */
export function readBlock(reader: BlockReader, decoder: HpackDecoder, block: Uint8Array, size: number = Infinity): void {
  reader.begin();
  for (let at = 0; at < block.length; at += size) {
    decoder.feed(block, at, Math.min(at + size, block.length));
    reader.read(decoder);
  }
  decoder.end();
}

/** All fields of a block, as the peer would see them. */
export function fieldsOf(block: Uint8Array, decoder: HpackDecoder = makeDecoder()): (readonly [string, string])[] {
  const fields: (readonly [string, string])[] = [];
  decoder.feed(block);
  while (decoder.next()) fields.push([decoder.name, decoder.value]);
  decoder.end();
  return fields;
}
