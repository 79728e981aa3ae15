/** The same on a real event loop, with the machine's clock. Nothing here depends on how fast the machine is. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

interface Run {
  readonly delayMs: number;
  /** Whether it was given the time at which it was armed. */
  readonly isGiven: boolean;
  readonly armedAt: number;
  /** Null where asking would have changed it. */
  readonly expiresAt: number | null;
  readonly at: number;
}
interface Report {
  readonly ran: readonly Run[];
  readonly blockedUntil: number;
}

const delays = [60, 20, 0, 100, 40, 20, 80];
const blockMs = 150;

async function runBlocked(isFrequent: boolean): Promise<Report> {
  const worker = new Worker(new URL('./fixtures/blocked-loop.ts', import.meta.url), { workerData: { delays, isFrequent, blockMs } });
  const [report] = (await once(worker, 'message')) as [Report];
  await worker.terminate();
  assert.equal(report.ran.length, 2 * delays.length);
  for (const { armedAt, delayMs, at } of report.ran) {
    assert.ok(at >= Math.max(armedAt + delayMs, report.blockedUntil), `${at} is before ${armedAt} + ${delayMs}, or in the block`);
  }
  return report;
}

/** The tick at which one is due whose delay began at its arming. */
function tickOf({ armedAt, delayMs }: Run): number {
  return Math.ceil((armedAt + delayMs) / 10);
}

function assertOrdered(numbers: readonly number[]): void {
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
}

test('live deadlines do not keep a program alive', () => {
  const program = fileURLToPath(new URL('./fixtures/ends-by-itself.ts', import.meta.url));
  // The time limit is for a program that does not end: its deadlines are an hour away.
  const { status, stdout } = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([status, stdout], [0, 'armed 100\n']);
});

test('few deadlines that pass while the loop is blocked run when it comes round, late, in the order of their times, once', async () => {
  const { ran } = await runBlocked(false);
  assertOrdered(ran.map(({ expiresAt }) => expiresAt ?? Number.NaN));
});

test('among many, those armed with a time known do so too; the delays of the others begin after the block', async () => {
  const { ran, blockedUntil } = await runBlocked(true);
  const given = ran.filter(({ isGiven }) => isGiven);
  const counted = ran.filter(({ isGiven }) => !isGiven);
  assertOrdered(given.map(tickOf));
  assertOrdered(counted.map(({ delayMs }) => delayMs));
  for (const { delayMs, at } of counted) assert.ok(at >= blockedUntil + delayMs, `${at} is before ${blockedUntil} + ${delayMs}`);
  // Those with a time known are overdue, so all of them run before any of the others with a delay.
  const lastGiven = ran.findLastIndex(({ isGiven }) => isGiven);
  for (const { delayMs } of ran.slice(0, lastGiven).filter(({ isGiven }) => !isGiven)) assert.equal(delayMs, 0);
});
