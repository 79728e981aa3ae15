/**
 * Every reason for which this package refuses a message: one per check, with its type, its status and a sentence.
 *
 * Rules of this file:
 * - A reason is decided by the bytes up to and including the one that made the message wrong, never by how they were cut into chunks.
 * - The status is the one for a refused request. A refused response always becomes 502: the client did nothing wrong (RFC 9110 §15.6.3).
 */
import { type ErrorType, WireError } from '@ferrata/error';

type Row = readonly [type: ErrorType, status: number, message: string];

const rows = {
  // Lines, everywhere
  H1_CONTROL_BYTE: ['protocol', 400, 'a control byte in a line'],
  H1_BARE_CR: ['protocol', 400, 'CR without LF'],
  H1_BARE_LF: ['protocol', 400, 'LF without CR'],
  // Request line
  H1_EMPTY_LINES_TOO_MANY: ['limit', 400, 'too many empty lines before a start line'],
  H1_METHOD_INVALID: ['protocol', 400, 'the method is no token'],
  H1_METHOD_TOO_LONG: ['limit', 501, 'the method is too long'],
  H1_TARGET_EMPTY: ['protocol', 400, 'the request target is empty'],
  H1_TARGET_INVALID: ['protocol', 400, 'a byte that no request target may hold'],
  H1_TARGET_FRAGMENT: ['protocol', 400, 'a fragment in the request target'],
  H1_TARGET_TOO_LONG: ['limit', 414, 'the request target is too long'],
  H1_TARGET_FORM: ['protocol', 400, 'the request target has none of the four forms, or not the one its method needs'],
  H1_TARGET_SCHEME: ['protocol', 400, 'the absolute-form has a scheme other than http and https'],
  H1_TARGET_AUTHORITY: ['protocol', 400, 'the authority of the request target is invalid'],
  H1_TARGET_USERINFO: ['protocol', 400, 'user information in the request target'],
  H1_REQUEST_LINE_INCOMPLETE: ['protocol', 400, 'the request line ends before its version'],
  H1_VERSION_INVALID: ['protocol', 400, 'the version is not HTTP/DIGIT.DIGIT'],
  H1_VERSION_UNSUPPORTED: ['protocol', 505, 'a major version other than 1'],
  H1_HTTP2_PREFACE: ['protocol', 505, 'the preface of HTTP/2 where HTTP/1 is spoken'],
  // Status line
  H1_STATUS_INVALID: ['protocol', 502, 'the status is not three digits from 100 on'],
  H1_STATUS_LINE_TOO_LONG: ['limit', 502, 'the status line is too long'],
  // Field lines
  H1_FIELD_NAME_EMPTY: ['protocol', 400, 'a field line without a name'],
  H1_FIELD_NAME_INVALID: ['protocol', 400, 'a byte that no field name may hold'],
  H1_FIELD_NAME_BLANK: ['protocol', 400, 'a blank in a field name or before its colon'],
  H1_FIELD_NAME_TOO_LONG: ['limit', 431, 'a field name is too long'],
  H1_FIELD_COLON_MISSING: ['protocol', 400, 'a field line without a colon'],
  H1_FIELD_FOLDED: ['protocol', 400, 'a field line that begins with a blank'],
  H1_FIELD_TOO_LONG: ['limit', 431, 'a field line is too long'],
  H1_FIELDS_TOO_MANY: ['limit', 431, 'too many field lines'],
  H1_HEAD_TOO_LARGE: ['limit', 431, 'the head is too large'],
  // Host and framing
  H1_HOST_MISSING: ['protocol', 400, 'an HTTP/1.1 request without Host'],
  H1_HOST_REPEATED: ['protocol', 400, 'more than one Host'],
  H1_HOST_INVALID: ['protocol', 400, 'Host is not uri-host [":" port]'],
  H1_CONTENT_LENGTH_REPEATED: ['protocol', 400, 'more than one Content-Length'],
  H1_CONTENT_LENGTH_INVALID: ['protocol', 400, 'Content-Length is not a number'],
  H1_CONTENT_LENGTH_OVERFLOW: ['limit', 413, 'Content-Length is beyond 2^53 - 1'],
  H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING: ['protocol', 400, 'both Content-Length and Transfer-Encoding'],
  H1_TRANSFER_ENCODING_IN_HTTP10: ['protocol', 400, 'Transfer-Encoding in an HTTP/1.0 message'],
  H1_TRANSFER_ENCODING_REPEATED: ['protocol', 400, 'more than one Transfer-Encoding line'],
  H1_TRANSFER_ENCODING_INVALID: ['protocol', 400, 'the last transfer coding is not chunked'],
  H1_TRANSFER_ENCODING_UNSUPPORTED: ['protocol', 501, 'a transfer coding beside chunked'],
  H1_CONNECT_WITH_BODY: ['protocol', 400, 'CONNECT with a body'],
  // Chunked bodies
  H1_CHUNK_SIZE_INVALID: ['protocol', 400, 'a chunk size is not hexadecimal'],
  H1_CHUNK_SIZE_OVERFLOW: ['limit', 413, 'a chunk size is beyond 2^53 - 1'],
  H1_CHUNK_SIZE_TOO_LONG: ['limit', 400, 'a chunk size has more than 16 digits'],
  H1_CHUNK_LINE_TOO_LONG: ['limit', 400, 'a chunk line is too long'],
  H1_CHUNK_EXTENSION_INVALID: ['protocol', 400, 'a chunk extension is malformed'],
  H1_CHUNK_EXTENSIONS_TOO_LARGE: ['limit', 413, 'too many bytes of chunk extensions in one body'],
  H1_CHUNK_END_MISSING: ['protocol', 400, 'chunk data is not followed by CRLF'],
  H1_CHUNKS_TOO_SMALL: ['limit', 413, 'too many tiny chunks in one body'],
  H1_TRAILERS_TOO_LARGE: ['limit', 431, 'the trailer section is too large'],
  H1_TRAILER_FIELDS_TOO_MANY: ['limit', 431, 'too many trailer fields'],
  H1_TRAILER_FORBIDDEN: ['protocol', 400, 'a field that may not be sent as a trailer'],
  // Ends
  H1_TRUNCATED_HEAD: ['protocol', 400, 'the connection ended inside a head'],
  H1_TRUNCATED_BODY: ['protocol', 400, 'the connection ended inside a body'],
  H1_CLOSED_BEFORE_RESPONSE: ['io', 502, 'the connection ended before a response'],
  H1_UNEXPECTED_BYTES: ['protocol', 502, 'bytes where no response was expected'],
} as const satisfies Record<string, Row>;

/** Reason of every `WireError` that the decoders of this package throw. */
export type Http1Reason = keyof typeof rows;

/** All reasons of the decoders, for tables and metrics. */
export const HTTP1_REASONS: readonly Http1Reason[] = Object.freeze(Object.keys(rows) as Http1Reason[]);

/** Which kind of message a decoder reads; it chooses the status of errors. */
export type MessageSide = 'request' | 'response';

/** The error of a failed check. */
export function http1Error(reason: Http1Reason, side: MessageSide): WireError {
  const [type, status, message] = rows[reason];
  // A server may close an idle connection just as a request is sent on it: that request was not read (RFC 9112 §9.3.1).
  const retry = reason === 'H1_CLOSED_BEFORE_RESPONSE' ? 'ifReused' : 'never';
  return new WireError(type, reason, { message, retry, wire: { status: side === 'request' ? status : 502 } });
}
