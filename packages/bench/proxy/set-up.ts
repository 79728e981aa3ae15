/**
 * What the benches need of the machine: Linux, two CPUs, and a few programs. What is missing is installed where that is allowed (root and
 * apt-get), otherwise named together with the command that would bring it.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { hasCommand, installCommand, type PeerProgram, providePrograms, versionOf } from '@ferrata/tools/peers';

const NEEDED_TOOLS: readonly PeerProgram[] = [
  { command: 'nginx', debianPackage: 'nginx-light', purpose: 'the origin, and the proxy that the bars refer to' },
  { command: 'wrk', debianPackage: 'wrk', purpose: 'the load' },
  { command: 'taskset', debianPackage: 'util-linux', purpose: 'one CPU for the proxy, another for load and origin' },
  { command: 'prlimit', debianPackage: 'util-linux', purpose: 'enough file descriptors for many connections' },
  { command: 'haproxy', debianPackage: 'haproxy', purpose: 'one of the proxies compared' },
];

/** Programs without which a bench still runs; what needs them is skipped. */
const OPTIONAL_COMMANDS: ReadonlySet<string> = new Set(['haproxy', 'prlimit']);

/** The machine and the versions that a table of figures must be read with. */
export interface MachineInfo {
  readonly cpu: string;
  readonly cpuCount: number;
  readonly kernel: string;
  readonly node: string;
  readonly nginx: string;
  readonly haproxy: string;
  readonly wrk: string;
}

/**
 * Makes sure that the programs are there; installs them when allowed to.
 *
 * @throws {Error} that names what is missing and how to get it, when something needed is.
 */
export function setUpMachine(say: (line: string) => void): void {
  if (process.platform !== 'linux') throw new Error('the proxy benches read /proc and pin processes to CPUs, so they need Linux');
  const missing = providePrograms(NEEDED_TOOLS, say);
  for (const tool of missing.filter((one) => OPTIONAL_COMMANDS.has(one.command))) {
    say(`${tool.command} is missing (${tool.purpose}); what needs it is skipped. Install it with: ${installCommand([tool])}`);
  }
  const fatal = missing.filter((tool) => !OPTIONAL_COMMANDS.has(tool.command));
  if (fatal.length > 0) {
    const list = fatal.map((tool) => `  ${tool.command}: ${tool.purpose}`).join('\n');
    throw new Error(`missing on this machine:\n${list}\nInstall with: ${installCommand(fatal)}`);
  }
}

/** Returns what the machine is and which versions are measured. */
export function describeMachine(): MachineInfo {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpuCount: cpus().length,
    kernel: release(),
    node: process.version,
    nginx: versionOf('nginx', '-v'),
    haproxy: versionOf('haproxy', '-v'),
    wrk: versionOf('wrk', '-v'),
  };
}

/**
 * Raises the limit of open files of this process, which those it starts inherit: to the number asked for, or as near as allowed.
 *
 * @returns the limit in force.
 */
export function raiseOpenFileLimit(wanted: number): number {
  const pid = String(process.pid);
  // With the right to, the hard limit too; without, the soft limit up to the hard one.
  const attempts = [`--nofile=${wanted}:${wanted}`, `--nofile=${Math.min(wanted, openFileLimits().hard)}:`];
  for (const attempt of attempts) {
    if (openFileLimits().soft >= wanted || !hasCommand('prlimit')) break;
    spawnSync('prlimit', ['--pid', pid, attempt], { stdio: 'ignore' });
  }
  return openFileLimits().soft;
}

function openFileLimits(): { soft: number; hard: number } {
  const text = readFileSync('/proc/self/limits', 'utf8');
  const match = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(text);
  const number = (word: string | undefined): number => (word === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(word ?? 1024));
  return { soft: number(match?.[1]), hard: number(match?.[2]) };
}
