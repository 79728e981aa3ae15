/**
 * The bench of `limits`: what counting and limiting one event costs, beside `rate-limiter-flexible` and beside a `Map` of plain numbers,
 * which grows with its keys and belongs to one thread.
 *
 * All of them admit every event, have 1000 keys in turn and the same clock. `consume` of `rate-limiter-flexible` is asynchronous, so it is
 * awaited, as every user has to, in a loop of its own; ours stands in such a loop too, without the await that it doesn't need.
 */
import { seededRandom, systemClock } from '@ferrata/clock';
import { Estimator, Gcra, Inflight, KeyedGcra, Rate, TokenBucket } from '@ferrata/limits';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { bytesOf, compareTimes, type StructureBench, type StructureRow, type StructureRunOptions } from './structure-bench.ts';

const keyCount = 1000;
const keys = Array.from({ length: keyCount }, (_, index) => `203.0.113.${index}`);
const memoryKeys = 20_000;

export const limits: StructureBench = {
  name: 'limits',
  async run(options): Promise<readonly StructureRow[]> {
    options.note(describeErrors());
    return [await besideFlexible(options), ...besideMaps(options), ...memoryRows()];
  },
};

/** The next of the keys: the same for everybody. */
function keyCycle(): () => string {
  let index = 0;
  return () => keys[index++ % keyCount] as string;
}

async function besideFlexible({ isQuick }: StructureRunOptions): Promise<StructureRow> {
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
    operation: 'let an event of one of 1000 keys pass',
    unit: 'ns',
    ours: median(ownTimes),
    peer: 'rate-limiter-flexible',
    theirs: median(flexibleTimes),
    ratio: median(ownTimes.map((time, round) => time / (flexibleTimes[round] as number))),
    bar: { maxRatio: 1 },
  };
}

function besideMaps(options: StructureRunOptions): readonly StructureRow[] {
  const random = seededRandom(2);
  const keyed = new KeyedGcra({ tokensPerSecond: 100_000, burst: 1_000_000, maxKeys: keyCount, clock: systemClock, random });
  const rate = new Rate({ intervalMs: 1000, clock: systemClock, random });
  const estimator = new Estimator({ random });
  const inflight = new Inflight({ random });
  const bucket = new TokenBucket({ tokensPerSecond: 1e7, burst: 1e9, clock: systemClock });
  const gcra = new Gcra({ intervalMs: 1e-4, toleranceMs: 1e5, clock: systemClock });
  const count = mapCounter();
  const begin = mapCounter();
  const next = keyCycle();
  const peer = 'Map of numbers';
  return [
    ...compareTimes(
      { operation: 'the same, the time known', ours: () => keyed.tryTake(next(), 1, 1e9), peers: { [peer]: () => count(next(), 1) } },
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
function memoryRows(): readonly StructureRow[] {
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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >>> 1] ?? Number.NaN;
}
