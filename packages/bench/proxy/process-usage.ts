/**
 * What a process and those it started have used so far: CPU time and memory, read from Linux's /proc.
 *
 * CPU time comes from two places, because neither says everything:
 * - `/proc/PID/task/TID/schedstat`, first figure: time on a CPU in nanoseconds, exact, user and system together, of each living thread;
 * - `/proc/PID/stat`, utime and stime: user and system apart, and also of threads that have ended, but in ticks of 10 ms.
 * The total is schedstat's; utime and stime only say how it divides. (`/proc/PID/schedstat` would be the main thread alone.)
 * Where the kernel has no schedstat, the total is utime + stime: then a run of 3 s at full load is still within 1 %.
 *
 * @see man 5 proc
 */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { processTree, readStat } from '@ferrata/tools/process-tree';

/** What a process tree has used since it started. */
export interface Usage {
  /** Time on a CPU, user and system, in ms. */
  readonly cpuMs: number;
  /** The user part as the kernel's ticks divide it, in ms. */
  readonly userMs: number;
  /** The system part as the kernel's ticks divide it, in ms. */
  readonly systemMs: number;
}

/** Returns what a process and its descendants have used so far; all zero when it is gone. */
export function usageOf(pid: number): Usage {
  const msPerTick = 1000 / clockTicksPerSecond();
  let cpuMs = 0;
  let userMs = 0;
  let systemMs = 0;
  for (const member of processTree(pid)) {
    const stat = readStat(member.pid);
    if (stat === null) continue;
    const ticksMs = (stat.userTicks + stat.systemTicks) * msPerTick;
    userMs += stat.userTicks * msPerTick;
    systemMs += stat.systemTicks * msPerTick;
    cpuMs += scheduledMs(member.pid) ?? ticksMs;
  }
  return { cpuMs, userMs, systemMs };
}

/** Returns the time on a CPU, in ms, of each living thread of a process and its descendants, by its number; empty where the kernel does not tell. */
export function threadUsageOf(pid: number): ReadonlyMap<number, number> {
  const usage = new Map<number, number>();
  for (const member of processTree(pid)) {
    for (const [thread, cpuMs] of scheduledMsByThread(member.pid) ?? []) usage.set(thread, cpuMs);
  }
  return usage;
}

/**
 * Returns what was used between two readings, with the exact total divided into user and system as the ticks of that time divide.
 */
export function usageBetween(before: Usage, after: Usage): Usage {
  const cpuMs = after.cpuMs - before.cpuMs;
  const userTicksMs = after.userMs - before.userMs;
  const systemTicksMs = after.systemMs - before.systemMs;
  const ticksMs = userTicksMs + systemTicksMs;
  const userShare = ticksMs > 0 ? userTicksMs / ticksMs : 0.5;
  return { cpuMs, userMs: cpuMs * userShare, systemMs: cpuMs * (1 - userShare) };
}

/**
 * Watches the whole machine for a while and returns which share of its CPUs' time was not idle. Asked while nothing of ours runs, it says
 * how much else goes on: other work takes caches and turns away from the proxy, and every figure comes out too high.
 */
export async function busyShare(watchMs: number): Promise<number> {
  const before = machineTimes();
  await delay(watchMs);
  const after = machineTimes();
  const total = after.total - before.total;
  return total > 0 ? 1 - (after.idle - before.idle) / total : 0;
}

/** Returns the resident memory of a process and its descendants, in bytes. Pages that they share are counted for each of them. */
export function residentBytesOf(pid: number): number {
  let bytes = 0;
  for (const member of processTree(pid)) {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(member.pid, 'status') ?? '');
    bytes += Number(match?.[1] ?? 0) * 1024;
  }
  return bytes;
}

function scheduledMs(pid: number): number | null {
  let sumMs = 0;
  for (const [, cpuMs] of scheduledMsByThread(pid) ?? []) sumMs += cpuMs;
  return sumMs === 0 ? null : sumMs;
}

/** Null where the process is gone, or the kernel does not keep the figure. */
function scheduledMsByThread(pid: number): readonly (readonly [number, number])[] | null {
  let threads: readonly string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return null;
  }
  const found: (readonly [number, number])[] = [];
  for (const thread of threads) {
    const text = readProc(pid, `task/${thread}/schedstat`);
    if (text === null) return null;
    found.push([Number(thread), Number(text.split(' ')[0]) / 1e6]);
  }
  return found;
}

function readProc(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // The process ended meanwhile, or this kernel does not keep the file.
    return null;
  }
}

/** Time of all CPUs since boot, in ticks, from the first line of /proc/stat: user nice system idle iowait irq softirq steal … */
function machineTimes(): { total: number; idle: number } {
  const firstLine = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '';
  const times = firstLine.trim().split(/\s+/).slice(1, 9).map(Number);
  return { total: times.reduce((sum, time) => sum + time, 0), idle: (times[3] ?? 0) + (times[4] ?? 0) };
}

/** A constant of the kernel (100 on every usual Linux), asked for once. */
const clockTicksPerSecond = ((): (() => number) => {
  let ticks = 0;
  return () => {
    if (ticks === 0) ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
    return ticks;
  };
})();
