/** One generation as the keeper knows it. */
import type { Wakeup } from '@ferrata/clock';
import type { Phase } from '../phase.ts';
import type { InheritedSocket } from './generation-messages.ts';
import type { GenerationProcess } from './generation-process.ts';
import type { SpawnedMember } from './keeper-ports.ts';

/**
 * A generation.
 *
 * ```
 *  spawned ──ready──► serving ──stop──► leaving ──end──► (forgotten)
 *     └── failed, need, timeout ───────────┘
 * ```
 */
export interface Member {
  readonly number: number;
  readonly process: GenerationProcess;
  readonly sockets: readonly InheritedSocket[];
  /** Keys of the sockets that it may be accepting on. */
  keys: ReadonlySet<string>;
  /** Keys of those on which it accepts until it ends. */
  lastingKeys: ReadonlySet<string>;
  phase: Phase;
  /** It has been told to stop, or to end. */
  isLeaving: boolean;
  /** It was last told to let end what runs, not to cut it. */
  mayDrain: boolean;
  /** When it is killed, if it has not ended by then; null: never. */
  killAt: number | null;
  killer: Wakeup | null;
  /** However it ends: we have killed it ourselves, or it has said already what is wrong. */
  endIsNoNews: boolean;
}

/** One that has just been spawned. */
export function newMember(number: number, { process, sockets }: SpawnedMember): Member {
  return {
    number,
    process,
    sockets,
    keys: new Set(),
    lastingKeys: new Set(),
    phase: 'setup',
    isLeaving: false,
    mayDrain: false,
    killAt: null,
    killer: null,
    endIsNoNews: false,
  };
}

/** Phases of a generation that has stopped accepting. */
const deafPhases: ReadonlySet<Phase> = new Set<Phase>(['shutdownStarted', 'shutdownGracePeriod', 'shutdownRuntimes', 'terminated']);

/** Whether a generation in this phase accepts no connection any more. */
export function isDeaf(phase: Phase): boolean {
  return deafPhases.has(phase);
}

const allPhases: ReadonlySet<string> = new Set<Phase>([
  'setup',
  'bootstrap',
  'bootstrapComplete',
  'running',
  'gracefulUpgradeTransferringFds',
  'gracefulUpgradeCloseTimeout',
  'gracefulTerminate',
  ...deafPhases,
]);

/** Whether a text from another process is a phase. */
export function isPhase(phase: unknown): phase is Phase {
  return typeof phase === 'string' && allPhases.has(phase);
}
