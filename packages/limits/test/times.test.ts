/** Times that are none are refused before they get into memory that others share; all others are understood, however far they jump. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, ManualClock, seededRandom } from '@ferrata/clock';
import { Gcra, KeyedGcra, Rate, TokenBucket } from '../src/index.ts';

const bad = [Number.NaN, Infinity, -Infinity, 1e300, -1e300, 2 ** 53, -(2 ** 53)];
const message = /^RangeError: now must be -9007199254740991 to 9007199254740991, not /;
const random = seededRandom(1);

/** Every method that takes a time, with the memory that it must not touch. */
function methods(clock: Clock): readonly { readonly name: string; readonly memory: SharedArrayBuffer; call(now?: number): unknown }[] {
  const good = new ManualClock({ now: 5000 });
  const { memory: bucketMemory } = new TokenBucket({ tokensPerSecond: 1, burst: 2, clock: good });
  const { memory: gcraMemory } = new Gcra({ intervalMs: 10, clock: good });
  const { memory: keyedMemory } = new KeyedGcra({ tokensPerSecond: 1, burst: 2, maxKeys: 10, clock: good, random });
  const bucket = new TokenBucket({ memory: bucketMemory, clock });
  const gcra = new Gcra({ memory: gcraMemory, clock });
  const keyed = new KeyedGcra({ memory: keyedMemory, clock });
  keyed.tryTake('a', 1, 5000);
  return [
    ...([1, 2, 3] as const).flatMap((count) => [
      { name: `TokenBucket.tryTake ${count}`, memory: bucketMemory, call: (now?: number) => bucket.tryTake(count, now) },
      { name: `TokenBucket.retryAfterMs ${count}`, memory: bucketMemory, call: (now?: number) => bucket.retryAfterMs(count, now) },
      { name: `Gcra.tryPass ${count}`, memory: gcraMemory, call: (now?: number) => gcra.tryPass(count, now) },
      { name: `Gcra.retryAfterMs ${count}`, memory: gcraMemory, call: (now?: number) => gcra.retryAfterMs(count, now) },
    ]),
    { name: 'TokenBucket.remaining', memory: bucketMemory, call: (now) => bucket.remaining(now) },
    { name: 'TokenBucket.resetMs', memory: bucketMemory, call: (now) => bucket.resetMs(now) },
    ...(['a', 'new'] as const).flatMap((key) => [
      ...([0, 1, 3] as const).flatMap((count) => [
        { name: `KeyedGcra.tryTake ${key} ${count}`, memory: keyedMemory, call: (now?: number) => keyed.tryTake(key, count, now) },
        {
          name: `KeyedGcra.retryAfterMs ${key} ${count}`,
          memory: keyedMemory,
          call: (now?: number) => keyed.retryAfterMs(key, count, now),
        },
      ]),
      { name: `KeyedGcra.remaining ${key}`, memory: keyedMemory, call: (now?: number) => keyed.remaining(key, now) },
      { name: `KeyedGcra.resetMs ${key}`, memory: keyedMemory, call: (now?: number) => keyed.resetMs(key, now) },
    ]),
  ];
}

function rateMethods(clock: Clock, start: number): ReturnType<typeof methods> {
  const rate = new Rate({ intervalMs: 100, slots: 16, clock, random });
  rate.observe('a', 1, start);
  const { memory } = rate;
  return [
    { name: 'Rate.observe', memory, call: (now) => rate.observe('a', 1, now) },
    { name: 'Rate.rate', memory, call: (now) => rate.rate('a', now) },
    { name: 'Rate.proportionalRate', memory, call: (now) => rate.proportionalRate('a', now) },
    { name: 'Rate.rateWith', memory, call: (now) => rate.rateWith('a', (components) => components, now) },
  ];
}

test('a time that is none is refused by every method, from the caller and from the clock, and changes nothing', () => {
  let now = 5000;
  const clock: Clock = { now: () => now, wallNow: () => 0, schedule: () => ({ cancel: () => {} }) };
  for (const { name, memory, call } of [...methods(clock), ...rateMethods(clock, 5000)]) {
    const before = Buffer.from(memory).toString('hex');
    for (const time of bad) {
      assert.throws(() => call(time), message, `${name} at ${time}`);
      now = time;
      assert.throws(() => call(), message, `${name} with a clock at ${time}`);
      now = 5000;
    }
    assert.equal(Buffer.from(memory).toString('hex'), before, name);
  }
});

test('nothing is made with a clock that has no time', () => {
  for (const time of bad) {
    const clock: Clock = { now: () => time, wallNow: () => 0, schedule: () => ({ cancel: () => {} }) };
    assert.throws(() => new Rate({ intervalMs: 100, clock }), message);
    assert.throws(() => new TokenBucket({ tokensPerSecond: 1, burst: 1, clock }), message);
    assert.throws(() => new Gcra({ intervalMs: 1, clock }), message);
  }
});

const day = 86_400_000;

test('a rate goes on after a jump forward of any length', () => {
  for (const intervalMs of [1, 100, 33.3]) {
    for (const jump of [
      day,
      24 * day,
      25 * day,
      30 * day,
      49 * day,
      50 * day,
      3652 * day,
      2 ** 31 * intervalMs,
      2 ** 32 * intervalMs,
      2 ** 33 * intervalMs,
      1e15,
    ]) {
      const clock = new ManualClock({ now: 12_345 });
      const rate = new Rate({ intervalMs, slots: 64, clock, random: seededRandom(2) });
      const other = new Rate({ memory: rate.memory, clock });
      rate.observe('a', 7);
      clock.advance(jump);
      assert.equal(other.proportionalRate('a'), 0, `after ${jump} ms`);
      assert.equal(rate.observe('a', 3), 3);
      assert.equal(other.observe('a'), 4);
      clock.advance(intervalMs);
      assert.equal(other.rate('a'), (4 * 1000) / intervalMs);
      clock.advance(2 * intervalMs);
      assert.equal(rate.rate('a'), 0);
    }
  }
});

test('a rate that was ten years ahead goes on there when the clock has come back, and after it', () => {
  for (const intervalMs of [1, 100]) {
    const clock = new ManualClock();
    const rate = new Rate({ intervalMs, clock, random: seededRandom(2) });
    rate.observe('a', 1, 1000);
    rate.observe('a', 2, 3652 * day);
    assert.equal(rate.observe('a', 3, 1100), 5);
    assert.equal(new Rate({ memory: rate.memory, clock }).observe('a', 1, 1200), 6);
    assert.equal(rate.observe('a', 1, 3652 * day + intervalMs), 1);
    assert.equal(rate.rate('a', 3652 * day + intervalMs), (6 * 1000) / intervalMs);
  }
});

test('who waits exactly as long as told is let in, and who comes a tick earlier is not', () => {
  const draws = seededRandom(5);
  for (let round = 0; round < 20_000; round++) {
    const tokensPerSecond = [3, 7, 10, 100, 33.3][draws.below(5)] as number;
    const clock = new ManualClock({ now: draws.below(1e9) + (round % 2 === 0 ? 0 : draws.next()) });
    const isKeyed = round % 3 === 0;
    const bucket = new TokenBucket({ tokensPerSecond, burst: 5, clock });
    const keyed = new KeyedGcra({ tokensPerSecond, burst: 5, maxKeys: 1, clock, random });
    const take = (count?: number): boolean => (isKeyed ? keyed.tryTake('a', count) : bucket.tryTake(count));
    const wait = (count?: number): number => (isKeyed ? keyed.retryAfterMs('a', count) : bucket.retryAfterMs(count));
    assert.ok(take(5));
    const count = 1 + draws.below(5);
    const ms = wait(count);
    assert.ok(Math.abs(ms - (count * 1000) / tokensPerSecond) < 0.04);
    const early = new ManualClock({ now: clock.now() + ms - 0.04 });
    assert.equal(isKeyed ? keyed.tryTake('a', count, early.now()) : bucket.tryTake(count, early.now()), false);
    clock.advance(ms);
    assert.ok(take(count), `after ${ms} ms at ${clock.now()}`);
  }
});

test('waiting ends, where a millisecond has more ticks than a time has digits', () => {
  const now = 2 ** 53 - 2;
  const bucket = new TokenBucket({ tokensPerSecond: 3, burst: 1, clock: new ManualClock({ now }) });
  assert.ok(bucket.tryTake(1, now));
  const ms = bucket.retryAfterMs(1, now);
  assert.ok(ms > 0 && ms < 10_000);
});
