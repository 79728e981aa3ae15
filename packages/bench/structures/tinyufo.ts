/**
 * `@ferrata/tinyufo` beside Cloudflare's published hit ratios, lru-cache and quick-lru.
 *
 * - Hit ratio: Cloudflare's own method (pingora, tinyufo/benches/bench_hit_ratio.rs): requests for 10 000 items under Zipf's law, each a read, and a write
 *   if it missed. The published figures are from 5 million requests; so are ours, and all caches see the same ones. The compact form, and writing all by
 *   `forcePut`, have the price that their documentation names for a bar: 1 point and 1.5 points.
 * - Time: reading keys that are there, and a mix of reads and writes under Zipf's law, with texts as keys, as a proxy's are. In the mix a cache that
 *   hits more often has fewer writes to do: that is the point of it, and fair. quick-lru keeps up to twice the entries that it is told.
 * - Memory: caches full of numbers under numbers, so that what is counted is the cache's own. A hash table doubles when it is full, so an entry costs
 *   least just before that (a million fill a table of 2²⁰ places) and most just after; and a `Map` needs places for what was deleted, too. So there are
 *   two sizes, each when the cache has just been filled, and when three times as many entries have come and gone since.
 */
import { seededRandom } from '@ferrata/clock';
import { TinyUfo } from '@ferrata/tinyufo';
import { LRUCache } from 'lru-cache';
import QuickLru from 'quick-lru';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';
import { zipf } from './zipf.ts';

const items = 10_000;
const shares = [0.005, 0.01, 0.05, 0.1, 0.25];
/** Of TinyUFO in per cent, for each share: from the comment at the end of bench_hit_ratio.rs. */
const published: readonly { readonly exponent: number; readonly ratios: readonly number[] }[] = [
  { exponent: 0.9, ratios: [33.35, 40.06, 57.8, 66.36, 78.53] },
  { exponent: 1, ratios: [45.15, 52.3, 68.79, 75.92, 85.28] },
  { exponent: 1.05, ratios: [51.12, 58.41, 73.93, 80.24, 88.14] },
  { exponent: 1.1, ratios: [57.28, 64.24, 78.55, 84.01, 90.66] },
  { exponent: 1.5, ratios: [89.69, 92.94, 97.23, 98.24, 99.09] },
];

const publishedPeer = `Pingora's, published`;

/** The bench of `@ferrata/tinyufo`. */
export const tinyufo: RowBench = {
  name: 'tinyufo',
  run: (options) => [...hitRatios(options), ...times(options), ...bytes(options)],
};

/** What all caches here can do; a miss is undefined. */
interface Cache {
  get(key: number): number | undefined;
  put(key: number, value: number): unknown;
}

function hitRatios({ isQuick, note }: RunOptions): readonly BenchRow[] {
  const requests = isQuick ? 20_000 : 5_000_000;
  const rows: BenchRow[] = [];
  const lines = [
    `| Zipf, cache | lru-cache | Pingora's TinyUFO | ours | ours, compact | ours, all forced in |`,
    '|---|---|---|---|---|---|',
  ];
  for (const { exponent, ratios } of published) {
    const keys = Int32Array.from({ length: requests }, zipf(items, exponent, seededRandom(1)));
    for (const [column, share] of shares.entries()) {
      const capacity = Math.round(items * share);
      const theirs = ratios[column] ?? Number.NaN;
      const ours = hitRatio(keys, ourCache(capacity));
      const compact = hitRatio(keys, ourCache(capacity, true));
      const forced = hitRatio(keys, forcingCache(capacity));
      const lru = hitRatio(keys, lruCache(capacity));
      const cell = `${exponent.toFixed(2)}, ${share * 100} %`;
      // A quick run has too few requests to come near the published figures: the first time that an item is asked for it is a miss.
      const row = (form: string, own: number, peer: string, other: number, minDifference: number): BenchRow => ({
        operation: `hit ratio${form}, Zipf ${cell}`,
        unit: '%',
        ours: own,
        peer,
        theirs: other,
        ratio: own / other,
        ...(isQuick ? {} : { bar: { minDifference } }),
      });
      rows.push(
        row('', ours, publishedPeer, theirs, -0.5),
        row(', compact', compact, publishedPeer, theirs, -1),
        row(', all forced in', forced, publishedPeer, theirs, -1.5),
        row('', ours, 'lru-cache', lru, 0),
      );
      lines.push(`| ${[cell, ...[lru, theirs, ours, compact, forced].map((ratio) => ratio.toFixed(2))].join(' | ')} |`);
    }
  }
  note(`Hit ratio in %, ${items} items, ${requests} requests:\n\n${lines.join('\n')}`);
  return rows;
}

function hitRatio(keys: Int32Array, cache: Cache): number {
  let hits = 0;
  for (const key of keys) {
    if (cache.get(key) === undefined) cache.put(key, key);
    else hits++;
  }
  return (hits / keys.length) * 100;
}

/** What is timed of a cache. The keys are those of the load, all of them in each call. */
interface Loops {
  readonly read: () => number;
  /** Reads, and writes what it missed. */
  readonly mix: () => number;
}

interface Load {
  readonly capacity: number;
  /** As many as there is room for. */
  readonly present: readonly string[];
  /** Some of `present`. */
  readonly reads: readonly string[];
  /** By Zipf's law, of ten times as many as there is room for. */
  readonly mixed: readonly string[];
}

function times(options: RunOptions): readonly BenchRow[] {
  const operationsPerCall = options.isQuick ? 500 : 20_000;
  const capacity = 10_000;
  const random = seededRandom(2);
  const texts = Array.from({ length: capacity * 10 }, (_, rank) => `/images/${rank}.png`);
  const textOf = (rank: number): string => texts[rank] as string;
  const rank = zipf(texts.length, 1, random);
  const load: Load = {
    capacity,
    present: texts.slice(0, capacity),
    reads: Array.from({ length: operationsPerCall }, () => textOf(random.below(capacity))),
    mixed: Array.from({ length: operationsPerCall }, () => textOf(rank())),
  };
  const ours = ourLoops(load, false);
  const peers = { 'ours, compact': ourLoops(load, true), 'lru-cache': lruCacheLoops(load), 'quick-lru': quickLruLoops(load) };
  const select = (kind: keyof Loops): Record<string, () => number> =>
    Object.fromEntries(Object.entries(peers).map(([name, loops]) => [name, loops[kind]]));
  const mixOperation = `get, put if missed, Zipf 1, ${capacity} entries of ten times as many`;
  return [
    ...compareTimes(
      {
        operation: `get, hit, ${capacity} entries`,
        ours: ours.read,
        peers: select('read'),
        operationsPerCall,
        bars: { 'lru-cache': { maxRatio: 1 } },
      },
      options,
    ),
    ...compareTimes(
      { operation: mixOperation, ours: ours.mix, peers: select('mix'), operationsPerCall, bars: { 'lru-cache': { maxRatio: 1 } } },
      options,
    ),
  ];
}

// The loops are written out for each class, so that every call in them has one target, as in a program that uses one cache.

function ourLoops({ capacity, present, reads, mixed }: Load, isCompact: boolean): Loops {
  const full = new TinyUfo<string, number>({ maxWeight: capacity, isCompact, random: seededRandom(3) });
  const cache = new TinyUfo<string, number>({ maxWeight: capacity, isCompact, random: seededRandom(3) });
  for (const key of present) full.put(key, 1);
  return {
    read(): number {
      let hits = 0;
      for (const key of reads) if (full.get(key) !== undefined) hits++;
      return hits;
    },
    mix(): number {
      let hits = 0;
      for (const key of mixed) {
        if (cache.get(key) === undefined) cache.put(key, 1);
        else hits++;
      }
      return hits;
    },
  };
}

function lruCacheLoops({ capacity, present, reads, mixed }: Load): Loops {
  const full = new LRUCache<string, number>({ max: capacity });
  const cache = new LRUCache<string, number>({ max: capacity });
  for (const key of present) full.set(key, 1);
  return {
    read(): number {
      let hits = 0;
      for (const key of reads) if (full.get(key) !== undefined) hits++;
      return hits;
    },
    mix(): number {
      let hits = 0;
      for (const key of mixed) {
        if (cache.get(key) === undefined) cache.set(key, 1);
        else hits++;
      }
      return hits;
    },
  };
}

function quickLruLoops({ capacity, present, reads, mixed }: Load): Loops {
  const full = new QuickLru<string, number>({ maxSize: capacity });
  const cache = new QuickLru<string, number>({ maxSize: capacity });
  for (const key of present) full.set(key, 1);
  return {
    read(): number {
      let hits = 0;
      for (const key of reads) if (full.get(key) !== undefined) hits++;
      return hits;
    },
    mix(): number {
      let hits = 0;
      for (const key of mixed) {
        if (cache.get(key) === undefined) cache.set(key, 1);
        else hits++;
      }
      return hits;
    },
  };
}

function bytes({ isQuick }: RunOptions): readonly BenchRow[] {
  const rows: BenchRow[] = [];
  for (const count of isQuick ? [1000] : [1_000_000, 1_100_000]) {
    for (const [state, puts] of [
      ['just filled', count],
      ['after three times as many more', count * 4],
    ] as const) {
      const bytesPerEntry = (make: (count: number) => Cache): number =>
        bytesOf(() => {
          const cache = make(count);
          for (let key = 0; key < puts; key++) cache.put(key, key);
          return cache;
        }) / count;
      const normal = bytesPerEntry((count) => ourCache(count));
      const compact = bytesPerEntry((count) => ourCache(count, true));
      const lru = bytesPerEntry(lruCache);
      const quick = bytesPerEntry(quickLru);
      const row = (form: string, ours: number, peer: string, theirs: number): BenchRow => ({
        operation: `an entry of ${count.toLocaleString('en')}${form}, ${state}`,
        unit: 'bytes',
        ours,
        peer,
        theirs,
        ratio: ours / theirs,
      });
      rows.push(
        row('', normal, 'lru-cache', lru),
        row('', normal, 'quick-lru', quick),
        row(', compact', compact, 'ours, not compact', normal),
        row(', compact', compact, 'lru-cache', lru),
      );
    }
  }
  return rows;
}

function ourCache(maxWeight: number, isCompact = false): Cache {
  return new TinyUfo<number, number>({ maxWeight, isCompact, random: seededRandom(3) });
}

function forcingCache(maxWeight: number): Cache {
  const cache = new TinyUfo<number, number>({ maxWeight, random: seededRandom(3) });
  return { get: (key) => cache.get(key), put: (key, value) => cache.forcePut(key, value) };
}

function lruCache(max: number): Cache {
  const cache = new LRUCache<number, number>({ max });
  return { get: (key) => cache.get(key), put: (key, value) => cache.set(key, value) };
}

function quickLru(maxSize: number): Cache {
  const cache = new QuickLru<number, number>({ maxSize });
  return { get: (key) => cache.get(key), put: (key, value) => cache.set(key, value) };
}
