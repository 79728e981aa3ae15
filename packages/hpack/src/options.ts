/** Limits of the decoder and the encoder. Every limit holds before the memory that it bounds is taken. */
import { checkWholeNumber } from '@ferrata/error';
import type { FieldTagger } from './field-tagger.ts';
import { STATIC_TABLE_LENGTH } from './static-table.ts';

/** Options of an `HpackDecoder`; all limits are whole numbers. */
export interface HpackDecoderOptions {
  /**
   * Size of the dynamic table when the connection begins, as RFC 7541 §4.1 counts it. Default 4 096, which is what HTTP/2 begins with whatever
   * SETTINGS_HEADER_TABLE_SIZE will say: that comes with `setMaxTableBytes`. 0 to 1 GiB. Each connection may hold so much, and about
   * as much again for what JavaScript adds to strings.
   */
  readonly maxTableBytes?: number;
  /**
   * Size of all fields of a block: name, value and 32 for each (RFC 9113 §6.5.2). Default 32 768. Over it the block is read to its end for
   * the table's sake, and no further field is given. More lets a peer make us hold more for each message; a block of n bytes on the wire can
   * name n times the largest table entry.
   */
  readonly maxListBytes?: number;
  /** Fields of a block, cookie crumbs counted one by one. Default 100. More costs CPU in everything that walks them. */
  readonly maxFieldCount?: number;
  /**
   * Bytes of one name or value on the wire. Default 16 384, at least 1. Over it the connection ends, as the table cannot be kept without reading it. What Huffman
   * coding hides is at most 8/5 of it. A decoder may keep two such strings that are incomplete.
   */
  readonly maxStringBytes?: number;
  /** Gives each field its `tag`; default: all tags are 0. */
  readonly tagger?: FieldTagger | null;
}

/** All options of a decoder, checked and frozen; may be shared by any number of decoders. */
export interface ResolvedHpackDecoderOptions extends Required<HpackDecoderOptions> {
  readonly isResolved: true;
}

/** Options of an `HpackEncoder`. */
export interface HpackEncoderOptions {
  /**
   * Most bytes of the dynamic table that are used, even if the peer allows more. Default 4 096; 0 to 1 GiB, 0 for no dynamic table. More
   * finds more fields again and lets each connection hold more.
   */
  readonly maxTableBytes?: number;
}

/** All options of an encoder, checked and frozen. */
export interface ResolvedHpackEncoderOptions extends Required<HpackEncoderOptions> {
  readonly isResolved: true;
}

/** 1 GiB: sums of two still fit into 31 bits. */
export const MAX_LIMIT: number = 0x4000_0000;

/**
 * Fills in the defaults of a decoder, once for all its connections.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveHpackDecoderOptions(options: HpackDecoderOptions | ResolvedHpackDecoderOptions = {}): ResolvedHpackDecoderOptions {
  if ('isResolved' in options) return options;
  const tagger = options.tagger ?? null;
  if (tagger !== null && tagger.staticTags.length <= STATIC_TABLE_LENGTH) {
    throw new RangeError(`tagger.staticTags must reach to index ${STATIC_TABLE_LENGTH}, not ${tagger.staticTags.length - 1}`);
  }
  return Object.freeze({
    isResolved: true,
    maxTableBytes: checkLimit('maxTableBytes', options.maxTableBytes ?? 4_096, 0),
    maxListBytes: checkLimit('maxListBytes', options.maxListBytes ?? 32_768, 0),
    maxFieldCount: checkLimit('maxFieldCount', options.maxFieldCount ?? 100, 0),
    maxStringBytes: checkLimit('maxStringBytes', options.maxStringBytes ?? 16_384, 1),
    tagger,
  });
}

/**
 * Fills in the defaults of an encoder, once for all its connections.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveHpackEncoderOptions(options: HpackEncoderOptions | ResolvedHpackEncoderOptions = {}): ResolvedHpackEncoderOptions {
  if ('isResolved' in options) return options;
  return Object.freeze({ isResolved: true, maxTableBytes: checkLimit('maxTableBytes', options.maxTableBytes ?? 4_096, 0) });
}

function checkLimit(name: string, value: number, min: number): number {
  return checkWholeNumber(name, value, { min, max: MAX_LIMIT });
}
