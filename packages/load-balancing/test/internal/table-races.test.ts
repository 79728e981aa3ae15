/** What threads may do to each other between two steps of the table: each interleaving is made by hand, in one thread. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BackendTable, makeTableMemory } from '../../src/internal/backend-table.ts';
import { HeaderWord, SlotWord, Stripe, THREAD_WORDS, tableOffsets } from '../../src/internal/table-layout.ts';

function tables(count: number, maxBackends = 16): readonly BackendTable[] {
  const memory = makeTableMemory({ maxBackends, maxThreads: 4 });
  return Array.from({ length: count }, () => new BackendTable(memory));
}

function claimSlot(table: BackendTable, name: string): number {
  const claim = table.claim(name);
  assert.ok(claim !== null);
  return claim.slot;
}

describe('slots', () => {
  test('what a thread had counted for the backend before is not counted for the next one', () => {
    const [one, two] = tables(2) as [BackendTable, BackendTable];
    const slot = claimSlot(one, 'a');
    one.addOwn(slot, Stripe.failed, 100);
    one.release(slot);
    assert.deepEqual(two.claim('a'), { slot, isNew: true });
    assert.deepEqual(one.claim('a'), { slot, isNew: false });
    one.addOwn(slot, Stripe.failed, 1);
    assert.equal(two.total(slot, Stripe.failed), 1);
  });

  test('a claim that is made while another thread clears the slot holds', () => {
    const [one, two] = tables(2) as [BackendTable, BackendTable];
    const slot = claimSlot(two, 'a');
    // When `one` has found the name and is about to mark it, `two` lets go, and prepares the slot anew; the mark comes after its last look.
    const addOwn = one.addOwn.bind(one);
    one.addOwn = (...args): void => {
      one.addOwn = addOwn;
      two.release(slot);
      const sum = two.sum.bind(two);
      let looks = 0;
      two.sum = (...of): number => {
        const found = sum(...of);
        if (++looks === 6) addOwn(...args);
        return found;
      };
      assert.deepEqual(two.claim('a'), { slot, isNew: true });
      two.sum = sum;
    };
    assert.deepEqual(one.claim('a'), { slot, isNew: false });
    two.release(slot);
    assert.equal(two.sum(slot, Stripe.member), 1, 'the claim of the other was cleared');
    assert.equal(two.claim('a')?.isNew, false);
  });

  test('a slot to which there are connections is nobody else’s', () => {
    const [one] = tables(1) as [BackendTable];
    const slot = claimSlot(one, 'a');
    one.addOwn(slot, Stripe.connections, 1);
    one.release(slot);
    assert.equal(one.claim('a')?.isNew, false);
  });

  test('what only grows stays when a thread goes, and is not counted twice when it comes back', () => {
    const [one, two] = tables(2) as [BackendTable, BackendTable];
    const slot = claimSlot(one, 'a');
    claimSlot(two, 'a');
    two.addOwn(slot, Stripe.succeeded, 7);
    two.addOwn(slot, Stripe.inflight, 2);
    assert.ok(one.evict(two.place, one.ownerOf(two.place)));
    assert.deepEqual([one.total(slot, Stripe.succeeded), one.sum(slot, Stripe.inflight)], [7, 0]);
    assert.ok(two.beat());
    assert.deepEqual([one.total(slot, Stripe.succeeded), one.sum(slot, Stripe.inflight)], [7, 2]);
    assert.equal(one.word(slot, SlotWord.pastSucceeded), 7);
  });
});

describe('places and the lead', () => {
  test('a place whose taker, or whose evicter, has died in the middle is taken back by one of those who find it', () => {
    const [one, two, dead] = tables(3) as [BackendTable, BackendTable, BackendTable];
    const owners = new Int32Array(one.memory, tableOffsets(one.capacity, one.maxThreads).threads);
    for (const owner of [-1, -2]) {
      owners[dead.place * THREAD_WORDS] = owner;
      assert.equal(one.evict(dead.place, one.ownerOf(dead.place)), true);
      assert.equal(two.evict(dead.place, owner), false, 'somebody else has done it');
      assert.equal(one.ownerOf(dead.place), 0);
    }
  });

  test('one that is evicted just as it takes the lead does not keep it from the others', () => {
    const [one, two] = tables(2) as [BackendTable, BackendTable];
    two.lead(-1);
    const header = new Int32Array(one.memory, 0, HeaderWord.leader + 1);
    const mark = header[HeaderWord.leader] as number;
    one.evict(two.place, one.ownerOf(two.place));
    header[HeaderWord.leader] = mark;
    assert.equal(one.leaderPlace, -1);
    assert.equal(new BackendTable(one.memory).isLeader, false, 'nor does whoever has its place now');
    assert.equal(one.lead(-1), true);
    assert.equal(one.isLeader, true);
  });

  test('one may give up the lead and keep its place', () => {
    const [one, two] = tables(2) as [BackendTable, BackendTable];
    two.resign();
    one.lead(-1);
    two.resign();
    assert.equal(one.isLeader, true, 'only its own');
    one.resign();
    assert.deepEqual([one.leaderPlace, one.beat()], [-1, true]);
    one.leave();
    one.resign();
    assert.equal(two.lead(-1), true);
  });

  test('retries never count below none', () => {
    const [one] = tables(1) as [BackendTable];
    one.addRetries(-1);
    one.addRetries(1);
    assert.equal(one.retries, 1);
  });
});
