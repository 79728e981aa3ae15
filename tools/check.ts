/**
 * `npm test`: everything that has to hold before a change is merged, on one screen.
 *
 * Independent steps run two at a time. Their output goes to .cache/check; what failed is also shown in full. `--filter PACKAGE`,
 * which may be repeated, narrows format, lint, types, tests, links and examples to that package, and leaves out the rest.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Board } from './check/board.ts';
import { checkExamples, markdownFiles } from './check/examples.ts';
import { checkLinks, linkingFiles } from './check/links.ts';
import { checkPacked } from './check/packed.ts';
import { runSteps, type Step, type StepResult } from './check/steps.ts';
import { runTests } from './check/tests.ts';
import { counted } from './check/totals.ts';
import { run } from './process.ts';
import { findPackage, type Package, readPackages, root } from './workspace.ts';

const started = performance.now();
const logs = join(root, '.cache', 'check');
const all = readPackages();
const selected = select();
if (selected === undefined) process.exit(2);
const isWhole = selected.length === all.length;
const board = new Board();

// Ends the programs of the running steps too: see process.ts.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));

rmSync(logs, { recursive: true, force: true });
mkdirSync(logs, { recursive: true });
const results = await runSteps(isWhole ? wholeCheck() : packageCheck(selected), 2, board);
for (const result of results) writeFileSync(join(logs, `${result.name}.log`), result.output ?? '');
const totals = board.conclude(results, (performance.now() - started) / 1000);
process.exitCode = totals.failed === 0 ? 0 : 1;

function wholeCheck(): readonly Step[] {
  return [
    setUp(),
    format(['.']),
    lint([]),
    boundaries(),
    types([]),
    tests(),
    links(['.']),
    { name: 'examples', after: ['types'], run: () => checkExamples(markdownFiles(all, true), all, logs) },
    // Not beside the type check: both are turbo's, and both want every processor.
    { name: 'packages', after: ['types'], run: () => checkPacked(all, (text) => board.progress('packages', text)) },
  ];
}

function packageCheck(packages: readonly Package[]): readonly Step[] {
  const folders = packages.map(({ id }) => `packages/${id}`);
  return [
    setUp(),
    format(folders),
    lint(folders),
    boundaries(),
    types(packages.map(({ name }) => `--filter=${name}`)),
    tests(),
    links(folders),
    { name: 'examples', after: ['types'], run: () => checkExamples(markdownFiles(packages, false), all, logs) },
  ];
}

/** tools/run.mjs has done it; this is its line in the table. */
function setUp(): Step {
  return {
    name: 'set-up',
    run: () => {
      const { installed, ms } = JSON.parse(process.env['FERRATA_SETUP'] ?? '{"installed":false,"ms":0}') as {
        installed: boolean;
        ms: number;
      };
      const what = installed ? `dependencies installed in ${(ms / 1000).toFixed(0)} s` : 'dependencies were there';
      return Promise.resolve({ passed: 1, failed: 0, note: `Node ${process.versions.node}, ${what}` });
    },
  };
}

function format(paths: readonly string[]): Step {
  return {
    name: 'format',
    run: async () => {
      const { code, output } = await run('biome', ['check', '--max-diagnostics=20', ...paths]);
      return verdict(code, /Checked (\d+ files?)/.exec(output)?.[1], `${output}\n\`pnpm fix\` formats all of it.`);
    },
  };
}

function lint(paths: readonly string[]): Step {
  return {
    name: 'lint',
    run: async () => {
      const { code, output } = await run('oxlint', [...paths]);
      const [, files, rules] = / on (\d+ files?) with (\d+ rules)/.exec(output) ?? [];
      return verdict(code, files === undefined || rules === undefined ? undefined : `${files}, ${rules}, type-aware`, output);
    },
  };
}

function types(filters: readonly string[]): Step {
  return {
    name: 'types',
    run: async () => {
      const { code, output } = await run('turbo', [
        'run',
        'typecheck',
        '--continue',
        '--output-logs=errors-only',
        '--concurrency=2',
        ...filters,
      ]);
      const tasks = /Tasks:\s+(\d+) successful, (\d+) total/.exec(output);
      const cached = /Cached:\s+(\d+) cached/.exec(output)?.[1] ?? '0';
      const passed = Number(tasks?.[1] ?? 0);
      const failed = code === 0 ? 0 : Math.max(1, Number(tasks?.[2] ?? 1) - passed);
      return { passed, failed, note: `${counted(Number(tasks?.[2] ?? 0), 'package')}, ${cached} unchanged`, output };
    },
  };
}

function boundaries(): Step {
  return {
    name: 'boundaries',
    run: async () => {
      const { code, output } = await run('turbo', ['boundaries']);
      return verdict(code, /Checked (\d+ files? in \d+ packages)/.exec(output)?.[1], output);
    },
  };
}

function links(folders: readonly string[]): Step {
  return { name: 'links', run: () => Promise.resolve(checkLinks(linkingFiles(folders))) };
}

function tests(): Step {
  return { name: 'tests', run: () => runTests({ packages: selected ?? all, isWhole }, logs, (text) => board.progress('tests', text)) };
}

/** The result of a tool that says yes or no. */
function verdict(code: number, note: string | undefined, output: string): StepResult {
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, note: note ?? '', output };
}

/** Reads `--filter`. @returns the packages to check; `undefined` after saying what is wrong */
function select(): readonly Package[] | undefined {
  let wanted: readonly string[];
  try {
    wanted = parseArgs({ options: { filter: { type: 'string', multiple: true, short: 'F' } } }).values.filter ?? [];
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nusage: npm test [-- --filter PACKAGE]`);
    return undefined;
  }
  if (wanted.length === 0) return all;
  const found = wanted.map((name) => findPackage(all, name));
  const missing = wanted.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) {
    console.error(`there is no package ${missing.join(', ')}; PACKAGE is one of: ${all.map(({ id }) => id).join(', ')}`);
    return undefined;
  }
  return all.filter((entry) => found.includes(entry));
}
