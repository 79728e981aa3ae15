import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import { BackendTable, makeTableMemory } from '../../src/internal/backend-table.ts';
import { Keeper } from '../../src/internal/keeper.ts';
import { Stripe, THREAD_WORDS, tableOffsets } from '../../src/internal/table-layout.ts';

/** A clock that can stand still: nothing wakes up meanwhile, as when the process is stopped. */
class StoppableClock extends ManualClock {
  stoppedMs = 0;

  override now(): number {
    return super.now() + this.stoppedMs;
  }
}

interface Thread {
  readonly clock: StoppableClock;
  readonly table: BackendTable;
  readonly keeper: Keeper;
  readonly told: string[];
  /** What it would lead for. */
  members: number;
}

function threads(count: number): readonly Thread[] {
  const memory = makeTableMemory({ maxBackends: 4, maxThreads: 4 });
  return Array.from({ length: count }, () => {
    const clock = new StoppableClock();
    const table = new BackendTable(memory);
    const told: string[] = [];
    const keeper = new Keeper(table, new DeadlineQueue({ clock }), {
      mayLead: () => thread.members > 0,
      onTick: () => {},
      onLead: () => told.push('leads'),
      onLeaderTick: () => {},
      onResign: () => told.push('resigns'),
    });
    const thread: Thread = { clock, table, keeper, told, members: 1 };
    keeper.start();
    return thread;
  });
}

/** Each of them ticks so often, in turn. */
function tick(ticks: number, ...alive: readonly Thread[]): void {
  for (let count = 0; count < ticks; count++) for (const { clock } of alive) clock.advance(260);
}

describe('a thread that stands still', () => {
  test('loses the lead after 8 ticks of another, and its place after 40', () => {
    const [one, two] = threads(2) as [Thread, Thread];
    const slot = one.table.claim('a')?.slot ?? -1;
    one.table.addOwn(slot, Stripe.inflight, 3);
    // When it was started it saw that the other is there.
    tick(7, two);
    assert.deepEqual([one.keeper.leads, two.keeper.leads], [true, false]);
    tick(1, two);
    assert.deepEqual([two.keeper.leads, two.table.isLeader, one.table.isLeader], [true, true, false]);
    tick(30, two);
    assert.equal(two.table.sum(slot, Stripe.inflight), 3, 'it may still be alive');
    tick(2, two);
    assert.equal(two.table.sum(slot, Stripe.inflight), 0);
    tick(1, one);
    assert.equal(two.table.sum(slot, Stripe.inflight), 3, 'it is alive');
    assert.deepEqual(one.told, ['leads', 'resigns']);
    tick(20, one, two);
    assert.deepEqual([one.keeper.leads, two.keeper.leads], [false, true]);
  });

  test('is nobody when all of them were stopped, however long', () => {
    const both = threads(2);
    tick(3, ...both);
    for (const { clock } of both) clock.stoppedMs += 3_600_000;
    tick(20, ...both);
    assert.deepEqual(
      both.map(({ keeper, told }) => [keeper.leads, told]),
      [
        [true, ['leads']],
        [false, []],
      ],
    );
  });

  test('and was never started is left alone', () => {
    const [one] = threads(1) as [Thread];
    const quiet = new BackendTable(one.table.memory);
    tick(100, one);
    assert.notEqual(one.table.ownerOf(quiet.place), 0);
  });

  test('and died while it took its place leaves it to others', () => {
    const [one, two] = threads(2) as [Thread, Thread];
    const owners = new Int32Array(one.table.memory, tableOffsets(one.table.capacity, one.table.maxThreads).threads);
    owners[3 * THREAD_WORDS] = -1;
    tick(45, one, two);
    assert.equal(one.table.ownerOf(3), 0);
  });
});

describe('the lead', () => {
  test('passes at once when the one who has it stops, or has nothing to lead for', () => {
    const [one, two] = threads(2) as [Thread, Thread];
    one.members = 0;
    one.keeper.yieldLead();
    one.keeper.yieldLead();
    tick(1, one, two);
    assert.deepEqual([one.keeper.leads, two.keeper.leads], [false, true]);
    one.members = 1;
    two.table.leave();
    two.keeper.stop();
    one.keeper.start();
    assert.equal(one.keeper.leads, true, 'it need not wait for a tick');
    assert.deepEqual(one.told, ['leads', 'resigns', 'leads']);
  });

  test('is given up where no place is left', () => {
    const [one] = threads(1) as [Thread];
    one.table.evict(one.table.place, one.table.ownerOf(one.table.place));
    const others = Array.from({ length: 4 }, () => new BackendTable(one.table.memory));
    tick(1, one);
    assert.equal(one.keeper.leads, false);
    others[0]?.leave();
    tick(1, one);
    assert.equal(one.keeper.leads, true);
    one.keeper.stop();
    tick(5, one);
    assert.deepEqual(one.told, ['leads', 'resigns', 'leads', 'resigns']);
  });
});
