/** The last step of shrinking: bytes alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { leastInput } from '../../src/codec/least-input.ts';
import { cut } from '../../src/index.ts';

const least = (text: string, sizes: readonly number[], isBroken: (pieces: readonly string[]) => boolean): readonly string[] => {
  const bytes = latin1Encode(text);
  const textsOf = (chunks: readonly Uint8Array[]): string[] => chunks.map((chunk) => latin1Decode(chunk, 0, chunk.byteLength));
  return textsOf(leastInput({ bytes, chunks: cut(bytes, sizes) }, ({ chunks }) => isBroken(textsOf(chunks))).chunks);
};

describe('leastInput', () => {
  test('keeps only the bytes that matter, wherever they stand', () => {
    assert.deepEqual(
      least('xxxaxxxxxbxxxxc', [], (pieces) => /a.*b.*c/s.test(pieces.join(''))),
      ['abc'],
    );
  });

  test('keeps only the cuts that matter, and moves them along with their bytes', () => {
    assert.deepEqual(
      least('some text, then AB, then more', [3, 4, 10, 2, 1], (pieces) =>
        pieces.some((piece, index) => piece.endsWith('A') && pieces[index + 1]?.startsWith('B')),
      ),
      ['A', 'B'],
    );
    assert.deepEqual(
      least('abcdef', [1, 1, 1, 1, 1], () => true),
      [],
    );
  });

  test('lowers bytes that are no text, and leaves text as it is', () => {
    assert.deepEqual(
      least('\xff\x90z', [], ([piece = '']) => piece.length === 3 && piece.charCodeAt(0) > 0x40),
      ['\x7f\0z'],
    );
  });

  test('shortens frames together with their lengths', () => {
    // Frames of a length and so many bytes, and nothing else, or it is not the bug that was found.
    const isFrames = (text: string): boolean => {
      let at = 0;
      while (at < text.length) at += 1 + text.charCodeAt(at);
      return at === text.length;
    };
    assert.deepEqual(
      least('\x02ab\x05abcde\x03xyz\x00\x01q', [], ([piece = '']) => isFrames(piece) && piece.includes('y')),
      ['\x01y'],
    );
    assert.deepEqual(
      least('\x02ab\x05abcde', [4], (pieces) => isFrames(pieces.join('')) && pieces[1] !== undefined),
      ['\x01', 'a'],
    );
  });

  test('gives back what cannot be made smaller, and ends where everything costs too much', () => {
    assert.deepEqual(
      least('abc', [1], (pieces) => pieces.join('|') === 'a|bc'),
      ['a', 'bc'],
    );
    let tries = 0;
    const long = least('a'.repeat(100_000), [], ([piece = '']) => {
      tries += 1;
      return piece.length >= 99_990;
    });
    assert.ok(tries <= 5_000);
    assert.ok(long.join('').length >= 99_990);
  });
});
