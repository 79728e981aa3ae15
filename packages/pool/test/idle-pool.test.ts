import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineQueue } from '@ferrata/timeout';
import { IdlePool, type IdlePoolOptions } from '../src/index.ts';
import { LateClock } from './fixtures/late-clock.ts';
import { putAll, type Thing, takeNames, thing, world } from './fixtures/world.ts';

test('an item is handed out once, under its own key', () => {
  const { pool } = world();
  const a = thing('a');
  const entry = pool.put('k', a);
  assert.deepEqual([entry?.key, entry?.item, entry?.isIdle], ['k', a, true]);
  assert.equal(pool.take('other'), undefined);
  assert.equal(pool.take('k'), a);
  assert.equal(entry?.isIdle, false);
  assert.equal(pool.take('k'), undefined);
  assert.equal(pool.size, 0);
});

test('an item that is in the pool cannot be put again, under whatever key', () => {
  const { pool } = world();
  const a = thing('a');
  pool.put('k', a);
  assert.throws(() => pool.put('k', a), { name: 'TypeError', message: 'put was given an item that is in the pool already' });
  assert.throws(() => pool.put('l', a), TypeError);
  assert.deepEqual([pool.size, pool.sizeOf('k'), pool.sizeOf('l')], [1, 1, 0]);
  assert.equal(pool.take('k'), a);
  assert.equal(pool.take('k'), undefined);
});

test('an item has one entry for all its stays, under changing keys', () => {
  const { pool } = world();
  const a = thing('a');
  const entry = pool.put('k', a);
  pool.take('k');
  assert.equal(pool.put('l', a), entry);
  assert.deepEqual([entry?.key, entry?.isIdle], ['l', true]);
  assert.equal(pool.take('k'), undefined);
  assert.equal(pool.take('l'), a);
});

test('the entry of an item can be asked for while it is idle', () => {
  const { pool } = world();
  const a = thing('a');
  assert.equal(pool.entryOf(a), null);
  const entry = pool.put('k', a);
  assert.equal(pool.entryOf(a), entry);
  pool.take('k');
  assert.equal(pool.entryOf(a), null);
});

test('functions are items, and what has no identity is not', () => {
  const { deadlines } = world();
  const pool = new IdlePool<() => void>({ deadlines });
  const item = (): void => {};
  pool.put('k', item);
  assert.equal(pool.take('k'), item);
  for (const bad of [undefined, null, 1, 'a', Symbol('a')]) {
    assert.throws(() => pool.put('k', bad as never), { name: 'TypeError', message: `put needs an object, not ${String(bad)}` });
  }
  assert.equal(pool.size, 0);
});

test('two pools may hold one item, each knows its own', () => {
  const first = world().pool;
  const second = world().pool;
  const a = thing('a');
  first.put('k', a);
  second.put('k', a);
  assert.deepEqual([first.take('k'), second.take('k')], [a, a]);
});

test('names that objects have by themselves, no name and a huge one are ordinary keys', () => {
  const { pool } = world();
  for (const key of ['__proto__', 'constructor', '', 'x'.repeat(1_000_000)]) {
    assert.equal(pool.take(key), undefined);
    pool.put(key, thing('a'));
    assert.equal(pool.sizeOf(key), 1);
    assert.equal(pool.take(key)?.name, 'a');
  }
});

test('sizes count all and by key', () => {
  const { pool } = world();
  putAll(pool, 'k', 'ab');
  putAll(pool, 'l', 'c');
  assert.deepEqual([pool.size, pool.sizeOf('k'), pool.sizeOf('l'), pool.sizeOf('m')], [3, 2, 1, 0]);
});

test('above the limit of a key its oldest item is evicted', () => {
  const { pool, told } = world({ maxIdlePerKey: 2 });
  putAll(pool, 'k', 'abc');
  putAll(pool, 'l', 'd');
  assert.deepEqual(told, ['a:keyLimit']);
  assert.deepEqual([pool.size, pool.sizeOf('k')], [3, 2]);
});

test('above the limit of the pool the oldest item of all is evicted, whichever its idle time', () => {
  const { pool, told } = world({ maxIdle: 2 });
  pool.put('k', thing('a'));
  pool.put('l', thing('b'), { idleTimeoutMs: 1000 });
  pool.put('m', thing('c'));
  pool.put('n', thing('d'));
  pool.put('o', thing('e'), { idleTimeoutMs: 1000 });
  assert.deepEqual(told, ['a:totalLimit', 'b:totalLimit', 'c:totalLimit']);
  assert.equal(pool.sizeOf('k'), 0);
});

test('an eviction by the key limit makes room in the pool as well', () => {
  const { pool, told } = world({ maxIdle: 2, maxIdlePerKey: 1 });
  putAll(pool, 'l', 'a');
  putAll(pool, 'k', 'bc');
  assert.deepEqual(told, ['b:keyLimit']);
});

test('an item that is used is no longer the oldest', () => {
  const { pool, told } = world({ maxIdle: 2 });
  putAll(pool, 'k', 'a');
  putAll(pool, 'l', 'b');
  const a = pool.take('k');
  assert.ok(a);
  pool.put('k', a);
  putAll(pool, 'm', 'c');
  assert.deepEqual(told, ['b:totalLimit']);
});

test('a limit of zero keeps nothing', () => {
  for (const [options, reason] of [
    [{ maxIdlePerKey: 0 }, 'keyLimit'],
    [{ maxIdle: 0 }, 'totalLimit'],
    [{ idleTimeoutMs: 0 }, 'idle'],
  ] as const) {
    const { pool, told } = world(options);
    assert.equal(pool.put('k', thing('a')), null);
    assert.deepEqual([told, pool.size], [[`a:${reason}`], 0]);
  }
});

test('an item leaves when its idle time is over, and the others stay for theirs', () => {
  const { clock, pool, told } = world({ idleTimeoutMs: 1000 });
  putAll(pool, 'k', 'a');
  clock.advance(400);
  putAll(pool, 'k', 'b');
  clock.advance(590);
  assert.deepEqual(told, []);
  clock.advance(10);
  assert.deepEqual(told, ['a:idle']);
  clock.advance(400);
  assert.deepEqual(told, ['a:idle', 'b:idle']);
  assert.equal(pool.size, 0);
});

test('an item put again starts its idle time anew', () => {
  const { clock, pool, told } = world({ idleTimeoutMs: 1000 });
  const a = thing('a');
  for (let i = 0; i < 5; i++) {
    pool.put('k', a);
    clock.advance(600);
    assert.equal(pool.take('k'), a);
  }
  pool.put('k', a);
  clock.advance(990);
  assert.deepEqual(told, []);
  clock.advance(10);
  assert.deepEqual(told, ['a:idle']);
});

test('an item may have an idle time of its own, shorter, longer or none', () => {
  const { clock, pool, told } = world({ idleTimeoutMs: 1000 });
  pool.put('k', thing('long'), { idleTimeoutMs: 2000 });
  pool.put('k', thing('forever'), { idleTimeoutMs: Infinity });
  pool.put('k', thing('usual'), { idleTimeoutMs: 1000 });
  pool.put('k', thing('short'), { idleTimeoutMs: 500 });
  assert.equal(pool.put('k', thing('not at all'), { idleTimeoutMs: 0 }), null);
  const seen: string[][] = [];
  for (const ms of [500, 500, 1000, 1_000_000]) {
    clock.advance(ms);
    seen.push(told.splice(0));
  }
  assert.deepEqual(seen, [['not at all:idle', 'short:idle'], ['usual:idle'], ['long:idle'], []]);
  assert.equal(pool.take('k')?.name, 'forever');
});

test('an idle time of its own is for one stay', () => {
  const { clock, pool, told } = world({ idleTimeoutMs: 1000 });
  const a = thing('a');
  pool.put('k', a, { idleTimeoutMs: 500 });
  pool.take('k');
  pool.put('k', a, { idleTimeoutMs: 700 });
  clock.advance(690);
  assert.equal(pool.take('k'), a);
  pool.put('k', a);
  clock.advance(990);
  assert.deepEqual(told, []);
  clock.advance(10);
  assert.deepEqual(told, ['a:idle']);
});

test('without an idle limit items stay', () => {
  const { clock, pool, deadlines } = world({ idleTimeoutMs: Infinity });
  putAll(pool, 'k', 'a');
  assert.equal(deadlines.size, 0);
  clock.advance(1e9);
  assert.equal(pool.take('k')?.name, 'a');
});

test('all items with the usual idle time share one deadline, and putting and taking leave it alone', () => {
  const { clock, pool, deadlines } = world({ idleTimeoutMs: 1000 });
  for (let i = 0; i < 100; i++) pool.put('k', thing(`${i}`));
  assert.equal(deadlines.size, 1);
  for (let i = 0; i < 100; i++) pool.take('k');
  assert.equal(deadlines.size, 1);
  clock.advance(1000);
  assert.equal(deadlines.size, 0);
});

test('items with the same idle time of their own share a deadline too', () => {
  const { clock, pool, deadlines, told } = world();
  for (const name of 'abcd') pool.put('k', thing(name), { idleTimeoutMs: name < 'c' ? 500 : 600 });
  assert.equal(deadlines.size, 2);
  assert.equal(takeNames(pool, 'k', 1), 'd');
  clock.advance(600);
  assert.deepEqual(told, ['a:idle', 'b:idle', 'c:idle']);
});

test('any number of different idle times is kept to the millisecond, the first of them by shared deadlines', () => {
  const { clock, pool, deadlines, told } = world();
  const count = 40;
  for (let i = 1; i <= count; i++) {
    for (const twin of 'ab') pool.put('k', thing(`${i}${twin}`), { idleTimeoutMs: i * 10 });
  }
  assert.equal(deadlines.size, 7 + 2 * (count - 7));
  for (let i = 1; i <= count; i++) {
    clock.advance(10);
    assert.deepEqual(told.splice(0), [`${i}a:idle`, `${i}b:idle`]);
  }
  assert.deepEqual([pool.size, deadlines.size], [0, 0]);
});

test('among many different idle times the oldest of all is still found', () => {
  const { pool, told } = world({ maxIdle: 20 });
  for (let i = 0; i < 40; i++) pool.put('k', thing(`${i}`), { idleTimeoutMs: 10_000 - (i % 17) * 100 });
  assert.deepEqual(
    told,
    Array.from({ length: 20 }, (_, i) => `${i}:totalLimit`),
  );
});

test('idle times that come and go do not leave deadlines behind', () => {
  const { clock, pool, deadlines, told } = world();
  const a = thing('a');
  for (let ms = 1000; ms < 2000; ms++) {
    pool.put('k', a, { idleTimeoutMs: ms });
    assert.equal(pool.take('k'), a);
  }
  assert.ok(deadlines.size <= 1, `${deadlines.size}`);
  pool.put('k', a, { idleTimeoutMs: 5 });
  clock.advance(10);
  assert.deepEqual(told, ['a:idle']);
});

test('an item that has a deadline to itself takes it along', () => {
  const { pool, deadlines } = world();
  for (let i = 1; i <= 7; i++) pool.put('l', thing('l'), { idleTimeoutMs: i });
  const before = deadlines.size;
  const a = thing('a');
  for (let stay = 0; stay < 2; stay++) {
    const entry = pool.put('k', a, { idleTimeoutMs: 500 });
    assert.equal(deadlines.size, before + 1);
    assert.ok(entry);
    pool.remove(entry);
    assert.equal(deadlines.size, before);
  }
});

test('an item whose time is over is not handed out, even if the event loop was blocked and its deadline is late', () => {
  const clock = new LateClock();
  const told: string[] = [];
  const onEvict = ({ name }: Thing, reason: string): void => void told.push(`${name}:${reason}`);
  const pool = new IdlePool<Thing>({ deadlines: new DeadlineQueue({ clock }), idleTimeoutMs: 1000, onEvict });
  putAll(pool, 'k', 'a');
  pool.put('k', thing('b'), { idleTimeoutMs: 5000 });
  pool.put('k', thing('c'), { idleTimeoutMs: 500 });
  putAll(pool, 'l', 'd');
  clock.block(1000);
  assert.equal(pool.take('k')?.name, 'b');
  assert.equal(pool.take('k'), undefined);
  assert.deepEqual(told, ['c:idle', 'a:idle']);
  // After a block deadlines let the event loop come round once more.
  clock.advance(500);
  assert.deepEqual(told, ['c:idle', 'a:idle', 'd:idle']);
});

test('a pool that is given the time reads the clock only to hold it against the first of it, for each deadline that it arms', () => {
  let now = 0;
  const { clock, deadlines, pool, told } = world({ idleTimeoutMs: 1000, recentNow: () => now });
  let readings = 0;
  deadlines.now = (): number => {
    readings++;
    return clock.now();
  };
  putAll(pool, 'k', 'abc');
  assert.equal(takeNames(pool, 'k', 2), 'cb');
  putAll(pool, 'k', 'd');
  assert.equal(readings, 1);
  pool.put('k', thing('e'), { idleTimeoutMs: 5 });
  pool.put('k', thing('f'), { idleTimeoutMs: Infinity });
  assert.equal(readings, 2);
  now = 1000;
  assert.equal(takeNames(pool, 'k', 2), 'f-');
  assert.deepEqual([told, readings], [['e:idle', 'd:idle', 'a:idle'], 2]);
});

test('a recentNow of another clock, ahead of the deadlines’, is refused before the item is watched or in the pool', () => {
  let now = 1.79e12;
  let watched = 0;
  const watch = (): (() => void) => {
    watched++;
    return () => {};
  };
  const { clock, pool, told } = world({ recentNow: () => now, idleTimeoutMs: 1000, watch });
  for (const options of [undefined, { idleTimeoutMs: 50 }]) {
    assert.throws(
      () => pool.put('k', thing('a'), options),
      /^RangeError: recentNow must not be ahead of the clock, which is 0, and returned 1790000000000$/,
    );
  }
  assert.deepEqual([pool.size, watched], [0, 0]);
  now = clock.now();
  putAll(pool, 'k', 'b');
  clock.advance(1000);
  assert.deepEqual(told, ['b:idle']);
});

test('an item whose time was given too late meanwhile stops no deadline', () => {
  let now = 0;
  const { clock, pool, told } = world({ recentNow: () => now, idleTimeoutMs: 1000 });
  putAll(pool, 'k', 'a');
  now = 1.79e12;
  putAll(pool, 'k', 'b');
  clock.advance(5000);
  now = 5000;
  assert.deepEqual([told, pool.size], [['a:idle'], 1]);
});

test('a recentNow that is no number puts nothing, and hands nothing out', () => {
  let now: unknown = 0;
  let watched = 0;
  const watch = (): (() => void) => {
    watched++;
    return () => {};
  };
  const { pool, told } = world({ recentNow: () => now as number, watch });
  putAll(pool, 'k', 'a');
  for (const bad of [Number.NaN, Infinity, -Infinity, '0', undefined]) {
    now = bad;
    assert.throws(() => pool.put('k', thing('b')), /^RangeError: recentNow must return a finite number of milliseconds, not /);
  }
  assert.deepEqual([pool.size, watched], [1, 1]);
  now = Number.NaN;
  assert.equal(pool.take('k'), undefined);
  assert.deepEqual([told, pool.size], [['a:idle'], 0]);
});

test('a clock that goes back makes nothing leave early, and stops nobody', () => {
  let offset = 0;
  const { clock, deadlines } = world();
  const told: string[] = [];
  const pool = new IdlePool<Thing>({
    deadlines,
    idleTimeoutMs: 1000,
    recentNow: () => clock.now() + offset,
    onEvict: ({ name }, reason) => void told.push(`${name}:${reason}`),
  });
  clock.advance(5000);
  putAll(pool, 'k', 'a');
  offset = -400;
  putAll(pool, 'k', 'b');
  assert.equal(takeNames(pool, 'k', 2), 'ba');
  putAll(pool, 'k', 'c');
  offset = 0;
  clock.advance(590);
  assert.deepEqual(told, []);
  clock.advance(1000);
  assert.deepEqual([told, pool.size], [['c:idle'], 0]);
});

test('an item can be removed by its entry, once, wherever it stands', () => {
  const { pool, told } = world();
  const entries = Array.from('abcde', (name) => pool.put('k', thing(name)));
  const [a, , c, , e] = entries;
  assert.ok(a && c && e);
  for (const entry of [c, a, e]) {
    assert.equal(pool.remove(entry), true);
    assert.equal(pool.remove(entry), false);
    assert.equal(entry.isIdle, false);
  }
  assert.deepEqual([pool.size, takeNames(pool, 'k', 3)], [2, 'db-']);
  assert.deepEqual(told, []);
});

test('an item that was taken or evicted can no longer be removed', () => {
  const { pool } = world({ maxIdlePerKey: 1 });
  const a = pool.put('k', thing('a'));
  const b = pool.put('k', thing('b'));
  assert.ok(a && b);
  pool.take('k');
  assert.deepEqual([pool.remove(a), pool.remove(b)], [false, false]);
});

test('an entry of another pool, or of no pool, is refused', () => {
  const { pool } = world();
  const foreign = world().pool.put('k', thing('a'));
  assert.ok(foreign);
  assert.throws(() => pool.remove(foreign), TypeError);
  assert.throws(() => pool.remove({ key: 'k', item: thing('a'), isIdle: true, leave: () => {} }), TypeError);
  assert.equal(foreign.isIdle, true);
});

test('evictKey evicts the items of one key, the oldest first, and the key can be used again', () => {
  const { pool, told } = world();
  putAll(pool, 'k', 'ab');
  putAll(pool, 'l', 'c');
  assert.equal(pool.evictKey('k'), 2);
  assert.equal(pool.evictKey('m'), 0);
  assert.deepEqual(told, ['a:asked', 'b:asked']);
  putAll(pool, 'k', 'd');
  assert.deepEqual([pool.size, takeNames(pool, 'k', 1), takeNames(pool, 'l', 1)], [2, 'd', 'c']);
});

test('evictOldest evicts so many of all keys, the oldest first', () => {
  const { pool, told } = world();
  pool.put('k', thing('a'), { idleTimeoutMs: 9000 });
  putAll(pool, 'l', 'b');
  putAll(pool, 'k', 'c');
  assert.equal(pool.evictOldest(0), 0);
  assert.equal(pool.evictOldest(2), 2);
  assert.deepEqual(told.splice(0), ['a:asked', 'b:asked']);
  assert.equal(pool.evictOldest(Infinity), 1);
  assert.deepEqual([told, pool.size], [['c:asked'], 0]);
  for (const bad of [-1, 1.5, Number.NaN]) assert.throws(() => pool.evictOldest(bad), RangeError);
});

test('a round of evictions ends, though another item is put for each that is evicted', () => {
  const { deadlines } = world();
  const pool: IdlePool<Thing> = new IdlePool<Thing>({ deadlines, onEvict: ({ name }) => void pool.put('k', thing(name)) });
  putAll(pool, 'k', 'abc');
  assert.equal(pool.evictKey('k'), 3);
  assert.equal(pool.evictOldest(5), 3);
  assert.equal(takeNames(pool, 'k', 4), 'cba-');
});

test('an item that is put in a round with a time long past leaves with the next', () => {
  const clock = new LateClock();
  const told: string[] = [];
  const pool: IdlePool<Thing> = new IdlePool<Thing>({
    deadlines: new DeadlineQueue({ clock }),
    idleTimeoutMs: 1000,
    recentNow: () => 0,
    onEvict(_, reason) {
      told.push(reason);
      if (told.length === 1) putAll(pool, 'k', 'b');
    },
  });
  putAll(pool, 'k', 'a');
  clock.block(3000);
  clock.advance(500);
  clock.advance(10);
  assert.deepEqual([told, pool.size], [['idle', 'idle'], 0]);
});

test('an item cannot be put before onEvict or onClosed has returned that is told about it, and can be afterwards', () => {
  const refusals: string[] = [];
  const putBack = (item: Thing): void => {
    assert.throws(() => pool.put('k', item), {
      name: 'TypeError',
      message: 'put was given an item while a callback of the pool runs for it',
    });
    refusals.push(item.name);
  };
  const { deadlines } = world();
  const pool: IdlePool<Thing> = new IdlePool<Thing>({ deadlines, maxIdlePerKey: 1, onEvict: putBack, onClosed: putBack });
  const [a, b] = [thing('a'), thing('b')];
  pool.put('k', a);
  pool.put('k', b);
  assert.deepEqual([refusals, takeNames(pool, 'k', 2)], [['a'], 'b-']);
  pool.put('k', a)?.leave('closed');
  assert.equal(pool.put('k', a)?.isIdle, true);
  pool.drain();
  pool.put('k', b);
  assert.deepEqual(refusals, ['a', 'a', 'a', 'b']);
});

test('a pool that would evict for ever, each item for the other, ends with an error, and stays consistent', () => {
  const { deadlines } = world();
  for (const isDrained of [false, true]) {
    const pool: IdlePool<Thing> = new IdlePool<Thing>({ deadlines, maxIdlePerKey: 1, onEvict: (item) => void pool.put('k', item) });
    putAll(pool, 'k', 'a');
    assert.throws(() => (isDrained ? pool.drain() : putAll(pool, 'k', 'b')), { name: 'TypeError', message: /callback of the pool runs/ });
    assert.equal(takeNames(pool, 'k', 2), isDrained ? '--' : 'b-');
  }
});

test('drain evicts all, the oldest first, and later every item at its put', () => {
  const { pool, told, deadlines } = world();
  pool.put('k', thing('a'));
  pool.put('l', thing('b'), { idleTimeoutMs: 500 });
  pool.put('k', thing('c'));
  assert.equal(pool.isDraining, false);
  pool.drain();
  assert.deepEqual(told.splice(0), ['a:drain', 'b:drain', 'c:drain']);
  assert.deepEqual([pool.size, pool.isDraining, deadlines.size], [0, true, 0]);
  assert.equal(pool.put('k', thing('d')), null);
  pool.drain();
  assert.deepEqual(told, ['d:drain']);
});

test('a pool that is disposed of drains', () => {
  const { pool, told } = world();
  putAll(pool, 'k', 'a');
  pool[Symbol.dispose]();
  assert.deepEqual([told, pool.isDraining], [['a:drain'], true]);
});

test('onEvict may use the pool', () => {
  const { clock, deadlines } = world();
  const told: string[] = [];
  const again = thing('again');
  const pool: IdlePool<Thing> = new IdlePool<Thing>({
    deadlines,
    idleTimeoutMs: 1000,
    onEvict({ name }, reason) {
      told.push(`${name}:${reason}`);
      if (name === 'a') pool.put('k', again);
      if (name === 'b') assert.equal(pool.take('k'), again);
      if (name === 'c') pool.drain();
    },
  });
  putAll(pool, 'k', 'ab');
  clock.advance(500);
  putAll(pool, 'k', 'cd');
  clock.advance(500);
  assert.deepEqual(told, ['a:idle', 'b:idle']);
  clock.advance(500);
  assert.deepEqual(told.slice(2), ['c:idle', 'd:drain']);
  assert.equal(deadlines.size, 0);
});

test('put says so if onEvict took the new item away', () => {
  const { deadlines } = world();
  let taken: Thing | undefined;
  const pool: IdlePool<Thing> = new IdlePool<Thing>({ deadlines, maxIdlePerKey: 1, onEvict: () => (taken = pool.take('k')) });
  putAll(pool, 'k', 'a');
  assert.equal(pool.put('k', thing('b')), null);
  assert.equal(taken?.name, 'b');
});

test('if onEvict throws, the others of the round are still told, and the pool goes on', () => {
  const { clock, deadlines } = world();
  const told: string[] = [];
  const pool = new IdlePool<Thing>({
    deadlines,
    idleTimeoutMs: 1000,
    onEvict({ name }) {
      told.push(name);
      if (name < 'c') throw new Error(name);
    },
  });
  putAll(pool, 'k', 'abc');
  clock.advance(500);
  putAll(pool, 'k', 'd');
  assert.throws(
    () => clock.advance(500),
    (error) => error instanceof AggregateError && error.errors.length === 2,
  );
  assert.deepEqual(told, ['a', 'b', 'c']);
  clock.advance(500);
  assert.deepEqual(told, ['a', 'b', 'c', 'd']);
  putAll(pool, 'k', 'a');
  assert.throws(() => pool.drain(), /^Error: a$/);
});

test('if onEvict throws during a put, the new item is in the pool all the same', () => {
  const { deadlines } = world();
  const pool = new IdlePool<Thing>({
    deadlines,
    maxIdlePerKey: 1,
    onEvict() {
      throw new Error('boom');
    },
  });
  putAll(pool, 'k', 'a');
  assert.throws(() => pool.put('k', thing('b')), /boom/);
  assert.deepEqual([pool.size, takeNames(pool, 'k', 1)], [1, 'b']);
});

test('onEvict is optional', () => {
  const { deadlines } = world();
  const pool = new IdlePool<Thing>({ deadlines });
  putAll(pool, 'k', 'a');
  pool.drain();
  assert.equal(pool.size, 0);
});

test('options out of range are refused, by name', () => {
  const bad: Partial<IdlePoolOptions<Thing>>[] = [
    { maxIdle: -1 },
    { maxIdle: 1.5 },
    { maxIdlePerKey: Number.NaN },
    { idleTimeoutMs: -1 },
    { idleTimeoutMs: Number.NaN },
    { idleTimeoutMs: 1e13 },
    { idleTimeoutMs: '50' as unknown as number },
    { maxIdle: '50' as unknown as number },
    { order: 'random' as 'fifo' },
    { hotCount: 16 },
    { hotCount: 0, order: 'fifo' },
    { hotCount: 1.5, order: 'fifo' },
  ];
  for (const options of bad) {
    const [name = ''] = Object.keys(options);
    assert.throws(
      () => world(options),
      (error) => error instanceof RangeError && error.message.startsWith(`${name} `),
      JSON.stringify(options),
    );
  }
  const { pool } = world({ maxIdle: Infinity, maxIdlePerKey: Infinity });
  for (const bad of [-1, '50']) assert.throws(() => pool.put('k', thing('a'), { idleTimeoutMs: bad as number }), RangeError);
  assert.equal(pool.size, 0);
});
