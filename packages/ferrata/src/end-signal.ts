/** The signals that end a program of ours that runs in one process: the first in order, the second at once. */

/** Exit codes of the command. */
export const ExitCode = { ok: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** Options of `endSignal`. */
export interface EndSignalOptions {
  /**
   * A further signal within this time after the first is the same wish once more. Default 0. A program that runs under a package manager hears a
   * Ctrl-C twice: from the terminal and handed on.
   */
  readonly sameWithinMs?: number;
}

/**
 * Waits for the first SIGTERM or SIGINT; a second one ends the process, with 128 and the signal's number as other programs do.
 *
 * Call it before anything is announced: until then a signal ends the process as Node does it.
 */
export function endSignal(options: EndSignalOptions = {}): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let firstAt = Number.NaN;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (Number.isNaN(firstAt)) {
      firstAt = performance.now();
      resolve();
    } else if (performance.now() - firstAt >= (options.sameWithinMs ?? 0)) {
      process.exit(signal === 'SIGINT' ? ExitCode.interrupted : ExitCode.terminated);
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return promise;
}
