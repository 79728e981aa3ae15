/** Any use of guards, against a map of exact counts, with so many counters that few keys do not meet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Inflight, type InflightGuard } from '../src/index.ts';

interface Model {
  readonly counts: Map<string, number>;
  readonly guards: { readonly key: string; count: number; isHeld: boolean }[];
}

interface Real {
  readonly inflight: Inflight;
  readonly guards: InflightGuard[];
}

type Command = fc.Command<Model, Real>;

const keys = ['', '__proto__', 'b'] as const;

function command(label: string, run: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      for (const key of keys) assert.equal(real.inflight.estimate(key), model.counts.get(key) ?? 0);
    },
    toString: () => label,
  };
}

function change({ counts }: Model, key: string, by: number): number {
  const count = (counts.get(key) ?? 0) + by;
  counts.set(key, count);
  return count;
}

const key = fc.constantFrom(...keys);
const by = fc.integer({ min: 0, max: 5 });
const acquire = fc.tuple(key, by).map(([key, by]) =>
  command(`acquire(${key}, ${by})`, (model, real) => {
    const guard = real.inflight.acquire(key, by);
    assert.equal(guard.estimateAtStart, change(model, key, by));
    real.guards.push(guard);
    model.guards.push({ key, count: by, isHeld: true });
  }),
);
const tryAcquire = fc.tuple(key, fc.nat(8), by).map(([key, max, by]) =>
  command(`tryAcquire(${key}, ${max}, ${by})`, (model, real) => {
    const guard = real.inflight.tryAcquire(key, max, by);
    assert.equal(guard !== null, (model.counts.get(key) ?? 0) + by <= max);
    if (guard === null) return;
    change(model, key, by);
    real.guards.push(guard);
    model.guards.push({ key, count: by, isHeld: true });
  }),
);
const grow = fc.tuple(fc.nat(20), by).map(([index, by]) =>
  command(`increment(${index}, ${by})`, (model, real) => {
    const guard = real.guards[index];
    const twin = model.guards[index];
    if (guard === undefined || twin === undefined) return;
    if (!twin.isHeld) {
      assert.throws(() => guard.increment(by), new TypeError('a released guard counts nothing'));
      return;
    }
    twin.count += by;
    assert.equal(guard.increment(by), change(model, twin.key, by));
    assert.equal(guard.count, twin.count);
    assert.equal(guard.estimate, model.counts.get(twin.key));
  }),
);
const release = fc.nat(20).map((index) =>
  command(`release(${index})`, (model, real) => {
    const twin = model.guards[index];
    real.guards[index]?.release();
    if (twin === undefined || !twin.isHeld) return;
    change(model, twin.key, -twin.count);
    twin.isHeld = false;
    assert.equal(real.guards[index]?.count, 0);
  }),
);
const bare = fc.tuple(key, by, fc.boolean()).map(([key, by, isUp]) =>
  command(`${isUp ? 'increment' : 'decrement'}(${key}, ${by})`, (model, real) => {
    const estimate = isUp ? real.inflight.increment(key, by) : real.inflight.decrement(key, by);
    assert.equal(estimate, change(model, key, isUp ? by : -by));
  }),
);

test('any use of guards counts what a map counts', () => {
  fc.assert(
    fc.property(fc.commands([acquire, tryAcquire, grow, release, bare], { maxCommands: 60 }), (commands) => {
      fc.modelRun(
        () => ({
          model: { counts: new Map<string, number>(), guards: [] },
          real: { inflight: new Inflight({ random: seededRandom(4) }), guards: [] },
        }),
        commands,
      );
    }),
  );
});

test('a guard ends with its block, and once', () => {
  const inflight = new Inflight({ hashes: 2, slots: 16 });
  assert.deepEqual([inflight.hashes, inflight.slots], [2, 16]);
  {
    using guard = inflight.acquire('a', 2);
    assert.equal(guard.estimate, 2);
  }
  assert.equal(inflight.estimate('a'), 0);
});

test('where all keys share the counters, what is refused is too much, never too little', () => {
  const inflight = new Inflight({ hashes: 2, slots: 1 });
  const guard = inflight.acquire('a', 2);
  assert.equal(inflight.tryAcquire('b', 2), null);
  guard.release();
  assert.equal(inflight.tryAcquire('b', 2)?.estimateAtStart, 1);
});

test('bad numbers are refused by name', () => {
  const inflight = new Inflight();
  assert.throws(() => inflight.tryAcquire('a', -1), /^RangeError: max must/);
  assert.throws(() => inflight.tryAcquire('a', Number.NaN), /^RangeError: max must/);
  for (const by of [-1, 0.5, 2 ** 31]) {
    assert.throws(() => inflight.acquire('a', by), /^RangeError: by must/);
    assert.throws(() => inflight.tryAcquire('a', 1, by), /^RangeError: by must/);
    assert.throws(() => inflight.increment('a', by), /^RangeError: by must/);
    assert.throws(() => inflight.decrement('a', by), /^RangeError: by must/);
  }
  const guard = inflight.acquire('a', 2 ** 31 - 1);
  assert.throws(() => guard.increment(1), /^RangeError: count must/);
  assert.equal(inflight.tryAcquire('b', Infinity)?.estimate, 1);
});
