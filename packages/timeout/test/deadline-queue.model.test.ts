/**
 * Any use of a queue, against a naive list that is searched for the earliest each time.
 *
 * A queue has two ways of arming, and each is held to its own twin. Rare: a deadline counts from its arming. Frequent: it counts from when
 * the event loop comes round, which is at once if time is only advanced, and late if the loop is blocked. The commands of the first twin
 * never arm often enough to change the way; those of the second are preceded, once for each
 * turn of the loop, by enough idle armings that the way never changes back.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock, Wakeup } from '@ferrata/clock';
import fc from 'fast-check';
import { type Deadline, DeadlineQueue } from '../src/index.ts';

/** A clock whose event loop may be blocked: time passes first, and then what has become due is woken, late. */
class BlockingClock implements Clock {
  time: number;
  readonly pending: { readonly at: number; readonly wake: () => void }[] = [];

  constructor(start: number) {
    this.time = start;
  }

  now(): number {
    return this.time;
  }

  wallNow(): number {
    return this.time;
  }

  schedule(delayMs: number, wake: () => void): Wakeup {
    const entry = { at: this.time + delayMs, wake };
    this.pending.push(entry);
    return {
      cancel: () => {
        const index = this.pending.indexOf(entry);
        if (index >= 0) this.pending.splice(index, 1);
      },
    };
  }

  block(ms: number): void {
    this.time += ms;
    this.#wakeUntil(this.time);
  }

  advance(ms: number): void {
    const end = this.time + ms;
    this.#wakeUntil(end);
    this.time = end;
  }

  #wakeUntil(end: number): void {
    for (;;) {
      const entry = this.pending.toSorted((a, b) => a.at - b.at)[0];
      if (entry === undefined || entry.at > end) return;
      this.pending.splice(this.pending.indexOf(entry), 1);
      this.time = Math.max(this.time, entry.at);
      entry.wake();
    }
  }
}

const tickMs = 10;
const deadlineCount = 12;
/** A wake-up so much late lets the loop come round once more before deadlines run. */
const lateMs = 10;
const longestStepBackMs = 500;

/** What a callback does when it runs; each is used for one arming. */
type Reaction =
  | { readonly kind: 'none' }
  | { readonly kind: 'arm'; readonly target: number; readonly delayMs: number }
  | { readonly kind: 'cancel'; readonly target: number };

type Way = 'rare' | 'frequent';

/** Idle armings that make a queue think that arming is frequent; more than it needs. */
const burst = 40;
/** Armings without time between them after which the twin of rare arming refuses more: with those of callbacks too few to be frequent. */
const rareCount = 15;
/** Armings in one turn, after those of the burst, up to which the queue can't have read the clock once more for them. */
const unmarkedCount = 15;

interface Armed {
  readonly index: number;
  readonly order: number;
  readonly delayMs: number;
  /** When the delay began; null until the loop comes round. */
  start: number | null;
}

/** The naive twin. */
class NaiveQueue {
  armed: Armed[] = [];
  readonly log: string[] = [];
  readonly reactions: Reaction[] = Array.from({ length: deadlineCount }, () => ({ kind: 'none' }));
  readonly way: Way;
  time: number;
  /** Armings since time last moved by a millisecond or more. */
  armings = 0;
  /** Whether so much was armed since the loop last came round that the queue may have taken the time before that. */
  mayBeSettled = false;
  #order = 0;

  constructor(way: Way, start: number) {
    this.way = way;
    this.time = start;
  }

  arm(index: number, delayMs: number, now: number | null): void {
    this.cancel(index);
    this.armings += 1;
    if (this.armings > unmarkedCount) this.mayBeSettled = true;
    this.armed.push({ index, delayMs, order: this.#order++, start: now ?? (this.way === 'rare' ? this.time : null) });
  }

  cancel(index: number): void {
    this.armed = this.armed.filter((one) => one.index !== index);
  }

  pass(ms: number): void {
    this.time += ms;
    if (ms >= 1) this.armings = 0;
  }

  /** Whatever waited for the time has it. */
  stamp(): void {
    for (const one of this.armed) one.start ??= this.time;
  }

  expiresAt(one: Armed): number {
    assert.ok(one.start !== null);
    return Math.ceil((one.start + one.delayMs) / tickMs) * tickMs;
  }

  firstExpiry(): number {
    return Math.min(...this.armed.map((one) => this.expiresAt(one)));
  }

  runUntil(end: number): void {
    for (;;) {
      this.stamp();
      this.mayBeSettled = false;
      const next = this.armed.toSorted((a, b) => this.expiresAt(a) - this.expiresAt(b) || a.order - b.order)[0];
      if (next === undefined || this.expiresAt(next) > end) return;
      this.time = Math.max(this.time, this.expiresAt(next));
      this.cancel(next.index);
      this.log.push(`${next.index}@${this.time}`);
      const reaction = this.reactions[next.index] ?? { kind: 'none' };
      this.reactions[next.index] = { kind: 'none' };
      if (reaction.kind === 'arm') this.arm(reaction.target, reaction.delayMs, null);
      if (reaction.kind === 'cancel') this.cancel(reaction.target);
    }
  }
}

class Real {
  readonly clock: BlockingClock;
  readonly queue: DeadlineQueue;
  readonly deadlines: Deadline[];
  readonly log: string[] = [];
  readonly reactions: Reaction[] = Array.from({ length: deadlineCount }, () => ({ kind: 'none' }));
  readonly #way: Way;
  readonly #idle: Deadline;
  #hasTurned = true;

  constructor(way: Way, start: number) {
    this.#way = way;
    this.clock = new BlockingClock(start);
    this.queue = new DeadlineQueue({ clock: this.clock, tickMs });
    this.deadlines = Array.from({ length: deadlineCount }, (_, index) => this.queue.deadline(() => this.#expire(index)));
    this.#idle = this.queue.deadline(() => assert.fail('was cancelled'));
  }

  deadline(index: number): Deadline {
    const deadline = this.deadlines[index];
    assert.ok(deadline);
    return deadline;
  }

  arm(index: number, delayMs: number, now: number | null): void {
    if (this.#way === 'frequent' && this.#hasTurned) this.armIdly(burst);
    this.#hasTurned = false;
    if (now === null) this.deadline(index).arm(delayMs);
    else this.deadline(index).arm(delayMs, now);
  }

  /** Armings that come to nothing, but take room where deadlines wait. */
  armIdly(count: number): void {
    for (let i = 0; i < count; i++) this.#idle.arm(1_000_000);
    this.#idle.cancel();
  }

  advance(ms: number): void {
    this.#hasTurned = true;
    this.clock.advance(ms);
    this.#hasTurned = true;
  }

  block(ms: number): void {
    this.#hasTurned = true;
    this.clock.block(ms);
    this.#hasTurned = true;
  }

  /** Lets the next wake-up come in time. @returns how long that took */
  stepBack(): number {
    const before = this.clock.now();
    const next = Math.min(...this.clock.pending.map(({ at }) => at));
    assert.ok(next - before <= longestStepBackMs, `${next - before} ms`);
    this.advance(next - before);
    return next - before;
  }

  #expire(index: number): void {
    this.#hasTurned = true;
    assert.equal(this.deadline(index).isArmed, false);
    this.log.push(`${index}@${this.clock.now()}`);
    const reaction = this.reactions[index] ?? { kind: 'none' };
    this.reactions[index] = { kind: 'none' };
    if (reaction.kind === 'arm') this.arm(reaction.target, reaction.delayMs, null);
    if (reaction.kind === 'cancel') this.deadline(reaction.target).cancel();
  }
}

type Command = fc.Command<NaiveQueue, Real>;

function command(label: string, run: (model: NaiveQueue, real: Real) => void, check = (_model: NaiveQueue): boolean => true): Command {
  return {
    check,
    run(model, real) {
      run(model, real);
      assert.deepEqual(real.log, model.log);
      assert.equal(real.queue.size, model.armed.length);
      for (const [index, deadline] of real.deadlines.entries()) {
        assert.equal(
          deadline.isArmed,
          model.armed.some((one) => one.index === index),
        );
      }
      assert.ok(real.clock.pending.length <= 2, 'one wake-up for the next tick and one for the time');
      assert.ok(model.armed.length === 0 || real.clock.pending.length > 0, 'a wake-up while something is armed');
    },
    toString: () => label,
  };
}

/** Asking for a deadline's time settles it, for this one and all armed before: so it is a command of its own. */
function compareTimes(model: NaiveQueue, real: Real): void {
  for (const [index, deadline] of real.deadlines.entries()) {
    const armed = model.armed.find((one) => one.index === index);
    if (armed !== undefined) model.stamp();
    assert.equal(deadline.expiresAt, armed === undefined ? Infinity : model.expiresAt(armed));
  }
}

const index = fc.nat(deadlineCount - 1);

/** Quarters of a millisecond add without rounding, so model and queue can be compared to the last bit. */
function duration(longest: number): fc.Arbitrary<number> {
  const quarters = (max: number): fc.Arbitrary<number> => fc.nat(max * 4).map((n) => n / 4);
  return fc.oneof(quarters(25), quarters(700), fc.constantFrom(0, 10, 310, 320, 330, 10_230, 10_240), fc.nat(longest));
}

function commandsUpTo(longest: number): fc.Arbitrary<Command>[] {
  const delay = duration(longest);
  const reaction: fc.Arbitrary<Reaction> = fc.oneof(
    fc.record({ kind: fc.constant('arm' as const), target: index, delayMs: delay }),
    fc.record({ kind: fc.constant('cancel' as const), target: index }),
  );
  const mayArm = (model: NaiveQueue): boolean => model.way === 'frequent' || model.armings < rareCount;
  const arm = fc.tuple(index, delay).map(([index, delayMs]) =>
    command(
      `arm(${index}, ${delayMs})`,
      (model, real) => {
        model.arm(index, delayMs, null);
        real.arm(index, delayMs, null);
      },
      mayArm,
    ),
  );
  // The time given may have been read a while ago, though not so long that the deadline lies in the past.
  const armGiven = fc
    .tuple(
      index,
      delay,
      fc.nat(100).map((n) => n / 4),
    )
    .map(([index, delayMs, age]) =>
      command(
        `arm(${index}, ${delayMs}, now - ${Math.min(age, delayMs)})`,
        (model, real) => {
          const now = model.time - Math.min(age, delayMs);
          model.arm(index, delayMs, now);
          real.arm(index, delayMs, now);
        },
        mayArm,
      ),
    );
  const armIdly = fc.integer({ min: 900, max: 1100 }).map((count) =>
    command(
      `armIdly(${count})`,
      (model, real) => {
        model.mayBeSettled = true;
        real.armIdly(count);
      },
      (model) => model.way === 'frequent' && model.armings > 0,
    ),
  );
  const times = fc.constant(command('compareTimes', compareTimes));
  const react = fc.tuple(index, reaction).map(([index, reaction]) =>
    command(`react(${index}, ${JSON.stringify(reaction)})`, (model, real) => {
      model.reactions[index] = reaction;
      real.reactions[index] = reaction;
    }),
  );
  const cancel = index.map((index) =>
    command(`cancel(${index})`, (model, real) => {
      model.cancel(index);
      real.deadline(index).cancel();
    }),
  );
  const advance = delay.map((ms) =>
    command(`advance(${ms})`, (model, real) => {
      const end = model.time + ms;
      model.runUntil(end);
      model.pass(end - model.time);
      if (ms >= 1) model.armings = 0;
      real.advance(ms);
    }),
  );
  const block = delay.map((ms) =>
    command(`block(${ms})`, (model, real) => {
      if (model.mayBeSettled) compareTimes(model, real);
      model.pass(ms);
      model.stamp();
      real.block(ms);
      // A late round steps back, and the next one runs all that is due by then. It may have been asked for before the earliest deadline.
      const lateness = model.time - model.firstExpiry();
      const hasSteppedBack = lateness >= 0 && real.log.length === model.log.length;
      // (What waited for the time is filed by a wake-up of its own: the round that it asks for is the second.)
      if (lateness >= lateMs && model.way === 'rare') assert.ok(hasSteppedBack, `a round ${lateness} ms late runs nothing`);
      if (hasSteppedBack) model.pass(real.stepBack());
      model.runUntil(model.time);
    }),
  );
  return [arm, arm, arm, armGiven, armIdly, times, react, cancel, advance, block];
}

const start = fc.constantFrom(0, 3.25, 12_345, 1_700_000_000_000);

for (const way of ['rare', 'frequent'] as const) {
  for (const [name, longest] of [
    ['seconds', 40_000],
    ['hours', 20_000_000],
    ['months, so that the wheel is rebased', 0x2000_0000 * tickMs],
  ] as const) {
    test(`a queue behaves as a naive list when arming is ${way}, over ${name}`, () => {
      fc.assert(
        fc.property(start, fc.commands(commandsUpTo(longest), { maxCommands: 80, size: 'max' }), (start, commands) => {
          fc.modelRun(() => ({ model: new NaiveQueue(way, start), real: new Real(way, start) }), commands);
        }),
        { numRuns: 150 },
      );
    });
  }
}

test('no deadline is ever early, whatever the numbers', () => {
  const time = fc.double({ min: 0, max: 1e10, noNaN: true });
  const delay = fc.oneof(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.integer({ min: 0, max: 1000 }));
  const tick = fc.oneof(fc.double({ min: 0.1, max: 100, noNaN: true }), fc.constant(10));
  fc.assert(
    fc.property(time, delay, tick, (start, delayMs, tickMs) => {
      const clock = new BlockingClock(start);
      let ranAt = -1;
      const deadline = new DeadlineQueue({ clock, tickMs }).after(Math.min(delayMs, tickMs * 1e6), () => {
        ranAt = clock.now();
      });
      const { expiresAt } = deadline;
      assert.ok(expiresAt >= start + Math.min(delayMs, tickMs * 1e6));
      clock.advance(delayMs + 3 * tickMs);
      assert.ok(ranAt >= expiresAt, `ran at ${ranAt}, before ${expiresAt}`);
    }),
    { numRuns: 500 },
  );
});
