import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { KeyedGcra, TokenBucket } from '../src/index.ts';

const strangeKeys = ['', '__proto__', 'constructor', 'toString', '\ud800', 'x'.repeat(100_000)];

test('each key has a bucket of its own', () => {
  const clock = new ManualClock();
  const limiter = new KeyedGcra({ tokensPerSecond: 10, burst: 3, maxKeys: 100, clock, random: seededRandom(1) });
  assert.deepEqual([limiter.tokensPerSecond, limiter.burst, limiter.maxKeys], [10, 3, 100]);
  for (const key of strangeKeys) {
    assert.equal(limiter.remaining(key), 3);
    assert.ok(limiter.tryTake(key, 2));
    assert.ok(limiter.tryTake(key));
    assert.equal(limiter.tryTake(key), false);
    assert.equal(limiter.remaining(key), 0);
    assert.equal(limiter.retryAfterMs(key), 100);
    assert.equal(limiter.retryAfterMs(key, 4), Infinity);
    assert.equal(limiter.resetMs(key), 300);
    assert.equal(limiter.tryTake(key, 4), false);
    assert.ok(limiter.tryTake(key, 0));
  }
  clock.advance(100);
  for (const key of strangeKeys) assert.ok(limiter.tryTake(key));
  assert.equal(limiter.resetMs('new'), 0);
  assert.equal(limiter.fullCount, 0);
});

test('keys get what buckets of their own would give them, while places go from key to key', () => {
  // One set of 16 places, and 40 keys in turn: at most 10 are in use at once, as a bucket of this burst is full again after 10 ms.
  const uses = fc.array(fc.tuple(fc.nat(39), fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 1, 2, 5, 40)), {
    minLength: 1,
    maxLength: 150,
  });
  fc.assert(
    fc.property(uses, fc.nat(1000), (steps, seed) => {
      const clock = new ManualClock({ now: 1000 });
      const options = { tokensPerSecond: 1000, burst: 6, clock };
      const limiter = new KeyedGcra({ ...options, maxKeys: 8, random: seededRandom(seed) });
      const naive = new Map<number, TokenBucket>();
      for (const [key, count, ms] of steps) {
        const bucket = naive.get(key) ?? new TokenBucket(options);
        naive.set(key, bucket);
        assert.equal(limiter.remaining(`key ${key}`), bucket.remaining());
        assert.ok(Math.abs(limiter.retryAfterMs(`key ${key}`, count) - bucket.retryAfterMs(count)) < 0.02);
        assert.equal(limiter.tryTake(`key ${key}`, count), bucket.tryTake(count));
        clock.advance(ms);
      }
      assert.equal(limiter.fullCount, 0);
    }),
  );
});

for (const whenFull of ['refuse', 'admit'] as const) {
  test(`a full table does as it is told: ${whenFull}`, () => {
    const clock = new ManualClock({ now: 500 });
    const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 2, maxKeys: 8, whenFull, clock, random: seededRandom(2) });
    for (let key = 0; key < 16; key++) assert.ok(limiter.tryTake(`old ${key}`));
    assert.equal(limiter.tryTake('new'), whenFull === 'admit');
    assert.equal(limiter.fullCount, 1);
    assert.equal(limiter.remaining('new'), whenFull === 'admit' ? 2 : 0);
    const wait = limiter.retryAfterMs('new');
    assert.ok(whenFull === 'admit' ? wait === 0 : wait > 1000 && wait < 1010);
    assert.equal(limiter.resetMs('new'), 0);
    // Those in use are not touched.
    assert.equal(limiter.remaining('old 3'), 1);
    clock.advance(1005);
    assert.ok(limiter.tryTake('new', 2));
    assert.equal(limiter.tryTake('new'), false);
  });
}

test('with maxKeys in use, one new key in thousands finds no place', () => {
  const maxKeys = 60_000;
  const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys, clock: new ManualClock({ now: 1000 }), random: seededRandom(3) });
  let inUse = 0;
  for (let key = 0; inUse < maxKeys; key++) if (limiter.tryTake(`198.51.100.${key}`)) inUse++;
  assert.ok(limiter.fullCount <= maxKeys / 20_000, `${limiter.fullCount} found no place`);
  let without = 0;
  for (let key = 0; key < maxKeys; key++) if (limiter.remaining(`203.0.113.${key}`) === 0) without++;
  assert.ok(without <= maxKeys / 3000, `${without} of ${maxKeys} would find no place`);
});

test('fewer keys than a set has places always find one', () => {
  for (let maxKeys = 1; maxKeys < 16; maxKeys++) {
    for (let seed = 1; seed < 20; seed++) {
      const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys, clock: new ManualClock(), random: seededRandom(seed) });
      for (let key = 0; key < maxKeys; key++) assert.ok(limiter.tryTake(`key ${key}`));
    }
  }
});

test('ticks come round without a trace', () => {
  // 2⁴⁴ ticks, of which a token of 1 a second has 2¹⁶.
  const round = 2 ** 28 * 1000;
  for (const start of [round - 1500, 2 * round - 1, round / 4, -1500, 0]) {
    const clock = new ManualClock({ now: start });
    const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 3, maxKeys: 1, clock, random: seededRandom(1) });
    for (let second = 0; second < 5; second++) {
      for (const key of ['a', 'b']) {
        assert.ok(limiter.tryTake(key, second === 0 ? 3 : 1), `at ${start} + ${second}`);
        assert.equal(limiter.tryTake(key), false, `at ${start} + ${second}`);
      }
      clock.advance(1000.1);
    }
  }
});

test('an announcement that a thread left behind is carried out by the next', () => {
  const clock = new ManualClock({ now: 1000 });
  const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys: 1, clock, random: seededRandom(4) });
  // The one set's announcement lies after the header and a line for counts: tag 5, way 3, a mark, step 8.
  const announced = new BigUint64Array(limiter.memory, 128 + 64, 1);
  const words = new BigUint64Array(limiter.memory, 128 + 64 + 8, 16);
  announced[0] = (5n << 44n) | (3n << 40n) | (1n << 39n) | 8n;
  assert.ok(limiter.tryTake('a'));
  assert.equal((announced[0] ?? 0n) >> 44n, 0n);
  assert.equal(words[3], (5n << 44n) | 256n);
  assert.equal(limiter.tryTake('a'), false);
});

test('an announcement of a place that is taken again is given up', () => {
  const clock = new ManualClock({ now: 1000 });
  const limiter = new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys: 1, clock, random: seededRandom(4) });
  const announced = new BigUint64Array(limiter.memory, 128 + 64, 1);
  const words = new BigUint64Array(limiter.memory, 128 + 64 + 8, 16);
  words[3] = (9n << 44n) | 1_000_000n;
  announced[0] = (5n << 44n) | (3n << 40n) | (1n << 39n) | 8n;
  assert.ok(limiter.tryTake('a'));
  assert.equal((announced[0] ?? 0n) >> 44n, 0n);
  assert.equal(words[3], (9n << 44n) | 1_000_000n);
});

test('bad numbers are refused by name', () => {
  const clock = new ManualClock();
  const good = { tokensPerSecond: 1, burst: 1, maxKeys: 10, clock };
  for (const bad of [0, -1, Number.NaN, 128_001]) {
    assert.throws(() => new KeyedGcra({ ...good, tokensPerSecond: bad }), /^RangeError: tokensPerSecond must/);
  }
  for (const bad of [0, -1, Number.NaN, 1.5]) {
    assert.throws(() => new KeyedGcra({ ...good, burst: bad }), /^RangeError: burst must/);
    assert.throws(() => new KeyedGcra({ ...good, maxKeys: bad }), /^RangeError: maxKeys must/);
  }
  assert.throws(() => new KeyedGcra({ ...good, maxKeys: 2 ** 25 }), /^RangeError: maxKeys must/);
  assert.throws(() => new KeyedGcra({ ...good, burst: 2 ** 40 }), /^RangeError: burst must come back within/);
  assert.throws(
    () => new KeyedGcra({ ...good, whenFull: 'grow' as 'admit' }),
    /^RangeError: whenFull must be 'refuse' or 'admit', not grow/,
  );
  const limiter = new KeyedGcra(good);
  for (const bad of [-1, 0.5, Number.NaN]) {
    assert.throws(() => limiter.tryTake('a', bad), /^RangeError: count must/);
    assert.throws(() => limiter.retryAfterMs('a', bad), /^RangeError: count must/);
  }
});
