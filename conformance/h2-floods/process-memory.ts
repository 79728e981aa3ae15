/** What the kernel tells of a process: its resident memory, the peak of it, and how many descriptors it has open. Linux only. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const SAMPLE_MS = 20;

/** The greatest resident set of a process while something went on. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #startBytes: number;
  readonly #hasPeak: boolean;
  #peakBytes: number;
  #isOver = false;

  constructor(pid: number) {
    this.#pid = pid;
    this.#startBytes = residentBytes(pid, 'VmRSS');
    this.#peakBytes = this.#startBytes;
    this.#hasPeak = resetPeak(pid);
    void this.#sample();
  }

  /** Ends the watch. @returns by how many bytes the resident set grew at most */
  stop(): number {
    this.#isOver = true;
    this.#look();
    // The kernel's own peak misses nothing between two samples.
    if (this.#hasPeak) this.#peakBytes = Math.max(this.#peakBytes, residentBytes(this.#pid, 'VmHWM'));
    return this.#peakBytes - this.#startBytes;
  }

  async #sample(): Promise<void> {
    while (!this.#isOver) {
      this.#look();
      await delay(SAMPLE_MS, undefined, { ref: false });
    }
  }

  #look(): void {
    this.#peakBytes = Math.max(this.#peakBytes, residentBytes(this.#pid, 'VmRSS'));
  }
}

/** @returns 0 if the process is gone */
export function residentBytes(pid: number, what: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** @returns the sockets that a process has open; 0 if it is gone */
export function descriptorCount(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** Starts the kernel's peak anew (proc(5), `clear_refs`). @returns false: not allowed */
function resetPeak(pid: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return true;
  } catch {
    return false;
  }
}
