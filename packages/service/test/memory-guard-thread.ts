/** A thread with a small heap: fills it until the guard says `critical`, lets go of all, and goes on making garbage until the guard says `none`. */
import { parentPort } from 'node:worker_threads';
import { systemClock } from '@ferrata/clock';
import { MemoryGuard } from '../src/worker/memory-guard.ts';

/** So many turns, whatever the guard says: some 30 s. */
const MAX_TURNS = 6_000;

const stages: string[] = [];
let kept: unknown[] | null = [];
const guard = new MemoryGuard({
  clock: systemClock,
  intervalMs: 20,
  onPressure(stage) {
    if (stages.at(-1) !== stage) stages.push(stage);
    if (stage === 'critical' || stage === 'last') kept = null;
  },
});
guard.start();

let turns = 0;
const loop = setInterval(() => {
  turns++;
  for (let made = 0; made < 1_000; made++) kept?.push([made, { made }]);
  if (kept === null) Array.from({ length: 50_000 }, (_, at) => [at, { at }]);
  if (turns < MAX_TURNS && (kept !== null || guard.stage !== 'none')) return;
  clearInterval(loop);
  guard.close();
  parentPort?.postMessage(stages);
}, 5);
