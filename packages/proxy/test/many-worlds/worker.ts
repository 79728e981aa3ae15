/** One of the processes among which the suite deals out its worlds: takes an order from its parent, and tells what becomes of it, batch by batch. */
import { Tally } from '../world/replay.ts';
import { FAMILIES, type Family, worldsOf } from './families.ts';
import type { BatchReport } from './totals.ts';

/** What a worker is to do. */
export interface WorkerOrder {
  readonly seed: number;
  /** In all. With `untilMs` they are run again and again, with other seeds. */
  readonly worlds: number;
  /** When to stop, by the clock; null: when all are done. */
  readonly untilMs: number | null;
  readonly isShort: boolean;
  /** Whether smaller plans that fail, too, are looked for. */
  readonly shrinks: boolean;
}

const BATCH = 250;

/** A kind of worlds that has failed so often says nothing new. */
const MAX_FAILURES = 5;

process.once('message', (order: WorkerOrder) => void work(order));
// Nobody is told of anything any more.
process.once('disconnect', () => process.exit(1));

async function work({ seed, worlds, untilMs, isShort, shrinks }: WorkerOrder): Promise<void> {
  // An error that is expected costs more by its stack than all else.
  Error.stackTraceLimit = 0;
  const failures = new Map<Family, number>();
  let round = 0;
  do {
    for (const family of FAMILIES) {
      const wanted = worldsOf(family, worlds);
      for (let done = 0; done < wanted && !isLate(untilMs); done += BATCH) {
        const failed = failures.get(family) ?? 0;
        if (failed >= MAX_FAILURES) break;
        const batchSeed = (seed + 1_009 * done + 7_919 * round++) % 0x7fff_ffff;
        const report = await runBatch(family, {
          seed: batchSeed,
          worlds: Math.min(BATCH, wanted - done),
          isShort,
          // The smallest plan of one failure is found; looking for those of others takes long.
          shrinks: shrinks && failed === 0,
        });
        if (report.failure !== null) failures.set(family, failed + 1);
        process.send?.(report);
      }
    }
  } while (untilMs !== null && !isLate(untilMs) && failures.size < FAMILIES.length);
  process.removeAllListeners('disconnect');
  process.disconnect();
}

async function runBatch(
  family: Family,
  { seed, worlds, isShort, shrinks }: { seed: number; worlds: number; isShort: boolean; shrinks: boolean },
): Promise<BatchReport> {
  const tally = new Tally();
  const hashes = new Set<string>();
  let [count, requests] = [0, 0];
  const failure = await family.check({
    seed,
    worlds,
    only: null,
    isShort,
    shrinks,
    tally,
    onWorld: ({ requestCount, hash }) => {
      count++;
      requests += requestCount;
      hashes.add(hash);
    },
  });
  // What shrinking has run is not counted.
  const ran = failure === null ? count : Number(failure.path) + 1;
  return { family: family.name, seed, worlds: ran, requests, histories: Math.min(ran, hashes.size), seen: [...tally.seen], failure };
}

function isLate(untilMs: number | null): boolean {
  return untilMs !== null && Date.now() >= untilMs;
}
