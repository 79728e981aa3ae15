/** One of the processes among which the suite deals out its worlds: takes an order from its parent, and tells what becomes of it, batch by batch. */
import { FAMILIES, type WorldFailure } from './families.ts';

/** What a worker is to do. */
export interface WorkerOrder {
  readonly seed: number;
  /** In all. With `untilMs` they are run again and again, with other seeds. */
  readonly worlds: number;
  /** When to stop, by the clock; null: when all are done. */
  readonly untilMs: number | null;
  readonly isShort: boolean;
}

/** One batch of worlds of one kind and one seed. */
export interface BatchReport {
  readonly family: string;
  readonly seed: number;
  readonly worlds: number;
  readonly requests: number;
  readonly failure: WorldFailure | null;
}

const BATCH = 250;

process.once('message', (order: WorkerOrder) => void work(order));

async function work({ seed, worlds, untilMs, isShort }: WorkerOrder): Promise<void> {
  // An error that is expected costs more by its stack than all else.
  Error.stackTraceLimit = 0;
  let round = 0;
  do {
    for (const family of FAMILIES) {
      const wanted = Math.ceil((worlds * family.share) / 100);
      for (let done = 0; done < wanted && !isLate(untilMs); done += BATCH) {
        const batchSeed = (seed + 1_009 * done + 7_919 * round++) % 0x7fff_ffff;
        let count = 0;
        let requests = 0;
        const failure = await family.check({
          seed: batchSeed,
          worlds: Math.min(BATCH, wanted - done),
          only: null,
          isShort,
          onWorld: ({ requestCount }) => {
            count++;
            requests += requestCount;
          },
        });
        // What shrinking has run is not counted.
        const ran = failure === null ? count : Number(failure.path) + 1;
        process.send?.({ family: family.name, seed: batchSeed, worlds: ran, requests, failure } satisfies BatchReport);
      }
    }
  } while (untilMs !== null && !isLate(untilMs));
  process.disconnect();
}

function isLate(untilMs: number | null): boolean {
  return untilMs !== null && Date.now() >= untilMs;
}
