/** What the pool asks and hears about its items: `isUsable`, `watch`, `leave`, `onClosed`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdlePool, type IdlePoolOptions, type PoolEntry } from '../src/index.ts';
import { putAll, type Thing, takeNames, thing, world } from './fixtures/world.ts';

/** A pool whose items are watched, with the entries of those that are, by name. */
function watchedWorld(options: Partial<IdlePoolOptions<Thing>> = {}) {
  const watched = new Map<string, PoolEntry<Thing>>();
  const made = world({
    watch(item, entry) {
      assert.equal(entry.isIdle, false);
      watched.set(item.name, entry);
      return ({ name }) => void watched.delete(name);
    },
    ...options,
  });
  const leave = (name: string, reason: 'closed' | 'dirty'): void => watched.get(name)?.leave(reason);
  return { ...made, watched, leave };
}

test('an item that is not usable is evicted when it would be taken, and the next is tried', () => {
  const { pool, told } = world({ isUsable: ({ name }) => name < 'c' });
  putAll(pool, 'k', 'abcd');
  assert.deepEqual(told, []);
  assert.equal(takeNames(pool, 'k', 1), 'b');
  assert.deepEqual(told, ['d:unusable', 'c:unusable']);
  assert.equal(takeNames(pool, 'k', 2), 'a-');
});

test('if no item is usable none is handed out', () => {
  const { pool, told } = world({ isUsable: () => false, order: 'fifo' });
  putAll(pool, 'k', 'ab');
  assert.equal(pool.take('k'), undefined);
  assert.deepEqual([told, pool.size], [['a:unusable', 'b:unusable'], 0]);
});

test('if isUsable throws the item in question is evicted, the others stay', () => {
  const { pool, told } = world({
    isUsable({ name }) {
      if (name === 'b') throw new Error('boom');
      return true;
    },
  });
  putAll(pool, 'k', 'ab');
  assert.throws(() => pool.take('k'), /^Error: boom$/);
  assert.deepEqual([told, pool.size], [['b:unusable'], 1]);
  assert.equal(takeNames(pool, 'k', 1), 'a');
});

test('isUsable may use the pool, but not put the item it is asked about', () => {
  const { deadlines } = world();
  const spare = thing('spare');
  const pool: IdlePool<Thing> = new IdlePool<Thing>({
    deadlines,
    isUsable(item) {
      if (item === spare) return true;
      assert.throws(() => pool.put('k', item), TypeError);
      assert.equal(pool.entryOf(item), null);
      assert.equal(pool.take('l'), spare);
      return true;
    },
  });
  pool.put('l', spare);
  putAll(pool, 'k', 'a');
  assert.equal(takeNames(pool, 'k', 1), 'a');
});

test('a search ends, though another is put for each unusable item', () => {
  const { deadlines } = world();
  let asked = 0;
  const pool: IdlePool<Thing> = new IdlePool<Thing>({
    deadlines,
    isUsable: () => ++asked === 0,
    onEvict: () => putAll(pool, 'k', 'd'),
  });
  putAll(pool, 'k', 'abc');
  assert.equal(pool.take('k'), undefined);
  assert.deepEqual([asked, pool.size], [3, 3]);
});

test('a search ends, though onEvict drains the pool', () => {
  const { deadlines } = world();
  const pool: IdlePool<Thing> = new IdlePool<Thing>({ deadlines, isUsable: () => false, onEvict: () => pool.drain() });
  putAll(pool, 'k', 'abc');
  assert.equal(pool.take('k'), undefined);
  assert.equal(pool.size, 0);
});

test('a search ends, though onEvict takes what is left', () => {
  const { deadlines } = world();
  const taken: (Thing | undefined)[] = [];
  const pool: IdlePool<Thing> = new IdlePool<Thing>({
    deadlines,
    isUsable: ({ name }) => name !== 'c',
    onEvict: () => void taken.push(pool.take('k'), pool.take('k')),
  });
  putAll(pool, 'k', 'abc');
  assert.equal(pool.take('k'), undefined);
  assert.deepEqual(
    taken.map((item) => item?.name),
    ['b', 'a'],
  );
});

test('items are watched exactly while they are idle', () => {
  const { clock, pool, watched } = watchedWorld({ maxIdlePerKey: 4, idleTimeoutMs: 1000 });
  putAll(pool, 'k', 'abcde');
  assert.deepEqual([...watched.keys()], ['b', 'c', 'd', 'e']);
  assert.equal(takeNames(pool, 'k', 1), 'e');
  assert.deepEqual([...watched.keys()], ['b', 'c', 'd']);
  const c = watched.get('c');
  assert.ok(c && pool.remove(c));
  assert.deepEqual([...watched.keys()], ['b', 'd']);
  pool.evictOldest(1);
  assert.deepEqual([...watched.keys()], ['d']);
  clock.advance(1000);
  assert.equal(watched.size, 0);
});

test('an item that is refused is never watched', () => {
  const { pool, watched } = watchedWorld({ maxIdle: 0 });
  putAll(pool, 'k', 'a');
  assert.equal(watched.size, 0);
});

test('an item that closes while it is idle leaves, and onClosed is told in place of onEvict', () => {
  const { pool, told, watched, leave } = watchedWorld();
  putAll(pool, 'k', 'ab');
  leave('b', 'closed');
  assert.deepEqual([told, [...watched.keys()], pool.size], [['b:closed'], ['a'], 1]);
  assert.equal(takeNames(pool, 'k', 2), 'a-');
});

test('an item that gets bytes while it is idle leaves as dirty', () => {
  const { pool, told, watched, leave } = watchedWorld();
  putAll(pool, 'k', 'ab');
  leave('a', 'dirty');
  assert.deepEqual([told, [...watched.keys()]], [['a:dirty'], ['b']]);
  assert.equal(takeNames(pool, 'k', 2), 'b-');
});

test('what is said of an item after it has left means nothing', () => {
  const { pool, told, watched } = watchedWorld();
  putAll(pool, 'k', 'a');
  const entry = watched.get('a');
  assert.equal(takeNames(pool, 'k', 1), 'a');
  entry?.leave('closed');
  assert.deepEqual(told, []);
  assert.ok(entry);
  pool.put('k', entry.item);
  assert.equal(entry.isIdle, true);
});

test('an item found closed or dirty when the watching begins never enters the pool', () => {
  for (const reason of ['closed', 'dirty'] as const) {
    let stopped = 0;
    const { pool, told } = world({
      watch(_, entry) {
        entry.leave(reason);
        entry.leave('closed');
        return () => void stopped++;
      },
    });
    assert.equal(pool.put('k', thing('a')), null);
    assert.deepEqual([told, pool.size, stopped], [[`a:${reason}`], 0, 1]);
  }
});

test('an item found closed or dirty when it is to be taken is not handed out', () => {
  let entry: PoolEntry<Thing> | null = null;
  const { pool, told } = world({
    isUsable({ name }) {
      if (name === 'c') entry?.leave('closed');
      if (name === 'b') entry?.leave('dirty');
      return name !== 'b';
    },
    watch(_, own) {
      return () => (entry = own);
    },
  });
  putAll(pool, 'k', 'abc');
  assert.equal(takeNames(pool, 'k', 1), 'a');
  assert.deepEqual(told, ['c:closed', 'b:dirty']);
  putAll(pool, 'k', 'd');
  assert.equal(takeNames(pool, 'k', 1), 'd');
});

test('what was said of an item in one stay is forgotten in the next', () => {
  const entries: PoolEntry<Thing>[] = [];
  let isDirty = true;
  const { pool, told } = world({
    isUsable() {
      if (isDirty) entries[0]?.leave('dirty');
      return true;
    },
  });
  const a = thing('a');
  const entry = pool.put('k', a);
  assert.ok(entry);
  entries.push(entry);
  assert.equal(pool.take('k'), undefined);
  assert.deepEqual(told, ['a:dirty']);
  isDirty = false;
  pool.put('k', a);
  assert.equal(pool.take('k'), a);
});

test('an item that closes when its watching ends is not handed out', () => {
  const { pool, told } = world({ watch: (item, entry) => () => item.name === 'b' && entry.leave('closed') });
  putAll(pool, 'k', 'ab');
  assert.equal(takeNames(pool, 'k', 1), 'a');
  assert.deepEqual(told, ['b:closed']);
});

test('an item is nobody’s while its watching begins or ends: it can be neither taken nor put', () => {
  const { deadlines } = world();
  const probe = (item: Thing): void => {
    assert.throws(() => pool.put('k', item), TypeError);
    assert.equal(pool.take('k'), undefined);
    const entry = pool.entryOf(item);
    assert.equal(entry, null);
  };
  const pool: IdlePool<Thing> = new IdlePool<Thing>({
    deadlines,
    watch(item, entry) {
      probe(item);
      assert.equal(pool.remove(entry), false);
      return probe;
    },
  });
  putAll(pool, 'k', 'a');
  assert.equal(takeNames(pool, 'k', 1), 'a');
});

test('a pool that drains while the watching begins keeps nothing', () => {
  let watched = 0;
  const { pool, told } = world({
    watch() {
      watched++;
      pool.drain();
      return () => void watched--;
    },
  });
  assert.equal(pool.put('k', thing('a')), null);
  assert.deepEqual([told, watched, pool.size], [['a:drain'], 0, 0]);
});

test('if watch throws the item is not in the pool, and may be put again', () => {
  let isBroken = true;
  const { pool, told } = world({
    watch() {
      if (isBroken) throw new Error('boom');
      return () => {};
    },
  });
  const a = thing('a');
  assert.throws(() => pool.put('k', a), /^Error: boom$/);
  assert.deepEqual([told, pool.size, pool.take('k')], [[], 0, undefined]);
  isBroken = false;
  pool.put('k', a);
  assert.equal(pool.take('k'), a);
});

test('if the end of the watching throws the item leaves all the same, and is not handed out', () => {
  const { clock, pool, told } = world({
    idleTimeoutMs: 1000,
    watch: () => () => {
      throw new Error('boom');
    },
  });
  const c = thing('c');
  putAll(pool, 'k', 'ab');
  const entry = pool.put('k', c);
  assert.ok(entry);
  assert.throws(() => pool.remove(entry), /^Error: boom$/);
  assert.equal(entry.isIdle, false);
  assert.throws(() => pool.take('k'), /^Error: boom$/);
  assert.throws(() => clock.advance(1000), /^Error: boom$/);
  assert.deepEqual([told, pool.size], [['b:unusable', 'a:idle'], 0]);
});

test('when several callbacks of an item throw, all their errors are thrown together', () => {
  const fail = (name: string) => (): never => {
    throw new Error(name);
  };
  const errorsOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof AggregateError) return error.errors.map(String).join();
      return `alone: ${String(error)}`;
    }
    return 'none';
  };
  const asked = world({ isUsable: fail('isUsable'), onEvict: fail('onEvict') }).pool;
  putAll(asked, 'k', 'a');
  assert.equal(
    errorsOf(() => asked.take('k')),
    'Error: isUsable,Error: onEvict',
  );
  const watched = world({ watch: () => fail('stop'), onEvict: fail('onEvict'), onClosed: fail('onClosed') }).pool;
  putAll(watched, 'k', 'ab');
  assert.equal(
    errorsOf(() => watched.take('k')),
    'Error: stop,Error: onEvict',
  );
  assert.equal(
    errorsOf(() => watched.evictOldest(1)),
    'Error: stop,Error: onEvict',
  );
  const entry = watched.put('k', thing('c'));
  assert.equal(
    errorsOf(() => entry?.leave('closed')),
    'Error: stop,Error: onClosed',
  );
  assert.equal(watched.size, 0);
});

test('a reason to leave that does not exist is refused, and the item stays', () => {
  const { pool, told } = watchedWorld();
  const entry = pool.put('k', thing('a'));
  assert.throws(() => entry?.leave('nonsense' as 'closed'), {
    name: 'TypeError',
    message: "leave needs 'closed' or 'dirty', not nonsense",
  });
  assert.deepEqual([told, takeNames(pool, 'k', 1)], [[], 'a']);
});

test('onClosed may use the pool, and is optional', () => {
  const { deadlines } = world();
  const entries: PoolEntry<Thing>[] = [];
  const watch = (_: Thing, entry: PoolEntry<Thing>) => {
    entries.push(entry);
    return () => {};
  };
  const pool: IdlePool<Thing> = new IdlePool<Thing>({ deadlines, watch, onClosed: () => pool.drain() });
  putAll(pool, 'k', 'ab');
  entries[0]?.leave('closed');
  assert.deepEqual([pool.size, pool.isDraining], [0, true]);
  const silent = new IdlePool<Thing>({ deadlines, watch });
  putAll(silent, 'k', 'c');
  entries[2]?.leave('closed');
  assert.equal(silent.size, 0);
});
