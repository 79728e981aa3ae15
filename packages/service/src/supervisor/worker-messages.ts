/**
 * What the main thread of a generation and its workers say to each other.
 *
 * ```
 *  main thread                              worker
 *    │── new Worker(module, WorkerSeed) ──────►│   the module runs, `run` was called
 *    │◄───────────────────────────── up ───────│
 *    │── startService {name} ─────────────────►│   in the order of dependencies; one at a time or several
 *    │◄────────────── started | startFailed ───│
 *    │── prepare {snapshot} ──────────────────►│
 *    │◄───────────────────────── prepared ─────│
 *    │── commit | discard {version} ──────────►│
 *    │◄──────────────────────── committed ─────│
 *    │── drain {graceMs} · close ─────────────►│
 *    │◄────────────────────────── drained ─────│   then `close`, and the thread ends
 * ```
 */
import type { Phase } from '../phase.ts';
import type { Notice, ServiceCounts, ServiceSocket } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';

/** What a worker is born with: its `workerData`, under the name `ferrataService`. */
export interface WorkerSeed {
  /** 1 and up; a replacement has the number of the one it replaces. */
  readonly worker: number;
  readonly threads: number;
  readonly snapshot: Snapshot<unknown>;
  /** By the name of the service: descriptors that are this worker's alone. */
  readonly sockets: Readonly<Record<string, readonly ServiceSocket[]>>;
  /** Shared memory by name. */
  readonly shared: Readonly<Record<string, SharedArrayBuffer>>;
  /** See `heartbeats.ts`. */
  readonly heartbeats: SharedArrayBuffer;
  readonly phase: Phase;
  /** Of `WorkerOptions`: as the main thread has it, since a worker does not read the file of options. */
  readonly uncaught: 'replace' | 'report';
}

/** From the main thread. */
export type SupervisorMessage =
  /** `sockets`: of a `oneWorker` service, which a worker may be elected for long after its birth; null: those of the seed. */
  | { readonly kind: 'startService'; readonly name: string; readonly waitedMs: number; readonly sockets: readonly ServiceSocket[] | null }
  | { readonly kind: 'prepare'; readonly snapshot: Snapshot<unknown> }
  | { readonly kind: 'commit'; readonly version: number }
  | { readonly kind: 'discard'; readonly version: number }
  | { readonly kind: 'counts'; readonly id: number }
  | { readonly kind: 'phase'; readonly phase: Phase }
  | { readonly kind: 'drain'; readonly graceMs: number }
  | { readonly kind: 'close' };

/** From a worker. */
export type WorkerMessage =
  /** The module has come to `run`, with these services; they must be those of the main thread. */
  | { readonly kind: 'up'; readonly services: readonly string[] }
  | { readonly kind: 'started'; readonly name: string }
  | { readonly kind: 'startFailed'; readonly name: string; readonly why: string }
  /** `why` null: it can be put in force. */
  | { readonly kind: 'prepared'; readonly version: number; readonly why: string | null }
  | { readonly kind: 'committed'; readonly version: number }
  | {
      readonly kind: 'counts';
      readonly id: number;
      readonly counts: Readonly<Record<string, ServiceCounts>>;
      readonly heapUsedBytes: number;
    }
  | { readonly kind: 'notice'; readonly notice: Notice }
  | { readonly kind: 'drained'; readonly cut: number };
