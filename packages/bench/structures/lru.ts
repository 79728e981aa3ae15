/**
 * `lru` beside `lru-cache` and `quick-lru`, with strings as keys and numbers as values.
 *
 * Each operation is the peers' own for the same end: `get` counts as use in all three, and `set` evicts. They differ in what they keep:
 * quick-lru holds between `maxSize` entries and twice as many, in two maps of which the older is thrown away whole, so its order is
 * coarser, and its `set` never deletes a single key. It is given the same limit as the others all the same, which favours its hits.
 *
 * Bytes an entry depend on how far V8's `Map`, which is half of them or more, has outgrown what it holds: it doubles. So they are measured
 * at two sizes, before and after such a step, and in caches that have been filled and in those where entries have come and gone.
 */
import { runInThisContext } from 'node:vm';
import { seededRandom } from '@ferrata/clock';
import { Lru } from '@ferrata/lru';
import { LRUCache } from 'lru-cache';
import QuickLru from 'quick-lru';
import { median } from '../src/index.ts';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';
import { zipf } from './zipf.ts';

/** What all caches here can do. */
interface Cache {
  get(key: string): number | undefined;
  set(key: string, value: number): unknown;
}

/** The loops over a cache. Each goes on where its last call ended. */
interface Driver {
  /** Looks up the next keys. @returns something that depends on all of them, so that nothing is left out */
  get(): number;
  /** Sets the next keys. */
  set(): void;
  /** Looks up the next keys and sets those that are missing. */
  getOrSet(): number;
}

interface Load {
  readonly keys: readonly string[];
  /** Places in `keys`, one after the other; their number is a multiple of `batch`. */
  readonly order: Int32Array;
  /** Operations in one call. */
  readonly batch: number;
}

const batch = 1000;

/** The bench of `@ferrata/lru`. */
export const lru: RowBench = {
  name: 'lru',
  run(options) {
    return [...times(options), ...promotions(options), ...shardCosts(options), ...bytes(options), ...pauses(options)];
  },
};

/** At most so much of what `lru-cache` takes. */
const timeBars = { get: 1.1, set: 1.25, getOrSet: 1.1 } as const;

function times(options: RunOptions): readonly BenchRow[] {
  const rows: BenchRow[] = [];
  for (const maxCount of options.isQuick ? [1000] : [1000, 100_000]) {
    const count = `${formatCount(maxCount)} entries`;
    const keys = makeKeys(maxCount * 2);
    const there = keys.slice(0, maxCount);
    const hits: Load = { keys: there, order: uniform(maxCount), batch };
    const zipfKeys = makeKeys(maxCount * 10);
    const compareCaches = (operation: string, load: Load, filling: readonly string[], method: keyof Driver): void => {
      const ours = drive('lru', filled(new Lru<string, number>({ maxCount }), filling), load);
      const lruCache = drive('lru-cache', filled(new LRUCache<string, number>({ max: maxCount }), filling), load);
      const quickLru = drive('quick-lru', filled(new QuickLru<string, number>({ maxSize: maxCount }), filling), load);
      const comparison = {
        operation: `${operation}, ${count}`,
        ours: () => ours[method](),
        peers: { 'lru-cache': () => lruCache[method](), 'quick-lru': () => quickLru[method]() },
        operationsPerCall: batch,
        bars: options.isQuick ? {} : { 'lru-cache': { maxRatio: timeBars[method] } },
      };
      rows.push(...compareTimes(comparison, options));
    };
    compareCaches('get, hit', hits, there, 'get');
    // Filled with other keys than those that are asked for.
    compareCaches('get, miss', hits, keys.slice(maxCount), 'get');
    // One key after the other of twice as many as there is room for: each is new when it comes.
    compareCaches('set, new key, one evicted', { keys, order: sequence(2 * maxCount), batch }, there, 'set');
    compareCaches('get or set, zipf 1 over ten times as many', { keys: zipfKeys, order: skewed(zipfKeys.length), batch }, [], 'getOrSet');
  }
  return rows;
}

/** Whether looking at the first few costs less than moving: keys that are there, a few of them asked for often. */
function promotions(options: RunOptions): readonly BenchRow[] {
  const maxCount = 1000;
  const keys = makeKeys(maxCount);
  const order = skewed(maxCount);
  const [looking, plain] = [filled(new Lru<string, number>({ maxCount }), keys), filled(new Lru<string, number>({ maxCount }), keys)];
  const comparison = {
    operation: `promoteTopN(10), zipf 1, ${formatCount(maxCount)} entries`,
    ours: () => {
      for (const place of order) looking.promoteTopN(keys[place] as string, 10);
    },
    peers: {
      promote: () => {
        for (const place of order) plain.promote(keys[place] as string);
      },
    },
    operationsPerCall: order.length,
  };
  return compareTimes(comparison, options);
}

/** What hashing a key and choosing by lot cost: sixteen shards beside one. */
function shardCosts(options: RunOptions): readonly BenchRow[] {
  const maxCount = options.isQuick ? 1000 : 100_000;
  const keys = makeKeys(maxCount * 2);
  const there = keys.slice(0, maxCount);
  const hits: Load = { keys: there, order: uniform(maxCount), batch };
  const news: Load = { keys, order: sequence(2 * maxCount), batch };
  const rows: BenchRow[] = [];
  for (const [operation, load, method] of [
    ['get, hit', hits, 'get'],
    ['set, new key, one evicted', news, 'set'],
  ] as const) {
    const sharded = drive('sharded', filled(new Lru<string, number>({ maxCount, shards: 16, random: seededRandom(1) }), there), load);
    const plain = drive('plain', filled(new Lru<string, number>({ maxCount }), there), load);
    const comparison = {
      operation: `${operation}, ${formatCount(maxCount)} entries in 16 shards`,
      ours: () => sharded[method](),
      peers: { 'one shard': () => plain[method]() },
      operationsPerCall: batch,
    };
    rows.push(...compareTimes(comparison, options));
  }
  return rows;
}

/** Bytes an entry beside its key and its value: the keys are made before, and small integers are no objects. */
function bytes({ isQuick }: RunOptions): readonly BenchRow[] {
  const rows: BenchRow[] = [];
  // Nearly as many as a map of 2^20 places holds, and a few more, for which it has twice as many.
  for (const maxCount of isQuick ? [2000] : [1_000_000, 1_050_000]) {
    const keys = makeKeys(2 * maxCount);
    // After three times as many sets as there is room for, the maps have been rebuilt and hold deleted keys.
    for (const [state, sets] of [
      ['filled', maxCount],
      ['after twice as many evictions', 3 * maxCount],
    ] as const) {
      for (const weight of [1, 2]) {
        const perEntry = (make: () => WeightedCache): number => bytesOf(() => fillByWeight(make(), keys, sets, weight)) / maxCount;
        const limits = weight === 1 ? { maxCount } : { maxCount, maxWeight: weight * maxCount };
        const sizes = weight === 1 ? { max: maxCount } : { max: maxCount, maxSize: weight * maxCount };
        const peers: [string, number][] = [['lru-cache', perEntry(() => ofLruCache(new LRUCache(sizes)))]];
        if (weight === 1) peers.push(['quick-lru', perEntry(() => ofQuickLru(new QuickLru({ maxSize: maxCount })))]);
        for (const shards of [1, 16]) {
          const ours = perEntry(() => new Lru<string, number>({ ...limits, shards, random: seededRandom(1) }));
          const form = `${shards === 1 ? 'one shard' : `${shards} shards`}, weight ${weight}`;
          const operation = `an entry of ${formatCount(maxCount)}, ${state}, ${form}`;
          const bar = maxCount === 1_000_000 && state === 'filled' ? { bar: { maxOurs: 120 } } : {};
          for (const [peer, theirs] of peers) rows.push({ operation, unit: 'bytes', ours, peer, theirs, ratio: ours / theirs, ...bar });
        }
      }
    }
  }
  return rows;
}

interface WeightedCache {
  set(key: string, value: number, weight?: number): unknown;
}

function ofLruCache(cache: LRUCache<string, number>): WeightedCache {
  return { set: (key, value, weight) => (weight === undefined ? cache.set(key, value) : cache.set(key, value, { size: weight })) };
}

function ofQuickLru(cache: QuickLru<string, number>): WeightedCache {
  return { set: (key, value) => cache.set(key, value) };
}

function fillByWeight(cache: WeightedCache, keys: readonly string[], sets: number, weight: number): WeightedCache {
  for (let done = 0; done < sets; done++) {
    const key = keys[done % keys.length] as string;
    if (weight === 1) cache.set(key, done);
    else cache.set(key, done, weight);
  }
  return cache;
}

/** The longest of all evicting sets of a big cache, by the wall clock: the one in which a map is rebuilt. The median of five runs. */
function pauses({ isQuick }: RunOptions): readonly BenchRow[] {
  const maxCount = isQuick ? 2000 : 1_000_000;
  const longest = (shards: number): number => median(Array.from({ length: isQuick ? 1 : 5 }, () => longestSet(maxCount, shards)));
  const [ours, theirs] = [longest(16), longest(1)];
  const operation = `longest set of ${formatCount(maxCount)} entries in 16 shards, wall time`;
  return [{ operation, unit: 'ms', ours, peer: 'one shard', theirs, ratio: ours / theirs }];
}

function longestSet(maxCount: number, shards: number): number {
  const cache = new Lru<number, number>({ maxCount, shards, random: seededRandom(1) });
  let longest = 0;
  for (let key = 0; key < maxCount * 2.5; key++) {
    const before = performance.now();
    cache.set(key, key);
    const took = performance.now() - before;
    if (key >= maxCount && took > longest) longest = took;
  }
  return longest;
}

function filled<C extends Cache>(cache: C, keys: readonly string[]): C {
  for (const key of keys) cache.set(key, 1);
  return cache;
}

/**
 * Makes the loops over one cache. They are compiled for it alone, so that every call in them has one target, as in a program that uses one
 * cache.
 *
 * @param name makes the source differ, so that V8 takes none that it has compiled before
 */
function drive(name: string, cache: Cache, load: Load): Driver {
  const make = runInThisContext(`(${String(makeDriver)}) // ${name}`) as typeof makeDriver;
  return make(cache, load);
}

/** Reaches nothing but its arguments: it is compiled anew from its source. */
function makeDriver(cache: Cache, { keys, order, batch }: Load): Driver {
  let at = 0;
  return {
    get() {
      let sum = 0;
      for (const end = at + batch; at < end; at++) sum += cache.get(keys[order[at] as number] as string) ?? 0;
      if (at === order.length) at = 0;
      return sum;
    },
    set() {
      for (const end = at + batch; at < end; at++) cache.set(keys[order[at] as number] as string, at);
      if (at === order.length) at = 0;
    },
    getOrSet() {
      let hits = 0;
      for (const end = at + batch; at < end; at++) {
        const key = keys[order[at] as number] as string;
        if (cache.get(key) === undefined) cache.set(key, at);
        else hits++;
      }
      if (at === order.length) at = 0;
      return hits;
    },
  };
}

/** Paths as a proxy's cache has them; made flat, as keys that were parsed are. */
function makeKeys(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => ['/assets', index.toString(36), 'image.png'].join('/'));
}

const draws = 200_000;

function uniform(bound: number): Int32Array {
  const random = seededRandom(11);
  return Int32Array.from({ length: draws }, () => random.below(bound));
}

function skewed(count: number): Int32Array {
  return Int32Array.from({ length: draws }, zipf(count, 1, seededRandom(12)));
}

function sequence(length: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => index);
}

function formatCount(count: number): string {
  return count.toLocaleString('en');
}
