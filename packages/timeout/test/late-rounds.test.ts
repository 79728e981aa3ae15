/** After a block of the event loop: what waits in the kernel is read before deadlines that passed in the block run. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { type Clock, systemClock, type Wakeup } from '@ferrata/clock';
import fc from 'fast-check';
import { type Deadline, DeadlineQueue, scheduleDeadline } from '../src/index.ts';

/** An event loop as platforms have it: each turn first runs the timers that are due, then reads its input. */
class Loop implements Clock {
  time = 0;
  turns = 0;
  #timers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.time;
  }
  wallNow(): number {
    return this.time;
  }
  schedule(delayMs: number, wake: () => void): Wakeup {
    const timer = { at: this.time + delayMs, wake };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) };
  }
  get timerCount(): number {
    return this.#timers.length;
  }
  get nextAt(): number {
    return Math.min(...this.#timers.map(({ at }) => at));
  }

  /** Time goes on, and nothing runs. */
  block(ms: number): void {
    this.time += ms;
  }

  /** One turn. Timers asked for by timers have to wait for the next one. */
  turn(readInput = (): void => {}): void {
    this.turns++;
    const due = this.#timers.filter(({ at }) => at <= this.time).toSorted((a, b) => a.at - b.at);
    this.#timers = this.#timers.filter((one) => !due.includes(one));
    for (const { wake } of due) wake();
    readInput();
  }

  /** Turns until `time`, each timer in its time. */
  runUntil(time: number): void {
    for (let turns = 0; this.nextAt <= time; turns++) {
      assert.ok(turns < 1_000, 'the loop turns for ever');
      this.time = Math.max(this.time, this.nextAt);
      this.turn();
    }
    this.time = Math.max(this.time, time);
  }
}

let loop: Loop;
let queue: DeadlineQueue;
let log: string[];

beforeEach(() => {
  loop = new Loop();
  queue = new DeadlineQueue({ clock: loop });
  log = [];
});

function note(name: string): () => void {
  return () => void log.push(`${name}@${loop.time}`);
}

test('a deadline that passed in a block does not run if the input behind the block moves or cancels it', () => {
  const moved = queue.after(1_000, note('moved'));
  const cancelled = queue.after(1_000, note('cancelled'));
  queue.after(1_000, note('silent'));
  loop.block(1_200);
  loop.turn(() => {
    moved.arm(1_000);
    cancelled.cancel();
  });
  assert.deepEqual(log, []);
  loop.runUntil(3_000);
  assert.deepEqual(log, ['silent@1225', 'moved@2200']);
});

test('what is still due runs after an eighth of the time that the loop stood still, 500 ms at most', () => {
  for (const [blockMs, expected] of [
    [1_010, 1_012],
    [1_800, 1_900],
    [11_000, 11_500],
    [3_600_000, 3_600_500],
  ] as const) {
    const fresh = new Loop();
    const ranAt: number[] = [];
    new DeadlineQueue({ clock: fresh }).after(1_000, () => ranAt.push(fresh.time));
    fresh.block(blockMs);
    fresh.runUntil(blockMs + 2_000);
    assert.deepEqual(ranAt, [expected]);
  }
});

test('a round that is less than 10 ms late runs at once', () => {
  queue.after(1_000, note('a'));
  loop.block(1_009);
  loop.turn();
  assert.deepEqual(log, ['a@1009']);
});

test('after a block deadlines run in the order of their times, those armed meanwhile too', () => {
  queue.after(1_000, note('second'));
  queue.after(500, note('first'));
  loop.block(1_500);
  loop.turn(() => queue.after(20, note('third')));
  assert.deepEqual(log, []);
  loop.runUntil(2_000);
  assert.deepEqual(log, ['first@1625', 'second@1625', 'third@1625']);
});

test('a loop that is blocked in every turn runs each deadline a turn after its time, and none for ever later', () => {
  for (let at = 1; at <= 20; at++) queue.after(at * 1_000, note(`${at}`));
  const perTurn: number[] = [];
  while (queue.size > 0 && loop.turns < 100) {
    loop.block(2_500);
    loop.turn();
    perTurn.push(log.length);
  }
  assert.deepEqual(perTurn, [0, 2, 5, 7, 10, 12, 15, 17, 20]);
});

test('whatever the blocks, a deadline waits for two turns of the loop at most, each no more than 500 ms after the one before it is due', () => {
  const turns = fc.array(
    fc.record({ delays: fc.array(fc.integer({ min: 0, max: 2_000 }), { maxLength: 3 }), takesMs: fc.integer({ min: 0, max: 5_000 }) }),
  );
  fc.assert(
    fc.property(turns, (script) => {
      const fresh = new Loop();
      const fromEmpty = new DeadlineQueue({ clock: fresh });
      const ran: { readonly dueAt: number; readonly at: number }[] = [];
      const turnTimes: number[] = [];
      const turn = (): void => {
        turnTimes.push(fresh.time);
        fresh.turn();
      };
      let armed = 0;
      for (const { delays, takesMs } of script) {
        for (const delayMs of delays) {
          const deadline = fromEmpty.after(delayMs, () => ran.push({ dueAt, at: fresh.time }));
          const dueAt = deadline.expiresAt;
          armed++;
        }
        fresh.block(takesMs);
        turn();
      }
      while (fromEmpty.size > 0) {
        fresh.time = Math.max(fresh.time, fresh.nextAt);
        turn();
      }
      assert.equal(ran.length, armed);
      for (const { dueAt, at } of ran) {
        const first = turnTimes.find((time) => time >= dueAt + 500) ?? Infinity;
        const second = turnTimes.find((time) => time >= first + 500) ?? Infinity;
        assert.ok(dueAt <= at && at <= second, `due at ${dueAt}, ran at ${at}`);
      }
    }),
  );
});

test('isArmed, expiresAt and size tell of a deadline that steps back as of any other', () => {
  const deadline: Deadline = queue.after(1_000, note('a'));
  loop.block(1_500);
  loop.turn();
  assert.deepEqual([deadline.isArmed, deadline.expiresAt, queue.size, loop.timerCount], [true, 1_000, 1, 1]);
  deadline.cancel();
  assert.deepEqual([deadline.isArmed, queue.size], [false, 0]);
  loop.runUntil(3_000);
  assert.deepEqual([log, loop.timerCount], [[], 0]);
});

test('close takes back what has stepped back', () => {
  queue.after(1_000, note('a'));
  loop.block(1_500);
  loop.turn();
  queue.close();
  assert.deepEqual([queue.size, loop.timerCount], [0, 0]);
});

test('a deadline armed after the block, when its wake-up was not there yet, does not hurry the others', () => {
  queue.after(1_000, note('old'));
  loop.block(1_500);
  // Input of the turn in which the loop stood still, before the timers.
  queue.deadline(note('stale')).arm(0, 100);
  loop.turn();
  assert.deepEqual(log, []);
  loop.runUntil(2_000);
  assert.deepEqual(log, ['stale@1563', 'old@1563']);
});

test('a deadline whose time is given and has passed is not late: the loop did not stand still', () => {
  loop.block(5_000);
  queue.deadline(note('a')).arm(10, 100);
  loop.turn();
  assert.deepEqual(log, ['a@5000']);
});

test('a callback that throws in the round after a block stops nobody', () => {
  queue.after(1_000, () => {
    throw new Error('bug');
  });
  queue.after(1_000, note('a'));
  loop.block(1_500);
  loop.turn();
  assert.throws(() => loop.runUntil(2_000), /bug/);
  assert.deepEqual([log, queue.size], [['a@1563'], 0]);
});

test('ticks of months and a block of months leave the order as it is', () => {
  const month = 30 * 86_400_000;
  queue.after(2 * month, note('second'));
  queue.after(month, note('first'));
  loop.block(14 * month);
  loop.turn(() => queue.after(1_000, note('third')));
  loop.runUntil(14 * month + 10_000);
  assert.deepEqual(log, [`first@${14 * month + 500}`, `second@${14 * month + 500}`, `third@${14 * month + 1_000}`]);
});

test('a deadline without a queue steps back as well: cancelled by the input it never runs, else once, an eighth of the block later', () => {
  const cancelled = scheduleDeadline(loop, 1_000, note('cancelled'));
  scheduleDeadline(loop, 1_000, note('silent'));
  loop.block(1_800);
  loop.turn(() => cancelled.cancel());
  assert.deepEqual([log, loop.timerCount], [[], 1]);
  loop.runUntil(5_000);
  assert.deepEqual([log, loop.timerCount], [['silent@1900'], 0]);
});

test('a deadline without a queue runs in its time when the loop is free, and however late the loop is the second time', () => {
  scheduleDeadline(loop, 1_000, note('a'));
  loop.runUntil(1_000);
  scheduleDeadline(loop, 1_000, note('b'));
  for (let turn = 0; turn < 2; turn++) {
    loop.block(2_500);
    loop.turn();
  }
  assert.deepEqual(log, ['a@1000', 'b@6000']);
});

test('a deadline without a queue refuses a delay that is none', () => {
  for (const wrong of [-1, Number.NaN]) assert.throws(() => scheduleDeadline(systemClock, wrong, note('a')), RangeError);
});
