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
    assert.equal(guard !== null, by <= max && (model.counts.get(key) ?? 0) + by <= max);
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

test('what is refused, or has no room, leaves no trace in what others hold', () => {
  for (const slots of [1, 8192]) {
    const inflight = new Inflight({ slots, random: seededRandom(1) });
    using held = inflight.acquire('a', 3);
    assert.equal(inflight.tryAcquire('a', 5, 2 ** 31 - 1), null);
    assert.equal(inflight.tryAcquire('a', Infinity, 2 ** 31 - 1), null);
    assert.throws(() => inflight.acquire('a', 2 ** 31 - 1), /^RangeError: by must leave/);
    assert.equal(inflight.estimate('a'), 3);
    using large = inflight.acquire('a', 2_130_706_432 - 3);
    assert.throws(() => held.increment(), /^RangeError: by must leave/);
    assert.throws(() => inflight.acquire('a', 10), /^RangeError: by must leave/);
    large.release();
    assert.equal(inflight.estimate('a'), 3);
    held.release();
    assert.equal(inflight.estimate('a'), 0);
  }
});

test('a key that has no room in one row takes nothing in the others', () => {
  // Two columns: of twenty keys some share the second row with a full one, and not the first.
  const inflight = new Inflight({ hashes: 2, slots: 2, random: seededRandom(1) });
  inflight.increment('full', 2_130_706_432);
  const counters = new Int32Array(inflight.memory, 128, 4);
  let isTried = false;
  for (let index = 0; index < 20; index++) {
    const before = [...counters];
    const key = `key ${index}`;
    const guard = inflight.tryAcquire(key, Infinity);
    // Refused by the second row, after the first had room.
    if (guard === null && inflight.estimate(key) === 0) isTried = true;
    guard?.release();
    assert.deepEqual([...counters], before);
  }
  assert.ok(isTried);
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
  const largest = 2_130_706_432;
  using guard = inflight.acquire('a', largest);
  const noRoom = new RangeError('by must leave a count within 2130706432, which 1 does not');
  assert.throws(() => guard.increment(1), noRoom);
  assert.throws(() => inflight.acquire('a'), noRoom);
  assert.throws(() => inflight.increment('a', 1), noRoom);
  assert.equal(inflight.tryAcquire('a', Infinity), null);
  assert.deepEqual([guard.count, inflight.estimate('a')], [largest, largest]);
  assert.equal(inflight.decrement('c', largest), -largest);
  assert.throws(() => inflight.decrement('c'), noRoom);
  assert.equal(inflight.tryAcquire('b', Infinity)?.estimate, 1);
});
