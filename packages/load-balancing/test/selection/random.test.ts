/** The algorithms that draw: shares by weight, and what the better of two choices is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import type { SelectionAlgorithm } from '../../src/selection/algorithm.ts';
import { peakEwma } from '../../src/selection/peak-ewma.ts';
import { powerOfTwo } from '../../src/selection/power-of-two.ts';
import { weightedRandom } from '../../src/selection/weighted-random.ts';
import { anyHistory, anyWeights, happen } from './fixtures/histories.ts';
import { countPicks, membersOf, NaiveCandidates, startPicker, worstError } from './fixtures/naive-candidates.ts';

const picks = 1_000_000;

function sharesOf(algorithm: SelectionAlgorithm, candidates: NaiveCandidates): Float64Array {
  return countPicks(startPicker(algorithm, candidates, seededRandom(7)), candidates, picks, () => null);
}

describe('with nothing under way, shares of a million picks are within 3 % of the weights', () => {
  const cases = { equal: [1, 1, 1, 1, 1, 1, 1], unequal: [1, 2, 3, 0, 10, 20, 50], 'two of many': [30, 30, 1, 1, 1, 1] };
  for (const algorithm of [weightedRandom(), powerOfTwo(), powerOfTwo({ choices: 4 }), peakEwma()]) {
    for (const [name, weights] of Object.entries(cases)) {
      test(`of ${algorithm.name}, ${name} weights`, () => {
        const counts = sharesOf(algorithm, new NaiveCandidates(membersOf(weights)));
        const listed = weights.map((weight, member) => ({ weight, count: counts[member] as number })).filter(({ weight }) => weight > 0);
        const error = worstError(
          Float64Array.from(listed, ({ count }) => count),
          listed.map(({ weight }) => weight),
        );
        assert.ok(error < 0.03, `${error}`);
      });
    }
  }
});

describe('weighted random', () => {
  test('keeps the shares among those that are open, by drawing again and by looking at all', () => {
    const weights = [5, 1, 2, 1000, 3];
    const candidates = new NaiveCandidates(membersOf(weights));
    // The heavy one is drawn nearly always, so that drawing again mostly ends without an open one.
    candidates.exclude([3, 0]);
    const counts = sharesOf(weightedRandom(), candidates);
    assert.deepEqual([counts[0], counts[3]], [0, 0]);
    assert.ok(worstError(Float64Array.of(counts[1] as number, counts[2] as number, counts[4] as number), [1, 2, 3]) < 0.03);
  });

  test('follows weights that change, and members that come and go', () => {
    const candidates = new NaiveCandidates(membersOf([10, 10, 10]));
    candidates.warm(1, 0.25);
    candidates.flip(2);
    const picker = startPicker(weightedRandom(), candidates, seededRandom(1));
    assert.ok(worstError(countPicks(picker, candidates, picks, () => null).subarray(0, 2), [10, 2.5]) < 0.03);
    candidates.flip(2);
    candidates.warm(1, 1);
    picker.refresh?.(candidates);
    assert.ok(
      worstError(
        countPicks(picker, candidates, picks, () => null),
        [1, 1, 1],
      ) < 0.03,
    );
  });

  test('keeps shares for thousands of members of any weight', () => {
    const weights = Array.from({ length: 5000 }, (_, member) => 1 + ((member * 7919) % 100));
    const candidates = new NaiveCandidates(membersOf(weights));
    const counts = sharesOf(weightedRandom(), candidates);
    // By weight, as a single member has too few picks.
    for (const low of [1, 26, 51, 76]) {
      let count = 0;
      let weight = 0;
      for (const [member, own] of weights.entries()) {
        if (own < low || own >= low + 25) continue;
        count += counts[member] as number;
        weight += own;
      }
      const share = weight / candidates.totalWeight;
      assert.ok(Math.abs(count / picks / share - 1) < 0.03, `${low}: ${count / picks} for ${share}`);
    }
  });
});

/** What each algorithm compares. */
const loadOf = (member: number, candidates: NaiveCandidates): number =>
  candidates.inflight(member) / (candidates.weights[member] as number);
const costOf = (member: number, candidates: NaiveCandidates): number => {
  const latencyMs = candidates.latencyMs(member);
  if (latencyMs === 0 && candidates.inflight(member) === 0) return 0;
  return ((latencyMs === 0 ? 2 ** 31 : latencyMs) * (candidates.inflight(member) + 1)) / (candidates.weights[member] as number);
};

describe('of as many choices as there are members', () => {
  for (const [algorithm, measure] of [
    [powerOfTwo({ choices: 16 }), loadOf],
    [peakEwma({ choices: 16 }), costOf],
  ] as const) {
    test(`${algorithm.name} takes the best of all that are open`, () => {
      fc.assert(
        fc.property(anyWeights, anyHistory, fc.integer(), (weights, history, seed) => {
          happen(algorithm, weights, history, seededRandom(seed), {
            onPick(picked, _key, candidates) {
              if (picked === -1) return;
              const least = Math.min(...candidates.open().map((member) => measure(member, candidates)));
              assert.equal(measure(picked, candidates), least);
            },
          });
        }),
        { numRuns: 200 },
      );
    });
  }
});

describe('two choices', () => {
  test('are distinct: of two members the busier one never has the pick', () => {
    const candidates = new NaiveCandidates(membersOf([1, 65_535]));
    candidates.underWay[1] = 70_000;
    const picker = startPicker(powerOfTwo(), candidates, seededRandom(1));
    const counts = countPicks(picker, candidates, 1000, () => null);
    assert.deepEqual([...counts], [1000, 0]);
  });

  test('bring the longest queue far below that of one choice (Mitzenmacher 2001)', () => {
    const longest = (algorithm: SelectionAlgorithm): number => {
      const candidates = new NaiveCandidates(membersOf(Array.from({ length: 1000 }, () => 1)));
      const picker = startPicker(algorithm, candidates, seededRandom(3));
      for (let ball = 0; ball < 1000; ball++) {
        const member = picker.pick(null, candidates);
        candidates.underWay[member] = (candidates.underWay[member] as number) + 1;
      }
      return Math.max(...candidates.underWay);
    };
    assert.ok(longest(weightedRandom()) >= 5);
    assert.ok(longest(powerOfTwo()) <= 3);
    assert.ok(longest(powerOfTwo({ choices: 16 })) <= 2);
  });

  test('fill members by their weights', () => {
    const weights = [1, 2, 4, 8, 1, 2, 4, 8];
    const candidates = new NaiveCandidates(membersOf(weights));
    const picker = startPicker(powerOfTwo(), candidates, seededRandom(3));
    for (let ball = 0; ball < 30_000; ball++) {
      const member = picker.pick(null, candidates);
      candidates.underWay[member] = (candidates.underWay[member] as number) + 1;
    }
    for (const [member, weight] of weights.entries()) assert.ok(Math.abs((candidates.underWay[member] as number) / weight - 1000) < 20);
  });

  test('may be 2 to 16', () => {
    for (const choices of [0, 1, 17, 2.5, Number.NaN]) {
      assert.throws(() => powerOfTwo({ choices }), { name: 'RangeError', message: /^choices must be a whole number from 2 to 16/ });
      assert.throws(() => peakEwma({ choices }), RangeError);
    }
  });
});

describe('peak EWMA', () => {
  test('prefers who answers sooner, and who has less under way', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1]));
    const picker = startPicker(peakEwma(), candidates, seededRandom(1));
    candidates.latencies.splice(0, 2, 10, 30);
    assert.equal(picker.pick(null, candidates), 0);
    candidates.underWay[0] = 3;
    assert.equal(picker.pick(null, candidates), 1, '30 × 1 is less than 10 × 4');
    candidates.underWay[1] = 1;
    assert.equal(picker.pick(null, candidates), 0);
  });

  test('sends one request to a member it knows nothing of, and no more until it has answered', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 1]));
    const picker = startPicker(peakEwma({ choices: 3 }), candidates, seededRandom(1));
    candidates.latencies.splice(0, 3, 10, 20, 0);
    candidates.underWay[0] = 40;
    candidates.underWay[1] = 40;
    assert.equal(picker.pick(null, candidates), 2);
    candidates.underWay[2] = 1;
    for (let pick = 0; pick < 50; pick++) assert.equal(picker.pick(null, candidates), 0);
    candidates.latencies[2] = 5;
    assert.equal(picker.pick(null, candidates), 2);
  });

  test('goes by requests while it knows nothing of anybody', () => {
    const candidates = new NaiveCandidates(membersOf([1, 2, 4]));
    const picker = startPicker(peakEwma({ choices: 3 }), candidates, seededRandom(1));
    candidates.underWay.splice(0, 3, 1, 2, 6);
    assert.equal(picker.pick(null, candidates), 1, '(2 + 1) / 2 is the least');
  });
});
