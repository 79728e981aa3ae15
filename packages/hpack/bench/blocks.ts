/** What the benches work on: fields of real requests and responses, and their blocks. */
import { readdirSync, readFileSync } from 'node:fs';
import { ByteWriter } from '@ferrata/bytes';
import { HpackEncoder } from '@ferrata/hpack';

export interface Field {
  readonly name: string;
  readonly value: string;
}

/** The stories of the conformance suite: each the blocks of one connection. */
const folder = new URL('../../../conformance/hpack/fixtures/stories/raw-data/', import.meta.url);

/** By connection, the fields of each block. */
export const stories: readonly (readonly (readonly Field[])[])[] = readdirSync(folder)
  .toSorted()
  .map((file) => {
    const { cases } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
      readonly cases: readonly { readonly headers: readonly Readonly<Record<string, string>>[] }[];
    };
    return cases.map(({ headers }) => headers.flatMap((field) => Object.entries(field).map(([name, value]) => ({ name, value }))));
  });

export const blockCount: number = stories.reduce((sum, blocks) => sum + blocks.length, 0);

export const fieldCount: number = stories.reduce((sum, blocks) => sum + blocks.reduce((fields, block) => fields + block.length, 0), 0);

/** By connection, the blocks as our encoder writes them. */
export const encoded: readonly (readonly Uint8Array[])[] = stories.map((blocks) => {
  const encoder = new HpackEncoder();
  return blocks.map((fields) => encodeBlock(encoder, fields));
});

/** A request and a response of a proxy, on a connection that has had many of them. */
export const request: readonly Field[] = [
  { name: ':method', value: 'GET' },
  { name: ':scheme', value: 'https' },
  { name: ':authority', value: 'www.example.com' },
  { name: ':path', value: '/' },
  { name: 'user-agent', value: 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0' },
  { name: 'accept', value: 'text/html,application/xhtml+xml,*/*;q=0.8' },
  { name: 'accept-encoding', value: 'gzip, deflate' },
  { name: 'x-forwarded-for', value: '192.0.2.17' },
];

export function encodeBlock(encoder: HpackEncoder, fields: readonly Field[]): Uint8Array {
  const writer = new ByteWriter();
  encoder.beginBlock(writer);
  for (const { name, value } of fields) encoder.writeField(writer, name, value);
  return writer.take();
}
