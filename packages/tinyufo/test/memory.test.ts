/** What has left is let go of: nobody can reach it, so the collector must be able to. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededRandom } from '@ferrata/clock';
import { TinyUfo } from '../src/index.ts';
import { EntrySlots } from '../src/internal/entry-slots.ts';

type Cache = TinyUfo<number, object>;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** In a function of its own, so that no variable still holds the value. */
function putNew(cache: Cache, key: number, weight = 1): WeakRef<object> {
  const value = {};
  cache.put(key, value, weight);
  return new WeakRef(value);
}

async function areLeft(refs: readonly WeakRef<object>[]): Promise<readonly boolean[]> {
  // A WeakRef holds what it was made for until the end of the job.
  await setImmediate();
  collect();
  return refs.map((ref) => ref.deref() !== undefined);
}

for (const isCompact of [false, true]) {
  const make = (maxWeight: number): Cache => new TinyUfo({ maxWeight, isCompact, random: seededRandom(1) });

  describe(isCompact ? 'a compact TinyUfo lets go' : 'a TinyUfo lets go', () => {
    test('of values that were removed', async () => {
      const cache = make(10);
      const refs = [1, 2, 3].map((key) => putNew(cache, key));
      cache.remove(1);
      cache.remove(3);
      assert.deepEqual(await areLeft(refs), [false, true, false]);
      assert.equal(cache.size, 1);
    });

    test('of values that were evicted, also of those whose place nobody takes', async () => {
      const cache = make(5);
      const refs = [1, 2, 3, 4, 5].map((key) => putNew(cache, key));
      const newcomer = putNew(cache, 6, 4);
      assert.deepEqual(await areLeft([...refs, newcomer]), [false, false, false, false, true, true]);
      assert.equal(cache.weight, 5);
    });

    test('of values that were refused, as newcomers or for their weight', async () => {
      const cache = make(3);
      for (const key of [1, 2, 3]) for (let time = 0; time < 3; time++) putNew(cache, key);
      const refs = [putNew(cache, 4), putNew(cache, 5, 4), putNew(cache, 1, 4)];
      assert.deepEqual(await areLeft(refs), [false, false, false]);
      assert.equal(cache.size, 2);
    });

    test('of values that were replaced', async () => {
      const cache = make(3);
      const refs = [putNew(cache, 1), putNew(cache, 1)];
      assert.deepEqual(await areLeft(refs), [false, true]);
      assert.equal(cache.size, 1);
    });

    test('of all values when it is cleared', async () => {
      const cache = make(5);
      const refs = [1, 2, 3, 4, 5].map((key) => putNew(cache, key));
      cache.clear();
      assert.deepEqual(await areLeft(refs), [false, false, false, false, false]);
      assert.equal(cache.size, 0);
    });

    test('of the memory for its entries when it is cleared, and can be filled again', async () => {
      const count = 200_000;
      const makeEmpty = (): TinyUfo<number, number> =>
        new TinyUfo({ maxWeight: count, expectedCount: 1, isCompact, random: seededRandom(1) });
      const fill = (cache: TinyUfo<number, number>): void => {
        for (let key = 0; key < count; key++) cache.put(key, key);
      };
      // A first time with another one, so that the code is compiled before memory is compared. In a function, which doesn't hold it afterwards.
      (() => fill(makeEmpty()))();
      const cache = makeEmpty();
      const before = await bytesInUse();
      fill(cache);
      const full = await bytesInUse();
      assert.ok(full.buffers - before.buffers > 15 * count, 'the arrays of numbers are filled');
      assert.ok(full.heap - before.heap > 15 * count, 'the arrays of keys and values are filled');
      cache.clear();
      const after = await bytesInUse();
      // Less than a byte an entry: the smallest array has one.
      assert.ok(after.buffers - before.buffers < count / 2, `${after.buffers - before.buffers} bytes of buffers are left`);
      assert.ok(after.heap - before.heap < 2 * count, `${after.heap - before.heap} bytes of the heap are left`);
      fill(cache);
      assert.equal(cache.size, count);
      assert.equal(cache.peek(count - 1), count - 1);
    });
  });
}

test('a slot that is free holds neither key nor value', async () => {
  const slots = new EntrySlots<object, object>(10);
  const [kept, vacated] = [occupy(slots), occupy(slots)];
  slots.vacate(vacated.slot);
  assert.deepEqual(await areLeft([...vacated.refs, ...kept.refs]), [false, false, true, true]);
  slots.clear();
  assert.deepEqual(await areLeft(kept.refs), [false, false]);
  assert.equal(slots.end, slots.start);
});

test('a cache that is cleared has arrays as short as a new one', () => {
  const slots = new EntrySlots<number, number>(1000);
  const lengths = (): readonly number[] => [slots.hashes.length, slots.weights.length, slots.keys.length, slots.values.length];
  const atFirst = lengths();
  for (let key = 0; key < 1000; key++) slots.occupy(key, key, 1, key);
  assert.deepEqual(lengths(), [1002, 1002, 1002, 1002]);
  slots.clear();
  assert.deepEqual(lengths(), atFirst);
});

function occupy(slots: EntrySlots<object, object>): { readonly slot: number; readonly refs: readonly WeakRef<object>[] } {
  const [key, value] = [{}, {}];
  const slot = slots.occupy(key, value, 1, 1);
  return { slot, refs: [new WeakRef(key), new WeakRef(value)] };
}

async function bytesInUse(): Promise<{ readonly heap: number; readonly buffers: number }> {
  await setImmediate();
  // Two: what the first has found to be garbage is given back with the second.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers };
}
