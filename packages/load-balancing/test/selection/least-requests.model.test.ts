/** The least of all, beside a naive twin. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { leastRequests } from '../../src/selection/least-requests.ts';
import { anyHistory, anyWeights, happen } from './fixtures/histories.ts';
import { countPicks, membersOf, NaiveCandidates, startPicker, worstError } from './fixtures/naive-candidates.ts';

/** By products, as nginx does it: no quotient is rounded. */
class NaiveLeast {
  readonly current: number[];

  constructor(count: number) {
    this.current = Array.from({ length: count }, () => 0);
  }

  next(candidates: NaiveCandidates): number {
    const weight = (member: number): number => candidates.weights[member] as number;
    const open = candidates.open();
    const least = open.filter((member) =>
      open.every((other) => candidates.inflight(member) * weight(other) <= candidates.inflight(other) * weight(member)),
    );
    const [only] = least;
    if (only === undefined) return -1;
    if (least.length === 1) return only;
    let best = -1;
    for (const member of least) {
      this.current[member] = (this.current[member] as number) + weight(member);
      if (best === -1 || this.current[member] > (this.current[best] as number)) best = member;
    }
    this.current[best] = (this.current[best] as number) - least.reduce((sum, member) => sum + weight(member), 0);
    return best;
  }
}

describe('least requests', () => {
  test('equals the naive method in any history', () => {
    fc.assert(
      fc.property(anyWeights, anyHistory, (weights, history) => {
        const twin = new NaiveLeast(weights.length);
        happen(leastRequests(), weights, history, seededRandom(1), {
          onPick: (picked, _key, candidates) => assert.equal(picked, twin.next(candidates)),
        });
      }),
      { numRuns: 400 },
    );
  });

  test('takes whoever has the least for its weight', () => {
    const candidates = new NaiveCandidates(membersOf([1, 2, 4]));
    const picker = startPicker(leastRequests(), candidates, seededRandom(1));
    candidates.underWay.splice(0, 3, 2, 3, 7);
    assert.equal(picker.pick(null, candidates), 1);
    candidates.exclude([1]);
    assert.equal(picker.pick(null, candidates), 2);
  });

  test('does not give everything to the first while all are idle, but to each by its weight', () => {
    const weights = [1, 2, 3, 14];
    const candidates = new NaiveCandidates(membersOf(weights));
    const counts = countPicks(startPicker(leastRequests(), candidates, seededRandom(1)), candidates, 1_000_000, () => null);
    assert.ok(worstError(counts, weights) < 0.001);
  });

  test('fills all alike', () => {
    const weights = [1, 5, 10];
    const candidates = new NaiveCandidates(membersOf(weights));
    const picker = startPicker(leastRequests(), candidates, seededRandom(1));
    for (let request = 0; request < 1600; request++) {
      const member = picker.pick(null, candidates);
      candidates.underWay[member] = (candidates.underWay[member] as number) + 1;
    }
    assert.deepEqual(candidates.underWay, [100, 500, 1000]);
  });
});
