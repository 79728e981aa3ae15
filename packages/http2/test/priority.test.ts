/** Priority signals (RFC 9218 §4, §5; RFC 9651 §4.2.2). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_PRIORITY, formatPriority, isIncremental, isSequential, packPriority, parsePriority, urgencyOf } from '../src/priority.ts';

const read = (value: string): readonly [number, boolean, boolean] => {
  const priority = parsePriority(value);
  return [urgencyOf(priority), isIncremental(priority), isSequential(priority)];
};

test('urgency and incremental are read wherever they stand in the dictionary (RFC 9218 §4)', () => {
  assert.deepEqual(read('u=0'), [0, false, true]);
  assert.deepEqual(read('u=0, i'), [0, true, false]);
  assert.deepEqual(read('u=1, i'), [1, true, false]);
  assert.deepEqual(read('u=3, i'), [3, true, false]);
  assert.deepEqual(read('i'), [3, true, false]);
  assert.deepEqual(read('i=?1,u=7'), [7, true, false]);
  assert.deepEqual(read('i=?0'), [3, false, true]);
  assert.deepEqual(read('  u=5 \t,\t i '), [5, true, false]);
  assert.deepEqual(read('u=5;a=b;c, i;d="x,y"'), [5, true, false]);
  assert.deepEqual(read('u=-0'), [0, false, true]);
  assert.deepEqual(read('u=007'), [7, false, true]);
});

test('of members with one name the last counts (RFC 9651 §4.2.2)', () => {
  assert.deepEqual(read('u=1, u=6'), [6, false, true]);
  assert.deepEqual(read('i, i=?0'), [3, false, true]);
});

test('unknown members, and known ones of other types or out of range, are ignored (RFC 9218 §4)', () => {
  for (const other of [
    'a',
    'a=1',
    'a=1.5',
    'a="u=0, i"',
    'a="\\"u=0"',
    'a=tok/en:',
    'a=:Zm9v:',
    'a=@1659578233',
    'a=%"f%c3%bc"',
    'a=("u=0" b;x=1 3)',
    'a=()',
    '*a.b-c_d=?0',
  ]) {
    assert.deepEqual(read(`${other}, u=2`), [2, false, true], other);
    assert.deepEqual(read(`u=2, ${other}`), [2, false, true], other);
    assert.equal(parsePriority(other), DEFAULT_PRIORITY, other);
  }
  for (const bad of ['u=8', 'u=-1', 'u=3.0', 'u="1"', 'u', 'u=(1)', 'u=?1', 'i=1', 'i="?1"', 'i=()']) {
    assert.equal(parsePriority(bad), DEFAULT_PRIORITY, bad);
  }
});

test('a malformed dictionary says nothing at all (RFC 9218 §4, §5)', () => {
  for (const bad of [
    '',
    ',',
    'u=1,',
    'u=1,,i',
    'u=1 i',
    'U=1',
    'u=',
    'u= 1',
    'u =1',
    'u=1, a="',
    'u=1, a="\x01"',
    'u=1, a=(',
    'u=1, a=(1 2',
    'u=1, a=(1,2)',
    'u=1, a=("a""b")',
    'u=1;',
    'u=1;A',
    'u=1, a=:x',
    'u=1, a=?2',
    'u=1, a=%"%C3"',
    '\tu=1',
    'u=1\n',
    'u=1, \xe4',
  ]) {
    assert.equal(parsePriority(bad), DEFAULT_PRIORITY, JSON.stringify(bad));
  }
});

test('what is written is read as the same, and only the defaults are left out (RFC 9218 §5)', () => {
  for (let urgency = 0; urgency < 8; urgency++) {
    for (const incremental of [false, true]) {
      const packed = packPriority(urgency, incremental);
      const again = parsePriority(formatPriority(packed));
      assert.deepEqual([urgencyOf(again), isIncremental(again)], [urgency, incremental]);
    }
  }
  assert.equal(formatPriority(DEFAULT_PRIORITY), '');
  for (const urgency of [-1, 8, 1.5, Number.NaN]) assert.throws(() => packPriority(urgency, false), RangeError);
});

test('any text is a priority, in time linear in its length', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ui=,; ?01"():@%.a\\\t'.split('')), maxLength: 40 }), (text) => {
      const priority = parsePriority(text);
      assert.ok(urgencyOf(priority) >= 0 && urgencyOf(priority) <= 7);
    }),
    { numRuns: 2_000, seed: 9218 },
  );
  const long = `a="${'\\"'.repeat(200_000)}`;
  assert.equal(parsePriority(long), DEFAULT_PRIORITY);
  assert.equal(urgencyOf(parsePriority(`u=1${', a'.repeat(100_000)}`)), 1);
});
