/** Which worlds are simulated, and their simulation on as many threads as there are processors. */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { SCENARIOS } from './scenarios.ts';
import type { SimulationJob, SimulationResult } from './simulation.ts';

/** Those whose means are drawn and printed. */
export const SEEDS = [1, 2, 3, 4, 5] as const;

const MAX_THREADS = 8;

/** The worlds that need no ejection: with and without they are the same, which is looked at for one seed. Keys that all want are trouble of their own. */
const QUIET = new Set(SCENARIOS.filter(({ turns, keys }) => turns.length + keys === 0).map(({ id }) => id));

/** Whether nothing goes wrong in it. */
export function isQuiet(scenario: string): boolean {
  return QUIET.has(scenario);
}

/** All worlds of a seed. */
export function jobsOf(
  seed: number,
  { isWhole, length = 1 }: { readonly isWhole: boolean; readonly length?: number },
): readonly SimulationJob[] {
  return SCENARIOS.flatMap(({ id, algorithms }) =>
    algorithms.flatMap((algorithm) =>
      [false, true]
        .filter((ejects) => isWhole || !ejects || !isQuiet(id))
        .map((ejects) => ({ scenario: id, algorithm, ejects, seed, length })),
    ),
  );
}

/** The worlds of the chart. */
export function chartJobs(): readonly SimulationJob[] {
  return SEEDS.flatMap((seed) => jobsOf(seed, { isWhole: seed === SEEDS[0] }));
}

/** Lives through worlds. @returns results in the order of the jobs @throws {Error} rejects with what a thread has thrown */
export async function runJobs(jobs: readonly SimulationJob[]): Promise<readonly SimulationResult[]> {
  const results: SimulationResult[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    const thread = new Worker(new URL('simulation-thread.ts', import.meta.url));
    try {
      while (next < jobs.length) {
        const place = next++;
        thread.postMessage(jobs[place]);
        // Rejects with the error of a thread that fails.
        const [result] = (await once(thread, 'message')) as [SimulationResult];
        results[place] = result;
      }
    } finally {
      await thread.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(MAX_THREADS, availableParallelism(), jobs.length) }, work));
  return results;
}
