/** Any order in which callers come, time passes, look-ups end and values change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { type LookedUp, MemoryCache, ReadThroughCache } from '../src/index.ts';
import { settled } from './fixtures/source.ts';

interface Value {
  readonly key: string;
  /** When its look-up began: later ones have larger numbers. */
  readonly number: number;
}

/** A call of the cache, and what of it has to be known to judge look-ups and waiting. */
interface Call {
  readonly id: number;
  readonly keys: readonly string[];
  readonly cameAt: number;
  /** The number of the last look-up that had begun when it came. */
  readonly cameAfter: number;
  isSettled: boolean;
  error: Error | null;
}

interface Running {
  readonly key: string;
  readonly number: number;
  readonly begunAt: number;
  /** The call whose look-up it is. */
  readonly madeBy: number | undefined;
}

const outcomes = ['find', 'findUncacheable', 'findShort', 'findBad', 'fail', 'throw'] as const;
type Outcome = (typeof outcomes)[number];
const ttlOf = { find: undefined, findUncacheable: 0, findShort: 15, findBad: -1 } as const;

const settings = fc.record({
  lockAgeMs: fc.constantFrom(20, 100, 1000, Infinity),
  lockTimeoutMs: fc.constantFrom(0, 20, 50, 500, Infinity),
  maxPendingLookUps: fc.constantFrom(1, 2, 4),
  updateRetryMs: fc.constantFrom(0, 50),
  maxWeight: fc.constantFrom(1, 10),
  hasLookUpMany: fc.boolean(),
});
type Settings = typeof settings extends fc.Arbitrary<infer S> ? S : never;

const key = fc.constantFrom('a', 'b');
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('read' as const, 'readStale' as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('many' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 10, 50, 100, 200) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('delete' as const, 'put' as const, 'clear' as const), key }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Look-ups that began beside a young one of their key, by what allowed it. */
const exceptions = { superseded: 0, many: 0, overdue: 0 };
let timeoutCount = 0;
let updateCount = 0;

/** Callers and a source whose look-ups end when the scheduler says so, and which watches how they begin and how long calls wait. */
class WatchedCache {
  readonly clock = new ManualClock();
  readonly deadlines = new DeadlineQueue({ clock: this.clock });
  readonly running = new Set<Running>();
  readonly calls: Call[] = [];
  readonly through: ReadThroughCache<string, Value, number>;
  violation: string | null = null;
  #beganCount = 0;
  /** The newest look-up of each key that has answered, or had begun when the value was changed. */
  readonly #newest = new Map<string, number>();
  /** When a caller whose time was over last began a look-up, by key. */
  readonly #overdueAt = new Map<string, number>();
  readonly #scheduler: fc.Scheduler;
  readonly #settings: Settings;
  readonly #plan: readonly Outcome[];

  constructor(scheduler: fc.Scheduler, settings: Settings, plan: readonly Outcome[]) {
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.#plan = plan;
    const { maxWeight, hasLookUpMany, ...rest } = settings;
    const cache = new MemoryCache<string, Value>({ clock: this.clock, maxWeight, random: seededRandom(1) });
    const { forcePut } = cache;
    cache.forcePut = (key, value, ttlMs) => {
      if (value.number <= this.#newestOf(key))
        this.violation ??= `look-up ${value.number} of ${key} is stored after ${this.#newestOf(key)}`;
      this.#newest.set(key, value.number);
      return forcePut.call(cache, key, value, ttlMs);
    };
    this.through = new ReadThroughCache({
      cache,
      deadlines: this.deadlines,
      lookUp: (key, madeBy) => this.#lookUp(key, madeBy, false),
      ...(hasLookUpMany ? { lookUpMany: (keys: readonly string[], madeBy: number | undefined) => this.#lookUpMany(keys, madeBy) } : {}),
      ...rest,
    });
  }

  async perform(step: Step): Promise<void> {
    const { through, clock } = this;
    switch (step.kind) {
      case 'advance':
        clock.advance(step.ms);
        await settled();
        this.checkWaiting();
        break;
      case 'delete':
        this.#newest.set(step.key, this.#beganCount);
        through.delete(step.key);
        break;
      case 'clear':
        for (const key of ['a', 'b']) this.#newest.set(key, this.#beganCount);
        through.clear();
        break;
      case 'put':
        this.#newest.set(step.key, this.#beganCount);
        through.put(step.key, { key: step.key, number: this.#beganCount }, 15);
        break;
      case 'many':
        this.#watch(['a', 'b'], async (extra) => {
          const { reads, error } = await through.readMany(['a', 'b'], { extra });
          for (const [key, { value }] of reads) assert.equal(value.key, key);
          if (error === null) assert.equal(reads.size, 2);
          else throw error;
        });
        break;
      default:
        this.#watch([step.key], async (extra) => {
          const options = step.kind === 'read' ? { extra } : ({ extra, maxStaleMs: Infinity, whenStale: 'update' } as const);
          const { status, value } = await through.read(step.key, options);
          if (status === 'stale') updateCount++;
          assert.equal(value.key, step.key);
        });
    }
  }

  /** Who has waited as long as the documentation says is done, but for those whose own look-up goes on. */
  checkWaiting(): void {
    const { lockAgeMs, lockTimeoutMs } = this.#settings;
    // A tick late for each of both times, and one for a deadline that was armed for an earlier reason.
    const boundMs = lockTimeoutMs + lockAgeMs + 30;
    const makers = new Set(Array.from(this.running, ({ madeBy }) => madeBy));
    for (const { id, cameAt, isSettled } of this.calls) {
      if (!isSettled && !makers.has(id) && this.clock.now() >= cameAt + boundMs)
        this.violation ??= `call ${id} of ${cameAt} waits for ever`;
    }
  }

  #watch(keys: readonly string[], run: (id: number) => Promise<void>): void {
    const call: Call = {
      id: this.calls.length,
      keys,
      cameAt: this.clock.now(),
      cameAfter: this.#beganCount,
      isSettled: false,
      error: null,
    };
    this.calls.push(call);
    run(call.id)
      .catch((error: unknown) => {
        call.error = error as Error;
      })
      .finally(() => {
        call.isSettled = true;
      });
  }

  #newestOf(key: string): number {
    return this.#newest.get(key) ?? 0;
  }

  #lookUp(key: string, madeBy: number | undefined, isOfMany: boolean): Promise<LookedUp<Value>> {
    const number = ++this.#beganCount;
    const running = { key, number, begunAt: this.clock.now(), madeBy };
    this.#judge(running, isOfMany);
    const outcome = this.#plan[number % this.#plan.length] ?? 'find';
    if (outcome === 'throw') throw new Error('thrown');
    this.running.add(running);
    return this.#scheduler.schedule(Promise.resolve(), `look-up ${number} of ${key}`).then(() => {
      this.running.delete(running);
      if (outcome === 'fail') throw new Error('failed');
      return { value: { key, number }, ttlMs: ttlOf[outcome] };
    });
  }

  /** Ends when all its parts have ended, and fails if one has. */
  async #lookUpMany(keys: readonly string[], madeBy: number | undefined): Promise<readonly LookedUp<Value>[]> {
    const ends = await Promise.allSettled(keys.map(async (key) => this.#lookUp(key, madeBy, true)));
    return ends.map((end) => {
      if (end.status === 'rejected') throw end.reason;
      return end.value;
    });
  }

  /** A look-up begins: may it? */
  #judge({ key, number, begunAt: now }: Running, isOfMany: boolean): void {
    const { lockAgeMs, lockTimeoutMs, maxPendingLookUps } = this.#settings;
    const others = Array.from(this.running).filter((other) => other.key === key);
    if (others.length >= maxPendingLookUps) this.violation ??= `look-up ${number} of ${key} is one too many`;
    const young = others.filter(({ begunAt }) => now - begunAt < lockAgeMs);
    if (young.length === 0) return;
    const counting = young.filter((other) => other.number > this.#newestOf(key));
    const isOverdue = (call: Call): boolean =>
      !call.isSettled &&
      call.keys.includes(key) &&
      call.cameAt + lockTimeoutMs <= now &&
      counting.every((other) => other.number <= call.cameAfter);
    if (counting.length === 0) {
      exceptions.superseded++;
    } else if (isOfMany) {
      exceptions.many++;
    } else if (this.calls.some(isOverdue) && this.#overdueAt.get(key) !== now) {
      // One for all whose time is over.
      this.#overdueAt.set(key, now);
      exceptions.overdue++;
    } else {
      this.violation ??= `look-up ${number} of ${key} at ${now} beside ${JSON.stringify(counting)}`;
    }
  }
}

test('look-ups of a key begin and end, and calls settle, as the rules say, whatever happens in whatever order', async () => {
  const plan = fc.array(fc.constantFrom(...outcomes), { minLength: 1, maxLength: 6 });
  const steps = fc.array(step, { minLength: 10, maxLength: 50, size: 'max' });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), settings, plan, steps, async (scheduler, settings, plan, steps) => {
      const watched = new WatchedCache(scheduler, settings, plan);
      scheduler.scheduleSequence(
        steps.map((step, index) => ({ label: `${index}: ${JSON.stringify(step)}`, builder: () => watched.perform(step) })),
      );
      await scheduler.waitIdle();
      // A look-up that ends may have begun another.
      for (let round = 0; watched.running.size > 0 || scheduler.count() > 0; round++) {
        assert.ok(round < 1000, 'look-ups go on for ever');
        await scheduler.waitIdle();
      }
      await settled();
      assert.equal(watched.violation, null);
      for (const { id, isSettled, error } of watched.calls) {
        assert.ok(isSettled, `call ${id} has not settled`);
        if (error === null) continue;
        assert.match(String(error), /CACHE_LOOK_UP_FAILED|CACHE_LOCK_TIMEOUT|RangeError: ttlMs/);
        if (String(error).includes('CACHE_LOCK_TIMEOUT')) timeoutCount++;
      }
      assert.equal(watched.through.pendingCount, 0);
      assert.equal(watched.deadlines.size, 0);
    }),
    { numRuns: 400 },
  );
  // All that is allowed and bounded has really happened.
  for (const [name, count] of Object.entries({ ...exceptions, timeoutCount, updateCount })) assert.ok(count > 0, `never: ${name}`);
});
