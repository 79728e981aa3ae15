/** The suite `h2spec`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type GoProgram, provideGoProgram } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { parseReport } from './junit.ts';
import { outcomesOf } from './outcomes.ts';
import { startAlpnServer, startReverse, startServer, type Target } from './targets.ts';

const USAGE = `usage: node conformance/h2spec/run.ts [--target server|alpn|reverse] [--only SECTION]

  --target NAME    one of the three
  --only SECTION   as h2spec names them: generic, http2/5.1, hpack/2.3.3/1`;

const H2SPEC: GoProgram = {
  folder: fileURLToPath(new URL('tool', import.meta.url)),
  goPackage: 'github.com/summerwind/h2spec/cmd/h2spec',
};

const TARGETS: Readonly<Record<string, () => Promise<Target>>> = { server: startServer, alpn: startAlpnServer, reverse: startReverse };

/** How long h2spec waits for each answer, and how long it may take for all of them. */
const ANSWER_TIMEOUT_S = 2;
const RUN_TIMEOUT_MS = 120_000;

const options = readOptions();
if (options === null) process.exitCode = 2;
else process.exitCode = await run(options.targets, options.only);

/** Null, and a line on the standard error, if the command line is wrong. */
function readOptions(): { readonly targets: readonly string[]; readonly only: string | null } | null {
  try {
    const { values } = parseArgs({ options: { target: { type: 'string' }, only: { type: 'string' } } });
    const targets = Object.keys(TARGETS).filter((name) => (values.target ?? name) === name);
    if (targets.length === 0) throw new RangeError(`--target is one of ${Object.keys(TARGETS).join(', ')}`);
    return { targets, only: values.only ?? null };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return null;
  }
}

async function run(targets: readonly string[], only: string | null): Promise<number> {
  const provided = provideGoProgram(H2SPEC, (line) => console.log(`h2spec: ${line}`));
  if ('problem' in provided) {
    if ((process.env['CI'] ?? '') !== '') return report('h2spec', summarise([{ id: 'h2spec', problem: provided.problem }], new Map()));
    console.log(`h2spec: SKIPPED: ${provided.problem}\n0 passed, 0 failed`);
    return 0;
  }
  const outcomes = (await Promise.all(targets.map((name) => runTarget(provided.path, name, only)))).flat();
  const known = readKnownFailures(new URL('known-failures.txt', import.meta.url));
  const ids = new Set(outcomes.map(({ id }) => id));
  const isWhole = only === null && targets.length === Object.keys(TARGETS).length;
  return report('h2spec', summarise(outcomes, isWhole ? known : new Map([...known].filter(([id]) => ids.has(id)))));
}

async function runTarget(program: string, name: string, only: string | null): Promise<Outcome[]> {
  const started = TARGETS[name];
  if (started === undefined) return [];
  const folder = new TemporaryFolder('ferrata-h2spec-');
  const outcomes: Outcome[] = [];
  try {
    const target = await started();
    const file = join(folder.path, 'report.xml');
    const said = await runProgram(program, target.port, file, only);
    outcomes.push(await outcomeOf(`${name}/end`, () => target.stop()));
    try {
      outcomes.push(...outcomesOf(name, parseReport(readFileSync(file, 'latin1')), only === null));
    } catch (error) {
      throw new Error(`h2spec left no report: ${said.trim().slice(-500)}`, { cause: error });
    }
  } catch (error) {
    outcomes.push({ id: name, problem: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  } finally {
    folder.remove();
  }
  console.log(`h2spec: ${name}: ${outcomes.length} outcomes`);
  return outcomes;
}

/** @returns its last words; how it ended says no more than its report */
async function runProgram(program: string, port: number, file: string, only: string | null): Promise<string> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-S', '-o', String(ANSWER_TIMEOUT_S), '-j', file, ...(only === null ? [] : [only])];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_TIMEOUT_MS });
  killOnExit(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('latin1').on('data', (text: string) => {
      said = (said + text).slice(-4_000);
    });
  }
  await new Promise<void>((resolve, reject) => {
    child.on('close', () => resolve());
    child.on('error', reject);
  });
  return said;
}
