/** Any use of a pool, against a naive list that is searched each time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { IdlePool, type PoolEntry } from '../src/index.ts';

const keys = ['a', 'b', 'c'] as const;
const idleTimeoutMs = 100;

interface Settings {
  readonly maxIdlePerKey: number;
  readonly maxIdle: number;
  readonly order: 'lifo' | 'fifo';
}

interface Stay {
  readonly key: string;
  readonly item: number;
  readonly expiresAt: number;
}

/** The naive twin: one list, the oldest first. Items are numbered, so that each is known again. */
class NaivePool {
  readonly settings: Settings;
  stays: Stay[] = [];
  evicted: string[] = [];
  /** All items that have left, by whatever way. */
  readonly gone = new Set<number>();
  time = 0;
  isDraining = false;

  constructor(settings: Settings) {
    this.settings = settings;
  }

  put(key: string, item: number, idleMs: number): boolean {
    const { maxIdle, maxIdlePerKey } = this.settings;
    const refusal = this.isDraining
      ? 'drain'
      : maxIdlePerKey === 0
        ? 'keyLimit'
        : maxIdle === 0
          ? 'totalLimit'
          : idleMs === 0
            ? 'idle'
            : null;
    const stay = { key, item, expiresAt: Math.ceil((this.time + idleMs) / 10) * 10 };
    if (refusal !== null) {
      this.evict(stay, refusal);
      return false;
    }
    this.stays.push(stay);
    const siblings = this.stays.filter((one) => one.key === key);
    if (siblings.length > maxIdlePerKey) this.evict(siblings[0], 'keyLimit');
    else if (this.stays.length > maxIdle) this.evict(this.stays[0], 'totalLimit');
    return true;
  }

  take(key: string): number | undefined {
    const siblings = this.stays.filter((one) => one.key === key);
    const stay = this.settings.order === 'lifo' ? siblings.at(-1) : siblings[0];
    if (stay !== undefined) this.leave(stay);
    return stay?.item;
  }

  remove(item: number): boolean {
    const stay = this.stays.find((one) => one.item === item);
    if (stay === undefined) return false;
    this.leave(stay);
    return true;
  }

  drain(): void {
    this.isDraining = true;
    for (const stay of this.stays.slice()) this.evict(stay, 'drain');
  }

  advance(ms: number): void {
    this.time += ms;
    for (const stay of this.stays.slice()) if (stay.expiresAt <= this.time) this.evict(stay, 'idle');
  }

  evict(stay: Stay | undefined, reason: string): void {
    assert.ok(stay);
    this.evicted.push(`${stay.item}:${reason}`);
    this.leave(stay);
  }

  leave(stay: Stay): void {
    assert.ok(!this.gone.has(stay.item), `item ${stay.item} leaves twice`);
    this.gone.add(stay.item);
    this.stays = this.stays.filter((one) => one !== stay);
  }
}

class Real {
  readonly clock = new ManualClock();
  readonly deadlines = new DeadlineQueue({ clock: this.clock });
  readonly pool: IdlePool<number>;
  readonly entries: (PoolEntry<number> | null)[] = [];
  evicted: string[] = [];

  constructor(settings: Settings) {
    this.pool = new IdlePool({
      ...settings,
      deadlines: this.deadlines,
      idleTimeoutMs,
      onEvict: (item, reason) => void this.evicted.push(`${item}:${reason}`),
    });
  }
}

type Command = fc.Command<NaivePool, Real>;

function command(label: string, run: (model: NaivePool, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      // Items that fall due in the same advance may be told in any order, as they may have deadlines of their own.
      assert.deepEqual(real.evicted.toSorted(), model.evicted.toSorted());
      real.evicted = [];
      model.evicted = [];
      assert.equal(real.pool.size, model.stays.length);
      for (const key of keys) assert.equal(real.pool.sizeOf(key), model.stays.filter((one) => one.key === key).length);
      for (const entry of real.entries) if (entry !== null) assert.equal(entry.isIdle, !model.gone.has(entry.item));
    },
    toString: () => label,
  };
}

const key = fc.constantFrom(...keys);
const put = fc.tuple(key, fc.option(fc.constantFrom(0, 5, 50, 100, 250, Infinity))).map(([key, ownMs]) =>
  command(`put(${key}, ${String(ownMs)})`, (model, real) => {
    const item = real.entries.length;
    const entry = real.pool.put(key, item, ownMs === null ? undefined : { idleTimeoutMs: ownMs });
    real.entries.push(entry);
    assert.equal(entry !== null, model.put(key, item, ownMs ?? idleTimeoutMs));
  }),
);
const take = key.map((key) => command(`take(${key})`, (model, real) => assert.equal(real.pool.take(key), model.take(key))));
const remove = fc.nat(60).map((index) =>
  command(`remove(${index})`, (model, real) => {
    const entry = real.entries[index % Math.max(1, real.entries.length)];
    if (entry !== null && entry !== undefined) assert.equal(real.pool.remove(entry), model.remove(entry.item));
  }),
);
const advance = fc.constantFrom(0, 1, 10, 45, 50, 100, 300).map((ms) =>
  command(`advance(${ms})`, (model, real) => {
    real.clock.advance(ms);
    model.advance(ms);
  }),
);
const drain = fc.constant(
  command('drain', (model, real) => {
    real.pool.drain();
    model.drain();
  }),
);

const settings = fc.record({
  maxIdlePerKey: fc.constantFrom(0, 1, 2, 3, Infinity),
  maxIdle: fc.constantFrom(0, 1, 4, 6, Infinity),
  order: fc.constantFrom('lifo' as const, 'fifo' as const),
});
/** Draining ends most of what can happen, so it is rare. */
const commands = [put, put, take, remove, advance, fc.oneof({ weight: 9, arbitrary: take }, { weight: 1, arbitrary: drain })];

test('a pool behaves as a naive list, and no item ever leaves twice', () => {
  fc.assert(
    fc.property(settings, fc.commands(commands, { maxCommands: 100, size: 'max' }), (settings, commands) => {
      fc.modelRun(() => ({ model: new NaivePool(settings), real: new Real(settings) }), commands);
    }),
    { numRuns: 300 },
  );
});
