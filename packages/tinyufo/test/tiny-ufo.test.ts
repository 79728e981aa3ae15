import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { TinyUfo, type TinyUfoOptions } from '../src/index.ts';

type Key = string | number;

for (const isCompact of [false, true]) {
  const make = (options: TinyUfoOptions<Key>): TinyUfo<Key, unknown> => new TinyUfo({ isCompact, random: seededRandom(1), ...options });
  /** Holds 1 (weight 1), 2 and 3 (weight 2 each) of at most 5. */
  const makeFull = (): TinyUfo<Key, unknown> => {
    const cache = make({ maxWeight: 5 });
    cache.put(1, 'a', 1);
    cache.put(2, 'b', 2);
    cache.put(3, 'c', 2);
    return cache;
  };
  const keysOf = (cache: TinyUfo<Key, unknown>): readonly Key[] =>
    [...cache.entries()].map(({ key }) => key).toSorted((a, b) => String(a).localeCompare(String(b)));

  describe(isCompact ? 'a compact TinyUfo' : 'a TinyUfo', () => {
    test('returns what was put, and undefined for what was not', () => {
      const cache = makeFull();
      assert.equal(cache.get(2), 'b');
      assert.equal(cache.peek(3), 'c');
      assert.equal(cache.get(4), undefined);
      assert.equal(cache.peek(4), undefined);
      assert.deepEqual([cache.has(1), cache.has(4)], [true, false]);
      assert.deepEqual([cache.size, cache.weight, cache.maxWeight], [3, 5, 5]);
    });

    test('evicts the oldest of the small queue, as many as the weight of the newcomer needs', () => {
      const cache = makeFull();
      const evicted = cache.put(4, 'd', 3);
      assert.deepEqual(evicted, [
        { key: 1, value: 'a', weight: 1 },
        { key: 2, value: 'b', weight: 2 },
      ]);
      assert.deepEqual(keysOf(cache), [3, 4]);
    });

    test('moves an entry that was read twice on to the main queue in place of evicting it', () => {
      const cache = makeFull();
      cache.get(1);
      cache.get(1);
      assert.deepEqual(cache.put(4, 'd', 2), [{ key: 2, value: 'b', weight: 2 }]);
      // All that is in the small queue goes before it.
      assert.deepEqual(
        cache.forcePut(5, 'e', 4).map(({ key }) => key),
        [3, 4],
      );
      assert.deepEqual(keysOf(cache), [1, 5]);
    });

    test('evicts an entry that was read once', () => {
      const cache = makeFull();
      cache.get(1);
      assert.deepEqual(
        cache.put(4, 'd').map(({ key }) => key),
        [1],
      );
    });

    test('lets an evicted key come back', () => {
      const cache = makeFull();
      assert.deepEqual(
        cache.put(4, 'd').map(({ key }) => key),
        [1],
      );
      assert.deepEqual(
        cache.put(1, 'a').map(({ key }) => key),
        [2],
      );
      assert.deepEqual(keysOf(cache), [1, 3, 4]);
    });

    test('refuses and returns a newcomer that was written less often than the one that would leave for it', () => {
      const cache = makeFull();
      for (const key of [1, 2, 3]) cache.put(key, 'again', key === 1 ? 1 : 2);
      assert.deepEqual(cache.put(4, 'd', 1), [{ key: 4, value: 'd', weight: 1 }]);
      assert.deepEqual(keysOf(cache), [1, 2, 3]);
      assert.equal(cache.weight, 5);
    });

    test('admits a newcomer that was written as often as the one that leaves', () => {
      const cache = makeFull();
      for (const key of [1, 2, 3]) cache.put(key, 'again', key === 1 ? 1 : 2);
      cache.put(4, 'd', 1);
      // The one put back went to the end of the small queue, so the next in line is compared now.
      assert.deepEqual(cache.put(4, 'd', 1), [{ key: 2, value: 'again', weight: 2 }]);
    });

    test('admits every newcomer that is forced in', () => {
      const cache = makeFull();
      for (const key of [1, 2, 3]) cache.put(key, 'again', key === 1 ? 1 : 2);
      assert.deepEqual(cache.forcePut(4, 'd', 1), [{ key: 1, value: 'again', weight: 1 }]);
      assert.deepEqual(keysOf(cache), [2, 3, 4]);
    });

    test('evicts from the main queue when all entries are useful, the oldest that has no uses left', () => {
      const cache = makeFull();
      for (const key of [1, 2, 3, 1, 2, 3]) cache.get(key);
      assert.deepEqual(
        cache.put(4, 'd', 1).map(({ key }) => key),
        [1],
      );
      assert.deepEqual(
        cache.put(1, 'a', 1).map(({ key }) => key),
        [4],
      );
      assert.deepEqual(keysOf(cache), [1, 2, 3]);
    });

    test('credits an entry with three uses at most', () => {
      const cache = make({ maxWeight: 2 });
      cache.put('often', 1);
      cache.put('thrice', 2);
      for (let time = 0; time < 3; time++) cache.get('thrice');
      for (let time = 0; time < 100; time++) cache.get('often');
      // Both go to main and lose their uses turn by turn: the older one goes, in spite of its hundred reads.
      assert.deepEqual(
        cache.forcePut('new', 3).map(({ key }) => key),
        ['often'],
      );
    });

    test('does not count has and peek as uses', () => {
      const cache = makeFull();
      for (let time = 0; time < 5; time++) {
        cache.has(1);
        cache.peek(1);
      }
      assert.deepEqual(
        cache.put(4, 'd').map(({ key }) => key),
        [1],
      );
    });

    test('replaces a value in its place, and counts that as a use', () => {
      const cache = makeFull();
      assert.deepEqual(cache.put(1, 'A', 1), []);
      assert.deepEqual(cache.put(1, 'AA', 1), []);
      assert.equal(cache.peek(1), 'AA');
      assert.deepEqual([cache.size, cache.weight], [3, 5]);
      assert.deepEqual(
        cache.put(4, 'd', 2).map(({ key }) => key),
        [2],
      );
    });

    test('evicts for a value that weighs more than the one it replaces, the replaced one too if it is in line', () => {
      const cache = makeFull();
      assert.deepEqual(cache.put(3, 'C', 3), [{ key: 1, value: 'a', weight: 1 }]);
      assert.deepEqual(cache.put(2, 'B', 3), [{ key: 2, value: 'B', weight: 3 }]);
      assert.deepEqual([cache.weight, cache.size], [3, 1]);
      assert.deepEqual(cache.put(3, 'C', 1), []);
      assert.equal(cache.weight, 1);
    });

    test('never evicts what is forced in, even if it is heavier than the value that it replaces and next in line', () => {
      const cache = makeFull();
      assert.deepEqual(cache.forcePut(1, 'A', 3), [{ key: 2, value: 'b', weight: 2 }]);
      assert.deepEqual([cache.peek(1), cache.weight, cache.size], ['A', 5, 2]);
      assert.deepEqual(cache.forcePut(1, 'AA', 6), [{ key: 1, value: 'AA', weight: 6 }]);
      assert.deepEqual(keysOf(cache), [3]);
    });

    test('makes room in the small queue when the main queue has nothing to evict', () => {
      const cache = make({ maxWeight: 100 });
      cache.put('light', 1, 10);
      assert.deepEqual(cache.put('heavy', 2, 95), [{ key: 'light', value: 1, weight: 10 }]);
      assert.equal(cache.weight, 95);
    });

    test('refuses what weighs more than the whole cache may, evicts nothing for it, and leaves no older value behind', () => {
      const cache = makeFull();
      assert.deepEqual(cache.put(4, 'd', 6), [{ key: 4, value: 'd', weight: 6 }]);
      assert.deepEqual(cache.forcePut(4, 'd', 6), [{ key: 4, value: 'd', weight: 6 }]);
      assert.equal(cache.size, 3);
      assert.deepEqual(cache.put(3, 'C', 6), [{ key: 3, value: 'C', weight: 6 }]);
      assert.deepEqual([cache.has(3), cache.size, cache.weight], [false, 2, 3]);
    });

    test('bounds the number of entries too', () => {
      const cache = make({ maxWeight: 1000, maxCount: 2 });
      cache.put('a', 1);
      cache.put('b', 2);
      assert.deepEqual(cache.put('c', 3), [{ key: 'a', value: 1, weight: 1 }]);
      assert.equal(cache.size, 2);
    });

    test('frees the weight of what is removed', () => {
      const cache = makeFull();
      assert.equal(cache.remove(1), 'a');
      assert.equal(cache.remove(3), 'c');
      assert.equal(cache.remove(3), undefined);
      assert.deepEqual([cache.has(1), cache.get(3), cache.weight], [false, undefined, 2]);
      assert.deepEqual(cache.put(5, 'e', 3), []);
      assert.equal(cache.weight, 5);
    });

    test('forgets entries and frequencies when it is cleared', () => {
      const cache = makeFull();
      for (const key of [1, 2, 3, 1, 2, 3]) cache.put(key, 'again');
      cache.clear();
      assert.deepEqual([cache.size, cache.weight, cache.get(1), [...cache.entries()].length], [0, 0, undefined, 0]);
      for (const key of [1, 2, 3, 4, 5]) cache.put(key, 'new');
      // Had it remembered the writes of 1, it would refuse 6.
      assert.deepEqual(
        cache.put(6, 'new').map(({ key }) => key),
        [1],
      );
    });

    test('tells keys apart as a Map does, whatever they look like', () => {
      const cache = make({ maxWeight: 100 });
      const keys = [
        '',
        '0',
        0,
        '__proto__',
        'constructor',
        'NaN',
        Number.NaN,
        0.5,
        -0.5,
        Infinity,
        2 ** 31,
        -(2 ** 31),
        2 ** 53,
        '\ud800',
        '\udc00',
      ];
      for (const [index, key] of keys.entries()) assert.equal(cache.put(key, index).length, 0);
      for (const [index, key] of keys.entries()) assert.equal(cache.get(key), index, String(key));
      assert.equal(cache.get(-0), keys.indexOf(0));
      assert.equal(cache.get(String(0.5)), undefined);
      cache.put(-0, 'minus');
      assert.equal(cache.get(0), 'minus');
      for (const key of keys) cache.remove(key);
      assert.equal(cache.size, 0);
    });

    test('keeps huge keys and undefined values', () => {
      const cache = make({ maxWeight: 10 });
      const huge = 'k'.repeat(1_000_000);
      cache.put(huge, undefined);
      assert.equal(cache.get(`${huge.slice(1)}k`), undefined);
      assert.deepEqual([cache.has(`${huge.slice(1)}k`), cache.has(`${huge}k`)], [true, false]);
    });

    test('never returns the value of another key, even if all keys have one hash', () => {
      const cache = make({ maxWeight: 50, hashOf: () => 42 });
      for (let key = 0; key < 200; key++) cache.forcePut(key, `value of ${key}`);
      assert.equal(cache.size, 50);
      for (let key = 0; key < 200; key++) assert.ok([undefined, `value of ${key}`].includes(cache.get(key) as string | undefined));
      for (let key = 0; key < 200; key++) cache.remove(key);
      assert.equal(cache.size, 0);
    });

    test('takes any number for a hash', () => {
      for (const hash of [Number.NaN, -1, 2 ** 52 + 1, 0.5, Infinity]) {
        const cache = make({ maxWeight: 3, hashOf: () => hash });
        cache.put('a', 1);
        cache.put('b', 2);
        assert.deepEqual([cache.get('a'), cache.get('b'), cache.remove('a'), cache.has('b')], [1, 2, 1, true]);
      }
    });

    test('holds nothing under what is neither text nor a number, and refuses to, whatever hashes the keys', () => {
      const hashed: unknown[] = [];
      const hashOf = (key: unknown): number => {
        hashed.push(key);
        return 7;
      };
      for (const cache of [make({ maxWeight: 5 }), make({ maxWeight: 5, hashOf })]) {
        cache.put('a', 1);
        for (const odd of [undefined, null, true, {}, ['a'], Symbol('a'), 1n, () => 1]) {
          const key = odd as Key;
          assert.deepEqual([cache.get(key), cache.peek(key), cache.has(key), cache.remove(key)], [undefined, undefined, false, undefined]);
          const error = { name: 'TypeError', message: `a key must be a string or a number, not ${typeof odd}` };
          assert.throws(() => cache.put(key, 2), error);
          assert.throws(() => cache.forcePut(key, 2), error);
        }
        assert.deepEqual([cache.size, cache.weight, cache.get('a')], [1, 1, 1]);
      }
      assert.ok(
        hashed.every((key) => key === 'a'),
        'an own hash meets no other keys',
      );
    });

    test('is as it was when an own hash throws', () => {
      const cache = make({
        maxWeight: 2,
        hashOf(key) {
          if (key === 'bad') throw new Error('no hash');
          return 1;
        },
      });
      cache.put('a', 1);
      cache.put('b', 2);
      assert.throws(() => cache.put('bad', 3), /^Error: no hash$/);
      assert.throws(() => cache.forcePut('bad', 3), /^Error: no hash$/);
      assert.deepEqual([cache.size, cache.weight, keysOf(cache)], [2, 2, ['a', 'b']]);
    });

    test('returns one empty list, which nobody can fill, when nothing leaves', () => {
      const cache = make({ maxWeight: 2 });
      const evicted = cache.put('a', 1);
      assert.equal(cache.put('b', 1), evicted);
      assert.ok(Object.isFrozen(evicted));
    });

    test('visits in an iteration what stays, and not what leaves before it is reached', () => {
      const cache = make({ maxWeight: 100 });
      for (let key = 0; key < 50; key++) cache.put(key, key);
      const visited: Key[] = [];
      for (const { key } of cache.entries()) {
        visited.push(key);
        // A later one leaves, and the cache grows far beyond what it was.
        if (key === 10) {
          cache.remove(11);
          for (let more = 100; more < 150; more++) cache.put(more, more);
        }
      }
      for (let key = 0; key < 50; key++) assert.equal(visited.filter((one) => one === key).length, key === 11 ? 0 : 1, String(key));
      assert.equal(new Set(visited).size, visited.length);
    });

    test('ends an iteration whose loop adds entries', () => {
      const cache = make({ maxWeight: 1000 });
      cache.put(0, 0);
      let visits = 0;
      for (const { key } of cache.entries()) {
        visits++;
        cache.put((key as number) + 1, 0);
      }
      assert.equal(visits, 1);
      // Where some have left, others that came meanwhile may be visited: as many as have been there at once, no more.
      for (let key = 0; key < 100; key++) cache.put(key, 0);
      for (let key = 0; key < 50; key++) cache.remove(key);
      let next = 1000;
      visits = 0;
      for (const _ of cache.entries()) {
        visits++;
        for (let more = 0; more < 3; more++) cache.put(next++, 0);
      }
      assert.ok(visits >= 50 && visits <= 100, `${visits}`);
    });

    test('visits its entries in steps, each of bounded length, and comes to the end when it is cleared meanwhile', () => {
      const cache = make({ maxWeight: 100 });
      for (let key = 0; key < 50; key++) cache.put(key, key, 2);
      cache.remove(3);
      const visited: Key[] = [];
      const visit = (key: Key, value: unknown, weight: number): void => {
        assert.deepEqual([value, weight], [key, 2]);
        visited.push(key);
        cache.remove(key);
      };
      assert.equal(cache.visit(0, 20, visit), 20);
      assert.equal(visited.length, 19, 'a place without an entry counts');
      assert.equal(cache.visit(20, 40, visit), 50);
      assert.deepEqual([new Set(visited).size, cache.size], [49, 0]);
      cache.clear();
      assert.equal(cache.visit(20, 40, visit), 20);
      assert.equal(visited.length, 49);
    });

    test('begins an iteration with the call that asks for it', () => {
      const cache = makeFull();
      cache.remove(3);
      const iteration = cache.entries();
      cache.put(4, 'd', 1);
      cache.put(5, 'e', 1);
      const visited = new Set([...iteration].map(({ key }) => key));
      assert.deepEqual([visited.has(1), visited.has(2), visited.has(5)], [true, true, false]);
    });

    test('ends an iteration when it is cleared under it, and invents nothing when it is filled again', () => {
      for (const refilled of [0, 3, 40]) {
        const cache = make({ maxWeight: 100 });
        for (let key = 0; key < 50; key++) cache.put(key, key);
        const iteration = cache.entries();
        for (let step = 0; step < 20; step++) iteration.next();
        cache.remove(45);
        cache.clear();
        for (let key = 100; key < 100 + refilled; key++) cache.put(key, key);
        const rest = [...iteration];
        assert.equal(rest.length, Math.max(0, refilled - 20));
        for (const { key, value, weight } of rest) assert.deepEqual([(key as number) >= 100, value, weight], [true, key, 1]);
      }
    });

    test('repeats with the same random source and the same calls', () => {
      const run = (): readonly Key[] => {
        const cache = make({ maxWeight: 20, random: seededRandom(7) });
        const random = seededRandom(8);
        for (let time = 0; time < 2000; time++) {
          const key = `key ${Math.floor(60 ** random.next())}`;
          if (cache.get(key) === undefined) cache.put(key, time);
        }
        return keysOf(cache);
      };
      assert.deepEqual(run(), run());
    });

    test('refuses options and weights that make no sense', () => {
      for (const maxWeight of [0, -1, 1.5, Number.NaN, Infinity, '5' as unknown as number]) {
        assert.throws(() => make({ maxWeight }), { name: 'RangeError', message: /^maxWeight must be a whole number, 1 or more, not / });
      }
      for (const expectedCount of [0, -1, 2 ** 24 + 1, Number.NaN]) {
        assert.throws(() => make({ maxWeight: 5, expectedCount }), { name: 'RangeError', message: /^expectedCount must be / });
      }
      for (const maxCount of [0, 0.5, 2 ** 26 + 1, Infinity]) {
        assert.throws(() => make({ maxWeight: 5, maxCount }), { name: 'RangeError', message: /^maxCount must be / });
      }
      const cache = makeFull();
      for (const weight of [0, -1, 1.5, 0x1_0000, Number.NaN, Infinity]) {
        assert.throws(() => cache.put(9, 'x', weight), {
          name: 'RangeError',
          message: /^weight must be a whole number from 1 to 65535, not /,
        });
        assert.throws(() => cache.forcePut(1, 'x', weight), RangeError);
      }
      assert.deepEqual([cache.size, cache.weight, cache.peek(1)], [3, 5, 'a']);
    });
  });
}

test('a cache may be bounded in bytes: the sketch is sized for entries', () => {
  const cache = new TinyUfo<string, string>({ maxWeight: Number.MAX_SAFE_INTEGER, random: seededRandom(1) });
  assert.deepEqual(cache.put('a', 'value', 65_535), []);
  assert.equal(cache.weight, 65_535);
});

test('a walk by visit looks at bounded numbers of places, empty ones too, and may change the cache', () => {
  const cache = new TinyUfo<number, number>({ maxWeight: 10, random: seededRandom(1) });
  for (let key = 0; key < 8; key++) cache.put(key, 10 * key, key === 7 ? 2 : 1);
  for (let key = 1; key < 7; key++) cache.remove(key);
  const seen: string[] = [];
  const visit = (key: number, value: number, weight: number): void => void seen.push(`${key} ${value} ${weight}`);
  assert.deepEqual([cache.visit(0, 3, visit), cache.visit(3, 4, visit)], [3, 7]);
  assert.deepEqual(seen, ['0 0 1']);
  // Less than what was asked for: the end.
  assert.deepEqual([cache.visit(7, 4, visit), cache.visit(8, 4, visit), cache.visit(100, Infinity, visit)], [8, 8, 100]);
  assert.deepEqual(seen, ['0 0 1', '7 70 2']);
  assert.equal(cache.visit(0, 0, visit), 0);
  assert.equal(
    cache.visit(0, Infinity, () => cache.clear()),
    1,
  );
  assert.equal(cache.size, 0);
});

test('a step over places checks its numbers, and ends whatever the visitor adds', () => {
  const cache = new TinyUfo<number, number>({ maxWeight: 1000, random: seededRandom(1) });
  cache.put(0, 0);
  for (const [from, maxPlaces] of [
    [-1, 1],
    [0.5, 1],
    [Number.NaN, 1],
    [0, -1],
    [0, Number.NaN],
    ['0', 1],
  ] as [number, number][]) {
    assert.throws(() => cache.visit(from, maxPlaces, () => {}), RangeError);
  }
  let visits = 0;
  cache.visit(0, Infinity, (key) => {
    visits++;
    cache.put(key + 1, 0);
  });
  assert.equal(visits, 1);
});
