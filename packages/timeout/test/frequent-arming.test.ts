/** What changes, and what does not, when so much is armed that the time is taken for many at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, ManualClock, type Wakeup } from '@ferrata/clock';
import { type Deadline, DeadlineQueue } from '../src/index.ts';
import { world } from './fixtures/world.ts';

/** Arms and cancels so often within an instant that the queue goes over to taking the time for many at once. */
function makeFrequent(deadlines: DeadlineQueue): void {
  const idle = deadlines.deadline(() => assert.fail('was cancelled'));
  for (let i = 0; i < 40; i++) idle.arm(3_600_000);
  idle.cancel();
}

test('frequent arming reads the clock a few times, and then only when there is no more room to wait in', (t) => {
  const { clock, deadlines } = world();
  const deadline = deadlines.deadline(() => {});
  const now = t.mock.method(clock, 'now');
  for (let i = 0; i < 100_000; i++) {
    deadline.arm(30_000);
    deadline.cancel();
  }
  assert.ok(now.mock.callCount() < 200, `${now.mock.callCount()} readings`);
});

test('armings a millisecond apart are rare: no wake-up is spent on them', (t) => {
  const { clock, deadlines } = world();
  const schedule = t.mock.method(clock, 'schedule');
  const deadline = deadlines.deadline(() => {});
  for (let i = 0; i < 1000; i++) {
    deadline.arm(30_000);
    clock.advance(1);
  }
  assert.equal(schedule.mock.callCount(), 1);
});

test('a deadline armed among many runs at the tick of one armed alone, once the loop comes round in time', () => {
  const { clock, deadlines, log, note } = world(1003);
  makeFrequent(deadlines);
  deadlines.after(10, note('a'));
  deadlines.after(7, note('b'));
  deadlines.after(0, note('c'));
  clock.advance(1000);
  assert.deepEqual(log, ['b@1010', 'c@1010', 'a@1020']);
});

test('deadlines that waited for the time, and one armed with a time known, run in the order of arming within a tick', () => {
  const { clock, deadlines, log, note } = world();
  deadlines.after(20, note('before'));
  makeFrequent(deadlines);
  deadlines.after(20, note('first'));
  deadlines.deadline(note('second')).arm(15, 5);
  deadlines.after(20, note('third'));
  clock.advance(20);
  assert.deepEqual(log, ['before@20', 'first@20', 'second@20', 'third@20']);
});

test('a delay begins when a blocked loop comes round; one whose beginning was given does not wait for that', () => {
  const { clock, deadlines, log, note } = world();
  const late = lateClock(clock);
  const queue = new DeadlineQueue({ clock: late });
  makeFrequent(queue);
  const counted = queue.deadline(note('counted'));
  const given = queue.deadline(note('given'));
  counted.arm(50);
  given.arm(100, 0);
  late.blockMs = 500;
  late.wakeAll();
  assert.deepEqual([log, counted.expiresAt], [['given@500'], 550]);
  assert.equal(deadlines.size, 0);
});

test('a run of armings that takes long itself has the time taken every 32, so that their delays begin close to the arming', () => {
  const clock = new ManualClock();
  const late = lateClock(clock);
  const queue = new DeadlineQueue({ clock: late });
  makeFrequent(queue);
  const ran: string[] = [];
  for (let i = 0; i < 100; i++) {
    clock.advance(10);
    queue.after(50, () => ran.push(`${i}@${clock.now()}`));
  }
  late.blockMs = 3000;
  late.wakeAll();
  late.wakeAll();
  assert.equal(clock.now(), 4000);
  // The last few had no reading after them but that of the stamping, 3 s later.
  const first = ran.map((one) => Number(one.split('@')[0]));
  assert.deepEqual(first, Array.from(first.keys()), 'in the order of their times');
  assert.ok(first.length >= 100 - 34, `${first.length} of them ran at once`);
  clock.advance(50);
  late.wakeAll();
  assert.equal(ran.length, 100);
  assert.equal(ran.at(-1), '99@4050');
});

test('delays that begin before a block run in the order of their times after it', () => {
  const clock = new ManualClock();
  const late = lateClock(clock);
  const queue = new DeadlineQueue({ clock: late });
  makeFrequent(queue);
  const log: string[] = [];
  queue.after(50, () => log.push('second'));
  queue.after(20, () => log.push('first'));
  const idle = queue.deadline(() => assert.fail('was cancelled'));
  for (let i = 0; i < 40; i++) idle.arm(1000);
  idle.cancel();
  late.blockMs = 500;
  late.wakeAll();
  late.wakeAll();
  assert.deepEqual(log, ['first', 'second']);
});

test('the time is taken every 32 also after somebody has asked when a deadline expires', () => {
  const clock = new ManualClock();
  const late = lateClock(clock);
  const queue = new DeadlineQueue({ clock: late });
  makeFrequent(queue);
  const many = Array.from({ length: 300 }, () => queue.after(10_000, () => {}));
  assert.equal(many[0]?.expiresAt, 10_000);
  let ran = 0;
  for (let i = 0; i < 40; i++) queue.after(50, () => ran++);
  late.blockMs = 500;
  late.wakeAll();
  late.wakeAll();
  assert.equal(ran, 32);
});

test('what takes the place of a cancelled one behind a reading does not count from that reading', () => {
  const clock = new ManualClock();
  const late = lateClock(clock);
  const queue = new DeadlineQueue({ clock: late });
  makeFrequent(queue);
  late.wakeAll();
  makeFrequent(queue);
  const log: string[] = [];
  const all = Array.from({ length: 200 }, () => queue.after(10, () => {}));
  for (const one of all.toReversed()) one.cancel();
  clock.advance(95);
  const deadline = queue.after(10, () => log.push(`a@${clock.now()}`));
  late.wakeAll();
  assert.deepEqual([deadline.expiresAt, log], [110, []]);
});

test('after a blocked loop what is overdue runs by time, whichever wake-up comes first', () => {
  for (const isReversed of [false, true]) {
    const { clock, log, note } = world();
    const late = lateClock(clock);
    const queue = new DeadlineQueue({ clock: late });
    queue.after(300, note('filed'));
    makeFrequent(queue);
    queue.deadline(note('third')).arm(400, 0);
    queue.deadline(note('first')).arm(20, 0);
    late.blockMs = 500;
    late.wakeAll(isReversed);
    late.wakeAll(isReversed);
    assert.deepEqual(log, ['first@500', 'filed@500', 'third@500'], isReversed ? 'the round first' : 'the time first');
  }
});

test('expiresAt tells when a deadline that waited for the time will run, and it keeps to that', () => {
  const { clock, deadlines, log, note } = world();
  makeFrequent(deadlines);
  const other = deadlines.after(10, note('other'));
  const deadline = deadlines.after(15, note('a'));
  assert.deepEqual([deadline.isArmed, deadline.expiresAt, other.expiresAt], [true, 20, 10]);
  clock.advance(100);
  assert.deepEqual(log, ['other@10', 'a@20']);
});

test('size counts what waits for the time, each deadline once', () => {
  const { clock, deadlines } = world();
  makeFrequent(deadlines);
  const [first, second] = [deadlines.after(10, () => {}), deadlines.after(10, () => {})];
  first.arm(20);
  first.arm(30);
  assert.equal(deadlines.size, 2);
  second.cancel();
  second.cancel();
  assert.deepEqual([deadlines.size, second.isArmed, second.expiresAt], [1, false, Infinity]);
  clock.advance(20);
  assert.equal(deadlines.size, 1);
  clock.advance(10);
  assert.equal(deadlines.size, 0);
});

test('more deadlines than there is room for wait in turns, and none is lost or repeated', () => {
  const { clock, deadlines } = world();
  const ran: number[] = [];
  const all = Array.from({ length: 10_000 }, (_, i) => deadlines.after(10 + (i % 7) * 10, () => ran.push(i)));
  for (const [i, deadline] of all.entries()) if (i % 3 === 0) deadline.cancel();
  assert.equal(deadlines.size, 6666);
  clock.advance(100);
  const expected = Array.from(all.keys())
    .filter((i) => i % 3 !== 0)
    .toSorted((a, b) => (a % 7) - (b % 7) || a - b);
  assert.deepEqual(ran, expected);
});

test('deadlines that wait are moved again and again, also just when the room is used up, and each runs once', () => {
  const { clock, deadlines } = world();
  const ran: number[] = [];
  const all = Array.from({ length: 7 }, (_, i) => deadlines.deadline(() => ran.push(i)));
  for (let i = 0; i < 5000; i++) all[i % all.length]?.arm(30);
  assert.equal(deadlines.size, 7);
  clock.advance(100);
  // 5000 = 714 × 7 + 2: the second was moved last.
  assert.deepEqual(ran, [2, 3, 4, 5, 6, 0, 1]);
});

test('when a second passes without much being armed, arming is rare again and exact at once', (t) => {
  const { clock, deadlines } = world();
  makeFrequent(deadlines);
  deadlines.after(500, () => {});
  clock.advance(1000);
  deadlines.after(500, () => {});
  const schedule = t.mock.method(clock, 'schedule');
  clock.advance(100);
  // The one armed above was still put with those that wait; it was alone, and the next one is not.
  const now = t.mock.method(clock, 'now');
  deadlines.after(600, () => {});
  assert.deepEqual([now.mock.callCount(), schedule.mock.callCount()], [1, 1]);
});

test('close forgets what waits for the time, and asks for no wake-up any more', () => {
  const { clock, deadlines, log, note } = world();
  makeFrequent(deadlines);
  const deadline = deadlines.after(10, note('a'));
  deadlines.close();
  assert.deepEqual([deadline.isArmed, deadlines.size, clock.pendingCount], [false, 0, 0]);
  for (let i = 0; i < 100; i++) deadline.arm(10);
  assert.deepEqual([deadline.isArmed, deadlines.size, clock.pendingCount], [false, 0, 0]);
  clock.advance(100);
  assert.deepEqual(log, []);
});

test('callbacks that arm very many deadlines neither run them in the same round nor starve others', () => {
  const { clock, deadlines, log, note } = world();
  let count = 0;
  deadlines.after(10, () => {
    for (let i = 0; i < 3000; i++) deadlines.after(0, () => void count++);
  });
  deadlines.after(10, () => note(`same, ${count} so far`)());
  clock.advance(10);
  assert.deepEqual([log, count], [['same, 0 so far@10'], 3000]);
});

test('a time that is no finite number is refused, and the deadline stays as it was', () => {
  for (const isFrequent of [false, true]) {
    const { deadlines } = world();
    if (isFrequent) makeFrequent(deadlines);
    const deadline = deadlines.after(10, () => {});
    for (const now of [Number.NaN, Infinity, -Infinity]) {
      assert.throws(() => deadline.arm(20, now), /RangeError: now must be a finite number of milliseconds/);
    }
    assert.equal(deadline.expiresAt, 10);
  }
});

test('a time that lies so far ahead that the ticks run out is refused; one by a longest delay is not', () => {
  for (const isFrequent of [false, true]) {
    const { clock, deadlines, log, note } = world(1_000_000);
    if (isFrequent) makeFrequent(deadlines);
    deadlines.after(30, note('other'));
    const deadline = deadlines.after(10, note('a'));
    const { maxDelayMs } = deadlines;
    for (const now of [2 ** 32 * 10 + 500, 4 * maxDelayMs + 2_000_000, 1.79e12, Number.MAX_VALUE]) {
      assert.throws(() => deadline.arm(50, now), /^RangeError: now must be the time of the queue's clock, which is 1000000, not /);
    }
    clock.advance(30);
    assert.deepEqual(log, ['a@1000010', 'other@1000030']);
    const ahead = clock.now() + maxDelayMs;
    deadline.arm(maxDelayMs, ahead);
    assert.equal(deadline.expiresAt, ahead + maxDelayMs);
    clock.advance(2 * maxDelayMs - 10);
    assert.equal(log.length, 2);
    clock.advance(10);
    assert.equal(log.length, 3);
  }
});

test('a queue that has slept for years is given the time of its clock', () => {
  for (const isFrequent of [false, true]) {
    const { clock, deadlines, log, note } = world();
    clock.advance(100 * deadlines.maxDelayMs);
    if (isFrequent) makeFrequent(deadlines);
    const now = clock.now();
    deadlines.deadline(note('a')).arm(50, now);
    clock.advance(50);
    assert.deepEqual(log, [`a@${now + 50}`]);
  }
});

test('numbers given as text are refused, and the deadline stays as it was', () => {
  for (const isFrequent of [false, true]) {
    const { deadlines } = world(1000);
    if (isFrequent) makeFrequent(deadlines);
    const deadline = deadlines.after(10, () => {});
    for (const bad of ['50', null, true]) {
      assert.throws(() => deadline.arm(bad as unknown as number), /^RangeError: delayMs must be 0 to /);
      assert.throws(() => deadline.arm(50, bad as unknown as number), /^RangeError: now must be a finite number of milliseconds/);
    }
    assert.equal(deadline.expiresAt, 1010);
  }
});

test('a clock that goes back holds deadlines up until it has come so far again, and runs none twice', () => {
  for (const isFrequent of [false, true]) {
    const log: string[] = [];
    const clock = new SettableClock(1000);
    const deadlines = new DeadlineQueue({ clock });
    if (isFrequent) makeFrequent(deadlines);
    deadlines.after(100, () => log.push(`before@${clock.time}`));
    clock.turnAt(1000);
    clock.turnAt(400);
    const after = deadlines.after(100, () => log.push(`after@${clock.time}`));
    clock.turnAt(400);
    clock.turnAt(999);
    assert.deepEqual(log, []);
    clock.turnAt(1099);
    assert.deepEqual(log, [`after@1099`]);
    assert.equal(after.isArmed, false);
    clock.turnAt(1100);
    clock.turnAt(5000);
    assert.deepEqual(log, ['after@1099', 'before@1100']);
  }
});

test('a thousand queues on one clock keep apart', () => {
  const clock = new ManualClock();
  let ran = 0;
  const armed: Deadline[] = [];
  for (let i = 0; i < 1000; i++) {
    const deadlines = new DeadlineQueue({ clock });
    armed.push(deadlines.after(i, () => void ran++));
  }
  clock.advance(500);
  assert.equal(ran, 501);
  assert.equal(armed.filter((deadline) => deadline.isArmed).length, 499);
});

interface LateClock extends Clock {
  blockMs: number;
  wakeAll(isReversed?: boolean): void;
}

/** A clock whose loop has been busy for `blockMs` before it comes to any wake-up. */
function lateClock(clock: ManualClock): LateClock {
  const wakeups: (() => void)[] = [];
  return {
    blockMs: 0,
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    schedule(_delayMs: number, wake: () => void): Wakeup {
      wakeups.push(wake);
      return {
        cancel: () => {
          const index = wakeups.indexOf(wake);
          if (index >= 0) wakeups.splice(index, 1);
        },
      };
    },
    wakeAll(isReversed = false) {
      clock.advance(this.blockMs);
      this.blockMs = 0;
      const all = wakeups.splice(0);
      for (const wake of isReversed ? all.toReversed() : all) wake();
    },
  };
}

/** A clock that breaks its promise never to go back, and wakes everybody at each turn. */
class SettableClock implements Clock {
  time: number;
  readonly #wakeups = new Set<() => void>();

  constructor(time: number) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  wallNow(): number {
    return this.time;
  }

  schedule(_delayMs: number, wake: () => void): Wakeup {
    const once = (): void => wake();
    this.#wakeups.add(once);
    return { cancel: () => void this.#wakeups.delete(once) };
  }

  turnAt(time: number): void {
    this.time = time;
    // Twice: taking the time may ask for the wake-up of a tick that has come.
    for (let i = 0; i < 2; i++) {
      const due = [...this.#wakeups];
      this.#wakeups.clear();
      for (const wake of due) wake();
    }
  }
}
