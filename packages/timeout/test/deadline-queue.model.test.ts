/** Any use of a queue, against a naive list that is searched for the earliest each time. */
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

/** What a callback does when it runs; each is used for one arming. */
type Reaction =
  | { readonly kind: 'none' }
  | { readonly kind: 'arm'; readonly target: number; readonly delayMs: number }
  | { readonly kind: 'cancel'; readonly target: number };

interface Armed {
  readonly index: number;
  readonly expiresAt: number;
  readonly order: number;
}

/** The naive twin. */
class NaiveQueue {
  armed: Armed[] = [];
  readonly log: string[] = [];
  readonly reactions: Reaction[] = Array.from({ length: deadlineCount }, () => ({ kind: 'none' }));
  time: number;
  #order = 0;

  constructor(start: number) {
    this.time = start;
  }

  arm(index: number, delayMs: number): void {
    this.cancel(index);
    this.armed.push({ index, expiresAt: Math.ceil((this.time + delayMs) / tickMs) * tickMs, order: this.#order++ });
  }

  cancel(index: number): void {
    this.armed = this.armed.filter((one) => one.index !== index);
  }

  runUntil(end: number): void {
    for (;;) {
      const next = this.armed.toSorted((a, b) => a.expiresAt - b.expiresAt || a.order - b.order)[0];
      if (next === undefined || next.expiresAt > end) return;
      this.time = Math.max(this.time, next.expiresAt);
      this.cancel(next.index);
      this.log.push(`${next.index}@${this.time}`);
      const reaction = this.reactions[next.index] ?? { kind: 'none' };
      this.reactions[next.index] = { kind: 'none' };
      if (reaction.kind === 'arm') this.arm(reaction.target, reaction.delayMs);
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

  constructor(start: number) {
    this.clock = new BlockingClock(start);
    this.queue = new DeadlineQueue({ clock: this.clock, tickMs });
    this.deadlines = Array.from({ length: deadlineCount }, (_, index) => this.queue.deadline(() => this.#expire(index)));
  }

  deadline(index: number): Deadline {
    const deadline = this.deadlines[index];
    assert.ok(deadline);
    return deadline;
  }

  #expire(index: number): void {
    assert.equal(this.deadline(index).isArmed, false);
    this.log.push(`${index}@${this.clock.now()}`);
    const reaction = this.reactions[index] ?? { kind: 'none' };
    this.reactions[index] = { kind: 'none' };
    if (reaction.kind === 'arm') this.deadline(reaction.target).arm(reaction.delayMs);
    if (reaction.kind === 'cancel') this.deadline(reaction.target).cancel();
  }
}

type Command = fc.Command<NaiveQueue, Real>;

function command(label: string, run: (model: NaiveQueue, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      assert.deepEqual(real.log, model.log);
      assert.equal(real.queue.size, model.armed.length);
      assert.ok(real.clock.pending.length <= 1, 'one wake-up at a time');
      assert.ok(model.armed.length === 0 || real.clock.pending.length === 1, 'a wake-up while something is armed');
      for (const [index, deadline] of real.deadlines.entries()) {
        const expiresAt = model.armed.find((one) => one.index === index)?.expiresAt ?? Infinity;
        assert.deepEqual([deadline.isArmed, deadline.expiresAt], [expiresAt < Infinity, expiresAt]);
      }
    },
    toString: () => label,
  };
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
  const arm = fc.tuple(index, delay).map(([index, delayMs]) =>
    command(`arm(${index}, ${delayMs})`, (model, real) => {
      model.arm(index, delayMs);
      real.deadline(index).arm(delayMs);
    }),
  );
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
      model.time = end;
      real.clock.advance(ms);
    }),
  );
  const block = delay.map((ms) =>
    command(`block(${ms})`, (model, real) => {
      model.time += ms;
      model.runUntil(model.time);
      real.clock.block(ms);
    }),
  );
  return [arm, arm, react, cancel, advance, block];
}

const start = fc.constantFrom(0, 3.25, 12_345, 1_700_000_000_000);

for (const [name, longest] of [
  ['seconds', 40_000],
  ['hours', 20_000_000],
  ['months, so that the wheel is rebased', 0x2000_0000 * tickMs],
] as const) {
  test(`a queue behaves as a naive list, over ${name}`, () => {
    fc.assert(
      fc.property(start, fc.commands(commandsUpTo(longest), { maxCommands: 80, size: 'max' }), (start, commands) => {
        fc.modelRun(() => ({ model: new NaiveQueue(start), real: new Real(start) }), commands);
      }),
      { numRuns: 150 },
    );
  });
}

test('no deadline is ever early, whatever the numbers', () => {
  const time = fc.double({ min: 0, max: 1e10, noNaN: true });
  const delay = fc.oneof(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.integer({ min: 0, max: 1000 }));
  const tick = fc.oneof(fc.double({ min: 0.001, max: 100, noNaN: true }), fc.constant(10));
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
