/** Bytes and spellings that several classes try. */

/** The token characters of RFC 9110 §5.6.2, and digits as RFC 3986 has them. */
const TOKEN_TEXT = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Whether all of a text may stand in a token. */
export function isTokenText(text: string): boolean {
  return TOKEN_TEXT.test(text);
}

/** All control bytes, DEL, and bytes above 0x7F that some reader takes for a blank, a line end, a letter or a digit. */
export const ODD_BYTES: readonly string[] = [
  ...Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code)),
  '\x7f',
  '\x80',
  '\x85',
  '\x9f',
  '\xa0',
  '\xad',
  '\xb2',
  '\xb5',
  '\xff',
];

/** Bytes that are no letter, digit or blank, and so may look like a delimiter. */
export const DELIMITERS: readonly string[] = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'.split('');

/** Blanks and look-alikes beyond one byte, in UTF-8: NBSP, NEL, zero-width space, ideographic space, BOM, line separator. */
export const WIDE_BLANKS: readonly string[] = ['\xc2\xa0', '\xc2\x85', '\xe2\x80\x8b', '\xe3\x80\x80', '\xef\xbb\xbf', '\xe2\x80\xa8'];

/** Other cases of the letters of a word: all small, all large, alternating, first large. */
export function casesOf(word: string): readonly string[] {
  const alternating = word
    .split('')
    .map((letter, index) => (index % 2 === 0 ? letter.toUpperCase() : letter.toLowerCase()))
    .join('');
  return [...new Set([word.toLowerCase(), word.toUpperCase(), alternating, word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase()])];
}

/** Spellings of a field name with one byte more or another: before, inside, behind, in place of each hyphen. */
export function namesLike(name: string, byte: string): readonly (readonly [place: string, name: string])[] {
  const middle = Math.floor(name.length / 2);
  return [
    ['before', byte + name],
    ['inside', name.slice(0, middle) + byte + name.slice(middle)],
    ['behind', name + byte],
    ['for-hyphen', name.replace('-', byte)],
  ];
}

/** Bytes that some reader takes for a blank, for a line end, or for nothing. */
export const STRAYS: readonly string[] = ['\0', '\t', '\n', '\x0b', '\x0c', '\r', '\x1c', ' ', '\x7f', '\x80', '\xa0', '\xff'];
