/**
 * A process with those that it started, and so on. Linux only.
 *
 * A server may be several processes: `ferrata reverse` is one that keeps the sockets and one that serves, and whoever watched only the one that was started would
 * find it idle and small, whatever is done to it.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** @returns the process itself first; empty when it is gone */
export function processTree(pid: number): readonly number[] {
  const children = new Map<number, number[]>();
  let isThere = false;
  for (const name of readdirSync('/proc')) {
    const one = Number(name);
    if (!Number.isInteger(one)) continue;
    if (one === pid) isThere = true;
    const parent = parentOf(one);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), one]);
  }
  if (!isThere) return [];
  const tree = [pid];
  // The list grows while it is walked.
  for (const member of tree) tree.push(...(children.get(member) ?? []));
  return tree;
}

/** @returns null when it is gone */
function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the command, in parentheses, may itself hold blanks and parentheses; behind it come the state and the parent (proc(5)).
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null;
  }
}
