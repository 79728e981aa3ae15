/**
 * What the benches need of the machine: Linux, two CPUs, and a few programs. What is missing is installed where that is allowed (root and
 * apt-get), otherwise named together with the command that would bring it.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { delimiter, join } from 'node:path';

/** A program that a bench runs, and the Debian package that holds it. */
interface NeededTool {
  readonly command: string;
  readonly debianPackage: string;
  /** What cannot be done without it. */
  readonly purpose: string;
}

const NEEDED_TOOLS: readonly NeededTool[] = [
  { command: 'nginx', debianPackage: 'nginx-light', purpose: 'the origin, and the proxy that the bars refer to' },
  { command: 'wrk', debianPackage: 'wrk', purpose: 'the load' },
  { command: 'taskset', debianPackage: 'util-linux', purpose: 'one CPU for the proxy, another for load and origin' },
  { command: 'prlimit', debianPackage: 'util-linux', purpose: 'enough file descriptors for many connections' },
  { command: 'haproxy', debianPackage: 'haproxy', purpose: 'one of the proxies compared' },
];

/** Programs without which a bench still runs; what needs them is skipped. */
const OPTIONAL_COMMANDS: ReadonlySet<string> = new Set(['haproxy', 'prlimit']);

/** File that Debian's packages ask before they start a service. */
const SERVICE_POLICY_FILE = '/usr/sbin/policy-rc.d';

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
  process.env['PATH'] = searchPath().join(delimiter);
  const missing = missingTools();
  if (missing.length === 0) return;
  if (mayInstall()) install(missing, say);

  const stillMissing = missingTools();
  for (const tool of stillMissing.filter((one) => OPTIONAL_COMMANDS.has(one.command))) {
    say(`${tool.command} is missing (${tool.purpose}); what needs it is skipped. Install it with: apt-get install ${tool.debianPackage}`);
  }
  const fatal = stillMissing.filter((tool) => !OPTIONAL_COMMANDS.has(tool.command));
  if (fatal.length > 0) {
    const list = fatal.map((tool) => `  ${tool.command}: ${tool.purpose}`).join('\n');
    const packages = [...new Set(fatal.map((tool) => tool.debianPackage))].join(' ');
    throw new Error(`missing on this machine:\n${list}\nInstall with: sudo apt-get install --no-install-recommends ${packages}`);
  }
}

/** Returns whether a command is on PATH. */
export function hasCommand(command: string): boolean {
  return searchPath().some((folder) => isExecutable(join(folder, command)));
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

function missingTools(): readonly NeededTool[] {
  return NEEDED_TOOLS.filter((tool) => !hasCommand(tool.command));
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && hasCommand('apt-get');
}

function install(tools: readonly NeededTool[], say: (line: string) => void): void {
  const packages = [...new Set(tools.map((tool) => tool.debianPackage))];
  say(`installing ${packages.join(', ')} with apt-get …`);
  // Debian starts a web server as soon as it is installed; exit code 101 of this file says not to.
  const isOurs = !existsSync(SERVICE_POLICY_FILE);
  if (isOurs) writeFileSync(SERVICE_POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    for (const args of [
      ['update', '-qq'],
      ['install', '-y', '-qq', '--no-install-recommends', ...packages],
    ]) {
      const result = spawnSync('apt-get', args, { encoding: 'utf8', env: environment });
      if (result.status !== 0) say(`apt-get ${args.join(' ')} failed: ${result.stderr.trim().split('\n').slice(-3).join(' ')}`);
    }
  } finally {
    if (isOurs) rmSync(SERVICE_POLICY_FILE, { force: true });
  }
}

function versionOf(command: string, flag: string): string {
  if (!hasCommand(command)) return 'not installed';
  // nginx writes its version to the standard error, wrk exits with 1 after writing it.
  const result = spawnSync(command, [flag], { encoding: 'utf8' });
  const firstLine = `${result.stdout}${result.stderr}`.trim().split('\n')[0] ?? '';
  return /(\d+\.\d+[\w.-]*)/.exec(firstLine)?.[1] ?? firstLine;
}

/** Servers lie in sbin, which an ordinary user's PATH often leaves out. */
function searchPath(): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...new Set([...folders, '/usr/local/sbin', '/usr/sbin', '/sbin'])];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
