import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BackendTable, makeTableMemory } from '../../src/internal/backend-table.ts';
import { SlotWord, Stripe } from '../../src/internal/table-layout.ts';

function twoThreads(maxBackends = 16): readonly [BackendTable, BackendTable] {
  const memory = makeTableMemory({ maxBackends, maxThreads: 4 });
  return [new BackendTable(memory), new BackendTable(memory)];
}

function claimSlot(table: BackendTable, name: string): number {
  const claim = table.claim(name);
  assert.ok(claim !== null, `no slot for ${name}`);
  return claim.slot;
}

describe('slots', () => {
  test('a name has the same slot in all threads, and the first to ask finds it new', () => {
    const [one, two] = twoThreads();
    const first = one.claim('a');
    const second = two.claim('a');
    assert.equal(first?.isNew, true);
    assert.deepEqual(second, { slot: first?.slot, isNew: false });
    assert.notEqual(claimSlot(one, 'b'), first?.slot);
  });

  test('numbers that threads add up are those of all; one that leaves takes its own along', () => {
    const [one, two] = twoThreads();
    const slot = claimSlot(one, 'a');
    claimSlot(two, 'a');
    one.addOwn(slot, Stripe.inflight, 3);
    two.addOwn(slot, Stripe.inflight, 4);
    assert.equal(one.sum(slot, Stripe.inflight), 7);
    two.leave();
    assert.equal(one.sum(slot, Stripe.inflight), 3);
    two.addOwn(slot, Stripe.inflight, -4);
    assert.equal(one.sum(slot, Stripe.inflight), 3, 'whoever has left writes nothing any more');
  });

  test('a slot that nobody claims is new again for whoever comes back, without its past', () => {
    const [one, two] = twoThreads();
    const slot = claimSlot(one, 'a');
    claimSlot(two, 'a');
    one.setWord(slot, SlotWord.flags, 1);
    one.release(slot);
    assert.equal(two.claim('a')?.isNew, false, 'the other thread still has it');
    two.release(slot);
    two.release(slot);
    const again = one.claim('a');
    assert.equal(again?.isNew, true);
    assert.equal(one.word(again?.slot ?? -1, SlotWord.flags), 0);
  });

  test('a slot at which something is under way is not given to another name', () => {
    const memory = makeTableMemory({ maxBackends: 1, maxThreads: 1 });
    const table = new BackendTable(memory);
    const slot = claimSlot(table, 'a');
    table.addOwn(slot, Stripe.inflight, 1);
    table.release(slot);
    const others: number[] = [];
    for (let index = 0; index < table.capacity; index++) {
      const claim = table.claim(`other ${index}`);
      if (claim !== null) others.push(claim.slot);
    }
    assert.equal(others.length, table.capacity - 1);
    assert.ok(!others.includes(slot));
    table.addOwn(slot, Stripe.inflight, -1);
    assert.equal(table.claim('now')?.slot, slot);
  });

  test('claims, releases and ends in any order keep each name its own slot (model)', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            thread: fc.nat(2),
            name: fc.nat(11),
            act: fc.constantFrom('claim' as const, 'release' as const, 'begin' as const, 'end' as const, 'leave' as const),
          }),
          { maxLength: 200 },
        ),
        (steps) => {
          const memory = makeTableMemory({ maxBackends: 16, maxThreads: 3 });
          const tables = [0, 1, 2].map(() => new BackendTable(memory));
          const claims = [0, 1, 2].map(() => new Map<string, { slot: number; count: number; inflight: number }>());
          for (const { thread, name: number, act } of steps) {
            const name = `b${number}`;
            const table = tables[thread] as BackendTable;
            const mine = claims[thread] as Map<string, { slot: number; count: number; inflight: number }>;
            const own = mine.get(name);
            if (act === 'claim') {
              const slot = claimSlot(table, name);
              if (own === undefined) mine.set(name, { slot, count: 1, inflight: 0 });
              else {
                assert.equal(slot, own.slot);
                own.count++;
              }
            } else if (act === 'leave') {
              table.leave();
              tables[thread] = new BackendTable(memory);
              mine.clear();
            } else if (own !== undefined) {
              if (act === 'release' && own.count > 0) {
                own.count--;
                table.release(own.slot);
              } else if (act === 'begin' && own.count > 0) {
                own.inflight++;
                table.addOwn(own.slot, Stripe.inflight, 1);
              } else if (act === 'end' && own.inflight > 0) {
                own.inflight--;
                table.addOwn(own.slot, Stripe.inflight, -1);
              }
              if (own.count === 0 && own.inflight === 0) mine.delete(name);
            }
            const bySlot = new Map<number, string>();
            const inflight = new Map<number, number>();
            for (const known of claims) {
              for (const [held, { slot, inflight: count }] of known) {
                assert.equal(bySlot.get(slot) ?? held, held, 'two names have one slot');
                bySlot.set(slot, held);
                inflight.set(slot, (inflight.get(slot) ?? 0) + count);
              }
            }
            for (const [slot, count] of inflight) assert.equal((tables[0] as BackendTable).sum(slot, Stripe.inflight), count);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('threads', () => {
  test('all places taken is an error that says so', () => {
    const memory = makeTableMemory({ maxBackends: 1, maxThreads: 1 });
    const table = new BackendTable(memory);
    assert.throws(() => new BackendTable(memory), /all 1 places for threads are taken/);
    table.leave();
    assert.doesNotThrow(() => new BackendTable(memory));
  });

  test('one that was taken for dead, and is not, takes another place with what it has under way', () => {
    const [one, two] = twoThreads();
    const slot = claimSlot(one, 'a');
    claimSlot(two, 'a');
    two.addOwn(slot, Stripe.inflight, 2);
    two.lead(-1);
    assert.ok(one.evict(two.place, one.ownerOf(two.place)));
    assert.equal(one.sum(slot, Stripe.inflight), 0);
    assert.equal(two.isLeader, false);
    assert.equal(one.leaderPlace, -1);
    two.addOwn(slot, Stripe.inflight, 1);
    assert.equal(one.sum(slot, Stripe.inflight), 0, 'it writes nothing where it no longer belongs');
    assert.equal(two.beat(), true);
    assert.equal(one.sum(slot, Stripe.inflight), 3);
  });

  test('one leads; when it leaves, another may', () => {
    const [one, two] = twoThreads();
    assert.equal(one.lead(-1), true);
    assert.equal(two.lead(-1), false);
    assert.equal(two.leaderPlace, one.place);
    one.leave();
    assert.equal(two.lead(-1), true);
    assert.equal(two.isLeader, true);
  });

  test('a leader that stands still is replaced by name, not by accident', () => {
    const [one, two] = twoThreads();
    one.lead(-1);
    assert.equal(two.lead(two.place), false);
    assert.equal(two.lead(one.place), true);
    assert.equal(one.isLeader, false);
  });
});

describe('the published set', () => {
  test('comes whole to the other threads, larger and smaller ones in turn', () => {
    const [one, two] = twoThreads();
    assert.equal(two.readSet(), null);
    for (const length of [10, 100_000, 3, 2_000_000, 0, 50]) {
      const text = 'é'.repeat(length);
      one.publish(text);
      const read = two.readSet();
      assert.equal(read?.text, text);
      assert.equal(read?.version, one.setVersion);
    }
  });

  test('what was half published by a thread that died is nobody’s set, and the next one is', () => {
    const [one, two] = twoThreads();
    one.publish('first');
    const words = new Int32Array(one.memory, 0, 64);
    words[7] = (words[7] as number) | 1;
    assert.equal(two.readSet(), null);
    two.publish('second');
    assert.equal(one.readSet()?.text, 'second');
  });
});

test('memory that is none is refused', () => {
  assert.throws(() => new BackendTable(new SharedArrayBuffer(4)), TypeError);
  assert.throws(() => new BackendTable(new SharedArrayBuffer(4_096)), TypeError);
  assert.throws(() => makeTableMemory({ maxBackends: 0, maxThreads: 1 }), RangeError);
  assert.throws(() => makeTableMemory({ maxBackends: 1, maxThreads: 257 }), RangeError);
});
