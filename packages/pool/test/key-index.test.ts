import assert from 'node:assert/strict';
import { test } from 'node:test';
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

test('with many keys in use, as many empty ones are kept', () => {
  const index = new KeyIndex<object>(0);
  const entries = Array.from({ length: 1000 }, (_, i) => append(index, `${i}`));
  for (const [i, entry] of entries.entries()) {
    remove(index, entry);
    const inUse = 999 - i;
    assert.ok(index.size <= 2 * inUse + 17, `${index.size} keys, ${inUse} in use`);
  }
});

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

test('a pool forgets the keys that nobody uses', (t) => {
  const { pool } = world();
  const forget = t.mock.method(Map.prototype, 'delete');
  for (let i = 0; i < 100; i++) {
    pool.put(`peer ${i}`, thing('a'));
    pool.take(`peer ${i}`);
  }
  const forgotten = new Set(forget.mock.calls.map(({ arguments: [key] }) => key as unknown));
  assert.ok(Array.from({ length: 80 }, (_, i) => `peer ${i}`).every((key) => forgotten.has(key)));
});
