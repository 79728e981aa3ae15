/**
 * Processes as Linux's /proc tells of them: what one is, which it has started, and whether it still runs.
 *
 * A server may be several processes: `ferrata reverse` is one that keeps the sockets and one that serves, and whoever watched only the one that was started would
 * find it idle and small, whatever is done to it.
 *
 * @see man 5 proc
 */
import { readdirSync, readFileSync } from 'node:fs';

/** A process, told apart from a later one with the same number by when it started (in ticks since boot). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: number;
}

/** Fields of /proc/PID/stat. */
export interface ProcessStat extends ProcessIdentity {
  readonly state: string;
  readonly parentPid: number;
  readonly groupId: number;
  readonly userTicks: number;
  readonly systemTicks: number;
}

/** @returns a process and all its descendants, itself first; empty when it is gone */
export function processTree(pid: number): readonly ProcessIdentity[] {
  const root = readStat(pid);
  if (root === null) return [];
  const tree: ProcessIdentity[] = [root];
  const all = listProcesses();
  // The list grows while it is walked: that is the breadth-first search.
  for (const member of tree) {
    for (const candidate of all) if (candidate.parentPid === member.pid) tree.push(candidate);
  }
  return tree;
}

/** @returns the processes of a group that run */
export function processGroup(groupId: number): readonly ProcessStat[] {
  return listProcesses().filter((one) => one.groupId === groupId && hasNotEnded(one));
}

/** @returns whether a process still runs; one that has ended and only waits for its parent to notice does not */
export function isRunning({ pid, startTime }: ProcessIdentity): boolean {
  const stat = readStat(pid);
  return stat?.startTime === startTime && hasNotEnded(stat);
}

/** @returns null when it is gone */
export function readStat(pid: number): ProcessStat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  // The second field is the command in parentheses and may itself hold blanks and parentheses; the last ')' ends it. So index 0 is field 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    pid,
    startTime: field(22),
    state: fields[0] ?? '',
    parentPid: field(4),
    groupId: field(5),
    userTicks: field(14),
    systemTicks: field(15),
  };
}

function hasNotEnded({ state }: ProcessStat): boolean {
  return state !== 'Z' && state !== 'X';
}

function listProcesses(): readonly ProcessStat[] {
  const found: ProcessStat[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? readStat(pid) : null;
    if (stat !== null) found.push(stat);
  }
  return found;
}
