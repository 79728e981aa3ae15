import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { IdleEntry } from '../src/internal/idle-entry.ts';
import { KeyIndex } from '../src/internal/key-index.ts';
import { takeNames, thing, world } from './fixtures/world.ts';

function append(index: KeyIndex<object>, key: string): IdleEntry<object> {
  const entry = new IdleEntry<object>({}, { evict: () => {} });
  entry.key = key;
  entry.siblings = index.forAppend(key, null);
  entry.siblings.append(entry);
  return entry;
}

function remove(index: KeyIndex<object>, entry: IdleEntry<object>): void {
  entry.siblings?.remove(entry);
  if (entry.siblings?.length === 0) index.noteEmptied();
}

test('the list of a key that has run empty is used again', () => {
  const index = new KeyIndex<object>(0);
  const first = append(index, 'k');
  const list = index.find('k');
  remove(index, first);
  append(index, 'k');
  assert.equal(index.find('k'), list);
  assert.equal(index.size, 1);
});

test('keys that nobody uses any more do not pile up', () => {
  const index = new KeyIndex<object>(0);
  const kept = [append(index, 'a'), append(index, 'b')];
  for (let i = 0; i < 1000; i++) {
    remove(index, append(index, `peer ${i}`));
    assert.ok(index.size <= 2 * 2 + 17, `${index.size} keys`);
  }
  for (const entry of kept) assert.equal(index.find(entry.key)?.length, 1);
});

for (const [order, sorted] of [
  ['in their order', (entries: readonly IdleEntry<object>[]) => entries],
  ['the last first', (entries: readonly IdleEntry<object>[]) => entries.toReversed()],
] as const) {
  test(`many keys that run empty ${order} are forgotten a few at a time, and all in the end`, () => {
    const count = 5000;
    const index = new KeyIndex<object>(0);
    const entries = Array.from({ length: count }, (_, i) => append(index, `${i}`));
    for (const [i, entry] of sorted(entries).entries()) {
      const before = index.size;
      remove(index, entry);
      assert.ok(before - index.size <= 8, `${before - index.size} keys at once`);
      // Where the sweep meets those in use first, it has to pass them.
      assert.ok(index.size <= 2 * (count - i) + 17 + count / 4, `${index.size} keys, ${count - i} in use`);
    }
    for (let i = 0; i < count / 8; i++) remove(index, append(index, 'one'));
    assert.ok(index.size <= 17, `${index.size} keys are left`);
  });
}

test('a list that the index has forgotten is not used again', () => {
  const { pool } = world();
  const things = Array.from({ length: 100 }, (_, i) => thing(`${i}`));
  for (const [i, one] of things.entries()) {
    pool.put(`${i}`, one);
    pool.take(`${i}`);
  }
  for (const [i, one] of things.entries()) pool.put(`${i}`, one);
  for (const [i, one] of things.entries()) assert.deepEqual([pool.sizeOf(`${i}`), pool.take(`${i}`)], [1, one]);
});

test('a pool drained of many keys can be asked for any of them', () => {
  const { pool } = world();
  for (let i = 0; i < 100; i++) pool.put(`${i}`, thing('a'));
  pool.drain();
  for (let i = 0; i < 100; i++) assert.deepEqual([pool.sizeOf(`${i}`), takeNames(pool, `${i}`, 1)], [0, '-']);
});

test('a pool forgets the keys that nobody uses, and the memory they took', () => {
  const { pool } = world();
  const before = heapUsed();
  for (let i = 0; i < 10_000; i++) {
    // A text of its own, 2 KB: 20 MB of them in all.
    const key = Buffer.alloc(2000, `peer ${i} `).toString('latin1');
    pool.put(key, thing('a'));
    pool.take(key);
  }
  const kept = heapUsed() - before;
  assert.equal(pool.size, 0);
  assert.ok(kept < 5_000_000, `${kept} bytes`);
});

function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
