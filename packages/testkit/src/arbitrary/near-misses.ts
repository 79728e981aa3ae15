/**
 * Bytes that are nearly valid: something valid with a few small changes, where parsers go wrong.
 *
 * Random bytes never get past the first token; a valid message with a CR too many gets everywhere.
 */
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import fc from 'fast-check';

/** One small change. Places are fractions of the length, so that a change still fits when the bytes shrink. */
type Change =
  | { readonly kind: 'set' | 'insert'; readonly place: number; readonly piece: Uint8Array }
  | { readonly kind: 'remove' | 'repeat'; readonly place: number; readonly length: number }
  | { readonly kind: 'flip'; readonly place: number; readonly bit: number }
  | { readonly kind: 'cut'; readonly place: number };

/** Pieces that mean something to a text protocol, and some that mean something only to bad parsers of one. */
const pieces = [
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

/**
 * `valid` bytes with one to `maxChanges` changes.
 *
 * @param extraPieces further pieces to put in, for protocols with words of their own
 */
export function nearMisses(
  valid: fc.Arbitrary<Uint8Array>,
  maxChanges = 3,
  extraPieces: readonly Uint8Array[] = [],
): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(changeOf([...pieces, ...extraPieces]), { minLength: 1, maxLength: maxChanges });
  return fc.tuple(valid, changes).map(([bytes, list]) => list.reduce(apply, bytes));
}

function changeOf(allPieces: readonly Uint8Array[]): fc.Arbitrary<Change> {
  const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
  const length = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 60 }) },
  );
  return fc.oneof<fc.Arbitrary<Change>[]>(
    fc.record({ kind: fc.constantFrom('set' as const, 'insert' as const, 'insert' as const), place, piece: fc.constantFrom(...allPieces) }),
    fc.record({ kind: fc.constantFrom('remove' as const, 'repeat' as const), place, length }),
    fc.record({ kind: fc.constant('flip' as const), place, bit: fc.nat(7) }),
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
      return before.slice();
    case 'flip': {
      const copy = bytes.slice();
      if (at < copy.byteLength) copy[at] = (copy[at] ?? 0) ^ (1 << change.bit);
      return copy;
    }
  }
}
