/** Laws of the cache that hold for any sequence of keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Lru } from '../src/index.ts';

const keys = fc.array(fc.nat(40), { maxLength: 300 });

test('set never leaves a limit exceeded, and what came less what left is what is there', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 20 })), { maxLength: 200 }),
      fc.integer({ min: 1, max: 5 }),
      (puts, shards) => {
        const cache = new Lru<number, null>({ maxWeight: 50, maxCount: 12, shards, random: seededRandom(7) });
        let added = 0;
        for (const [key, weight] of puts) {
          added += weight - cache.peekWeight(key);
          cache.set(key, null, weight);
          assert.ok(cache.weight <= 50 && cache.size <= 12);
          assert.equal(cache.weight + cache.evictedWeight, added);
        }
      },
    ),
  );
});

test('one shard holds exactly the keys used last', () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 30 }), (keys, maxCount) => {
      const cache = new Lru<number, null>({ maxCount });
      for (const key of keys) cache.set(key, null);
      const lastUsed = [...new Set(keys.toReversed())].slice(0, maxCount);
      assert.deepEqual(
        cache.save().map(({ key }) => key),
        lastUsed,
      );
    }),
  );
});

test('a bigger cache of one shard never has fewer hits (the inclusion property of Mattson and others, 1970)', () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 20 }), (keys, maxCount) => {
      const hitsWith = (limit: number): number => {
        const cache = new Lru<number, true>({ maxCount: limit });
        let hits = 0;
        for (const key of keys) {
          if (cache.get(key) === true) hits++;
          else cache.set(key, true);
        }
        return hits;
      };
      assert.ok(hitsWith(maxCount) <= hitsWith(maxCount + 1));
    }),
  );
});

test('save and load keep the order within each shard, however much there is room for', () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 }), (keys, shards, maxCount) => {
      const options = { shards, shardOf: (key: number) => key, random: seededRandom(3) };
      const cache = new Lru<number, number>({ maxCount: Infinity, ...options });
      for (const [index, key] of keys.entries()) cache.set(key, index);
      const copy = new Lru<number, number>({ maxCount, ...options });
      copy.load(cache.save());
      assert.equal(copy.size, Math.min(cache.size, maxCount));
      for (let shard = 0; shard < shards; shard++) assert.deepEqual(copy.save(shard), cache.save(shard).slice(0, copy.sizeOf(shard)));
    }),
  );
});
