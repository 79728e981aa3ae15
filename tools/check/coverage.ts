/**
 * Coverage of floors 0 to 2, package by package: at least 95 % of lines and of branches in each.
 *
 * A file that no test loaded is in no report of V8. Unless it holds nothing but types it counts as wholly uncovered here.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join, relative } from 'node:path';
import type { Package } from '../workspace.ts';
import type { FileCoverage } from './reporter.ts';

/** What each package of floors 0 to 2 has to reach, in percent. */
export const MIN_COVERAGE_PERCENT = 95;

/** The figures of one package. */
export interface PackageCoverage {
  readonly id: string;
  /** In percent, 100 for a package without any code. */
  readonly lines: number;
  readonly branches: number;
  /** One line for each file that is not wholly covered, with what is missing. */
  readonly gaps: readonly string[];
}

/** Adds up the files of each package. */
export function coverageByPackage(packages: readonly Package[], files: readonly FileCoverage[]): readonly PackageCoverage[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return packages.map((entry) => {
    const sources = sourceFiles(entry)
      .map((path) => byPath.get(path) ?? neverLoaded(path))
      .filter((file) => file !== undefined);
    return {
      id: entry.id,
      lines: percent(sources, 'coveredLines', 'lines'),
      branches: percent(sources, 'coveredBranches', 'branches'),
      gaps: sources.filter(isGap).map((file) => describeGap(entry, file)),
    };
  });
}

/** True if a package reaches the bar. */
export function isCovered(coverage: PackageCoverage): boolean {
  return coverage.lines >= MIN_COVERAGE_PERCENT && coverage.branches >= MIN_COVERAGE_PERCENT;
}

function sourceFiles(entry: Package): readonly string[] {
  const folder = join(entry.folder, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(folder, file))
    .toSorted();
}

function neverLoaded(path: string): FileCoverage | undefined {
  const source = readFileSync(path, 'utf8');
  const code = withoutComments(stripTypeScriptTypes(source));
  if (/^(?:\s|;|export\s*\{[^}]*\}(?:\s*from\s*'[^']*')?)*$/.test(code)) return undefined;
  const lines = source.split('\n').length;
  return { path, lines, coveredLines: 0, branches: 1, coveredBranches: 0, uncoveredLines: [], uncoveredBranches: [] };
}

function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}

function percent(files: readonly FileCoverage[], covered: 'coveredLines' | 'coveredBranches', all: 'lines' | 'branches'): number {
  let sum = 0;
  let total = 0;
  for (const file of files) {
    sum += file[covered];
    total += file[all];
  }
  return total === 0 ? 100 : (100 * sum) / total;
}

function isGap(file: FileCoverage): boolean {
  return file.coveredLines < file.lines || file.coveredBranches < file.branches;
}

function describeGap(entry: Package, file: FileCoverage): string {
  const path = relative(join(entry.folder, '..', '..'), file.path);
  if (file.coveredLines === 0 && file.uncoveredLines.length === 0) return `${path}: no test loads it`;
  const lines = file.uncoveredLines.length === 0 ? '' : ` lines ${ranges(file.uncoveredLines)}`;
  const branches = file.uncoveredBranches.length === 0 ? '' : ` branches at ${ranges(file.uncoveredBranches)}`;
  return `${path}:${lines}${branches}`;
}

/** `1, 2, 3, 7` as `1-3 7`. */
function ranges(numbers: readonly number[]): string {
  const runs: { first: number; last: number }[] = [];
  for (const number of [...new Set(numbers)].toSorted((a, b) => a - b)) {
    const current = runs.at(-1);
    if (current?.last === number - 1) current.last = number;
    else runs.push({ first: number, last: number });
  }
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(' ');
}
