/** Coverage by package: a file that no test loads counts, a file of types does not. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { coverageByPackage, isCovered } from '../check/coverage.ts';
import type { FileCoverage } from '../check/reporter.ts';
import { type Package, readPackages } from '../workspace.ts';
import { Fixture } from './fixture.ts';

function bytesOf(fixture: Fixture): Package {
  const entry = readPackages(fixture.folder).find(({ id }) => id === 'bytes');
  assert.ok(entry !== undefined);
  return entry;
}

function figures(path: string, coveredLines: number, missing: Partial<FileCoverage> = {}): FileCoverage {
  return { path, lines: 100, coveredLines, branches: 20, coveredBranches: 20, uncoveredLines: [], uncoveredBranches: [], ...missing };
}

test('a package is covered from 95 % of lines and of branches on', () => {
  using fixture = new Fixture();
  const entry = bytesOf(fixture);
  const path = join(entry.folder, 'src', 'index.ts');
  const verdict = (file: FileCoverage): boolean | undefined => coverageByPackage([entry], [file]).map(isCovered)[0];
  assert.equal(verdict(figures(path, 95)), true);
  assert.equal(verdict(figures(path, 94)), false);
  assert.equal(verdict(figures(path, 100, { coveredBranches: 18 })), false);
});

test('gaps are named by file and line', () => {
  using fixture = new Fixture();
  const entry = bytesOf(fixture);
  const file = figures(join(entry.folder, 'src', 'index.ts'), 96, {
    uncoveredLines: [7, 3, 4, 5],
    coveredBranches: 19,
    uncoveredBranches: [9],
  });
  assert.deepEqual(coverageByPackage([entry], [file])[0]?.gaps, ['packages/bytes/src/index.ts: lines 3-5 7 branches at 9']);
});

test('a source file that no test loads counts as uncovered, unless it holds only types and re-exports', () => {
  using fixture = new Fixture();
  const entry = bytesOf(fixture);
  fixture.write(
    'packages/bytes/src/types.ts',
    '/** Only types. */\nexport interface A {\n  readonly b: number;\n}\nexport type { C } from "./c.ts";\n',
  );
  fixture.write('packages/bytes/src/index.ts', "export { b } from './b.ts';\nexport type { A } from './types.ts';\n");
  assert.deepEqual(coverageByPackage([entry], []), [{ id: 'bytes', lines: 100, branches: 100, gaps: [] }]);
  fixture.write('packages/bytes/src/forgotten.ts', 'export function f(): number {\n  return 1;\n}\n');
  const [coverage] = coverageByPackage([entry], []);
  assert.ok(coverage !== undefined && !isCovered(coverage));
  assert.deepEqual(coverage.gaps, ['packages/bytes/src/forgotten.ts: no test loads it']);
});
