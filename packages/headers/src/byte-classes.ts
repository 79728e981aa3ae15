/**
 * Which bytes may stand where: field names, field values, request targets, reason phrases.
 *
 * Decoders read the tables (one load a byte); everybody else asks the functions. A character is a byte here (latin1), so whatever lies above
 * 0xff is never valid. The tables are shared by the whole thread: read them, never write to them. What is no string is never valid either: an
 * object could show one text to a check and another to whoever writes it.
 *
 * Sources: RFC 9110 §5.1 (field-name = token), §5.5 (field-value), §5.6.2 (token), RFC 9112 §3.2 (request-target), §4 (reason-phrase).
 */

import { isBlank } from './internal/ascii.ts';

/**
 * The longest field name that a `HeaderMap` takes and that decoders should accept.
 *
 * No registered name has more than 40 characters; proxies that stored a length in one byte have been attacked with longer ones.
 */
export const MAX_FIELD_NAME_BYTES = 256;

const DEL = 0x7f;
const HTAB = 0x09;
const SP = 0x20;

/** 1 for each byte of a token: a method, a field name, a list token. @see RFC 9110 §5.6.2 */
export const TOKEN_BYTES: Uint8Array = byteTable((byte) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte)));

/** 1 for each byte that may occur in a field value: HTAB, SP, visible ASCII and 0x80 to 0xff; no NUL, CR, LF or other control. @see RFC 9110 §5.5 */
export const FIELD_VALUE_BYTES: Uint8Array = byteTable((byte) => byte === HTAB || (byte >= SP && byte !== DEL));

/**
 * 1 for each byte that may occur in a request target: visible ASCII but `#`.
 *
 * RFC 3986 allows fewer, but browsers send `|`, `"` and `{}` as they are. A fragment is no part of any request target, and has been used to get
 * past path rules; raw bytes over 0x7f are in no grammar, and each server decodes them in its own way.
 *
 * @see RFC 9112 §3.2
 */
export const TARGET_BYTES: Uint8Array = byteTable((byte) => byte > SP && byte < DEL && byte !== 0x23);

function byteTable(isMember: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (isMember(byte) ? 1 : 0));
}

/** Whether `text` is a token (one or more characters). @see RFC 9110 §5.6.2 */
export function isToken(text: string): boolean {
  return typeof text === 'string' && text.length > 0 && consistsOf(TOKEN_BYTES, text);
}

/** Whether `text` can be a field name: a token of at most `MAX_FIELD_NAME_BYTES`. @see RFC 9110 §5.1 */
export function isFieldName(text: string): boolean {
  return isToken(text) && text.length <= MAX_FIELD_NAME_BYTES;
}

/** Whether `text` can be a field value as it stands: latin1, no control but HTAB, no blank at either end; may be empty. @see RFC 9110 §5.5 */
export function isFieldValue(text: string): boolean {
  if (typeof text !== 'string') return false;
  const { length } = text;
  if (length === 0) return true;
  // Blanks around a value belong to the line, not to the value: a recipient would strip them, and two readers would disagree about its length.
  if (isBlank(text.charCodeAt(0)) || isBlank(text.charCodeAt(length - 1))) return false;
  return consistsOf(FIELD_VALUE_BYTES, text);
}

/** Whether `text` can be sent as a request target, in whichever of the four forms. @see RFC 9112 §3.2 */
export function isRequestTarget(text: string): boolean {
  return typeof text === 'string' && text.length > 0 && consistsOf(TARGET_BYTES, text);
}

/** Whether `text` can be sent as a reason phrase; may be empty. @see RFC 9112 §4 */
export function isReasonPhrase(text: string): boolean {
  return typeof text === 'string' && consistsOf(FIELD_VALUE_BYTES, text);
}

function consistsOf(table: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Checked before the load: a read past the end of a typed array would make the loop slow for good.
    if (code > 0xff || table[code] === 0) return false;
  }
  return true;
}
