import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { DeadlineQueue } from '../src/index.ts';
import { world } from './fixtures/world.ts';

test('a deadline runs at the first tick at or after its time, once', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(15, note('a'));
  deadlines.after(20, note('b'));
  deadlines.after(20.001, note('c'));
  clock.advance(19.999);
  assert.deepEqual(log, []);
  clock.advance(1000);
  assert.deepEqual(log, ['a@20', 'b@20', 'c@30']);
});

test('ticks are whole multiples of tickMs on the clock, wherever it starts', () => {
  const { clock, deadlines, log, note } = world(1003);
  const deadline = deadlines.after(10, note('a'));
  assert.equal(deadline.expiresAt, 1020);
  clock.advance(100);
  assert.deepEqual(log, ['a@1020']);
});

test('a delay of zero runs with the next wake-up, never inside arm', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(0, note('a'));
  assert.deepEqual(log, []);
  clock.advance(0);
  assert.deepEqual(log, ['a@0']);
});

test('deadlines run by tick, and within a tick in the order of arming', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(500, note('late'));
  deadlines.after(20, note('second'));
  const moved = deadlines.after(11, note('third'));
  deadlines.after(10, note('first'));
  moved.arm(20);
  clock.advance(490);
  deadlines.after(10, note('after late'));
  clock.advance(10);
  assert.deepEqual(log, ['first@10', 'second@20', 'third@20', 'late@500', 'after late@500']);
});

test('arming again moves the deadline, to later and to sooner', () => {
  const { clock, deadlines, log, note } = world();
  const deadline = deadlines.after(100, note('a'));
  clock.advance(90);
  deadline.arm(100);
  clock.advance(90);
  assert.deepEqual(log, []);
  deadline.arm(5);
  clock.advance(10);
  assert.deepEqual(log, ['a@190']);
  assert.equal(deadlines.size, 0);
});

test('a deadline can be armed again after it has run', () => {
  const { clock, deadlines, log, note } = world();
  const deadline = deadlines.deadline(note('a'));
  assert.deepEqual([deadline.isArmed, deadline.expiresAt, deadlines.size], [false, Infinity, 0]);
  for (let i = 0; i < 3; i++) {
    deadline.arm(10);
    assert.deepEqual([deadline.isArmed, deadlines.size], [true, 1]);
    clock.advance(10);
    assert.deepEqual([deadline.isArmed, deadlines.size], [false, 0]);
  }
  assert.deepEqual(log, ['a@10', 'a@20', 'a@30']);
});

test('a cancelled deadline does not run, and cancelling again does nothing', () => {
  const { clock, deadlines, log, note } = world();
  const deadline = deadlines.after(10, note('a'));
  deadline.cancel();
  deadline.cancel();
  assert.deepEqual([deadline.isArmed, deadline.expiresAt, deadlines.size], [false, Infinity, 0]);
  clock.advance(1000);
  assert.deepEqual(log, []);
});

test('now is the time of the clock, and may be given to arm', () => {
  const { clock, deadlines, log, note } = world();
  assert.equal(deadlines.now(), 0);
  clock.advance(3);
  const deadline = deadlines.deadline(note('a'));
  const now = deadlines.now();
  clock.advance(10);
  deadline.arm(10, now);
  assert.equal(deadline.expiresAt, 20);
  clock.advance(10);
  assert.deepEqual(log, ['a@20']);
});

test('a stale now makes a deadline early by as much, but never makes it run in the past', () => {
  const { clock, deadlines, log, note } = world();
  clock.advance(1000);
  deadlines.after(50, note('other'));
  clock.advance(40);
  const deadline = deadlines.deadline(note('a'));
  deadline.arm(10, 0);
  clock.advance(0);
  assert.deepEqual(log, ['a@1040']);
});

test('one wake-up is pending for the next tick, one more while many wait for the time, and none when nothing was armed since', () => {
  const { clock, deadlines } = world();
  assert.equal(clock.pendingCount, 0);
  const few = Array.from({ length: 20 }, (_, i) => deadlines.after(1000 - i, () => {}));
  assert.equal(clock.pendingCount, 1);
  const many = Array.from({ length: 100 }, (_, i) => deadlines.after(1000 - i, () => {}));
  assert.equal(clock.pendingCount, 2);
  clock.advance(0);
  assert.equal(clock.pendingCount, 1);
  for (const deadline of [...few, ...many]) deadline.cancel();
  assert.equal(clock.pendingCount, 1, 'cancelling costs nothing: the wake-up is left to lapse');
  clock.advance(1000);
  assert.equal(clock.pendingCount, 0);
});

test('arming and cancelling over and over does not bother the clock', (t) => {
  const { clock, deadlines } = world();
  const schedule = t.mock.method(clock, 'schedule');
  const deadline = deadlines.deadline(() => {});
  for (let i = 0; i < 1000; i++) {
    deadline.arm(30_000);
    clock.advance(1);
    deadline.cancel();
  }
  assert.equal(schedule.mock.callCount(), 1);
});

test('a far deadline wakes the clock a handful of times, not every tick', (t) => {
  const { clock, deadlines, log, note } = world();
  const schedule = t.mock.method(clock, 'schedule');
  deadlines.after(1, note('near'));
  deadlines.after(3_599_990, note('far'));
  clock.advance(3_600_000);
  assert.deepEqual(log, ['near@10', 'far@3599990']);
  assert.ok(schedule.mock.callCount() <= 7, `${schedule.mock.callCount()} wake-ups`);
});

test('a callback may arm, move and cancel any deadline, itself included', () => {
  const { clock, deadlines, log, note } = world();
  const self = deadlines.deadline(() => {
    log.push(`self@${clock.now()}`);
    if (clock.now() < 30) self.arm(10);
  });
  self.arm(10);
  const victim = deadlines.deadline(note('victim'));
  const moved = deadlines.deadline(note('moved'));
  deadlines.after(20, () => {
    victim.cancel();
    moved.arm(50);
  });
  victim.arm(20);
  moved.arm(20);
  clock.advance(100);
  assert.deepEqual(log, ['self@10', 'self@20', 'self@30', 'moved@70']);
});

test('what a callback arms without delay runs after the round, so that it cannot starve the others', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(10, () => deadlines.after(0, note('inner')));
  deadlines.after(10, note('outer'));
  clock.advance(10);
  assert.deepEqual(log, ['outer@10', 'inner@10']);
});

test('a callback that moves the clock itself neither loses nor repeats anything', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(10, () => {
    deadlines.after(5, note('inner'));
    clock.advance(100);
    log.push(`back@${clock.now()}`);
  });
  deadlines.after(10, note('same'));
  deadlines.after(50, note('later'));
  clock.advance(10);
  assert.deepEqual(log, ['back@110', 'same@110']);
  clock.advance(0);
  assert.deepEqual(log, ['back@110', 'same@110', 'inner@110', 'later@110']);
});

test('a callback that throws does not stop the others, and its error reaches the clock', () => {
  const { clock, deadlines, log, note } = world();
  const boom = new Error('boom');
  deadlines.after(10, () => {
    throw boom;
  });
  deadlines.after(10, note('same'));
  deadlines.after(20, note('later'));
  assert.throws(() => clock.advance(10), boom);
  assert.deepEqual(log, ['same@10']);
  clock.advance(10);
  assert.deepEqual(log, ['same@10', 'later@20']);
});

test('errors of several callbacks of a round come together', () => {
  const { clock, deadlines } = world();
  for (const name of ['a', 'b']) {
    deadlines.after(10, () => {
      throw new Error(name);
    });
  }
  assert.throws(
    () => clock.advance(10),
    (error) => error instanceof AggregateError && error.errors.map(String).join() === 'Error: a,Error: b',
  );
});

test('a clock that wakes too early is asked again, and no deadline runs early', () => {
  const clock = new ManualClock();
  const hasty = {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    schedule: (delayMs: number, wake: () => void) => clock.schedule(delayMs * 0.9, wake),
  };
  const ran: number[] = [];
  new DeadlineQueue({ clock: hasty }).after(100, () => ran.push(clock.now()));
  // It never gets there by nine tenths of the rest, but comes as near as the last bit.
  while (ran.length === 0 && clock.nextWakeAt < 99.9999) clock.runNext();
  assert.deepEqual(ran, []);
  clock.advance(1);
  assert.equal(ran.length, 1);
  assert.ok((ran[0] ?? 0) >= 100);
});

test('ticks may be any length', () => {
  const clock = new ManualClock();
  const deadlines = new DeadlineQueue({ clock, tickMs: 0.5 });
  assert.equal(deadlines.after(1.2, () => {}).expiresAt, 1.5);
  assert.equal(new DeadlineQueue({ clock, tickMs: 0.1 }).after(0.25, () => {}).expiresAt, 3 * 0.1);
  for (const tickMs of [0, -1, 5e-324, 0.0999, 86_400_001, Number.NaN, Infinity, '10' as unknown as number])
    assert.throws(() => new DeadlineQueue({ clock, tickMs }), RangeError);
});

test('rounding of ticks that are no binary fractions makes nothing early, and nothing stuck', () => {
  const clock = new ManualClock();
  const deadlines = new DeadlineQueue({ clock, tickMs: 0.7 });
  // 17 ticks are 11.899999999999999: a delay of 11.9 is longer than that, though 11.9 / 0.7 gives 17.
  const first = deadlines.after(11.9, () => {});
  assert.equal(first.expiresAt, 18 * 0.7);
  // 3 ticks are 2.0999999999999996, and that divided by 0.7 is below 3: at this time the deadline is due all the same.
  const ran: number[] = [];
  deadlines.after(2, () => ran.push(clock.now()));
  clock.advanceTo(3 * 0.7);
  assert.deepEqual(ran, [3 * 0.7]);
  // 5 ticks are 3.5, and the number below that divided by 0.7 gives 5: at that time such a deadline is not due yet.
  clock.advanceTo(3.4999999999999996);
  first.cancel();
  deadlines.after(0, () => ran.push(clock.now()));
  clock.advance(0);
  assert.equal(ran.length, 1);
  clock.advanceTo(3.5);
  assert.deepEqual(ran, [3 * 0.7, 3.5]);
});

test('delays out of range are refused, and the deadline stays as it was', () => {
  const { deadlines } = world();
  const deadline = deadlines.after(10, () => {});
  for (const delay of [-1, Number.NaN, Infinity, deadlines.maxDelayMs + 1]) assert.throws(() => deadline.arm(delay), RangeError);
  assert.equal(deadline.expiresAt, 10);
  deadline.arm(deadlines.maxDelayMs);
  assert.equal(deadline.expiresAt, deadlines.maxDelayMs);
});

test('years pass, with and without deadlines pending, and ticks stay exact', () => {
  const { clock, deadlines, log, note } = world();
  const day = 86_400_000;
  const heartbeat = deadlines.deadline(() => heartbeat.arm(day));
  heartbeat.arm(day);
  for (let year = 0; year < 3; year++) {
    clock.advance(365 * day - 1);
    deadlines.after(10, note('a'));
    clock.advance(day);
  }
  heartbeat.cancel();
  clock.advance(1000 * day);
  deadlines.after(10, note('after a long rest'));
  clock.advance(20);
  const ms = (days: number, extra: number): string => `${days * day + extra}`;
  assert.deepEqual(log, [`a@${ms(365, 10)}`, `a@${ms(731, 10)}`, `a@${ms(1097, 10)}`, `after a long rest@${ms(2098, 10)}`]);
});

test('the wheel is rebased while the longest delays are pending', () => {
  const { clock, deadlines, log, note } = world();
  const longest = deadlines.maxDelayMs;
  const expected: string[] = [];
  for (let i = 0; i < 8; i++) {
    const far = deadlines.after(longest, note('far'));
    const near = deadlines.after(longest / 2, note('near'));
    expected.push(`near@${near.expiresAt}`, `far@${far.expiresAt}`);
    clock.advance(longest - 10);
    // Armed far ahead while `elapsed` lags far behind.
    const next = deadlines.after(longest, note('next'));
    next.cancel();
    clock.advance(10);
  }
  assert.deepEqual(log, expected);
});

test('close cancels everything, and arming does nothing from then on', () => {
  const { clock, deadlines, log, note } = world();
  const deadline = deadlines.after(10, note('a'));
  deadlines.close();
  assert.deepEqual([deadline.isArmed, deadlines.size, clock.pendingCount], [false, 0, 0]);
  deadline.arm(10);
  deadlines.after(10, note('b'));
  deadlines.close();
  assert.deepEqual([deadline.isArmed, deadlines.size, clock.pendingCount], [false, 0, 0]);
  clock.advance(100);
  assert.deepEqual(log, []);
});

test('close from a callback stops the rest of the round', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(10, () => deadlines.close());
  deadlines.after(10, note('same'));
  deadlines.after(20, note('later'));
  clock.advance(100);
  assert.deepEqual([log, clock.pendingCount, deadlines.size], [[], 0, 0]);
});

test('a queue closes at the end of a using block', () => {
  const clock = new ManualClock();
  const expired = mock.fn();
  {
    using deadlines = new DeadlineQueue({ clock });
    deadlines.after(10, expired);
  }
  clock.advance(100);
  assert.equal(expired.mock.callCount(), 0);
});
