/** Any use of a cache, with iterations going on in between, against naive lists that are searched each time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Lru, type LruEntry } from '../src/index.ts';

interface Settings {
  readonly shards: number;
  readonly maxWeight: number;
  readonly maxCount: number;
  readonly seed: number;
}

/** One stay in the cache: a key that leaves and comes again begins another. */
interface Stay {
  readonly key: number;
  value: number;
  weight: number;
}

/** The naive twin: a list for each shard, the most recent first. It draws from the same seed at the same places. */
class NaiveLru {
  readonly settings: Settings;
  readonly shards: Stay[][];
  readonly walks: NaiveWalk[] = [];
  readonly #random: Random;
  evictedCount = 0;
  evictedWeight = 0;
  /** Values are numbered, so that each is known again. */
  nextValue = 0;

  constructor(settings: Settings) {
    this.settings = settings;
    this.shards = Array.from({ length: settings.shards }, () => []);
    this.#random = seededRandom(settings.seed);
  }

  get stays(): readonly Stay[] {
    return this.shards.flat();
  }

  get weight(): number {
    return this.stays.reduce((sum, { weight }) => sum + weight, 0);
  }

  shardOf(key: number): Stay[] {
    return this.shards[key % this.settings.shards] as Stay[];
  }

  find(key: number): Stay | undefined {
    return this.shardOf(key).find((stay) => stay.key === key);
  }

  admit(key: number, value: number, weight: number): void {
    const known = this.find(key);
    if (known === undefined) {
      this.shardOf(key).unshift({ key, value, weight });
      return;
    }
    known.value = value;
    known.weight = weight;
    this.promote(key);
  }

  promote(key: number): boolean {
    const stay = this.remove(key);
    if (stay !== undefined) this.shardOf(key).unshift(stay);
    return stay !== undefined;
  }

  remove(key: number): Stay | undefined {
    const shard = this.shardOf(key);
    const index = shard.findIndex((stay) => stay.key === key);
    return index === -1 ? undefined : shard.splice(index, 1)[0];
  }

  evict(shard: Stay[]): Stay | undefined {
    const stay = shard.pop();
    if (stay === undefined) return undefined;
    this.evictedCount++;
    this.evictedWeight += stay.weight;
    return stay;
  }

  evictToLimit(): (Stay | undefined)[] {
    const evicted: (Stay | undefined)[] = [];
    while (this.weight > this.settings.maxWeight || this.stays.length > this.settings.maxCount) evicted.push(this.evict(this.#drawShard()));
    return evicted;
  }

  load(entries: readonly Stay[]): void {
    const { maxWeight, maxCount } = this.settings;
    for (const entry of entries) {
      if (entry.weight > maxWeight || this.find(entry.key) !== undefined) continue;
      if (this.weight + entry.weight > maxWeight || this.stays.length >= maxCount) return;
      this.shardOf(entry.key).push({ ...entry });
    }
  }

  #drawShard(): Stay[] {
    const { shards } = this;
    if (shards.length === 1) return shards[0] as Stay[];
    const word = this.#random.uint32();
    const first = Math.floor(((word >>> 16) * shards.length) / 0x1_0000);
    const second = Math.floor(((word & 0xffff) * shards.length) / 0x1_0000);
    const lengthOf = (index: number): number => (shards[index % shards.length] as Stay[]).length;
    let index = lengthOf(second) > lengthOf(first) ? second : first;
    while (lengthOf(index) === 0) index++;
    return shards[index % shards.length] as Stay[];
  }
}

/** An iteration of the twin: lists a shard when its turn comes, and leaves out what is gone when it is reached. */
class NaiveWalk {
  readonly #model: NaiveLru;
  readonly #shards: Stay[][];
  #listed: Stay[] = [];

  constructor(model: NaiveLru, shard: number | undefined) {
    this.#model = model;
    this.#shards = shard === undefined ? model.shards.slice() : [model.shards[shard] as Stay[]];
  }

  next(): Stay | undefined {
    for (;;) {
      const stay = this.#listed.shift();
      if (stay !== undefined && this.#model.find(stay.key) === stay) return { ...stay };
      if (stay !== undefined) continue;
      const shard = this.#shards.shift();
      if (shard === undefined) return undefined;
      this.#listed = shard.slice();
    }
  }
}

class Real {
  readonly cache: Lru<number, number>;
  readonly walks: IterableIterator<LruEntry<number, number>>[] = [];

  constructor({ seed, ...options }: Settings) {
    this.cache = new Lru({ ...options, shardOf: (key) => key, random: seededRandom(seed) });
  }
}

type Command = fc.Command<NaiveLru, Real>;

function command(label: string, run: (model: NaiveLru, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      const { cache } = real;
      assert.deepEqual([...cache], model.stays);
      assert.deepEqual([cache.size, cache.weight], [model.stays.length, model.weight]);
      assert.deepEqual([cache.evictedCount, cache.evictedWeight], [model.evictedCount, model.evictedWeight]);
      for (const [index, shard] of model.shards.entries()) {
        assert.equal(cache.sizeOf(index), shard.length);
        assert.equal(
          cache.weightOf(index),
          shard.reduce((sum, { weight }) => sum + weight, 0),
        );
        assert.deepEqual(cache.peekLru(index), shard.at(-1));
        assert.deepEqual(cache.save(index), shard);
      }
    },
    toString: () => label,
  };
}

function isWithinFirst(model: NaiveLru, key: number, n: number): boolean {
  return model
    .shardOf(key)
    .slice(0, n)
    .some((stay) => stay.key === key);
}

const key = fc.nat(19);
const weight = fc.integer({ min: 1, max: 9 });
const shard = fc.nat(3);

const commands: fc.Arbitrary<Command>[] = [
  fc.tuple(key, weight).map(([key, weight]) =>
    command(`set(${key}, ${weight})`, (model, { cache }) => {
      const value = model.nextValue++;
      const isHeld = weight <= model.settings.maxWeight;
      assert.equal(cache.set(key, value, weight), isHeld);
      if (isHeld) model.admit(key, value, weight);
      else model.remove(key);
      model.evictToLimit();
    }),
  ),
  fc.tuple(key, weight).map(([key, weight]) =>
    command(`admit(${key}, ${weight})`, (model, { cache }) => {
      const value = model.nextValue++;
      assert.equal(cache.admit(key, value, weight), key % model.settings.shards);
      model.admit(key, value, weight);
    }),
  ),
  fc.tuple(key, weight).map(([key, weight]) =>
    command(`insertTail(${key}, ${weight})`, (model, { cache }) => {
      const value = model.nextValue++;
      const isNew = model.find(key) === undefined;
      assert.equal(cache.insertTail(key, value, weight), isNew);
      if (isNew) model.shardOf(key).push({ key, value, weight });
    }),
  ),
  key.map((key) =>
    command(`get(${key})`, (model, { cache }) => {
      const expected = model.find(key);
      assert.deepEqual(
        [cache.has(key), cache.peek(key), cache.peekWeight(key)],
        [expected !== undefined, expected?.value, expected?.weight ?? 0],
      );
      assert.equal(cache.get(key), expected?.value);
      model.promote(key);
    }),
  ),
  key.map((key) => command(`promote(${key})`, (model, { cache }) => assert.equal(cache.promote(key), model.promote(key)))),
  fc.tuple(key, fc.nat(6)).map(([key, n]) =>
    command(`promoteTopN(${key}, ${n})`, (model, { cache }) => {
      assert.equal(cache.promoteTopN(key, n), model.find(key) !== undefined);
      if (!isWithinFirst(model, key, n)) model.promote(key);
    }),
  ),
  fc.tuple(key, fc.nat(5), fc.option(fc.nat(12), { nil: undefined })).map(([key, delta, max]) =>
    command(`incrementWeight(${key}, ${delta}, ${String(max)})`, (model, { cache }) => {
      const stay = model.find(key);
      if (stay !== undefined) stay.weight = Math.max(stay.weight, Math.min(stay.weight + delta, max ?? Infinity));
      assert.equal(cache.incrementWeight(key, delta, max), stay?.weight ?? 0);
    }),
  ),
  key.map((key) => command(`remove(${key})`, (model, { cache }) => assert.deepEqual(cache.remove(key), model.remove(key)))),
  shard.map((shard) =>
    command(`evictShard(${shard})`, (model, { cache }) => {
      const index = shard % model.settings.shards;
      assert.deepEqual(cache.evictShard(index), model.evict(model.shards[index] as Stay[]));
    }),
  ),
  fc.constant(command('evictToLimit', (model, { cache }) => assert.deepEqual(cache.evictToLimit(), model.evictToLimit()))),
  fc.array(fc.tuple(key, weight), { maxLength: 8 }).map((entries) =>
    command(`load(${JSON.stringify(entries)})`, (model, { cache }) => {
      const saved = entries.map(([key, weight]) => ({ key, value: model.nextValue++, weight }));
      cache.load(saved);
      model.load(saved);
    }),
  ),
  fc.constant(
    command('clear', (model, { cache }) => {
      cache.clear();
      for (const shard of model.shards) shard.length = 0;
    }),
  ),
  fc.option(shard, { nil: undefined }).map((shard) =>
    command(`walk(${String(shard)})`, (model, real) => {
      const index = shard === undefined ? undefined : shard % model.settings.shards;
      real.walks.push(real.cache.entries(index));
      model.walks.push(new NaiveWalk(model, index));
    }),
  ),
  fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 3 })).map(([index, steps]) =>
    command(`step(${index}, ${steps})`, (model, real) => {
      const walk = model.walks[index % Math.max(1, model.walks.length)];
      const entries = real.walks[index % Math.max(1, real.walks.length)];
      for (let step = 0; step < steps; step++) assert.deepEqual(entries?.next().value, walk?.next());
    }),
  ),
];

const settings = fc.record({
  shards: fc.integer({ min: 1, max: 3 }),
  maxWeight: fc.constantFrom(5, 20, Infinity),
  maxCount: fc.constantFrom(1, 6, Infinity),
  seed: fc.nat(1000),
});

test('any use of a cache agrees with naive lists, also what iterations see that go on meanwhile', () => {
  fc.assert(
    fc.property(settings, fc.commands(commands, { maxCommands: 120 }), (settings, commands) => {
      fc.modelRun(() => ({ model: new NaiveLru(settings), real: new Real(settings) }), commands);
    }),
    { numRuns: 500 },
  );
});
