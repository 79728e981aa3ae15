/** The heap of what is due. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckSchedule } from '../../src/health/check-schedule.ts';

interface Item {
  readonly id: number;
  dueAt: number;
  order: number;
}

test('what is due comes out in the order of its time, of equal times in that of putting in, also after some were taken out', () => {
  const times = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 });
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 7 }), fc.integer({ min: 0, max: 20 }), (given, divisor, now) => {
      const schedule = new CheckSchedule<Item>();
      const items = given.map((dueAt, id) => ({ id, dueAt, order: -1 }));
      for (const item of items) schedule.add(item);
      schedule.keep(({ id }) => id % divisor !== 0);
      const kept = items.filter(({ id }) => id % divisor !== 0);
      assert.equal(schedule.size, kept.length);
      assert.equal(schedule.nextAt, Math.min(...kept.map(({ dueAt }) => dueAt)));
      const taken: number[] = [];
      for (let item = schedule.takeDue(now); item !== null; item = schedule.takeDue(now)) taken.push(item.id);
      const expected = kept.filter(({ dueAt }) => dueAt <= now).toSorted((a, b) => a.dueAt - b.dueAt || a.id - b.id);
      assert.deepEqual(
        taken,
        expected.map(({ id }) => id),
      );
      assert.equal(schedule.size, kept.length - taken.length);
    }),
    { numRuns: 300 },
  );
});
