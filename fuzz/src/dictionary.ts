/**
 * Dictionaries: words of a protocol that a mutation may put in whole. The form is AFL's, one word a line, `name="value"` or `"value"`, with
 * `\xNN`, `\r`, `\n`, `\t`, `\"` and `\\`; `#` begins a comment line.
 */
import { readFileSync } from 'node:fs';

const LINE = /^(?:[\w-]+\s*=\s*)?"((?:[^"\\]|\\.)*)"$/;
const ESCAPE = /\\(x[0-9a-fA-F]{2}|.)/g;

/** Parses a dictionary. @throws {SyntaxError} with the number of the line that is none */
export function parseDictionary(text: string, fileName = 'dictionary'): Uint8Array[] {
  const words: Uint8Array[] = [];
  text.split('\n').forEach((line, index) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return;
    const quoted = LINE.exec(trimmed)?.[1];
    if (quoted === undefined) throw new SyntaxError(`${fileName}:${index + 1} is not name="value": ${trimmed}`);
    words.push(Buffer.from(unescape(quoted, `${fileName}:${index + 1}`), 'latin1'));
  });
  return words;
}

/** Reads `dictionaries/<name>.txt` for each name. */
export function readDictionaries(names: readonly string[]): Uint8Array[] {
  return names.flatMap((name) =>
    parseDictionary(readFileSync(new URL(`../dictionaries/${name}.txt`, import.meta.url), 'utf8'), `${name}.txt`),
  );
}

function unescape(quoted: string, place: string): string {
  return quoted.replace(ESCAPE, (_, code: string) => {
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    const plain = { r: '\r', n: '\n', t: '\t', '"': '"', '\\': '\\' }[code];
    if (plain === undefined) throw new SyntaxError(`${place}: \\${code} is no escape`);
    return plain;
  });
}
