import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultBuckets, exponentialBuckets, linearBuckets, MetricRegistry } from '@ferrata/metrics';

test('linear buckets are one width apart, and read as they were meant', () => {
  assert.deepEqual(linearBuckets(0.1, 0.1, 7), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
  assert.deepEqual(linearBuckets(-10, 5, 3), [-10, -5, 0]);
});

test('exponential buckets are one factor apart', () => {
  assert.deepEqual(exponentialBuckets(1, 2, 5), [1, 2, 4, 8, 16]);
  assert.deepEqual(exponentialBuckets(0.001, 10, 4), [0.001, 0.01, 0.1, 1]);
});

test('the default buckets are those of a duration in seconds, and cannot be changed', () => {
  const [metric] = snapshotOfDefault();
  assert.deepEqual(metric?.type === 'histogram' && metric.buckets, [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]);
  assert.ok(Object.isFrozen(defaultBuckets));
});

function snapshotOfDefault(): ReturnType<MetricRegistry['snapshot']> {
  const registry = new MetricRegistry();
  registry.histogram('duration_seconds', { help: 'x' });
  return registry.snapshot();
}

test('nonsense is a RangeError that names the argument', () => {
  assert.throws(() => linearBuckets(Number.NaN, 1, 1), { name: 'RangeError', message: /^start / });
  assert.throws(() => linearBuckets(0, 0, 1), { name: 'RangeError', message: /^width / });
  assert.throws(() => linearBuckets(0, 1, 0), { name: 'RangeError', message: /^count / });
  assert.throws(() => linearBuckets(0, 1, 513), { name: 'RangeError', message: /^count / });
  assert.throws(() => linearBuckets(1e300, 1, 2), { name: 'RangeError', message: /^width 1 is too small beside start 1e\+300: / });
  assert.throws(() => linearBuckets(2 ** 53, 1, 2), {
    name: 'RangeError',
    message: /^width 1 is too small beside start 9007199254740992: /,
  });
  assert.throws(() => linearBuckets(0, Number.MAX_VALUE, 3), { name: 'RangeError', message: /^bound 2 of 3 would be Infinity/ });
  assert.throws(() => exponentialBuckets(0, 2, 1), { name: 'RangeError', message: /^start / });
  assert.throws(() => exponentialBuckets(1, 1, 1), { name: 'RangeError', message: /^factor / });
  assert.throws(() => exponentialBuckets(1, 2, 1.5), { name: 'RangeError', message: /^count / });
  assert.throws(() => exponentialBuckets(1, 1e300, 3), { name: 'RangeError', message: /must be finite/ });
  assert.throws(() => exponentialBuckets(1, 1 + Number.EPSILON, 2), {
    name: 'RangeError',
    message: 'factor 1.0000000000000002 is too close to 1: bounds are rounded to 15 digits, and two of them would be 1',
  });
  const registry = new MetricRegistry();
  for (const buckets of [[], [1, 1], [2, 1], [Number.NaN], [1, Infinity]]) {
    assert.throws(() => registry.histogram('size', { help: 'x', buckets }), RangeError);
  }
});
