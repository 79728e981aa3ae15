import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { FrequencySketch } from '../src/internal/frequency-sketch.ts';

const hash = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));

test('an estimate is never below the true count, nor above all counts together', () => {
  fc.assert(
    fc.property(fc.array(hash, { maxLength: 250 }), fc.integer({ min: 0, max: 4000 }), (hashes, counters) => {
      const sketch = new FrequencySketch(counters, Infinity);
      const counts = new Map<number, number>();
      for (const one of hashes) {
        const count = (counts.get(one) ?? 0) + 1;
        counts.set(one, count);
        assert.ok(sketch.estimate(one) >= count - 1);
        assert.equal(sketch.increment(one), sketch.estimate(one));
      }
      for (const [one, count] of counts) {
        const estimate = sketch.estimate(one);
        assert.ok(estimate >= count && estimate <= hashes.length);
      }
    }),
  );
});

test('a count ends at 255', () => {
  const sketch = new FrequencySketch(64, Infinity);
  for (let time = 1; time <= 255; time++) assert.equal(sketch.increment(9), time);
  assert.equal(sketch.increment(9), 255);
  assert.equal(sketch.estimate(9), 255);
});

test('after as many increments as it was told all counts are halved, before the next one counts', () => {
  const sketch = new FrequencySketch(64 * 16, 8);
  // Low bits apart: each has a block of its own.
  for (const one of [1, 1, 1, 2, 2, 3, 3, 3]) sketch.increment(one);
  assert.deepEqual([sketch.estimate(1), sketch.estimate(2), sketch.estimate(3)], [3, 2, 3]);
  assert.equal(sketch.increment(3), 2);
  assert.deepEqual([sketch.estimate(1), sketch.estimate(2), sketch.estimate(3)], [1, 1, 2]);
  for (let time = 0; time < 7; time++) sketch.increment(4);
  assert.equal(sketch.estimate(3), 2);
  sketch.increment(5);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((one) => sketch.estimate(one)),
    [0, 0, 1, 3, 1],
  );
});

test('halving rounds each count down, and lets none touch its neighbours', () => {
  fc.assert(
    fc.property(fc.array(hash, { minLength: 1, maxLength: 250 }), (hashes) => {
      // Two blocks: these keys share one, and what sets the halving off has the other.
      const even = hashes.map((one) => one & ~1);
      const sketch = new FrequencySketch(128, even.length);
      for (const one of even) sketch.increment(one);
      const before = even.map((one) => sketch.estimate(one));
      sketch.increment(1);
      const after = even.map((one) => sketch.estimate(one));
      assert.deepEqual(
        after,
        before.map((estimate) => estimate >> 1),
      );
    }),
  );
});

test('a cleared sketch knows nothing, not even when it would have halved', () => {
  const sketch = new FrequencySketch(64, 4);
  for (const one of [1, 1, 1]) sketch.increment(one);
  sketch.clear();
  assert.equal(sketch.estimate(1), 0);
  for (let time = 1; time <= 4; time++) assert.equal(sketch.increment(1), time);
  assert.equal(sketch.increment(1), 3);
});

test('with 16 counters for each of its keys almost all estimates are exact', () => {
  const keys = 10_000;
  const sketch = new FrequencySketch(16 * keys, Infinity);
  const random = seededRandom(5);
  const hashes = Array.from({ length: keys }, () => random.uint32() | 0);
  for (const one of hashes) sketch.increment(one);
  const wrong = hashes.filter((one) => sketch.estimate(one) !== 1).length;
  assert.ok(wrong < keys * 0.02, `${wrong} of ${keys} are wrong`);
});
