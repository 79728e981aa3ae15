/**
 * The way into every command of this repository: `node tools/run.mjs COMMAND [ARGUMENT…]`; package.json's scripts call it.
 *
 * Rules of this file:
 * - Plain JavaScript that a Node 20 runs with nothing installed. It installs what is missing, then hands over to the
 *   repository's own Node 24 (the npm package `node`), which runs TypeScript as it stands.
 * - A command's arguments, standard streams, signals and exit code pass through unchanged.
 * - Messages of the set-up go to standard error, so that a command's output can be piped.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What each command runs, and the line that describes it.
 *  @type {Record<string, readonly [script: string, help: string]>} */
const commands = {
  start: ['tools/start.ts', 'start the demo: an origin and the proxy on 127.0.0.1:8080   [--smoke]'],
  check: ['tools/check.ts', 'what `npm test` runs: format, lint, types, boundaries, tests, links, examples, packages   [--filter PACKAGE]'],
  ferrata: ['tools/ferrata.ts', 'the ferrata command, from its sources'],
  bench: ['tools/bench.ts', 'measure: NAME is `proxy` or a package that has benches   NAME [ARGUMENT…]'],
  fuzz: ['tools/fuzz.ts', 'fuzz a target   TARGET [--minutes N]'],
  conformance: ['tools/conformance.ts', 'run a conformance suite   SUITE|FAMILY|all'],
  'new-package': ['tools/new-package.ts', 'make a package   NAME FLOOR [DEPENDENCY…]'],
  fix: ['tools/fix.ts', 'format, sort imports and apply the safe fixes of the linter   [PATH…]'],
};

const [name, ...rest] = process.argv.slice(2);
// `pnpm start -- --smoke` hands the two dashes over, `npm start -- --smoke` does not.
const args = rest[0] === '--' ? rest.slice(1) : rest;

const script = name !== undefined && Object.hasOwn(commands, name) ? commands[name]?.[0] : undefined;
if (script === undefined) {
  const isQuestion = name === undefined || name === '--help' || name === 'help';
  const lines = Object.entries(commands).map(([command, [, help]]) => `  ${command.padEnd(12)} ${help}`);
  console.error(`${isQuestion ? '' : `there is no command "${name}"\n\n`}commands:\n${lines.join('\n')}`);
  process.exit(isQuestion ? 0 : 2);
}

const started = performance.now();
const installed = ensureDependencies();
const node = ownNode();

// Experimental features of Node are this repository's choice; its users cannot do anything about a warning.
const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(root, script), ...args], {
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    TURBO_TELEMETRY_DISABLED: '1',
    FERRATA_SETUP: JSON.stringify({ installed, ms: Math.round(performance.now() - started) }),
  },
});
child.on('error', (error) => stop(`cannot start ${node}: ${error.message}`));
child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    // A terminal sends Ctrl-C to the whole foreground group: handed on, it would reach the child twice.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  });
}

/** Installs the dependencies if they are missing or not those of the lockfile.
 *  @returns true if it had to */
function ensureDependencies() {
  if (isInstalled()) return false;
  const { packageManager } = /** @type {{ packageManager: string }} */ (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  console.error(`installing the dependencies (${packageManager})`);
  const result = spawnSync('npx', ['--yes', packageManager, 'install', '--frozen-lockfile'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, CI: 'true' },
    shell: process.platform === 'win32',
  });
  if (result.error !== undefined) stop(`cannot run npx, which comes with npm: ${result.error.message}`);
  if (result.status !== 0) stop('the installation failed; what went wrong stands above');
  return true;
}

/** pnpm keeps a copy of the lockfile it installed, and writes .modules.yaml last. */
function isInstalled() {
  const copy = join(root, 'node_modules', '.pnpm', 'lock.yaml');
  if (!existsSync(copy) || !existsSync(join(root, 'node_modules', '.modules.yaml'))) return false;
  return readFileSync(copy, 'utf8') === readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8');
}

/** The repository's own Node; on a platform for which the npm package `node` has no binary, the one running now if it is new enough.
 *  @returns {string} */
function ownNode() {
  const bin = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(bin)) return bin;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath;
  return stop(
    `the installation brought no Node for ${process.platform}-${process.arch}, and this one (${process.version}) is older than 22.18`,
  );
}

/** Says why nothing runs, and ends.
 *  @param {string} message
 *  @returns {never} */
function stop(message) {
  console.error(message);
  process.exit(1);
}
