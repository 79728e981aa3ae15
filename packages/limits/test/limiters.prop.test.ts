/** The law of all limiters: no span of time has more than the burst and what the rate brings, whatever the clock does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, ManualClock, seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Gcra, KeyedGcra, TokenBucket } from '../src/index.ts';

interface Limits {
  readonly tokensPerSecond: number;
  readonly burst: number;
  readonly clock: Clock;
}

/** Takes one of the tokens of what is limited; some have more keys than one. */
type Take = (key: string) => boolean;

const limiters: Readonly<Record<string, { readonly keys: readonly string[]; readonly furthestMs: number; make(limits: Limits): Take }>> = {
  TokenBucket: {
    keys: ['all'],
    furthestMs: 2.6e11,
    make(limits) {
      const bucket = new TokenBucket(limits);
      return () => bucket.tryTake();
    },
  },
  Gcra: {
    keys: ['all'],
    furthestMs: 2.6e11,
    make({ tokensPerSecond, burst, clock }) {
      const intervalMs = 1000 / tokensPerSecond;
      const gcra = new Gcra({ intervalMs, toleranceMs: (burst - 1) * intervalMs, clock });
      return () => gcra.tryPass();
    },
  },
  // All keys in one set, of which each takes the place of another as soon as it may.
  KeyedGcra: {
    keys: ['a', 'b', 'c'],
    furthestMs: 1.5e10,
    make(limits) {
      const limiter = new KeyedGcra({ ...limits, maxKeys: 8, random: seededRandom(1) });
      return (key) => limiter.tryTake(key);
    },
  },
};

const uses = fc.array(
  fc.tuple(
    fc.oneof(fc.integer({ min: -5000, max: 5000 }), fc.constantFrom(0, 3.6e6, -3.6e6, 1.4e10, -1.4e10, 2.5e11, -2.5e11)),
    fc.nat(9),
    fc.nat(2),
  ),
);

for (const [name, { keys, furthestMs, make }] of Object.entries(limiters)) {
  test(`${name} gives no more than the burst and the rate in any span, whatever the clock does`, () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 10, 1000), fc.integer({ min: 1, max: 8 }), uses, (tokensPerSecond, burst, steps) => {
        let now = 0;
        const take = make({ tokensPerSecond, burst, clock: { now: () => now, wallNow: () => 0, schedule: () => ({ cancel: () => {} }) } });
        const taken = keys.map((): number[] => []);
        for (const [ms, tries, index] of steps) {
          if (Math.abs(now + ms) <= furthestMs) now += ms;
          const of = index % keys.length;
          for (let count = 0; count < tries; count++) if (take(keys[of] as string)) taken[of]?.push(now);
        }
        for (const times of taken) {
          for (const [from, start] of times.entries()) {
            for (const [more, end] of times.slice(from).entries()) {
              // A clock that has gone back brings nothing, so a span that ends before it begins has less than the burst.
              const most = burst + ((end - start) * tokensPerSecond) / 1000;
              assert.ok(more + 1 <= most + 0.05, `${more + 1} in ${end - start} ms`);
            }
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
}

test('a key that comes while the clock is back gets no second burst', () => {
  for (const [start, jump] of [
    [1e6, 1000],
    [1e6, 60_000],
    [1e6, 3.6e6],
    [1e6, 86_400_000],
    [-3.6e6, 3.6e6],
  ] as const) {
    const limiter = new KeyedGcra({ tokensPerSecond: 10, burst: 3, maxKeys: 8, clock: new ManualClock(), random: seededRandom(1) });
    assert.ok(limiter.tryTake('a', 3, start));
    // Its place goes to another key, at a time that then turns out not to have come yet.
    assert.ok(limiter.tryTake('b', 1, start + jump));
    for (const later of [0, 1, 50]) {
      assert.equal(limiter.remaining('a', start + later), 0);
      assert.equal(limiter.tryTake('a', 1, start + later), false);
    }
    // At most a step before.
    const wait = limiter.retryAfterMs('a', 1, start);
    assert.ok(wait > jump - 301 && wait <= jump + 0.1, `${wait} after ${jump}`);
    assert.ok(limiter.tryTake('a', 1, start + wait));
    assert.ok(limiter.tryTake('a', 2, start + jump));
    assert.equal(limiter.tryTake('a', 2, start + jump), false);
  }
});

test('a pacer whose tolerance is (burst − 1) × interval lets exactly the burst pass', () => {
  const clock = new ManualClock({ now: 1000 });
  for (const interval of [0.1, 0.3, 0.7, 1 / 3, 10 / 3, 100 / 3, 1000 / 7, 16.7, 33.3, 1.1, 2.3, 1000 / 60, 1000 / 30]) {
    for (let burst = 2; burst < 200; burst++) {
      const gcra = new Gcra({ intervalMs: interval, toleranceMs: (burst - 1) * interval, clock });
      assert.equal(gcra.retryAfterMs(burst), 0, `${burst} in ${interval} ms`);
      assert.equal(gcra.retryAfterMs(burst + 1), Infinity);
      assert.ok(gcra.tryPass(burst));
      assert.equal(gcra.tryPass(), false);
    }
  }
  // What is really less than the burst stays less.
  assert.equal(new Gcra({ intervalMs: 1, toleranceMs: 0.999, clock }).tryPass(2), false);
});
