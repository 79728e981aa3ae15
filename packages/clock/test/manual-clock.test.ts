import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../src/index.ts';

/** Schedules wake-ups that note their name and the time at which they ran. */
function noting(clock: ManualClock): { log: string[]; at: (delayMs: number, name: string) => () => void } {
  const log: string[] = [];
  return {
    log,
    at: (delayMs, name) => {
      const wakeup = clock.schedule(delayMs, () => log.push(`${name}@${clock.now()}`));
      return () => wakeup.cancel();
    },
  };
}

test('time stands still until it is moved', () => {
  const clock = new ManualClock({ now: 100 });
  assert.equal(clock.now(), 100);
  clock.advance(0.5);
  assert.equal(clock.now(), 100.5);
  clock.advanceTo(200);
  assert.equal(clock.now(), 200);
});

test('wake-ups run in the order of their times, and equal times in the order of asking', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  at(20, 'c');
  at(10, 'a');
  at(20, 'd');
  at(10, 'b');
  at(30, 'e');
  clock.advance(20);
  assert.deepEqual(log, ['a@10', 'b@10', 'c@20', 'd@20']);
  assert.equal(clock.pendingCount, 1);
  assert.equal(clock.nextWakeAt, 30);
});

test('a wake-up without delay waits for the next advance, be it of zero', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  at(0, 'a');
  assert.deepEqual(log, []);
  clock.advance(0);
  assert.deepEqual(log, ['a@0']);
});

test('a cancelled wake-up does not run, and cancelling again or too late does nothing', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  const cancelA = at(10, 'a');
  const cancelB = at(10, 'b');
  cancelA();
  cancelA();
  clock.advance(10);
  cancelB();
  assert.deepEqual(log, ['b@10']);
  assert.equal(clock.pendingCount, 0);
});

test('what a wake-up schedules within the span runs in the same advance', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  clock.schedule(10, () => {
    at(5, 'inner');
    at(50, 'later');
  });
  at(20, 'outer');
  clock.advance(30);
  assert.deepEqual(log, ['inner@15', 'outer@20']);
});

test('a wake-up may cancel another one that is due at the same time', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  clock.schedule(10, () => cancelB());
  const cancelB = at(10, 'b');
  clock.advance(10);
  assert.deepEqual(log, []);
});

test('a wake-up may advance the clock itself: nothing is lost, nothing runs twice, time never goes back', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  clock.schedule(10, () => {
    clock.advance(30);
    log.push(`first ends@${clock.now()}`);
  });
  at(20, 'b');
  at(45, 'c');
  clock.advance(15);
  assert.deepEqual(log, ['b@20', 'first ends@40']);
  assert.equal(clock.now(), 40);
  clock.advance(5);
  assert.deepEqual(log.slice(2), ['c@45']);
});

test('a wake-up overtaken by an inner advance of the same time runs once', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  clock.schedule(10, () => clock.advance(0));
  at(10, 'b');
  clock.advance(10);
  assert.deepEqual(log, ['b@10']);
});

test('a wake-up that throws ends the advance at its time, and the others stay', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  clock.schedule(10, () => {
    throw new Error('boom');
  });
  at(10, 'b');
  at(20, 'c');
  assert.throws(() => clock.advance(50), /boom/);
  assert.equal(clock.now(), 10);
  clock.advance(10);
  assert.deepEqual(log, ['b@10', 'c@20']);
});

test('runNext runs one wake-up at its time', () => {
  const clock = new ManualClock();
  const { log, at } = noting(clock);
  at(20, 'b');
  at(10, 'a');
  assert.equal(clock.runNext(), true);
  assert.deepEqual([log, clock.now()], [['a@10'], 10]);
  assert.equal(clock.runNext(), true);
  assert.equal(clock.runNext(), false);
  assert.equal(clock.nextWakeAt, Infinity);
});

test('a wake-up that schedules itself without delay is stopped with a message', () => {
  const clock = new ManualClock({ maxWakeupsPerAdvance: 100 });
  const again = (): void => void clock.schedule(0, again);
  again();
  assert.throws(() => clock.advance(1), /more than 100 wake-ups in one advance/);
});

test('the wall clock moves along, and jumps by itself', () => {
  const clock = new ManualClock({ now: 5, wallNow: 1_700_000_000_000 });
  clock.advance(10);
  assert.equal(clock.wallNow(), 1_700_000_000_010);
  clock.setWallNow(1_600_000_000_000);
  clock.advance(1);
  assert.deepEqual([clock.wallNow(), clock.now()], [1_600_000_000_001, 16]);
});

test('nonsense is refused', () => {
  const clock = new ManualClock({ now: 10 });
  for (const ms of [-1, Number.NaN, Infinity]) {
    assert.throws(() => clock.schedule(ms, () => {}), RangeError);
    assert.throws(() => clock.advance(ms), RangeError);
  }
  assert.throws(() => clock.advanceTo(9), RangeError);
  assert.throws(() => clock.advanceTo(Number.NaN), RangeError);
  assert.throws(() => clock.setWallNow(Infinity), RangeError);
  assert.throws(() => new ManualClock({ now: Number.NaN }), RangeError);
  assert.throws(() => new ManualClock({ maxWakeupsPerAdvance: 0 }), RangeError);
});

test('the guard against wake-ups without end holds for a fraction too', () => {
  const clock = new ManualClock({ maxWakeupsPerAdvance: 1.5 });
  const again = (): void => void clock.schedule(0, again);
  again();
  assert.throws(() => clock.advance(1), /more than 2 wake-ups in one advance/);
});
