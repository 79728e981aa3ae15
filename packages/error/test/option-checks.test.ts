import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNumber, checkWholeNumber } from '@ferrata/error';

test('a whole number within its range is returned', () => {
  assert.equal(checkWholeNumber('size', 0), 0);
  assert.equal(checkWholeNumber('size', 1, { min: 1, max: 1 }), 1);
  assert.equal(checkWholeNumber('size', Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  assert.equal(checkWholeNumber('size', Infinity, { max: Infinity }), Infinity);
});

test('what is no whole number within its range is refused by name, range and value', () => {
  const refused = (value: unknown, range: Parameters<typeof checkWholeNumber>[2], message: string): void =>
    assert.throws(() => checkWholeNumber('size', value as number, range), { name: 'RangeError', message });
  refused(-1, undefined, 'size must be a whole number, 0 or more, not -1');
  refused(Number.NaN, { min: 1 }, 'size must be a whole number, 1 or more, not NaN');
  refused(1.5, { min: 1, max: 9 }, 'size must be a whole number from 1 to 9, not 1.5');
  refused(10, { min: 1, max: 9 }, 'size must be a whole number from 1 to 9, not 10');
  refused(Infinity, undefined, 'size must be a whole number, 0 or more, not Infinity');
  refused(-Infinity, { max: Infinity }, 'size must be a whole number, 0 or more, or Infinity, not -Infinity');
  refused('5', undefined, 'size must be a whole number, 0 or more, not 5');
  refused(undefined, undefined, 'size must be a whole number, 0 or more, not undefined');
});

test('a number within its range is returned', () => {
  assert.equal(checkNumber('delayMs', 0.5, { above: 0 }), 0.5);
  assert.equal(checkNumber('delayMs', 0, { min: 0, max: 1 }), 0);
  assert.equal(checkNumber('delayMs', Infinity, { min: 0 }), Infinity);
  assert.equal(checkNumber('delayMs', -Infinity), -Infinity);
});

test('what is no number within its range is refused by name, range and value', () => {
  const refused = (value: unknown, range: Parameters<typeof checkNumber>[2], message: string): void =>
    assert.throws(() => checkNumber('delayMs', value as number, range), { name: 'RangeError', message });
  refused(0, { above: 0 }, 'delayMs must be above 0, not 0');
  refused(2, { above: 0, max: 1 }, 'delayMs must be above 0 and at most 1, not 2');
  refused(-1, { min: 0 }, 'delayMs must be at least 0, not -1');
  refused(2, { min: 0, max: 1 }, 'delayMs must be 0 to 1, not 2');
  refused(2, { max: 1 }, 'delayMs must be at most 1, not 2');
  refused(Number.NaN, {}, 'delayMs must be a number, not NaN');
  refused('1', {}, 'delayMs must be a number, not 1');
});
