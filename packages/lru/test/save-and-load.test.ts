import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { Lru, type LruEntry } from '../src/index.ts';

test('what was saved is loaded in the same order, and goes on where it was', () => {
  const cache = new Lru<string, number>({ maxWeight: 10 });
  for (const [index, key] of ['a', 'b', 'c'].entries()) cache.set(key, index, index + 1);
  cache.get('a');
  const saved = JSON.stringify(cache.save());

  const copy = new Lru<string, number>({ maxWeight: 10 });
  copy.load(JSON.parse(saved) as LruEntry<string, number>[]);
  assert.deepEqual(copy.save(), cache.save());
  copy.set('d', 3, 5);
  assert.deepEqual(
    copy.save().map(({ key }) => key),
    ['d', 'a', 'c'],
  );
});

test('a cache saved shard by shard may be loaded into one with other shards', () => {
  const cache = new Lru<number, number>({ maxCount: 100, shards: 4, random: seededRandom(1) });
  for (let key = 0; key < 100; key++) cache.set(key, key);
  const copy = new Lru<number, number>({ maxCount: 100, shards: 7, random: seededRandom(2) });
  for (let shard = 0; shard < cache.shardCount; shard++) copy.load(cache.save(shard));
  assert.equal(copy.size, 100);
  for (let key = 0; key < 100; key++) assert.equal(copy.peek(key), key);
});

test('loading keeps the limits: the least recent of what was saved leaves', () => {
  const cache = new Lru<number, null>({ maxCount: 100 });
  for (let key = 0; key < 100; key++) cache.set(key, null);
  const smaller = new Lru<number, null>({ maxCount: 10 });
  smaller.load(cache);
  assert.deepEqual(
    smaller.save().map(({ key }) => key),
    [99, 98, 97, 96, 95, 94, 93, 92, 91, 90],
  );
  assert.equal(smaller.evictedCount, 1, 'the first that did not fit was the last to come');
});

test('what is there already stays, with its value and in front', () => {
  const cache = new Lru<string, string>({ maxCount: 3 });
  cache.set('a', 'new');
  cache.load([
    { key: 'b', value: 'old', weight: 1 },
    { key: 'a', value: 'old', weight: 1 },
    { key: 'c', value: 'old', weight: 1 },
    { key: 'd', value: 'old', weight: 1 },
  ]);
  assert.deepEqual(
    cache.save().map(({ key, value }) => `${key} ${value}`),
    ['a new', 'b old', 'c old'],
  );
});

test('loading ends when nothing more would stay', () => {
  const cache = new Lru<number, null>({ maxCount: 20, shards: 2, random: seededRandom(1) });
  let read = 0;
  cache.load(
    (function* endless() {
      for (;;) yield { key: read++, value: null, weight: 1 };
    })(),
  );
  assert.equal(cache.size, 20);
  assert.ok(read > 20 && read < 100, `${read}`);
});

test('a bad weight ends the loading; the entries before it are loaded', () => {
  const cache = new Lru<string, string>({ maxCount: 3 });
  const entries = [
    { key: 'a', value: '', weight: 1 },
    { key: 'b', value: '', weight: 0 },
    { key: 'c', value: '', weight: 1 },
  ];
  assert.throws(() => cache.load(entries), { name: 'RangeError', message: /^weight must be/ });
  assert.deepEqual([cache.has('a'), cache.has('b'), cache.has('c')], [true, false, false]);
});
