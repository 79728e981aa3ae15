/**
 * Programs of others that benches and conformance suites run beside ours: nginx, haproxy, wrk. What is missing is installed where that is
 * allowed (root and apt-get), otherwise named together with the command that would bring it. What Debian lacks and Go has is built from a
 * module that pins it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { root } from './workspace.ts';

/** A program that is run, and the Debian package that holds it. */
export interface PeerProgram {
  readonly command: string;
  readonly debianPackage: string;
  /** What cannot be done without it. */
  readonly purpose: string;
  /** Says whether it is there, where a command on PATH is not enough: a library of a language. Default: `command` is on PATH. */
  readonly isThere?: () => boolean;
}

/** A program that is built from Go modules. */
export interface GoProgram {
  /** The folder of a `go.mod` and a `go.sum` that pin the program and all that it needs. */
  readonly folder: string;
  /** The package of the program, as `example.com/module/cmd/program`. Its last part is the name of the program. */
  readonly goPackage: string;
}

/** The Go compiler. */
export const GO: PeerProgram = { command: 'go', debianPackage: 'golang-go', purpose: 'to build programs written in Go' };

/** Time for a build, modules that have to be fetched included. */
const BUILD_TIMEOUT_MS = 240_000;

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

/**
 * Builds a Go program into the cache of the repository, unless it has been built from the same `go.mod` before; installs Go when allowed to.
 *
 * @returns the path of the program, or why it cannot be had
 */
export function provideGoProgram(
  program: GoProgram,
  say: (line: string) => void,
): { readonly path: string } | { readonly problem: string } {
  const { folder, goPackage } = program;
  const pins = createHash('sha256')
    .update(readFileSync(join(folder, 'go.mod')))
    .update(readFileSync(join(folder, 'go.sum')));
  const name = goPackage.slice(goPackage.lastIndexOf('/') + 1);
  const path = join(root, '.cache', 'go-programs', pins.digest('hex').slice(0, 16), name);
  if (isExecutable(path)) return { path };
  if (providePrograms([GO], say).length > 0) {
    return { problem: `${goPackage} has to be built, and Go is missing; install it with: ${installCommand([GO])}` };
  }
  say(`building ${goPackage} …`);
  mkdirSync(dirname(path), { recursive: true });
  // No other compiler than the one that is here, no C compiler, and nothing but what is pinned.
  const environment = { ...process.env, GOTOOLCHAIN: 'local', CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' };
  const args = ['build', '-trimpath', '-buildvcs=false', '-o', path, goPackage];
  const result = spawnSync('go', args, { cwd: folder, encoding: 'utf8', env: environment, timeout: BUILD_TIMEOUT_MS });
  if (result.status === 0 && isExecutable(path)) return { path };
  const said = result.error?.message ?? `${result.stdout}${result.stderr}`.trim().split('\n').slice(-3).join(' ');
  return { problem: `${goPackage} cannot be built: ${said}` };
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
  return programs.filter(({ command, isThere }) => !(isThere === undefined ? hasCommand(command) : isThere()));
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
