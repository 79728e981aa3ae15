/** What the admin endpoint tells of, and what it can have done: the supervisor, as far as it matters there. */
import type { Phase } from '../phase.ts';
import type { ServiceCounts } from '../service.ts';

/** What is known at once, without asking a worker: a hung one must not keep anybody from learning that it hangs. */
export interface AdminStatus {
  readonly phase: Phase;
  /** Connections should be sent here: the phase is `running` or one of an upgrade, and a worker at least has all services that run in every worker. */
  readonly ready: boolean;
  /** At least one worker lives, and its event loop turns. */
  readonly healthy: boolean;
  /** Counts the processes that have served, from 1. */
  readonly generation: number;
  /** The number of the configuration in force. */
  readonly configVersion: number;
}

/** One worker thread. */
export interface AdminWorker {
  /** 1 and up. */
  readonly worker: number;
  readonly state: 'starting' | 'running' | 'blocked' | 'draining' | 'waitingForRestart' | 'ended';
  /** How often it was replaced. */
  readonly restarts: number;
  /** How long its event loop has stood still, in ms; 0: it turns. */
  readonly blockedMs: number;
  /** Null: it did not answer in time. */
  readonly heapUsedBytes: number | null;
  /** By the name of the service; null: it did not answer in time. */
  readonly services: Readonly<Record<string, ServiceCounts>> | null;
}

/** What became of something that was asked for. */
export type AdminOutcome =
  | { readonly outcome: 'reloaded'; readonly version: number; readonly changes: readonly string[] }
  | { readonly outcome: 'unchanged'; readonly version: number }
  /** A new process serves: after an upgrade, or a reload that needed one. */
  | { readonly outcome: 'replaced'; readonly changes?: readonly string[] }
  /** Everything has ended that was under way; `cut` connections had to be cut. The server ends behind this answer. */
  | { readonly outcome: 'drained'; readonly cut: number }
  /** The configuration or the program is wrong; nothing has changed. */
  | { readonly outcome: 'refused'; readonly why: string }
  /** It was tried, and did not work; everything goes on as before. */
  | { readonly outcome: 'failed'; readonly why: string }
  /** Something else is under way, or the server is stopping: not tried. */
  | { readonly outcome: 'busy'; readonly why: string };

/** Implemented by the supervisor. Promises settle when the thing is done. */
export interface AdminTarget {
  status(): AdminStatus;
  /** Asks the workers, each for a bounded time. */
  workers(): Promise<readonly AdminWorker[]>;
  /** Services of the main thread, by name; without asking anybody. */
  main(): Readonly<Record<string, ServiceCounts>>;
  reload(): Promise<AdminOutcome>;
  /** Stops the server in order. Settles when what was under way has ended, before the process ends. */
  drain(): Promise<AdminOutcome>;
  upgrade(): Promise<AdminOutcome>;
}
