/** What a process holds, from `/proc` (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

/** Figures of one process. */
export interface ProcessFigures {
  readonly threads: number;
  readonly descriptors: number;
  readonly residentBytes: number;
  /** Of all processors together, since it began; in steps of 10 ms. */
  readonly processorMs: number;
}

/** @returns null if it has ended */
export function figuresOf(pid: number): ProcessFigures | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const number = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Behind the name: the 12th and 13th, in ticks of 10 ms.
    const ticks = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    return {
      threads: number('Threads'),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      residentBytes: number('VmRSS') * 1024,
      processorMs: ticks.reduce((sum, count) => sum + Number(count) * 10, 0),
    };
  } catch {
    return null;
  }
}

/** Of several processes together. */
export function sumOf(pids: readonly number[]): ProcessFigures {
  const sum = { threads: 0, descriptors: 0, residentBytes: 0, processorMs: 0 };
  for (const pid of pids) {
    const figures = figuresOf(pid);
    sum.threads += figures?.threads ?? 0;
    sum.descriptors += figures?.descriptors ?? 0;
    sum.residentBytes += figures?.residentBytes ?? 0;
    sum.processorMs += figures?.processorMs ?? 0;
  }
  return sum;
}
