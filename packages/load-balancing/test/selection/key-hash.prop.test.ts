/** FNV-1a beside the same done with big integers, and the vectors that its authors publish. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Fnv1a64Seed, fnv1a32, Uint32Seed } from '../../src/selection/key-hash.ts';
import { anyKey } from './fixtures/histories.ts';
import { fnv1a } from './fixtures/naive-hash.ts';

/** The seed itself, from its remainders. */
function seedOf(key: string | Uint8Array, rounds: number): bigint {
  const seed = new Fnv1a64Seed();
  seed.begin(key);
  for (let round = 0; round < rounds; round++) seed.again();
  return (BigInt(seed.below(2 ** 37)) & 0xffff_ffffn) | (BigInt(highOf(seed)) << 32n);
}

/** The seed modulo 2³² − 1 is the sum of its halves modulo that. */
function highOf(seed: Fnv1a64Seed): number {
  const low = seed.below(2 ** 32);
  return (seed.below(2 ** 32 - 1) - (low % (2 ** 32 - 1)) + (2 ** 32 - 1)) % (2 ** 32 - 1);
}

describe('FNV-1a', () => {
  test('of known texts is what its authors publish', () => {
    const seed = new Fnv1a64Seed();
    for (const [text, word, low] of [
      ['', 0x811c_9dc5, 0x8422_2325],
      ['a', 0xe40c_292c, 0x8601_ec8c],
      ['foobar', 0xbf9c_f968, 0xf739_67e8],
    ] as const) {
      assert.equal(fnv1a32(text), word);
      seed.begin(text);
      assert.equal(seed.below(2 ** 32), low);
    }
  });

  test('of any text is that of its UTF-8 bytes, and equals the same done with big integers', () => {
    fc.assert(
      fc.property(
        anyKey.filter((key) => key !== null),
        (key) => {
          const bytes = typeof key === 'string' ? new TextEncoder().encode(key) : key;
          assert.equal(fnv1a32(key), Number(fnv1a(bytes, 32)));
          assert.equal(fnv1a32(bytes), fnv1a32(key));
          assert.equal(seedOf(key, 0), fnv1a(bytes, 64));
          assert.equal(seedOf(bytes, 0), fnv1a(bytes, 64));
        },
      ),
    );
  });

  test('of a text too long for the place where it is encoded is the same', () => {
    const text = 'ключ🔑\ud800'.repeat(500);
    assert.equal(fnv1a32(text), Number(fnv1a(new TextEncoder().encode(text), 32)));
    assert.equal(seedOf(text, 0), fnv1a(new TextEncoder().encode(text), 64));
  });
});

describe('a seed', () => {
  test('goes on with the hash of its own bytes, from the low one', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(5), (key, rounds) => {
        let expected = fnv1a(Buffer.from(key), 64);
        const bytes = Buffer.alloc(8);
        for (let round = 0; round < rounds; round++) {
          bytes.writeBigUInt64LE(expected);
          expected = fnv1a(bytes, 64);
        }
        assert.equal(seedOf(key, rounds), expected);
      }),
    );
  });

  test('has the remainder of big integers, for any bound to 2³⁷', () => {
    fc.assert(
      fc.property(fc.string(), fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2 ** 37 })), (key, bound) => {
        const seed = new Fnv1a64Seed();
        seed.begin(key);
        assert.equal(seed.below(bound), Number(fnv1a(Buffer.from(key), 64) % BigInt(bound)));
        const word = new Uint32Seed(fnv1a32);
        word.begin(key);
        assert.equal(word.below(bound), Number(fnv1a(Buffer.from(key), 32) % BigInt(bound)));
      }),
      { numRuns: 2000 },
    );
  });
});
