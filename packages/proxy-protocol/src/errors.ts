/**
 * Every reason for which a PROXY header is refused: one per check, with its type and a sentence.
 *
 * A reason is decided by the bytes alone, never by how they were cut into chunks. The answer to each is to close the connection without a word
 * (`wire.status` is 0): what stands behind a header that cannot be read would be laid at the wrong door.
 */
import { type ErrorType, WireError } from '@ferrata/error';

type Row = readonly [type: ErrorType, message: string];

const rows = {
  // Both versions
  PROXY_MISSING: ['protocol', 'the connection ended before the first byte of a PROXY header'],
  PROXY_TRUNCATED: ['protocol', 'the connection ended inside the PROXY header'],
  PROXY_SIGNATURE: ['protocol', 'the first bytes are no PROXY header'],
  PROXY_VERSION_REFUSED: ['protocol', 'a PROXY header of a version that is not allowed here'],
  // Version 1
  PROXY_V1_TOO_LONG: ['limit', 'a PROXY line is longer than 107 bytes'],
  PROXY_V1_LINE_END: ['protocol', 'CR and LF stand apart in a PROXY line'],
  PROXY_V1_PROTOCOL: ['protocol', 'the protocol of a PROXY line is neither TCP4, TCP6 nor UNKNOWN'],
  PROXY_V1_SYNTAX: ['protocol', 'a PROXY line has too few or too many fields'],
  PROXY_V1_ADDRESS: ['protocol', 'an address of a PROXY line is not of its protocol'],
  PROXY_V1_PORT: ['protocol', 'a port of a PROXY line is not a number from 0 to 65535 without leading zeros'],
  // Version 2
  PROXY_V2_VERSION: ['protocol', 'a binary PROXY header is not of version 2'],
  PROXY_V2_COMMAND: ['protocol', 'the command of a PROXY header is neither LOCAL nor PROXY'],
  PROXY_V2_PROTOCOL: ['protocol', 'a PROXY header has a family and transport that are not defined'],
  PROXY_V2_TOO_LONG: ['limit', 'a PROXY header announces more bytes than are allowed'],
  PROXY_V2_LENGTH: ['protocol', 'a PROXY header is too short for its addresses'],
  PROXY_V2_UNIX_PATH: ['protocol', 'the path of a Unix socket in a PROXY header is not UTF-8'],
  PROXY_V2_TLV: ['protocol', 'a TLV reaches beyond its PROXY header'],
  PROXY_V2_TLVS_TOO_MANY: ['limit', 'a PROXY header has too many TLVs'],
  PROXY_V2_CHECKSUM: ['protocol', 'the checksum of a PROXY header is wrong, or there are two'],
  PROXY_V2_UNIQUE_ID: ['protocol', 'the unique id of a PROXY header is longer than 128 bytes'],
  // Asked for
  PROXY_SSL_TLV: ['protocol', 'the SSL TLV of a PROXY header is malformed'],
} as const satisfies Record<string, Row>;

/** Reason of every `WireError` of this package. */
export type ProxyHeaderReason = keyof typeof rows;

/** All reasons of this package, for tables and metrics. */
export const PROXY_HEADER_REASONS: readonly ProxyHeaderReason[] = Object.freeze(Object.keys(rows) as ProxyHeaderReason[]);

/** The error of a failed check. @param context what was found, if it says more than the reason */
export function proxyHeaderError(reason: ProxyHeaderReason, context?: string): WireError {
  const [type, message] = rows[reason];
  return new WireError(type, reason, { message, context, wire: { status: 0 } });
}
