/** The Maglev table beside Envoy's loop done naively, its balance, and what a member that goes moves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { crc32Text, mix32 } from '@ferrata/hash';
import fc from 'fast-check';
import { fnv1a32 } from '../../src/selection/key-hash.ts';
import { maglev } from '../../src/selection/maglev.ts';
import { makeMaglevTable } from '../../src/selection/maglev-table.ts';
import { anyHistory, happen } from './fixtures/histories.ts';
import {
  countPicks,
  membersOf,
  NaiveCandidates,
  type NaiveMember,
  resultOf,
  startPicker,
  worstError,
} from './fixtures/naive-candidates.ts';

const tableOf = (list: readonly NaiveMember[], size: number): Int32Array =>
  resultOf(makeMaglevTable(new NaiveCandidates(list).members, size));

/** The paper's listing 1, with Envoy's weights: rounds over all, in each of which one has a turn if its weight has come to it. */
function naiveTable(list: readonly NaiveMember[], size: number): number[] {
  const members = list
    .map(({ name, weight }, member) => ({
      member,
      weight,
      order: fnv1a32(name),
      offset: mix32(fnv1a32(name)) % size,
      skip: (mix32(crc32Text(name)) % (size - 1)) + 1,
      next: 0,
      target: 0,
    }))
    .filter(({ weight }) => weight > 0)
    .toSorted((one, other) => one.order - other.order);
  if (members.length === 0) return [];
  const most = Math.max(...members.map(({ weight }) => weight));
  const table: (number | undefined)[] = Array.from({ length: size }, () => undefined);
  let filled = 0;
  for (let round = 1; filled < size; round++) {
    for (const entry of members) {
      if (filled === size || round * entry.weight < entry.target) continue;
      entry.target += most;
      const place = (): number => (entry.offset + entry.skip * entry.next) % size;
      while (table[place()] !== undefined) entry.next += 1;
      table[place()] = entry.member;
      filled += 1;
    }
  }
  return table.map((member) => member as number);
}

function countEntries(table: Int32Array, memberCount: number): Float64Array {
  const counts = new Float64Array(memberCount);
  for (const member of table) counts[member] = (counts[member] as number) + 1;
  return counts;
}

describe('a Maglev table', () => {
  test('equals the listing of the paper with the weights of Envoy', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ name: fc.string({ maxLength: 6 }), weight: fc.constantFrom(0, 1, 1, 2, 3, 7, 100, 65_535) }), {
          selector: ({ name }) => name,
          maxLength: 10,
        }),
        fc.constantFrom(11, 13, 101, 499),
        (list, size) => assert.deepEqual([...tableOf(list, size)], naiveTable(list, size)),
      ),
      { numRuns: 300 },
    );
  });

  test('is the same whatever the order of the members', () => {
    const list = membersOf(Array.from({ length: 50 }, (_, index) => 1 + (index % 4)));
    const names = (members: readonly NaiveMember[]): string[] =>
      Array.from(tableOf(members, 1009), (member) => members[member]?.name ?? '');
    assert.deepEqual(names(list.toReversed()), names(list));
  });

  test('gives each of equal members the same entries but one', () => {
    const counts = countEntries(tableOf(membersOf(Array.from({ length: 100 }, () => 1)), 65_537), 100);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
  });

  test('gives each by its weight, and each at least one', () => {
    const weights = [1, 2, 3, 10, 50, 100];
    const counts = countEntries(tableOf(membersOf(weights), 65_537), weights.length);
    assert.ok(worstError(counts, weights) < 0.01, `${worstError(counts, weights)}`);
    const extreme = countEntries(tableOf(membersOf([65_535, 1, 1, 1]), 251), 4);
    assert.deepEqual([...extreme], [248, 1, 1, 1]);
  });

  test('of a thousand members and 65 537 entries is even: nobody has 2 % more than the mean', () => {
    const counts = countEntries(tableOf(membersOf(Array.from({ length: 1000 }, () => 1)), 65_537), 1000);
    const ratio = Math.max(...counts) / (65_537 / 1000);
    assert.ok(ratio < 1.02, `${ratio}`);
  });

  test('of a thousand members loses few entries of others when one in a hundred goes', () => {
    const list = membersOf(Array.from({ length: 1000 }, () => 1));
    const gone = 10;
    for (const [size, most] of [
      [65_537, 0.03],
      [655_373, 0.01],
    ] as const) {
      const before = tableOf(list, size);
      const after = tableOf(list.slice(gone), size);
      let moved = 0;
      for (const [entry, member] of before.entries()) if (member >= gone && after[entry] !== member - gone) moved += 1;
      assert.ok(moved / size < most, `${size}: ${moved / size} of the entries moved needlessly`);
    }
  });

  test('for thousands of members beside one of the greatest weight is made in few steps', () => {
    const weights = Array.from({ length: 10_000 }, (_, index) => (index === 0 ? 65_535 : 1));
    let steps = 0;
    for (const _ of makeMaglevTable(new NaiveCandidates(membersOf(weights)).members, 65_537)) steps += 1;
    assert.ok(steps > 3 && steps < 400, `${steps}`);
  });
});

describe('maglev', () => {
  test('gives a key the member of its entry, or the first open one that its probes meet', () => {
    const size = 101;
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 10 }), anyHistory, (weights, history) => {
        const table = tableOf(membersOf(weights), size);
        happen(maglev({ tableSize: size }), weights, history, seededRandom(1), {
          onPick(picked, key, candidates) {
            if (key === null || picked === -1) return;
            const hash = mix32(fnv1a32(key));
            const step = (mix32(hash ^ 0x9e37_79b9) % (size - 1)) + 1;
            const entries = Array.from({ length: size }, (_, probe) => (hash + probe * step) % size);
            const member = entries.map((entry) => table[entry] as number).find((one) => candidates.isOpen(one));
            assert.equal(picked, member);
          },
        });
      }),
      { numRuns: 200 },
    );
  });

  test('gives a million keys to the members within 3 % of their weights', () => {
    for (const weights of [
      [1, 1, 1, 1, 1, 1, 1],
      [1, 2, 3, 10, 20],
    ]) {
      const candidates = new NaiveCandidates(membersOf(weights));
      const picker = startPicker(maglev(), candidates, seededRandom(1));
      const error = worstError(
        countPicks(picker, candidates, 1_000_000, (index) => `/objects/${index}`),
        weights,
      );
      assert.ok(error < 0.03, `${error}`);
    }
  });

  test('spreads the keys of one that is down over all others by weight, moves no others, and gives them back', () => {
    const weights = [5, 1, 2, 3];
    const candidates = new NaiveCandidates(membersOf(weights));
    const picker = startPicker(maglev(), candidates, seededRandom(1));
    const keys = Array.from({ length: 300_000 }, (_, index) => `user-${index}`);
    const before = keys.map((key) => picker.pick(key, candidates));
    candidates.flip(0);
    picker.refresh?.(candidates);
    const inherited = new Float64Array(4);
    for (const [index, key] of keys.entries()) {
      const member = picker.pick(key, candidates);
      if (before[index] === 0) inherited[member] = (inherited[member] as number) + 1;
      else assert.equal(member, before[index]);
    }
    assert.ok(worstError(inherited.subarray(1), [1, 2, 3]) < 0.03);
    candidates.flip(0);
    picker.refresh?.(candidates);
    for (const [index, key] of keys.entries()) assert.equal(picker.pick(key, candidates), before[index]);
  });

  test('refuses a table size that is no prime, or out of range', () => {
    for (const tableSize of [65_536, 9, 4, 65_535]) {
      assert.throws(() => maglev({ tableSize }), { name: 'RangeError', message: `tableSize must be a prime, not ${tableSize}` });
    }
    for (const tableSize of [2, 5_000_012, 3.5, Number.NaN])
      assert.throws(() => maglev({ tableSize }), { name: 'RangeError', message: /^tableSize/ });
    for (const tableSize of [3, 5, 5_000_011]) assert.equal(maglev({ tableSize }).name, 'maglev');
  });
});
