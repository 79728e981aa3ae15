import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import { IdlePool, type IdlePoolOptions } from '../src/index.ts';

interface World {
  readonly clock: ManualClock;
  readonly deadlines: DeadlineQueue;
  readonly pool: IdlePool<string>;
  /** `item:reason`, in the order of eviction. */
  readonly evicted: string[];
}

function world(options: Partial<IdlePoolOptions<string>> = {}): World {
  const clock = new ManualClock();
  const deadlines = new DeadlineQueue({ clock });
  const evicted: string[] = [];
  const onEvict = (item: string, reason: string): void => void evicted.push(`${item}:${reason}`);
  return { clock, deadlines, evicted, pool: new IdlePool({ deadlines, onEvict, ...options }) };
}

test('an item is handed out once, under its own key', () => {
  const { pool } = world();
  const entry = pool.put('k', 'a');
  assert.deepEqual([entry?.key, entry?.item, entry?.isIdle], ['k', 'a', true]);
  assert.equal(pool.take('other'), undefined);
  assert.equal(pool.take('k'), 'a');
  assert.equal(entry?.isIdle, false);
  assert.equal(pool.take('k'), undefined);
  assert.equal(pool.size, 0);
});

test('the item put last is taken first, unless the order is fifo', () => {
  for (const [order, expected] of [
    ['lifo', 'cba'],
    ['fifo', 'abc'],
  ] as const) {
    const { pool } = world({ order });
    for (const item of 'abc') pool.put('k', item);
    assert.equal([pool.take('k'), pool.take('k'), pool.take('k')].join(''), expected);
  }
});

test('undefined and null are items like any other', () => {
  const { deadlines } = world();
  const pool = new IdlePool<string | null>({ deadlines });
  pool.put('k', null);
  assert.equal(pool.take('k'), null);
});

test('names that objects have by themselves are ordinary keys', () => {
  const { pool } = world();
  for (const key of ['__proto__', 'constructor', '']) {
    assert.equal(pool.take(key), undefined);
    pool.put(key, key);
    assert.equal(pool.sizeOf(key), 1);
    assert.equal(pool.take(key), key);
  }
});

test('sizes count all and by key', () => {
  const { pool } = world();
  pool.put('k', 'a');
  pool.put('k', 'b');
  pool.put('l', 'c');
  assert.deepEqual([pool.size, pool.sizeOf('k'), pool.sizeOf('l'), pool.sizeOf('m')], [3, 2, 1, 0]);
});

test('above the limit of a key its oldest item is evicted', () => {
  const { pool, evicted } = world({ maxIdlePerKey: 2 });
  for (const item of 'abc') pool.put('k', item);
  pool.put('l', 'd');
  assert.deepEqual(evicted, ['a:keyLimit']);
  assert.deepEqual([pool.size, pool.sizeOf('k')], [3, 2]);
});

test('above the limit of the pool the oldest item of all is evicted, whichever its idle time', () => {
  const { pool, evicted } = world({ maxIdle: 2 });
  pool.put('k', 'a');
  pool.put('l', 'b', { idleTimeoutMs: 1000 });
  pool.put('m', 'c');
  pool.put('n', 'd');
  pool.put('o', 'e', { idleTimeoutMs: 1000 });
  assert.deepEqual(evicted, ['a:totalLimit', 'b:totalLimit', 'c:totalLimit']);
  assert.equal(pool.sizeOf('k'), 0);
});

test('an eviction by the key limit makes room in the pool as well', () => {
  const { pool, evicted } = world({ maxIdle: 2, maxIdlePerKey: 1 });
  pool.put('l', 'a');
  pool.put('k', 'b');
  pool.put('k', 'c');
  assert.deepEqual(evicted, ['b:keyLimit']);
});

test('a limit of zero keeps nothing', () => {
  for (const [options, reason] of [
    [{ maxIdlePerKey: 0 }, 'keyLimit'],
    [{ maxIdle: 0 }, 'totalLimit'],
    [{ idleTimeoutMs: 0 }, 'idle'],
  ] as const) {
    const { pool, evicted } = world(options);
    assert.equal(pool.put('k', 'a'), null);
    assert.deepEqual([evicted, pool.size], [[`a:${reason}`], 0]);
  }
});

test('an item leaves when its idle time is over, and the others stay for theirs', () => {
  const { clock, pool, evicted } = world({ idleTimeoutMs: 1000 });
  pool.put('k', 'a');
  clock.advance(400);
  pool.put('k', 'b');
  clock.advance(590);
  assert.deepEqual(evicted, []);
  clock.advance(10);
  assert.deepEqual(evicted, ['a:idle']);
  clock.advance(400);
  assert.deepEqual(evicted, ['a:idle', 'b:idle']);
  assert.equal(pool.size, 0);
});

test('an item put again starts its idle time anew', () => {
  const { clock, pool, evicted } = world({ idleTimeoutMs: 1000 });
  for (let i = 0; i < 5; i++) {
    pool.put('k', 'a');
    clock.advance(600);
    assert.equal(pool.take('k'), 'a');
  }
  pool.put('k', 'a');
  clock.advance(990);
  assert.deepEqual(evicted, []);
  clock.advance(10);
  assert.deepEqual(evicted, ['a:idle']);
});

test('an item may have an idle time of its own, shorter, longer or none', () => {
  const { clock, pool, evicted } = world({ idleTimeoutMs: 1000 });
  pool.put('k', 'long', { idleTimeoutMs: 2000 });
  pool.put('k', 'forever', { idleTimeoutMs: Infinity });
  pool.put('k', 'usual', { idleTimeoutMs: 1000 });
  pool.put('k', 'short', { idleTimeoutMs: 500 });
  assert.equal(pool.put('k', 'not at all', { idleTimeoutMs: 0 }), null);
  const seen: string[][] = [];
  for (const ms of [500, 500, 1000, 1_000_000]) {
    clock.advance(ms);
    seen.push(evicted.splice(0));
  }
  assert.deepEqual(seen, [['not at all:idle', 'short:idle'], ['usual:idle'], ['long:idle'], []]);
  assert.equal(pool.take('k'), 'forever');
});

test('without an idle limit items stay', () => {
  const { clock, pool, deadlines } = world({ idleTimeoutMs: Infinity });
  pool.put('k', 'a');
  assert.equal(deadlines.size, 0);
  clock.advance(1e9);
  assert.equal(pool.take('k'), 'a');
});

test('all items with the usual idle time share one deadline, and putting and taking leave it alone', () => {
  const { clock, pool, deadlines } = world({ idleTimeoutMs: 1000 });
  for (let i = 0; i < 100; i++) pool.put('k', `${i}`);
  assert.equal(deadlines.size, 1);
  for (let i = 0; i < 100; i++) pool.take('k');
  assert.equal(deadlines.size, 1);
  clock.advance(1000);
  assert.equal(deadlines.size, 0);
});

test('an item with its own idle time takes its deadline along', () => {
  const { pool, deadlines } = world();
  const entry = pool.put('k', 'a', { idleTimeoutMs: 500 });
  assert.equal(deadlines.size, 1);
  assert.ok(entry);
  pool.remove(entry);
  assert.equal(deadlines.size, 0);
});

test('an item can be removed by its entry, once, wherever it stands', () => {
  const { pool, evicted } = world();
  const entries = Array.from('abcde', (item) => pool.put('k', item));
  const [a, , c, , e] = entries;
  assert.ok(a && c && e);
  for (const entry of [c, a, e]) {
    assert.equal(pool.remove(entry), true);
    assert.equal(pool.remove(entry), false);
    assert.equal(entry.isIdle, false);
  }
  assert.deepEqual([pool.size, pool.take('k'), pool.take('k'), pool.take('k')], [2, 'd', 'b', undefined]);
  assert.deepEqual(evicted, []);
});

test('an item that was taken or evicted can no longer be removed', () => {
  const { pool } = world({ maxIdlePerKey: 1 });
  const a = pool.put('k', 'a');
  const b = pool.put('k', 'b');
  assert.ok(a && b);
  pool.take('k');
  assert.deepEqual([pool.remove(a), pool.remove(b)], [false, false]);
});

test('an entry of another pool, or of no pool, is refused', () => {
  const { pool } = world();
  const foreign = world().pool.put('k', 'a');
  assert.ok(foreign);
  assert.throws(() => pool.remove(foreign), TypeError);
  assert.throws(() => pool.remove({ key: 'k', item: 'a', isIdle: true }), TypeError);
  assert.equal(foreign.isIdle, true);
});

test('drain evicts all, the oldest first, and later every item at its put', () => {
  const { pool, evicted, deadlines } = world();
  pool.put('k', 'a');
  pool.put('l', 'b', { idleTimeoutMs: 500 });
  pool.put('k', 'c');
  assert.equal(pool.isDraining, false);
  pool.drain();
  assert.deepEqual(evicted.splice(0), ['a:drain', 'b:drain', 'c:drain']);
  assert.deepEqual([pool.size, pool.isDraining, deadlines.size], [0, true, 0]);
  assert.equal(pool.put('k', 'd'), null);
  pool.drain();
  assert.deepEqual(evicted, ['d:drain']);
});

test('onEvict may use the pool', () => {
  const { clock, deadlines } = world();
  const evicted: string[] = [];
  const pool: IdlePool<string> = new IdlePool({
    deadlines,
    idleTimeoutMs: 1000,
    onEvict(item, reason) {
      evicted.push(`${item}:${reason}`);
      if (item === 'a') pool.put('k', 'again');
      if (item === 'b') assert.equal(pool.take('k'), 'again');
      if (item === 'c') pool.drain();
    },
  });
  pool.put('k', 'a');
  pool.put('k', 'b');
  clock.advance(500);
  pool.put('k', 'c');
  pool.put('k', 'd');
  clock.advance(500);
  assert.deepEqual(evicted, ['a:idle', 'b:idle']);
  clock.advance(500);
  assert.deepEqual(evicted.slice(2), ['c:idle', 'd:drain']);
  assert.equal(deadlines.size, 0);
});

test('if onEvict throws, the others of the round are still told, and the pool goes on', () => {
  const { clock, deadlines } = world();
  const evicted: string[] = [];
  const pool = new IdlePool<string>({
    deadlines,
    idleTimeoutMs: 1000,
    onEvict(item) {
      evicted.push(item);
      if (item < 'c') throw new Error(item);
    },
  });
  for (const item of 'abc') pool.put('k', item);
  clock.advance(500);
  pool.put('k', 'd');
  assert.throws(
    () => clock.advance(500),
    (error) => error instanceof AggregateError && error.errors.length === 2,
  );
  assert.deepEqual(evicted, ['a', 'b', 'c']);
  clock.advance(500);
  assert.deepEqual(evicted, ['a', 'b', 'c', 'd']);
  pool.put('k', 'a');
  assert.throws(() => pool.drain(), /^Error: a$/);
});

test('if onEvict throws during a put, the new item is in the pool all the same', () => {
  const { deadlines } = world();
  const pool = new IdlePool<string>({
    deadlines,
    maxIdlePerKey: 1,
    onEvict() {
      throw new Error('boom');
    },
  });
  pool.put('k', 'a');
  assert.throws(() => pool.put('k', 'b'), /boom/);
  assert.deepEqual([pool.size, pool.take('k')], [1, 'b']);
});

test('onEvict is optional', () => {
  const { deadlines } = world();
  const pool = new IdlePool<string>({ deadlines });
  pool.put('k', 'a');
  pool.drain();
  assert.equal(pool.size, 0);
});

test('options out of range are refused', () => {
  const bad: Partial<IdlePoolOptions<string>>[] = [
    { maxIdle: -1 },
    { maxIdle: 1.5 },
    { maxIdlePerKey: Number.NaN },
    { idleTimeoutMs: -1 },
    { idleTimeoutMs: Number.NaN },
    { idleTimeoutMs: 1e13 },
    { order: 'random' as 'fifo' },
  ];
  for (const options of bad) assert.throws(() => world(options), RangeError, JSON.stringify(options));
  const { pool } = world({ maxIdle: Infinity, maxIdlePerKey: Infinity });
  assert.throws(() => pool.put('k', 'a', { idleTimeoutMs: -1 }), RangeError);
  assert.equal(pool.size, 0);
});
