import assert from 'node:assert/strict';
import { test } from 'node:test';
import { throwCollected } from '../src/index.ts';

test('nothing is thrown when nothing was, one error as it is, and several together in their order', () => {
  throwCollected([], 'none');
  const [a, b] = [new Error('a'), new Error('b')];
  assert.throws(
    () => throwCollected([a], 'one'),
    (thrown) => thrown === a,
  );
  assert.throws(
    () => throwCollected([b, a], 'two threw'),
    (thrown) => thrown instanceof AggregateError && thrown.message === 'two threw' && thrown.errors[0] === b && thrown.errors[1] === a,
  );
});

test('a callback may have thrown anything, undefined too', () => {
  assert.throws(
    () => throwCollected([undefined], 'one'),
    (thrown) => thrown === undefined,
  );
});
