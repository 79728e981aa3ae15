/**
 * The examples in Markdown files, run as tests: every block that begins with ```ts is a complete module.
 *
 * Blocks marked ```ts ignore are left out, and so are all other languages. Each block becomes a file in .cache/examples, padded
 * with empty lines so that a line number in an error is the line of the Markdown file. There every package of the
 * repository can be imported by its name, as a user would. The files are type-checked together, then run one by one.
 */
import { globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { run } from '../process.ts';
import { type Package, root } from '../workspace.ts';
import { runNodeTests } from './node-test.ts';
import type { StepResult } from './steps.ts';
import { counted } from './totals.ts';

/** An example that takes longer does not end by itself. */
const EXAMPLE_TIMEOUT_MS = 30_000;

/** One block of a Markdown file. */
export interface Example {
  /** The line of its first line of code, from 1. */
  readonly line: number;
  readonly code: string;
}

/** Finds the blocks of a Markdown text that are to be run. */
export function extractExamples(markdown: string): readonly Example[] {
  const examples: Example[] = [];
  const lines = markdown.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const opening = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(lines[index] ?? '');
    if (opening === null) continue;
    const [, indent = '', fence = '', info = ''] = opening;
    const first = index + 1;
    let last = first;
    while (last < lines.length && (lines[last] ?? '').trim() !== fence) last += 1;
    const code = lines.slice(first, last).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    if (info.trim() === 'ts') examples.push({ line: first + 1, code: code.join('\n') });
    index = last;
  }
  return examples;
}

/** Type-checks and runs the examples of some Markdown files, given by their paths in the repository. */
export async function checkExamples(files: readonly string[], packages: readonly Package[], logs: string): Promise<StepResult> {
  const folder = join(root, '.cache', 'examples');
  prepare(folder, packages);
  const written: string[] = [];
  for (const file of files) {
    for (const example of extractExamples(readFileSync(join(root, file), 'utf8'))) {
      const name = `${file.replaceAll(/[/.]/g, '-')}-line-${example.line}.ts`;
      writeFileSync(join(folder, name), `${'\n'.repeat(example.line - 1)}${example.code}\n`);
      written.push(name);
    }
  }
  if (written.length === 0) return { passed: 0, failed: 0, note: `no examples in ${counted(files.length, 'file')}` };

  const types = await run('tsc', ['--project', folder]);
  const ran = await runNodeTests({ files: written, cwd: folder, testTimeoutMs: EXAMPLE_TIMEOUT_MS, log: join(logs, 'examples.spec.txt') });
  const output = [types.code === 0 ? '' : types.output, ran.output].filter((text) => text !== '').join('\n');
  const failed = ran.failed + (types.code === 0 ? 0 : 1);
  return { passed: ran.passed, failed, note: `${counted(written.length, 'example')} in ${counted(files.length, 'file')}`, output };
}

/** The Markdown files whose examples are run: the root's, docs, and each package's README. */
export function markdownFiles(packages: readonly Package[], withRoot: boolean): readonly string[] {
  const general = withRoot ? ['*.md', 'docs/**/*.md', '{conformance,fuzz,examples}/*.md'] : [];
  return globSync([...general, ...packages.map(({ id }) => `packages/${id}/*.md`)], { cwd: root })
    .filter((file) => basename(file) !== 'CHANGELOG.md')
    .toSorted();
}

function prepare(folder: string, packages: readonly Package[]): void {
  rmSync(folder, { recursive: true, force: true });
  for (const entry of packages) {
    const link = join(folder, 'node_modules', entry.name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(entry.folder, link, 'junction');
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }\n');
  const tsconfig = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: { types: ['node'], typeRoots: [join(root, 'node_modules/@types')] },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
}
