/**
 * Programs of others that benches and conformance suites run beside ours: nginx, haproxy, wrk. What is missing is installed where that is
 * allowed (root and apt-get), otherwise named together with the command that would bring it.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program that is run, and the Debian package that holds it. */
export interface PeerProgram {
  readonly command: string;
  readonly debianPackage: string;
  /** What cannot be done without it. */
  readonly purpose: string;
}

/** File that Debian's packages ask before they start a service. */
const SERVICE_POLICY_FILE = '/usr/sbin/policy-rc.d';

/**
 * Makes sure that programs are there: puts the folders of servers on this process's PATH, and installs what is missing when allowed to.
 *
 * @returns the programs that are still missing
 */
export function providePrograms(programs: readonly PeerProgram[], say: (line: string) => void): readonly PeerProgram[] {
  process.env['PATH'] = searchPath().join(delimiter);
  const missing = missingOf(programs);
  if (missing.length === 0 || !mayInstall()) return missing;
  install(missing, say);
  return missingOf(missing);
}

/** Returns the command that installs programs, for a user to type. */
export function installCommand(programs: readonly PeerProgram[]): string {
  return `sudo apt-get install --no-install-recommends ${packagesOf(programs).join(' ')}`;
}

/** Returns whether a command is on PATH, or where servers lie. */
export function hasCommand(command: string): boolean {
  return searchPath().some((folder) => isExecutable(join(folder, command)));
}

/** Asks a program for its version. @param flag the argument that makes it tell, as `-v` */
export function versionOf(command: string, flag: string): string {
  if (!hasCommand(command)) return 'not installed';
  // nginx writes its version to the standard error, wrk exits with 1 after writing it.
  const result = spawnSync(command, [flag], { encoding: 'utf8' });
  const firstLine = `${result.stdout}${result.stderr}`.trim().split('\n')[0] ?? '';
  return /(\d+\.\d+[\w.-]*)/.exec(firstLine)?.[1] ?? firstLine;
}

function missingOf(programs: readonly PeerProgram[]): readonly PeerProgram[] {
  return programs.filter((program) => !hasCommand(program.command));
}

function packagesOf(programs: readonly PeerProgram[]): readonly string[] {
  return [...new Set(programs.map((program) => program.debianPackage))];
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && hasCommand('apt-get');
}

function install(programs: readonly PeerProgram[], say: (line: string) => void): void {
  const packages = packagesOf(programs);
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
