/** Any use of a rate through two threads' worth of objects, against a map of exact counts by interval. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, ManualClock, seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Rate } from '../src/index.ts';

const intervalMs = 100;
const keys = ['', 'constructor', 'b'] as const;

class Model {
  now = 0;
  readonly counts = new Map<string, number>();

  get interval(): number {
    return Math.floor(this.now / intervalMs);
  }

  count(key: string, interval: number): number {
    return this.counts.get(`${interval} ${key}`) ?? 0;
  }

  observe(key: string, by: number): number {
    const count = this.count(key, this.interval) + by;
    this.counts.set(`${this.interval} ${key}`, count);
    return count;
  }
}

interface Real {
  readonly clock: ManualClock;
  readonly rates: readonly Rate[];
}

type Command = fc.Command<Model, Real>;

function command(label: string, run: (model: Model, real: Real) => void): Command {
  return { check: () => true, run, toString: () => label };
}

const key = fc.constantFrom(...keys);
const side = fc.nat(1);
const observe = fc
  .tuple(key, fc.nat(5), side)
  .map(([key, by, side]) =>
    command(`observe(${key}, ${by}) by ${side}`, (model, { rates }) => assert.equal(rates[side]?.observe(key, by), model.observe(key, by))),
  );
const look = fc.tuple(key, side).map(([key, side]) =>
  command(`look(${key}) by ${side}`, (model, { rates }) => {
    const previous = model.count(key, model.interval - 1);
    const current = model.count(key, model.interval);
    const fraction = model.now / intervalMs - model.interval;
    const rate = rates[side];
    assert.ok(rate);
    assert.equal(rate.rate(key), (previous * 1000) / intervalMs);
    assert.ok(Math.abs(rate.proportionalRate(key) - ((previous * (1 - fraction) + current) * 1000) / intervalMs) < 1e-6);
    rate.rateWith(key, (components) => {
      assert.ok(Math.abs(components.fraction - fraction) < 1e-9);
      assert.deepEqual({ ...components, fraction: 0 }, { previous, current, intervalMs, fraction: 0 });
    });
  }),
);
// Among them the pauses after which tags come round, and those at the edges of what is swept.
const pauses = [0, 1, 50, 100, 200, 300, 700, 1500, 1600, 1700, 6300, 6400, 6500, 12_700, 12_800, 12_900, 25_600, 1e7];
const advance = fc.constantFrom(...pauses).map((ms) =>
  command(`advance(${ms})`, (model, { clock }) => {
    model.now += ms;
    clock.advance(ms);
  }),
);

test('any use of a rate counts what a map counts', () => {
  fc.assert(
    fc.property(fc.commands([observe, look, advance, advance], { maxCommands: 80 }), (commands) => {
      fc.modelRun(() => {
        const clock = new ManualClock();
        const first = new Rate({ intervalMs, clock, slots: 64, random: seededRandom(5) });
        return { model: new Model(), real: { clock, rates: [first, new Rate({ memory: first.memory, clock })] } };
      }, commands);
    }),
    { numRuns: 100 },
  );
});

test('long runs of short intervals find no counter from before', () => {
  const clock = new ManualClock();
  const rate = new Rate({ intervalMs: 1, hashes: 2, slots: 32, clock, random: seededRandom(6) });
  const random = seededRandom(7);
  const counts = new Map<number, number>();
  for (let turn = 0; turn < 5000; turn++) {
    const key = random.below(8);
    const now = clock.now();
    // Keys come and go, so that counters of theirs get old.
    if ((now >>> 6) % 8 === key) {
      const at = now * 8 + key;
      counts.set(at, (counts.get(at) ?? 0) + 1);
      assert.equal(rate.observe(`key ${key}`), counts.get(at));
    }
    const other = random.below(8);
    assert.equal(
      rate.rateWith(`key ${other}`, ({ current }) => current),
      counts.get(now * 8 + other) ?? 0,
    );
    assert.equal(rate.rate(`key ${other}`), (counts.get((now - 1) * 8 + other) ?? 0) * 1000);
    clock.advance(random.below(4) === 0 ? random.below(30) : random.below(2));
  }
});

test('whatever the steps that time takes, no counter is found again when tags come round', () => {
  for (let step = 1; step <= 20; step++) {
    for (const first of [100, 101]) {
      const clock = new ManualClock({ now: first });
      const rate = new Rate({ intervalMs: 1, hashes: 2, slots: 16, clock, random: seededRandom(6) });
      for (let key = 0; key < 100; key++) rate.observe(`key ${key}`, 7);
      clock.advance(2);
      for (let now = first + 2; now < first + 300; now += step) {
        rate.rateWith('key 0', ({ previous, current }) => assert.equal(previous + current, 0, `step ${step}, at ${now}`));
        clock.advance(step);
      }
    }
  }
});

test('a rate is 0 in its first interval, then that of the last one, and 0 after two idle ones', () => {
  const clock = new ManualClock({ now: 12_345 });
  const rate = new Rate({ intervalMs: 1000, clock });
  assert.deepEqual([rate.intervalMs, rate.hashes, rate.slots], [1000, 4, 1024]);
  for (let count = 1; count <= 5; count++) assert.equal(rate.observe('a'), count);
  assert.equal(rate.rate('a'), 0);
  clock.advance(1000);
  for (let count = 1; count <= 4; count++) assert.equal(rate.observe('a'), count);
  assert.equal(rate.rate('a'), 5);
  clock.advance(1000);
  assert.equal(rate.rate('a'), 4);
  clock.advance(1000);
  assert.equal(rate.rate('a'), 0);
});

test('a formula of one’s own, and the proportional one, weigh the two intervals', () => {
  const clock = new ManualClock();
  const rate = new Rate({ intervalMs: 1000, clock });
  rate.observe('a', 10);
  clock.advance(1250);
  rate.observe('a', 3);
  assert.equal(
    rate.rateWith('a', ({ previous, current }) => 0.9 * previous + 0.1 * current),
    9.3,
  );
  assert.equal(rate.proportionalRate('a'), 10 * 0.75 + 3);
});

test('a clock that goes back goes on counting in the latest interval', () => {
  let now = 10_050;
  const clock: Clock = { now: () => now, wallNow: () => 0, schedule: () => ({ cancel: () => {} }) };
  const rate = new Rate({ intervalMs, clock });
  rate.observe('a', 2);
  now = 3;
  assert.equal(rate.observe('a'), 3);
  assert.equal(
    rate.rateWith('a', ({ fraction }) => fraction),
    0,
  );
  const joined = new Rate({ memory: rate.memory, clock });
  assert.equal(joined.observe('a'), 4);
  now = 10_150;
  assert.equal(joined.rate('a'), 40);
});

test('a late thread counts in the interval that runs, and its counts are not lost', () => {
  const clock = new ManualClock();
  const late = new Rate({ intervalMs, hashes: 1, slots: 1, clock });
  const early = new Rate({ memory: late.memory, clock });
  assert.equal(early.observe('a', 1, 250), 1);
  assert.equal(late.observe('a', 1, 50), 2);
  assert.equal(early.observe('a', 1, 250), 3);
});

test('a counter stays at its end for the interval', () => {
  const clock = new ManualClock();
  const rate = new Rate({ intervalMs, clock });
  const largest = 66_060_288;
  assert.equal(rate.observe('a', largest - 1), largest - 1);
  assert.equal(rate.observe('a', 5), largest);
  assert.equal(rate.observe('a'), largest);
  assert.equal(rate.observe('a', 2 ** 31 - 1), largest);
  clock.advance(intervalMs);
  assert.equal(rate.observe('a', 2 ** 31 - 1), largest);
  assert.equal(rate.rate('a'), largest * 10);
});

test('intervals that are no whole milliseconds, and times of all sizes', () => {
  for (const now of [-1e6, 0, 0.3, 33.3, 1e6 / 3, 2 ** 40, 2 ** 52]) {
    const clock = new ManualClock({ now });
    const rate = new Rate({ intervalMs: 33.3, clock });
    rate.observe('a', 7);
    clock.advance(33.3);
    const fraction = rate.rateWith('a', (components) => components.fraction);
    assert.ok(fraction >= 0 && fraction <= 1);
    assert.equal(
      rate.rateWith('a', ({ previous, current }) => previous + current),
      7,
      `at ${now}`,
    );
  }
});

test('bad numbers are refused by name', () => {
  const clock = new ManualClock();
  for (const bad of [0, -1, Number.NaN, Infinity, 0.5])
    assert.throws(() => new Rate({ intervalMs: bad, clock }), /^RangeError: intervalMs must/);
  assert.throws(() => new Rate({ intervalMs, clock, slots: 0 }), /^RangeError: slots must/);
  const rate = new Rate({ intervalMs, clock });
  assert.throws(() => rate.observe('a', -1), /^RangeError: by must/);
});
