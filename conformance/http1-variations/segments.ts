/**
 * Messages built of segments, each with the expression that its text must match, and what one byte more or another makes of them.
 *
 * A byte put in belongs to the segment on either side, so the message is right if one of the two still matches; what it then means is read
 * off the segments.
 */
import { type Line, trimBlanks, visible } from './request-case.ts';

/** What a segment means; `body` and `data` are bytes whose number is told before them. */
export type Meaning = 'method' | 'target' | 'host' | 'version' | 'reason' | 'field' | 'body' | 'data' | 'trailer' | 'syntax';

/** A piece of a message. */
export interface Segment {
  readonly text: string;
  readonly rule: RegExp;
  readonly meaning: Meaning;
  /** Of values: the name of their field. */
  readonly name: string | null;
}

/** One byte put in, or in place of another. */
export interface Variation {
  readonly id: string;
  readonly raw: string;
  /** The segments as they are now; null if the message is no longer right. */
  readonly segments: readonly Segment[] | null;
  /** True if the last byte of the body has been pushed out of it. */
  readonly isShifted: boolean;
}

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: the grammar has a tab
const VALUE_RULE = /^[\t\x20-\x7e\x80-\xff]*$/;
const EXTENSION_RULE =
  /^(?:[\t ]*;[\t ]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[\t ]*=[\t ]*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*$/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: the grammar has a tab
const BLANKS_RULE = /^[\t ]*$/;

/** A segment that means something. */
export function segment(meaning: Meaning, text: string, rule: RegExp, name: string | null = null): Segment {
  return { meaning, text, rule, name };
}

/** A segment that has to be there; by default exactly as it is. */
export function syntax(text: string, rule: RegExp = exactly(text)): Segment {
  return segment('syntax', text, rule);
}

function exactly(text: string): RegExp {
  const escaped = text.replace(/[^A-Za-z0-9]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return new RegExp(`^${escaped}$`);
}

/** The end of a line. */
export const EOL: Segment = syntax('\r\n');

/** A field line. Its name is not varied into other names here. */
export function fieldLine(name: string, value: string, meaning: 'field' | 'trailer' = 'field'): readonly Segment[] {
  return [syntax(name), syntax(':'), segment(meaning, ` ${value}`, VALUE_RULE, name), EOL];
}

/** A body, or the data of a chunk. It ends with a byte that begins no message, so that what is pushed out of it never can. */
export const NINE_BYTES = 'a=b&c=(d)';
const ANY_NINE = /^[^]{9}$/;

/** Content-Length of one digit, so that no change of it leaves a number. */
export const LENGTH_OF_NINE: readonly Segment[] = [
  syntax('Content-Length'),
  syntax(':'),
  syntax(' ', BLANKS_RULE),
  syntax('9', /^[\t ]*9[\t ]*$/),
  EOL,
];

/** What `LENGTH_OF_NINE` announces. */
export const BODY_OF_NINE: Segment = segment('body', NINE_BYTES, ANY_NINE);

/** Transfer-Encoding, the empty line, two chunks of which one is extended, a trailer. */
export const CHUNKED: readonly Segment[] = [
  syntax('Transfer-Encoding'),
  syntax(':'),
  syntax(' ', BLANKS_RULE),
  syntax('chunked', /^[\t ]*chunked[\t ]*$/),
  EOL,
  EOL,
  syntax('9'),
  EOL,
  segment('data', NINE_BYTES, ANY_NINE),
  EOL,
  syntax('9'),
  syntax(';na=va', EXTENSION_RULE),
  EOL,
  segment('data', NINE_BYTES, ANY_NINE),
  EOL,
  syntax('0'),
  EOL,
  ...fieldLine('X-Sum', 'a b', 'trailer'),
  EOL,
];

/** The text of a message. */
export function textOf(segments: readonly Segment[]): string {
  return segments.map(({ text }) => text).join('');
}

/** The texts of all segments with a meaning. */
export function textOfMeaning(segments: readonly Segment[], wanted: Meaning): string {
  return textOf(segments.filter(({ meaning }) => meaning === wanted));
}

/** The fields of a message, or its trailers. */
export function linesOfMeaning(segments: readonly Segment[], wanted: 'field' | 'trailer'): readonly Line[] {
  return segments.flatMap(({ meaning, name, text }): readonly Line[] =>
    meaning === wanted && name !== null ? [[name, trimBlanks(text)]] : [],
  );
}

/** A byte at a position: put in, and in place of what is there. */
export function variationsAt(segments: readonly Segment[], at: number, byte: string): readonly Variation[] {
  const text = textOf(segments);
  // Before or behind a byte that is the same: one message. Behind the last byte of all it would belong to the next one.
  let place = at;
  while (text[place] === byte) place++;
  const variations = place < text.length ? [insertion(segments, text, place, byte)] : [];
  return text[at] === byte ? variations : [...variations, replacement(segments, text, at, byte)];
}

function insertion(segments: readonly Segment[], text: string, at: number, byte: string): Variation {
  const told = { id: `${at} put in ${visible(byte)}`, raw: `${text.slice(0, at)}${byte}${text.slice(at)}`, isShifted: false };
  let from = 0;
  for (const [index, one] of segments.entries()) {
    const offset = at - from;
    from += one.text.length;
    if (offset < 0 || offset > one.text.length) continue;
    const changed = one.text.slice(0, offset) + byte + one.text.slice(offset);
    // The length still counts nine.
    if (one.meaning === 'body') return { ...told, segments: segments.with(index, { ...one, text: changed.slice(0, 9) }), isShifted: true };
    if (one.rule.test(changed)) return { ...told, segments: segments.with(index, { ...one, text: changed }) };
  }
  return { ...told, segments: null };
}

function replacement(segments: readonly Segment[], text: string, at: number, byte: string): Variation {
  const told = { id: `${at} put in place ${visible(byte)}`, raw: `${text.slice(0, at)}${byte}${text.slice(at + 1)}`, isShifted: false };
  let from = 0;
  for (const [index, one] of segments.entries()) {
    const offset = at - from;
    from += one.text.length;
    if (offset >= one.text.length) continue;
    const changed = one.text.slice(0, offset) + byte + one.text.slice(offset + 1);
    return { ...told, segments: one.rule.test(changed) ? segments.with(index, { ...one, text: changed }) : null };
  }
  throw new RangeError(`no byte at ${at}`);
}
