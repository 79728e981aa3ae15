/** Whose turn it is (RFC 9218 §10): examples, and a model that looks at every turn. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_PRIORITY, isSequential, packPriority, urgencyOf } from '../src/priority.ts';
import { SendScheduler, SendSlot } from '../src/send-scheduler.ts';

function turns(scheduler: SendScheduler<string>, count: number): string[] {
  return Array.from({ length: count }, () => scheduler.next()?.owner ?? '-');
}

function filled(...slots: readonly SendSlot<string>[]): SendScheduler<string> {
  const scheduler = new SendScheduler<string>();
  for (const slot of slots) scheduler.add(slot);
  return scheduler;
}

const whole = packPriority(3, false);

describe('scheduling', () => {
  test('streams without a signal take turns, frame by frame', () => {
    const scheduler = filled(new SendSlot('a', 1), new SendSlot('b', 3), new SendSlot('c', 5));
    assert.deepEqual(turns(scheduler, 7), ['a', 'b', 'c', 'a', 'b', 'c', 'a']);
    assert.equal(scheduler.readyCount, 3);
  });

  test('streams that asked to come whole go one after the other by number, whenever they came (RFC 9218 §10)', () => {
    const [a, b, c] = [new SendSlot('a', 1, whole), new SendSlot('b', 3, whole), new SendSlot('c', 5, whole)] as const;
    const scheduler = filled(b, c, a);
    assert.deepEqual(turns(scheduler, 2), ['a', 'a']);
    scheduler.remove(a);
    assert.deepEqual(turns(scheduler, 2), ['b', 'b']);
    scheduler.add(a);
    assert.deepEqual(turns(scheduler, 1), ['a']);
    scheduler.remove(b);
    scheduler.remove(a);
    assert.deepEqual(turns(scheduler, 1), ['c']);
  });

  test('the sequence takes one turn in each round with those that share', () => {
    const scheduler = filled(new SendSlot('a', 1), new SendSlot('b', 3), new SendSlot('w', 5, whole), new SendSlot('x', 7, whole));
    const order = turns(scheduler, 9);
    for (const owner of ['a', 'b', 'w']) assert.equal(order.filter((one) => one === owner).length, 3, owner);
  });

  test('a more urgent stream comes before all others, and a signal may come late (RFC 9218 §7)', () => {
    const [a, b, c] = [new SendSlot('a', 1), new SendSlot('b', 3, packPriority(0, true)), new SendSlot('c', 5)] as const;
    const scheduler = filled(a, b, c);
    assert.deepEqual(turns(scheduler, 2), ['b', 'b']);
    scheduler.setPriority(b, packPriority(7, true));
    assert.deepEqual(turns(scheduler, 2), ['a', 'c']);
    scheduler.remove(a);
    scheduler.setPriority(a, packPriority(0, false));
    assert.equal(a.isReady, false);
    assert.deepEqual(turns(scheduler, 1), ['c']);
    scheduler.add(a);
    assert.deepEqual(turns(scheduler, 1), ['a']);
  });

  test('an empty scheduler has nobody; adding and removing twice is once', () => {
    const scheduler = new SendScheduler<string>();
    const slot = new SendSlot('a', 1);
    assert.equal(scheduler.next(), null);
    scheduler.remove(slot);
    scheduler.add(slot);
    scheduler.add(slot);
    assert.equal(scheduler.readyCount, 1);
    scheduler.remove(slot);
    scheduler.remove(slot);
    assert.equal(scheduler.isEmpty(), true);
    assert.equal(scheduler.next(), null);
  });
});

/** What the model knows: who is ready, and how often each was served since the set of its level last changed. */
interface Model {
  readonly served: Map<number, number>;
  readonly ready: Map<number, number>;
}

interface Real {
  readonly scheduler: SendScheduler<number>;
  readonly slots: SendSlot<number>[];
}

type Command = fc.Command<Model, Real>;

const STREAMS = 12;

class Act implements Command {
  readonly #action: 'add' | 'remove' | 'setPriority';
  readonly #stream: number;
  readonly #priority: number;
  constructor(action: 'add' | 'remove' | 'setPriority', stream: number, priority: number) {
    this.#action = action;
    this.#stream = stream;
    this.#priority = priority;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, { scheduler, slots }: Real): void {
    const slot = slots[this.#stream] as SendSlot<number>;
    if (this.#action === 'setPriority') {
      scheduler.setPriority(slot, this.#priority);
      if (model.ready.has(this.#stream)) model.ready.set(this.#stream, this.#priority);
    } else if (this.#action === 'add') {
      scheduler.add(slot);
      model.ready.set(this.#stream, slot.priority);
    } else {
      scheduler.remove(slot);
      model.ready.delete(this.#stream);
    }
    model.served.clear();
    assert.equal(scheduler.readyCount, model.ready.size);
    assert.equal(slot.isReady, model.ready.has(this.#stream));
  }
  toString(): string {
    return `${this.#action}(${this.#stream}, ${this.#priority})`;
  }
}

class Turns implements Command {
  readonly #count: number;
  constructor(count: number) {
    this.#count = count;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, { scheduler }: Real): void {
    for (let turn = 0; turn < this.#count; turn++) {
      const slot = scheduler.next();
      if (model.ready.size === 0) {
        assert.equal(slot, null);
        return;
      }
      assert.ok(slot !== null && model.ready.has(slot.owner));
      const most = Math.min(...[...model.ready.values()].map(urgencyOf));
      assert.equal(urgencyOf(slot.priority), most, 'the most urgent that are ready are served');
      const peers = [...model.ready].filter(([, priority]) => urgencyOf(priority) === most);
      const sequence = peers.filter(([, priority]) => isSequential(priority)).map(([stream]) => stream);
      if (isSequential(slot.priority)) assert.equal(slot.owner, Math.min(...sequence), 'the sequence goes by number');
      model.served.set(slot.owner, (model.served.get(slot.owner) ?? 0) + 1);
      // The sequence is one member of its round, and stands for all its streams.
      const members = peers.filter(([, priority]) => !isSequential(priority)).map(([stream]) => [stream]);
      if (sequence.length > 0) members.push(sequence);
      const counts = members.map((streams) => streams.reduce((sum, stream) => sum + (model.served.get(stream) ?? 0), 0));
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `fair within a frame: ${counts.join(' ')}`);
    }
  }
  toString(): string {
    return `turns(${this.#count})`;
  }
}

const priority = fc.oneof(
  fc.constant(DEFAULT_PRIORITY),
  fc.tuple(fc.integer({ min: 2, max: 4 }), fc.boolean()).map(([urgency, incremental]) => packPriority(urgency, incremental)),
);
const stream = fc.integer({ min: 0, max: STREAMS - 1 });

test('as long as the ready streams stay the same, each member of a round is served as often as any other, but for one frame', () => {
  fc.assert(
    fc.property(
      fc.commands(
        [
          fc
            .tuple(fc.constantFrom('add', 'add', 'remove', 'setPriority'), stream, priority)
            .map(([action, one, given]) => new Act(action as 'add', one, given)),
          fc.integer({ min: 1, max: 40 }).map((count) => new Turns(count)),
        ],
        { maxCommands: 120 },
      ),
      (commands) => {
        fc.modelRun(
          () => ({
            model: { served: new Map<number, number>(), ready: new Map<number, number>() },
            real: { scheduler: new SendScheduler<number>(), slots: Array.from({ length: STREAMS }, (_, id) => new SendSlot(id, id)) },
          }),
          commands,
        );
      },
    ),
    { numRuns: 400, seed: 9218 },
  );
});

test('a stream that blocks and comes back again and again does not keep others from their turns', () => {
  const scheduler = new SendScheduler<string>();
  const steady = new SendSlot('steady', 1);
  const restless = [3, 5, 7].map((id) => new SendSlot(`restless ${id}`, id));
  for (const slot of [steady, ...restless]) scheduler.add(slot);
  let waited = 0;
  for (let turn = 0; turn < 1_000; turn++) {
    const slot = scheduler.next() as SendSlot<string>;
    waited = slot === steady ? 0 : waited + 1;
    assert.ok(waited <= restless.length);
    if (slot === steady) continue;
    scheduler.remove(slot);
    scheduler.add(slot);
  }
});
