/** What `holdSockets` and the thread that holds its sockets say to each other: plain data, and a few words of shared memory. */
import type { SocketFile } from './unix-socket-file.ts';

/** A socket to open, with nothing left to settle: hosts are IP addresses. */
export type HolderRequest =
  | {
      readonly transport: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly backlog: number;
      readonly ipv6Only: boolean;
    }
  | { readonly transport: 'unix'; readonly path: string; readonly backlog: number; readonly mode: number | null }
  | { readonly transport: 'udp'; readonly host: string; readonly port: number; readonly ipv6Only: boolean; readonly count: number };

/** What the thread is born with. */
export interface HolderSeed {
  readonly requests: readonly HolderRequest[];
  /** See `Gate`. The thread sleeps on it whenever it has nothing to do. */
  readonly gate: Int32Array;
}

/**
 * Places in the shared memory.
 *
 * ```
 *   0 turn       counts up whenever there is something to do; the thread sleeps until it changes
 *   1 opened     1 as soon as all Unix sockets have been tried
 *   2 umask      that of the process before it was narrowed; -1: it was not
 *   3 …          one for each socket: 0 held, 1 to be released
 * ```
 */
export const Gate = { turn: 0, opened: 1, umask: 2, firstSocket: 3 } as const;

/** A socket that is held now. */
export interface HolderSocket {
  /** Null for a Unix socket. */
  readonly address: { readonly host: string; readonly port: number } | null;
  readonly file: SocketFile | null;
  readonly descriptors: readonly number[];
}

/** From the thread. */
export type HolderMessage =
  /** The code is loaded; it waits for the first turn. */
  | { readonly kind: 'loaded' }
  | { readonly kind: 'held'; readonly sockets: readonly HolderSocket[] }
  /** None is held. `index` -1: none of them is to blame. `reason`: of a `WireError`. */
  | { readonly kind: 'failed'; readonly index: number; readonly code: string; readonly reason: string | null; readonly text: string }
  /** `failure` null: it is gone, and so is its file. */
  | { readonly kind: 'released'; readonly index: number; readonly failure: string | null };
