/** Any order in which callers come, time passes and look-ups end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { type LookedUp, MemoryCache, ReadThroughCache, type ReadThroughResult } from '../src/index.ts';

interface Value {
  readonly key: string;
  /** When its look-up began: later ones have larger numbers. */
  readonly number: number;
}

interface Running {
  readonly key: string;
  readonly begunAt: number;
}

interface Settings {
  readonly lockAgeMs: number;
  readonly lockTimeoutMs: number;
  readonly maxWeight: number;
}

/** A source whose look-ups end when the scheduler says so, and which watches how they begin. */
class WatchedSource {
  readonly clock = new ManualClock();
  readonly deadlines = new DeadlineQueue({ clock: this.clock });
  readonly running = new Set<Running>();
  readonly through: ReadThroughCache<string, Value>;
  /** What `getMany` may do is not what `get` may. */
  beganCount = 0;
  violation: string | null = null;
  readonly #scheduler: fc.Scheduler;
  readonly #settings: Settings;
  readonly #plan: readonly ('find' | 'findUncacheable' | 'findShort' | 'fail' | 'throw')[];

  constructor(scheduler: fc.Scheduler, settings: Settings, plan: WatchedSource['plan']) {
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.#plan = plan;
    const { lockAgeMs, lockTimeoutMs, maxWeight } = settings;
    const cache = new MemoryCache<string, Value>({ clock: this.clock, maxWeight, random: seededRandom(1) });
    this.through = new ReadThroughCache({ cache, deadlines: this.deadlines, lockAgeMs, lockTimeoutMs, lookUp: (key) => this.#lookUp(key) });
  }

  get plan(): readonly ('find' | 'findUncacheable' | 'findShort' | 'fail' | 'throw')[] {
    return this.#plan;
  }

  #lookUp(key: string): Promise<LookedUp<Value>> {
    const now = this.clock.now();
    const number = ++this.beganCount;
    for (const other of this.running) {
      const isYoung = now - other.begunAt < this.#settings.lockAgeMs;
      if (other.key === key && isYoung) this.violation ??= `look-up ${number} of ${key} at ${now} beside one begun at ${other.begunAt}`;
    }
    const outcome = this.#plan[number % this.#plan.length];
    if (outcome === 'throw') throw new Error('thrown');
    const running = { key, begunAt: now };
    this.running.add(running);
    return this.#scheduler.schedule(Promise.resolve(), `look-up ${number} of ${key}`).then(() => {
      this.running.delete(running);
      if (outcome === 'fail') throw new Error('failed');
      const value = { key, number };
      return outcome === 'find' ? { value } : { value, ttlMs: outcome === 'findShort' ? 15 : 0 };
    });
  }
}

const plan = fc.array(
  fc.constantFrom('find' as const, 'findUncacheable' as const, 'findShort' as const, 'fail' as const, 'throw' as const),
  {
    minLength: 1,
    maxLength: 6,
  },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), key: fc.constantFrom('a', 'b') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 10, 50, 100, 200) }) },
);
const changes = fc.record({ kind: fc.constantFrom('delete' as const, 'put' as const, 'clear' as const), key: fc.constantFrom('a', 'b') });

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
type Change = typeof changes extends fc.Arbitrary<infer S> ? S : never;

/** Runs steps and the ends of look-ups in the scheduler's order. @returns how each read ended */
async function play(
  scheduler: fc.Scheduler,
  source: WatchedSource,
  steps: readonly (Step | Change)[],
): Promise<readonly PromiseSettledResult<ReadThroughResult<Value>>[]> {
  const reads: Promise<ReadThroughResult<Value>>[] = [];
  scheduler.scheduleSequence(
    steps.map((step, index) => ({
      label: `${index}: ${JSON.stringify(step)}`,
      builder: () => {
        perform(step);
        return Promise.resolve();
      },
    })),
  );
  await scheduler.waitIdle();
  // Time-outs of those who wait may have begun more look-ups.
  for (let round = 0; source.running.size > 0 || scheduler.count() > 0; round++) {
    assert.ok(round < 1000, 'look-ups go on for ever');
    await scheduler.waitIdle();
  }
  return Promise.allSettled(reads);

  function perform(step: Step | Change): void {
    const { through, clock } = source;
    if (step.kind === 'advance') clock.advance(step.ms);
    else if (step.kind === 'delete') through.delete(step.key);
    else if (step.kind === 'clear') through.clear();
    else if (step.kind === 'put') through.put(step.key, { key: step.key, number: source.beganCount });
    else {
      const read = through.read(step.key);
      reads.push(read);
      // It is looked at in the end; until then nobody else shall call it unhandled.
      read.catch(() => {});
    }
  }
}

function checkEnd(
  source: WatchedSource,
  ends: readonly PromiseSettledResult<ReadThroughResult<Value>>[],
  steps: readonly (Step | Change)[],
): void {
  const wanted = steps.flatMap((step) => (step.kind === 'read' ? [step.key] : []));
  assert.equal(ends.length, wanted.length);
  for (const [index, end] of ends.entries()) if (end.status === 'fulfilled') assert.equal(end.value.value.key, wanted[index]);
  assert.equal(source.through.pendingCount, 0);
  assert.equal(source.deadlines.size, 0);
}

test('never two look-ups of a key at once within the lock age, and every read settles', async () => {
  const settings = fc.record({
    lockAgeMs: fc.constantFrom(20, 100, 1000, Infinity),
    lockTimeoutMs: fc.constant(Infinity),
    maxWeight: fc.constantFrom(1, 10),
  });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), settings, plan, fc.array(step, { maxLength: 25 }), async (scheduler, settings, plan, steps) => {
      const source = new WatchedSource(scheduler, settings, plan);
      const ends = await play(scheduler, source, steps);
      assert.equal(source.violation, null);
      checkEnd(source, ends, steps);
    }),
    { numRuns: 200 },
  );
});

test('every read settles whatever is changed meanwhile and however long they wait, and no change is undone', async () => {
  const settings = fc.record({
    lockAgeMs: fc.constantFrom(20, 100, Infinity),
    lockTimeoutMs: fc.constantFrom(0, 20, 50, 500),
    maxWeight: fc.constantFrom(1, 10),
  });
  const steps = fc.array(fc.oneof({ weight: 4, arbitrary: step }, { weight: 1, arbitrary: changes }), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), settings, plan, steps, async (scheduler, settings, plan, steps) => {
      const source = new WatchedSource(scheduler, settings, plan);
      const { cache } = source.through;
      // The newest value of each key that was stored or made invalid; nothing older may be stored afterwards.
      const newest = new Map<string, number>();
      const { forcePut } = cache;
      cache.forcePut = (key, value, ttlMs) => {
        assert.ok(value.number > (newest.get(key) ?? 0), `look-up ${value.number} of ${key} is stored after ${newest.get(key)}`);
        newest.set(key, value.number);
        return forcePut.call(cache, key, value, ttlMs);
      };
      const { delete: remove, clear, put } = source.through;
      source.through.delete = (key) => {
        newest.set(key, source.beganCount);
        return remove.call(source.through, key);
      };
      source.through.put = (key, value, ttlMs) => {
        newest.set(key, source.beganCount);
        return put.call(source.through, key, value, ttlMs);
      };
      source.through.clear = () => {
        for (const key of ['a', 'b']) newest.set(key, source.beganCount);
        clear.call(source.through);
      };
      const ends = await play(scheduler, source, steps);
      checkEnd(source, ends, steps);
      for (const end of ends) if (end.status === 'rejected') assert.match(String(end.reason), /CACHE_LOOK_UP_FAILED/);
    }),
    { numRuns: 200 },
  );
});
