/**
 * What is known of a field line before anybody asks: which field it is, and what is wrong with it.
 *
 * ```text
 *   bits 0–5    number of the well-known name, 0 for any other (`wellKnownId`)
 *   bits 6–8    number of the pseudo-header field, 0 for a field line (`PseudoHeader`)
 *   bits 9–13   the first fault, 0 for none (`FIELD_FAULTS`)
 *   bit  14     the readers must do more with it than keep it
 *   bits 16–25  :status as a number
 * ```
 * The decoder computes a tag once for each literal and keeps it with the entry of its table, so a field that comes by index, as most do, is
 * validated for nothing. All checks that need only the one field are here; those that compare fields are the readers'.
 *
 * What may stand in a name, a value, a method and a path is exactly what the HTTP/1 decoder takes and its writer can write: a request that is
 * forwarded as HTTP/1 cannot be split by any byte of its parts (RFC 9113 §10.3).
 *
 * Sources: RFC 9113 §8.2.1 (validity), §8.2.2 (connection fields), §8.3 (pseudo-header fields), RFC 9110 §5.1, §5.5, RFC 8441 §4.
 */
import { equalsAsciiIgnoreCase, parseDecimal } from '@ferrata/bytes';
import {
  FIELD_VALUE_BYTES,
  isRequestTarget,
  isToken,
  isValidHost,
  KnownHeader,
  MAX_FIELD_NAME_BYTES,
  TOKEN_BYTES,
  wellKnownId,
} from '@ferrata/headers';
import { type FieldTagger, makeFieldTagger } from '@ferrata/hpack';
import type { MessageReason } from './message-reason.ts';

/** The pseudo-header fields, each with a number from 1 to 6. @see RFC 9113 §8.3.1, §8.3.2, RFC 8441 §4 */
export const PseudoHeader = { method: 1, scheme: 2, authority: 3, path: 4, status: 5, protocol: 6 } as const;

/** One of the values of the constant of the same name. */
export type PseudoHeader = (typeof PseudoHeader)[keyof typeof PseudoHeader];

const PSEUDO_SHIFT = 6;
const FAULT_SHIFT = 9;
const STATUS_SHIFT = 16;
const SPECIAL = 1 << 14;

/** Set in the tag of every field that is more than a valid field line to be kept as it is: one test in the readers' loops. */
export const NOT_PLAIN: number = (0x7 << PSEUDO_SHIFT) | (0x1f << FAULT_SHIFT) | SPECIAL;

/** The faults that one field alone can have; a tag holds the place in this list. */
const FIELD_FAULTS: readonly (MessageReason | null)[] = [
  null,
  'H2_FIELD_NAME_INVALID',
  'H2_FIELD_NAME_UPPERCASE',
  'H2_FIELD_NAME_TOO_LONG',
  'H2_FIELD_VALUE_INVALID',
  'H2_CONNECTION_FIELD',
  'H2_TE_INVALID',
  'H2_PSEUDO_UNKNOWN',
  'H2_METHOD_INVALID',
  'H2_METHOD_TOO_LONG',
  'H2_SCHEME_INVALID',
  'H2_PATH_INVALID',
  'H2_AUTHORITY_INVALID',
  'H2_STATUS_INVALID',
  'H2_PROTOCOL_INVALID',
  'H2_HOST_INVALID',
  'H2_CONTENT_LENGTH_INVALID',
  'H2_CONTENT_LENGTH_OVERFLOW',
];

/** The number of the well-known name in a tag, 0 if it is another one. */
export function knownIdOf(tag: number): KnownHeader | 0 {
  return (tag & 0x3f) as KnownHeader | 0;
}

/** The number of the pseudo-header field in a tag, 0 for a field line. */
export function pseudoOf(tag: number): PseudoHeader | 0 {
  return ((tag >>> PSEUDO_SHIFT) & 0x7) as PseudoHeader | 0;
}

/** What is wrong with a field, null if nothing is. */
export function faultOf(tag: number): MessageReason | null {
  return FIELD_FAULTS[(tag >>> FAULT_SHIFT) & 0x1f] as MessageReason | null;
}

/** The number in `:status`, if the tag is of that one and has no fault. */
export function statusOf(tag: number): number {
  return (tag >>> STATUS_SHIFT) & 0x3ff;
}

/** Whether a tag is of a pseudo-header field, known or not. */
export function isPseudoTag(tag: number): boolean {
  return (tag & (0x7 << PSEUDO_SHIFT)) !== 0 || faultOf(tag) === 'H2_PSEUDO_UNKNOWN';
}

/** The longest method, as in HTTP/1: the longest that is registered has 17 characters. */
const MAX_METHOD_BYTES = 32;

const COLON = 0x3a;

/** 1 for a byte of a token that is no upper-case letter, 2 for such a letter, 0 for all others. */
const NAME_BYTES: Uint8Array = Uint8Array.from(TOKEN_BYTES, (isTokenByte, byte) => (byte >= 0x41 && byte <= 0x5a ? 2 : isTokenByte));

/** Everything there is to know of one field. Total: any two strings have a tag. */
export function fieldTag(name: string, value: string): number {
  if (name.charCodeAt(0) === COLON) return pseudoTag(name, value);
  const nameFault = faultOfName(name);
  if (nameFault !== null) return faultTag(nameFault);
  const id = wellKnownId(name);
  if (!isValue(value)) return faultTag('H2_FIELD_VALUE_INVALID') | id;
  switch (id) {
    case KnownHeader.connection:
    case KnownHeader.keepAlive:
    case KnownHeader.proxyConnection:
    case KnownHeader.transferEncoding:
    case KnownHeader.upgrade:
    case KnownHeader.http2Settings:
      // RFC 9113 §8.2.2. Two servers that differ about them differ about where a message ends (h2.TE smuggling).
      return faultTag('H2_CONNECTION_FIELD') | id;
    case KnownHeader.te:
      return (equalsAsciiIgnoreCase(value, 'trailers') ? SPECIAL : faultTag('H2_TE_INVALID')) | id;
    case KnownHeader.host:
      return (isValidHost(value) ? SPECIAL : faultTag('H2_HOST_INVALID')) | id;
    case KnownHeader.contentLength:
      if (parseDecimal(value) >= 0) return SPECIAL | id;
      return faultTag(/^[0-9]+$/.test(value) ? 'H2_CONTENT_LENGTH_OVERFLOW' : 'H2_CONTENT_LENGTH_INVALID') | id;
    case KnownHeader.cookie:
      return SPECIAL | id;
    default:
      return id;
  }
}

/** The tagger for every `HpackDecoder` of HTTP/2: without state, so one does for all connections of a thread. */
export const FIELD_TAGGER: FieldTagger = makeFieldTagger(fieldTag);

function faultTag(reason: MessageReason): number {
  return FIELD_FAULTS.indexOf(reason) << FAULT_SHIFT;
}

function faultOfName(name: string): MessageReason | null {
  const { length } = name;
  if (length === 0) return 'H2_FIELD_NAME_INVALID';
  if (length > MAX_FIELD_NAME_BYTES) return 'H2_FIELD_NAME_TOO_LONG';
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i);
    // Checked before the load: a read past the end of a typed array would make the loop slow for good.
    const kind = code > 0xff ? 0 : (NAME_BYTES[code] as number);
    if (kind !== 1) return kind === 2 ? 'H2_FIELD_NAME_UPPERCASE' : 'H2_FIELD_NAME_INVALID';
  }
  return null;
}

/** `isFieldValue` of headers without the look at the type, which a decoder need not take. @see RFC 9113 §8.2.1 */
function isValue(value: string): boolean {
  const { length } = value;
  if (length === 0) return true;
  const last = value.charCodeAt(length - 1);
  const first = value.charCodeAt(0);
  if (first === 0x20 || first === 0x09 || last === 0x20 || last === 0x09) return false;
  for (let i = 0; i < length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0xff || FIELD_VALUE_BYTES[code] === 0) return false;
  }
  return true;
}

function pseudoTag(name: string, value: string): number {
  switch (name) {
    case ':method':
      return tagOf(PseudoHeader.method, faultOfMethod(value));
    case ':scheme':
      return tagOf(PseudoHeader.scheme, isScheme(value) ? null : 'H2_SCHEME_INVALID');
    case ':authority':
      // RFC 9113 §8.3.1: no user information; an empty host is of no use to anybody who routes by it (RFC 9110 §4.2.1).
      return tagOf(PseudoHeader.authority, isValidHost(value) ? null : 'H2_AUTHORITY_INVALID');
    case ':path':
      return tagOf(PseudoHeader.path, isPath(value) ? null : 'H2_PATH_INVALID');
    case ':status':
      if (!/^[1-9][0-9][0-9]$/.test(value)) return tagOf(PseudoHeader.status, 'H2_STATUS_INVALID');
      return tagOf(PseudoHeader.status, null) | (Number(value) << STATUS_SHIFT);
    case ':protocol':
      return tagOf(PseudoHeader.protocol, isToken(value) ? null : 'H2_PROTOCOL_INVALID');
    default:
      return faultTag('H2_PSEUDO_UNKNOWN');
  }
}

function tagOf(pseudo: PseudoHeader, fault: MessageReason | null): number {
  return (pseudo << PSEUDO_SHIFT) | (fault === null ? 0 : faultTag(fault));
}

function faultOfMethod(method: string): MessageReason | null {
  if (!isToken(method)) return 'H2_METHOD_INVALID';
  return method.length > MAX_METHOD_BYTES ? 'H2_METHOD_TOO_LONG' : null;
}

/** As in HTTP/1 no other scheme is served here; a scheme is compared without regard to case (RFC 3986 §3.1). */
function isScheme(scheme: string): boolean {
  return equalsAsciiIgnoreCase(scheme, 'http') || equalsAsciiIgnoreCase(scheme, 'https');
}

/** RFC 9113 §8.3.1: begins with "/"; `*` is for OPTIONS, which a reader sees to. */
function isPath(path: string): boolean {
  return path === '*' || (path.charCodeAt(0) === 0x2f && isRequestTarget(path));
}
