/**
 * What the keeper (the process that was started) and a generation (the process that serves) say to each other, over Node's IPC channel: what can be cloned (`serialization: 'advanced'`).
 *
 * ```
 *  keeper                                     generation
 *    │── spawn, with descriptors ───────────────►│
 *    │◄────────────────────────────── hello ─────│   the module runs, `run` was called
 *    │── start {sockets, lastGood?} ────────────►│   loads the configuration, or takes the last good one
 *    │◄────────────────────────────── need ──────│   sockets are missing: it ends, and is spawned again with them
 *    │◄──────────────────────── ready | failed ──│
 *    │── stop | reload | ping | upgrading ──────►│
 *    │◄──────── reloaded | pong | ask | notice ──│
 *    │── answer ────────────────────────────────►│   to an `ask`: whether it will be done
 *    │◄──────────────────────────── stopped ─────│   then it exits
 * ```
 */
import type { StreamAddress } from '@ferrata/stream';
import type { Phase } from '../phase.ts';
import type { Notice } from '../service.ts';
import type { SocketSpec } from '../socket-spec.ts';

/** Both sides say it first; another number is another program's, and is refused. */
export const PROTOCOL_VERSION = 1;

/** A socket that listens, as a generation inherits it. */
export interface InheritedSocket {
  readonly spec: SocketSpec;
  readonly address: StreamAddress;
  /**
   * Descriptors in the generation's process. TCP and Unix: all of one socket, one for each worker that ever accepts on it. UDP: grouped by socket, as each socket must
   * be read by one thread alone for a peer to stay with its thread.
   */
  readonly descriptors: readonly (readonly number[])[];
}

/** What became of a reload. */
export type ReloadOutcome =
  | { readonly kind: 'reloaded'; readonly version: number; readonly changes: readonly string[] }
  | { readonly kind: 'unchanged'; readonly version: number }
  /** Listeners or what belongs to the process would change: a new generation is to be started, which loads the configuration itself. */
  | { readonly kind: 'needsGeneration'; readonly sockets: readonly SocketSpec[]; readonly changes: readonly string[] }
  | { readonly kind: 'refused'; readonly why: string };

/**
 * The configuration that was last in force, for a generation that takes the place of one that died while it served. One that is to follow another in order (an
 * upgrade) gets none: there a broken configuration must fail.
 */
export interface LastGood {
  /** Made by `packConfig`; `unpackConfig` opens it. */
  readonly config: Uint8Array;
  /**
   * Null: it is for the case that the configuration on disk is found to be no good. Else it is to be served without looking there: generations with what is there did not
   * become ready or died soon, and this sentence says why.
   */
  readonly insteadBecause: string | null;
}

/** From the keeper. */
export type KeeperMessage =
  | {
      readonly kind: 'start';
      readonly protocol: number;
      readonly generation: number;
      readonly sockets: readonly InheritedSocket[];
      readonly lastGood?: LastGood;
    }
  /** `graceMs` 0 cuts. A second one hastens the first. `superseded`: a successor has taken over. */
  | { readonly kind: 'stop'; readonly why: 'terminate' | 'fast' | 'superseded'; readonly graceMs: number; readonly delayMs: number }
  | { readonly kind: 'reload'; readonly id: number }
  | { readonly kind: 'ping'; readonly id: number }
  /** A successor is being started; or none came of it, and this one goes on. */
  | { readonly kind: 'upgrading' }
  | { readonly kind: 'upgradeFailed'; readonly why: string }
  /** To an `ask`. `refused` null: it has been begun, or will be when what is under way has ended; else a sentence that says why not. */
  | { readonly kind: 'answer'; readonly id: number; readonly refused: string | null };

/** From a generation. */
export type GenerationMessage =
  | { readonly kind: 'hello'; readonly protocol: number }
  /** `threads`: there must be descriptors for so many; left out: for as many as before. */
  | { readonly kind: 'need'; readonly sockets: readonly SocketSpec[]; readonly threads?: number }
  /**
   * `config`: that in force, packed by `packConfig`; null: it could not be packed. Left out: the keeper is to keep none. `fileOptions`: those of the server's file, packed
   * by `packFileReading`; the same goes for them. They come back in the environment of the next process, not in `start`: without them it would have ended by then.
   */
  | {
      readonly kind: 'ready';
      readonly threads: number;
      readonly sockets: readonly SocketSpec[];
      readonly config?: Uint8Array | null;
      readonly fileOptions?: string | null;
    }
  /** It could not start, and exits. `exitCode` is that of the keeper if this was the first one. */
  | { readonly kind: 'failed'; readonly why: string; readonly exitCode: number }
  /** `config` as in `ready`, when the outcome is `reloaded`. */
  | { readonly kind: 'reloaded'; readonly id: number; readonly outcome: ReloadOutcome; readonly config?: Uint8Array | null }
  | { readonly kind: 'pong'; readonly id: number }
  | { readonly kind: 'phase'; readonly phase: Phase }
  | { readonly kind: 'notice'; readonly notice: Notice }
  /** From the admin endpoint; `descriptors`: no spare ones are left, a new generation gets new ones. */
  | { readonly kind: 'ask'; readonly what: 'reload' | 'upgrade' | 'drain' | 'descriptors'; readonly id: number }
  | { readonly kind: 'stopped'; readonly cut: number };
