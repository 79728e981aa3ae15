/** One run of `node --test`: counts and coverage by tools/check/reporter.ts, and a log for people by the spec reporter. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../process.ts';
import { root } from '../workspace.ts';
import type { FileCoverage, Report } from './reporter.ts';

/** A whole run: half of what CI has. One test, and silence of all, end sooner. */
const RUN_TIMEOUT_MS = 1_200_000;

export interface NodeTestOptions {
  readonly files: readonly string[];
  /** Default: the repository's folder; the paths of `files` start there. */
  readonly cwd?: string;
  /** Further options of node. */
  readonly args?: readonly string[];
  /** A test that takes longer hangs, and fails. */
  readonly testTimeoutMs: number;
  /** A file that runs longer hangs, and the whole run is ended; default 4 minutes. */
  readonly fileTimeoutMs?: number;
  /** Where the readable log goes, absolute. */
  readonly log: string;
  /** Told how far the run is. */
  readonly onProgress?: (text: string) => void;
}

export interface NodeTestResult {
  readonly passed: number;
  readonly failed: number;
  /** Tests marked `skip` or `todo`. */
  readonly skipped: number;
  readonly coverage: readonly FileCoverage[];
  /** The failing tests with their errors; empty if none failed. */
  readonly output: string;
}

/** What is kept of the standard error of each file. */
const MAX_STDERR_LENGTH = 20_000;

/** Runs test files, as many at a time as there are processors. A run that breaks before it counted anything is one failure. */
export async function runNodeTests(options: NodeTestOptions): Promise<NodeTestResult> {
  mkdirSync(dirname(options.log), { recursive: true });
  rmSync(options.log, { force: true });
  let done = 0;
  let failures = 0;
  let totals: Extract<Report, { kind: 'totals' }> | undefined;
  let coverage: readonly FileCoverage[] = [];
  const filesSince = new Map<string, number>();
  const said = new Map<string, string>();
  const brokenFiles: string[] = [];
  const onLine = (line: string): void => {
    const report = parseReport(line);
    switch (report?.kind) {
      case 'file':
        if (report.isRunning) filesSince.set(report.path, performance.now());
        else filesSince.delete(report.path);
        return;
      case 'test':
        done += 1;
        if (!report.passed) {
          failures += 1;
          // A file that fails as such could not be loaded or ended badly: only its standard error says why.
          if (options.files.includes(report.name)) brokenFiles.push(report.name);
        }
        options.onProgress?.(failures === 0 ? `${done}` : `${done}, ${failures} failed`);
        return;
      case 'stderr':
        said.set(report.path, `${said.get(report.path) ?? ''}${report.text}`.slice(-MAX_STDERR_LENGTH));
        return;
      case 'totals':
        totals = report;
        return;
      case 'coverage':
        coverage = report.files;
        break;
      case undefined:
    }
  };
  const limits = [`--test-concurrency=${availableParallelism()}`, `--test-timeout=${options.testTimeoutMs}`];
  const reporters = [
    `--test-reporter=${join(root, 'tools/check/reporter.ts')}`,
    '--test-reporter-destination=stdout',
    '--test-reporter=spec',
    `--test-reporter-destination=${options.log}`,
  ];
  // node:test does not kill the process of a file whose test never gives the event loop back.
  const hung: string[] = [];
  const abort = new AbortController();
  const fileTimeoutMs = options.fileTimeoutMs ?? 240_000;
  const watchdog = setInterval(() => {
    for (const [path, since] of filesSince) if (performance.now() - since > fileTimeoutMs) hung.push(path);
    if (hung.length > 0) abort.abort();
  }, 500);
  const preload = `--import=${new URL('processes-unmeasured.ts', import.meta.url).href}`;
  // Whoever is killed removes nothing: a run has a temporary folder of its own, and that is removed. Its name is short, as paths of Unix sockets must be.
  const temporary = mkdtempSync(join(tmpdir(), 'run-'));
  // As the one around it: servers that give up the rights of root look for their files here.
  chmodSync(temporary, 0o1777);
  const clear = (): void => rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
  process.once('exit', clear);
  const ran = await run(process.execPath, ['--test', preload, ...limits, ...reporters, ...(options.args ?? []), ...options.files], {
    cwd: options.cwd ?? root,
    onLine,
    // A test run that is itself started by a test would else report to that one.
    env: { NODE_TEST_CONTEXT: undefined, TMPDIR: temporary },
    signal: abort.signal,
    timeoutMs: RUN_TIMEOUT_MS,
  });
  clearInterval(watchdog);
  process.off('exit', clear);
  clear();
  if (hung.length > 0) {
    const output = `hangs, so that the rest was not run: ${[...new Set(hung)].join(', ')}`;
    return { passed: done - failures, failed: failures + 1, skipped: 0, coverage, output };
  }
  if (totals === undefined) return { passed: 0, failed: 1, skipped: 0, coverage, output: ran.output };
  const failed = Math.max(totals.failed, ran.code === 0 ? 0 : 1);
  const reasons = brokenFiles.map((path) => `\n${path} said:\n${said.get(path) ?? '(nothing)'}`);
  const output = failed === 0 ? '' : [failingTests(options.log), ...reasons].join('\n');
  return { passed: totals.passed, failed, skipped: totals.skipped + totals.todo, coverage, output };
}

function parseReport(line: string): Report | undefined {
  return line.startsWith('{"kind":') ? (JSON.parse(line) as Report) : undefined;
}

/** The part of the readable log that repeats the failing tests; its last lines if there is no such part, as where coverage could not be read. */
function failingTests(log: string): string {
  const text = readFileSync(log, 'utf8');
  const start = text.lastIndexOf('✖ failing tests:');
  return start >= 0 ? text.slice(start).trimEnd() : text.trimEnd().split('\n').slice(-30).join('\n');
}
