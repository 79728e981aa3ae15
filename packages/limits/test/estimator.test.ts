import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Estimator } from '../src/index.ts';

const strangeKeys = ['', '__proto__', 'constructor', 'toString', '\ud800', 'x'.repeat(1_000_000), 'ключ', '\0'];

test('increments, decrements, estimates and a reset', () => {
  const estimator = new Estimator({ hashes: 8, slots: 8, random: seededRandom(1) });
  assert.equal(estimator.estimate('a'), 0);
  assert.equal(estimator.increment('a'), 1);
  assert.equal(estimator.increment('a', 4), 5);
  assert.equal(estimator.increment('a', 0), 5);
  assert.equal(estimator.estimate('a'), 5);
  assert.equal(estimator.decrement('a', 2), 3);
  assert.equal(estimator.decrement('a'), 2);
  estimator.reset();
  assert.equal(estimator.estimate('a'), 0);
});

test('any text is a key, and none is special', () => {
  const estimator = new Estimator({ random: seededRandom(2) });
  for (const [index, key] of strangeKeys.entries()) assert.equal(estimator.increment(key, index + 1), index + 1);
  for (const [index, key] of strangeKeys.entries()) assert.equal(estimator.estimate(key), index + 1);
});

test('a counter stays at its ends, and comes back from them', () => {
  const estimator = new Estimator({ slots: 1, hashes: 1, random: seededRandom(3) });
  const end = 2_130_706_432;
  assert.equal(estimator.increment('a', end - 1), end - 1);
  assert.equal(estimator.increment('a', 2), end);
  assert.equal(estimator.increment('a'), end);
  assert.equal(estimator.increment('a', 0x7fff_ffff), end);
  assert.equal(estimator.decrement('a', 5), end - 5);
  for (let time = 0; time < 3; time++) estimator.decrement('a', 0x7fff_ffff);
  assert.equal(estimator.estimate('a'), -end);
  assert.equal(estimator.decrement('a'), -end);
  assert.equal(estimator.increment('a'), 1 - end);
});

test('slots are rounded up to a power of two', () => {
  for (const [slots, rounded] of [
    [1, 1],
    [2, 2],
    [3, 4],
    [1000, 1024],
    [1024, 1024],
    [1025, 2048],
  ] as const) {
    assert.equal(new Estimator({ slots }).slots, rounded);
  }
  assert.equal(new Estimator().hashes, 4);
});

test('sizeFor gives the size of the textbook', () => {
  assert.deepEqual(Estimator.sizeFor({ epsilon: 0.001, delta: 0.01 }), { hashes: 5, slots: 4096 });
  assert.deepEqual(Estimator.sizeFor({ epsilon: 1, delta: 1 }), { hashes: 1, slots: 4 });
  assert.deepEqual(Estimator.sizeFor({ epsilon: Math.E / 2 ** 24, delta: Math.exp(-16) }), { hashes: 16, slots: 2 ** 24 });
  for (const bad of [0, -1, 1e-9, 1.1, Number.NaN, Infinity]) {
    assert.throws(() => Estimator.sizeFor({ epsilon: bad, delta: 0.5 }), /^RangeError: epsilon must be 1\.62\d+e-7 to 1, not/);
    assert.throws(() => Estimator.sizeFor({ epsilon: 0.5, delta: bad }), /^RangeError: delta must be 1\.12\d+e-7 to 1, not/);
  }
});

test('bad numbers are refused by name', () => {
  for (const hashes of [0, -1, 1.5, 17, Number.NaN, Infinity]) assert.throws(() => new Estimator({ hashes }), /^RangeError: hashes must/);
  for (const slots of [0, -1, 1.5, 2 ** 25, Number.NaN]) assert.throws(() => new Estimator({ slots }), /^RangeError: slots must/);
  const estimator = new Estimator({ slots: 16 });
  for (const by of [-1, 0.5, 2 ** 31, Number.NaN, Infinity]) {
    assert.throws(() => estimator.increment('a', by), /^RangeError: by must be a whole number from 0 to 2147483647/);
    assert.throws(() => estimator.decrement('a', by), /^RangeError: by must/);
  }
});

test('an estimate is never below the truth, and adds up to it without collisions', () => {
  const use = fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.integer({ min: 0, max: 1000 })), { maxLength: 60 });
  fc.assert(
    fc.property(use, fc.integer(), fc.constantFrom(1, 4, 64), (uses, seed, slots) => {
      const estimator = new Estimator({ slots, hashes: 3, random: seededRandom(seed) });
      const exact = new Map<string, number>();
      let total = 0;
      for (const [key, by] of uses) {
        const count = (exact.get(key) ?? 0) + by;
        exact.set(key, count);
        total += by;
        assert.ok(estimator.increment(key, by) >= count);
      }
      for (const [key, count] of exact) {
        const estimate = estimator.estimate(key);
        assert.ok(estimate >= count && estimate <= total);
        if (exact.size === 1) assert.equal(estimate, count);
      }
      for (const [key, by] of uses) estimator.decrement(key, by);
      for (const key of exact.keys()) assert.equal(estimator.estimate(key), 0);
    }),
  );
});

// Cormode and Muthukrishnan 2005, theorem 1: with a chance of 1 − e^−hashes the error is at most e ÷ slots of all counts together.
for (const { hashes, slots } of [
  { hashes: 1, slots: 64 },
  { hashes: 2, slots: 128 },
  { hashes: 4, slots: 256 },
  { hashes: 4, slots: 1024 },
]) {
  test(`the error of ${hashes} × ${slots} counters keeps the bound of the count-min sketch`, () => {
    const keys = 2000;
    const random = seededRandom(hashes * slots);
    const estimator = new Estimator({ hashes, slots, random });
    const exact = new Float64Array(keys);
    let total = 0;
    for (let rank = 0; rank < keys; rank++) {
      // Zipf's law, as requests by client have it.
      const count = Math.ceil(50_000 / (rank + 1));
      exact[rank] = count;
      total += count;
      estimator.increment(`client ${rank}`, count);
    }
    const bound = (Math.E / slots) * total;
    let beyond = 0;
    for (let rank = 0; rank < keys; rank++) {
      const error = estimator.estimate(`client ${rank}`) - (exact[rank] as number);
      assert.ok(error >= 0);
      if (error > bound) beyond++;
    }
    assert.ok(beyond / keys <= Math.exp(-hashes), `${beyond} of ${keys} are off by more than ${bound.toFixed(0)}`);
  });
}
