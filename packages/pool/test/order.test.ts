/** Which item of a key comes first: `lifo`, `fifo`, and a hot queue in between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { putAll, takeNames, world } from './fixtures/world.ts';

test('the item put last is taken first, unless the order is fifo', () => {
  for (const [order, expected] of [
    ['lifo', 'cba-'],
    ['fifo', 'abc-'],
  ] as const) {
    const { pool } = world({ order });
    putAll(pool, 'k', 'abc');
    assert.equal(takeNames(pool, 'k', 4), expected);
  }
});

test('a hot queue is used in turn, then of the others the newest', () => {
  const { pool } = world({ order: 'fifo', hotCount: 3 });
  putAll(pool, 'k', 'abcdef');
  assert.equal(takeNames(pool, 'k', 7), 'defcba-');
});

test('items that are not needed stay out of the hot queue and grow old', () => {
  const { clock, pool, told } = world({ order: 'fifo', hotCount: 2, idleTimeoutMs: 1000 });
  putAll(pool, 'k', 'abcd');
  let used = '';
  for (let i = 0; i < 6; i++) {
    const item = pool.take('k');
    assert.ok(item);
    used += item.name;
    pool.put('k', item);
    clock.advance(200);
  }
  assert.equal(used, 'cdcdcd');
  assert.deepEqual(told, ['a:idle', 'b:idle']);
});

test('without a limit of the hot queue all are used in turn, and none grows old', () => {
  const { clock, pool, told } = world({ order: 'fifo', idleTimeoutMs: 1000 });
  putAll(pool, 'k', 'abcd');
  let used = '';
  for (let i = 0; i < 8; i++) {
    const item = pool.take('k');
    assert.ok(item);
    used += item.name;
    pool.put('k', item);
    clock.advance(200);
  }
  assert.equal(used, 'abcdabcd');
  assert.deepEqual(told, []);
});

test('items may leave a hot queue anywhere', () => {
  for (const [removed, left] of [
    ['a', 'defcb-'],
    ['c', 'defba-'],
    ['d', 'efcba-'],
    ['e', 'dfcba-'],
    ['f', 'decba-'],
    ['def', 'cba---'],
  ] as const) {
    const { pool } = world({ order: 'fifo', hotCount: 3 });
    const entries = new Map(Array.from('abcdef', (name) => [name, pool.put('k', { name })]));
    for (const name of removed) {
      const entry = entries.get(name);
      assert.ok(entry && pool.remove(entry));
    }
    assert.equal(takeNames(pool, 'k', 6), left, `without ${removed}`);
  }
});

test('a place in the hot queue is filled by the next put, not by an item that has gone cold', () => {
  const { pool } = world({ order: 'fifo', hotCount: 2 });
  putAll(pool, 'k', 'abc');
  assert.equal(takeNames(pool, 'k', 1), 'b');
  putAll(pool, 'k', 'd');
  assert.equal(takeNames(pool, 'k', 4), 'cda-');
});
