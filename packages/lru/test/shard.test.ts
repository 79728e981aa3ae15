/** What the cache's own methods don't show: slots, growth, and how keys spread. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Lru, type LruOptions } from '../src/index.ts';
import { interleave } from '../src/internal/interleave.ts';
import { nextCapacity } from '../src/internal/next-capacity.ts';
import { Shard } from '../src/internal/shard.ts';
import { Tally } from '../src/internal/tally.ts';
import { type InternalLruOptions, maxShardSizeKey } from '../src/options.ts';

test('the list: both ends, promotion from each place, and what is near the head', () => {
  const shard = new Shard<string, null>(new Tally(Infinity, Infinity), Infinity, Infinity);
  for (const key of ['b', 'c']) shard.addFirst(key, null, 1);
  shard.addLast('a', null, 1);
  const order = (): string => Array.from(shard.snapshot().slots, (slot) => shard.keyAt(slot)).join('');
  assert.equal(order(), 'cba');
  shard.promote(shard.find('c'));
  assert.equal(order(), 'cba');
  shard.promote(shard.find('b'));
  assert.equal(order(), 'bca');
  shard.promote(shard.find('a'));
  assert.equal(order(), 'abc');
  assert.equal(shard.keyAt(shard.oldest), 'c');
  assert.deepEqual(
    [0, 1, 2, 3, 100].map((count) => shard.isWithinFirst(shard.find('b'), count)),
    [false, false, true, true, true],
  );
  shard.release(shard.find('b'));
  assert.equal(order(), 'ac');
  shard.release(shard.find('c'));
  shard.release(shard.find('a'));
  assert.equal(order(), '');
  assert.equal(shard.oldest, 0);
});

test('slots that were given back are used again before new ones', () => {
  const shard = new Shard<number, null>(new Tally(Infinity, Infinity), Infinity, Infinity);
  for (let key = 0; key < 5; key++) shard.addFirst(key, null, 1);
  const freed = [1, 3].map((key) => shard.find(key));
  shard.release(freed[0] as number);
  shard.release(freed[1] as number);
  for (const key of [10, 11, 12]) shard.addFirst(key, null, 1);
  assert.deepEqual([shard.find(10), shard.find(11), shard.find(12)], [freed[1], freed[0], 6]);
});

test('capacity doubles, then grows by a tenth, and stops where no more is expected', () => {
  assert.deepEqual(
    [1, 16, 32_768, 65_536, 100_000].map((capacity) => nextCapacity(capacity, Infinity)),
    [16, 32, 65_536, 72_090, 110_000],
  );
  assert.deepEqual(
    [1, 16, 64, 100].map((capacity) => nextCapacity(capacity, 100)),
    [16, 32, 100, 200],
  );
});

test('a full shard refuses one more entry and stays as it was', () => {
  const shard = new Shard<number, null>(new Tally(Infinity, Infinity), 2, Infinity);
  for (const key of [1, 2]) shard.addFirst(key, null, 1);
  assert.equal(shard.isFull, true);
  assert.throws(() => shard.addFirst(3, null, 1), {
    name: 'RangeError',
    message: 'shards must be more: one shard holds 2 entries at most',
  });
  assert.equal(shard.find(3), 0);
  assert.equal(shard.size, 2);
});

/** A cache that is full long before 2²³ entries. Even keys belong to shard 0, odd ones to shard 1, if there are two. */
function withSmallShards(options: LruOptions<number>, maxShardSize: number): Lru<number, string> {
  const internal: InternalLruOptions<number> = {
    shardOf: (key) => key,
    random: seededRandom(1),
    ...options,
    [maxShardSizeKey]: maxShardSize,
  };
  return new Lru(internal);
}

test('set evicts the oldest entry of a full shard before it adds one, also where no limit is exceeded', () => {
  const cache = withSmallShards({ maxCount: 3 }, 3);
  for (let key = 0; key < 10; key++) assert.equal(cache.set(key, `${key}`), true);
  assert.deepEqual(
    Array.from(cache, ({ key }) => key),
    [9, 8, 7],
  );
  assert.deepEqual([cache.size, cache.evictedCount, cache.evictedWeight], [3, 7, 7]);
  cache.set(8, 'replaced');
  assert.deepEqual([cache.size, cache.evictedCount], [3, 7], 'a key that is there takes no room');

  const unlimited = withSmallShards({ maxWeight: Infinity, shards: 2 }, 2);
  for (const key of [1, 0, 2, 4, 6]) unlimited.set(key, `${key}`);
  assert.deepEqual(
    Array.from(unlimited, ({ key }) => key),
    [6, 4, 1],
    'only the full shard gives something up',
  );
});

test('what set refuses evicts nothing from a full shard', () => {
  const cache = withSmallShards({ maxWeight: Infinity }, 2);
  cache.set(1, '', Number.MAX_SAFE_INTEGER - 1);
  cache.set(2, '');
  assert.throws(() => cache.set(3, '', 1), { name: 'RangeError', message: /^weight must leave/ });
  assert.throws(() => cache.set(3, '', 0), { name: 'RangeError', message: /^weight must be/ });
  assert.deepEqual([cache.size, cache.evictedCount], [2, 0]);
});

test('admit and insertTail, which never evict, throw where the shard is full, and nothing has changed', () => {
  const cache = withSmallShards({ maxCount: 2 }, 2);
  for (const key of [1, 2]) cache.admit(key, '');
  const refusal = { name: 'RangeError', message: /^shards must be more: one shard holds 2 entries at most/ };
  assert.throws(() => cache.admit(3, ''), refusal);
  assert.throws(() => cache.insertTail(3, ''), refusal);
  assert.equal(cache.admit(1, 'replaced'), 0);
  assert.deepEqual(
    Array.from(cache, ({ key }) => key),
    [1, 2],
  );
});

test('loading ends where a shard is full, and evicts nothing', () => {
  const cache = withSmallShards({ maxWeight: Infinity, shards: 2 }, 2);
  let read = 0;
  cache.load(
    (function* endless() {
      for (;;) yield { key: 2 * read++, value: '', weight: 1 };
    })(),
  );
  assert.deepEqual(
    Array.from(cache, ({ key }) => key),
    [0, 2],
  );
  assert.deepEqual([read, cache.evictedCount], [3, 0]);
});

test('a limit by count that the shards cannot hold is refused', () => {
  assert.throws(() => new Lru({ maxCount: 2 ** 23 + 1 }), {
    name: 'RangeError',
    message: 'maxCount must be 8388608 or less for each of the shards, of which there are 1, not 8388609',
  });
  assert.throws(() => new Lru({ maxCount: 3 * 2 ** 23 + 1, shards: 3 }), { name: 'RangeError', message: /^maxCount must be 8388608/ });
  assert.equal(new Lru({ maxCount: 2 ** 23 }).maxCount, 2 ** 23);
  assert.equal(new Lru({ maxCount: 3 * 2 ** 23, shards: 3 }).maxCount, 3 * 2 ** 23);
  assert.equal(new Lru({ maxCount: Infinity }).maxCount, Infinity);
});

test('lists are merged by relative rank, each in its own order', () => {
  assert.equal(interleave(['abcdef'.split(''), '123'.split(''), []]).join(''), 'a1bc2de3f');
  assert.deepEqual(interleave([]), []);
  assert.deepEqual(interleave([['a', 'b']]), ['a', 'b']);
});

test('merged lists: nothing is lost, and no item comes before one that is further up in its list by more than a place', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { maxLength: 8 }), (lengths) => {
      const lists = lengths.map((length, list) => Array.from({ length }, (_, rank) => ({ list, rank, at: (rank + 0.5) / length })));
      const merged = interleave(lists);
      assert.equal(merged.length, lists.flat().length);
      for (const [list, items] of lists.entries()) {
        assert.deepEqual(
          merged.filter((item) => item.list === list),
          items,
        );
      }
      let highest = 0;
      for (const { at } of merged) {
        assert.ok(at > highest - 1 / merged.length - 1e-9, `${at} after ${highest}`);
        highest = Math.max(highest, at);
      }
    }),
  );
});

/** As `https://origin.example/tenants/0001234/reports/…`, all of the same length. */
const commonTail = '/reports/2024/quarterly/summary/and/some/long/common/tail/of/the/path/index.html?format=full&page=1';

const spreads: readonly [string, (index: number) => string | number][] = [
  ['whole numbers', (index) => index],
  ['multiples of 16', (index) => index * 16],
  ['numbers above 32 bits that differ at the top', (index) => index * 2 ** 33],
  ['fractions', (index) => index / 1024],
  ['short strings', (index) => `${index}`],
  ['strings that differ at the end', (index) => `https://origin.example/a/rather/long/path/to/an/image/number/${index}`],
  ['long strings that differ in the middle', (index) => `${'x'.repeat(60)}${100_000 + index}${'y'.repeat(60)}`],
  ['addresses that differ in the middle', (index) => `https://origin.example/tenants/${`${index}`.padStart(7, '0')}${commonTail}`],
  ['addresses that differ near their beginning', (index) => `/x/${index}/${'a'.repeat(120)}`],
  ['long strings that differ in few characters, far apart', sparse],
];

for (const [name, keyAt] of spreads) {
  test(`keys spread over the shards evenly, in each cache in its own way: ${name}`, () => {
    const places = [5, 6].map((seed) => {
      const cache = new Lru<string | number, null>({ maxCount: Infinity, shards: 16, random: seededRandom(seed) });
      const shards = Array.from({ length: 16_000 }, (_, index) => cache.admit(keyAt(index), null));
      // By chance, 1000 ± 31: six standard deviations are passed once in 16 million caches.
      for (let shard = 0; shard < 16; shard++) {
        assert.ok(Math.abs(cache.sizeOf(shard) - 1000) < 186, `shard ${shard} has ${cache.sizeOf(shard)}`);
      }
      return shards;
    });
    const [one = [], other = []] = places;
    const same = one.filter((shard, index) => shard === other[index]).length;
    assert.ok(Math.abs(same - 1000) < 186, `${same} keys are in the same shard of both caches`);
  });
}

/** The digits of a number far apart, in a long string of characters that are all the same. */
function sparse(index: number): string {
  return `${Array.from(`${index}`.padStart(8, '0'), (digit) => `a${digit}aaaaaaaaaa`).join('')}${'b'.repeat(32)}`;
}

test('what is asked for often stays, whatever the many keys beside it look like', () => {
  const misses = [(round: number) => `/x/${round}/${'a'.repeat(120)}`, sparse].map((keyAt) => {
    const cache = new Lru<string, number>({ maxCount: 1600, shards: 16, random: seededRandom(7) });
    let missed = 0;
    for (let round = 0; round < 20_000; round++) {
      cache.set(keyAt(round), 1);
      for (let index = 0; index < 5; index++) {
        const key = `/hot/${(round * 5 + index) % 100}`;
        if (cache.get(key) !== undefined) continue;
        missed++;
        cache.set(key, 1);
      }
    }
    return missed;
  });
  // Each of the 100 is missing once, before it has come.
  assert.deepEqual(misses, [100, 100]);
});
