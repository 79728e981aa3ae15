/** Turns beside a naive twin, the textbook's sequences, and what stays over refreshes and updates. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import type { SelectionAlgorithm } from '../../src/selection/algorithm.ts';
import { roundRobin } from '../../src/selection/round-robin.ts';
import { smoothWeighted } from '../../src/selection/smooth-weighted.ts';
import { anyHistory, anyWeights, happen } from './fixtures/histories.ts';
import { buildPicker, countPicks, membersOf, NaiveCandidates, picksOf, startPicker } from './fixtures/naive-candidates.ts';
import { NaiveRoundRobin, NaiveTurns } from './fixtures/naive-turns.ts';

/** The first turns, as letters. */
function sequence(algorithm: SelectionAlgorithm, weights: readonly number[], count: number, seed = 1): string {
  const candidates = new NaiveCandidates(membersOf(weights));
  return lettersOf(picksOf(startPicker(algorithm, candidates, seededRandom(seed)), candidates, count));
}

const lettersOf = (members: readonly number[]): string => members.map((member) => 'abcdefghij'.charAt(member)).join('');

describe('smooth weighted round robin', () => {
  test('gives weights 5, 1, 1 the turns a a b a c a a, as nginx', () => {
    assert.equal(sequence(smoothWeighted(), [5, 1, 1], 14), 'aabacaaaabacaa');
  });

  test('spreads other weights as the method of nginx does', () => {
    assert.equal(sequence(smoothWeighted(), [1, 1, 1], 6), 'abcabc');
    assert.equal(sequence(smoothWeighted(), [4, 2, 1], 7), 'abacaba');
    assert.equal(sequence(smoothWeighted(), [3, 0, 1], 4), 'aaca');
    assert.equal(sequence(smoothWeighted(), [1, 3], 8), 'babbbabb');
  });

  test('equals the naive method in any history of weights, readiness and exclusions', () => {
    fc.assert(
      fc.property(anyWeights, anyHistory, (weights, history) => {
        const twin = new NaiveTurns(weights.length);
        happen(smoothWeighted(), weights, history, seededRandom(1), {
          onPick: (picked, _key, candidates) => assert.equal(picked, twin.nextOpen(candidates)),
        });
      }),
      { numRuns: 400 },
    );
  });

  test('equals it for hundreds of members of a few weights, and of as many weights', () => {
    for (const weights of [
      Array.from({ length: 300 }, (_, index) => 1 + (index % 3)),
      Array.from({ length: 200 }, (_, index) => 1 + ((index * 7919) % 1009)),
    ]) {
      const candidates = new NaiveCandidates(membersOf(weights));
      const picker = startPicker(smoothWeighted(), candidates, seededRandom(1));
      const twin = new NaiveTurns(weights.length);
      for (let pick = 0; pick < 3000; pick++) assert.equal(picker.pick(null, candidates), twin.next(candidates));
    }
  });

  test('goes on exactly after credits were settled', () => {
    const candidates = new NaiveCandidates(membersOf([65_535, 3, 1]));
    candidates.warm(1, 2 ** -16);
    const picker = startPicker(smoothWeighted(), candidates, seededRandom(1));
    const twin = new NaiveTurns(3);
    let differences = 0;
    for (let pick = 0; pick < 2 ** 19 + 70_000; pick++) if (picker.pick(null, candidates) !== twin.next(candidates)) differences += 1;
    assert.equal(differences, 0);
  });

  test('gives each its share within a turn', () => {
    const weights = [7, 1, 3, 0, 19, 2];
    const candidates = new NaiveCandidates(membersOf(weights));
    const counts = countPicks(startPicker(smoothWeighted(), candidates, seededRandom(1)), candidates, 32 * 1000, () => null);
    assert.deepEqual(
      [...counts],
      weights.map((weight) => weight * 1000),
    );
  });

  test('keeps what members have in credit while another one is down', () => {
    const candidates = new NaiveCandidates(membersOf([5, 1, 1]));
    const picker = startPicker(smoothWeighted(), candidates, seededRandom(1));
    assert.equal(lettersOf(picksOf(picker, candidates, 3)), 'aab');
    candidates.flip(1);
    picker.refresh?.(candidates);
    candidates.flip(1);
    picker.refresh?.(candidates);
    assert.equal(lettersOf(picksOf(picker, candidates, 4)), 'acaa');
  });

  test('saves up no turns for one that is ready but not open', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 1]));
    const picker = startPicker(smoothWeighted(), candidates, seededRandom(1));
    candidates.exclude([1]);
    assert.equal(lettersOf(picksOf(picker, candidates, 6)), 'acacac');
    candidates.exclude([]);
    assert.equal(lettersOf(picksOf(picker, candidates, 6)), 'abcabc');
  });
});

describe('round robin', () => {
  test('takes turns in the order of the list, from the first on', () => {
    assert.equal(sequence(roundRobin(), [1, 1, 1], 7), 'abcabca');
    assert.equal(sequence(roundRobin(), [9, 0, 9], 4), 'acac');
  });

  test('gives turns by weight without bursts where weights differ', () => {
    assert.equal(sequence(roundRobin(), [8, 1, 1], 10), 'aaabaacaaa');
  });

  test('equals the naive method in any history', () => {
    fc.assert(
      fc.property(fc.oneof(anyWeights, fc.array(fc.constant(1), { maxLength: 8 })), anyHistory, (weights, history) => {
        const twin = new NaiveRoundRobin(weights.length);
        happen(roundRobin(), weights, history, seededRandom(1), {
          onPick: (picked, _key, candidates) => assert.equal(picked, twin.nextOpen(candidates)),
        });
      }),
      { numRuns: 400 },
    );
  });

  test('begins at a random place if told to, each place as likely', () => {
    const firsts = Array.from({ length: 400 }, (_, seed) => sequence(roundRobin({ start: 'random' }), [1, 1, 1, 1], 5, seed));
    for (const letter of 'abcd') {
      const begun = firsts.filter((turns) => turns.startsWith(letter));
      assert.ok(begun.length > 60 && begun.length < 140, `${begun.length} of 400 began with ${letter}`);
    }
    for (const turns of firsts) assert.ok('abcdabcda'.includes(turns), turns);
    const weighted = new Set(Array.from({ length: 50 }, (_, seed) => sequence(roundRobin({ start: 'random' }), [5, 1, 1], 7, seed)));
    assert.ok(weighted.size > 3);
    for (const turns of weighted) assert.ok('aabacaaaabacaa'.includes(turns), turns);
  });

  test('refuses another start', () => {
    assert.throws(() => roundRobin({ start: 'last' as 'first' }), { name: 'RangeError', message: /^start must be first or random/ });
  });
});

describe('requests that come again', () => {
  /** Shares of 10⁵ first turns, of which some come again elsewhere. */
  function firstShares(algorithm: SelectionAlgorithm, weights: readonly number[], fails: (member: number) => boolean): number[] {
    const candidates = new NaiveCandidates(membersOf(weights));
    const picker = startPicker(algorithm, candidates, seededRandom(1));
    const firsts = weights.map(() => 0);
    for (let request = 0; request < 100_000; request++) {
      const member = picker.pick(null, candidates);
      firsts[member] = (firsts[member] as number) + 1;
      if (!fails(member)) continue;
      candidates.exclude([member], true);
      assert.notEqual(picker.pick(null, candidates), member);
      candidates.exclude([]);
    }
    return firsts.map((count) => count / 100_000);
  }

  for (const algorithm of [roundRobin(), smoothWeighted()]) {
    test(`take nothing from the shares of first ones, by ${algorithm.name}`, () => {
      const chance = seededRandom(7);
      for (const weights of [
        [1, 1],
        [1, 1, 1],
        [5, 1, 1],
      ]) {
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (const fails of [(): boolean => chance.next() < 0.3, (member: number): boolean => member === 0]) {
          const shares = firstShares(algorithm, weights, fails);
          for (const [member, weight] of weights.entries())
            assert.ok(Math.abs((shares[member] as number) - weight / total) < 0.0001, `${weights.join()}: ${shares.join()}`);
        }
      }
    });

    test(`are shared by those that are left, by ${algorithm.name}, and go on after an update`, () => {
      const candidates = new NaiveCandidates(membersOf([1, 1, 1]));
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      candidates.exclude([0], true);
      assert.equal(lettersOf(picksOf(picker, candidates, 5)), 'bcbcb');
      const next = buildPicker(algorithm, candidates.members, seededRandom(1), picker);
      next.refresh?.(candidates);
      assert.equal(lettersOf(picksOf(next, candidates, 4)), 'cbcb');
    });
  }
});

describe('an update', () => {
  const before = [
    { name: 'a', weight: 5 },
    { name: 'b', weight: 1 },
    { name: 'c', weight: 1 },
  ];

  test('leaves the credits to those that are in both lists', () => {
    const candidates = new NaiveCandidates(before);
    const picker = startPicker(smoothWeighted(), candidates, seededRandom(1));
    picksOf(picker, candidates, 3);
    for (const order of [
      ['a', 'b', 'c'],
      ['c', 'a', 'b'],
    ]) {
      const list = order.map((name) => ({ name, weight: name === 'a' ? 5 : 1 }));
      const after = new NaiveCandidates(list);
      const next = buildPicker(smoothWeighted(), after.members, seededRandom(1), picker);
      next.refresh?.(after);
      assert.equal(
        picksOf(next, after, 4)
          .map((member) => order[member])
          .join(''),
        'acaa',
      );
    }
  });

  test('does not begin a round of equals anew, even if the last that had a turn is gone', () => {
    const equals = Array.from('abcd', (name) => ({ name, weight: 1 }));
    const candidates = new NaiveCandidates(equals);
    const picker = startPicker(roundRobin({ start: 'first' }), candidates, seededRandom(1));
    picksOf(picker, candidates, 2);
    for (const [order, expected] of [
      ['abcd', 'cdab'],
      ['xabcd', 'cdxa'],
      ['acd', 'cdac'],
      ['xyz', 'xyzx'],
    ] as const) {
      const list = Array.from(order, (name) => ({ name, weight: 1 }));
      const after = new NaiveCandidates(list);
      const next = buildPicker(roundRobin(), after.members, seededRandom(1), picker);
      next.refresh?.(after);
      assert.equal(
        picksOf(next, after, 4)
          .map((member) => order.charAt(member))
          .join(''),
        expected,
      );
    }
  });

  test('of another algorithm is a beginning', () => {
    const candidates = new NaiveCandidates(before);
    const other = startPicker(roundRobin(), candidates, seededRandom(1));
    const picker = buildPicker(smoothWeighted(), candidates.members, seededRandom(1), other);
    picker.refresh?.(candidates);
    assert.equal(lettersOf(picksOf(picker, candidates, 7)), 'aabacaa');
  });

  test('of ten thousand members is built in steps', () => {
    const many = new NaiveCandidates(membersOf(Array.from({ length: 10_000 }, () => 1)));
    const fewer = new NaiveCandidates(membersOf(Array.from({ length: 10_000 }, () => 1)).slice(1));
    for (const algorithm of [roundRobin(), smoothWeighted()]) {
      const picker = startPicker(algorithm, many, seededRandom(1));
      const steps = algorithm.build(fewer.members, { random: seededRandom(1), previous: picker });
      assert.ok('next' in steps && [...steps].length > 2);
    }
  });
});

test('shares of a million turns are those by weight, give or take two turns', () => {
  const weights = [1, 10, 65_535, 300, 7];
  const candidates = new NaiveCandidates(membersOf(weights));
  const counts = countPicks(startPicker(roundRobin(), candidates, seededRandom(1)), candidates, 1_000_000, () => null);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [member, weight] of weights.entries())
    assert.ok(Math.abs((counts[member] as number) - (1_000_000 * weight) / total) < 2, `${weight}: ${counts[member]}`);
});
