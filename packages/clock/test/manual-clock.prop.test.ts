import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../src/index.ts';

test('any set of wake-ups, some cancelled, runs sorted by time and then by order of asking, whatever the steps', () => {
  const wakeups = fc.array(fc.record({ delay: fc.integer({ min: 0, max: 40 }), isCancelled: fc.boolean() }), { maxLength: 60 });
  const steps = fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(wakeups, steps, (wakeups, steps) => {
      const clock = new ManualClock();
      const ran: number[] = [];
      const handles = wakeups.map(({ delay }, index) =>
        clock.schedule(delay, () => {
          assert.equal(clock.now(), delay);
          ran.push(index);
        }),
      );
      wakeups.forEach(({ isCancelled }, index) => isCancelled && handles[index]?.cancel());
      for (const step of steps) clock.advance(step);

      const expected = wakeups
        .map(({ delay, isCancelled }, index) => ({ delay, isCancelled, index }))
        .filter(({ delay, isCancelled }) => !isCancelled && delay <= clock.now())
        .toSorted((a, b) => a.delay - b.delay || a.index - b.index);
      assert.deepEqual(
        ran,
        expected.map(({ index }) => index),
      );
    }),
  );
});
