import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import { IdlePool } from '../src/index.ts';
import { AgeList } from '../src/internal/age-list.ts';
import { IdleEntry } from '../src/internal/idle-entry.ts';
import { KeyIndex } from '../src/internal/key-index.ts';

function append(index: KeyIndex<number>, key: string): IdleEntry<number> {
  const siblings = index.forAppend(key);
  const entry = new IdleEntry({ key, item: 0, order: 0, expiresAt: 0, siblings, ages: new AgeList<number>() });
  siblings.append(entry);
  return entry;
}

function remove(index: KeyIndex<number>, entry: IdleEntry<number>): void {
  entry.siblings?.remove(entry);
  if (entry.siblings?.length === 0) index.noteEmptied();
}

test('the list of a key that has run empty is used again', () => {
  const index = new KeyIndex<number>();
  const first = append(index, 'k');
  const list = index.find('k');
  remove(index, first);
  append(index, 'k');
  assert.equal(index.find('k'), list);
  assert.equal(index.size, 1);
});

test('keys that nobody uses any more do not pile up', () => {
  const index = new KeyIndex<number>();
  const kept = [append(index, 'a'), append(index, 'b')];
  for (let i = 0; i < 1000; i++) {
    remove(index, append(index, `peer ${i}`));
    assert.ok(index.size <= 2 * 2 + 17, `${index.size} keys`);
  }
  for (const entry of kept) assert.equal(index.find(entry.key)?.length, 1);
});

test('with many keys in use, as many empty ones are kept', () => {
  const index = new KeyIndex<number>();
  const entries = Array.from({ length: 1000 }, (_, i) => append(index, `${i}`));
  for (const [i, entry] of entries.entries()) {
    remove(index, entry);
    const inUse = 999 - i;
    assert.ok(index.size <= 2 * inUse + 17, `${index.size} keys, ${inUse} in use`);
  }
});

test('a pool drained of many keys can be asked for any of them', () => {
  const pool = new IdlePool<number>({ deadlines: new DeadlineQueue({ clock: new ManualClock() }) });
  for (let i = 0; i < 100; i++) pool.put(`${i}`, i);
  pool.drain();
  for (let i = 0; i < 100; i++) assert.deepEqual([pool.sizeOf(`${i}`), pool.take(`${i}`)], [0, undefined]);
});
