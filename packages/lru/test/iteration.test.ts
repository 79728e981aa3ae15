/** Iteration while the cache changes under it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lru } from '../src/index.ts';

function filled(...keys: readonly string[]): Lru<string, string> {
  const cache = new Lru<string, string>({ maxCount: 100 });
  for (const key of keys) cache.admit(key, `${key}0`);
  return cache;
}

/** Visits all entries and does something at one of them. */
function keysVisited(cache: Lru<string, string>, at: string, change: () => void): string {
  let keys = '';
  for (const { key } of cache) {
    keys += key;
    if (key === at) change();
  }
  return keys;
}

test('an entry promoted before its turn is visited once, in its old place', () => {
  const cache = filled('a', 'b', 'c', 'd');
  assert.equal(
    keysVisited(cache, 'c', () => cache.promote('a')),
    'dcba',
  );
  assert.deepEqual(
    cache
      .save()
      .map(({ key }) => key)
      .join(''),
    'adcb',
  );
});

test('an entry promoted after its turn is not visited again', () => {
  const cache = filled('a', 'b', 'c', 'd');
  assert.equal(
    keysVisited(cache, 'b', () => cache.get('d')),
    'dcba',
  );
});

test('promoting every entry as it is visited visits each once', () => {
  const cache = filled('a', 'b', 'c');
  let keys = '';
  for (const { key } of cache) {
    keys += key;
    cache.promote(key);
  }
  assert.equal(keys, 'cba');
});

test('an entry removed or evicted before its turn is not visited', () => {
  const cache = filled('a', 'b', 'c', 'd');
  assert.equal(
    keysVisited(cache, 'd', () => {
      cache.remove('c');
      cache.evictShard();
    }),
    'db',
  );
});

test('the entry being visited may be removed', () => {
  const cache = filled('a', 'b', 'c');
  for (const { key } of cache) cache.remove(key);
  assert.equal(cache.size, 0);
});

test('an entry that came in a slot given back is not taken for the one that left', () => {
  const cache = filled('a', 'b', 'c');
  assert.equal(
    keysVisited(cache, 'c', () => {
      cache.remove('a');
      cache.admit('x', 'in the slot of a');
    }),
    'cb',
  );
  assert.equal(cache.has('x'), true);
});

test('a key removed and admitted again is another entry, and not visited', () => {
  const cache = filled('a', 'b', 'c');
  assert.equal(
    keysVisited(cache, 'c', () => {
      cache.remove('b');
      cache.admit('b', 'again');
    }),
    'ca',
  );
});

test('value and weight are those of the moment of the visit', () => {
  const cache = filled('a', 'b');
  const entries = cache.entries();
  assert.deepEqual(entries.next().value, { key: 'b', value: 'b0', weight: 1 });
  cache.admit('a', 'a1', 7);
  assert.deepEqual([...entries], [{ key: 'a', value: 'a1', weight: 7 }]);
});

test('an iteration goes on while the arrays grow', () => {
  const cache = filled('a', 'b');
  const keys: string[] = [];
  cache.forEach((_value, key) => {
    keys.push(key);
    for (let index = 0; index < 90; index++) cache.admit(`${key}${index}`, '');
  });
  assert.deepEqual(keys, ['b', 'a']);
});

test('iterations in one another do not disturb each other', () => {
  const cache = filled('a', 'b', 'c');
  const pairs: string[] = [];
  for (const outer of cache) {
    for (const inner of cache) pairs.push(outer.key + inner.key);
    cache.admit(`${outer.key}!`, '');
    cache.remove(`${outer.key}!`);
  }
  assert.deepEqual(pairs, ['cc', 'cb', 'ca', 'bc', 'bb', 'ba', 'ac', 'ab', 'aa']);
});

test('an iteration from before a clear finds nothing of what came after it, also when another one has begun since', () => {
  const cache = filled('a', 'b');
  const before = cache.entries();
  before.next();
  cache.clear();
  cache.admit('c', '');
  cache.admit('d', '');
  assert.deepEqual(
    Array.from(cache, ({ key }) => key),
    ['d', 'c'],
  );
  assert.deepEqual([...before], []);
});

test('a shard is listed when its turn comes, not before', () => {
  const cache = new Lru<number, null>({ maxCount: 100, shards: 2, shardOf: (key) => key });
  for (const key of [1, 2]) cache.admit(key, null);
  const entries = cache.entries();
  assert.deepEqual(entries.next().value, { key: 2, value: null, weight: 1 });
  cache.admit(4, null);
  cache.admit(3, null);
  assert.deepEqual(
    Array.from(entries, ({ key }) => key),
    [3, 1],
  );
});

test('forEach gives what entries gives, without making entries', () => {
  const cache = new Lru<number, string>({ maxCount: 100, shards: 3, shardOf: (key) => key });
  for (let key = 0; key < 9; key++) cache.admit(key, `value ${key}`, key + 1);
  for (const shard of [undefined, 0, 1, 2]) {
    const visited: unknown[] = [];
    cache.forEach((value, key, weight) => visited.push({ key, value, weight }), shard);
    assert.deepEqual(visited, [...cache.entries(shard)]);
  }
});

test('forEach leaves out what its visitor removes, and is over when the visitor throws', () => {
  const cache = filled('a', 'b', 'c');
  const keys: string[] = [];
  cache.forEach((_value, key) => {
    keys.push(key);
    cache.remove('b');
  });
  assert.deepEqual(keys, ['c', 'a']);
  assert.throws(
    () =>
      cache.forEach(() => {
        throw new Error('enough');
      }),
    /enough/,
  );
  assert.equal(cache.size, 2);
});
