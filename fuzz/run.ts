/**
 * The command: `fuzz TARGET --minutes N`. See `usage` below; `pnpm fuzz` calls it.
 *
 * It exits with 0 if nothing was found, with 1 if something was, with 2 if it was called wrongly. A signal ends it with a summary, and with 1 as
 * well if something was found, else as a shell says it: 130 for SIGINT, 143 for SIGTERM. What is found is printed and written at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readSeeds, writeInput } from './src/corpus.ts';
import { base64, describeFinding, type Finding, latin1Escaped, signatureOf } from './src/finding.ts';
import { type FuzzerReport, type FuzzerState, runFuzzer } from './src/fuzzer.ts';
import { installInstrumentation } from './src/instrument.ts';
import { isTarget, runOnce, type Target } from './src/target.ts';
import { startWatchdog } from './src/watchdog.ts';

const usage = `fuzz TARGET [--minutes N | --seconds N | --executions N] [--seed S] [--findings N] [--grow]
fuzz all [the same] [--parallel N]
fuzz TARGET --replay FILE | --replay base64:DATA
fuzz --list

  --minutes, --seconds   how long (default: 1 minute); 0 runs the committed corpus only
  --executions N         stop after N executions, whatever the time: the same seed then does the same work everywhere; 0 as above
  --seed S               seed of all chance (default 1)
  --findings N           stop after N different findings (default 5)
  --corpus FOLDER        read and write inputs there, not in fuzz/corpora/TARGET
  --grow                 save the inputs that brought new coverage as seeds
  --parallel N           with all: so many targets at once, each in a process of its own (default 1)
  --replay               run one input and say what happens
  --list                 name the targets, each with its invariant`;

/** An execution that takes longer than this is reported as a hang; honest ones take microseconds. */
const HANG_MS = 10_000;

/** In the place of a target: each of them in turn, for the same time. */
const ALL = 'all';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const targetsFolder = fileURLToPath(new URL('targets/', import.meta.url));
const corporaFolder = fileURLToPath(new URL('corpora/', import.meta.url));

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  const { values, positionals } = parsed;
  const known = targetNames();
  if (values.list) {
    for (const name of known) console.log(`${name.padEnd(16)} ${invariantOf(name)}`);
    return 0;
  }
  const [name] = positionals;
  if (name === ALL && values.replay === undefined && positionals.length === 1) {
    return await runAll(
      known,
      args.filter((arg) => arg !== ALL && arg !== '--'),
      Number(values.parallel),
    );
  }
  if (name === undefined || positionals.length > 1 || !known.includes(name)) {
    console.error(`give one target of: ${known.join(', ')}, or ${ALL}\n\n${usage}`);
    return 2;
  }
  installInstrumentation((url) => /\/packages\/[^/]+\/src\/|\/fuzz\/targets\/[^/]+$/.test(url));
  const target = await loadTarget(name);
  if (values.replay !== undefined) return await replay(target, values.replay);
  return await fuzz(name, target, values);
}

function parse(args: string[]) {
  const parsed = parseArgs({
    args: args.filter((arg) => arg !== '--'),
    allowPositionals: true,
    options: {
      minutes: { type: 'string' },
      seconds: { type: 'string' },
      executions: { type: 'string' },
      seed: { type: 'string', default: '1' },
      findings: { type: 'string', default: '5' },
      corpus: { type: 'string' },
      grow: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      parallel: { type: 'string', default: '1' },
      replay: { type: 'string' },
    },
  });
  for (const key of ['minutes', 'seconds', 'executions', 'seed', 'findings', 'parallel'] as const) {
    const text = parsed.values[key];
    if (text !== undefined && !(Number(text) >= 0)) throw new RangeError(`--${key} wants a number, not '${text}'`);
  }
  return parsed;
}

/**
 * Runs every target in a process of its own, as coverage is counted for one. A signal reaches those that run, and no other is begun.
 *
 * @returns the worst exit code
 */
async function runAll(names: readonly string[], args: readonly string[], parallel: number): Promise<number> {
  const waiting = [...names];
  const running = new Set<ChildProcess>();
  let worst = 0;
  const release = onSignal((signal) => {
    waiting.length = 0;
    worst = Math.max(worst, exitCode(null, signal));
    // A terminal sends Ctrl-C to the whole foreground group: handed on, it would reach the child twice.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) for (const child of running) child.kill(signal);
  });
  let isAnyFound = false;
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const child = spawn(process.execPath, [fileURLToPath(import.meta.url), name, ...args], { stdio: 'inherit' });
      running.add(child);
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      running.delete(child);
      isAnyFound ||= code === 1;
      worst = Math.max(worst, exitCode(code, signal));
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, parallel) }, work));
  release();
  return isAnyFound ? 1 : worst;
}

/** Calls `listener` on the first signal that asks to end; the second one ends the process. @returns what takes it back */
function onSignal(listener: (signal: NodeJS.Signals) => void): () => void {
  const release = (): void => {
    for (const signal of SIGNALS) process.off(signal, first);
  };
  const first = (signal: NodeJS.Signals): void => {
    release();
    listener(signal);
  };
  for (const signal of SIGNALS) process.on(signal, first);
  return release;
}

function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

type Values = ReturnType<typeof parse>['values'];

async function fuzz(name: string, target: Target, values: Values): Promise<number> {
  const folder = values.corpus ?? `${corporaFolder}${name}`;
  const seeds = readSeeds(folder);
  const stopping = new AbortController();
  let stoppedBy: NodeJS.Signals | null = null;
  const release = onSignal((signal) => {
    stoppedBy = signal;
    stopping.abort();
  });
  console.log(`${name}: seed ${values.seed}, ${seeds.length} inputs to begin with`);
  const maxMs = durationMs(values);
  const watchdog = startWatchdog({
    folder,
    replay: `pnpm fuzz ${name} --replay`,
    hangMs: HANG_MS,
    maxLength: target.options?.maxLength ?? 1024,
  });
  const start = performance.now();
  const report = await runFuzzer(target, {
    seeds,
    seed: Number(values.seed),
    maxFindings: Number(values.findings),
    clock: () => performance.now(),
    ...(maxMs === undefined ? {} : { maxMs }),
    ...(values.executions === undefined ? {} : { maxExecutions: Number(values.executions) }),
    signal: stopping.signal,
    onExecution: (data) => watchdog.onExecution(data),
    onFinding: (finding) => printFinding(name, folder, finding),
    onProgress: (state) => process.stderr.isTTY && process.stderr.write(`\r${name}: ${summary(state, performance.now() - start)} `),
  });
  await watchdog.stop();
  release();
  clearLine();
  if (values.grow) grow(folder, report);
  console.log(`${name}: ${summary(report, performance.now() - start)}`);
  return report.found.length > 0 ? 1 : exitCode(stoppedBy === null ? 0 : null, stoppedBy);
}

/** The line of progress is written over. */
function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

/** Undefined: no limit of time, since there is one of executions. */
function durationMs(values: Values): number | undefined {
  if (values.seconds !== undefined) return Number(values.seconds) * 1000;
  if (values.minutes !== undefined) return Number(values.minutes) * 60_000;
  return values.executions === undefined ? 60_000 : undefined;
}

function summary(state: FuzzerState, elapsedMs: number): string {
  const perSecond = Math.round((state.executions / Math.max(elapsedMs, 1)) * 1000);
  return (
    `${state.executions} executions in ${(elapsedMs / 1000).toFixed(1)} s (${perSecond}/s), ` +
    `${state.branches} of ${state.instrumentedBranches} branches, corpus ${state.corpus}, ${state.findings} found`
  );
}

function printFinding(name: string, folder: string, { data, error, execution }: Finding): void {
  clearLine();
  const path = relative(process.cwd(), writeInput(folder, 'found', data));
  console.log(`found by execution ${execution} of ${name}: ${error.stack ?? String(error)}`);
  console.log(`  latin1  ${latin1Escaped(data)}`);
  console.log(`  base64  ${base64(data)}`);
  console.log(`  replay  pnpm fuzz ${name} --replay ${path}`);
  console.log(`  or      pnpm fuzz ${name} --replay base64:${base64(data)}\n`);
}

function grow(folder: string, { grown }: FuzzerReport): void {
  for (const data of grown) writeInput(folder, 'grown', data);
  console.log(`${grown.length} inputs saved in ${relative(process.cwd(), folder)}`);
}

async function replay(target: Target, what: string): Promise<number> {
  const data = what.startsWith('base64:') ? Buffer.from(what.slice('base64:'.length), 'base64') : readFileSync(what);
  const thrown = await runOnce(target, Uint8Array.from(data));
  if (thrown === null) {
    console.log(`the invariant holds for ${latin1Escaped(data)}`);
    return 0;
  }
  const { error } = await describeFinding(target, Uint8Array.from(data), { signature: signatureOf(thrown), execution: 1 });
  console.log(`${error.stack ?? String(error)}\n  latin1  ${latin1Escaped(data)}`);
  return 1;
}

function targetNames(): string[] {
  return readdirSync(targetsFolder)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
    .toSorted();
}

/** What a target's first comment says first. */
function invariantOf(name: string): string {
  const comment = /\/\*\*([\s\S]*?)\*\//.exec(readFileSync(`${targetsFolder}${name}.ts`, 'utf8'))?.[1] ?? '';
  const text = comment
    .replace(/^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
  return /^(?:Invariant: )?(.*?)[.;](?= |$)/.exec(text)?.[1] ?? text;
}

async function loadTarget(name: string): Promise<Target> {
  const module: unknown = await import(pathToFileURL(`${targetsFolder}${name}.ts`).href);
  if (!isTarget(module)) throw new TypeError(`targets/${name}.ts exports no function fuzz`);
  return module;
}
