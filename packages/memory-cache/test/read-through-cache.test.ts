/** Who looks up, who waits and for how long, and what becomes of failures. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { timeoutError, WireError } from '@ferrata/error';
import { DeadlineQueue } from '@ferrata/timeout';
import { MemoryCache, ReadThroughCache } from '../src/index.ts';
import { settled, World } from './fixtures/source.ts';

function reasonOf(error: unknown): string {
  return (error as WireError).reason;
}

describe('one look-up', () => {
  test('a missing value is looked up, a stored one is not', async () => {
    const world = new World();
    const first = world.through.read('a', { extra: 'passed along' });
    const lookUp = world.only();
    assert.deepEqual([lookUp.key, lookUp.extra], ['a', 'passed along']);
    assert.equal(world.through.pendingCount, 1);
    await lookUp.answer('1');
    assert.deepEqual(await first, { status: 'miss', value: '1', staleMs: 0 });
    assert.deepEqual(await world.through.read('a'), { status: 'hit', value: '1', staleMs: 0 });
    assert.equal(await world.through.get('a'), '1');
    assert.equal(world.lookUps.length, 0);
    assert.equal(world.through.pendingCount, 0);
  });

  test('an expired value is looked up again', async () => {
    const world = new World();
    world.cache.put('a', 'old', 100);
    world.clock.advance(100);
    const read = world.through.read('a');
    await world.only().answer('new');
    assert.deepEqual(await read, { status: 'expired', value: 'new', staleMs: 0 });
    assert.equal(world.cache.get('a'), 'new');
  });

  test('the time to live is the look-up’s, else the caller’s, else the cache’s', async () => {
    const world = new World({ defaultTtlMs: 300 });
    const gets = [world.through.get('a', { ttlMs: 200 }), world.through.get('b', { ttlMs: 200 }), world.through.get('c')];
    await world.next().answer('1', 100);
    await world.next().answer('2');
    await world.next().answer('3');
    assert.deepEqual(await Promise.all(gets), ['1', '2', '3']);
    const fresh = (): string => ['a', 'b', 'c'].filter((key) => world.cache.has(key)).join('');
    world.clock.advance(99);
    assert.equal(fresh(), 'abc');
    world.clock.advance(1);
    assert.equal(fresh(), 'bc');
    world.clock.advance(100);
    assert.equal(fresh(), 'c');
    world.clock.advance(100);
    assert.equal(fresh(), '');
  });

  test('a look-up may answer at once, without a promise', async () => {
    const world = new World({ lookUp: (key) => ({ value: key.toUpperCase() }) });
    assert.equal(await world.through.get('a'), 'A');
    assert.equal(world.cache.get('a'), 'A');
  });

  test('undefined and null can be found, stored and read again', async () => {
    const clock = new ManualClock();
    let count = 0;
    const through = new ReadThroughCache<string, null | undefined>({
      cache: new MemoryCache({ clock, maxWeight: 10 }),
      deadlines: new DeadlineQueue({ clock }),
      lookUp: (key) => {
        count++;
        return { value: key === 'null' ? null : undefined };
      },
    });
    for (const status of ['miss', 'hit']) {
      assert.deepEqual(await through.read('null'), { status, value: null, staleMs: 0 });
      assert.deepEqual(await through.read('undefined'), { status, value: undefined, staleMs: 0 });
    }
    assert.equal(count, 2);
  });

  test('what was just asked for is stored whatever it displaces', async () => {
    const world = new World({ maxWeight: 1 });
    for (let time = 0; time < 5; time++) world.cache.put('often', 'x');
    const get = world.through.get('once');
    await world.only().answer('1');
    assert.equal(await get, '1');
    assert.equal(world.cache.get('once'), '1');
  });

  test('a source may be an object with methods', async () => {
    class Source {
      readonly cache = new MemoryCache<string, string>({ clock: new ManualClock(), maxWeight: 1 });
      readonly deadlines = new DeadlineQueue({ clock: new ManualClock() });
      lookUp(key: string): { value: string } {
        return { value: key };
      }
    }
    assert.equal(await new ReadThroughCache(new Source()).get('a'), 'a');
  });
});

describe('callers at the same time', () => {
  test('one look-up serves all who ask for its key', async () => {
    const world = new World();
    const reads = [1, 2, 3].map(() => world.through.read('a'));
    await world.only().answer('1');
    assert.deepEqual(
      (await Promise.all(reads)).map(({ status, value }) => `${status} ${value}`),
      ['miss 1', 'lockHit 1', 'lockHit 1'],
    );
    assert.equal(world.lookUps.length, 0);
    assert.equal(world.deadlines.size, 0);
  });

  test('other keys are independent', async () => {
    const world = new World();
    const a = world.through.get('a');
    const b = world.through.get('b');
    const [lookUpA, lookUpB] = [world.next(), world.next()];
    await lookUpB.answer('2');
    assert.equal(await b, '2');
    assert.equal(world.through.pendingCount, 1);
    await lookUpA.answer('1');
    assert.equal(await a, '1');
  });

  test('a result that is not stored is given to all who wait', async () => {
    const world = new World();
    const gets = [world.through.get('a'), world.through.get('a')];
    await world.only().answer('1', 0);
    assert.deepEqual(await Promise.all(gets), ['1', '1']);
    assert.equal(world.cache.size, 0);
  });

  test('one more than maxWaiters is refused', async () => {
    const world = new World({ maxWaiters: 1 });
    const gets = [world.through.get('a'), world.through.get('a')];
    await assert.rejects(world.through.get('a'), { type: 'limit', reason: 'CACHE_TOO_MANY_WAITERS', status: 503, fault: 'local' });
    await world.only().answer('1');
    assert.deepEqual(await Promise.all(gets), ['1', '1']);
  });
});

describe('failures', () => {
  test('the caller whose look-up fails gets the error, and the next one looks up', async () => {
    const world = new World();
    const [first, second, third] = [world.through.read('a'), world.through.read('a'), world.through.read('a')] as const;
    const firstFails = assert.rejects(first, (error: unknown) => {
      assert.ok(error instanceof WireError);
      assert.deepEqual([error.type, error.reason], ['application', 'CACHE_LOOK_UP_FAILED']);
      assert.match(error.message, /down/);
      assert.ok(error.cause instanceof Error);
      return true;
    });
    await world.only().fail(new Error('down'));
    await firstFails;
    await world.only().answer('1');
    assert.equal((await second).status, 'miss');
    assert.equal((await third).status, 'lockHit');
    assert.equal(world.through.pendingCount, 0);
  });

  test('a source that is down is asked once at a time, and everybody learns of it', async () => {
    const world = new World();
    const outcome = Promise.allSettled([1, 2, 3].map(() => world.through.get('a')));
    for (let time = 0; time < 3; time++) await world.only().fail(new Error('down'));
    assert.deepEqual(
      (await outcome).map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
    assert.equal(world.lookUps.length, 0);
    assert.equal(world.through.pendingCount, 0);
    assert.equal(world.deadlines.size, 0);
  });

  test('a look-up that throws at once has failed', async () => {
    const world = new World({
      lookUp: () => {
        throw new TypeError('thrown');
      },
    });
    await assert.rejects(world.through.get('a'), { reason: 'CACHE_LOOK_UP_FAILED', cause: new TypeError('thrown') });
    assert.equal(world.through.pendingCount, 0);
  });

  test('what the cause says about retries and status stays visible', async () => {
    const world = new World();
    const get = world.through.get('a');
    const cause = timeoutError('DNS_TIMEOUT', 'no answer', { retry: 'always', source: 'upstream', wire: { status: 503 } });
    const fails = assert.rejects(get, {
      type: 'timeout',
      reason: 'CACHE_LOOK_UP_FAILED',
      retry: 'always',
      source: 'upstream',
      status: 503,
      cause,
    });
    await world.only().fail(cause);
    await fails;
  });

  test('anything may be thrown', async () => {
    for (const thrown of ['text', undefined, null, 5]) {
      const world = new World();
      const fails = assert.rejects(world.through.get('a'), { type: 'application', reason: 'CACHE_LOOK_UP_FAILED' });
      await world.only().fail(thrown);
      await fails;
    }
  });

  test('a result of another shape is a TypeError, and holds nobody up', async () => {
    for (const wrong of [undefined, null, 'value', {}]) {
      const world = new World({ lookUp: () => wrong as never });
      await assert.rejects(world.through.get('a'), { name: 'TypeError', message: /lookUp must give/ });
      assert.equal(world.through.pendingCount, 0);
    }
  });

  test('what cannot be stored goes to all who wait, and whoever made the look-up is told why', async () => {
    const world = new World({
      weigh: (value) => {
        if (value === 'bad') throw new Error('weigh broke');
        return value === 'heavy' ? 70_000 : 1;
      },
    });
    for (const [value, ttlMs, message] of [
      ['1', -1, /ttlMs/],
      ['heavy', 10, /weight/],
      ['bad', 10, /weigh broke/],
    ] as const) {
      const fails = assert.rejects(world.through.get('a'), { message });
      const waiting = Array.from({ length: 50 }, () => world.through.read('a'));
      await world.only().answer(value, ttlMs);
      await fails;
      for (const read of await Promise.all(waiting)) assert.deepEqual(read, { status: 'lockHit', value, staleMs: 0 });
      assert.deepEqual([world.lookUps.length, world.cache.size, world.through.pendingCount], [0, 0, 0]);
    }
  });

  test('an allowance out of range is refused', async () => {
    const world = new World();
    await assert.rejects(world.through.get('a', { maxStaleMs: Number.NaN }), { name: 'RangeError', message: /maxStaleMs/ });
    await assert.rejects(world.through.read('a', { maxStaleMs: -1 }), { name: 'RangeError', message: /maxStaleMs/ });
  });
});

describe('look-ups that take long', () => {
  test('after the lock age a new caller looks up itself', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: Infinity });
    const reads = [world.through.get('a')];
    await world.advance(1000);
    reads.push(world.through.get('a'));
    await world.advance(1000);
    reads.push(world.through.get('a'));
    const [first, second, third] = [world.next(), world.next(), world.next()];
    await second.answer('2', 0);
    // The first has it too: its own look-up may be stuck. The third's own is younger, but may be as slow.
    assert.deepEqual(await Promise.all(reads), ['2', '2', '2']);
    await first.answer('1');
    assert.equal(world.cache.size, 0);
    await third.answer('3');
    assert.equal(world.cache.get('a'), '3');
    assert.equal(world.through.pendingCount, 0);
  });

  test('within the lock age nobody else looks up, after it one of those who wait, and the answer that comes first serves all', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: Infinity });
    const reads = [1, 2, 3, 4].map(() => world.through.read('a'));
    const slow = world.only();
    await world.advance(990);
    assert.equal(world.lookUps.length, 0);
    await world.advance(10);
    const second = world.only();
    await world.advance(990);
    assert.equal(world.lookUps.length, 0);
    await slow.answer('slow');
    assert.equal(
      (await Promise.all(reads)).map(({ status, value }) => `${status} ${value}`).join(),
      'miss slow,lockHit slow,lockHit slow,lockHit slow',
    );
    assert.equal(world.cache.get('a'), 'slow');
    await second.answer('second');
    assert.equal(world.cache.get('a'), 'second');
    assert.equal(world.through.pendingCount, 0);
    assert.equal(world.deadlines.size, 0);
  });

  test('an older answer does not replace a newer one', async () => {
    const world = new World({ lockAgeMs: 1000 });
    const old = world.through.get('a');
    await world.advance(1000);
    const young = world.through.get('a');
    const [oldLookUp, youngLookUp] = [world.next(), world.next()];
    await youngLookUp.answer('new', 10);
    await world.advance(10);
    // Those who ask now wait for a third look-up; the old answer is not for them.
    const [third, fourth] = [world.through.get('a'), world.through.get('a')];
    await oldLookUp.answer('old');
    assert.deepEqual([await old, await young], ['new', 'new']);
    assert.equal(world.cache.get('a'), undefined);
    await world.only().answer('third');
    assert.deepEqual([await third, await fourth], ['third', 'third']);
  });

  test('a look-up that never settles holds nobody, not even its own caller, once another answers', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: 5000 });
    const stuck = world.through.get('a');
    const waiting = world.through.get('a');
    world.next();
    await world.advance(1000);
    await world.only().answer('1', 500);
    assert.deepEqual([await stuck, await waiting], ['1', '1']);
    await world.advance(500);
    const later = [world.through.get('a'), world.through.get('a')];
    await world.only().answer('2');
    assert.deepEqual(await Promise.all(later), ['2', '2']);
  });

  test('a thousand callers of a stuck source share one look-up when their time is over', async () => {
    const world = new World({ lockAgeMs: Infinity, lockTimeoutMs: 1000 });
    const reads = Array.from({ length: 1000 }, () => world.through.read('a'));
    world.next();
    await world.advance(990);
    assert.equal(world.lookUps.length, 0);
    await world.advance(10);
    await world.only().answer('1');
    const statuses = (await Promise.all(reads)).map(({ status }) => status);
    assert.deepEqual(
      [statuses.filter((status) => status === 'miss').length, statuses.filter((status) => status === 'lockHit').length],
      [1, 999],
    );
    assert.equal(world.cache.get('a'), '1');
    assert.equal(world.deadlines.size, 0);
  });

  test('with the defaults a stuck source sees four look-ups of a key, and everybody but those who made them is told', async () => {
    const world = new World();
    const ends = Array.from({ length: 1000 }, () => world.through.get('a').then(undefined, reasonOf));
    let settledCount = 0;
    for (const end of ends) void end.then(() => settledCount++);
    for (let time = 0; time < 60_000; time += 1000) {
      await world.advance(1000);
      if (time % 10_000 === 0) ends.push(world.through.get('a').then(undefined, reasonOf));
    }
    assert.equal(world.lookUps.length, 4);
    assert.equal(settledCount, 997);
    assert.equal(await ends[500], 'CACHE_LOCK_TIMEOUT');
    assert.equal(await ends.at(-2), 'CACHE_LOCK_TIMEOUT');
    // One that ends after all sets everybody free.
    await world.next().answer('1');
    assert.equal(await ends[0], '1');
    assert.equal(await ends.at(-1), '1');
  });

  test('who is overdue shares a look-up that began since it came, and makes one if there is none', async () => {
    const world = new World({ lockAgeMs: Infinity, lockTimeoutMs: 1000 });
    void world.through.get('a');
    const reads = [world.through.read('a')];
    await world.advance(500);
    reads.push(world.through.read('a'));
    await world.advance(500);
    assert.equal(world.lookUps.length, 2);
    await world.advance(200);
    reads.push(world.through.read('a'));
    await world.advance(300);
    // The second is overdue, and shares what the first has begun; the third came after that.
    assert.equal(world.lookUps.length, 2);
    await world.advance(700);
    assert.equal(world.lookUps.length, 3);
    const [, second, third] = [world.next(), world.next(), world.next()];
    const fails = Promise.allSettled(reads);
    await second.fail(new Error('down'));
    await third.answer('3');
    assert.deepEqual(
      (await fails).map(({ status }) => status),
      ['rejected', 'rejected', 'fulfilled'],
    );
    assert.equal(world.deadlines.size, 0);
  });

  test('who shares a look-up that is late too is told so', async () => {
    const world = new World({ lockAgeMs: 2000, lockTimeoutMs: 1000, maxPendingLookUps: 2 });
    void world.through.get('a');
    const [made, shared] = [world.through.get('a'), world.through.get('a')] as const;
    await world.advance(1000);
    assert.equal(world.lookUps.length, 2);
    const late = assert.rejects(shared, { type: 'timeout', reason: 'CACHE_LOCK_TIMEOUT', status: 504, source: 'internal' });
    await world.advance(1990);
    await world.advance(10);
    await late;
    await world.next().answer('1');
    assert.equal(await made, '1');
    assert.equal(world.deadlines.size, 0);
  });

  test('where no other look-up may begin, who comes waits until one ends, or its time is over', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: 3000, maxPendingLookUps: 1 });
    const first = world.through.get('a');
    const slow = world.only();
    await world.advance(1500);
    const late = assert.rejects(world.through.get('a'), { reason: 'CACHE_LOCK_TIMEOUT' });
    await world.advance(2000);
    const waiting = world.through.get('a');
    await world.advance(1000);
    await late;
    assert.equal(world.lookUps.length, 0);
    const fails = assert.rejects(first, { reason: 'CACHE_LOOK_UP_FAILED' });
    await slow.fail(new Error('down'));
    await fails;
    await world.only().answer('1');
    assert.equal(await waiting, '1');
  });

  test('after delete too, no more look-ups go on than may', async () => {
    const world = new World({ maxPendingLookUps: 2, lockTimeoutMs: Infinity });
    const gets = [world.through.get('a')];
    for (let time = 0; time < 10; time++) {
      world.through.delete('a');
      gets.push(world.through.get('a'));
    }
    assert.equal(world.lookUps.length, 2);
    await world.next().answer('old');
    await world.next().answer('new');
    assert.deepEqual(await Promise.all(gets.slice(0, 2)), ['old', 'new']);
    await world.only().answer('newest');
    assert.deepEqual(new Set(await Promise.all(gets.slice(2))), new Set(['newest']));
    assert.equal(world.cache.get('a'), 'newest');
  });

  test('a look-up of one’s own may fail too', async () => {
    const world = new World({ lockTimeoutMs: 1000 });
    void world.through.get('a');
    world.next();
    const fails = assert.rejects(world.through.get('a'), { reason: 'CACHE_LOOK_UP_FAILED' });
    await world.advance(1000);
    await world.only().fail(new Error('down'));
    await fails;
  });

  test('where both times are over, those who wait share one look-up', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: 1000 });
    void world.through.get('a');
    world.next();
    const waiting = [world.through.get('a'), world.through.get('a')];
    await world.advance(1000);
    await world.only().answer('1');
    assert.deepEqual(await Promise.all(waiting), ['1', '1']);
    assert.equal(world.cache.get('a'), '1');
  });

  test('a late look-up that nobody waits for costs no wake-ups', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: Infinity });
    void world.through.get('a');
    void world.through.get('a');
    await world.advance(1000);
    assert.equal(world.lookUps.length, 2);
    assert.equal(world.deadlines.size, 0);
    await world.advance(1_000_000);
    assert.equal(world.lookUps.length, 2);
  });

  test('a failed second look-up is followed by a third', async () => {
    const world = new World({ lockAgeMs: 1000, lockTimeoutMs: Infinity });
    void world.through.get('a');
    world.next();
    const [second, third] = [world.through.get('a'), world.through.get('a')] as const;
    const fails = assert.rejects(second, { reason: 'CACHE_LOOK_UP_FAILED' });
    await world.advance(1000);
    await world.only().fail(new Error('down'));
    await fails;
    await world.only().answer('1');
    assert.equal(await third, '1');
  });

  test('times without an end are allowed, and times longer than a deadline may be', async () => {
    const endless = new World({ lockAgeMs: Infinity, lockTimeoutMs: Infinity });
    const gets = [endless.through.get('a'), endless.through.get('a')];
    assert.equal(endless.deadlines.size, 0);
    await endless.only().answer('1');
    assert.deepEqual(await Promise.all(gets), ['1', '1']);

    const long = new World({ lockAgeMs: Infinity, lockTimeoutMs: Number.MAX_VALUE });
    void long.through.get('a');
    void long.through.get('a');
    long.next();
    await long.advance(long.deadlines.maxDelayMs);
    assert.equal(long.lookUps.length, 0);
    assert.equal(long.deadlines.size, 1);
  });

  test('a clock that goes back makes a look-up younger, and waiting longer by as much', async () => {
    let time = 10_000;
    const real = new ManualClock();
    const clock = Object.assign(new ManualClock(), {
      now: () => time,
      schedule: (delayMs: number, wake: () => void) => real.schedule(delayMs, wake),
    });
    const world = new World({ deadlines: new DeadlineQueue({ clock }), lockAgeMs: 1000, lockTimeoutMs: Infinity });
    void world.through.get('a');
    world.next();
    time = 5000;
    const waiting = world.through.get('a');
    for (; time < 10_990; time += 10) real.advance(10);
    assert.equal(world.lookUps.length, 0);
    for (; time <= 11_000; time += 10) real.advance(10);
    await settled();
    await world.only().answer('1');
    assert.equal(await waiting, '1');
  });
});

describe('stale values', () => {
  function expireA(world: World): void {
    world.cache.put('a', 'old', 100);
    world.clock.advance(150);
  }

  test('are served within the allowance without a look-up, and looked up beyond', async () => {
    const world = new World();
    expireA(world);
    assert.deepEqual(await world.through.read('a', { maxStaleMs: 50 }), { status: 'stale', value: 'old', staleMs: 50 });
    assert.equal(world.lookUps.length, 0);
    const read = world.through.read('a', { maxStaleMs: 49 });
    await world.only().answer('new');
    assert.deepEqual(await read, { status: 'expired', value: 'new', staleMs: 0 });
  });

  test('are returned at once while one look-up updates them', async () => {
    const world = new World();
    expireA(world);
    const options = { maxStaleMs: 1000, whenStale: 'update', extra: 'x' } as const;
    assert.deepEqual([await world.through.get('a', options), await world.through.get('a', options)], ['old', 'old']);
    const lookUp = world.only();
    assert.equal(lookUp.extra, 'x');
    await lookUp.answer('new', 1000);
    assert.equal(await world.through.get('a', options), 'new');
    assert.equal(world.lookUps.length, 0);
  });

  test('the update serves others who wait for the key', async () => {
    const world = new World();
    expireA(world);
    await world.through.get('a', { maxStaleMs: 1000, whenStale: 'update' });
    const read = world.through.read('a');
    await world.only().answer('new');
    assert.deepEqual(await read, { status: 'lockHit', value: 'new', staleMs: 0 });
  });

  const update = { maxStaleMs: Infinity, whenStale: 'update' } as const;

  test('an update that fails is told to onUpdateError, the stale value stays, and after a pause the next read tries again', async () => {
    const told: string[] = [];
    const world = new World({ onUpdateError: (error, key) => told.push(`${key}: ${error.message}`), updateRetryMs: 500 });
    expireA(world);
    await world.through.get('a', update);
    await world.only().fail(new Error('down'));
    assert.deepEqual(told, ['a: application CACHE_LOOK_UP_FAILED: down']);
    await world.advance(499);
    assert.equal(await world.through.get('a', update), 'old');
    assert.equal(world.lookUps.length, 0);
    await world.advance(1);
    assert.equal(await world.through.get('a', update), 'old');
    await world.only().answer('new');
    assert.equal(world.cache.get('a'), 'new');
  });

  test('a source that fails at once is asked once in each pause, however many read the stale value', async () => {
    let count = 0;
    const world = new World({
      lookUp: () => {
        count++;
        throw new Error('down');
      },
    });
    expireA(world);
    world.cache.put('b', 'other', 1);
    for (let second = 1; second <= 3; second++) {
      for (let time = 0; time < 1000; time++) assert.equal(await world.through.get('a', update), 'old');
      assert.equal(count, second);
      await world.advance(1000);
    }
    // Another key has its own pause.
    await world.through.get('b', update);
    assert.equal(count, 4);
  });

  test('a source that hangs has no more look-ups than may go on at once, for ever', async () => {
    const world = new World();
    expireA(world);
    for (let time = 0; time < 100; time++) {
      assert.equal(await world.through.get('a', update), 'old');
      await world.advance(5000);
    }
    assert.equal(world.lookUps.length, 4);
    assert.equal(world.deadlines.size, 0);
  });

  test('a pause ends with the next value, with delete and with clear', async () => {
    const world = new World({ updateRetryMs: 86_400_000 });
    const failOnce = async (): Promise<void> => {
      expireA(world);
      await world.through.get('a', update);
      await world.only().fail(new Error('down'));
      await world.through.get('a', update);
      assert.equal(world.lookUps.length, 0);
    };
    const endings: readonly (() => unknown)[] = [
      () => world.through.put('a', 'x', 1),
      () => world.through.delete('a'),
      () => world.through.clear(),
      async () => {
        const get = world.through.get('a');
        await world.only().answer('x', 1);
        await get;
      },
    ];
    for (const end of endings) {
      await failOnce();
      await end();
    }
    await failOnce();
  });

  test('without a pause every read of a stale value tries again', async () => {
    const world = new World({ updateRetryMs: 0 });
    expireA(world);
    for (let time = 0; time < 3; time++) {
      await world.through.get('a', update);
      await world.only().fail(new Error('down'));
    }
  });

  test('an update that cannot be stored has failed', async () => {
    const told: Error[] = [];
    const world = new World({ onUpdateError: (error) => told.push(error) });
    expireA(world);
    await world.through.get('a', update);
    const waiting = world.through.get('a');
    await world.only().answer('new', -1);
    assert.equal(await waiting, 'new');
    assert.match(String(told), /^RangeError: ttlMs/);
    assert.equal(await world.through.get('a', update), 'old');
    assert.equal(world.lookUps.length, 0);
  });

  test('an update that fails disturbs nobody when nobody wants to be told', async () => {
    const world = new World();
    expireA(world);
    await world.through.get('a', update);
    await world.only().fail(new Error('down'));
    assert.equal(world.through.pendingCount, 0);
    assert.deepEqual(world.through.hookErrors, { count: 0, last: undefined });
  });

  test('an onUpdateError that throws or rejects ends nothing, and what it threw is kept', async () => {
    const broke = new Error('hook broke');
    for (const onUpdateError of [
      () => {
        throw broke;
      },
      () => Promise.reject(broke),
    ]) {
      const world = new World({ onUpdateError, updateRetryMs: 0 });
      expireA(world);
      for (let count = 1; count <= 2; count++) {
        await world.through.get('a', update);
        const waiting = world.through.get('a');
        await world.only().fail(new Error('down'));
        assert.deepEqual(world.through.hookErrors, { count, last: broke });
        await world.only().answer('x', 0);
        assert.equal(await waiting, 'x');
        assert.equal(world.through.pendingCount, 0);
        world.cache.put('a', 'old', 1);
        await world.advance(1);
      }
    }
  });
});

describe('changes while a look-up goes on', () => {
  test('delete keeps the look-up from bringing the value back, and who asks later looks up anew', async () => {
    const world = new World();
    const before = [world.through.get('a'), world.through.get('a')];
    const old = world.only();
    assert.equal(world.through.delete('a'), false);
    const after = [world.through.get('a'), world.through.get('a')];
    const young = world.only();
    await old.answer('old');
    assert.deepEqual(await Promise.all(before), ['old', 'old']);
    assert.equal(world.cache.size, 0);
    await young.answer('new');
    assert.deepEqual(await Promise.all(after), ['new', 'new']);
    assert.equal(world.cache.get('a'), 'new');
    assert.equal(world.through.pendingCount, 0);
  });

  test('put serves those who wait, and is not overwritten', async () => {
    const world = new World();
    const leading = world.through.get('a');
    const waiting = world.through.read('a');
    assert.equal(world.through.put('a', 'put', 100), true);
    assert.deepEqual(await waiting, { status: 'lockHit', value: 'put', staleMs: 0 });
    assert.equal(await leading, 'put');
    assert.equal(world.deadlines.size, 0);
    await world.only().answer('looked up');
    assert.equal(await world.through.get('a'), 'put');
    assert.equal(world.through.put('b', 'put'), true);
    assert.throws(() => world.through.put('b', 'put', Number.NaN), RangeError);
  });

  test('clear does for all keys what delete does for one', async () => {
    const world = new World();
    world.cache.put('b', 'x');
    const get = world.through.get('a');
    world.through.clear();
    assert.equal(world.cache.size, 0);
    const later = world.through.get('a');
    await world.next().answer('1');
    assert.equal(await get, '1');
    assert.equal(world.cache.size, 0);
    await world.only().answer('2');
    assert.equal(await later, '2');
    assert.equal(world.through.pendingCount, 0);
  });

  test('after delete and a failure, those who still wait look up together with those who came later', async () => {
    const world = new World();
    const [first, second, third] = [world.through.get('a'), world.through.get('a'), world.through.get('a')] as const;
    const fails = assert.rejects(first, { reason: 'CACHE_LOOK_UP_FAILED' });
    world.through.delete('a');
    await world.only().fail(new Error('down'));
    await fails;
    const fourth = world.through.get('a');
    await world.only().answer('1');
    assert.deepEqual(await Promise.all([second, third, fourth]), ['1', '1', '1']);
    assert.equal(world.cache.get('a'), '1');
    assert.equal(world.through.pendingCount, 0);
    assert.equal(world.deadlines.size, 0);
  });
});

describe('those who wait while values are deleted', () => {
  test('settle within their time all the same', async () => {
    for (const change of ['delete', 'clear'] as const) {
      const world = new World({ lockAgeMs: 1000, lockTimeoutMs: 100 });
      const lead = (): void => void world.through.get('a').catch(() => {});
      lead();
      let settledAt = Infinity;
      void world.through
        .get('a')
        .catch(() => {})
        .then(() => {
          settledAt = world.clock.now();
        });
      // Look-ups of 90 ms that fail, a change every 60 ms, and always somebody who asks anew.
      const running: { readonly endsAt: number; readonly end: () => Promise<void> }[] = [];
      for (let time = 0; time <= 500; time += 10) {
        for (const lookUp of world.lookUps.splice(0)) running.push({ endsAt: time + 90, end: () => lookUp.fail(new Error('down')) });
        if (running[0] !== undefined && running[0].endsAt <= time) await running.shift()?.end();
        if (time % 60 === 50) {
          world.through[change]('a');
          lead();
        }
        await world.advance(10);
      }
      // Its time is over after 100 ms, and then it ends as one look-up of 90 ms does; a tick each is how exact deadlines are.
      assert.ok(settledAt <= 100 + 90 + 20, `settled at ${settledAt}`);
    }
  });

  test('keep their places in front of those who come later', async () => {
    const world = new World({ maxPendingLookUps: 1 });
    const ends: string[] = [];
    const ask = (name: string): void => void world.through.get('a').catch(() => ends.push(name));
    for (const name of ['1', '2', '3']) ask(name);
    world.through.delete('a');
    for (const name of ['4', '5']) ask(name);
    for (let time = 0; time < 5; time++) await world.only().fail(new Error('down'));
    assert.equal(ends.join(), '1,2,3,4,5');
  });

  test('are not refused, although later callers are', async () => {
    const world = new World({ maxWaiters: 2 });
    const early = Promise.allSettled([1, 2, 3].map(() => world.through.get('a')));
    const first = world.only();
    world.through.delete('a');
    // Makes a look-up of its own, which those who wait may profit from too.
    const maker = world.through.get('a');
    const second = world.only();
    await assert.rejects(world.through.get('a'), { reason: 'CACHE_TOO_MANY_WAITERS' });
    await first.fail(new Error('down'));
    await second.answer('1', 0);
    assert.equal(await maker, '1');
    assert.deepEqual(
      (await early).map((end) => (end.status === 'fulfilled' ? end.value : (end.reason as WireError).reason)),
      ['CACHE_LOOK_UP_FAILED', '1', '1'],
    );
    assert.equal(world.through.pendingCount, 0);
  });
});

describe('bad input', () => {
  test('a time or number that makes no sense is refused by name', () => {
    for (const lockAgeMs of [0, -1, Number.NaN])
      assert.throws(() => new World({ lockAgeMs }), { name: 'RangeError', message: /lockAgeMs/ });
    for (const lockTimeoutMs of [-1, Number.NaN])
      assert.throws(() => new World({ lockTimeoutMs }), { name: 'RangeError', message: /lockTimeoutMs/ });
    for (const maxWaiters of [-1, Number.NaN, 0.5])
      assert.throws(() => new World({ maxWaiters }), { name: 'RangeError', message: /maxWaiters/ });
    for (const maxPendingLookUps of [0, -1, Number.NaN, 1.5])
      assert.throws(() => new World({ maxPendingLookUps }), { name: 'RangeError', message: /maxPendingLookUps/ });
    for (const updateRetryMs of [-1, Number.NaN, Infinity])
      assert.throws(() => new World({ updateRetryMs }), { name: 'RangeError', message: /updateRetryMs/ });
    assert.ok(new World({ maxWaiters: Infinity, maxPendingLookUps: Infinity }));
  });
});
