/** A process whose memory falls and grows again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { MemoryGuard } from '../../src/worker/memory-guard.ts';

test('what the kernel got back and is taken anew is growth, though there once was more', () => {
  const clock = new ManualClock();
  let residentBytes = 990;
  const guard = new MemoryGuard({
    clock,
    onPressure: () => {},
    sample: () => ({
      heapUsedBytes: 100,
      heapSurvivedBytes: Infinity,
      heapLimitBytes: 1_000,
      residentBytes,
      residentLimitBytes: 1_000,
    }),
  });
  const after = (ms: number, bytes: number): string => {
    residentBytes = bytes;
    clock.advance(ms);
    return guard.stage;
  };
  guard.start();
  assert.equal(guard.stage, 'last');
  assert.equal(after(20_000, 860), 'tight');
  assert.equal(after(250, 900), 'tight');
  assert.equal(after(250, 985), 'last');
  assert.equal(after(20_000, 985), 'tight');
  // Less than the distance was given back: the allocator only breathes.
  assert.equal(after(250, 950), 'tight');
  assert.equal(after(250, 985), 'tight');
  guard.close();
});
