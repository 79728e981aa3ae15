/** The signals that end the command: the first in order, the second at once, with the last words that are due; a third does not wait for those. */

/** Exit codes of the command. */
export const ExitCode = { ok: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** Options of `endSignal`. */
export interface EndSignalOptions {
  /**
   * A further signal within this time after the first is the same wish once more. Default 0. A program that runs under a package manager hears a
   * Ctrl-C twice: from the terminal and handed on.
   */
  readonly sameWithinMs?: number;
  /** Called before the process ends at once; what it says by a promise is waited for, no longer than a second. */
  readonly onSecond?: () => Promise<void> | void;
}

/** What is said at the last moment may take so long. */
const LAST_WORDS_MS = 1_000;

/**
 * Waits for the first SIGTERM or SIGINT; a second one ends the process, with 128 and the signal's number as other programs do.
 *
 * Call it before anything is announced: until then a signal ends the process as Node does it.
 */
export function endSignal(options: EndSignalOptions = {}): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let firstAt = Number.NaN;
  let isEnding = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (Number.isNaN(firstAt)) {
      firstAt = performance.now();
      resolve();
    } else if (performance.now() - firstAt >= (options.sameWithinMs ?? 0)) {
      const exit = (): void => process.exit(signal === 'SIGINT' ? ExitCode.interrupted : ExitCode.terminated);
      const lastWords = isEnding ? undefined : options.onSecond?.();
      isEnding = true;
      if (lastWords === undefined) return exit();
      setTimeout(exit, LAST_WORDS_MS);
      lastWords.then(exit, exit);
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return promise;
}
