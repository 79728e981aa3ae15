/** Bodies to compress. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { utf8Encode } from '@ferrata/bytes';
import type { CompressionCoding } from '../../src/index.ts';

/** JSON of about this length that compresses as JSON does. */
export function jsonOf(length: number): Uint8Array {
  let text = '[';
  for (let id = 0; text.length < length; id++)
    text += `{"id":${id},"name":"user ${(id * 7919) % 1000}","score":${((id * 37) % 1000) / 10}},`;
  return utf8Encode(text.slice(0, length));
}

/** Bytes that don't compress. */
export function noiseOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 0x2545f491;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

/** What `node:zlib` makes of a coded body by one call. */
export function decoded(coding: CompressionCoding, bytes: Uint8Array, dictionary?: Uint8Array): Uint8Array {
  if (coding === 'gzip') return new Uint8Array(gunzipSync(bytes));
  if (coding === 'br') return new Uint8Array(brotliDecompressSync(bytes));
  return new Uint8Array(zstdDecompressSync(bytes, dictionary === undefined ? {} : { dictionary }));
}
