import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, ManualClock } from '@ferrata/clock';
import fc from 'fast-check';
import { Gcra, TokenBucket } from '../src/index.ts';

test('a bucket begins full, is emptied, and fills at its rate', () => {
  const clock = new ManualClock({ now: 987_654.321 });
  const bucket = new TokenBucket({ tokensPerSecond: 10, burst: 5, clock });
  assert.deepEqual([bucket.tokensPerSecond, bucket.burst], [10, 5]);
  assert.equal(bucket.remaining(), 5);
  for (let token = 5; token > 0; token--) {
    assert.equal(bucket.remaining(), token);
    assert.ok(bucket.tryTake());
  }
  assert.equal(bucket.tryTake(), false);
  assert.equal(bucket.remaining(), 0);
  assert.ok(Math.abs(bucket.retryAfterMs() - 100) < 1e-3);
  assert.ok(Math.abs(bucket.retryAfterMs(3) - 300) < 1e-3);
  assert.ok(Math.abs(bucket.resetMs() - 500) < 1e-3);
  clock.advance(99);
  assert.equal(bucket.tryTake(), false);
  clock.advance(1.001);
  assert.ok(bucket.tryTake());
  clock.advance(1e6);
  assert.equal(bucket.remaining(), 5);
  assert.deepEqual([bucket.retryAfterMs(5), bucket.resetMs()], [0, 0]);
});

test('taking is all or nothing, and more than the burst is never there', () => {
  const bucket = new TokenBucket({ tokensPerSecond: 1, burst: 3, clock: new ManualClock() });
  assert.equal(bucket.tryTake(4), false);
  assert.equal(bucket.retryAfterMs(4), Infinity);
  assert.ok(bucket.tryTake(2));
  assert.equal(bucket.tryTake(2), false);
  assert.ok(bucket.tryTake(0));
  assert.ok(bucket.tryTake(1));
});

/** The naive twin: tokens as a number, filled whenever it is asked. */
class NaiveBucket {
  tokens: number;
  now: number;
  readonly perMs: number;
  readonly burst: number;

  constructor(perMs: number, burst: number, now: number) {
    this.tokens = burst;
    this.perMs = perMs;
    this.burst = burst;
    this.now = now;
  }

  tryTake(count: number, now: number): boolean {
    this.tokens = Math.min(this.burst, this.tokens + (now - this.now) * this.perMs);
    this.now = now;
    if (count > this.tokens) return false;
    this.tokens -= count;
    return true;
  }
}

const rates = fc.constantFrom(0.125, 1, 3, 1000, 1024, 7777, 65_536_000);
const steps = fc.array(fc.tuple(fc.oneof(fc.nat(2000), fc.constantFrom(0, 0.125, 1e9)), fc.nat(6)), { maxLength: 40 });

test('a bucket gives what a naive one gives, at any rate and after any pause', () => {
  fc.assert(
    fc.property(rates, fc.integer({ min: 1, max: 20 }), fc.constantFrom(-5e9, 0, 1e6), steps, (tokensPerSecond, burst, start, uses) => {
      const clock = new ManualClock({ now: start });
      const bucket = new TokenBucket({ tokensPerSecond, burst, clock });
      const naive = new NaiveBucket(tokensPerSecond / 1000, burst, start);
      for (const [ms, count] of uses) {
        clock.advance(ms);
        const expected = naive.tryTake(count, clock.now());
        const given = bucket.tryTake(count);
        // Where it hangs on a tick, or on the last digit of the naive sum, either is right.
        if (given !== expected && count <= burst) {
          assert.ok(Math.abs(naive.tokens + (expected ? count : 0) - count) < 1e-3 + tokensPerSecond * 1e-7);
          return;
        }
        assert.equal(given, expected);
        assert.ok(bucket.remaining() <= burst && bucket.remaining() >= 0);
        assert.ok(Math.abs(bucket.remaining() - naive.tokens) < 1.001);
        assert.ok(bucket.retryAfterMs(burst) <= bucket.resetMs() + 1e-9);
        if (!given && count <= burst) assert.ok(bucket.retryAfterMs(count) > 0);
      }
    }),
  );
});

test('a clock that goes back gets nothing more, and all again once it has caught up', () => {
  let now = 1e6;
  const clock: Clock = { now: () => now, wallNow: () => 0, schedule: () => ({ cancel: () => {} }) };
  const bucket = new TokenBucket({ tokensPerSecond: 1, burst: 2, clock });
  assert.ok(bucket.tryTake(2));
  now -= 5000;
  assert.equal(bucket.tryTake(), false);
  assert.equal(bucket.remaining(), 0);
  assert.equal(bucket.retryAfterMs(), 6000);
  now += 7000;
  assert.ok(bucket.tryTake(2));
});

test('ticks come round without a trace', () => {
  // 2⁵² ticks, of which a token of 1 a second has 2²⁰.
  const round = 2 ** 32 * 1000;
  for (const start of [round - 1500, 2 * round - 1, round / 4, -1500]) {
    const clock = new ManualClock({ now: start });
    const bucket = new TokenBucket({ tokensPerSecond: 1, burst: 3, clock });
    assert.ok(bucket.tryTake(3), `at ${start}`);
    for (let second = 0; second < 5; second++) {
      assert.equal(bucket.tryTake(), false, `at ${start} + ${second}`);
      clock.advance(1000.01);
      assert.ok(bucket.tryTake(), `at ${start} + ${second}`);
    }
  }
});

test('counts as large as the burst are taken whole', () => {
  const bucket = new TokenBucket({ tokensPerSecond: 65_536_000, burst: 1e12, clock: new ManualClock() });
  assert.ok(bucket.tryTake(3e9));
  assert.equal(bucket.remaining(), 1e12 - 3e9);
  assert.equal(bucket.tryTake(1e12), false);
  assert.equal(bucket.retryAfterMs(2e12), Infinity);
  assert.ok(bucket.tryTake(1e12 - 3e9));
  const gcra = new Gcra({ intervalMs: 1 / 65_536, toleranceMs: 1e6, clock: new ManualClock() });
  assert.ok(gcra.tryPass(6e10));
});

test('bad numbers are refused by name', () => {
  const clock = new ManualClock();
  for (const bad of [0, -1, Number.NaN, Infinity, 65_536_001]) {
    assert.throws(() => new TokenBucket({ tokensPerSecond: bad, burst: 1, clock }), /^RangeError: tokensPerSecond must be above 0/);
  }
  for (const bad of [0, -1, Number.NaN, 1.5]) {
    assert.throws(() => new TokenBucket({ tokensPerSecond: 1, burst: bad, clock }), /^RangeError: burst must be a whole number/);
  }
  assert.throws(
    () => new TokenBucket({ tokensPerSecond: 0.001, burst: 5000, clock }),
    /^RangeError: burst must come back within 4294967296 ms/,
  );
  const bucket = new TokenBucket({ tokensPerSecond: 1, burst: 1, clock });
  for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => bucket.tryTake(bad), /^RangeError: count must/);
    assert.throws(() => bucket.retryAfterMs(bad), /^RangeError: count must/);
  }
});

test('a pacer lets one event pass in each interval, and makes up for lateness within its tolerance', () => {
  const clock = new ManualClock({ now: 50 });
  const even = new Gcra({ intervalMs: 100, clock });
  assert.deepEqual([even.intervalMs, even.toleranceMs], [100, 0]);
  assert.ok(even.tryPass());
  clock.advance(99);
  assert.equal(even.tryPass(), false);
  assert.ok(Math.abs(even.retryAfterMs() - 1) < 1e-3);
  assert.equal(even.retryAfterMs(2), Infinity);
  assert.equal(even.tryPass(2), false);
  clock.advance(1);
  assert.ok(even.tryPass());

  const lenient = new Gcra({ intervalMs: 100, toleranceMs: 150, clock });
  assert.ok(lenient.tryPass());
  assert.ok(lenient.tryPass());
  assert.equal(lenient.tryPass(), false);
  assert.ok(Math.abs(lenient.retryAfterMs() - 50) < 1e-3);
  clock.advance(50.001);
  assert.ok(lenient.tryPass());
  assert.throws(() => lenient.tryPass(-1), /^RangeError: count must/);
  assert.throws(() => lenient.retryAfterMs(0.5), /^RangeError: count must/);
});

test('bad intervals and tolerances are refused by name', () => {
  const clock = new ManualClock();
  for (const bad of [0, -1, Number.NaN, Infinity, 1e-6])
    assert.throws(() => new Gcra({ intervalMs: bad, clock }), /^RangeError: intervalMs must/);
  for (const bad of [-1, Number.NaN, Infinity]) {
    assert.throws(() => new Gcra({ intervalMs: 1, toleranceMs: bad, clock }), /^RangeError: toleranceMs must/);
  }
  assert.throws(() => new Gcra({ intervalMs: 2 ** 32, toleranceMs: 1, clock }), new RangeError('toleranceMs must be 0 to 0, not 1'));
});
