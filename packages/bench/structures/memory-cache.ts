/**
 * `memory-cache` beside `lru-cache` and `quick-lru`, with times to live; and reading through it beside `lru-cache`'s `fetch`.
 *
 * What is compared, and why it is fair:
 * - All hold the same strings under the same keys, in numbers that all have room for, unless evicting is what is measured.
 * - lru-cache keeps the time it has read for `ttlResolution` milliseconds, 1 by default, until a timer comes. No timer comes in a loop that
 *   doesn't end, so there it would read the clock once a round. Hence two lines: with the exact time (`ttlResolution: 0`), where each of us
 *   reads the clock for each hit; and with a time read once for 1000 hits, which our caller passes and lru-cache keeps.
 * - quick-lru takes the time from `Date.now()`, which is cheaper and jumps with the wall clock.
 * - A hit that is read through gives a promise, ours and theirs, which nobody waits for; the line for a miss waits for all of them, and counts
 *   the CPU time of the process.
 *
 * Bars: lines that we win have to stay won; on lines that we lose a bar only keeps us from losing more, and a note under the table says
 * why we do, or why there is none.
 */
import { seededRandom, systemClock } from '@ferrata/clock';
import { MemoryCache, ReadThroughCache } from '@ferrata/memory-cache';
import { DeadlineQueue } from '@ferrata/timeout';
import { LRUCache } from 'lru-cache';
import QuickLru from 'quick-lru';
import { median, medianRatio } from '../src/index.ts';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';

/** Operations in one call. */
const batch = 1000;
const ttl = 3_600_000;

const aboutBars = `memory-cache, what the bars mean:
- hits beside lru-cache: not slower than it, and 0.8 where neither reads the clock for each.
- put, new key, full cache: dearer than theirs, since admission is weighed with a sketch that they don't have (what it buys: bench tinyufo).
  The bar beside lru-cache only keeps it from becoming dearer yet; there is none beside quick-lru, which evicts half of all at a time.
- read through, miss: dearer than theirs, since a look-up has a lock, a number and a queue, which bound what a slow source is asked. The bar
  only keeps it from becoming dearer yet.
- bytes of an entry: more than theirs, the compact form too; the bars keep what there is.
- hit beside quick-lru: no bar, since it reads the wall clock, which is cheaper, and we don't.`;

export const memoryCache: RowBench = {
  name: 'memory-cache',
  async run(options) {
    options.note(aboutBars);
    return [...hits(options), ...puts(options), ...readThroughHits(options), ...(await readThroughMisses(options)), ...bytes(options)];
  },
};

function hits(options: RunOptions): readonly BenchRow[] {
  const keys = makeKeys(batch);
  const ours = fill(makeOurs(2 * batch), keys);
  const exact = fillPeer(new LRUCache<string, string>({ max: 2 * batch, ttl, ttlResolution: 0 }), keys);
  const kept = fillPeer(new LRUCache<string, string>({ max: 2 * batch, ttl }), keys);
  const quick = fillPeer(new QuickLru<string, string>({ maxSize: 2 * batch, maxAge: ttl }), keys);
  const endless = fillPeer(new LRUCache<string, string>({ max: 2 * batch }), keys);
  const oursEndless = new MemoryCache<string, string>({ clock: systemClock, maxWeight: 2 * batch, random: seededRandom(1) });
  for (const key of keys) oursEndless.put(key, key);
  // Loops written out for each cache, so that every call in them has one target, as in a program that uses one cache. Each gives something
  // that depends on all that it has read, so that nothing is left out.
  return [
    ...compareTimes(
      {
        operation: 'get, hit, exact time',
        bars: { 'lru-cache, ttlResolution 0': { maxRatio: 1 } },
        operationsPerCall: batch,
        ours: () => {
          let length = 0;
          for (const key of keys) length += ours.get(key)?.length ?? 0;
          return length;
        },
        peers: {
          'lru-cache, ttlResolution 0': () => {
            let length = 0;
            for (const key of keys) length += exact.get(key)?.length ?? 0;
            return length;
          },
          'quick-lru, maxAge': () => {
            let length = 0;
            for (const key of keys) length += quick.get(key)?.length ?? 0;
            return length;
          },
        },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'get, hit, time read once for 1000',
        operationsPerCall: batch,
        ours: () => {
          const now = systemClock.now();
          let length = 0;
          for (const key of keys) length += ours.get(key, now)?.length ?? 0;
          return length;
        },
        peers: {
          'lru-cache, ttlResolution 1': () => {
            let length = 0;
            for (const key of keys) length += kept.get(key)?.length ?? 0;
            return length;
          },
        },
        bars: { 'lru-cache, ttlResolution 1': { maxRatio: 0.8 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'get, hit, entries that never expire',
        bars: { 'lru-cache, no ttl': { maxRatio: 1 } },
        operationsPerCall: batch,
        ours: () => {
          let length = 0;
          for (const key of keys) length += oursEndless.get(key)?.length ?? 0;
          return length;
        },
        peers: {
          'lru-cache, no ttl': () => {
            let length = 0;
            for (const key of keys) length += endless.get(key)?.length ?? 0;
            return length;
          },
        },
      },
      options,
    ),
  ];
}

/** Each put brings a new key, and something has to leave for it. The keys come round again when they are long gone. */
function puts(options: RunOptions): readonly BenchRow[] {
  const keys = makeKeys(10 * batch);
  const ours = makeOurs(batch);
  const peer = new LRUCache<string, string>({ max: batch, ttl, ttlResolution: 0 });
  const quick = new QuickLru<string, string>({ maxSize: batch, maxAge: ttl });
  let place = 0;
  const next = (): readonly string[] => {
    place = (place + batch) % keys.length;
    return keys.slice(place, place + batch);
  };
  return compareTimes(
    {
      operation: 'put, new key, full cache',
      bars: { 'lru-cache, ttlResolution 0': { maxRatio: 3 } },
      operationsPerCall: batch,
      ours: () => {
        for (const key of next()) ours.forcePut(key, key);
      },
      peers: {
        'lru-cache, ttlResolution 0': () => {
          for (const key of next()) peer.set(key, key);
        },
        'quick-lru, maxAge': () => {
          for (const key of next()) quick.set(key, key);
        },
      },
    },
    options,
  );
}

function readThroughHits(options: RunOptions): readonly BenchRow[] {
  const keys = makeKeys(batch);
  const cache = fill(makeOurs(2 * batch), keys);
  const through = new ReadThroughCache({ cache, deadlines: new DeadlineQueue({ clock: systemClock }), lookUp: (key) => ({ value: key }) });
  const peer = fillPeer(new LRUCache<string, string>({ max: 2 * batch, ttl, ttlResolution: 0, fetchMethod: (key) => key }), keys);
  return compareTimes(
    {
      operation: 'read through, hit',
      bars: { 'lru-cache fetch, ttlResolution 0': { maxRatio: 1 } },
      operationsPerCall: batch,
      ours: () => {
        for (const key of keys) void through.get(key);
      },
      peers: {
        'lru-cache fetch, ttlResolution 0': () => {
          for (const key of keys) void peer.fetch(key);
        },
      },
    },
    options,
  );
}

/** Ten callers want a key at the same time that nobody has: one look-up, ten promises. */
async function readThroughMisses({ isQuick }: RunOptions): Promise<readonly BenchRow[]> {
  const keys = makeKeys(isQuick ? 100 : 2000);
  const cache = makeOurs(keys.length);
  const deadlines = new DeadlineQueue({ clock: systemClock });
  const through = new ReadThroughCache({ cache, deadlines, lookUp: (key) => Promise.resolve({ value: key }) });
  const peer = new LRUCache<string, string>({ max: keys.length, ttl, fetchMethod: (key) => Promise.resolve(key) });
  const runOurs = (): Promise<number> => timeOf(keys, cache, (key) => through.get(key));
  const runPeer = (): Promise<number> => timeOf(keys, peer, (key) => peer.fetch(key));
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = isQuick ? 2 : -5; round < 7; round++) {
    const [own, other] = [await runOurs(), await runPeer()];
    // The first rounds warm up.
    if (round < 0) continue;
    ours.push(own);
    theirs.push(other);
  }
  const operation = 'read through, miss, 10 callers, each';
  const ratio = medianRatio(ours, theirs);
  const bar = { maxRatio: 1.8 };
  return [
    { operation, unit: 'ns', ours: median(ours), peer: 'lru-cache fetch', theirs: median(theirs), ratio, ...(isQuick ? {} : { bar }) },
  ];
}

/** @returns the CPU time of a caller in ns */
async function timeOf(keys: readonly string[], cache: { clear(): void }, ask: (key: string) => Promise<unknown>): Promise<number> {
  const callers = 10;
  cache.clear();
  const before = process.cpuUsage();
  for (let from = 0; from < keys.length; from += 100) {
    const asked: Promise<unknown>[] = [];
    for (const key of keys.slice(from, from + 100)) for (let caller = 0; caller < callers; caller++) asked.push(ask(key));
    await Promise.all(asked);
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / (keys.length * callers);
}

/** What an entry takes beside its key and value, which were there before. */
function bytes({ isQuick }: RunOptions): readonly BenchRow[] {
  const keys = makeKeys(isQuick ? 10_000 : 300_000);
  const max = keys.length;
  const theirs = bytesOf(() => fillPeer(new LRUCache<string, string>({ max, ttl }), keys)) / max;
  const row = (operation: string, ours: number, maxOurs: number): BenchRow => {
    // What a small cache takes besides its entries would tell nothing of them.
    return {
      operation,
      unit: 'bytes',
      ours,
      peer: 'lru-cache, ttl',
      theirs,
      ratio: ours / theirs,
      ...(isQuick ? {} : { bar: { maxOurs } }),
    };
  };
  return [
    row('an entry with a ttl', bytesOf(() => fill(makeOurs(max), keys)) / max, 165),
    row('an entry with a ttl, compact', bytesOf(() => fill(makeOurs(max, true), keys)) / max, 115),
  ];
}

function makeOurs(maxWeight: number, isCompact = false): MemoryCache<string, string> {
  return new MemoryCache({ clock: systemClock, maxWeight, isCompact, defaultTtlMs: ttl, random: seededRandom(1) });
}

function fill(cache: MemoryCache<string, string>, keys: readonly string[]): MemoryCache<string, string> {
  for (const key of keys) cache.put(key, key);
  return cache;
}

function fillPeer<C extends { set(key: string, value: string): unknown }>(cache: C, keys: readonly string[]): C {
  for (const key of keys) cache.set(key, key);
  return cache;
}

function makeKeys(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `/images/${index}.png`);
}
