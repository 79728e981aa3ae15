/** What the cache's own methods don't show: slots, growth, and how keys spread. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { Lru } from '../src/index.ts';
import { nextCapacity } from '../src/internal/next-capacity.ts';
import { Shard } from '../src/internal/shard.ts';
import { Tally } from '../src/internal/tally.ts';

test('the list: both ends, promotion from each place, and what is near the head', () => {
  const shard = new Shard<string, null>(new Tally(Infinity, Infinity), Infinity);
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
  const shard = new Shard<number, null>(new Tally(Infinity, Infinity), Infinity);
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
  const shard = new Shard<number, null>(new Tally(Infinity, Infinity), Infinity);
  shard.addFirst(1, null, 1);
  shard.size = 0x80_0000;
  assert.throws(() => shard.addFirst(2, null, 1), { name: 'RangeError', message: /^a shard holds at most 8388608 entries/ });
  assert.equal(shard.find(2), 0);
});

const spreads: readonly [string, (index: number) => string | number][] = [
  ['whole numbers', (index) => index],
  ['multiples of 16', (index) => index * 16],
  ['numbers above 32 bits that differ at the top', (index) => index * 2 ** 33],
  ['fractions', (index) => index / 1024],
  ['short strings', (index) => `${index}`],
  ['strings that differ at the end', (index) => `https://origin.example/a/rather/long/path/to/an/image/number/${index}`],
  ['long strings that differ in the middle', (index) => `${'x'.repeat(60)}${100_000 + index}${'y'.repeat(60)}`],
];

for (const [name, keyAt] of spreads) {
  test(`keys spread over the shards evenly: ${name}`, () => {
    const cache = new Lru<string | number, null>({ maxCount: Infinity, shards: 8, random: seededRandom(5) });
    for (let index = 0; index < 8000; index++) cache.admit(keyAt(index), null);
    for (let shard = 0; shard < 8; shard++) {
      assert.ok(cache.sizeOf(shard) > 300 && cache.sizeOf(shard) < 2000, `shard ${shard} has ${cache.sizeOf(shard)}`);
    }
  });
}

test('each cache spreads strings in its own way', () => {
  const places = [1, 2].map((seed) => {
    const cache = new Lru<string, null>({ maxCount: 100, shards: 64, random: seededRandom(seed) });
    return Array.from({ length: 20 }, (_, index) => cache.admit(`key ${index}`, null)).join();
  });
  assert.notEqual(places[0], places[1]);
});
