/** hpack.js as the other reader and writer of blocks. */
import { createRequire } from 'node:module';
import type { Field } from './stories.ts';

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

/** @returns a function that decodes the blocks of one connection */
export function theirDecoder(): (block: Uint8Array) => readonly Field[] {
  const stream = hpackJs.decompressor.create({ table: { maxSize: 4096 } });
  return (block) => {
    stream.write(Buffer.from(block));
    stream.execute();
    return Array.from(itemsOf(stream), ({ name, value }) => [name, value] as const);
  };
}

/** @returns a function that encodes the blocks of one connection and says how many bytes they take */
export function theirEncodedLength(): (fields: readonly Field[]) => number {
  const stream = hpackJs.compressor.create({ table: { maxSize: 4096 } });
  return (fields) => {
    stream.write(fields.map(([name, value]) => ({ name, value })));
    return Array.from(itemsOf(stream)).reduce((sum, { length }) => sum + length, 0);
  };
}

function* itemsOf<Item>(reader: Reader<Item>): Generator<Item, void> {
  for (let item = reader.read(); item !== null; item = reader.read()) yield item;
}
