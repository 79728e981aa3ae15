/** The ring: nginx's members, the walk, and updates. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { KetamaRing } from '@ferrata/ketama';
import fc from 'fast-check';
import { ketama } from '../../src/selection/ketama.ts';
import { anyHistory, anyKey, happen } from './fixtures/histories.ts';
import { buildPicker, countPicks, membersOf, NaiveCandidates, startPicker, worstError } from './fixtures/naive-candidates.ts';

const keyOf = (index: number): string => `/objects/${index}`;

describe('ketama', () => {
  test('gives each key to the node that a ring of those open has for it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { maxLength: 10 }), anyHistory, (weights, history) => {
        const list = membersOf(weights);
        happen(ketama({ pointsPerWeight: 20 }), weights, history, seededRandom(1), {
          onPick(picked, key, candidates) {
            if (key === null) return;
            const nodes = candidates.open().map((member) => ({ address: list[member]?.name ?? '', weight: weights[member] as number }));
            const node = new KetamaRing(nodes, { pointsPerWeight: 20 }).node(key);
            assert.equal(picked === -1 ? undefined : list[picked]?.name, node);
          },
        });
      }),
      { numRuns: 100 },
    );
  });

  test('moves no key but those of a member that goes down, and moves them back', () => {
    const candidates = new NaiveCandidates(membersOf([1, 1, 2, 1, 3]));
    const picker = startPicker(ketama(), candidates, seededRandom(1));
    const before = Array.from({ length: 5000 }, (_, index) => picker.pick(keyOf(index), candidates));
    candidates.flip(2);
    picker.refresh?.(candidates);
    const during = before.map((_, index) => picker.pick(keyOf(index), candidates));
    for (const [index, member] of before.entries()) assert.ok(member === 2 ? during[index] !== 2 : during[index] === member);
    assert.equal(new Set(during.filter((_, index) => before[index] === 2)).size, 4, 'all others inherit');
    candidates.flip(2);
    picker.refresh?.(candidates);
    assert.deepEqual(
      before.map((_, index) => picker.pick(keyOf(index), candidates)),
      before,
    );
  });

  test('finds a member that has no point of its own on the ring', () => {
    const candidates = new NaiveCandidates([
      { name: 'host', weight: 1 },
      { name: 'host:', weight: 1 },
    ]);
    const picker = startPicker(ketama(), candidates, seededRandom(1));
    assert.equal(picker.pick('key', candidates), 0);
    candidates.exclude([0]);
    assert.equal(picker.pick('key', candidates), 1);
  });

  test('after any updates is the ring that a new one would be', () => {
    const anyList = fc.uniqueArray(
      fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'a:', 'b:', 'unix:c'), weight: fc.nat(3) }),
      {
        selector: ({ name }) => name,
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(fc.array(anyList, { minLength: 2, maxLength: 5 }), fc.array(anyKey, { minLength: 5 }), (lists, keys) => {
        let previous = null;
        for (const list of lists) {
          const candidates = new NaiveCandidates(list);
          const picker = buildPicker(ketama({ pointsPerWeight: 10 }), candidates.members, seededRandom(1), previous);
          picker.refresh?.(candidates);
          const fresh = startPicker(ketama({ pointsPerWeight: 10 }), candidates, seededRandom(1));
          for (const key of keys) if (key !== null) assert.equal(picker.pick(key, candidates), fresh.pick(key, candidates));
          previous = picker;
        }
      }),
    );
  });

  test('of ten thousand members is built in steps, and an update takes far fewer', () => {
    const list = membersOf(Array.from({ length: 10_000 }, () => 1));
    const stepsOf = (
      members: NaiveCandidates,
      previous: ReturnType<typeof buildPicker> | null,
    ): { steps: number; picker: typeof previous } => {
      const building = ketama().build(members.members, { random: seededRandom(1), previous });
      assert.ok('next' in building);
      let steps = 1;
      let step = building.next();
      for (; step.done !== true; steps++) step = building.next();
      return { steps, picker: step.value };
    };
    const whole = stepsOf(new NaiveCandidates(list), null);
    const changed = stepsOf(new NaiveCandidates(list.with(5000, { name: '192.0.2.1:80', weight: 1 })), whole.picker);
    assert.ok(whole.steps > 100 && changed.steps > 10 && changed.steps < whole.steps / 3, `${whole.steps}, ${changed.steps}`);
  });

  test('spreads keys as the ring does: within 12 % for ten members, by more points more evenly', () => {
    const weights = Array.from({ length: 10 }, () => 1);
    const candidates = new NaiveCandidates(membersOf(weights));
    const spread = (pointsPerWeight: number): number =>
      worstError(countPicks(startPicker(ketama({ pointsPerWeight }), candidates, seededRandom(1)), candidates, 200_000, keyOf), weights);
    assert.ok(spread(160) < 0.25, `${spread(160)}`);
    assert.ok(spread(3200) < 0.05, `${spread(3200)}`);
  });

  test('refuses options out of range at once, and members of too much weight when built for them', () => {
    assert.throws(() => ketama({ pointsPerWeight: 0 }), { name: 'RangeError', message: /^pointsPerWeight/ });
    assert.throws(() => ketama({ maxPoints: 0.5 }), { name: 'RangeError', message: /^maxPoints/ });
    const heavy = new NaiveCandidates(membersOf([65_535]));
    assert.throws(() => startPicker(ketama(), heavy, seededRandom(1)), RangeError);
    assert.equal(startPicker(ketama({ maxPoints: 2 ** 24 }), heavy, seededRandom(1)).pick('key', heavy), 0);
  });
});
