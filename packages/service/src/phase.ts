/** The phases that a server goes through, in this order; those of stopping depend on how it is stopped. And the feed by which they are told. */
import { callUser } from '@ferrata/stream';

/**
 * Phases of a server.
 *
 * ```
 * setup → bootstrap → bootstrapComplete → running
 *   upgrade:  gracefulUpgradeTransferringFds → gracefulUpgradeCloseTimeout → shutdownStarted → shutdownGracePeriod → shutdownRuntimes → terminated
 *   SIGTERM:  gracefulTerminate                                            → shutdownStarted → shutdownGracePeriod → shutdownRuntimes → terminated
 *   SIGINT:                                                                  shutdownStarted                       → shutdownRuntimes → terminated
 * ```
 * An upgrade whose successor does not become ready goes back to `running`.
 */
export type Phase =
  /** The program is being read. */
  | 'setup'
  /** Configuration is loaded, sockets are opened, threads start, services start in the order of their dependencies. */
  | 'bootstrap'
  /** Every service has said that it is ready. */
  | 'bootstrapComplete'
  | 'running'
  /** A successor is being started with the listening sockets; this one serves on. */
  | 'gracefulUpgradeTransferringFds'
  /** The successor accepts connections; this one still does, for `upgradeOverlapMs`. */
  | 'gracefulUpgradeCloseTimeout'
  /** Asked to stop in order: readiness is false, connections are still accepted for `preStopDelayMs`. */
  | 'gracefulTerminate'
  /** No connection is accepted any more. */
  | 'shutdownStarted'
  /** What runs may end by itself, for `graceMs` at most. */
  | 'shutdownGracePeriod'
  /** What is left is cut, background services end, threads end. */
  | 'shutdownRuntimes'
  | 'terminated';

/** Hears of each phase when it begins. May throw or reject: that is nobody's business but its own. */
export type PhaseWatcher = (phase: Phase) => void;

/** The phase of one server in one thread, and those who want to hear of it. */
export class PhaseFeed {
  readonly #watchers = new Set<{ readonly watcher: PhaseWatcher }>();
  #current: Phase;

  /** @param current the phase to begin with, which no watcher hears of; default `setup` */
  constructor(current: Phase = 'setup') {
    this.#current = current;
  }

  get current(): Phase {
    return this.#current;
  }

  /** Goes into a phase and tells all watchers, in the order in which they came. The phase that it is in already is no news. */
  set(phase: Phase): void {
    if (phase === this.#current) return;
    this.#current = phase;
    // A copy: a watcher may add and remove watchers, itself among them.
    for (const entry of new Set(this.#watchers)) {
      if (this.#watchers.has(entry)) callUser(() => entry.watcher(phase));
    }
  }

  /**
   * Tells of the phases that begin from now on; `current` is the one that has begun already.
   *
   * @returns what ends it; may be called again
   */
  watch(watcher: PhaseWatcher): () => void {
    if (typeof watcher !== 'function') throw new TypeError(`watcher must be a function, not ${typeof watcher}`);
    const entry = { watcher };
    this.#watchers.add(entry);
    return () => void this.#watchers.delete(entry);
  }
}
