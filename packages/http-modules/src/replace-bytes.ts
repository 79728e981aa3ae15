/**
 * Search and replace in a body that passes by.
 *
 * Matches are found across the borders of pieces, from left to right and without overlap, as `replaceAll` of a string finds them. The automaton of Knuth, Morris and Pratt
 * looks at each byte a bounded number of times; what it holds back between two pieces is the beginning of the pattern, so it need not be kept.
 */
import { concatBytes, utf8Encode } from '@ferrata/bytes';
import type { BodyTransform, PieceTransform } from './body-rewrite.ts';
import type { ModulePiece } from './http-module.ts';

/**
 * Makes a transform for `rewriteBody` that replaces each occurrence of some bytes. Text stands for its bytes in UTF-8.
 *
 * A piece grows with its matches: at most by the ratio of the lengths.
 *
 * @throws {RangeError} if the pattern is empty
 */
export function replaceBytes(pattern: Uint8Array | string, replacement: Uint8Array | string): BodyTransform {
  // Copies: the caller's arrays may change.
  const wanted = typeof pattern === 'string' ? utf8Encode(pattern) : pattern.slice();
  const put = typeof replacement === 'string' ? utf8Encode(replacement) : replacement.slice();
  if (wanted.length === 0) throw new RangeError('the pattern to replace is empty');
  const fallbacks = fallbackTable(wanted);
  return {
    begin: (): PieceTransform => {
      const replacer = new Replacer(wanted, put, fallbacks);
      return (chunk) => replacer.take(chunk);
    },
  };
}

class Replacer {
  readonly #pattern: Uint8Array;
  readonly #replacement: Uint8Array;
  readonly #fallbacks: Uint32Array;
  /** How many bytes of the pattern the pieces so far end with. They are held back. */
  #matched = 0;

  constructor(pattern: Uint8Array, replacement: Uint8Array, fallbacks: Uint32Array) {
    this.#pattern = pattern;
    this.#replacement = replacement;
    this.#fallbacks = fallbacks;
  }

  take(chunk: Uint8Array | null): ModulePiece {
    if (chunk !== null) return this.#replaceIn(chunk);
    return this.#matched === 0 ? null : this.#pattern.slice(0, this.#matched);
  }

  #replaceIn(chunk: Uint8Array): ModulePiece {
    const pattern = this.#pattern;
    const first = pattern[0] as number;
    const parts: Uint8Array[] = [];
    /** Held back from earlier pieces, and neither sent nor replaced. */
    let held = this.#matched;
    /** Of this piece, what is neither sent nor replaced begins here. */
    let from = 0;
    let matched = held;
    for (let at = 0; at < chunk.length; at++) {
      if (matched === 0) {
        at = chunk.indexOf(first, at);
        if (at < 0) break;
      }
      matched = this.#next(matched, chunk[at] as number);
      if (matched < pattern.length) continue;
      const start = at + 1 - matched;
      // A match may begin in what is held back.
      pushPart(parts, pattern, 0, Math.min(held, held + start));
      pushPart(parts, chunk, from, start);
      parts.push(this.#replacement);
      held = 0;
      from = at + 1;
      matched = 0;
    }
    const start = chunk.length - matched;
    pushPart(parts, pattern, 0, Math.min(held, held + start));
    pushPart(parts, chunk, from, start);
    this.#matched = matched;
    return joined(parts, chunk);
  }

  /** How much of the pattern the bytes end with when one more has come. */
  #next(matched: number, byte: number): number {
    let length = matched;
    while (length > 0 && byte !== this.#pattern[length]) length = this.#fallbacks[length] as number;
    return byte === this.#pattern[length] ? length + 1 : length;
  }
}

function pushPart(parts: Uint8Array[], bytes: Uint8Array, start: number, end: number): void {
  if (end > start) parts.push(bytes.subarray(start, end));
}

/** The pattern and its replacement serve all bodies: what is passed on must not be a view of them, as its recipient owns it. */
function joined(parts: readonly Uint8Array[], chunk: Uint8Array): ModulePiece {
  const [only] = parts;
  if (only === undefined) return null;
  if (parts.length > 1) return concatBytes(parts);
  return only.buffer === chunk.buffer ? only : only.slice();
}

/** By length of a beginning of the pattern: the longest shorter beginning that it ends with. */
function fallbackTable(pattern: Uint8Array): Uint32Array {
  const fallbacks = new Uint32Array(pattern.length + 1);
  let length = 0;
  for (let at = 1; at < pattern.length; at++) {
    while (length > 0 && pattern[at] !== pattern[length]) length = fallbacks[length] as number;
    if (pattern[at] === pattern[length]) length++;
    fallbacks[at + 1] = length;
  }
  return fallbacks;
}
