/** @ferrata/hpack: field compression of HTTP/2 (RFC 7541). No I/O: bytes come in as arguments and go out through a writer. */

export { HPACK_REASONS, type HpackReason, hpackError } from './errors.ts';
export { type FieldTagger, makeFieldTagger } from './field-tagger.ts';
export { HpackDecoder } from './hpack-decoder.ts';
export { HpackEncoder } from './hpack-encoder.ts';
export { decodeHuffman, huffmanEncodedLength, writeHuffman } from './huffman.ts';
export { Indexing } from './indexing.ts';
export {
  type HpackDecoderOptions,
  type HpackEncoderOptions,
  type ResolvedHpackDecoderOptions,
  type ResolvedHpackEncoderOptions,
  resolveHpackDecoderOptions,
  resolveHpackEncoderOptions,
} from './options.ts';
export { STATIC_TABLE, STATIC_TABLE_LENGTH } from './static-table.ts';
