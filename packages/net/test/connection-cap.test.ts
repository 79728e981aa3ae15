import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConnectionCap } from '../src/index.ts';

describe('ConnectionCap', () => {
  test('gives as many places as it has, and again those that came back', () => {
    const cap = new ConnectionCap(2);
    assert.deepEqual([cap.tryTake(), cap.tryTake(), cap.tryTake()], [true, true, false]);
    assert.equal(cap.count, 2);
    cap.release();
    assert.equal(cap.tryTake(), true);
  });

  test('a lower ceiling gives no places until enough came back', () => {
    const cap = new ConnectionCap(3);
    cap.tryTake();
    cap.tryTake();
    cap.max = 1;
    assert.equal(cap.max, 1);
    cap.release();
    assert.equal(cap.tryTake(), false);
    cap.release();
    assert.equal(cap.tryTake(), true);
  });

  test('a place given back that nobody took is a bug', () => {
    assert.throws(() => new ConnectionCap(1).release(), RangeError);
  });

  test('the ceiling is a whole number ≥ 0 or Infinity', () => {
    for (const max of [-1, 1.5, Number.NaN, -Infinity]) assert.throws(() => new ConnectionCap(max), RangeError);
    assert.equal(new ConnectionCap(0).tryTake(), false);
    assert.equal(new ConnectionCap(Infinity).tryTake(), true);
  });
});
