/**
 * Bytes that are nearly valid: something valid with a few small changes, where parsers go wrong.
 *
 * Random bytes never get past the first token; a valid message with a CR too many gets everywhere.
 */
import { concatBytes, fromHex, latin1Encode } from '@ferrata/bytes';
import fc from 'fast-check';

/** One small change. Places are fractions of the length, so that a change still fits when the bytes shrink. */
type Change =
  | { readonly kind: 'set' | 'insert'; readonly place: number; readonly piece: Uint8Array }
  | { readonly kind: 'remove' | 'repeat'; readonly place: number; readonly length: number }
  | { readonly kind: 'flip'; readonly place: number; readonly bit: number }
  | { readonly kind: 'add'; readonly place: number; readonly delta: number }
  | { readonly kind: 'cut'; readonly place: number };

/** Pieces that mean something to HTTP and its likes, and some that mean something only to bad parsers of them. */
const textPieces = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '=',
  '"',
  '\\',
  '0',
  '1',
  '+1',
  '-1',
  '0x1',
  '1e1',
  'f',
  'F',
  '/',
  '#',
  '@',
  '[',
  ']',
  '\x7f',
  '\x80',
  '\xa0',
  '\xff',
  '\x0b',
  '0\r\n\r\n',
  '\r\n ',
  ' :',
  'chunked',
  'identity',
  ', chunked',
  'Content-Length: 0\r\n',
  'content-length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  'Host: b\r\n',
  'Connection: close\r\n',
  'HTTP/1.1',
  'HTTP/1.0',
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
].map((text) => latin1Encode(text));

/** Numbers at the edges of their widths, in both orders of bytes: where lengths, counts and flags go wrong. */
const binaryPieces = [
  '00',
  '01',
  '7f',
  '80',
  'ff',
  '0000',
  '0001',
  '0100',
  '7fff',
  '8000',
  'ffff',
  '00000000',
  '7fffffff',
  '80000000',
  'ffffffff',
].map((digits) => fromHex(digits));

/** Options of `nearMisses`. */
export interface NearMissOptions {
  /** Most changes in one input; default 3. */
  readonly maxChanges?: number;
  /** The pieces to put in besides your own: words of HTTP and its likes (`text`, the default), numbers at their edges (`binary`), or none. */
  readonly pieces?: 'text' | 'binary' | 'none';
  /** Words of your own protocol: text is one byte a character. One of two pieces put in is one of these. */
  readonly dictionary?: readonly (string | Uint8Array)[];
}

/**
 * `valid` bytes with a few small changes: a piece put in or written over, some bytes removed, repeated, flipped, off by one, or all cut off.
 *
 * Shrinks to fewer changes of a smaller input.
 */
export function nearMisses(valid: fc.Arbitrary<Uint8Array>, options: NearMissOptions = {}): fc.Arbitrary<Uint8Array> {
  const { maxChanges = 3, pieces = 'text', dictionary = [] } = options;
  const words = dictionary.map((word) => (typeof word === 'string' ? latin1Encode(word) : word));
  const changes = fc.array(changeOf(pieceOf(builtInPieces[pieces], words)), { minLength: 1, maxLength: maxChanges });
  return fc.tuple(valid, changes).map(([bytes, list]) => list.reduce(apply, bytes));
}

/** Places are drawn as steps of the whole, all alike. */
const PLACES = 0x100_0000;

const builtInPieces = { text: textPieces, binary: binaryPieces, none: [] } as const;

/** Every other piece is a word of the user's, however few they are: they know where their protocol has its edges. */
function pieceOf(builtIn: readonly Uint8Array[], words: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> | null {
  const either = [builtIn, words].filter(({ length }) => length > 0).map((list) => fc.constantFrom(...list));
  return either.length === 0 ? null : fc.oneof(...either);
}

function changeOf(piece: fc.Arbitrary<Uint8Array> | null): fc.Arbitrary<Change> {
  // Not fc.double: it draws all doubles alike, and nine of ten of those that are below 1 are next to 0.
  const place = fc.noBias(fc.nat(PLACES - 1)).map((step) => step / PLACES);
  const length = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 60 }) },
  );
  const kind = fc.constantFrom('set' as const, 'insert' as const, 'insert' as const);
  return fc.oneof<fc.Arbitrary<Change>[]>(
    ...(piece === null ? [] : [fc.record({ kind, place, piece })]),
    fc.record({ kind: fc.constantFrom('remove' as const, 'repeat' as const), place, length }),
    fc.record({ kind: fc.constant('flip' as const), place, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('add' as const), place, delta: fc.constantFrom(1, -1) }),
    fc.record({ kind: fc.constant('cut' as const), place }),
  );
}

function apply(bytes: Uint8Array, change: Change): Uint8Array {
  const at = Math.floor(change.place * (bytes.byteLength + 1));
  const before = bytes.subarray(0, at);
  switch (change.kind) {
    case 'insert':
      return concatBytes([before, change.piece, bytes.subarray(at)]);
    case 'set':
      return concatBytes([before, change.piece, bytes.subarray(at + change.piece.byteLength)]);
    case 'remove':
      return concatBytes([before, bytes.subarray(at + change.length)]);
    case 'repeat':
      return concatBytes([bytes.subarray(0, at + change.length), bytes.subarray(at)]);
    case 'cut':
      // Not `slice`: of a Buffer that is the same memory.
      return Uint8Array.from(before);
    case 'flip':
      return withByte(bytes, at, (byte) => byte ^ (1 << change.bit));
    case 'add':
      return withByte(bytes, at, (byte) => byte + change.delta);
  }
}

/** A copy with one byte changed; behind the last byte, nothing is. */
function withByte(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (at < copy.byteLength) copy[at] = change(copy[at] ?? 0);
  return copy;
}
