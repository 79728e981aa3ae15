/**
 * `lru` beside `lru-cache` and `quick-lru`, with strings as keys and numbers as values.
 *
 * Each operation is the peers' own for the same end: `get` counts as use in all three, and `set` evicts. They differ in what they keep:
 * quick-lru holds between `maxSize` entries and twice as many, in two maps of which the older is thrown away whole, so its order is
 * coarser, and its `set` never deletes a single key. It is given the same limit as the others all the same, which favours its hits.
 *
 * The loops are written out for each cache, so that every call in them has one target, as in a program that uses one cache.
 */
import { seededRandom } from '@ferrata/clock';
import { Lru } from '@ferrata/lru';
import { LRUCache } from 'lru-cache';
import QuickLru from 'quick-lru';
import { bytesOf, compareTimes, type StructureBench, type StructureRow, type StructureRunOptions } from './structure-bench.ts';

/** A cache and the loops over it. Each goes on where its last call ended. */
interface Driver {
  readonly cache: object;
  /** Looks up the next keys. @returns something that depends on all of them, so that nothing is left out */
  get(): number;
  /** Sets the next keys. */
  set(): void;
  /** Looks up the next keys and sets those that are missing. */
  getOrSet(): number;
}

interface Load {
  readonly keys: readonly string[];
  /** Places in `keys`, one after the other; their number is a multiple of the batch. */
  readonly order: Int32Array;
  readonly maxCount: number;
}

/** Operations in one call. */
const batch = 1000;

export const lru: StructureBench = {
  name: 'lru',
  run(options) {
    return [...times(options), ...shardCosts(options), ...bytes(options), ...pauses(options)];
  },
};

function times(options: StructureRunOptions): readonly StructureRow[] {
  const rows: StructureRow[] = [];
  for (const maxCount of options.isQuick ? [1000] : [1000, 100_000]) {
    const count = `${maxCount.toLocaleString('en')} entries`;
    const keys = makeKeys(maxCount * 2);
    const there = keys.slice(0, maxCount);
    const hits: Load = { keys: there, order: uniform(maxCount), maxCount };
    rows.push(...compareDrivers(`get, hit, ${count}`, hits, there, 'get', options));
    // Filled with other keys than those that are asked for.
    rows.push(...compareDrivers(`get, miss, ${count}`, hits, keys.slice(maxCount), 'get', options));
    // One key after the other of twice as many as there is room for: each is new when it comes.
    const news: Load = { keys, order: Int32Array.from({ length: 2 * maxCount }, (_, index) => index), maxCount };
    rows.push(...compareDrivers(`set, new key, one evicted, ${count}`, news, there, 'set', options));
    // A cache of a tenth of all keys, asked by Zipf's law.
    const some: Load = { keys: makeKeys(maxCount * 10), order: zipf(maxCount * 10, 1), maxCount };
    rows.push(...compareDrivers(`get or set, zipf 1, ${count} of ten times as many`, some, [], 'getOrSet', options));
  }
  return rows;
}

function compareDrivers(
  operation: string,
  load: Load,
  filling: readonly string[],
  method: 'get' | 'set' | 'getOrSet',
  options: StructureRunOptions,
): readonly StructureRow[] {
  const [ours, lruCache, quickLru] = [driveLru(load, filling), driveLruCache(load, filling), driveQuickLru(load, filling)];
  const comparison = {
    operation,
    ours: () => ours[method](),
    peers: { 'lru-cache': () => lruCache[method](), 'quick-lru': () => quickLru[method]() },
    operationsPerCall: batch,
  };
  return compareTimes(comparison, options);
}

/** What hashing a key and choosing by lot cost: sixteen shards beside one. */
function shardCosts(options: StructureRunOptions): readonly StructureRow[] {
  const maxCount = options.isQuick ? 1000 : 100_000;
  const keys = makeKeys(maxCount * 2);
  const there = keys.slice(0, maxCount);
  const hits: Load = { keys: there, order: uniform(maxCount), maxCount };
  const news: Load = { keys, order: Int32Array.from({ length: 2 * maxCount }, (_, index) => index), maxCount };
  const rows: StructureRow[] = [];
  for (const [operation, load, method] of [
    ['get, hit', hits, 'get'],
    ['set, new key, one evicted', news, 'set'],
  ] as const) {
    const [sharded, plain] = [driveLru(load, there, 16), driveLru(load, there)];
    const comparison = {
      operation: `${operation}, 16 shards`,
      ours: () => sharded[method](),
      peers: { 'one shard': () => plain[method]() },
      operationsPerCall: batch,
    };
    rows.push(...compareTimes(comparison, options));
  }
  return rows;
}

/** Bytes an entry beside its key and its value: the keys are made before, and small integers are no objects. */
function bytes({ isQuick }: StructureRunOptions): readonly StructureRow[] {
  const maxCount = isQuick ? 2000 : 1_000_000;
  const keys = makeKeys(2 * maxCount);
  const filled: Load = { keys: keys.slice(0, maxCount), order: Int32Array.from({ length: maxCount }, (_, index) => index), maxCount };
  // Three times as many sets as there is room for: the maps have been rebuilt and hold deleted keys.
  const churned: Load = { keys, order: Int32Array.from({ length: 3 * maxCount }, (_, index) => index % keys.length), maxCount };
  const perEntry = (drive: typeof driveLru, load: Load, shards?: number): number => {
    const make = (): object => {
      const driver = drive(load, [], shards);
      for (let done = 0; done < load.order.length; done += batch) driver.set();
      return driver.cache;
    };
    return bytesOf(make) / maxCount;
  };
  const rows: StructureRow[] = [];
  for (const [state, load] of [
    ['filled', filled],
    ['after twice as many evictions', churned],
  ] as const) {
    const operation = `an entry of ${maxCount.toLocaleString('en')}, ${state}`;
    const ours = perEntry(driveLru, load);
    const peers = {
      'lru-cache': perEntry(driveLruCache, load),
      'quick-lru': perEntry(driveQuickLru, load),
      'ours in 16 shards': perEntry(driveLru, load, 16),
    };
    for (const [peer, theirs] of Object.entries(peers)) {
      rows.push({ operation, unit: 'bytes', ours, peer, theirs, ratio: ours / theirs, ...(isQuick ? {} : { bar: { maxOurs: 120 } }) });
    }
  }
  return rows;
}

/** The longest of all evicting sets of a big cache, by the wall clock: the one in which a map is rebuilt. The less of two runs. */
function pauses({ isQuick }: StructureRunOptions): readonly StructureRow[] {
  const maxCount = isQuick ? 2000 : 1_000_000;
  const longest = (shards: number): number => {
    let least = Infinity;
    for (let run = 0; run < (isQuick ? 1 : 2); run++) least = Math.min(least, longestSet(maxCount, shards));
    return least;
  };
  const [ours, theirs] = [longest(16), longest(1)];
  return [
    {
      operation: `longest set of ${maxCount.toLocaleString('en')} entries, 16 shards`,
      unit: 'ms',
      ours,
      peer: 'one shard',
      theirs,
      ratio: ours / theirs,
    },
  ];
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

function driveLru({ keys, order, maxCount }: Load, filling: readonly string[], shards = 1): Driver {
  const cache = new Lru<string, number>({ maxCount, shards, random: seededRandom(1) });
  for (const key of filling) cache.set(key, 1);
  let at = 0;
  return {
    cache,
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

function driveLruCache({ keys, order, maxCount }: Load, filling: readonly string[]): Driver {
  const cache = new LRUCache<string, number>({ max: maxCount });
  for (const key of filling) cache.set(key, 1);
  let at = 0;
  return {
    cache,
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

function driveQuickLru({ keys, order, maxCount }: Load, filling: readonly string[]): Driver {
  const cache = new QuickLru<string, number>({ maxSize: maxCount });
  for (const key of filling) cache.set(key, 1);
  let at = 0;
  return {
    cache,
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

/** Ranks from 0, the n-th with a probability in proportion to 1 / (n + 1) ** exponent. */
function zipf(count: number, exponent: number): Int32Array {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1) ** exponent;
  const random = seededRandom(12);
  return Int32Array.from({ length: draws }, () => firstAbove(sums, random.next() * sum));
}

function firstAbove(sums: Float64Array, value: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
