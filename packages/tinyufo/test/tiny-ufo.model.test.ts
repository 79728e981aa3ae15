/** Any use of a cache, against a naive twin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TinyUfo, type TinyUfoEntry } from '../src/index.ts';
import { type Departures, NaiveTinyUfo } from './fixtures/naive-tiny-ufo.ts';

type Key = string | number;

const keys: readonly Key[] = [
  0,
  1,
  2,
  -3,
  1.5,
  2 ** 40,
  '',
  '0',
  '1',
  '__proto__',
  'constructor',
  'toString',
  'é',
  '\ud800',
  'k'.repeat(300),
  'x',
];
/** Enough for a block of the sketch to each key whose hash is its number in the list, so that its counts are exact. */
const expectedCounts = { normal: 64, compact: 256 } as const;

interface Settings {
  readonly maxWeight: number;
  readonly maxCount: number;
  readonly isCompact: boolean;
  /** How the hashes of keys differ: not at all, by one each (which crowds the table), or in all bits. */
  readonly hashes: 'same' | 'near' | 'spread';
}

class Real {
  readonly cache: TinyUfo<Key, number>;
  /** An iteration under way, and what it has to keep. */
  iteration: Iteration | null = null;
  nextValue = 0;

  constructor(settings: Settings) {
    this.cache = new TinyUfo({ ...settings, expectedCount: expectedCountOf(settings), hashOf: hashOf(settings) });
  }
}

/** Entries are known again by the stay that they have begun in the twin. */
interface Iteration {
  readonly entries: Iterator<TinyUfoEntry<Key, number>>;
  readonly visited: Set<Key>;
  /** Those that were there when it began, and have not left since. */
  readonly stayed: Set<Key>;
}

type Command = fc.Command<NaiveTinyUfo, Real>;

function command(label: string, run: (model: NaiveTinyUfo, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      const { cache, iteration } = real;
      assert.equal(cache.size, model.all.length);
      assert.equal(cache.weight, model.weight);
      assert.ok(cache.weight <= cache.maxWeight);
      for (const key of keys) {
        const entry = model.find(key);
        assert.equal(cache.has(key), entry !== undefined);
        assert.equal(cache.peek(key), entry?.value);
        if (entry !== undefined) continue;
        iteration?.stayed.delete(key);
        iteration?.visited.delete(key);
      }
    },
    toString: () => label,
  };
}

function assertDepartures(actual: Departures, expected: Departures): void {
  const plain = ({ key, value, weight }: Departures[number]): Departures[number] => ({ key, value, weight });
  assert.deepEqual(actual.map(plain), expected.map(plain));
}

const key = fc.constantFrom(...keys);
const weight = fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, { weight: 2, arbitrary: fc.integer({ min: 1, max: 12 }) });
const put = fc.tuple(key, weight, fc.boolean()).map(([key, weight, isForced]) =>
  command(`${isForced ? 'forcePut' : 'put'}(${label(key)}, …, ${weight})`, (model, real) => {
    const value = real.nextValue++;
    const before = new Set(model.all.map((entry) => entry.key));
    const evicted = isForced ? real.cache.forcePut(key, value, weight) : real.cache.put(key, value, weight);
    assertDepartures(evicted, model.put(key, value, weight, isForced));
    if (isForced && weight <= real.cache.maxWeight) assert.equal(real.cache.peek(key), value);
    // What left and came back within one call would still be a new stay: no entry does.
    for (const entry of evicted) if (before.has(entry.key)) assert.equal(model.find(entry.key), undefined);
  }),
);
const burst = fc.tuple(key, fc.constantFrom(3, 20, 300)).map(([key, times]) =>
  command(`put(${label(key)}) ${times} times`, (model, real) => {
    for (let time = 0; time < times; time++) {
      assertDepartures(real.cache.put(key, time), model.put(key, time, 1, false));
    }
  }),
);
const get = fc.tuple(key, fc.integer({ min: 1, max: 5 })).map(([key, times]) =>
  command(`get(${label(key)}) ${times} times`, (model, real) => {
    for (let time = 0; time < times; time++) assert.equal(real.cache.get(key), model.get(key));
  }),
);
const remove = key.map((key) => command(`remove(${label(key)})`, (model, real) => assert.equal(real.cache.remove(key), model.remove(key))));
const clear = fc.constant(
  command('clear', (model, real) => {
    real.cache.clear();
    model.clear();
  }),
);
const iterate = fc.integer({ min: 1, max: 4 }).map((steps) =>
  command(`${steps} steps of an iteration`, (model, real) => {
    real.iteration ??= { entries: real.cache.entries(), visited: new Set(), stayed: new Set(model.all.map((entry) => entry.key)) };
    const { entries, visited, stayed } = real.iteration;
    for (let step = 0; step < steps; step++) {
      const next = entries.next();
      if (next.done === true) {
        for (const key of stayed) assert.ok(visited.has(key), `${label(key)} was left out`);
        real.iteration = null;
        return;
      }
      const { key, value, weight } = next.value;
      assert.ok(!visited.has(key), `${label(key)} was visited twice`);
      visited.add(key);
      assert.deepEqual({ value, weight }, { value: model.find(key)?.value, weight: model.find(key)?.weight });
    }
  }),
);

const settings = fc.record({
  maxWeight: fc.constantFrom(1, 2, 5, 10, 12, 40),
  maxCount: fc.constantFrom(1, 3, 100, 100),
  isCompact: fc.boolean(),
  hashes: fc.constantFrom('same' as const, 'near' as const, 'spread' as const),
});
/** Clearing ends most of what can happen, so it is rare. */
const commands = [put, put, put, burst, get, remove, iterate, fc.oneof({ weight: 9, arbitrary: get }, { weight: 1, arbitrary: clear })];

test('a cache behaves as the naive twin, and an iteration visits each stay once whatever happens meanwhile', () => {
  fc.assert(
    fc.property(settings, fc.commands(commands, { maxCommands: 120, size: 'max' }), (settings, commands) => {
      const { maxWeight, maxCount } = settings;
      const incrementsPerAge = expectedCountOf(settings) * 8;
      fc.modelRun(
        () => ({
          model: new NaiveTinyUfo({ maxWeight, maxCount, incrementsPerAge, hashOf: hashOf(settings) }),
          real: new Real(settings),
        }),
        commands,
      );
    }),
    { numRuns: 400 },
  );
});

function expectedCountOf({ isCompact }: Settings): number {
  return isCompact ? expectedCounts.compact : expectedCounts.normal;
}

function hashOf({ hashes }: Settings): (key: Key) => number {
  if (hashes === 'same') return () => -7;
  // The low four bits stay the key's own, for a block of its own.
  const factor = hashes === 'near' ? 1 : 0x9e37_79b1;
  return (key) => Math.imul(keys.indexOf(key), factor);
}

function label(key: Key): string {
  return JSON.stringify(typeof key === 'string' && key.length > 20 ? `${key.slice(0, 5)}…` : key);
}
