/**
 * The bench of `limits`: what counting and limiting one event costs, beside `rate-limiter-flexible` and beside a `Map` of plain numbers,
 * which grows with its keys and belongs to one thread; and what eight threads cost each other that count in one `Estimator`.
 *
 * All of them admit every event, have 1000 keys in turn and the same clock. `consume` of `rate-limiter-flexible` is asynchronous, so it is
 * awaited, as every user has to, in a loop of its own; ours stands in such a loop too, without the await that it doesn't need.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { seededRandom, systemClock } from '@ferrata/clock';
import { Estimator, Gcra, Inflight, KeyedGcra, Rate, TokenBucket } from '@ferrata/limits';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { median, medianRatio } from '../src/index.ts';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';

const keyCount = 1000;
const keys = Array.from({ length: keyCount }, (_, index) => `203.0.113.${index}`);
const memoryKeys = 20_000;

export const limits: RowBench = {
  name: 'limits',
  async run(options): Promise<readonly BenchRow[]> {
    options.note(describeErrors());
    options.note(whyNoBar);
    return [await besideFlexible(options), ...besideMaps(options), ...(await threadRows(options)), ...memoryRows()];
  },
};

const whyNoBar = [
  'limits, rows without a bar. Beside a Map or an object of plain numbers: those belong to one thread, a Map grows with its keys, and it finds',
  'the hash of a text that it was given before, while ours hashes each text anew with a secret key; the rows say what that costs. Eight',
  'threads beside one: how much they hinder each other is the machine’s matter. Pingora’s figures are those that it publishes for 3 × 1024',
  'counters and a million keys that are numbers, on its own machine with cores for eight threads; ours are CPU time with texts for keys,',
  `hashing included, on the ${availableParallelism()} cores of this machine: more threads than that take turns, and hinder each other less.`,
].join('\n');

/** The next of the keys: the same for everybody. */
function keyCycle(): () => string {
  let index = 0;
  return () => keys[index++ % keyCount] as string;
}

async function besideFlexible({ isQuick }: RunOptions): Promise<BenchRow> {
  const ours = new KeyedGcra({
    tokensPerSecond: 100_000,
    burst: 1_000_000,
    maxKeys: keyCount,
    clock: systemClock,
    random: seededRandom(1),
  });
  const flexible = new RateLimiterMemory({ points: 1e12, duration: 3600 });
  const rounds = isQuick ? 3 : 9;
  const events = isQuick ? 2000 : 100_000;
  const ownTimes: number[] = [];
  const flexibleTimes: number[] = [];
  // The first rounds warm up.
  for (let round = -2; round < rounds; round++) {
    const next = keyCycle();
    const start = cpuMicros();
    for (let event = 0; event < events; event++) ours.tryTake(next());
    const middle = cpuMicros();
    for (let event = 0; event < events; event++) await flexible.consume(next());
    const end = cpuMicros();
    if (round < 0) continue;
    ownTimes.push(((middle - start) * 1000) / events);
    flexibleTimes.push(((end - middle) * 1000) / events);
  }
  for (const key of keys) await flexible.delete(key);
  return {
    operation: 'let an event of one of 1000 keys pass (theirs: an awaited promise included)',
    unit: 'ns',
    ours: median(ownTimes),
    peer: 'rate-limiter-flexible',
    theirs: median(flexibleTimes),
    ratio: medianRatio(ownTimes, flexibleTimes),
    bar: { maxRatio: 1 },
  };
}

function besideMaps(options: RunOptions): readonly BenchRow[] {
  const random = seededRandom(2);
  const keyed = new KeyedGcra({ tokensPerSecond: 100_000, burst: 1_000_000, maxKeys: keyCount, clock: systemClock, random });
  const rate = new Rate({ intervalMs: 1000, clock: systemClock, random });
  const estimator = new Estimator({ random });
  const inflight = new Inflight({ random });
  const bucket = new TokenBucket({ tokensPerSecond: 1e7, burst: 1e9, clock: systemClock });
  const gcra = new Gcra({ intervalMs: 1e-4, toleranceMs: 1e5, clock: systemClock });
  const count = mapCounter();
  const begin = mapCounter();
  const take = mapBuckets(100, 1e6);
  const next = keyCycle();
  const peer = 'Map of numbers';
  return [
    ...compareTimes(
      {
        operation: 'KeyedGcra.tryTake, the time known',
        ours: () => keyed.tryTake(next(), 1, 1e9),
        peers: { 'Map of objects with two numbers': () => take(next(), 1e9) },
      },
      options,
    ),
    ...compareTimes({ operation: 'Rate.observe', ours: () => rate.observe(next()), peers: { [peer]: () => count(next(), 1) } }, options),
    ...compareTimes(
      { operation: 'Estimator.increment', ours: () => estimator.increment(next()), peers: { [peer]: () => count(next(), 1) } },
      options,
    ),
    ...compareTimes(
      {
        operation: 'Inflight.acquire and release',
        ours: () => inflight.acquire(next()).release(),
        peers: {
          [peer]: () => {
            const key = next();
            begin(key, 1);
            begin(key, -1);
          },
        },
      },
      options,
    ),
    ...compareTimes(
      { operation: 'TokenBucket.tryTake', ours: () => bucket.tryTake(), peers: { 'object with two numbers': plainBucket(1e4, 1e9) } },
      options,
    ),
    ...compareTimes(
      { operation: 'Gcra.tryPass', ours: () => gcra.tryPass(), peers: { 'object with two numbers': plainBucket(1e4, 1e9) } },
      options,
    ),
  ];
}

/** What people write first: exact, one thread's, and as large as there are keys. */
function mapCounter(): (key: string, by: number) => number {
  const counts = new Map<string, number>();
  return (key, by) => {
    const count = (counts.get(key) ?? 0) + by;
    counts.set(key, count);
    return count;
  };
}

/** The same with a bucket for each key. */
function mapBuckets(perMs: number, burst: number): (key: string, now: number) => boolean {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (key, now) => {
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      bucket = { tokens: burst, at: now };
      buckets.set(key, bucket);
    }
    bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.at) * perMs);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };
}

function plainBucket(perMs: number, burst: number): () => boolean {
  const bucket = { tokens: burst, at: systemClock.now() };
  return () => {
    const now = systemClock.now();
    bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.at) * perMs);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };
}

/** Memory for so many keys; only where the collector can be called. */
function memoryRows(): readonly BenchRow[] {
  if (globalThis.gc === undefined) return [];
  const names = Array.from({ length: memoryKeys }, (_, index) => `198.51.100.${index}`);
  const ours = bytesOf(() => {
    const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 10, maxKeys: memoryKeys, clock: systemClock, random: seededRandom(3) });
    for (const name of names) limiter.tryTake(name);
    return limiter;
  });
  const flexible = new RateLimiterMemory({ points: 10, duration: 3600 });
  const theirs = bytesOf(() => {
    for (const name of names) void flexible.consume(name);
    return flexible;
  });
  for (const name of names) void flexible.delete(name);
  const row = { operation: 'memory of a key, of 20 000', unit: 'bytes', peer: 'rate-limiter-flexible' } as const;
  return [{ ...row, ours: ours / memoryKeys, theirs: theirs / memoryKeys, ratio: ours / theirs, bar: { maxRatio: 1 } }];
}

/** How far off a sketch is, for counts by Zipf's law: a figure of quality, so it stands beside its bound. */
function describeErrors(): string {
  const clients = 20_000;
  const lines = [
    'Error of the count-min sketch, 20 000 keys by Zipf’s law:',
    '',
    '| counters | KiB | bound | mean error | beyond the bound | allowed |',
    '|---|---|---|---|---|---|',
  ];
  for (const [hashes, slots] of [
    [2, 1024],
    [4, 1024],
    [4, 8192],
  ] as const) {
    const estimator = new Estimator({ hashes, slots, random: seededRandom(4) });
    let total = 0;
    for (let rank = 1; rank <= clients; rank++) {
      const events = Math.ceil(1e6 / rank);
      total += events;
      estimator.increment(`client ${rank}`, events);
    }
    const bound = (Math.E / slots) * total;
    let sum = 0;
    let beyond = 0;
    for (let rank = 1; rank <= clients; rank++) {
      const error = estimator.estimate(`client ${rank}`) - Math.ceil(1e6 / rank);
      sum += error;
      if (error > bound) beyond += 1;
    }
    const share = (part: number): string => `${(part * 100).toFixed(2)} %`;
    const cells = [
      `${hashes} × ${slots}`,
      (hashes * slots) / 256,
      bound.toFixed(0),
      (sum / clients).toFixed(0),
      share(beyond / clients),
      share(Math.exp(-hashes)),
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** What one of several threads counts. */
interface CountingOrder {
  readonly countingIn: SharedArrayBuffer;
  /** Words: threads that are ready. */
  readonly sync: SharedArrayBuffer;
  readonly threads: number;
  readonly firstKey: number;
  readonly keys: number;
  readonly events: number;
}

/** Pingora's own comparison: 3 × 1024 counters and a million keys, by one thread and by eight. */
async function threadRows({ isQuick }: RunOptions): Promise<readonly BenchRow[]> {
  // Threads take long to start.
  const threads = isQuick ? 2 : 8;
  const sizes = isQuick ? { keys: 8000, events: 4000 } : { keys: 1_000_000, events: 2_000_000 };
  const alone: number[] = [];
  const together: number[] = [];
  for (let round = 0; round < (isQuick ? 1 : 5); round++) {
    alone.push(await countInThreads(1, sizes));
    together.push(await countInThreads(threads, sizes));
  }
  const one = { operation: 'Estimator 3 × 1024, a million keys, 1 thread', unit: 'ns', ours: median(alone) } as const;
  const eight = { operation: `Estimator 3 × 1024, a million keys, ${threads} threads`, unit: 'ns', ours: median(together) } as const;
  return [
    { ...one, peer: 'Pingora, published', theirs: 10, ratio: one.ours / 10 },
    { ...eight, peer: 'Pingora, published', theirs: 212, ratio: eight.ours / 212 },
    { ...eight, peer: '1 thread', theirs: one.ours, ratio: medianRatio(together, alone) },
  ];
}

/** @returns the CPU time of an event in ns, by the median of the threads */
async function countInThreads(threads: number, { keys, events }: { readonly keys: number; readonly events: number }): Promise<number> {
  const estimator = new Estimator({ hashes: 3, slots: 1024, random: seededRandom(5) });
  const sync = new SharedArrayBuffer(4);
  const workers = Array.from({ length: threads }, (_, index) => {
    const part = { firstKey: (index * keys) / threads, keys: keys / threads, events: events / threads };
    return new Worker(new URL(import.meta.url), {
      workerData: { countingIn: estimator.memory, sync, threads, ...part } satisfies CountingOrder,
    });
  });
  return median(await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as number)));
}

function countAsTold({ countingIn, sync, threads, firstKey, keys: own, events }: CountingOrder): number {
  const estimator = new Estimator({ memory: countingIn });
  const names = Array.from({ length: own }, (_, index) => `203.0.113.${firstKey + index}`);
  const pass = (count: number): void => {
    for (let event = 0; event < count; event++) estimator.increment(names[event % own] as string);
  };
  // Warm-up, and then all of them at once.
  pass(events / 4);
  const ready = new Int32Array(sync);
  Atomics.add(ready, 0, 1);
  Atomics.notify(ready, 0);
  for (let seen = Atomics.load(ready, 0); seen < threads; seen = Atomics.load(ready, 0)) Atomics.wait(ready, 0, seen);
  const start = process.threadCpuUsage();
  pass(events);
  const { user, system } = process.threadCpuUsage(start);
  return ((user + system) * 1000) / events;
}

if (!isMainThread && (workerData as CountingOrder | null)?.countingIn !== undefined) {
  parentPort?.postMessage(countAsTold(workerData as CountingOrder));
}
