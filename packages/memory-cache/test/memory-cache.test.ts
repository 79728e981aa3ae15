/** Times to live, stale reads, bounds, and keys of all kinds. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Clock, ManualClock, seededRandom } from '@ferrata/clock';
import { MemoryCache, type MemoryCacheOptions } from '../src/index.ts';

type Settings<K extends string | number, V> = Partial<MemoryCacheOptions<K, V>>;

function makeCache<K extends string | number = string, V = number>(
  settings: Settings<K, V> = {},
): { cache: MemoryCache<K, V>; clock: ManualClock } {
  const clock = new ManualClock();
  return { cache: new MemoryCache<K, V>({ clock, maxWeight: 10, random: seededRandom(1), ...settings }), clock };
}

describe('times to live', () => {
  test('a value is read until it is deleted', () => {
    const { cache } = makeCache();
    assert.equal(cache.get('a'), undefined);
    assert.equal(cache.put('a', 1), true);
    assert.equal(cache.get('a'), 1);
    assert.equal(cache.has('a'), true);
    assert.equal(cache.delete('a'), true);
    assert.equal(cache.delete('a'), false);
    assert.equal(cache.get('a'), undefined);
    assert.equal(cache.has('a'), false);
  });

  test('a value is fresh until its time is over, and not a moment longer', () => {
    const { cache, clock } = makeCache();
    cache.put('a', 1, 100);
    clock.advance(99.5);
    assert.equal(cache.get('a'), 1);
    assert.equal(cache.has('a'), true);
    clock.advance(0.5);
    assert.equal(cache.get('a'), undefined);
    assert.equal(cache.has('a'), false);
    assert.deepEqual(cache.read('a'), { status: 'expired', value: undefined, staleMs: 0 });
  });

  test('the default time to live holds for puts without one', () => {
    const { cache, clock } = makeCache({ defaultTtlMs: 50 });
    cache.put('a', 1);
    cache.put('b', 2, 200);
    cache.put('c', 3, Infinity);
    clock.advance(100);
    assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [undefined, 2, 3]);
    clock.advance(1e15);
    assert.deepEqual([cache.get('b'), cache.get('c'), cache.has('c')], [undefined, 3, true]);
  });

  test('a time to live of 0 stores nothing, and does not leave an older value behind', () => {
    const { cache } = makeCache();
    assert.equal(cache.put('a', 1, 0), false);
    assert.equal(cache.forcePut('a', 1, 0), false);
    assert.equal(cache.size, 0);
    cache.put('a', 1);
    assert.equal(cache.put('a', 2, 0), false);
    assert.equal(cache.getStale('a', Infinity), undefined);
  });

  test('an expired value can be read as stale, with its age, within the allowance', () => {
    const { cache, clock } = makeCache();
    cache.put('a', 1, 100);
    assert.deepEqual(cache.read('a', 1000), { status: 'hit', value: 1, staleMs: 0 });
    clock.advance(130);
    assert.deepEqual(cache.read('a', 1000), { status: 'stale', value: 1, staleMs: 30 });
    assert.deepEqual(cache.read('a', 30), { status: 'stale', value: 1, staleMs: 30 });
    assert.deepEqual(cache.read('a', 29), { status: 'expired', value: undefined, staleMs: 0 });
    assert.equal(cache.getStale('a', 30), 1);
    assert.equal(cache.getStale('a', 29), undefined);
    assert.equal(cache.getStale('b', Infinity), undefined);
  });

  test('a new put makes an expired entry fresh again', () => {
    const { cache, clock } = makeCache();
    cache.put('a', 1, 100);
    clock.advance(100);
    cache.put('a', 2, 100);
    clock.advance(99);
    assert.equal(cache.get('a'), 2);
    assert.equal(cache.size, 1);
  });

  test('a caller may say what time it is', () => {
    const { cache, clock } = makeCache();
    cache.put('a', 1, 100);
    assert.equal(cache.get('a', 99), 1);
    assert.equal(cache.get('a', 100), undefined);
    clock.advance(100);
    assert.equal(cache.get('a', 99), 1);
  });

  test('the clock is not read for entries that do not expire', () => {
    let readings = 0;
    const clock: Clock = Object.assign(new ManualClock(), {
      now: () => {
        readings++;
        return 0;
      },
    });
    const { cache } = makeCache({ clock });
    cache.put('a', 1);
    cache.get('a');
    cache.read('a');
    cache.has('a');
    cache.get('b');
    assert.equal(readings, 0);
    cache.put('a', 1, 10);
    cache.get('a');
    assert.equal(readings, 2);
  });

  test('a clock that goes back lengthens lives, and nothing else', () => {
    let time = 1000;
    const clock: Clock = Object.assign(new ManualClock(), { now: () => time });
    const { cache } = makeCache({ clock });
    cache.put('a', 1, 100);
    time = 1150;
    assert.equal(cache.get('a'), undefined);
    time = 500;
    assert.deepEqual(cache.read('a'), { status: 'hit', value: 1, staleMs: 0 });
    cache.put('b', 2, 100);
    assert.equal(cache.purgeExpired(Infinity), 0);
    time = 600;
    assert.deepEqual([cache.get('a'), cache.get('b')], [1, undefined]);
  });

  test('undefined and null are values like others for read', () => {
    const { cache } = makeCache<string, null | undefined>();
    cache.put('a', undefined);
    cache.put('b', null);
    assert.deepEqual(cache.read('a'), { status: 'hit', value: undefined, staleMs: 0 });
    assert.deepEqual(cache.read('b'), { status: 'hit', value: null, staleMs: 0 });
    assert.deepEqual(cache.read('c'), { status: 'miss', value: undefined, staleMs: 0 });
    assert.deepEqual([cache.has('a'), cache.delete('a'), cache.has('a')], [true, true, false]);
    assert.deepEqual([...cache.getMany(['a', 'b']).hits], [['b', null]]);
  });
});

describe('many keys', () => {
  test('getMany tells hits from misses, each key once', () => {
    const { cache, clock } = makeCache();
    cache.put('a', 1);
    cache.put('b', 2, 10);
    cache.put('c', 3, 100);
    clock.advance(10);
    const { hits, misses } = cache.getMany(['x', 'a', 'b', 'a', 'x', 'c']);
    assert.deepEqual(
      [...hits],
      [
        ['a', 1],
        ['c', 3],
      ],
    );
    assert.deepEqual(misses, ['x', 'b']);
  });

  test('getMany takes any iterable, an empty one too', () => {
    const { cache } = makeCache();
    cache.put('a', 1);
    assert.deepEqual(cache.getMany(new Set(['a'])), { hits: new Map([['a', 1]]), misses: [] });
    assert.deepEqual(cache.getMany([]), { hits: new Map(), misses: [] });
  });
});

describe('bounds', () => {
  test('the cache never holds more than maxWeight', () => {
    const { cache } = makeCache({ maxWeight: 2 });
    for (const key of ['a', 'b', 'c', 'd']) cache.forcePut(key, 1);
    assert.equal(cache.size, 2);
    assert.equal(cache.weight, 2);
    assert.equal(cache.maxWeight, 2);
    assert.equal(cache.get('d'), 1);
  });

  test('put tells a newcomer that is refused, and forcePut refuses none', () => {
    const { cache } = makeCache({ maxWeight: 1 });
    for (let time = 0; time < 5; time++) cache.put('often', 1);
    assert.equal(cache.put('once', 2), false);
    assert.deepEqual([cache.get('often'), cache.get('once')], [1, undefined]);
    assert.equal(cache.forcePut('once', 2), true);
    assert.deepEqual([cache.get('often'), cache.get('once')], [undefined, 2]);
  });

  test('entries weigh what weigh says', () => {
    const { cache } = makeCache<string, string>({ maxWeight: 10, weigh: (value, key) => value.length + key.length });
    cache.put('a', 'xx');
    cache.put('b', 'yyyyy');
    assert.equal(cache.weight, 9);
    cache.put('a', 'x');
    assert.equal(cache.weight, 8);
    assert.equal(cache.put('c', 'far too long'), false);
    assert.equal(cache.forcePut('c', 'far too long'), false);
    assert.equal(cache.size, 2);
  });

  test('a put that fails leaves the older value', () => {
    const { cache } = makeCache<string, string>({ weigh: (value) => value.length });
    cache.put('a', 'x');
    assert.throws(() => cache.put('a', ''), RangeError);
    assert.throws(() => cache.put('a', 'y', Number.NaN), RangeError);
    assert.equal(cache.get('a'), 'x');
  });

  test('clear takes everything out', () => {
    const { cache } = makeCache();
    cache.put('a', 1);
    cache.put('b', 2, 10);
    cache.clear();
    assert.deepEqual([cache.size, cache.weight, cache.get('a')], [0, 0, undefined]);
    assert.equal(cache.purgeExpired(Infinity), 0);
  });
});

describe('purging', () => {
  test('takes out what has expired, and only that', () => {
    const { cache, clock } = makeCache();
    for (const [index, key] of ['a', 'b', 'c', 'd'].entries()) cache.put(key, index, 10 * (index + 1));
    cache.put('e', 5);
    clock.advance(30);
    assert.equal(cache.size, 5);
    assert.equal(cache.purgeExpired(Infinity, 10), 1);
    assert.equal(cache.getStale('c', Infinity), 2);
    assert.equal(cache.purgeExpired(Infinity), 2);
    assert.equal(cache.size, 2);
    assert.deepEqual([cache.get('d'), cache.get('e')], [3, 5]);
  });

  test('goes on where it stopped, so that small steps reach everything', () => {
    const { cache, clock } = makeCache<number>({ maxWeight: 100 });
    for (let key = 0; key < 100; key++) cache.put(key, key, key % 2 === 0 ? 10 : 1000);
    clock.advance(10);
    let purgedCount = 0;
    for (let step = 0; step < 25; step++) purgedCount += cache.purgeExpired(4);
    assert.equal(purgedCount, 50);
    assert.equal(cache.size, 50);
    assert.equal(cache.purgeExpired(0), 0);
    clock.advance(1000);
    for (let step = 0; step < 25; step++) purgedCount += cache.purgeExpired(4);
    assert.equal(purgedCount, 100);
    assert.equal(cache.size, 0);
  });

  test('leaves exactly what a reader with the same allowance may still have', () => {
    const { cache, clock } = makeCache();
    cache.put('a', 1, 100);
    clock.advance(600);
    assert.equal(cache.purgeExpired(Infinity, 500), 0);
    assert.equal(cache.read('a', 500).status, 'stale');
    clock.advance(0.5);
    assert.equal(cache.read('a', 500).status, 'expired');
    assert.equal(cache.purgeExpired(Infinity, 500), 1);
  });

  test('counts places without an entry as visits, so that a step is bounded in a cache that has emptied', () => {
    const { cache, clock } = makeCache<number>({ maxWeight: 1000 });
    for (let key = 0; key < 1000; key++) cache.put(key, key, key === 999 ? 1000 : 10);
    clock.advance(10);
    assert.equal(cache.purgeExpired(Infinity), 999);
    clock.advance(1000);
    // The last one is 999 places away.
    const steps = Array.from({ length: 100 }, () => cache.purgeExpired(10));
    assert.deepEqual(steps, [...Array.from({ length: 99 }, () => 0), 1]);
  });

  test('bears changes between its steps', () => {
    const { cache, clock } = makeCache<number>({ maxWeight: 20 });
    for (let key = 0; key < 20; key++) cache.put(key, key, 10);
    clock.advance(10);
    assert.equal(cache.purgeExpired(5), 5);
    cache.clear();
    assert.equal(cache.purgeExpired(5), 0);
    for (let key = 0; key < 20; key++) cache.put(key, key, 10);
    clock.advance(10);
    assert.equal(cache.purgeExpired(20), 20);
  });
});

describe('keys', () => {
  test('keys with the same hash never share a value', () => {
    for (const isCompact of [false, true]) {
      const { cache } = makeCache<string | number, string>({ maxWeight: 100, isCompact, hashOf: () => 0 });
      const keys = Array.from({ length: 40 }, (_, index) => [index, String(index)]).flat();
      for (const key of keys) cache.forcePut(key, `${typeof key} ${key}`);
      for (const key of keys) assert.equal(cache.get(key), `${typeof key} ${key}`);
      assert.equal(cache.get('absent'), undefined);
    }
  });

  test('keys are only keys, whatever they look like', () => {
    const { cache } = makeCache<string | number>({ maxWeight: 20 });
    const keys = ['', '__proto__', 'constructor', 'toString', '\0', '\ud800', 'x'.repeat(1_000_000), 1, '1', -1, 0.5, Number.NaN, Infinity];
    for (const key of keys) assert.equal(cache.get(key), undefined);
    for (const [index, key] of keys.entries()) cache.put(key, index);
    for (const [index, key] of keys.entries()) assert.equal(cache.get(key), index);
    assert.equal(cache.size, keys.length);
  });

  test('0 and −0 are one key', () => {
    const { cache } = makeCache<number>();
    cache.put(0, 1);
    assert.equal(cache.get(-0), 1);
  });
});

describe('bad input', () => {
  const clock = new ManualClock();

  test('a capacity or time that makes no sense is refused by name', () => {
    for (const maxWeight of [0, -1, Number.NaN, 1.5, Infinity]) {
      assert.throws(() => new MemoryCache({ clock, maxWeight }), { name: 'RangeError', message: /maxWeight/ });
    }
    for (const defaultTtlMs of [-1, Number.NaN, -Infinity]) {
      assert.throws(() => new MemoryCache({ clock, maxWeight: 1, defaultTtlMs }), { name: 'RangeError', message: /defaultTtlMs/ });
    }
  });

  test('an argument that makes no sense is refused by name', () => {
    const cache = new MemoryCache<string, number>({ clock, maxWeight: 1 });
    for (const wrong of [-1, Number.NaN, -Infinity]) {
      assert.throws(() => cache.put('a', 1, wrong), { name: 'RangeError', message: /ttlMs/ });
      assert.throws(() => cache.forcePut('a', 1, wrong), { name: 'RangeError', message: /ttlMs/ });
      assert.throws(() => cache.read('a', wrong), { name: 'RangeError', message: /maxStaleMs/ });
      assert.throws(() => cache.getStale('a', wrong), { name: 'RangeError', message: /maxStaleMs/ });
      assert.throws(() => cache.purgeExpired(wrong), { name: 'RangeError', message: /maxVisits/ });
      assert.throws(() => cache.purgeExpired(1, wrong), { name: 'RangeError', message: /maxStaleMs/ });
    }
    // Untyped code may pass texts, which would be joined to a time, not added.
    const text = '50' as unknown as number;
    assert.throws(() => cache.put('a', 1, text), { name: 'RangeError', message: /ttlMs/ });
    assert.throws(() => cache.read('a', text), { name: 'RangeError', message: /maxStaleMs/ });
    assert.throws(() => cache.purgeExpired(1, text), { name: 'RangeError', message: /maxStaleMs/ });
    assert.throws(() => new MemoryCache({ clock, maxWeight: 1, defaultTtlMs: text }), { name: 'RangeError', message: /defaultTtlMs/ });
    for (const weight of [0, -1, Number.NaN, 1.5, 65_536]) {
      const weighed = new MemoryCache<string, number>({ clock, maxWeight: 100_000, weigh: () => weight });
      assert.throws(() => weighed.put('a', 1), { name: 'RangeError', message: /weight/ });
      assert.equal(weighed.size, 0);
    }
  });
});
