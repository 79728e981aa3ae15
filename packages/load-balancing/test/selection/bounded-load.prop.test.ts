/** Bounded loads: the bound, the walk, and the keys that stay. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { KetamaRing } from '@ferrata/ketama';
import fc from 'fast-check';
import { boundedLoad } from '../../src/selection/bounded-load.ts';
import { ketama } from '../../src/selection/ketama.ts';
import { maglev } from '../../src/selection/maglev.ts';
import { roundRobin } from '../../src/selection/round-robin.ts';
import { weightedRandom } from '../../src/selection/weighted-random.ts';
import { anyHistory, happen } from './fixtures/histories.ts';
import { membersOf, NaiveCandidates, startPicker } from './fixtures/naive-candidates.ts';

/** The most that a member may have, once it has one more. */
function boundOf(member: number, candidates: NaiveCandidates, factor: number): number {
  const ready = [...candidates.ready.subarray(0, candidates.readyCount)];
  const total = ready.reduce((sum, one) => sum + candidates.inflight(one), 0);
  return Math.ceil(((factor * (candidates.weights[member] as number)) / candidates.totalWeight) * (total + 1));
}

const hasRoom = (member: number, candidates: NaiveCandidates, factor: number): boolean =>
  candidates.inflight(member) + 1 <= boundOf(member, candidates, factor);

const small = { pointsPerWeight: 10 };
const anySmallWeights = fc.array(fc.nat(4), { maxLength: 10 });

class CountingCandidates extends NaiveCandidates {
  looks = 0;

  override inflight(member: number): number {
    this.looks += 1;
    return super.inflight(member);
  }
}

describe('bounded load', () => {
  for (const over of [ketama(small), maglev({ tableSize: 101 }), roundRobin(), weightedRandom()]) {
    test(`over ${over.name} never goes above its bound, unless all that are open would`, () => {
      fc.assert(
        fc.property(anySmallWeights, anyHistory, fc.constantFrom(1, 1.1, 1.25, 2), (weights, history, factor) => {
          happen(boundedLoad({ over, factor }), weights, history, seededRandom(1), {
            onPick(picked, _key, candidates) {
              if (picked === -1 || hasRoom(picked, candidates, factor)) return;
              assert.ok(!candidates.open().some((member) => hasRoom(member, candidates, factor)));
              assert.ok(!candidates.isPlain, 'all that are ready cannot be full');
            },
          });
        }),
        { numRuns: 150 },
      );
    });
  }

  test('takes the first on the ring that is open and has room', () => {
    fc.assert(
      fc.property(anySmallWeights, anyHistory, fc.constantFrom(1, 1.25, 3), (weights, history, factor) => {
        const list = membersOf(weights);
        const nodes = list.flatMap(({ name, weight }) => (weight > 0 ? [{ address: name, weight }] : []));
        const ring = new KetamaRing(nodes, small);
        happen(boundedLoad({ over: ketama(small), factor }), weights, history, seededRandom(1), {
          onPick(picked, key, candidates) {
            if (key === null) return;
            const walk = [...ring.nodesFrom(key)].map((name) => list.findIndex((one) => one.name === name));
            const first = walk.find((member) => candidates.isOpen(member) && hasRoom(member, candidates, factor));
            if (first !== undefined) assert.equal(picked, first);
          },
        });
      }),
      { numRuns: 150 },
    );
  });

  test('keeps one key that everybody wants from drowning its member', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 1, 1, 2]));
    const picker = startPicker(boundedLoad(), candidates, seededRandom(1));
    for (let request = 0; request < 600; request++) {
      const member = picker.pick('the one', candidates);
      candidates.underWay[member] = (candidates.underWay[member] as number) + 1;
      for (let other = 0; other < 5; other++) {
        assert.ok((candidates.underWay[other] as number) <= Math.ceil((1.25 * (request + 1) * (candidates.weights[other] as number)) / 6));
      }
    }
    assert.equal(
      candidates.underWay.reduce((sum, count) => sum + count, 0),
      600,
    );
  });

  test('leaves each key at home while there is room', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 1, 1]));
    const plain = startPicker(ketama(), candidates, seededRandom(1));
    const bounded = startPicker(boundedLoad(), candidates, seededRandom(1));
    candidates.underWay.fill(100);
    for (let key = 0; key < 1000; key++) assert.equal(bounded.pick(`${key}`, candidates), plain.pick(`${key}`, candidates));
  });

  test('gives a request that all with room have refused to the one with the least for its weight', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 4, 1]));
    const picker = startPicker(boundedLoad(), candidates, seededRandom(1));
    candidates.underWay.splice(0, 4, 50, 60, 150, 0);
    candidates.exclude([3, 0]);
    assert.equal(picker.pick('key', candidates), 2);
  });

  test('looks no further than it takes to know that there is room', () => {
    const candidates = new CountingCandidates(membersOf(Array.from({ length: 1000 }, () => 1)));
    const picker = startPicker(boundedLoad(), candidates, seededRandom(1));
    candidates.looks = 0;
    assert.notEqual(picker.pick('key', candidates), -1);
    assert.equal(candidates.looks, 1);
    candidates.underWay.fill(3);
    candidates.looks = 0;
    assert.notEqual(picker.pick('key', candidates), -1);
    assert.ok(candidates.looks > 700 && candidates.looks < 900, `${candidates.looks}`);
  });

  test('is named after what it stands over, and refuses nonsense', () => {
    assert.equal(boundedLoad().name, 'bounded-load/ketama');
    assert.equal(boundedLoad({ over: maglev() }).name, 'bounded-load/maglev');
    for (const factor of [0.99, 0, -1, Number.NaN, 1001])
      assert.throws(() => boundedLoad({ factor }), { name: 'RangeError', message: /^factor/ });
    for (const over of [null, {}, 'ketama'])
      assert.throws(() => boundedLoad({ over: over as unknown as ReturnType<typeof ketama> }), TypeError);
  });
});
