/**
 * Any use of a pool from inside its own callbacks, against a ledger that says where each item is.
 *
 * ```
 *   held ── put ──► coming ── watched ──► idle ── unwatched ──► going ── taken, removed, told ──► held
 * ```
 * Each callback plays the next acts of one script: it takes, puts, closes, drains, throws. Whatever they do, an item makes only the
 * steps of the ledger; what is handed out was idle, usable, clean, open and in time; and the pool's counts are those of the ledger, in
 * every callback.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { IdlePool, type LeaveReason, type PoolEntry } from '../src/index.ts';
import { LateClock } from './fixtures/late-clock.ts';

type Place = 'held' | 'coming' | 'idle' | 'going';

interface Item {
  place: Place;
  key: string;
  idleMs: number;
  expiresAt: number;
  /** It may not be handed out in this stay any more. */
  isSpoilt: boolean;
  entry: PoolEntry<Item> | null;
}

type Act =
  | { readonly kind: 'putNew' | 'putAgain'; readonly key: string; readonly idleMs: number | null; readonly pick: number }
  | { readonly kind: 'take' | 'evictKey'; readonly key: string }
  | { readonly kind: 'remove' | 'spoil' | 'closed' | 'dirty'; readonly pick: number }
  | { readonly kind: 'evictOldest'; readonly count: number }
  | { readonly kind: 'block'; readonly ms: number }
  | { readonly kind: 'drain' | 'throw' | 'nothing' };

class Boom extends Error {}

const idleTimeoutMs = 100;
const keys = ['a', 'b'];

class Ledger {
  readonly clock = new LateClock();
  readonly deadlines = new DeadlineQueue({ clock: this.clock });
  readonly items: Item[] = [];
  readonly pool: IdlePool<Item>;
  readonly script: Act[];

  constructor(script: readonly Act[], limits: { readonly maxIdlePerKey: number; readonly maxIdle: number; readonly hotCount: number }) {
    const { maxIdlePerKey, maxIdle, hotCount } = limits;
    this.script = script.toReversed();
    this.pool = new IdlePool<Item>({
      deadlines: this.deadlines,
      maxIdlePerKey,
      maxIdle,
      idleTimeoutMs,
      ...(hotCount === 0 ? {} : { order: 'fifo', hotCount }),
      watch: (item, entry) => {
        item.entry = entry;
        assert.equal(item.place, 'coming');
        this.playSome(item);
        item.place = 'idle';
        item.expiresAt = this.clock.now() + item.idleMs;
        return (same) => {
          assert.equal(same, item);
          this.step(item, 'idle', 'going');
          this.playSome(item);
        };
      },
      isUsable: (item) => {
        assert.equal(item.place, 'going');
        this.playSome(item);
        return !item.isSpoilt;
      },
      onEvict: (item) => this.told(item),
      onClosed: (item) => {
        assert.ok(item.isSpoilt);
        this.told(item);
      },
    });
  }

  /** Plays the whole script, then drains, and looks whether anything is left over. */
  run(): void {
    while (this.script.length > 0) {
      this.playSafely(null);
      this.advance();
    }
    this.pool.drain();
    this.clock.advance(1000);
    assert.deepEqual([this.pool.size, this.deadlines.size], [0, 0]);
    for (const item of this.items) assert.equal(item.place, 'held');
  }

  /** Two acts of the script, unless it is at its end. */
  playSome(current: Item): void {
    this.check();
    this.play(current);
    this.play(current);
  }

  told(item: Item): void {
    assert.ok(item.place === 'going' || item.place === 'coming', item.place);
    item.place = 'going';
    try {
      this.playSome(item);
    } finally {
      this.step(item, 'going', 'held');
    }
  }

  /** What callbacks throw comes out of whatever called them; it is expected here and nothing else is. */
  playSafely(current: Item | null): void {
    try {
      this.play(current);
    } catch (error) {
      assertBoom(error);
    }
  }

  advance(): void {
    try {
      this.clock.advance(7);
    } catch (error) {
      assertBoom(error);
    }
    this.check();
  }

  play(current: Item | null): void {
    const act = this.script.pop();
    switch (act?.kind) {
      case 'putNew':
        this.items.push({ place: 'held', key: '', idleMs: 0, expiresAt: 0, isSpoilt: false, entry: null });
        return this.put(this.items.length - 1, act.key, act.idleMs);
      case 'putAgain': {
        // The item that the callback is about is the one to try most.
        const index = current !== null && act.pick % 2 === 0 ? this.items.indexOf(current) : act.pick % Math.max(1, this.items.length);
        return this.put(index, act.key, act.idleMs);
      }
      case 'take':
        return this.take(act.key);
      case 'evictKey':
        return void this.pool.evictKey(act.key);
      case 'evictOldest':
        return void this.pool.evictOldest(act.count);
      case 'remove':
        return this.remove(this.pick(act.pick, current));
      case 'spoil':
        return this.spoil(this.pick(act.pick, current), null);
      case 'closed':
      case 'dirty':
        return this.spoil(this.pick(act.pick, current), act.kind);
      case 'block':
        return this.clock.block(act.ms);
      case 'drain':
        return this.pool.drain();
      case 'throw':
        if (current !== null) throw new Boom();
        break;
      case 'nothing':
      case undefined:
    }
  }

  put(index: number, key: string, idleMs: number | null): void {
    const item = this.items[index];
    if (item === undefined) return;
    const options = idleMs === null ? undefined : { idleTimeoutMs: idleMs };
    if (item.place !== 'held') {
      assert.throws(() => this.pool.put(key, item, options), TypeError);
      return;
    }
    item.place = 'coming';
    item.key = key;
    item.isSpoilt = false;
    item.idleMs = idleMs ?? idleTimeoutMs;
    try {
      const entry = this.pool.put(key, item, options);
      if (entry !== null) assert.deepEqual([entry.item === item, entry.isIdle], [true, true]);
    } finally {
      // Only `watch` throwing leaves it with its holder; otherwise it has gone on.
      if (item.place === 'coming') item.place = 'held';
    }
  }

  take(key: string): void {
    const now = this.clock.now();
    const item = this.pool.take(key);
    if (item === undefined) return;
    assert.ok(item.expiresAt > now);
    assert.deepEqual([item.key, item.isSpoilt], [key, false]);
    this.step(item, 'going', 'held');
  }

  remove(item: Item | undefined): void {
    if (item?.entry === null || item === undefined) return;
    const wasIdle = item.place === 'idle' && item.entry.isIdle;
    try {
      assert.equal(this.pool.remove(item.entry), wasIdle);
    } finally {
      if (wasIdle) this.step(item, 'going', 'held');
    }
  }

  /** It becomes unusable, silently or aloud. */
  spoil(item: Item | undefined, reason: LeaveReason | null): void {
    if (item === undefined || item.place === 'held') return;
    item.isSpoilt = true;
    if (reason !== null) item.entry?.leave(reason);
  }

  pick(pick: number, current: Item | null): Item | undefined {
    return current !== null && pick % 2 === 0 ? current : this.items[pick % Math.max(1, this.items.length)];
  }

  step(item: Item, from: Place, to: Place): void {
    assert.equal(item.place, from);
    item.place = to;
  }

  check(): void {
    const idle = this.items.filter((item) => item.entry?.isIdle === true);
    assert.equal(this.pool.size, idle.length);
    for (const key of keys) assert.equal(this.pool.sizeOf(key), idle.filter((item) => item.key === key).length);
    for (const item of this.items) assert.equal(item.entry?.isIdle === true, item.place === 'idle');
  }
}

function assertBoom(error: unknown): void {
  if (error instanceof AggregateError) error.errors.forEach(assertBoom);
  else if (!(error instanceof Boom)) throw error;
}

const key = fc.constantFrom(...keys);
const pick = fc.nat(40);
/** More than share a deadline. */
const idleMs = fc.option(fc.constantFrom(0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 100, Infinity));
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('putNew' as const), key, idleMs, pick }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('putAgain' as const), key, idleMs, pick }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('take' as const), key }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('remove' as const, 'spoil' as const, 'closed' as const, 'dirty' as const), pick }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('evictKey' as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('evictOldest' as const), count: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('block' as const), ms: fc.constantFrom(1, 10, 60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('throw' as const, 'nothing' as const) }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'nothing' as const }) },
);
/** At most one, in the last part of the script: what comes after it is only refused. */
const ending: fc.Arbitrary<readonly Act[]> = fc
  .tuple(fc.boolean(), fc.array(act, { maxLength: 30 }))
  .map(([isDrained, rest]) => (isDrained ? [{ kind: 'drain' as const }, ...rest] : rest));
const limits = fc.record({
  maxIdlePerKey: fc.constantFrom(1, 2, 4, Infinity),
  maxIdle: fc.constantFrom(1, 3, 6, Infinity),
  hotCount: fc.constantFrom(0, 2, Infinity),
});

test('whatever callbacks do to the pool, an item is in one place, and only a sound one is handed out', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 150, size: 'max' }), ending, limits, (script, ending, limits) => {
      new Ledger([...script, ...ending], limits).run();
    }),
    { numRuns: 400 },
  );
});
