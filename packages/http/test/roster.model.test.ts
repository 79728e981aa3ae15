/** A roster against a `Set`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Roster, type RosterMember } from '../src/internal/roster.ts';

interface Member extends RosterMember {
  readonly name: number;
}

const members = (count: number): Member[] => Array.from({ length: count }, (_, name) => ({ name, rosterBefore: null, rosterBehind: null }));

describe('rosters', () => {
  test('members stand in the order in which they came, whoever leaves', () => {
    const all = members(6);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: all.length - 1 }), { maxLength: 60 }), (steps) => {
        const roster = new Roster<Member>();
        const model = new Set<Member>();
        for (const index of steps) {
          const member = all[index] as Member;
          assert.equal(roster.delete(member), model.has(member));
          if (!model.delete(member)) {
            roster.add(member);
            model.add(member);
          }
          assert.equal(roster.size, model.size);
          assert.equal(roster.first, model.values().next().value ?? null);
          assert.deepEqual(
            roster.toArray().map(({ name }) => name),
            [...model].map(({ name }) => name),
          );
        }
        for (const member of model) roster.delete(member);
        assert.ok(all.every((member) => member.rosterBefore === null && member.rosterBehind === null));
      }),
    );
  });

  test('those that leave while it is gone through are left out, and those that come too', () => {
    const [one, two, three, four] = members(4) as [Member, Member, Member, Member];
    const roster = new Roster<Member>();
    for (const member of [one, two, three]) roster.add(member);
    const met: number[] = [];
    for (const member of roster) {
      met.push(member.name);
      if (member !== one) continue;
      roster.delete(one);
      roster.delete(two);
      roster.add(four);
    }
    assert.deepEqual(met, [one.name, three.name]);
    assert.equal(roster.first, three);
  });
});
