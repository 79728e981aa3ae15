import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { Lru, type LruEntry, type LruOptions } from '../src/index.ts';

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
  copy.load(...shardsOf(cache));
  assert.equal(copy.size, 100);
  for (let key = 0; key < 100; key++) assert.equal(copy.peek(key), key);
});

/** All shards of a cache, each saved on its own. */
function shardsOf<K, V>(cache: Lru<K, V>): LruEntry<K, V>[][] {
  return Array.from({ length: cache.shardCount }, (_, shard) => cache.save(shard));
}

const copies: readonly [string, number, number, (copy: Lru<string, number>, cache: Lru<string, number>) => void][] = [
  ['saved whole', 16, 16_000, (copy, cache) => copy.load(cache.save())],
  ['saved shard by shard', 16, 16_000, (copy, cache) => copy.load(...shardsOf(cache))],
  ['loaded into fewer shards', 5, 16_000, (copy, cache) => copy.load(cache.save())],
  ['loaded into half the room', 16, 8000, (copy, cache) => copy.load(cache.save())],
  ['loaded into one shard', 1, 8000, (copy, cache) => copy.load(...shardsOf(cache))],
];

for (const [name, shards, maxCount, load] of copies) {
  test(`what was used last is still there after saving, loading and much that is new: ${name}`, () => {
    const cache = new Lru<string, number>({ maxCount: 16_000, shards: 16, random: seededRandom(1) });
    for (let index = 0; index < 16_000; index++) cache.set(`key ${index}`, index);
    const hot = Array.from({ length: 1000 }, (_, index) => `key ${index * 3}`);
    for (const key of hot) cache.set(key, 0);

    const copy = new Lru<string, number>({ maxCount, shards, random: seededRandom(2) });
    load(copy, cache);
    assert.equal(copy.size, maxCount);
    assert.equal(copy.evictedCount, 0);
    for (let index = 0; index < maxCount / 2; index++) copy.set(`new ${index}`, index);
    const kept = hot.filter((key) => copy.has(key)).length;
    assert.ok(kept >= 995, `${kept} of 1000`);
  });
}

test('shards of different lengths are merged by how far down an entry is', () => {
  const cache = new Lru<number, null>({ maxCount: 100, shards: 2, shardOf: (key) => key });
  for (const key of [1, 3, 0, 2, 4, 6, 8, 10]) cache.admit(key, null);
  const merged = [10, 8, 3, 6, 4, 2, 1, 0];
  assert.deepEqual(
    cache.save().map(({ key }) => key),
    merged,
  );
  const copy = new Lru<number, null>({ maxCount: 100 });
  copy.load(...shardsOf(cache));
  assert.deepEqual(copy.save(), cache.save());
});

test('loading keeps the limits: the most recent of what was saved comes in, and nothing is evicted', () => {
  const cache = new Lru<number, null>({ maxCount: 100 });
  for (let key = 0; key < 100; key++) cache.set(key, null);
  const smaller = new Lru<number, null>({ maxCount: 10 });
  smaller.load(cache);
  assert.deepEqual(
    smaller.save().map(({ key }) => key),
    [99, 98, 97, 96, 95, 94, 93, 92, 91, 90],
  );
  assert.equal(smaller.evictedCount, 0);
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

test('an entry that is heavier than the limit is passed over, and nothing leaves for it', () => {
  const cache = new Lru<string, null>({ maxWeight: 10 });
  cache.load([
    { key: 'far too heavy', value: null, weight: 20 },
    { key: 'a', value: null, weight: 5 },
    { key: 'heavier by one', value: null, weight: 11 },
    { key: 'b', value: null, weight: 5 },
  ]);
  assert.deepEqual(
    cache.save().map(({ key }) => key),
    ['a', 'b'],
  );

  const live = new Lru<number, null>({ maxWeight: 200, shards: 16, random: seededRandom(1) });
  for (let key = 0; key < 100; key++) live.set(key, null);
  live.load([
    { key: -1, value: null, weight: 1000 },
    { key: -2, value: null, weight: 100 },
  ]);
  assert.deepEqual([live.size, live.has(-1), live.has(-2), live.evictedCount], [101, false, true, 0]);
});

test('loading ends with the first entry for which there is no room, as what follows has been used less recently', () => {
  const cache = new Lru<string, null>({ maxWeight: 10 });
  cache.load([
    { key: 'a', value: null, weight: 6 },
    { key: 'b', value: null, weight: 5 },
    { key: 'c', value: null, weight: 1 },
  ]);
  assert.deepEqual(
    cache.save().map(({ key }) => key),
    ['a'],
  );
});

const endless: readonly [string, LruOptions<number>, number][] = [
  ['by count', { maxCount: 20, shards: 2 }, 20],
  ['by count, in one of several shards', { maxCount: 4, shards: 2, shardOf: () => 0 }, 4],
  ['by weight, which is used up', { maxWeight: 40, shards: 2 }, 20],
  ['by weight, of which too little is left', { maxWeight: 41 }, 21],
  ['by weight, with heavy entries among the light', { maxWeight: 2 }, 1],
];

for (const [name, options, expected] of endless) {
  test(`loading from an endless source ends when the limit is reached: ${name}`, () => {
    const cache = new Lru<number, null>({ random: seededRandom(1), ...options });
    let read = 0;
    const source = (function* numbers(): Generator<LruEntry<number, null>, undefined> {
      for (;;) {
        assert.ok(read < 1000, 'it goes on reading');
        yield { key: read++, value: null, weight: 2 };
      }
    })();
    cache.load(source);
    assert.equal(read, expected);
    assert.equal(cache.evictedCount, 0);
    assert.equal(source.next().done, true, 'the source has been told');
  });
}

test('a cache at its limits reads nothing, and keeps what it has', () => {
  const cache = new Lru<number, null>({ maxCount: 3 });
  for (const key of [1, 2, 3]) cache.set(key, null);
  cache.admit(4, null);
  cache.load({
    [Symbol.iterator]() {
      throw new Error('read');
    },
  });
  assert.equal(cache.size, 4);
});

test('loading nothing changes nothing', () => {
  const cache = new Lru<number, null>({ maxCount: 3, shards: 2, random: seededRandom(1) });
  cache.load();
  cache.load([], []);
  cache.load(cache.save());
  assert.deepEqual(cache.save(), []);
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
