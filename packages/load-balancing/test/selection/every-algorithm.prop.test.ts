/** What holds of every algorithm, whatever happens. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import type { SelectionAlgorithm } from '../../src/selection/algorithm.ts';
import { boundedLoad } from '../../src/selection/bounded-load.ts';
import { hashed } from '../../src/selection/hashed.ts';
import { ketama } from '../../src/selection/ketama.ts';
import { leastRequests } from '../../src/selection/least-requests.ts';
import { maglev } from '../../src/selection/maglev.ts';
import { peakEwma } from '../../src/selection/peak-ewma.ts';
import { powerOfTwo } from '../../src/selection/power-of-two.ts';
import { roundRobin } from '../../src/selection/round-robin.ts';
import { smoothWeighted } from '../../src/selection/smooth-weighted.ts';
import { weightedRandom } from '../../src/selection/weighted-random.ts';
import { anyHistory, anyWeights, happen } from './fixtures/histories.ts';
import { membersOf, NaiveCandidates, startPicker } from './fixtures/naive-candidates.ts';

/** Small rings and tables, as a set is built for each history; room for the greatest weights that histories have. */
const smallRing = { pointsPerWeight: 1, maxPoints: 2 ** 21 };
const algorithms: readonly SelectionAlgorithm[] = [
  roundRobin(),
  roundRobin({ start: 'random' }),
  smoothWeighted(),
  weightedRandom(),
  leastRequests(),
  powerOfTwo(),
  powerOfTwo({ choices: 5 }),
  peakEwma(),
  peakEwma({ choices: 3 }),
  ketama(smallRing),
  maglev({ tableSize: 251 }),
  hashed(),
  hashed({ hash: 'fnv1a32' }),
  hashed({ hash: (key) => key.length }),
  boundedLoad({ over: ketama(smallRing) }),
  boundedLoad({ over: maglev({ tableSize: 211 }), factor: 1 }),
  boundedLoad({ over: roundRobin() }),
  boundedLoad({ over: powerOfTwo(), factor: 2 }),
];

for (const [index, algorithm] of algorithms.entries()) {
  describe(`${algorithm.name} (${index})`, () => {
    test('picks whoever is open, and nobody just when nobody is', () => {
      fc.assert(
        fc.property(anyWeights, anyHistory, fc.integer(), (weights, history, seed) => {
          happen(algorithm, weights, history, seededRandom(seed), {
            onPick(picked, _key, candidates) {
              if (picked === -1) assert.deepEqual(candidates.open(), []);
              else assert.ok(candidates.isOpen(picked), `${picked} of ${candidates.open().join(' ')}`);
            },
          });
        }),
        { numRuns: 60 },
      );
    });

    test('is frozen, and picks nobody of nobody', () => {
      assert.ok(Object.isFrozen(algorithm));
      const candidates = new NaiveCandidates([]);
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      assert.equal(picker.pick(null, candidates), -1);
      assert.equal(picker.pick('key', candidates), -1);
    });

    test('finds the one that is open of many', () => {
      const weights = Array.from({ length: 200 }, (_, member) => 1 + (member % 2));
      const candidates = new NaiveCandidates(membersOf(weights));
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      for (const left of [0, 77, 199]) {
        candidates.exclude([...weights.keys()].filter((member) => member !== left));
        for (const key of [null, 'a', 'b', Uint8Array.of(0, 255)]) assert.equal(picker.pick(key, candidates), left);
      }
      candidates.exclude(weights.keys());
      for (const key of [null, 'a']) assert.equal(picker.pick(key, candidates), -1);
    });

    test('finds the one that is ready of many', () => {
      const candidates = new NaiveCandidates(membersOf(Array.from({ length: 50 }, () => 3)));
      for (let member = 0; member < 50; member++) if (member !== 31) candidates.flip(member);
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      for (const key of [null, 'a', 'b', 'c']) assert.equal(picker.pick(key, candidates), 31);
      candidates.flip(31);
      picker.refresh?.(candidates);
      for (const key of [null, 'a']) assert.equal(picker.pick(key, candidates), -1);
    });

    test('never picks one of weight 0, and serves the tiniest fraction of a weight', () => {
      const candidates = new NaiveCandidates(membersOf([0, 65_535, 0, 65_535]));
      candidates.warm(1, 1e-12);
      candidates.warm(3, 1e-15);
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      for (let pick = 0; pick < 500; pick++) assert.ok([1, 3].includes(picker.pick(pick % 2 === 0 ? null : `${pick}`, candidates)));
      candidates.exclude([1]);
      for (let pick = 0; pick < 100; pick++) assert.equal(picker.pick(pick % 2 === 0 ? null : `${pick}`, candidates), 3);
    });
  });
}

describe('of a hundred thousand members', () => {
  const count = 100_000;
  const candidates = new NaiveCandidates(membersOf(Array.from({ length: count }, (_, member) => 1 + (member % 3))));
  const large = [
    roundRobin(),
    smoothWeighted(),
    weightedRandom(),
    leastRequests(),
    powerOfTwo(),
    peakEwma(),
    hashed(),
    maglev({ tableSize: 1_000_003 }),
  ];
  for (const algorithm of large) {
    test(`${algorithm.name} picks many, and hardly any again and again`, () => {
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      const picked = new Set<number>();
      for (let pick = 0; pick < 300; pick++) picked.add(picker.pick(`key ${pick}`, candidates));
      assert.ok(picked.size > 280 && !picked.has(-1), `${picked.size} of 300`);
    });
  }

  test('ketama and a small table of maglev refuse', () => {
    assert.throws(() => startPicker(ketama(), candidates, seededRandom(1)), RangeError);
    assert.throws(() => startPicker(maglev(), candidates, seededRandom(1)), {
      name: 'RangeError',
      message: 'a Maglev table of 65537 entries is for at most 65537 backends, not 100000',
    });
  });
});
