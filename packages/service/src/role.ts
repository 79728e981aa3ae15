/**
 * Which part of a server this thread is to play. The same module runs in all of them.
 *
 * ```
 *   keeper ──spawn──► generation ──new Worker──► worker
 * ```
 * A process that the server's own program starts is none of them: what a keeper says to a generation by the environment is taken out of that when it is read.
 */
import { isMainThread, workerData } from 'node:worker_threads';
import { takeVariables } from './environment.ts';
import type { WorkerSeed } from './supervisor/worker-messages.ts';

/** The part to play. */
export type Role =
  /** The process that was started: holds the sockets, spawns generations, serves nothing. */
  | { readonly kind: 'keeper' }
  /** The process that serves. `generation` counts from 1. `keptOptions`: of one that died, see `unpackFileReading`; null: none died, or had any. */
  | { readonly kind: 'generation'; readonly generation: number; readonly keptOptions: string | null }
  | { readonly kind: 'worker'; readonly seed: WorkerSeed }
  /** A worker thread of the program's own, which no server can run in. */
  | { readonly kind: 'foreignThread' };

/** The variable that marks a generation: `7` for the seventh. */
export const GENERATION_VARIABLE = 'FERRATA_GENERATION';

/** The variable with the options of the server's file that a generation had which has died: its command line is read before it hears any message. */
export const OPTIONS_VARIABLE = 'FERRATA_KEPT_OPTIONS';

/** Signals that reach all processes of a terminal; a generation leaves them to its keeper, from the first moment it can. */
export const TERMINAL_SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTERM', 'SIGUSR2'] as const;

let known: Role | undefined;

/** The role of this thread. It never changes, so that a program that builds two servers is not taken for a keeper the second time. */
export function roleOfThread(): Role {
  known ??= findRole();
  return known;
}

function findRole(): Role {
  if (!isMainThread) {
    const seed = (workerData as { ferrataService?: WorkerSeed } | null)?.ferrataService;
    return seed === undefined ? { kind: 'foreignThread' } : { kind: 'worker', seed };
  }
  // Taken out: not handed on to processes that the program starts.
  const { [GENERATION_VARIABLE]: mark, [OPTIONS_VARIABLE]: keptOptions = null } = takeVariables([GENERATION_VARIABLE, OPTIONS_VARIABLE]);
  // Without a channel nobody would ever tell it to serve, or to stop: the variable has come from elsewhere.
  if (mark === undefined || !/^[1-9][0-9]{0,8}$/.test(mark) || process.send === undefined) return { kind: 'keeper' };
  // Ctrl-C goes to every process of the terminal; what it means is decided in one place.
  for (const signal of TERMINAL_SIGNALS) process.on(signal, leaveToKeeper);
  return { kind: 'generation', generation: Number(mark), keptOptions };
}

function leaveToKeeper(): void {}
