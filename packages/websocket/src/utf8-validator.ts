/**
 * Whether bytes are UTF-8, told as they come: the first byte that no valid text can have at its place is found at once, however the text is cut.
 *
 * A state is what the next byte must be:
 *
 * ```text
 *   state   next byte        then                        after the lead byte
 *   0       any lead byte
 *   1       80–BF            0                           C2–DF, or the last of more
 *   2       80–BF            1                           E1–EC, EE, EF
 *   3       A0–BF            1       no overlong form     E0
 *   4       80–9F            1       no surrogate         ED
 *   5       80–BF            2                           F1–F3
 *   6       90–BF            2       no overlong form     F0
 *   7       80–8F            2       not above 10FFFF     F4
 * ```
 *
 * @see RFC 3629 §4 · RFC 6455 §8.1
 */

/** Lowest byte, highest byte and next state, by state. */
const LOW = Uint8Array.of(0x00, 0x80, 0x80, 0xa0, 0x80, 0x80, 0x90, 0x80);
const HIGH = Uint8Array.of(0x00, 0xbf, 0xbf, 0xbf, 0x9f, 0xbf, 0xbf, 0x8f);
const NEXT = Uint8Array.of(0, 0, 1, 1, 1, 2, 2, 2);

/** From here on the beginning of a piece is looked at four bytes at a time: most text begins with ASCII, and much is nothing else. */
const WORDS_FROM_BYTES = 64;
const NOT_ASCII = 0x8080_8080;

/** Validates one text after the other. */
export class Utf8Validator {
  #state = 0;

  /** A text begins. */
  begin(): void {
    this.#state = 0;
  }

  /** Takes more bytes. @returns false if the text is not UTF-8, whatever follows */
  push(bytes: Uint8Array): boolean {
    const { length } = bytes;
    let state = this.#state;
    for (let i = state === 0 && length >= WORDS_FROM_BYTES ? asciiEnd(bytes) : 0; i < length; i++) {
      const byte = bytes[i] as number;
      if (state === 0) {
        if (byte < 0x80) continue;
        state = stateAfterLead(byte);
        if (state === 0) return false;
      } else {
        if (byte < (LOW[state] as number) || byte > (HIGH[state] as number)) return false;
        state = NEXT[state] as number;
      }
    }
    this.#state = state;
    return true;
  }

  /** Goes to where another has got. */
  continueFrom(other: Utf8Validator): void {
    this.#state = other.#state;
  }

  /** Whether the text may end here. */
  isComplete(): boolean {
    return this.#state === 0;
  }
}

/** Where the ASCII at the beginning ends, or up to three bytes before that. */
function asciiEnd(bytes: Uint8Array): number {
  const start = -bytes.byteOffset & 3;
  for (let i = 0; i < start; i++) if ((bytes[i] as number) >= 0x80) return i;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, (bytes.length - start) >>> 2);
  const { length } = words;
  let i = 0;
  while (i < length && ((words[i] as number) & NOT_ASCII) === 0) i++;
  return start + i * 4;
}

/** @returns 0 if no character begins so */
function stateAfterLead(byte: number): number {
  if (byte < 0xc2 || byte > 0xf4) return 0;
  if (byte < 0xe0) return 1;
  if (byte < 0xf0) return byte === 0xe0 ? 3 : byte === 0xed ? 4 : 2;
  return byte === 0xf0 ? 6 : byte === 0xf4 ? 7 : 5;
}
