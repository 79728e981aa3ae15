/**
 * Preloaded into every process and thread of a server under test (`NODE_OPTIONS=--import`): breaks it from inside when it is told to, through files in the folder
 * that `LIFECYCLE_SABOTAGE` names. So the same faults can be had of any server, and none of them needs an interface for it.
 *
 * | file | what happens |
 * |---|---|
 * | `start` | a process that begins while it is there does what it says: `crash`, `segv`, `hang` |
 * | `worker` | one worker thread takes the file, and does what it says: `die`, `reject`, `block`, `heap`, `fill` |
 * | `done` | gets a line of each thread that has taken a file, as `PID.WORKER.THREAD MS`, the time being monotonic |
 * | `accepted` | gets a line of each connection that a worker accepts, as `PORT PID.WORKER.THREAD MS`, if it was there when the worker began |
 * | `release` | as soon as it is there `block` and `fill` end |
 * | `measure` | each thread collects its garbage, once for each text that stands there |
 * | `measured` | gets a line of each thread that has done so, as `TEXT PID WORKER BYTES-OF-HEAP`; worker 0 is the main thread |
 */
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, stat } from 'node:fs';
import { flushCompileCache } from 'node:module';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, resourceLimits, threadId, workerData } from 'node:worker_threads';
import { monotonicMs } from './monotonic.ts';

const POLL_MS = 20;

/** What is not released by then is released by itself; a worker that is blocked for 30 s is replaced. */
const LONGEST_BLOCK_MS = 25_000;
const LONGEST_FILL_MS = 90_000;

/** In use of the heap's limit: more than `critical` begins at, less than what it dies of. */
const FILL_SHARE = 0.93;

const MIB = 1_048_576;

const folder = process.env['LIFECYCLE_SABOTAGE'];
const seed = (workerData as { readonly ferrataService?: { readonly worker: number } } | null)?.ferrataService;
let measured = '';

if (folder !== undefined && isMainThread) {
  breakStart(folder);
  // The next process that runs these modules starts faster; most servers of the suite do not live to do it at their end.
  setTimeout(flushCompileCache, 1_000).unref();
  // Has libuv start its pool: threads that are counted are not to come by whatever needs them first.
  stat(folder, () => undefined);
}
if (folder !== undefined && seed !== undefined && existsSync(join(folder, 'accepted'))) tellAccepted(join(folder, 'accepted'), seed.worker);
if (folder !== undefined) setInterval(look, POLL_MS, folder).unref();

function look(at: string): void {
  measure(at);
  if (seed !== undefined) breakWorker(at, seed.worker);
}

function tellAccepted(file: string, worker: number): void {
  subscribe('net.server.socket', (message) => {
    const { remotePort, localPort } = (message as { readonly socket: Socket }).socket;
    if (remotePort !== undefined)
      appendFileSync(file, `${remotePort}>${localPort} ${process.pid}.${worker}.${threadId} ${monotonicMs()}\n`);
  });
}

function breakStart(at: string): void {
  switch (textOf(join(at, 'start'))) {
    case 'crash':
      throw new Error('sabotaged at the start');
    case 'segv':
      process.kill(process.pid, 'SIGSEGV');
      break;
    case 'hang':
      // Neither turns nor listens to anybody, but for SIGKILL.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      break;
    default:
      break;
  }
}

function breakWorker(at: string, worker: number): void {
  const order = join(at, 'worker');
  const own = `${order}.${process.pid}.${threadId}`;
  try {
    // Only one of them can have it.
    renameSync(order, own);
  } catch {
    return;
  }
  const what = textOf(own);
  rmSync(own);
  appendFileSync(join(at, 'done'), `${process.pid}.${worker}.${threadId} ${monotonicMs()}\n`);
  const end = performance.now() + (what === 'block' ? LONGEST_BLOCK_MS : LONGEST_FILL_MS);
  const isReleased = (): boolean => existsSync(join(at, 'release')) || performance.now() > end;
  switch (what) {
    case 'die':
      throw new Error('sabotaged');
    case 'reject':
      void Promise.reject(new Error('sabotaged by a promise'));
      break;
    case 'block':
      while (!isReleased());
      break;
    case 'heap': {
      const kept: unknown[] = [];
      for (;;) kept.push(numbers(131_072));
    }
    case 'fill':
      fill(isReleased);
      break;
    default:
      break;
  }
}

/** So many numbers take eight bytes of the heap each. */
function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, Math.random);
}

/** As the server counts it: the room for what is new counts whole, as V8 gives up when it could not keep all of that. */
function heapUsed(): number {
  const spaces = getHeapSpaceStatistics().filter(({ space_name }) => space_name !== 'read_only_space' && !space_name.startsWith('shared_'));
  return spaces.reduce(
    (sum, { space_name, space_size, space_used_size }) => sum + (space_name === 'new_space' ? space_size : space_used_size),
    0,
  );
}

/** Holds nearly all of this thread's heap until it is released, a quarter of a mebibyte more each turn: the loop turns, and requests are answered meanwhile. */
function fill(isReleased: () => boolean): void {
  const kept: unknown[] = [];
  const limit = (resourceLimits.maxOldGenerationSizeMb ?? 0) * MIB;
  const timer = setInterval(() => {
    if (isReleased()) {
      kept.length = 0;
      clearInterval(timer);
      collect();
    } else if (heapUsed() < limit * FILL_SHARE) {
      kept.push(numbers(32_768));
    } else {
      // What is garbage counts only once it was looked for.
      collect();
    }
  }, POLL_MS);
}

function measure(at: string): void {
  const text = textOf(join(at, 'measure'));
  if (text === null || text === '' || text === measured) return;
  measured = text;
  collect();
  appendFileSync(join(at, 'measured'), `${text} ${process.pid} ${seed?.worker ?? 0} ${getHeapStatistics().used_heap_size}\n`);
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}
