/**
 * What a suite starts and makes must not outlive it: processes and folders are given up when it is told to end (SIGINT, SIGTERM, SIGHUP), when it
 * throws, and when it exits with something still open.
 *
 * Clean-ups run one after another, the last one registered first, and do their work before they return: nothing can be awaited any more. A
 * signal then ends the process as it would have without us, so that whoever sent it sees it. While nothing is registered no handler is installed.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const cleanUps = new Set<() => void>();

/**
 * Registers what is to be done if the process ends first.
 *
 * @returns takes it back, once it has been done in order
 */
export function cleanUpOnExit(cleanUp: () => void): () => void {
  // A function of its own, so that one registered twice is two.
  const own = (): void => cleanUp();
  if (cleanUps.size === 0) install();
  cleanUps.add(own);
  return () => {
    if (cleanUps.delete(own) && cleanUps.size === 0) uninstall();
  };
}

/** Kills a child process if it has not ended when this one does. */
export function killOnExit(child: ChildProcess): void {
  const release = cleanUpOnExit(() => child.kill('SIGKILL'));
  child.once('exit', release);
  // One that could not be started does not exit.
  child.once('error', release);
}

/** A folder that is there until it is removed, or this process ends. */
export class TemporaryFolder {
  readonly path: string;
  readonly #release: () => void;

  /** @param prefix what its name begins with */
  constructor(prefix: string) {
    this.path = mkdtempSync(join(tmpdir(), prefix));
    this.#release = cleanUpOnExit(() => this.#remove());
  }

  /** Removes it with all that is in it. */
  remove(): void {
    this.#remove();
    this.#release();
  }

  #remove(): void {
    // Whoever wrote here may have been killed a moment ago.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

function install(): void {
  for (const signal of SIGNALS) process.on(signal, endBy);
  process.on('exit', cleanAll);
}

function uninstall(): void {
  for (const signal of SIGNALS) process.off(signal, endBy);
  process.off('exit', cleanAll);
}

function endBy(signal: NodeJS.Signals): void {
  cleanAll();
  process.kill(process.pid, signal);
}

function cleanAll(): void {
  const all = [...cleanUps].toReversed();
  cleanUps.clear();
  uninstall();
  for (const cleanUp of all) {
    try {
      cleanUp();
    } catch (error) {
      // The others must still be cleaned up.
      console.error(error);
    }
  }
}
