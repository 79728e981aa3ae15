/** All tests of the repository in one run of node:test, with the coverage of floors 0 to 2. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { isPure, type Package, root } from '../workspace.ts';
import { coverageByPackage, isCovered, MIN_COVERAGE_PERCENT, type PackageCoverage } from './coverage.ts';
import { runNodeTests } from './node-test.ts';
import type { StepResult } from './steps.ts';
import { counted } from './totals.ts';

const TEST_TIMEOUT_MS = 120_000;

/** What to test. */
export interface TestSelection {
  readonly packages: readonly Package[];
  /** True for everything: also the tests of tools, fuzz, conformance and examples, and coverage as a bar. */
  readonly isWhole: boolean;
}

/**
 * Finds the test files of a selection. The laws of floors 0 to 2 need the test kit, which stands above them: they live in
 * packages/testkit/test, in a folder or file named after the package.
 */
export function testFiles(selection: TestSelection): readonly string[] {
  const patterns = selection.isWhole
    ? ['packages/*/test/**/*.test.ts', '{tools,fuzz,conformance,examples}/test/**/*.test.ts']
    : selection.packages.flatMap(({ id }) => [
        `packages/${id}/test/**/*.test.ts`,
        `packages/testkit/test/**/${id}{.,-}*test.ts`,
        `packages/testkit/test/**/${id}/**/*.test.ts`,
      ]);
  return globSync(patterns, { cwd: root, exclude: ['**/node_modules/**'] }).toSorted();
}

/** Runs the tests. @returns counts, and on failure the failing tests in full and the gaps of coverage */
export async function runTests(selection: TestSelection, logs: string, onProgress: (text: string) => void): Promise<StepResult> {
  const files = testFiles(selection);
  if (files.length === 0) return { passed: 0, failed: selection.isWhole ? 1 : 0, note: 'no test files' };
  const measured = selection.packages.filter(isPure);
  const ran = await runNodeTests({
    files,
    args: [
      `--import=${new URL('property-seed.ts', import.meta.url).href}`,
      ...(measured.length === 0
        ? []
        : ['--experimental-test-coverage', ...measured.map(({ id }) => `--test-coverage-include=packages/${id}/src/**`)]),
    ],
    testTimeoutMs: TEST_TIMEOUT_MS,
    log: join(logs, 'tests.spec.txt'),
    onProgress,
  });

  // A run that broke off has no figures.
  const coverage = ran.coverage.length === 0 ? [] : coverageByPackage(measured, ran.coverage);
  const short = selection.isWhole ? coverage.filter((entry) => !isCovered(entry)) : [];
  const notes = [
    counted(files.length, 'file'),
    ...(ran.skipped > 0 ? [`${ran.skipped} skipped`] : []),
    ...(coverage.length > 0 ? [`coverage of floors 0–2 ≥ ${lowest(coverage).toFixed(1)} %`] : []),
  ];
  const output = [ran.output, ...short.map(describeShort)].filter((text) => text !== '').join('\n\n');
  return { passed: ran.passed, failed: ran.failed + short.length, note: notes.join(', '), output };
}

function lowest(coverage: readonly PackageCoverage[]): number {
  return Math.min(...coverage.map((entry) => Math.min(entry.lines, entry.branches)));
}

function describeShort(coverage: PackageCoverage): string {
  const figures = `${coverage.lines.toFixed(1)} % of lines and ${coverage.branches.toFixed(1)} % of branches; ${MIN_COVERAGE_PERCENT} % are asked`;
  return `coverage of ${coverage.id}: ${figures}\n${coverage.gaps.map((gap) => `  ${gap}`).join('\n')}`;
}
