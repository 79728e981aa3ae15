/**
 * Every reason for which a message is malformed or over a limit: one per check, with its type, its status and a sentence.
 *
 * Rules of this file:
 * - Each is an error of its stream, never of the connection (RFC 9113 §8.1.1), so the readers give it as a value and decode on: the dynamic table
 *   must follow every block, wanted or not (§4.3).
 * - The status is the one for a refused request. A refused response always becomes 502: the client did nothing wrong (RFC 9110 §15.6.3).
 */
import { type ErrorType, WireError } from '@ferrata/error';
import { Http2ErrorCode } from '@ferrata/http2-framing';

type Row = readonly [type: ErrorType, status: number, message: string];

const rows = {
  // Field lines (RFC 9113 §8.2)
  H2_FIELD_NAME_INVALID: ['protocol', 400, 'a field name is empty or holds a byte that no name may hold'],
  H2_FIELD_NAME_UPPERCASE: ['protocol', 400, 'an upper-case letter in a field name'],
  H2_FIELD_NAME_TOO_LONG: ['limit', 431, 'a field name is too long'],
  H2_FIELD_VALUE_INVALID: ['protocol', 400, 'a field value holds a control byte, or a blank at one of its ends'],
  H2_CONNECTION_FIELD: ['protocol', 400, 'a field that belongs to a connection of HTTP/1'],
  H2_TE_INVALID: ['protocol', 400, 'TE says anything but trailers'],
  H2_HEADERS_TOO_LARGE: ['limit', 431, 'the fields are too many or too large'],
  // Pseudo-header fields (§8.3)
  H2_PSEUDO_UNKNOWN: ['protocol', 400, 'a pseudo-header field that is not defined, or not for this kind of message'],
  H2_PSEUDO_REPEATED: ['protocol', 400, 'a pseudo-header field comes twice'],
  H2_PSEUDO_LATE: ['protocol', 400, 'a pseudo-header field behind a field line'],
  H2_PSEUDO_MISSING: ['protocol', 400, 'an obligatory pseudo-header field is missing'],
  H2_PSEUDO_IN_TRAILERS: ['protocol', 400, 'a pseudo-header field in a trailer section'],
  H2_METHOD_INVALID: ['protocol', 400, ':method is no token'],
  H2_METHOD_TOO_LONG: ['limit', 501, ':method is too long'],
  H2_SCHEME_INVALID: ['protocol', 400, ':scheme is neither http nor https'],
  H2_PATH_INVALID: ['protocol', 400, ':path is no path, or holds a byte that no request target may hold'],
  H2_PATH_TOO_LONG: ['limit', 414, ':path is too long'],
  H2_AUTHORITY_INVALID: ['protocol', 400, ':authority is not host [":" port], or without the port that CONNECT needs'],
  H2_AUTHORITY_MISSING: ['protocol', 400, 'neither :authority nor Host'],
  H2_STATUS_INVALID: ['protocol', 502, ':status is not three digits from 100 on'],
  H2_CONNECT_INVALID: ['protocol', 400, 'CONNECT with a pseudo-header field or a length that it may not have'],
  H2_PROTOCOL_INVALID: ['protocol', 400, ':protocol is no token, or not with CONNECT'],
  H2_PROTOCOL_NOT_ENABLED: ['protocol', 400, ':protocol although extended CONNECT was not offered'],
  // Host and length
  H2_HOST_INVALID: ['protocol', 400, 'Host is not uri-host [":" port]'],
  H2_HOST_REPEATED: ['protocol', 400, 'more than one Host'],
  H2_HOST_DIFFERS: ['protocol', 400, 'Host and :authority name different hosts'],
  H2_CONTENT_LENGTH_INVALID: ['protocol', 400, 'Content-Length is not a number'],
  H2_CONTENT_LENGTH_OVERFLOW: ['limit', 413, 'Content-Length is beyond 2^53 - 1'],
  H2_CONTENT_LENGTH_REPEATED: ['protocol', 400, 'more than one Content-Length'],
  H2_CONTENT_LENGTH_UNMET: ['protocol', 400, 'Content-Length above 0 in a message without DATA'],
  // Interim responses and trailers
  H2_INTERIM_AT_END: ['protocol', 502, 'an interim response that ends its stream'],
  H2_STATUS_101: ['protocol', 502, 'status 101, which HTTP/2 does not have'],
  H2_TRAILERS_TOO_LARGE: ['limit', 431, 'the trailer section is too large'],
  H2_TRAILER_FIELDS_TOO_MANY: ['limit', 431, 'too many trailer fields'],
  H2_TRAILER_FORBIDDEN: ['protocol', 400, 'a field that may not be sent as a trailer'],
} as const satisfies Record<string, Row>;

/** Why a message is refused. */
export type MessageReason = keyof typeof rows;

/** All reasons of the readers, for tables and metrics. */
export const MESSAGE_REASONS: readonly MessageReason[] = Object.freeze(Object.keys(rows) as MessageReason[]);

/** Which kind of message was read; it chooses the status of errors. */
export type MessageSide = 'request' | 'response';

/**
 * The error of a refused message. Its HTTP/2 code is the one for RST_STREAM: PROTOCOL_ERROR if the message is malformed (RFC 9113 §8.1.1),
 * ENHANCE_YOUR_CALM if it is over a limit of ours.
 */
export function messageError(reason: MessageReason, side: MessageSide): WireError {
  const [type, status, message] = rows[reason];
  const http2Code = type === 'limit' ? Http2ErrorCode.enhanceYourCalm : Http2ErrorCode.protocolError;
  return new WireError(type, reason, { message, wire: { http2Code, status: side === 'request' ? status : 502 } });
}
