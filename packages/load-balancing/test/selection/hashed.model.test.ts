/** Hash modulo weights, beside Pingora's way done naively: an expanded list and big integers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { hashed } from '../../src/selection/hashed.ts';
import { fnv1a32 } from '../../src/selection/key-hash.ts';
import { anyHistory, happen } from './fixtures/histories.ts';
import { countPicks, membersOf, NaiveCandidates, startPicker, worstError } from './fixtures/naive-candidates.ts';
import { fnv1a } from './fixtures/naive-hash.ts';

function naivePick(weights: readonly number[], key: string | Uint8Array, bits: 32 | 64, isOpen: (member: number) => boolean): number {
  const expanded = weights.flatMap((weight, member) => Array.from({ length: weight }, () => member));
  if (!weights.some((_, member) => isOpen(member))) return -1;
  let seed = fnv1a(typeof key === 'string' ? new TextEncoder().encode(key) : key, bits);
  let member = expanded[Number(seed % BigInt(expanded.length))] as number;
  for (let picks = 0; picks < 64 && !isOpen(member); picks++) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(seed);
    seed = fnv1a(bytes.subarray(0, bits / 8), bits);
    member = Number(seed % BigInt(weights.length));
  }
  while (!isOpen(member)) member = (member + 1) % weights.length;
  return member;
}

describe('hashed', () => {
  for (const [hash, bits] of [
    ['fnv1a64', 64],
    ['fnv1a32', 32],
  ] as const) {
    test(`by ${hash} equals Pingora's method done naively`, () => {
      fc.assert(
        fc.property(fc.array(fc.constantFrom(0, 1, 1, 1, 2, 10), { maxLength: 12 }), anyHistory, (weights, history) => {
          happen(hashed({ hash }), weights, history, seededRandom(1), {
            onPick(picked, key, candidates) {
              if (key === null) return;
              assert.equal(
                picked,
                naivePick(weights, key, bits, (member) => candidates.isOpen(member)),
              );
            },
          });
        }),
        { numRuns: 200 },
      );
    });

    test(`by ${hash} gives a million keys to the members within 3 % of their weights`, () => {
      for (const weights of [
        [1, 1, 1, 1, 1],
        [1, 2, 3, 0, 10, 20],
      ]) {
        const candidates = new NaiveCandidates(membersOf(weights));
        const picker = startPicker(hashed({ hash }), candidates, seededRandom(1));
        const counts = countPicks(picker, candidates, 1_000_000, (index) => `/objects/${index}`);
        const positive = weights.flatMap((weight, member) => (weight > 0 ? [member] : []));
        const error = worstError(
          Float64Array.from(positive, (member) => counts[member] as number),
          positive.map((member) => weights[member] as number),
        );
        assert.ok(error < 0.03, `${error}`);
      }
    });
  }

  test("takes a function of the program's, of which the low 32 bits count", () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 1]));
    const picker = startPicker(hashed({ hash: (key) => key.length }), candidates, seededRandom(1));
    assert.deepEqual(
      ['', 'x', 'xx', 'xxx'].map((key) => picker.pick(key, candidates)),
      [0, 1, 2, 0],
    );
    const negative = startPicker(hashed({ hash: () => -1 }), candidates, seededRandom(1));
    assert.equal(negative.pick('key', candidates), (2 ** 32 - 1) % 3);
    const plain = startPicker(hashed({ hash: 'fnv1a32' }), candidates, seededRandom(1));
    const given = startPicker(hashed({ hash: fnv1a32 }), candidates, seededRandom(1));
    candidates.exclude([0]);
    for (let key = 0; key < 100; key++) assert.equal(given.pick(`${key}`, candidates), plain.pick(`${key}`, candidates));
  });

  test('holds any weights: a hundred thousand members of the greatest', () => {
    const weights = Array.from({ length: 100_000 }, () => 65_535);
    const candidates = new NaiveCandidates(membersOf(weights));
    const picker = startPicker(hashed(), candidates, seededRandom(1));
    for (let key = 0; key < 200; key++) {
      const place = fnv1a(Buffer.from(`${key}`), 64) % (65_535n * 100_000n);
      assert.equal(picker.pick(`${key}`, candidates), Number(place / 65_535n));
    }
  });

  test('refuses a hash that it does not know', () => {
    assert.throws(() => hashed({ hash: 'md5' as 'fnv1a32' }), {
      name: 'RangeError',
      message: /^hash must be fnv1a32, fnv1a64 or a function/,
    });
  });
});
