/** Any use of a pool, against a naive list that is searched each time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { IdlePool, type LeaveReason, type PoolEntry } from '../src/index.ts';
import { LateClock } from './fixtures/late-clock.ts';

const keys = ['a', 'b', 'c'] as const;
const idleTimeoutMs = 100;

interface Settings {
  readonly maxIdlePerKey: number;
  readonly maxIdle: number;
  /** 0 is `lifo`. */
  readonly hotCount: number;
  readonly isWatching: boolean;
}

interface Item {
  readonly id: number;
  isUsable: boolean;
  /** How often it is watched just now. */
  watchers: number;
}

interface Stay {
  readonly key: string;
  readonly item: Item;
  readonly expiresAt: number;
  isHot: boolean;
}

/** The naive twin: one list, the oldest first. */
class NaivePool {
  readonly settings: Settings;
  readonly items: Item[] = [];
  stays: Stay[] = [];
  told: string[] = [];
  time = 0;
  /** Blocks of the event loop since time last went on by itself. */
  blockedMs = 0;
  isDraining = false;

  constructor(settings: Settings) {
    this.settings = settings;
  }

  put(key: string, item: Item, idleMs: number): boolean {
    const { maxIdle, maxIdlePerKey, hotCount } = this.settings;
    const refusal = this.isDraining
      ? 'drain'
      : maxIdlePerKey === 0
        ? 'keyLimit'
        : maxIdle === 0
          ? 'totalLimit'
          : idleMs === 0
            ? 'idle'
            : null;
    if (refusal !== null) {
      this.told.push(`${item.id}:${refusal}`);
      return false;
    }
    this.stays.push({ key, item, expiresAt: this.time + idleMs, isHot: true });
    const hot = this.of(key).filter((stay) => stay.isHot);
    if (hot.length > hotCount && hot[0] !== undefined) hot[0].isHot = false;
    if (this.of(key).length > maxIdlePerKey) this.evict(this.of(key)[0], 'keyLimit');
    else if (this.stays.length > maxIdle) this.evict(this.stays[0], 'totalLimit');
    return true;
  }

  take(key: string): Item | undefined {
    for (;;) {
      const stay = this.of(key).find((one) => one.isHot) ?? this.of(key).at(-1);
      if (stay === undefined) return undefined;
      if (stay.expiresAt <= this.time) this.evict(stay, 'idle');
      else if (!stay.item.isUsable) this.evict(stay, 'unusable');
      else {
        this.leave(stay);
        return stay.item;
      }
    }
  }

  stayOf(item: Item): Stay | undefined {
    return this.stays.find((one) => one.item === item);
  }

  of(key: string): readonly Stay[] {
    return this.stays.filter((stay) => stay.key === key);
  }

  evictAll(stays: readonly Stay[], reason: string): number {
    for (const stay of stays.slice()) this.evict(stay, reason);
    return stays.length;
  }

  /** A deadline is due at the first whole tick at or after its time. */
  runDue(): void {
    this.evictAll(
      this.stays.filter((stay) => Math.ceil(stay.expiresAt / 10) * 10 <= this.time),
      'idle',
    );
  }

  evict(stay: Stay | undefined, reason: string): void {
    assert.ok(stay);
    this.told.push(`${stay.item.id}:${reason}`);
    this.leave(stay);
  }

  leave(stay: Stay): void {
    this.stays = this.stays.filter((one) => one !== stay);
  }
}

class Real {
  readonly clock = new LateClock();
  readonly pool: IdlePool<Item>;
  readonly entries = new Map<Item, PoolEntry<Item>>();
  told: string[] = [];

  constructor({ maxIdlePerKey, maxIdle, hotCount, isWatching }: Settings) {
    this.pool = new IdlePool<Item>({
      maxIdlePerKey,
      maxIdle,
      deadlines: new DeadlineQueue({ clock: this.clock }),
      idleTimeoutMs,
      ...(hotCount === 0 ? {} : { order: 'fifo', hotCount }),
      ...(isWatching ? { watch } : {}),
      isUsable: (item) => item.isUsable,
      onEvict: (item, reason) => void this.told.push(`${item.id}:${reason}`),
      onClosed: (item) => void this.told.push(`${item.id}:closed`),
    });
  }
}

function watch(item: Item): (item: Item) => void {
  item.watchers++;
  return stopWatching;
}

function stopWatching(item: Item): void {
  item.watchers--;
}

type Command = fc.Command<NaivePool, Real>;

function command(label: string, run: (model: NaivePool, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      // Items that fall due in the same advance may be told in any order, as they may have deadlines of their own.
      assert.deepEqual(real.told.toSorted(), model.told.toSorted());
      real.told = [];
      model.told = [];
      assert.equal(real.pool.size, model.stays.length);
      for (const key of keys) assert.equal(real.pool.sizeOf(key), model.of(key).length);
      for (const item of model.items) {
        const stay = model.stayOf(item);
        assert.equal(real.pool.entryOf(item)?.key, stay?.key);
        assert.equal(item.watchers, stay !== undefined && model.settings.isWatching ? 1 : 0);
      }
    },
    toString: () => label,
  };
}

/** Runs with an item that has been in the pool before, if there is one. */
function withItem(label: string, index: number, run: (model: NaivePool, real: Real, item: Item) => void): Command {
  return command(`${label}(${index})`, (model, real) => {
    const item = model.items[index % Math.max(1, model.items.length)];
    if (item !== undefined) run(model, real, item);
  });
}

function putBoth(model: NaivePool, real: Real, put: { key: string; item: Item; ownMs: number | null }): void {
  const { key, item, ownMs } = put;
  const options = ownMs === null ? undefined : { idleTimeoutMs: ownMs };
  if (model.stayOf(item) !== undefined) {
    assert.throws(() => real.pool.put(key, item, options), TypeError);
    return;
  }
  const entry = real.pool.put(key, item, options);
  assert.equal(entry !== null, model.put(key, item, ownMs ?? idleTimeoutMs));
  if (entry !== null) real.entries.set(item, entry);
}

const key = fc.constantFrom(...keys);
const index = fc.nat(60);
/** More than share a deadline. */
const idleMs = fc.option(fc.constantFrom(0, 5, 15, 20, 30, 40, 50, 60, 70, 90, 100, 250, Infinity));
const putNew = fc.tuple(key, idleMs).map(([key, ownMs]) =>
  command(`put(${key}, ${String(ownMs)})`, (model, real) => {
    const item = { id: model.items.length, isUsable: true, watchers: 0 };
    model.items.push(item);
    putBoth(model, real, { key, item, ownMs });
  }),
);
const putAgain = fc
  .tuple(key, idleMs, index)
  .map(([key, ownMs, index]) =>
    withItem(`put ${key} ${String(ownMs)}`, index, (model, real, item) => putBoth(model, real, { key, item, ownMs })),
  );
const take = key.map((key) => command(`take(${key})`, (model, real) => assert.equal(real.pool.take(key), model.take(key))));
const remove = index.map((index) =>
  withItem('remove', index, (model, real, item) => {
    const entry = real.entries.get(item);
    const stay = model.stayOf(item);
    if (entry !== undefined) assert.equal(real.pool.remove(entry), stay !== undefined);
    if (stay !== undefined) model.leave(stay);
  }),
);
const leave = fc.tuple(index, fc.constantFrom<LeaveReason>('closed', 'dirty')).map(([index, reason]) =>
  withItem(reason, index, (model, real, item) => {
    real.entries.get(item)?.leave(reason);
    const stay = model.stayOf(item);
    if (stay !== undefined) model.evict(stay, reason);
  }),
);
/** It has died, and nobody knows until it is asked. */
const spoil = index.map((index) => withItem('spoil', index, (_model, _real, item) => void (item.isUsable = false)));
const evictKey = key.map((key) =>
  command(`evictKey(${key})`, (model, real) => assert.equal(real.pool.evictKey(key), model.evictAll(model.of(key), 'asked'))),
);
const evictOldest = fc
  .nat(3)
  .map((count) =>
    command(`evictOldest(${count})`, (model, real) =>
      assert.equal(real.pool.evictOldest(count), model.evictAll(model.stays.slice(0, count), 'asked')),
    ),
  );
const advance = fc.constantFrom(0, 1, 10, 45, 50, 100, 300).map((ms) =>
  command(`advance(${ms})`, (model, real) => {
    // After a block deadlines let the event loop come round once more, for up to an eighth of the block.
    const passed = ms + Math.ceil(model.blockedMs / 80) * 10;
    model.blockedMs = 0;
    real.clock.advance(passed);
    model.time += passed;
    model.runDue();
  }),
);
/** Up to a whole tick, so that what runs late runs at one, and the twin knows by its tick what is due. */
const block = fc.constantFrom(10, 50, 130).map((ms) =>
  command(`block(${ms})`, (model, real) => {
    const whole = Math.ceil((model.time + ms) / 10) * 10 - model.time;
    real.clock.block(whole);
    model.time += whole;
    model.blockedMs += whole;
  }),
);
const drain = fc.constant(
  command('drain', (model, real) => {
    real.pool.drain();
    model.isDraining = true;
    model.evictAll(model.stays, 'drain');
  }),
);

const settings = fc.record({
  maxIdlePerKey: fc.constantFrom(0, 1, 2, 3, Infinity),
  maxIdle: fc.constantFrom(0, 1, 4, 6, Infinity),
  hotCount: fc.constantFrom(0, 0, 1, 2, Infinity),
  isWatching: fc.boolean(),
});
/** Draining ends most of what can happen, so it is rare. */
const rare = fc.oneof({ weight: 4, arbitrary: evictKey }, { weight: 4, arbitrary: evictOldest }, { weight: 1, arbitrary: drain });
const commands = [putNew, putNew, putAgain, putAgain, take, take, remove, leave, spoil, advance, block, rare];

test('a pool behaves as a naive list', () => {
  fc.assert(
    fc.property(settings, fc.commands(commands, { maxCommands: 100, size: 'max' }), (settings, commands) => {
      fc.modelRun(() => ({ model: new NaivePool(settings), real: new Real(settings) }), commands);
    }),
    { numRuns: 300 },
  );
});
