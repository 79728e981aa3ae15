/** All that the keeper's mind acts on, and what it is told at its birth. */
import type { Clock } from '@ferrata/clock';
import type { Phase } from '../phase.ts';
import type { Notice } from '../service.ts';
import type { SocketSpec } from '../socket-spec.ts';
import type { InheritedSocket } from './generation-messages.ts';
import type { GenerationProcess, ProcessWatcher } from './generation-process.ts';
import type { ServiceManager } from './service-manager.ts';

/** Times in milliseconds; see `ServerOptions`. */
export interface KeeperSettings {
  readonly threads: number;
  readonly graceMs: number;
  readonly preStopDelayMs: number;
  readonly upgradeGraceMs: number;
  readonly upgradeOverlapMs: number;
  readonly readyTimeoutMs: number;
}

/** The sockets, as the keeper's mind needs them. */
export interface KeeperSockets {
  readonly keys: readonly string[];
  open(specs: readonly SocketSpec[]): Promise<void>;
  /** Sentences about held sockets that are not as these specs want them. */
  mismatches(specs: readonly SocketSpec[]): readonly string[];
  /** Keys that are let go of are no longer among `keys` when this returns. */
  release(keys: readonly string[]): Promise<void>;
  releaseAll(): Promise<void>;
}

/** A process that was spawned, and the sockets that it has. */
export interface SpawnedMember {
  readonly process: GenerationProcess;
  readonly sockets: readonly InheritedSocket[];
}

/** All that a keeper acts on. */
export interface KeeperPorts {
  readonly clock: Clock;
  readonly sockets: KeeperSockets;
  readonly manager: ServiceManager;
  /** @param keptOptions of one that died, see `unpackFileReading`; null: it is to do with the file on disk */
  spawn(generation: number, threads: number, keptOptions: string | null, watcher: ProcessWatcher): SpawnedMember;
  notify(notice: Notice): void;
  onPhase(phase: Phase): void;
  /** The first generation is ready. */
  onReady(): void;
}
