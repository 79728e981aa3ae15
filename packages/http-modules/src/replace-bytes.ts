/**
 * Search and replace in a body that passes by.
 *
 * Matches are found across the borders of pieces, from left to right and without overlap, as `replaceAll` of a string finds them. The automaton of Knuth, Morris and Pratt
 * looks at each byte a bounded number of times; what it holds back between two pieces is the beginning of the pattern, so it need not be kept.
 */
import { utf8Encode } from '@ferrata/bytes';
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

/** What a piece has, counted from the first byte that was held back. */
interface Found {
  readonly held: number;
  /** Where matches begin. */
  readonly matches: readonly number[];
  /** What is behind is held back. */
  readonly end: number;
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
    const held = this.#matched;
    /** Where matches begin, in what is held back and the piece behind it. */
    const matches: number[] = [];
    let matched = held;
    for (let at = 0; at < chunk.length; at++) {
      // A call into the engine costs some 50 ns: only to leap over what is nothing.
      if (matched === 0 && chunk[at] !== first) {
        at = chunk.indexOf(first, at);
        if (at < 0) break;
      }
      matched = this.#next(matched, chunk[at] as number);
      if (matched < pattern.length) continue;
      matches.push(held + at + 1 - matched);
      matched = 0;
    }
    this.#matched = matched;
    const end = held + chunk.length - matched;
    // The piece as it is, in the usual case.
    if (matches.length === 0 && held === 0) return end === 0 ? null : chunk.subarray(0, end);
    return this.#rebuilt(chunk, { held, matches, end });
  }

  /** Made in one go: arrays for what lies between the matches would be many times the body, where it has little else. */
  #rebuilt(chunk: Uint8Array, { held, matches, end }: Found): ModulePiece {
    const pattern = this.#pattern;
    const replacement = this.#replacement;
    const length = end + matches.length * (replacement.length - pattern.length);
    if (length === 0) return null;
    const bytes = new Uint8Array(length);
    let from = 0;
    let at = 0;
    const copy = (to: number): void => {
      // What is held back is the beginning of the pattern.
      if (from < held) at = copyBytes(pattern, from, Math.min(to, held), bytes, at);
      if (to > held) at = copyBytes(chunk, Math.max(from, held) - held, to - held, bytes, at);
    };
    for (const start of matches) {
      copy(start);
      at = copyBytes(replacement, 0, replacement.length, bytes, at);
      from = start + pattern.length;
    }
    copy(end);
    return bytes;
  }

  /** How much of the pattern the bytes end with when one more has come. */
  #next(matched: number, byte: number): number {
    let length = matched;
    while (length > 0 && byte !== this.#pattern[length]) length = this.#fallbacks[length] as number;
    return byte === this.#pattern[length] ? length + 1 : length;
  }
}

/** Below it a loop is faster than the view that `set` wants. */
const SHORT_COPY = 32;

/** @returns where what was copied ends */
function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  if (end - start >= SHORT_COPY) target.set(source.subarray(start, end), at);
  else for (let from = start, to = at; from < end; from++, to++) target[to] = source[from] as number;
  return at + end - start;
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
