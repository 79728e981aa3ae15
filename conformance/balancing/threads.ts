/**
 * Four threads select on one memory while a fifth, which leads, swaps sets of 3 000 backends as fast as it can; then the leader is killed with requests under way.
 *
 * Looked at: no thread sees a set that is not whole, what is under way comes to 0, one leads at a time, and what a dead thread had begun is taken back.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { HttpEnvironment } from '@ferrata/http';
import { BalancerSpace, balancerMemory, LoadBalancer } from '@ferrata/load-balancing';
import { type Outcome, outcomeOf } from '../runner.ts';
import { type Question, swappedSets, type ThreadWord } from './swapped-sets.ts';

const SELECTING = 4;
const SWAP_MS = 3_000;
const HELD = 20;
/** The balancer says: within two seconds; a tick of this thread more, and the machine's other work. */
const LEADER_WITHIN_MS = 3_000;
/** Ten seconds without a beat. */
const TAKEN_BACK_WITHIN_MS = 13_000;
const POLL_MS = 50;

class Thread {
  readonly worker: Worker;

  constructor(memory: SharedArrayBuffer, place: number) {
    this.worker = new Worker(new URL('selecting-thread.ts', import.meta.url), { workerData: { memory, place } });
  }

  /** @throws {Error} rejects with what the thread has thrown */
  async ask(question: Question): Promise<ThreadWord> {
    const answered = once(this.worker, 'message');
    this.worker.postMessage(question);
    return ((await answered) as [ThreadWord])[0];
  }
}

/** Plays it once. */
export async function checkThreads(): Promise<readonly Outcome[]> {
  const memory = balancerMemory({ maxBackends: 16_384, maxThreads: 8 });
  const leader = new Thread(memory, SELECTING);
  const threads: Thread[] = [leader];
  try {
    const first = await settled(threads, (words) => words.every(({ leads, marker }) => leads && marker !== ''));
    for (let place = 0; place < SELECTING; place++) threads.push(new Thread(memory, place));
    using space = new BalancerSpace({ environment: new HttpEnvironment(), memory });
    using observer = new LoadBalancer({ space, name: 'published', discovery: swappedSets() });
    observer.start();
    await settled(threads, (words) => words.every(({ marker }) => marker !== ''));
    const ran = await askAll(threads, { kind: 'run', forMs: SWAP_MS });
    const quiet = await settled(threads, (words) => new Set(words.map(({ marker }) => marker)).size === 1);
    const leaders = await countLeaders(threads);
    const [leading, ...selecting] = quiet;
    const outcomes = [
      await outcomeOf('threads/the first one leads', () => (first[0]?.leads === true ? null : 'it does not')),
      await outcomeOf('threads/no set is seen in parts', () => firstOf(ran.flatMap(({ problems }) => problems))),
      await outcomeOf('threads/sets were swapped, and seen by all', () => {
        const few = ran.slice(1).filter(({ sets, ownSets, selections }) => sets < 5 || ownSets < 5 || selections < 10_000);
        return few.length === 0
          ? null
          : few.map(({ sets, ownSets, selections }) => `${sets} published sets, ${ownSets} own, ${selections} selections`).join('; ');
      }),
      await outcomeOf('threads/all have the same set in the end', () =>
        selecting.every(({ marker }) => marker === leading?.marker) ? null : quiet.map(({ marker }) => marker).join(', '),
      ),
      await outcomeOf('threads/nothing counts as under way afterwards', () =>
        firstOf(quiet.filter(({ inflight }) => inflight !== 0).map(({ inflight }) => `${inflight} do`)),
      ),
      await outcomeOf('threads/one leads', () => (leaders.every((count) => count === 1) ? null : `${leaders.join(', ')} did`)),
    ];
    return [...outcomes, ...(await killLeader(threads, observer))];
  } finally {
    await Promise.all(threads.map(async ({ worker }) => await worker.terminate()));
  }
}

async function killLeader(threads: Thread[], observer: LoadBalancer): Promise<readonly Outcome[]> {
  const inflight = (): number => observer.backends.reduce((sum, backend) => sum + observer.stateOf(backend).inflight, 0);
  await askAll(threads, { kind: 'hold', places: HELD });
  const held = inflight();
  const left = held - HELD;
  const [leader] = threads.splice(0, 1);
  await leader?.worker.terminate();
  const killedAt = performance.now();
  const since = (): number => Math.round(performance.now() - killedAt);
  let leads: number | null = null;
  let takenBack: number | null = null;
  let least = held;
  while (since() < TAKEN_BACK_WITHIN_MS && (leads === null || takenBack === null)) {
    await delay(POLL_MS);
    const count = (await askAll(threads, { kind: 'status' })).filter((word) => word.leads).length + (observer.status().leads ? 1 : 0);
    if (leads === null && count === 1) leads = since();
    least = Math.min(least, inflight());
    if (takenBack === null && inflight() === left) takenBack = since();
  }
  await askAll(threads, { kind: 'end' });
  return [
    await outcomeOf('threads/what is under way is the sum of all', () =>
      held === HELD * (SELECTING + 1) ? null : `${held} in all, where each of ${SELECTING + 1} has begun ${HELD}`,
    ),
    await outcomeOf('threads/when the leader is killed another leads', () =>
      leads !== null && leads <= LEADER_WITHIN_MS ? null : `after ${String(leads)} ms`,
    ),
    await outcomeOf('threads/what a killed thread had begun is taken back, and nothing else', () =>
      takenBack !== null && least === left ? null : `taken back after ${String(takenBack)} ms, ${least} at least`,
    ),
    await outcomeOf('threads/the others have ended theirs', () => (inflight() === 0 ? null : `${inflight()} count as under way`)),
  ];
}

async function askAll(threads: readonly Thread[], question: Question): Promise<readonly ThreadWord[]> {
  return await Promise.all(threads.map(async (thread) => await thread.ask(question)));
}

/** Asks until it is so, 5 s at most. @returns what was said last */
async function settled(threads: readonly Thread[], isSo: (words: readonly ThreadWord[]) => boolean): Promise<readonly ThreadWord[]> {
  for (const latest = performance.now() + 5_000; ; await delay(POLL_MS)) {
    const words = await askAll(threads, { kind: 'status' });
    if (isSo(words) || performance.now() > latest) return words;
  }
}

/** How many lead, again and again for a second. */
async function countLeaders(threads: readonly Thread[]): Promise<readonly number[]> {
  const counts: number[] = [];
  for (let count = 0; count < 10; count++) {
    counts.push((await askAll(threads, { kind: 'status' })).filter(({ leads }) => leads).length);
    await delay(100);
  }
  return counts;
}

function firstOf(problems: readonly string[]): string | null {
  return problems[0] ?? null;
}
