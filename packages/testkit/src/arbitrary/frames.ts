/**
 * Building blocks for the valid inputs of protocols of your own: frames with a length before them, records of tag, length and value, lines; and
 * several of any kind in sequence.
 *
 * Each is drawn together with what it means, so that a round trip has something to compare with. Lengths are drawn at the edges of what a
 * prefix can say, where decoders go wrong, as well as small.
 */
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import fc from 'fast-check';

/** Valid bytes and what they mean: what `CodecUnderTest.valid` draws. */
export interface Drawn<Meaning> {
  readonly bytes: Uint8Array;
  readonly meaning: Meaning;
}

/** How a number is written. */
export interface NumberFormat {
  /** Default 2. */
  readonly byteLength?: 1 | 2 | 3 | 4;
  /** Default false: the highest byte first. */
  readonly isLittleEndian?: boolean;
}

/** Options of `lengthPrefixed`. */
export interface LengthPrefixOptions {
  /** How the length is written. */
  readonly length?: NumberFormat;
  /** Whether the length counts the bytes of the prefix too. Default false. */
  readonly countsItself?: boolean;
  /** What is framed; default `payloads()`, no longer than the prefix can say. */
  readonly payloads?: fc.Arbitrary<Uint8Array>;
}

/** Options of `tagLengthValue`. */
export interface TagLengthValueOptions {
  /** How tags are written. Default one byte. */
  readonly tag?: NumberFormat;
  /** How lengths are written; they count the value alone. */
  readonly length?: NumberFormat;
  /** Default any that fits. */
  readonly tags?: fc.Arbitrary<number>;
  /** Default `payloads()`, no longer than the length can say. */
  readonly values?: fc.Arbitrary<Uint8Array>;
}

/** Options of `terminatedLines`. */
export interface LineOptions {
  /** Default LF. */
  readonly terminator?: string;
  /** What stands in a line, one byte a character, without the terminator. Default printable ASCII. */
  readonly texts?: fc.Arbitrary<string>;
}

/**
 * Bytes to put into frames: short ones, and lengths at edges (127, 128, 255, 256, `maxBytes`); content any, or zeros, or such as looks like
 * another frame.
 *
 * @param maxBytes the longest; default 300
 */
export function payloads(maxBytes = 300): fc.Arbitrary<Uint8Array> {
  const edges = [0, 1, 127, 128, 255, 256, maxBytes].filter((size) => size <= maxBytes);
  const filled = fc.tuple(fc.constantFrom(...edges), fc.constantFrom(0, 1, 0xff)).map(([size, byte]) => new Uint8Array(size).fill(byte));
  const traps = fc
    .constantFrom([0, 0], [0, 1, 0], [1, 0], [0, 0, 0, 0], [0xff, 0xff])
    .map((bytes) => Uint8Array.from(bytes).slice(0, maxBytes));
  return fc.oneof(
    { weight: 5, arbitrary: fc.uint8Array({ maxLength: Math.min(maxBytes, 12) }) },
    { weight: 2, arbitrary: filled },
    { weight: 1, arbitrary: traps },
  );
}

/** A frame with its length before it. */
export function lengthPrefixed(options: LengthPrefixOptions = {}): fc.Arbitrary<Drawn<Uint8Array>> {
  const { length = {}, countsItself = false } = options;
  const ownBytes = countsItself ? (length.byteLength ?? 2) : 0;
  return (options.payloads ?? payloads(mostBytes(length, ownBytes))).map((payload) => ({
    bytes: concatBytes([numberBytes(payload.byteLength + ownBytes, length), payload]),
    meaning: payload,
  }));
}

/** A record of tag, length and value. */
export function tagLengthValue(
  options: TagLengthValueOptions = {},
): fc.Arbitrary<Drawn<{ readonly tag: number; readonly value: Uint8Array }>> {
  const { tag: format = { byteLength: 1 }, length = {} } = options;
  const tags = options.tags ?? fc.nat(highestOf(format));
  return fc.tuple(tags, options.values ?? payloads(mostBytes(length, 0))).map(([tag, value]) => ({
    bytes: concatBytes([numberBytes(tag, format), numberBytes(value.byteLength, length), value]),
    meaning: { tag, value },
  }));
}

/** A line and what ends it. */
export function terminatedLines(options: LineOptions = {}): fc.Arbitrary<Drawn<string>> {
  const { terminator = '\n', texts = fc.string({ unit: 'binary-ascii', maxLength: 40 }).map((text) => text.replace(/[^ -~]/g, '~')) } =
    options;
  return texts
    .filter((text) => !`${text}${terminator}`.slice(0, -1).includes(terminator))
    .map((text) => ({ bytes: latin1Encode(text + terminator), meaning: text }));
}

/** Up to `maxLength` frames one after the other, perhaps none. */
export function inSequence<Meaning>(frame: fc.Arbitrary<Drawn<Meaning>>, maxLength = 5): fc.Arbitrary<Drawn<readonly Meaning[]>> {
  return fc.array(frame, { maxLength }).map((frames) => ({
    bytes: concatBytes(frames.map(({ bytes }) => bytes)),
    meaning: frames.map(({ meaning }) => meaning),
  }));
}

/**
 * A number as bytes.
 *
 * @throws {RangeError} if it does not fit
 */
export function numberBytes(value: number, { byteLength = 2, isLittleEndian = false }: NumberFormat = {}): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > highestOf({ byteLength }))
    throw new RangeError(`${value} does not fit into ${byteLength} bytes`);
  const bytes = Uint8Array.from({ length: byteLength }, (_, index) => Math.floor(value / 0x100 ** index));
  return isLittleEndian ? bytes : bytes.toReversed();
}

function highestOf({ byteLength = 2 }: NumberFormat): number {
  return 0x100 ** byteLength - 1;
}

function mostBytes(length: NumberFormat, ownBytes: number): number {
  return Math.min(300, highestOf(length) - ownBytes);
}
