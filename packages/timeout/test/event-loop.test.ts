/** The same on a real event loop, with the machine's clock. Nothing here depends on how fast the machine is. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

interface Report {
  readonly ran: readonly { readonly index: number; readonly at: number }[];
  readonly expiresAt: readonly number[];
  readonly blockedUntil: number;
}

test('live deadlines do not keep a program alive', () => {
  const program = fileURLToPath(new URL('./fixtures/ends-by-itself.ts', import.meta.url));
  // The time limit is for a program that does not end: its deadlines are an hour away.
  const { status, stdout } = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([status, stdout], [0, 'armed 100\n']);
});

for (const [way, burst] of [
  ['rare', 0],
  ['frequent', 40],
] as const) {
  test(`deadlines that pass while the loop is blocked run late, in the order of their times, once; arming is ${way}`, async () => {
    const delays = [60, 20, 0, 100, 40, 20, 80];
    const worker = new Worker(new URL('./fixtures/blocked-loop.ts', import.meta.url), { workerData: { delays, burst, blockMs: 150 } });
    const [{ ran, expiresAt, blockedUntil }] = (await once(worker, 'message')) as [Report];
    await worker.terminate();
    const timeOf = (index: number): number => expiresAt[index] ?? Number.NaN;
    assert.deepEqual(
      ran.map((one) => one.index),
      Array.from(delays.keys()).toSorted((a, b) => timeOf(a) - timeOf(b) || a - b),
    );
    for (const { index, at } of ran) assert.ok(at >= Math.max(timeOf(index), blockedUntil), `${at} is before ${timeOf(index)}`);
  });
}
