/**
 * Every reason for which a header block is refused: one per check, with its type and a sentence.
 *
 * Rules of this file:
 * - Each of them ends the connection: the block has not been decoded to its end, so the two tables may differ from here on, and every later
 *   block would mean something else (RFC 9113 §4.3: COMPRESSION_ERROR).
 * - A reason is decided by the bytes, never by how they were cut into fragments.
 */
import { type ErrorType, WireError } from '@ferrata/error';

/** COMPRESSION_ERROR (RFC 9113 §7). */
const COMPRESSION_ERROR = 0x9;

type Row = readonly [type: ErrorType, status: number, message: string];

const rows = {
  HPACK_INDEX_ZERO: ['protocol', 400, 'an indexed field with index 0'],
  HPACK_INDEX_TOO_LARGE: ['protocol', 400, 'an index beyond both tables'],
  HPACK_INTEGER_TOO_LONG: ['protocol', 400, 'an integer of more than five continuation octets'],
  HPACK_INTEGER_TOO_LARGE: ['protocol', 400, 'an integer above 2^31 - 1'],
  HPACK_STRING_TOO_LONG: ['limit', 431, 'a string is too long'],
  HPACK_HUFFMAN_EOS: ['protocol', 400, 'the end-of-string symbol within a Huffman-coded string'],
  HPACK_HUFFMAN_PADDING: ['protocol', 400, 'the padding of a Huffman-coded string is longer than 7 bits or not all ones'],
  HPACK_TABLE_UPDATE_LATE: ['protocol', 400, 'a table size update behind a field'],
  HPACK_TABLE_UPDATE_TOO_LARGE: ['protocol', 400, 'a table size update above the size that was allowed'],
  HPACK_TABLE_UPDATE_MISSING: ['protocol', 400, 'no table size update after the allowed size was lowered'],
  HPACK_TABLE_UPDATES_TOO_MANY: ['protocol', 400, 'more than two table size updates in a block'],
  HPACK_TRUNCATED: ['protocol', 400, 'the header block ends within a field'],
} as const satisfies Record<string, Row>;

/** Reason of every `WireError` that the decoder throws. */
export type HpackReason = keyof typeof rows;

/** All reasons, for tables and metrics. */
export const HPACK_REASONS: readonly HpackReason[] = Object.freeze(Object.keys(rows) as HpackReason[]);

/** The error of a failed check, with COMPRESSION_ERROR as its HTTP/2 code. */
export function hpackError(reason: HpackReason): WireError {
  const [type, status, message] = rows[reason];
  return new WireError(type, reason, { message, wire: { http2Code: COMPRESSION_ERROR, status } });
}
