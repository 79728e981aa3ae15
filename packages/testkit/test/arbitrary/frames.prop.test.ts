/** The building blocks for other protocols: what is drawn means what it says, reaches the edges, and fits its prefix. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode } from '@ferrata/bytes';
import fc from 'fast-check';
import { inSequence, lengthPrefixed, nearMisses, numberBytes, payloads, tagLengthValue, terminatedLines } from '../../src/index.ts';

/** A number of `size` bytes, read the other way round than it is written: by multiplication. */
function numberAt(bytes: Uint8Array, at: number, size: number, isLittleEndian = false): number {
  const digits = [...bytes.subarray(at, at + size)];
  return (isLittleEndian ? digits.toReversed() : digits).reduce((sum, byte) => sum * 0x100 + byte, 0);
}

describe('frames', () => {
  test('a number is written in either order of bytes, or does not fit', () => {
    assert.deepEqual([...numberBytes(0x010203, { byteLength: 3 })], [1, 2, 3]);
    assert.deepEqual([...numberBytes(0x010203, { byteLength: 4, isLittleEndian: true })], [3, 2, 1, 0]);
    assert.deepEqual([...numberBytes(0xfedcba98, { byteLength: 4 })], [0xfe, 0xdc, 0xba, 0x98]);
    assert.throws(() => numberBytes(256, { byteLength: 1 }), RangeError);
    assert.throws(() => numberBytes(-1), RangeError);
    assert.throws(() => numberBytes(0.5), RangeError);
  });

  test('a length prefix says how much follows it, in every format', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<(1 | 2 | 3 | 4)[]>(1, 2, 3, 4),
        fc.boolean(),
        fc.boolean(),
        fc.integer(),
        (byteLength, isLittleEndian, countsItself, seed) => {
          const [drawn] = fc.sample(lengthPrefixed({ length: { byteLength, isLittleEndian }, countsItself }), { numRuns: 1, seed });
          assert.ok(drawn !== undefined);
          const { bytes, meaning } = drawn;
          assert.equal(numberAt(bytes, 0, byteLength, isLittleEndian), meaning.byteLength + (countsItself ? byteLength : 0));
          assert.deepEqual(bytes.slice(byteLength), meaning);
        },
      ),
    );
  });

  test('payloads are short, or at the edges of one byte and of their own limit', () => {
    const lengths = new Set(fc.sample(payloads(1_000), { numRuns: 500, seed: 1 }).map(({ byteLength }) => byteLength));
    for (const edge of [0, 1, 127, 128, 255, 256, 1_000]) assert.ok(lengths.has(edge), String(edge));
    assert.ok(fc.sample(payloads(3), { numRuns: 200, seed: 1 }).every(({ byteLength }) => byteLength <= 3));
    const ofOneByte = fc.sample(lengthPrefixed({ length: { byteLength: 1 } }), { numRuns: 500, seed: 1 });
    assert.equal(Math.max(...ofOneByte.map(({ bytes }) => bytes.byteLength)), 256);
  });

  test('a record is tag, length, value', () => {
    fc.assert(
      fc.property(tagLengthValue({ tag: { byteLength: 2 }, length: { byteLength: 3 } }), ({ bytes, meaning: { tag, value } }) => {
        assert.deepEqual([numberAt(bytes, 0, 2), numberAt(bytes, 2, 3)], [tag, value.byteLength]);
        assert.deepEqual(bytes.slice(5), value);
      }),
    );
    const [one] = fc.sample(tagLengthValue({ tags: fc.constant(7), values: fc.constant(Uint8Array.of(9)) }), 1);
    assert.deepEqual([...(one?.bytes ?? [])], [7, 0, 1, 9]);
  });

  test('a line ends at its first terminator', () => {
    for (const terminator of ['\n', '\r\n', '\0', 'aa']) {
      fc.assert(
        fc.property(terminatedLines({ terminator }), ({ bytes, meaning }) => {
          const text = latin1Decode(bytes, 0, bytes.byteLength);
          assert.equal(text, meaning + terminator);
          assert.equal(text.indexOf(terminator), meaning.length);
        }),
      );
    }
    assert.deepEqual(
      fc.sample(terminatedLines({ texts: fc.constantFrom('a', 'a\nb') }), 20).map(({ meaning }) => meaning),
      new Array(20).fill('a'),
    );
  });

  test('a sequence is its frames one after the other', () => {
    fc.assert(
      fc.property(inSequence(lengthPrefixed({ length: { byteLength: 1 } }), 3), ({ bytes, meaning }) => {
        const read: Uint8Array[] = [];
        for (let at = 0; at < bytes.byteLength; at += 1 + (bytes[at] ?? 0)) read.push(bytes.slice(at + 1, at + 1 + (bytes[at] ?? 0)));
        assert.deepEqual(read, meaning);
      }),
    );
  });
});

describe('nearMisses of a protocol of one’s own', () => {
  const valid = fc.constant(Uint8Array.of(0x10, 0x20, 0x30));
  const drawn = (options: Parameters<typeof nearMisses>[1]): readonly string[] =>
    fc.sample(nearMisses(valid, { maxChanges: 1, ...options }), { numRuns: 2_000, seed: 3 }).map((bytes) => [...bytes].join());

  test('put in numbers at their edges, and words of the dictionary', () => {
    const found = new Set(drawn({ pieces: 'binary', dictionary: ['hi', Uint8Array.of(1, 2, 3, 4)] }));
    for (const wanted of ['16,255,255,32,48', '16,127,255,255,255', '104,105,16,32,48', '1,2,3,4,16,32,48'])
      assert.ok(found.has(wanted), wanted);
  });

  test('put in a word of the dictionary as often as any number', () => {
    const words = drawn({ pieces: 'binary', dictionary: ['word'] }).filter((bytes) => bytes.includes('119,111,114,100')).length;
    // A fifth of the changes puts something in or writes it over; half of that is the word.
    assert.ok(words >= 150 && words <= 250, String(words));
  });

  test('are off by one, flipped, cut, short and doubled even without any words', () => {
    const found = new Set(drawn({ pieces: 'none' }));
    for (const wanted of ['17,32,48', '15,32,48', '16,32,49', '16,160,48', '16,32', '', '16,48', '16,32,48,32,48'])
      assert.ok(found.has(wanted), wanted);
    assert.ok([...found].every((bytes) => bytes.split(',').length <= 6));
  });
});
