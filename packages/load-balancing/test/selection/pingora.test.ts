/** What Pingora's own tests of selection say, of backends 1.1.1.1:80, 1.0.0.1:80 and 1.0.0.255:80 in Pingora's order, that of addresses. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { hashed } from '../../src/selection/hashed.ts';
import { ketama } from '../../src/selection/ketama.ts';
import { roundRobin } from '../../src/selection/round-robin.ts';
import { smoothWeighted } from '../../src/selection/smooth-weighted.ts';
import { weightedRandom } from '../../src/selection/weighted-random.ts';
import { countPicks, NaiveCandidates, picksOf, startPicker } from './fixtures/naive-candidates.ts';

const [first, second, third] = ['1.0.0.1:80', '1.0.0.255:80', '1.1.1.1:80'] as const;

const withWeights = (weights: readonly [number, number, number]): NaiveCandidates =>
  new NaiveCandidates([first, second, third].map((name, index) => ({ name, weight: weights[index] as number })));

describe('as in Pingora', () => {
  test("weighted FNV picks by weight first, and by Pingora's fixed sequence from then on", () => {
    const candidates = withWeights([10, 1, 1]);
    const picker = startPicker(hashed(), candidates, seededRandom(1));
    // Pingora's iterator gives 0 0 0 2 1 0 0 2 0 1 2 for this key.
    assert.equal(picker.pick('test', candidates), 0);
    candidates.exclude([0]);
    assert.equal(picker.pick('test', candidates), 2);
    candidates.exclude([0, 2]);
    assert.equal(picker.pick('test', candidates), 1);
    candidates.exclude([0, 1]);
    assert.equal(picker.pick('test', candidates), 2);
    candidates.exclude([]);
    const others = ['test1', 'test2', 'test3', 'test4', 'test5', 'test6', 'test7'];
    assert.deepEqual(
      others.map((key) => picker.pick(key, candidates)),
      [0, 0, 1, 2, 0, 0, 0],
    );
  });

  test('weighted round robin gives eight turns of ten to a weight of 8, without the burst that it is there', () => {
    const candidates = withWeights([8, 1, 1]);
    for (const algorithm of [roundRobin(), smoothWeighted()]) {
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      assert.deepEqual(picksOf(picker, candidates, 10), [0, 0, 0, 1, 0, 0, 2, 0, 0, 0]);
    }
  });

  test('weighted random gives 7000 to 9000 picks of 10 000 to eight tenths of the weight', () => {
    const candidates = withWeights([8, 1, 1]);
    const counts = countPicks(startPicker(weightedRandom(), candidates, seededRandom(1)), candidates, 10_000, () => null);
    assert.ok((counts[0] as number) >= 7000 && (counts[0] as number) <= 9000, `${counts[0]}`);
  });

  test('ketama has the same members for ten keys, and a member that goes moves its own keys only', () => {
    const keys = Array.from({ length: 10 }, (_, index) => `test${index}`);
    const candidates = withWeights([1, 1, 1]);
    const picker = startPicker(ketama(), candidates, seededRandom(1));
    const with3 = [0, 2, 2, 2, 2, 1, 2, 1, 2, 0];
    const with2 = [0, 2, 2, 2, 2, 0, 2, 2, 2, 0];
    assert.deepEqual(
      keys.map((key) => picker.pick(key, candidates)),
      with3,
    );
    candidates.flip(1);
    picker.refresh?.(candidates);
    assert.deepEqual(
      keys.map((key) => picker.pick(key, candidates)),
      with2,
      'while it is down',
    );
    const two = new NaiveCandidates([first, third].map((name) => ({ name, weight: 1 })));
    const smaller = startPicker(ketama(), two, seededRandom(1));
    assert.deepEqual(
      keys.map((key) => smaller.pick(key, two) * 2),
      with2,
      'when it is gone',
    );
  });

  test('a request that goes from one to the next meets each once, and ends', () => {
    for (const algorithm of [hashed(), ketama(), roundRobin(), smoothWeighted(), weightedRandom()]) {
      const candidates = withWeights([10, 1, 1]);
      const picker = startPicker(algorithm, candidates, seededRandom(1));
      const tried: number[] = [];
      for (let tries = 0; tries < 3; tries++) {
        tried.push(picker.pick('test', candidates));
        candidates.exclude(tried);
      }
      assert.deepEqual(
        tried.toSorted((one, other) => one - other),
        [0, 1, 2],
      );
      assert.equal(picker.pick('test', candidates), -1);
    }
  });

  test('a keyed algorithm without a key picks at random, by weight', () => {
    for (const algorithm of [hashed(), ketama()]) {
      const candidates = withWeights([8, 1, 1]);
      const counts = countPicks(startPicker(algorithm, candidates, seededRandom(1)), candidates, 10_000, () => null);
      assert.ok((counts[0] as number) >= 7800 && (counts[0] as number) <= 8200, `${counts[0]}`);
    }
  });
});
