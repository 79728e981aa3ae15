import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededRandom } from '@ferrata/clock';
import { Lru, type LruEntry, type LruOptions } from '../src/index.ts';

/** Keys that are their own shard, so that a test can choose it. */
function sharded<V>(shards: number, limits: LruOptions<number>, seed = 1): Lru<number, V> {
  return new Lru<number, V>({ shards, shardOf: (key) => key, random: seededRandom(seed), ...limits });
}

function keysOf<K, V>(entries: Iterable<LruEntry<K, V>>): K[] {
  return Array.from(entries, ({ key }) => key);
}

/** In a function of its own, so that no variable still holds them. */
function setNew(cache: Lru<object, object>): WeakRef<object>[] {
  const [key, value] = [{}, {}];
  cache.set(key, value);
  return [new WeakRef(key), new WeakRef(value)];
}

test('a shard keeps its keys in the order of use, the most recent first', () => {
  const cache = sharded<string>(2, { maxWeight: 10 });
  const shards = [2, 3, 4, 5, 6].map((key) => cache.admit(key, `value ${key}`));
  assert.deepEqual(shards, [0, 1, 0, 1, 0]);
  assert.deepEqual(keysOf(cache.entries(0)), [6, 4, 2]);
  assert.deepEqual(keysOf(cache.entries(1)), [5, 3]);
  assert.deepEqual(keysOf(cache), [6, 4, 2, 5, 3]);
  assert.deepEqual([cache.size, cache.sizeOf(0), cache.sizeOf(1)], [5, 3, 2]);
});

test('admitting again replaces value and weight, and promotes', () => {
  const cache = sharded<string>(2, { maxWeight: 100 });
  for (const key of [2, 4, 6]) cache.admit(key, 'old', 2);
  assert.equal(cache.admit(2, 'new', 5), 0);
  assert.deepEqual([...cache.entries(0)][0], { key: 2, value: 'new', weight: 5 });
  assert.deepEqual(keysOf(cache), [2, 6, 4]);
  assert.deepEqual([cache.size, cache.weight, cache.weightOf(0), cache.weightOf(1)], [3, 9, 9, 0]);
});

test('promote moves a key to the head and tells of an unknown one', () => {
  const cache = sharded<number>(2, { maxWeight: 10 });
  for (const key of [2, 3, 4, 5, 6]) cache.admit(key, key);
  assert.equal(cache.promote(3), true);
  assert.deepEqual(keysOf(cache.entries(1)), [3, 5]);
  assert.equal(cache.promote(4), true);
  assert.deepEqual(keysOf(cache.entries(0)), [4, 6, 2]);
  assert.equal(cache.promote(7), false);
  assert.deepEqual(keysOf(cache), [4, 6, 2, 3, 5]);
});

test('promoteTopN leaves a key among the first n where it is', () => {
  const cache = new Lru<number, null>({ maxCount: 10 });
  for (const key of [1, 2, 3, 4]) cache.admit(key, null);
  assert.equal(cache.promoteTopN(3, 2), true);
  assert.deepEqual(keysOf(cache), [4, 3, 2, 1]);
  assert.equal(cache.promoteTopN(2, 2), true);
  assert.deepEqual(keysOf(cache), [2, 4, 3, 1]);
  assert.equal(cache.promoteTopN(4, 0), true);
  assert.deepEqual(keysOf(cache), [4, 2, 3, 1]);
  assert.equal(cache.promoteTopN(1, 100), true, 'beyond the last is within the first 100');
  assert.deepEqual(keysOf(cache), [4, 2, 3, 1]);
  assert.equal(cache.promoteTopN(9, 2), false);
});

test('evictToLimit takes as many of the least recent as needed and counts them', () => {
  const one = sharded<number>(2, { maxWeight: 14 });
  for (const [key, weight] of [
    [2, 1],
    [3, 3],
    [4, 4],
    [5, 2],
    [6, 6],
  ] as const)
    one.admit(key, key, weight);
  assert.equal(one.weight, 16);
  // Which shard is drawn is chance; both hold at least 2 at their ends.
  const evicted = one.evictToLimit();
  assert.ok(one.weight <= 14);
  assert.equal(one.evictedCount, evicted.length);
  assert.equal(one.evictedWeight, 16 - one.weight);

  const three = new Lru<number, number>({ maxWeight: 6 });
  for (let key = 0; key < 6; key++) three.admit(key, key, 2);
  assert.deepEqual(
    three.evictToLimit(),
    [0, 1, 2].map((key) => ({ key, value: key, weight: 2 })),
  );
  assert.deepEqual([three.weight, three.size, three.evictedCount, three.evictedWeight], [6, 3, 3, 6]);
  assert.deepEqual(three.evictToLimit(), [], 'within its limits nothing leaves');
});

test('the limit by count evicts however light the entries are', () => {
  const cache = sharded<null>(2, { maxWeight: 1000, maxCount: 3 });
  for (let key = 0; key < 6; key++) cache.admit(key, null);
  assert.equal(cache.evictToLimit().length, 3);
  assert.deepEqual([cache.size, cache.weight, cache.evictedCount], [3, 3, 3]);
});

test('the longer of two shards drawn by lot is chosen', () => {
  const shares: number[] = [];
  for (let seed = 0; seed < 50; seed++) {
    const cache = sharded<null>(2, { maxCount: 900 }, seed);
    // Shard 0 has twice as many, and is the longer one throughout.
    for (let index = 0; index < 700; index++) cache.admit(2 * index, null);
    for (let index = 0; index < 350; index++) cache.admit(2 * index + 1, null);
    const evicted = keysOf(cache.evictToLimit());
    shares.push(evicted.filter((key) => key % 2 === 0).length / evicted.length);
  }
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  assert.ok(
    shares.every((share) => share > 0.6 && share < 0.95),
    shares.join(' '),
  );
  // Three of four pairs of draws contain the longer one.
  assert.ok(Math.abs(mean - 0.75) < 0.02, `${mean}`);
});

test('it is the number of entries that makes a shard longer, not their weight', () => {
  let evictions = 0;
  for (let seed = 0; seed < 50; seed++) {
    const cache = sharded<null>(2, { maxWeight: 1000 }, seed);
    cache.admit(1, null, 1000);
    for (let index = 0; index < 100; index++) cache.admit(2 * index, null);
    evictions += cache.evictToLimit().length;
  }
  // The shard with the one heavy entry gives it up only when it is drawn twice: at the fourth eviction on average.
  assert.ok(evictions > 120, `${evictions}`);
});

test('eviction finds the few entries of many empty shards, and ends when all are empty', () => {
  const cache = sharded<null>(4096, { maxWeight: 1 });
  cache.admit(17, null);
  cache.admit(4000, null);
  cache.admit(4000 + 4096, null, 5);
  const evicted = cache.evictToLimit();
  assert.ok(cache.weight <= 1);
  assert.equal(cache.size + evicted.length, 3);
  cache.admit(17, null, 1);
  cache.incrementWeight(17, 10);
  assert.deepEqual(keysOf(cache.evictToLimit()).at(-1), 17, 'one that alone is too heavy leaves as the last');
  assert.equal(cache.size, 0);
  assert.deepEqual(cache.evictToLimit(), []);
});

test('evictShard takes what peekLru shows, and nothing from an empty shard', () => {
  const cache = sharded<string>(2, { maxWeight: 10 });
  cache.admit(2, 'two', 2);
  cache.admit(4, 'four');
  cache.admit(6, 'six');
  assert.deepEqual(cache.peekLru(), { key: 2, value: 'two', weight: 2 });
  assert.deepEqual(cache.evictShard(), { key: 2, value: 'two', weight: 2 });
  assert.deepEqual(cache.peekLru(0), { key: 4, value: 'four', weight: 1 });
  assert.equal(cache.peekLru(1), undefined);
  assert.equal(cache.evictShard(1), undefined);
  assert.deepEqual([cache.evictedCount, cache.evictedWeight, cache.has(2)], [1, 2, false]);
});

test('incrementWeight adds up to a maximum, never takes off, and ignores an unknown key', () => {
  const cache = new Lru<string, null>({ maxWeight: 10 });
  cache.admit('a', null, 2);
  cache.admit('b', null);
  assert.equal(cache.incrementWeight('a', 3), 5);
  assert.equal(cache.incrementWeight('a', 3, 6), 6);
  assert.equal(cache.incrementWeight('a', 3, 4), 6);
  assert.equal(cache.incrementWeight('a', 0), 6);
  assert.equal(cache.incrementWeight('c', 3), 0);
  assert.deepEqual([cache.peekWeight('a'), cache.peekWeight('c'), cache.weight], [6, 0, 7]);
  assert.deepEqual(keysOf(cache), ['b', 'a'], 'it is no use of the key');
  cache.incrementWeight('a', 100);
  assert.equal(cache.size, 2, 'and evicts nothing');
});

test('remove returns the entry, and is no eviction', () => {
  const cache = new Lru<string, string>({ maxWeight: 10 });
  cache.admit('a', 'value', 3);
  cache.admit('b', 'value', 4);
  assert.deepEqual(cache.remove('a'), { key: 'a', value: 'value', weight: 3 });
  assert.equal(cache.remove('a'), undefined);
  assert.deepEqual([cache.size, cache.weight, cache.evictedCount, cache.evictedWeight], [1, 4, 0, 0]);
});

test('get promotes; peek, peekWeight and has do not', () => {
  const cache = new Lru<string, number>({ maxWeight: 10 });
  for (const [index, key] of ['a', 'b', 'c'].entries()) cache.admit(key, index);
  assert.deepEqual([cache.peek('a'), cache.peekWeight('a'), cache.has('a')], [0, 1, true]);
  assert.deepEqual(keysOf(cache), ['c', 'b', 'a']);
  assert.equal(cache.get('a'), 0);
  assert.deepEqual(keysOf(cache), ['a', 'c', 'b']);
  assert.deepEqual([cache.get('z'), cache.peek('z'), cache.has('z')], [undefined, undefined, false]);
});

test('insertTail puts a new key behind all others and leaves a known one alone', () => {
  const cache = new Lru<string, number>({ maxCount: 2 });
  cache.admit('a', 1);
  assert.equal(cache.insertTail('b', 2, 3), true);
  assert.equal(cache.insertTail('a', 9, 9), false);
  assert.equal(cache.insertTail('c', 3), true);
  assert.deepEqual(cache.save(), [
    { key: 'a', value: 1, weight: 1 },
    { key: 'b', value: 2, weight: 3 },
    { key: 'c', value: 3, weight: 1 },
  ]);
  assert.deepEqual(keysOf(cache.evictToLimit()), ['c']);
});

test('set keeps both limits, and what it evicts is counted', () => {
  const cache = new Lru<number, string>({ maxWeight: 10, maxCount: 4 });
  for (let key = 0; key < 6; key++) assert.equal(cache.set(key, 'light'), true);
  assert.deepEqual(keysOf(cache), [5, 4, 3, 2]);
  assert.equal(cache.set(6, 'heavy', 9), true);
  assert.deepEqual(keysOf(cache), [6, 5]);
  assert.equal(cache.set(5, 'replaced', 2), true);
  assert.deepEqual(cache.save(), [{ key: 5, value: 'replaced', weight: 2 }]);
  assert.deepEqual([cache.evictedCount, cache.evictedWeight], [6, 14]);
});

test('set does not hold what alone is heavier than the limit, evicts nothing for it, and forgets the old value', () => {
  const cache = new Lru<string, string>({ maxWeight: 10 });
  cache.set('a', 'old', 5);
  cache.set('b', 'other', 5);
  assert.equal(cache.set('c', 'too heavy', 11), false);
  assert.deepEqual(keysOf(cache), ['b', 'a']);
  assert.equal(cache.set('a', 'too heavy', 11), false);
  assert.deepEqual(keysOf(cache), ['b']);
  assert.equal(cache.evictedCount, 0);
});

test('clear removes everything and gives the slots back, in the middle of an iteration too', () => {
  const cache = sharded<string>(2, { maxCount: 10 });
  for (const key of [1, 2, 3]) cache.admit(key, 'before', 2);
  const entries = cache.entries();
  assert.deepEqual(entries.next().value, { key: 2, value: 'before', weight: 2 });
  cache.clear();
  assert.deepEqual([cache.size, cache.weight, cache.sizeOf(0), cache.weightOf(1)], [0, 0, 0, 0]);
  assert.equal(cache.has(1), false);
  cache.admit(4, 'after');
  assert.deepEqual(keysOf(entries), [], 'shard 1 is empty when its turn comes, and 4 came after the turn of shard 0 began');
  assert.deepEqual(keysOf(cache), [4]);
});

test('a cache that was cleared fills again, with weights that are its own', () => {
  const cache = new Lru<number, null>({ maxCount: 1000 });
  for (let key = 0; key < 100; key++) cache.set(key, null, 7);
  cache.clear();
  for (let key = 0; key < 100; key++) cache.set(key, null);
  assert.deepEqual([cache.size, cache.weight, cache.peekWeight(50)], [100, 100, 1]);
});

test('what has left can be collected, keys and values', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const cache = new Lru<object, object>({ maxCount: 2 });
  const left = Array.from({ length: 4 }, () => setNew(cache));
  cache.evictShard();
  cache.evictShard();
  // A WeakRef holds what it was made for until the end of the job.
  await setImmediate();
  collect();
  assert.deepEqual(
    left.flat().map((ref) => ref.deref()),
    new Array(8).fill(undefined),
  );
});

test('what was cleared can be collected, keys and values', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const cache = new Lru<object, object>({ maxCount: 10, shards: 2, shardOf: () => 1, random: seededRandom(1) });
  const left = Array.from({ length: 4 }, () => setNew(cache));
  cache.clear();
  await setImmediate();
  collect();
  assert.deepEqual(
    left.flat().map((ref) => ref.deref()),
    new Array(8).fill(undefined),
  );
  assert.equal(cache.size, 0);
});

test('keys are compared as those of a Map, and no key is special', () => {
  const odd = ['', '__proto__', 'constructor', 'toString', 'x'.repeat(1_000_000), '\ud800'];
  for (const shards of [1, 7]) {
    const cache = new Lru<string | number, string | number>({ maxCount: 100, shards, random: seededRandom(1) });
    for (const key of [...odd, 0, Number.NaN, 1.5, -1.5, 2 ** 40, Infinity]) cache.set(key, key);
    for (const key of [...odd, 0, Number.NaN, 1.5, -1.5, 2 ** 40, Infinity])
      assert.ok(Object.is(cache.get(key), key), String(key).slice(0, 20));
    assert.equal(cache.get(-0), 0, '-0 is the same key as 0');
    assert.equal(cache.get('0'), undefined);
    assert.equal(cache.size, 12);
  }
});

test('any key will do in one shard; in several, those that cannot be hashed need shardOf', () => {
  const key = { id: 1 };
  const one = new Lru<object | undefined, string | undefined>({ maxCount: 2 });
  one.set(key, 'value');
  one.set(undefined, undefined);
  assert.deepEqual([one.get(key), one.get({ id: 1 }), one.get(undefined), one.has(undefined)], ['value', undefined, undefined, true]);

  const several = new Lru<object, string>({ maxCount: 2, shards: 2 });
  assert.throws(() => several.get(key), {
    name: 'TypeError',
    message: 'shardOf must be given for keys of type object when there is more than one shard',
  });
  const chosen = new Lru<typeof key, string>({ maxCount: 2, shards: 2, shardOf: ({ id }) => id });
  assert.equal(chosen.admit(key, 'value'), 1);
});

test('shardOf may return any number: the remainder of its low 32 bits counts', () => {
  const cache = new Lru<number, null>({ maxCount: 100, shards: 3, shardOf: (key) => key });
  assert.deepEqual(
    [4, -1, 2 ** 32 + 1, 1.9, Number.NaN, Infinity].map((key) => cache.admit(key, null)),
    [1, 0, 1, 1, 0, 0],
  );
});

test('options out of their range are refused by name', () => {
  for (const value of [0, -1, Number.NaN, 1.5, -Infinity]) {
    assert.throws(() => new Lru({ maxWeight: value }), { name: 'RangeError', message: new RegExp(`^maxWeight must .* not ${value}$`) });
    assert.throws(() => new Lru({ maxCount: value }), { name: 'RangeError', message: new RegExp(`^maxCount must .* not ${value}$`) });
    assert.throws(() => new Lru({ maxCount: 1, shards: value }), {
      name: 'RangeError',
      message: new RegExp(`^shards must .* not ${value}$`),
    });
  }
  assert.throws(() => new Lru({ maxCount: 1, shards: 4097 }), { name: 'RangeError', message: /^shards must be .* from 1 to 4096/ });
  assert.throws(() => new Lru({}), { name: 'RangeError', message: /^maxWeight or maxCount must be given/ });
  // As in JSON, and from a caller without types: it must not come to mean that there is no limit.
  for (const name of ['maxWeight', 'maxCount', 'shards']) {
    const options = { maxCount: 1, ...(JSON.parse(`{"${name}":null}`) as LruOptions<string>) };
    assert.throws(() => new Lru(options), { name: 'RangeError', message: new RegExp(`^${name} must be a whole number.*, not null$`) });
  }
  const unlimited = new Lru<number, null>({ maxWeight: Infinity });
  assert.deepEqual([unlimited.maxWeight, unlimited.maxCount, unlimited.shardCount], [Infinity, Infinity, 1]);
});

test('arguments out of their range are refused by name, and nothing has changed', () => {
  const cache = new Lru<string, string>({ maxWeight: 10 });
  cache.admit('a', 'value', 3);
  for (const weight of [0, -1, Number.NaN, 1.5, Infinity, 2 ** 53]) {
    const refusal = { name: 'RangeError', message: new RegExp(`^weight must be a whole number, 1 or more, not ${weight}$`) };
    assert.throws(() => cache.admit('a', 'other', weight), refusal);
    assert.throws(() => cache.set('a', 'other', weight), refusal);
    assert.throws(() => cache.insertTail('b', 'other', weight), refusal);
  }
  for (const number of [-1, Number.NaN, 1.5]) {
    assert.throws(() => cache.incrementWeight('a', number), { name: 'RangeError', message: /^delta must/ });
    assert.throws(() => cache.incrementWeight('a', 1, number), { name: 'RangeError', message: /^max must/ });
    assert.throws(() => cache.promoteTopN('a', number), { name: 'RangeError', message: /^n must/ });
  }
  for (const shard of [-1, 1, Number.NaN, 0.5]) {
    for (const method of ['sizeOf', 'weightOf', 'peekLru', 'evictShard', 'entries', 'save'] as const) {
      assert.throws(() => cache[method](shard), { name: 'RangeError', message: /^shard must be a whole number from 0 to 0/ }, method);
    }
    assert.throws(() => cache.forEach(() => {}, shard), { name: 'RangeError', message: /^shard must/ });
  }
  assert.deepEqual(cache.save(), [{ key: 'a', value: 'value', weight: 3 }]);
});

test('a weight that would make the sum inexact is refused, and nothing has changed', () => {
  const cache = new Lru<string, string>({ maxWeight: Infinity });
  cache.admit('a', 'value', Number.MAX_SAFE_INTEGER - 1);
  cache.admit('b', 'value');
  const refusal = { name: 'RangeError', message: /^weight must leave that of all entries at 9007199254740991 or less/ };
  assert.throws(() => cache.admit('c', 'value'), refusal);
  assert.throws(() => cache.admit('b', 'other', 2), refusal);
  assert.throws(() => cache.incrementWeight('b', 1), refusal);
  assert.equal(cache.size, 2);
  assert.equal(cache.weight, Number.MAX_SAFE_INTEGER);
  assert.deepEqual([cache.peek('b'), cache.has('c'), keysOf(cache)[0]], ['value', false, 'b']);
  cache.remove('a');
  assert.equal(cache.weight, 1);
});

test('chance comes from the platform unless it is given', () => {
  const cache = new Lru<string, number>({ maxCount: 64, shards: 8 });
  for (let index = 0; index < 1000; index++) cache.set(`key ${index}`, index);
  assert.equal(cache.size, 64);
  const sizes = Array.from({ length: 8 }, (_, shard) => cache.sizeOf(shard));
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    64,
  );
});
