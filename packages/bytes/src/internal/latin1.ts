/**
 * Latin-1 text to bytes and back: code unit = byte, in both directions, without exception.
 *
 * The one file of this package that looks for something of Node: `Buffer`'s two Latin-1 primitives, used on plain `Uint8Array`s when
 * they are there. Without them (browsers, Deno) the loops below do the same work; both are tested against each other.
 */

interface Latin1Primitives {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  latin1Write(this: Uint8Array, text: string, at: number): number;
}

/** How text becomes bytes and bytes become text; ranges have been checked by the caller. */
export interface Latin1 {
  decode(bytes: Uint8Array, start: number, end: number): string;
  /** @throws {RangeError} when a character lies above U+00FF */
  encodeInto(text: string, target: Uint8Array, at: number): void;
}

/**
 * Up to this length a loop beats the call into native code (a 12-character field name: 37 against 44 ns; 48 characters: 144 against
 * 28; Node 24).
 */
const loopUpTo = 20;

/** V8 knows that a string held as one byte a character can't match and answers without looking at it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is Latin-1 itself
const notLatin1 = /[^\u0000-\u00ff]/;

/** The loops: correct everywhere, fast for short text. */
export const portableLatin1: Latin1 = {
  decode(bytes: Uint8Array, start: number, end: number): string {
    let text = '';
    // `apply` is limited by the stack: pieces of 4 KiB are safe on every engine.
    for (let at = start; at < end; at += 4096) {
      text += String.fromCharCode.apply(null, bytes.subarray(at, Math.min(end, at + 4096)) as unknown as number[]);
    }
    return text;
  },
  encodeInto(text: string, target: Uint8Array, at: number): void {
    let seen = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      seen |= unit;
      target[at + i] = unit;
    }
    if (seen > 0xff) throwNotLatin1(text);
  },
};

/** The quickest way on this platform. */
export const latin1: Latin1 = chooseLatin1((globalThis as { Buffer?: { prototype?: Partial<Latin1Primitives> } }).Buffer?.prototype);

/** Uses a platform's primitives if it has both. */
export function chooseLatin1(primitives: Partial<Latin1Primitives> | undefined): Latin1 {
  const slice = primitives?.latin1Slice;
  const write = primitives?.latin1Write;
  if (slice === undefined || write === undefined) return portableLatin1;
  return {
    decode(bytes: Uint8Array, start: number, end: number): string {
      return slice.call(bytes, start, end);
    },
    encodeInto(text: string, target: Uint8Array, at: number): void {
      if (text.length <= loopUpTo) return portableLatin1.encodeInto(text, target, at);
      // Node keeps only the low byte of a character: U+010A would come out as a line feed, and split a message.
      if (notLatin1.test(text)) throwNotLatin1(text);
      write.call(target, text, at);
    },
  };
}

function throwNotLatin1(text: string): never {
  throw new RangeError(`not Latin-1: character at index ${text.search(notLatin1)} lies above U+00FF`);
}
