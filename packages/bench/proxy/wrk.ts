/**
 * One run of wrk, and what it found.
 */

import { fileURLToPath } from 'node:url';
import type { ProcessGroup } from './processes.ts';

/** wrk counts a response that takes longer than this as timed out; generous, so that a busy machine does not show as errors. */
const RESPONSE_TIMEOUT_S = 10;
const SCRIPTS = {
  report: fileURLToPath(new URL('./wrk/report.lua', import.meta.url)),
  statuses: fileURLToPath(new URL('./wrk/statuses.lua', import.meta.url)),
} as const;

/** The load to make. */
export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** CPUs for wrk, as `taskset -c` takes them. */
  readonly cores: string;
  /** Whether to count every status; slows wrk down. Default false. */
  readonly countStatuses?: boolean;
}

/** What wrk found. */
export interface LoadReport {
  readonly requests: number;
  readonly durationMs: number;
  /** Bytes of all responses, heads included. */
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Responses by status; empty unless they were counted. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly errors: LoadErrors;
}

/** What went wrong, by kind; `status` counts responses of 400 and above. */
export interface LoadErrors {
  readonly connect: number;
  readonly read: number;
  readonly write: number;
  readonly status: number;
  readonly timeout: number;
}

/**
 * Runs wrk to its end.
 *
 * @throws {Error} when it fails or reports nothing.
 */
export async function runLoad(processes: ProcessGroup, options: LoadOptions): Promise<LoadReport> {
  const { url, connections, seconds, cores } = options;
  const script = options.countStatuses === true ? SCRIPTS.statuses : SCRIPTS.report;
  // One thread: it shares its core with the origin anyway. wrk takes whole seconds only.
  const args = [
    '-t1',
    `-c${connections}`,
    `-d${Math.max(1, Math.round(seconds))}s`,
    '--timeout',
    `${RESPONSE_TIMEOUT_S}s`,
    '-s',
    script,
    url,
  ];
  let report: LoadReport | null = null;
  const running = await processes.start({
    name: 'wrk',
    command: 'wrk',
    args,
    cores,
    onLine: (line) => {
      if (line.startsWith('REPORT ')) report = parseLoadReport(line.slice('REPORT '.length));
    },
  });
  const status = await running.finished();
  if (status !== 0 || report === null) throw new Error(`wrk ended with ${status} and reported nothing: ${running.errorOutput}`);
  return report;
}

/** Returns how many things went wrong, of whatever kind. */
export function errorCount(errors: LoadErrors): number {
  return errors.connect + errors.read + errors.write + errors.status + errors.timeout;
}

/** Returns the kinds of error that occurred, with their counts: `read 3, status 12`. */
export function describeErrors(errors: LoadErrors): string {
  const parts = Object.entries(errors).filter(([, count]) => count > 0);
  return parts.map(([kind, count]) => `${kind} ${count}`).join(', ');
}

/**
 * Parses the JSON that the scripts print.
 *
 * @throws {SyntaxError} when it is none.
 */
export function parseLoadReport(json: string): LoadReport {
  const raw = JSON.parse(json) as RawReport;
  return {
    requests: raw.requests,
    durationMs: raw.durationUs / 1000,
    bytes: raw.bytes,
    p50Ms: raw.p50Us / 1000,
    p99Ms: raw.p99Us / 1000,
    statuses: raw.statuses ?? {},
    errors: raw.errors,
  };
}

/** The line as the scripts write it. */
interface RawReport {
  readonly requests: number;
  readonly durationUs: number;
  readonly bytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly statuses?: Record<string, number>;
  readonly errors: LoadErrors;
}
