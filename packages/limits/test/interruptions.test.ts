/** Threads interrupted at each of their steps, for as long as it hurts most: the races that real threads meet once in a million times. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { Inflight, type InflightGuard, KeyedGcra, Rate } from '../src/index.ts';
import { interrupt, interruptEverywhere, watchAtomics, watchSteps } from './fixtures/interrupt.ts';

let unwatch = (): void => {};
before(() => {
  unwatch = watchAtomics();
});
after(() => unwatch());

const clock = new ManualClock();

test('two threads never both get the last place, wherever one of them is interrupted', () => {
  for (const held of [0, 2]) {
    const steps = interruptEverywhere(() => {
      const one = new Inflight({ random: seededRandom(1) });
      const other = new Inflight({ memory: one.memory });
      one.increment('a', held);
      const guards: (InflightGuard | null)[] = [];
      return {
        action: () => void guards.push(one.tryAcquire('a', held + 1)),
        intruder: () => void guards.push(other.tryAcquire('a', held + 1)),
        check() {
          assert.ok(guards.filter((guard) => guard !== null).length <= 1);
          for (const guard of guards) guard?.release();
          assert.equal(one.estimate('a'), held);
        },
      };
    });
    assert.ok(steps >= 8);
  }
});

test('who can never be admitted is not counted meanwhile, so nobody else is kept out', () => {
  const inflight = new Inflight();
  const action = (): void => assert.equal(inflight.tryAcquire('a', 5, 6), null);
  assert.equal(
    interrupt(1, action, () => {}),
    false,
  );
});

const intervalMs = 10;

/** Goes on by so many intervals, from interval 100, each of them or at one jump, and counts 1000 in the last. */
function goOn(rate: Rate, intervals: number, isJump: boolean): number {
  const until = (100 + intervals) * intervalMs;
  if (!isJump) for (let now = 100 * intervalMs; now < until; now += intervalMs) rate.observe('other', 1, now);
  rate.observe('a', 1000, until);
  return until;
}

/** Asserts that what was counted at a time, and then 100 more in each interval, is there for 140 intervals, with at most one more. */
function checkCounts(rate: Rate, from: number): void {
  let previous: number | undefined;
  let current = 1000;
  for (let now = from; now < from + 140 * intervalMs; now += intervalMs) {
    if (now > from) rate.observe('a', 100, now);
    const components = rate.rateWith('a', (counts) => counts, now);
    assert.ok(components.current >= current && components.current <= current + 1, `${components.current} of ${current} at ${now}`);
    if (previous !== undefined) assert.ok(components.previous >= previous && components.previous <= previous + 1);
    [previous, current] = [current, 100];
  }
}

for (const isJump of [false, true]) {
  test(`a thread that counts ${isJump ? 'in a pause of' : 'late by'} 0 to 200 intervals takes nothing from the others`, () => {
    for (let intervals = 0; intervals <= 200; intervals++) {
      for (const isKnown of [true, false]) {
        let end = 0;
        const steps = interruptEverywhere(() => {
          const early = new Rate({ intervalMs, hashes: 2, slots: 4, clock, random: seededRandom(2) });
          const late = new Rate({ memory: early.memory, clock });
          for (const rate of [early, late]) rate.observe(isKnown ? 'a' : 'b', 1, 100 * intervalMs);
          return {
            action: () => void late.observe('a', 1, 100 * intervalMs),
            intruder: () => {
              end = goOn(early, intervals, isJump);
            },
            // What is counted in the same interval, or in the one that runs, is there besides; known keys have two from before.
            check: () => (intervals === 0 ? assert.ok(early.observe('a', 0, end) >= 1001) : checkCounts(early, end)),
          };
        });
        assert.ok(steps >= 2);
      }
    }
  });
}

test('a thread that sweeps late takes nothing from the others', () => {
  for (const ownPause of [1, 2, 15, 16, 40]) {
    for (const intervals of [1, 2, 3, 16, 31, 32, 41, 64, 66, 73, 90, 100, 126, 127, 129, 130, 200]) {
      if (intervals <= ownPause) continue;
      interruptEverywhere(() => {
        const early = new Rate({ intervalMs, hashes: 2, slots: 8, clock, random: seededRandom(3) });
        const late = new Rate({ memory: early.memory, clock });
        for (const key of ['a', 'b', 'c', 'd', 'e']) for (const now of [98, 99, 100]) early.observe(key, 7, now * intervalMs);
        late.observe('a', 1, 100 * intervalMs);
        let end = 0;
        return {
          action: () => void late.observe('f', 0, (100 + ownPause) * intervalMs),
          intruder: () => {
            end = goOn(early, intervals, true);
          },
          check: () => checkCounts(early, end),
        };
      });
    }
  }
});

test('an addition on its way to a counter that is swept meanwhile counts in the interval that runs', () => {
  for (const pause of [16, 17, 40, 127, 128, 129]) {
    const early = new Rate({ intervalMs, hashes: 1, slots: 1, clock, random: seededRandom(2) });
    const late = new Rate({ memory: early.memory, clock });
    const now = (100 + pause) * intervalMs;
    for (const rate of [early, late]) rate.observe('a', 1, 100 * intervalMs);
    const isInterrupted = interrupt(
      1,
      () => void late.observe('a', 1, 100 * intervalMs),
      () => void early.rate('a', now),
    );
    assert.ok(isInterrupted);
    early.rateWith('a', ({ previous, current }) => assert.deepEqual([previous, current], pause % 2 === 0 ? [0, 1] : [1, 0]), now);
    // Nor does it hide or add to what is counted from then on.
    for (let more = 1; more < 300; more++) assert.equal(early.observe('a', 100, now + more * intervalMs), 100);
  }
});

test('sweeping takes nothing from those who read the interval that still runs', () => {
  for (let start = 100; start < 132; start++) {
    for (const turned of [1, 2, 15]) {
      interruptEverywhere(() => {
        const one = new Rate({ intervalMs, hashes: 2, slots: 16, clock, random: seededRandom(4) });
        const sweeper = new Rate({ memory: one.memory, clock });
        const keys = Array.from({ length: 8 }, (_, index) => `key ${index}`);
        for (const interval of [start - 5, start - 1, start]) for (const key of keys) one.observe(key, 7, interval * intervalMs);
        return {
          action: () => void sweeper.rate('a', (start + turned) * intervalMs),
          intruder: () => {
            // The first word is the interval that runs, and once the new one does, the old one is nobody's.
            if (new BigInt64Array(one.memory, 128, 1)[0] !== BigInt(start)) return;
            for (const key of keys) {
              one.rateWith(
                key,
                ({ previous, current }) => assert.ok(previous >= 7 && current >= 7, `${previous}, ${current}`),
                start * intervalMs,
              );
            }
          },
          check: () => {},
        };
      });
    }
  }
});

test('a thread that reads late reads the interval that runs, never too little', () => {
  for (const intervals of [0, 1, 2, 3, 20, 66, 128, 129]) {
    interruptEverywhere(() => {
      const early = new Rate({ intervalMs, clock, random: seededRandom(4) });
      const late = new Rate({ memory: early.memory, clock });
      for (const interval of [99, 100]) early.observe('a', 100, interval * intervalMs);
      late.rate('a', 100 * intervalMs);
      let read: readonly number[] = [];
      return {
        action: () => {
          late.rateWith('a', ({ previous, current }) => (read = [previous, current]), 100 * intervalMs);
        },
        intruder: () => {
          for (let interval = 101; interval <= 100 + intervals; interval++) early.observe('a', 100, interval * intervalMs);
        },
        check: () => assert.deepEqual(read, [100, 100]),
      };
    });
  }
});

test('what is said of a key is never said of the one that takes its place meanwhile', () => {
  for (const ask of ['remaining', 'retryAfterMs', 'resetMs'] as const) {
    const steps = interruptEverywhere(() => {
      const one = new KeyedGcra({ tokensPerSecond: 1, burst: 5, maxKeys: 1, clock, random: seededRandom(1) });
      const other = new KeyedGcra({ memory: one.memory, clock });
      one.tryTake('a', 5, 1000);
      let said = -1;
      return {
        action: () => {
          said = ask === 'retryAfterMs' ? one.retryAfterMs('a', 5, 10_000) : one[ask]('a', 10_000);
        },
        intruder: () => void other.tryTake('b', 5, 10_000),
        check: () => assert.equal(said, ask === 'remaining' ? 5 : 0),
      };
    });
    assert.ok(steps >= 1);
  }
});

const ticksPerMs = 128;
const burst = 8;

/** One thread's call, and what happens while it is interrupted. */
interface Call {
  readonly key: number;
  readonly count: number;
  /** By how much time goes on before, or back; a token comes with each tick. */
  readonly ticks: number;
  readonly at: number;
  readonly meanwhile: readonly Call[];
}

function calls(depth: number): fc.Arbitrary<readonly Call[]> {
  const ticks = fc.constantFrom(0, 0, 1, 2, 3, 5, 8, 9, 16, 24, 31, 32, 33, 80, 1000, -1, -8, -32, -80, -1000);
  const meanwhile = depth === 0 ? fc.constant([]) : calls(depth - 1);
  return fc.array(
    fc.record({ key: fc.nat(3), count: fc.constantFrom(1, 2, burst), ticks, at: fc.integer({ min: 1, max: 14 }), meanwhile }),
    {
      maxLength: depth === 2 ? 12 : 5,
    },
  );
}

/** Runs calls on a set of its own, and asserts that no key gets more than its burst and a token for each tick between any two calls. */
function checkLaw(script: readonly Call[], start = 1_000_000): void {
  const first = new KeyedGcra({ tokensPerSecond: ticksPerMs * 1000, burst, maxKeys: 8, clock, random: seededRandom(5) });
  // Each thread has an object of its own; who interrupts is another.
  const threads = [first, new KeyedGcra({ memory: first.memory, clock }), new KeyedGcra({ memory: first.memory, clock })];
  let time = start;
  const taken: { readonly key: number; readonly count: number; readonly at: number }[] = [];
  const run = (list: readonly Call[], depth: number): void => {
    for (const { key, count, ticks, at, meanwhile } of list) {
      time += ticks;
      const now = time;
      const call = (): void => {
        if (threads[depth]?.tryTake(`key ${key}`, count, now / ticksPerMs) === true) taken.push({ key, count, at: now });
      };
      interrupt(at, call, () => run(meanwhile, depth + 1));
    }
  };
  run(script, 0);
  for (let key = 0; key < 4; key++) {
    const own = taken.filter((one) => one.key === key);
    for (const [from, { at: begin }] of own.entries()) {
      let sum = 0;
      for (const { count, at: end } of own.slice(from)) {
        sum += count;
        assert.ok(sum <= burst + (end - begin), `key ${key} got ${sum} in ${end - begin} ticks`);
      }
    }
  }
}

test('an announcement is withdrawn only when its place is free no more, whoever takes from the old bucket meanwhile', () => {
  const step = 1_000_000 / 32;
  let isLate = false;
  for (let at = 1; at < 20; at++) {
    const one = new KeyedGcra({ tokensPerSecond: ticksPerMs * 1000, burst, maxKeys: 1, clock, random: seededRandom(5) });
    const other = new KeyedGcra({ memory: one.memory, clock });
    one.tryTake('old', 1, 10);
    const announced = new BigUint64Array(one.memory, 192, 1);
    const words = new BigUint64Array(one.memory, 200, 16);
    let steps = 0;
    watchSteps(
      () => assert.ok(one.tryTake('new', 1, (step * 32) / ticksPerMs)),
      () => {
        steps++;
        if (steps === at) isLate = other.tryTake('old', 1, 20) || isLate;
        const announcement = announced[0] ?? 0n;
        if (announcement >> 44n !== 0n || announcement !== ((1n << 39n) | BigInt(step))) return;
        assert.ok(BigInt.asUintN(44, words[0] ?? 0n) >= BigInt(step * 32), `interrupted at ${at}, at step ${steps}`);
      },
    );
  }
  assert.ok(isLate);
});

test('no key gets more than its burst and its rate in any span, whoever is interrupted where, and whatever clocks do', () => {
  fc.assert(
    fc.property(calls(2), (script) => checkLaw(script)),
    { numRuns: 8_000 },
  );
});
