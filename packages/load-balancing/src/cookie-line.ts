/**
 * Finds a cookie in a `Cookie` line without making anything of the others.
 *
 * Rules: names are compared letter by letter, values are what stands there, quotes included, and what is no pair is passed over. Each letter is looked at once, however often
 * a line is gone on with.
 *
 * @see RFC 6265 §4.2.1 (the line), §5.4 (several of one name: the more specific path first)
 */

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const SPACE = 0x20;
const TAB = 0x09;

/**
 * Looks for the next cookie of a name.
 *
 * @param from where to begin: 0, or what `endOfCookie` gave for the one before
 * @returns where its value begins; −1 if there is none any more
 */
export function findCookie(line: string, name: string, from: number): number {
  const { length } = line;
  let at = from;
  while (at < length) {
    let code = line.charCodeAt(at);
    while (code === SPACE || code === TAB || code === SEMICOLON) code = line.charCodeAt(++at);
    if (line.startsWith(name, at) && line.charCodeAt(at + name.length) === EQUALS) return at + name.length + 1;
    at = line.indexOf(';', at);
    if (at < 0) return -1;
  }
  return -1;
}

/** Where the value that begins at `start` ends: blanks behind it are none of it. */
export function endOfCookie(line: string, start: number): number {
  let end = line.indexOf(';', start);
  if (end < 0) end = line.length;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return end;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}
