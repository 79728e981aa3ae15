/** Any use of a cache, against a plain list that remembers every put. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { MemoryCache } from '../src/index.ts';

const keys = ['a', 'b', 'c', 'd', 'e', '__proto__', 0, 1] as const;
type Key = (typeof keys)[number];

interface Stored {
  readonly value: number;
  readonly expiresAt: number;
}

/** The naive twin; what the real cache evicts or refuses, by rules that are TinyUFO's, it is told. */
class NaiveCache {
  readonly stored = new Map<Key, Stored>();
  time = 0;
  lastValue = 0;

  fresh(key: Key): number | undefined {
    const entry = this.stored.get(key);
    return entry !== undefined && entry.expiresAt > this.time ? entry.value : undefined;
  }

  stale(key: Key, maxStaleMs: number): number | undefined {
    const entry = this.stored.get(key);
    return entry !== undefined && this.time - entry.expiresAt <= maxStaleMs ? entry.value : undefined;
  }
}

class Real {
  readonly clock = new ManualClock();
  readonly cache: MemoryCache<Key, number>;

  constructor(maxWeight: number, isCompact: boolean) {
    this.cache = new MemoryCache({ clock: this.clock, maxWeight, isCompact, random: seededRandom(1), defaultTtlMs: 70 });
  }
}

type Command = fc.Command<NaiveCache, Real>;

function command(label: string, run: (model: NaiveCache, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      for (const key of model.stored.keys()) if (real.cache.read(key, Infinity).status === 'miss') model.stored.delete(key);
      assert.equal(real.cache.size, model.stored.size);
      assert.equal(real.cache.weight, model.stored.size);
      assert.ok(real.cache.weight <= real.cache.maxWeight);
      for (const key of keys) assert.equal(real.cache.has(key), model.fresh(key) !== undefined);
    },
    toString: () => label,
  };
}

const key = fc.constantFrom(...keys);
const put = fc
  .record({ key, ttlMs: fc.constantFrom(undefined, 0, 1, 50, 100, Infinity), isForced: fc.boolean() })
  .map(({ key, ttlMs, isForced }) =>
    command(`${isForced ? 'forcePut' : 'put'}(${key}, ${String(ttlMs)})`, (model, real) => {
      const value = ++model.lastValue;
      const isStored = isForced ? real.cache.forcePut(key, value, ttlMs) : real.cache.put(key, value, ttlMs);
      if (isForced) assert.equal(isStored, ttlMs !== 0);
      // A value that is written again is never refused.
      if (model.stored.has(key)) assert.equal(isStored, ttlMs !== 0);
      if (isStored) model.stored.set(key, { value, expiresAt: model.time + (ttlMs ?? 70) });
      else if (ttlMs === 0) model.stored.delete(key);
    }),
  );
const get = key.map((key) => command(`get(${key})`, (model, real) => assert.equal(real.cache.get(key), model.fresh(key))));
const read = fc.tuple(key, fc.constantFrom(0, 1, 49, 50, Infinity)).map(([key, maxStaleMs]) =>
  command(`read(${key}, ${maxStaleMs})`, (model, real) => {
    const { status, value, staleMs } = real.cache.read(key, maxStaleMs);
    const fresh = model.fresh(key);
    const stale = maxStaleMs === 0 ? undefined : model.stale(key, maxStaleMs);
    const entry = model.stored.get(key);
    if (fresh !== undefined) assert.deepEqual([status, value, staleMs], ['hit', fresh, 0]);
    else if (stale !== undefined)
      assert.deepEqual([status, value, staleMs], ['stale', stale, model.time - (entry?.expiresAt ?? Number.NaN)]);
    else assert.deepEqual([status, value, staleMs], [entry === undefined ? 'miss' : 'expired', undefined, 0]);
  }),
);
const getMany = fc.array(key).map((wanted) =>
  command(`getMany(${wanted.join()})`, (model, real) => {
    const { hits, misses } = real.cache.getMany(wanted);
    for (const [key, value] of hits) assert.equal(value, model.fresh(key));
    for (const key of misses) assert.equal(model.fresh(key), undefined);
    assert.deepEqual(new Set([...hits.keys(), ...misses]), new Set(wanted));
    assert.equal(hits.size + misses.length, new Set(wanted).size);
  }),
);
const remove = key.map((key) => command(`delete(${key})`, (model, real) => assert.equal(real.cache.delete(key), model.stored.delete(key))));
const advance = fc.constantFrom(0, 1, 49, 50, 100).map((ms) =>
  command(`advance(${ms})`, (model, real) => {
    real.clock.advance(ms);
    model.time += ms;
  }),
);
const purge = fc.tuple(fc.constantFrom(0, 1, 3, Infinity), fc.constantFrom(0, 50)).map(([maxVisits, maxStaleMs]) =>
  command(`purgeExpired(${maxVisits}, ${maxStaleMs})`, (model, real) => {
    const before = model.stored.size;
    const purged = real.cache.purgeExpired(maxVisits, maxStaleMs);
    assert.ok(purged <= maxVisits);
    for (const [key, { expiresAt }] of model.stored) {
      // What a reader with the same allowance could still have is not due.
      const staleMs = model.time - expiresAt;
      const isDue = maxStaleMs === 0 ? staleMs >= 0 : staleMs > maxStaleMs;
      const isGone = real.cache.read(key, Infinity).status === 'miss';
      if (maxVisits === Infinity) assert.equal(isGone, isDue);
      else assert.ok(!isGone || isDue);
      if (isGone) model.stored.delete(key);
    }
    assert.equal(before - model.stored.size, purged);
  }),
);
const clear = fc.constant(
  command('clear', (model, real) => {
    real.cache.clear();
    model.stored.clear();
  }),
);
/** Clearing ends most of what can happen, so it is rare. */
const commands = [
  put,
  put,
  get,
  read,
  getMany,
  remove,
  advance,
  purge,
  fc.oneof({ weight: 9, arbitrary: put }, { weight: 1, arbitrary: clear }),
];

test('a cache behaves as a list of puts, but for what it evicts', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 3, 100),
      fc.boolean(),
      fc.commands(commands, { maxCommands: 80, size: 'max' }),
      (maxWeight, isCompact, commands) => {
        fc.modelRun(() => ({ model: new NaiveCache(), real: new Real(maxWeight, isCompact) }), commands);
      },
    ),
    { numRuns: 300 },
  );
});

test('a cache with room for all evicts nothing', () => {
  const cache = new MemoryCache<number, number>({ clock: new ManualClock(), maxWeight: 1000, random: seededRandom(1) });
  fc.assert(
    fc.property(fc.array(fc.nat(999)), (keys) => {
      cache.clear();
      for (const key of keys) assert.equal(cache.put(key, key), true);
      for (const key of keys) assert.equal(cache.get(key), key);
    }),
  );
});
