import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { DrainDeadline } from '../../src/services/drain-deadline.ts';

/** A drain of `graceMs`, with connections that stay as they are until a test changes them. */
function draining(graceMs: number, counts: { served: number; pending: number }) {
  const clock = new ManualClock();
  const deadline = new DrainDeadline(new HttpEnvironment({ clock }));
  deadline.hasten(graceMs);
  const seen = { cut: null as number | null, afterMs: 0 };
  void deadline
    .untilServed(
      () => counts.served,
      () => counts.pending,
    )
    .then((cut) => (seen.cut = cut));
  return {
    seen,
    /** In steps, as time goes; until the drain is over. */
    async pass(ms: number): Promise<void> {
      for (let passed = 0; passed < ms && seen.cut === null; passed += 10) {
        clock.advance(10);
        await new Promise((resolve) => setImmediate(resolve));
        seen.afterMs += 10;
      }
    },
  };
}

test('what is on its way holds up a drain for the grace or 3 s, whichever is less, and is not counted as cut', async () => {
  for (const [graceMs, expectedMs] of [
    [600_000, 3_000],
    [500, 500],
  ] as const) {
    const { seen, pass } = draining(graceMs, { served: 0, pending: 2 });
    await pass(20_000);
    assert.equal(seen.cut, 0);
    assert.ok(seen.afterMs >= expectedMs && seen.afterMs <= expectedMs + 50, `${seen.afterMs} ms`);
  }
});

test('what is served has the whole grace, and is counted; what ends meanwhile ends the drain, though something is on its way still', async () => {
  const cut = draining(5_000, { served: 2, pending: 1 });
  await cut.pass(20_000);
  assert.equal(cut.seen.cut, 2);
  assert.ok(cut.seen.afterMs >= 5_000);
  const counts = { served: 1, pending: 1 };
  const ended = draining(600_000, counts);
  await ended.pass(4_000);
  assert.equal(ended.seen.cut, null);
  counts.served = 0;
  await ended.pass(100);
  assert.equal(ended.seen.cut, 0);
});

test('one that has come through is waited for, also behind the 3 s', async () => {
  const counts = { served: 0, pending: 1 };
  const { seen, pass } = draining(600_000, counts);
  await pass(2_900);
  Object.assign(counts, { served: 1, pending: 0 });
  await pass(1_000);
  assert.equal(seen.cut, null);
  counts.served = 0;
  await pass(100);
  assert.equal(seen.cut, 0);
});
