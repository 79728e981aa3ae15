import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '../src/index.ts';
import { randomFromWords } from '../src/random.ts';

const sources: readonly (readonly [name: string, Random])[] = [
  ['seededRandom', seededRandom(42)],
  ['systemRandom', systemRandom],
];

for (const [name, random] of sources) {
  test(`${name}: every draw lies in its range`, () => {
    for (let i = 0; i < 2000; i++) {
      const fraction = random.next();
      assert.ok(fraction >= 0 && fraction < 1);
      const word = random.uint32();
      assert.ok(Number.isInteger(word) && word >= 0 && word <= 0xffff_ffff);
      const below = random.below(6);
      assert.ok(Number.isInteger(below) && below >= 0 && below < 6);
    }
  });

  test(`${name}: every bit of a word is set about half of the time`, () => {
    const draws = 4000;
    const ones = new Array<number>(32).fill(0);
    for (let i = 0; i < draws; i++) {
      const word = random.uint32();
      for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] ?? 0) + ((word >>> bit) & 1);
    }
    // Seven standard deviations of a fair coin: a good source fails once in 10^10 runs.
    for (const count of ones) assert.ok(Math.abs(count - draws / 2) < (7 * Math.sqrt(draws)) / 2, `${count} of ${draws}`);
  });
}

test('one seed gives one sequence, for all time', () => {
  const a = seededRandom(1);
  const b = seededRandom(1);
  for (let i = 0; i < 10; i++) assert.equal(a.uint32(), b.uint32());
  // Golden values, from an independent sfc32: saved seeds of failing worlds must replay in later versions.
  const golden = seededRandom(2026);
  assert.deepEqual([golden.uint32(), golden.uint32(), golden.below(1000), golden.next()], [2218806470, 405091150, 386, 0.6028844412246641]);
});

test('all bits of the seed count', () => {
  const seeds = [0, 1, -1, 2, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 52, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  const firsts = new Set(seeds.map((seed) => seededRandom(seed).uint32()));
  assert.equal(firsts.size, seeds.length);
});

test('a seed that is not a safe integer is refused', () => {
  for (const seed of [0.5, Number.NaN, Infinity, 2 ** 53]) assert.throws(() => seededRandom(seed), RangeError);
});

test('next is made of 27 bits of one word and 26 of the next', () => {
  const ofWords = (...words: number[]): number => randomFromWords(() => words.shift() ?? 0).next();
  assert.equal(ofWords(0, 0), 0);
  assert.equal(ofWords(0x8000_0000, 0), 0.5);
  assert.equal(ofWords(0, 1 << 6), 2 ** -53);
  assert.equal(ofWords(0xffff_ffff, 0xffff_ffff), 1 - 2 ** -53);
});

test('below draws again where a remainder would favour small numbers', () => {
  const words = [0xffff_ffff, 7];
  const random = randomFromWords(() => words.shift() ?? 0);
  // 2^32 = 3 · 1 431 655 765 + 1: the last word belongs to an incomplete stretch.
  assert.equal(random.below(3), 1);
  assert.deepEqual(words, []);
});

test('below takes 1 to 2^32', () => {
  const random = randomFromWords(() => 0xffff_ffff);
  assert.equal(random.below(1), 0);
  assert.equal(random.below(2 ** 32), 0xffff_ffff);
  for (const bound of [0, -1, 1.5, Number.NaN, 2 ** 32 + 1]) assert.throws(() => random.below(bound), RangeError);
});
