import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { median, medianRatio, percentile, spread } from '../src/statistics.ts';

test('the median is the middle sample, or the mean of the two in the middle', () => {
  assert.equal(median([5]), 5);
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([1, 100, 3, 2]), 2.5);
});

test('one disturbed sample does not move the median beyond its neighbours', () => {
  const samples = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 3, maxLength: 9 });
  fc.assert(
    fc.property(samples, (quiet) => {
      const disturbed = median([...quiet, 1e9]);
      assert.ok(disturbed <= Math.max(...quiet) && disturbed >= median(quiet));
    }),
  );
});

test('the spread is the distance of the extremes as a share of the median', () => {
  assert.equal(spread([10, 10, 10]), 0);
  assert.equal(spread([9, 10, 12]), 0.3);
  assert.equal(spread([0, 0]), 0);
});

test('what slows a whole round down cancels in the median of ratios', () => {
  assert.equal(medianRatio([2, 20, 4], [1, 10, 2]), 2);
  assert.equal(medianRatio([2, 6], [1, 3, 100]), 2, 'only rounds that both have count');
});

test('a percentile is the smallest sample that so many of them do not exceed', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.deepEqual([percentile(hundred, 0.5), percentile(hundred, 0.99), percentile(hundred, 1)], [50, 99, 100]);
  assert.equal(percentile([7], 0.01), 7);
  assert.throws(() => percentile([], 0.5), RangeError);
  for (const share of [0, -1, 1.1, Number.NaN]) assert.throws(() => percentile([1], share), RangeError);
});

test('no samples have neither a median nor a ratio', () => {
  assert.throws(() => median([]), RangeError);
  assert.throws(() => medianRatio([1], []), RangeError);
});
