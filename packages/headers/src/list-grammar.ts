/**
 * What field values have in common: lists, parameters, weights, quoted strings.
 *
 * Readers here are lenient where RFC 9110 asks recipients to be (empty list elements, blanks) and never throw for malformed text: an open quote
 * ends with the value. Work is linear in the length of the value, and the number of elements is bounded.
 *
 * Sources: RFC 9110 §5.6.1 (lists), §5.6.4 (quoted strings), §5.6.6 (parameters), §12.4.2 (weights).
 */
import { equalsAsciiIgnoreCase } from '@ferrata/bytes';
import { limitError } from '@ferrata/error';
import { isToken } from './byte-classes.ts';
import { equalsWithin, isBlank } from './internal/ascii.ts';

/** Options of the functions that make an array of what a peer listed. */
export interface ListOptions {
  /** The most elements, 1 or more; default 1000. Each costs some 50 bytes beyond its text. */
  readonly maxItems?: number;
}

const DEFAULT_MAX_ITEMS = 1000;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const EQUALS = 0x3d;

/**
 * The elements of a comma-separated list, without the blanks around them; empty elements are left out. Commas inside quoted strings divide nothing.
 *
 * @throws {WireError} FIELD_LIST_TOO_LONG when there are more elements than `maxItems`
 * @see RFC 9110 §5.6.1
 */
export function parseList(value: string, options?: ListOptions): string[] {
  return splitAt(value, COMMA, options?.maxItems ?? DEFAULT_MAX_ITEMS);
}

/** Whether a comma-separated list has this element, in any case; allocates nothing. @see RFC 9110 §5.6.1 */
export function listHas(value: string, element: string): boolean {
  if (value === element) return element.length > 0;
  for (let start = 0; start < value.length; ) {
    const end = endOfItem(value, start, COMMA);
    const first = skipBlanks(value, start, end);
    const last = dropBlanks(value, first, end);
    if (last > first && equalsWithin(value, first, last, element)) return true;
    start = end + 1;
  }
  return false;
}

/**
 * Whether a comma-separated list of tokens has this token, in any case; allocates nothing. Every comma divides, as a list of tokens has no quotes: an
 * open quote in Connection must not hide the `close` behind it.
 *
 * @see RFC 9110 §5.6.1, §7.6.1
 */
export function tokenListHas(value: string, token: string): boolean {
  if (value === token) return token.length > 0;
  for (let start = 0; start < value.length; ) {
    const comma = value.indexOf(',', start);
    const end = comma < 0 ? value.length : comma;
    const first = skipBlanks(value, start, end);
    const last = dropBlanks(value, first, end);
    if (last > first && equalsWithin(value, first, last, token)) return true;
    start = end + 1;
  }
  return false;
}

/** A value with parameters: `text/html; charset=utf-8`. */
export interface ParameterisedValue {
  /** What stands before the first semicolon, as it was written. */
  readonly value: string;
  /** By lower-case name; quoted values without their quotes. If a name occurs twice, the first counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Reads `value; name=token; name="quoted"`, as in Content-Type, or one element of Forwarded or Keep-Alive with an empty value before it.
 *
 * What is no `token=…` is passed over; a name alone has the empty value.
 *
 * @throws {WireError} FIELD_LIST_TOO_LONG when there are more parameters than `maxItems`
 * @see RFC 9110 §5.6.6
 */
export function parseParameters(text: string, options?: ListOptions): ParameterisedValue {
  const valueEnd = endOfItem(text, 0, SEMICOLON);
  const parameters = new Map<string, string>();
  for (const item of splitAt(text.slice(valueEnd + 1), SEMICOLON, options?.maxItems ?? DEFAULT_MAX_ITEMS)) {
    const equals = item.indexOf('=');
    const name = equals < 0 ? item : item.slice(0, equals);
    const key = name.toLowerCase();
    if (isToken(name) && !parameters.has(key)) parameters.set(key, equals < 0 ? '' : unquote(item.slice(equals + 1)));
  }
  const start = skipBlanks(text, 0, valueEnd);
  return { value: text.slice(start, dropBlanks(text, start, valueEnd)), parameters };
}

/** One element of Accept, Accept-Encoding, Accept-Language or TE. */
export interface WeightedItem {
  /** The element without its weight, parameters of its own included, as it was written. */
  readonly value: string;
  /** 0 (not acceptable) to 1, at most three decimals. */
  readonly quality: number;
}

/**
 * The elements of a weighted list, in wire order; the weight is 1 where none is written. An element with a malformed weight is left out.
 *
 * @throws {WireError} FIELD_LIST_TOO_LONG when there are more elements than `maxItems`
 * @see RFC 9110 §12.4.2
 */
export function parseQualityList(value: string, options?: ListOptions): WeightedItem[] {
  const items: WeightedItem[] = [];
  for (const element of parseList(value, options)) {
    const item = weighted(element);
    if (item !== null) items.push(item);
  }
  return items;
}

/** The weight that a list gives to a value: its own, else that of `*`, else 0. An empty list says nothing; ask before. @see RFC 9110 §12.5.3 */
export function qualityOf(items: readonly WeightedItem[], value: string): number {
  let quality = 0;
  for (const item of items) {
    if (equalsAsciiIgnoreCase(item.value, value)) return item.quality;
    if (item.value === '*') quality = item.quality;
  }
  return quality;
}

/**
 * A parameter value as it must be written: itself if it is a token, else a quoted string.
 *
 * @throws {TypeError} if it has a control character or one over 0xff, which no quoting can carry
 * @see RFC 9110 §5.6.4
 */
export function quoteIfNeeded(text: string): string {
  if (isToken(text)) return text;
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(text))
    throw new TypeError('a quoted string cannot hold control characters or characters over 0xff');
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** The text of a quoted string; text that is not quoted, itself. An open quote ends with the text, and what follows a closed one is dropped. @see RFC 9110 §5.6.4 */
export function unquote(text: string): string {
  if (text.charCodeAt(0) !== QUOTE) return text;
  let unescaped = '';
  let start = 1;
  let at = 1;
  for (; at < text.length && text.charCodeAt(at) !== QUOTE; at++) {
    if (text.charCodeAt(at) !== BACKSLASH) continue;
    unescaped += text.slice(start, at);
    start = ++at;
  }
  return unescaped + text.slice(start, at);
}

function weighted(element: string): WeightedItem | null {
  for (let at = endOfItem(element, 0, SEMICOLON); at < element.length; at = endOfItem(element, at + 1, SEMICOLON)) {
    const start = skipBlanks(element, at + 1, element.length);
    if ((element.charCodeAt(start) | 0x20) !== 0x71 || element.charCodeAt(start + 1) !== EQUALS) continue;
    const end = endOfItem(element, start, SEMICOLON);
    const weight = element.slice(start + 2, dropBlanks(element, start, end));
    if (!/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight)) return null;
    return { value: element.slice(0, dropBlanks(element, 0, at)), quality: Number(weight) };
  }
  return { value: element, quality: 1 };
}

function splitAt(text: string, separator: number, maxItems: number): string[] {
  const items: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = endOfItem(text, start, separator);
    const first = skipBlanks(text, start, end);
    const last = dropBlanks(text, first, end);
    if (last > first) {
      if (items.length >= maxItems) throw limitError('FIELD_LIST_TOO_LONG', `a field value lists more than ${maxItems} elements`);
      items.push(text.slice(first, last));
    }
    start = end + 1;
  }
  return items;
}

/** Where the item that begins at `start` ends: at a separator outside quotes, or at the end of the text. */
function endOfItem(text: string, start: number, separator: number): number {
  let at = start;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === separator) return at;
    at = code === QUOTE ? endOfQuoted(text, at) : at + 1;
  }
  return at;
}

/** Behind the closing quote of the string that opens at `start`, or the end of the text. */
function endOfQuoted(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
  return text.length;
}

function skipBlanks(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(text.charCodeAt(at))) at++;
  return at;
}

function dropBlanks(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isBlank(text.charCodeAt(at - 1))) at--;
  return at;
}
