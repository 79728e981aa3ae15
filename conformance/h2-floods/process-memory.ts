/** What the kernel tells of a server, with all its processes: resident memory, the peak of it, and how many descriptors are open. Linux only. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessIdentity, processTree } from '@ferrata/tools/process-tree';

const SAMPLE_MS = 20;

/** The greatest resident set of a process and of those that it started, together, while something went on. */
export class MemoryWatch {
  /** Those that were there at the start: one that takes the place of another later is found by asking for the root again at the end. */
  readonly #pid: number;
  readonly #members: readonly ProcessIdentity[];
  readonly #startBytes: number;
  readonly #hasPeak: boolean;
  #peakBytes: number;
  #isOver = false;

  constructor(pid: number) {
    this.#pid = pid;
    this.#members = processTree(pid);
    this.#startBytes = sumOf(this.#members, 'VmRSS');
    this.#peakBytes = this.#startBytes;
    // Of every one of them, without an end at the first that may not be.
    this.#hasPeak = this.#members.map(resetPeak).every(Boolean);
    void this.#sample();
  }

  /** Ends the watch. @returns by how many bytes the resident set grew at most */
  stop(): number {
    this.#isOver = true;
    const members = processTree(this.#pid);
    this.#peakBytes = Math.max(this.#peakBytes, sumOf(members, 'VmRSS'));
    // The kernel's own peaks miss nothing between two samples; their sum is at least the peak of the sum.
    if (this.#hasPeak) this.#peakBytes = Math.max(this.#peakBytes, sumOf(members, 'VmHWM'));
    return this.#peakBytes - this.#startBytes;
  }

  async #sample(): Promise<void> {
    while (!this.#isOver) {
      this.#peakBytes = Math.max(this.#peakBytes, sumOf(this.#members, 'VmRSS'));
      await delay(SAMPLE_MS, undefined, { ref: false });
    }
  }
}

/** @returns what a process and those that it started have; 0 if it is gone */
export function residentBytes(pid: number): number {
  return sumOf(processTree(pid), 'VmRSS');
}

/** @returns the descriptors that a process and those that it started have open; 0 if it is gone */
export function descriptorCount(pid: number): number {
  let count = 0;
  for (const { pid: member } of processTree(pid)) {
    try {
      count += readdirSync(`/proc/${member}/fd`).length;
    } catch {
      // It has ended meanwhile.
    }
  }
  return count;
}

function sumOf(members: readonly ProcessIdentity[], what: 'VmRSS' | 'VmHWM'): number {
  let bytes = 0;
  for (const { pid } of members) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      bytes += Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
    } catch {
      // It has ended meanwhile.
    }
  }
  return bytes;
}

/** Starts the kernel's peak anew (proc(5), `clear_refs`). @returns false: not allowed */
function resetPeak({ pid }: ProcessIdentity): boolean {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return true;
  } catch {
    return false;
  }
}
