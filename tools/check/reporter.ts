/**
 * A node:test reporter for tools/check: one JSON line for each test that ended, for the totals, and for each package's coverage.
 * The spec reporter runs beside it and writes what people read.
 */
import type { TestEvent } from 'node:test/reporters';

/** One line of the reporter's output. */
export type Report =
  | { readonly kind: 'file'; readonly path: string; readonly isRunning: boolean }
  | { readonly kind: 'stderr'; readonly path: string; readonly text: string }
  | { readonly kind: 'test'; readonly passed: boolean; readonly name: string; readonly file: string }
  | { readonly kind: 'totals'; readonly passed: number; readonly failed: number; readonly skipped: number; readonly todo: number }
  | { readonly kind: 'coverage'; readonly files: readonly FileCoverage[] };

/** The figures of one source file. */
export interface FileCoverage {
  readonly path: string;
  readonly lines: number;
  readonly coveredLines: number;
  readonly branches: number;
  readonly coveredBranches: number;
  /** Numbers of the lines that no test reached. */
  readonly uncoveredLines: readonly number[];
  /** Numbers of the lines where a branch begins that no test took. */
  readonly uncoveredBranches: readonly number[];
}

export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  for await (const event of events) {
    const line = toReport(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}

function toReport(event: TestEvent): Report | undefined {
  switch (event.type) {
    case 'test:dequeue':
    case 'test:complete': {
      const { name, nesting, file } = event.data;
      // A test file is itself a test, named after its path.
      if (nesting > 0 || file === undefined || !file.endsWith(name)) return undefined;
      return { kind: 'file', path: name, isRunning: event.type === 'test:dequeue' };
    }
    case 'test:pass':
    case 'test:fail': {
      const { data } = event;
      if (data.details.type === 'suite') return undefined;
      return { kind: 'test', passed: event.type === 'test:pass', name: data.name, file: data.file ?? '' };
    }
    case 'test:stderr':
      return { kind: 'stderr', path: event.data.file, text: event.data.message };
    case 'test:summary': {
      // A summary with a file is that file's own; the last one is of all.
      if (event.data.file !== undefined) return undefined;
      const { tests, passed, skipped, todo } = event.data.counts;
      return { kind: 'totals', passed, failed: tests - passed - skipped - todo, skipped, todo };
    }
    case 'test:coverage':
      return { kind: 'coverage', files: event.data.summary.files.map(toFileCoverage) };
    default:
      return undefined;
  }
}

type CoveredFile = Extract<TestEvent, { type: 'test:coverage' }>['data']['summary']['files'][number];

function toFileCoverage(file: CoveredFile): FileCoverage {
  return {
    path: file.path,
    lines: file.totalLineCount,
    coveredLines: file.coveredLineCount,
    branches: file.totalBranchCount,
    coveredBranches: file.coveredBranchCount,
    uncoveredLines: file.lines.filter((line) => line.count === 0).map((line) => line.line),
    uncoveredBranches: file.branches.filter((branch) => branch.count === 0).map((branch) => branch.line),
  };
}
