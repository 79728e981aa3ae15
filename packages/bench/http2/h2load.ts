/** One run of h2load, and what it found. */
import type { ProcessGroup } from '../proxy/processes.ts';

const MS_PER_UNIT: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000 };

/** The load to make. */
export interface StreamLoadOptions {
  readonly url: string;
  /** Connections. */
  readonly connections: number;
  /** Requests under way on each, but for HTTP/1. */
  readonly streams: number;
  /**
   * In all. h2load does not connect again when a server has said GOAWAY, as servers do after so many streams (ferrata and others after 10 000): no
   * more than that on each connection.
   */
  readonly requests: number;
  /** CPUs for h2load, as `taskset -c` takes them. */
  readonly cores: string;
  /** HTTP/1.1, with one request at a time on each connection. Default false. */
  readonly isHttp1?: boolean;
  /** What is asked, where it is no plain GET. */
  readonly request?: StreamRequest;
}

/** A POST with fields of its own. */
export interface StreamRequest {
  /** `name: value` each. */
  readonly fields: readonly string[];
  /** The file that is the body. */
  readonly bodyFile: string;
}

/** What h2load found: `succeeded` and `failed` are all requests. */
export interface StreamLoadReport {
  /** Requests that were answered whole with a 2xx. */
  readonly succeeded: number;
  /** All others: lost, reset or timed out ones, and answers with another status. */
  readonly failed: number;
  readonly durationMs: number;
}

/**
 * Runs h2load to its end.
 *
 * @throws {Error} when it fails or reports nothing
 */
export async function runStreamLoad(processes: ProcessGroup, options: StreamLoadOptions): Promise<StreamLoadReport> {
  const { url, connections, streams, requests, cores, request, isHttp1 = false } = options;
  const lines: string[] = [];
  const running = await processes.start({
    name: 'h2load',
    command: 'h2load',
    args: [
      ...(isHttp1 ? ['--h1'] : []),
      `-c${connections}`,
      `-m${isHttp1 ? 1 : streams}`,
      `-n${requests}`,
      '-t1',
      ...argumentsOf(request),
      url,
    ],
    cores,
    onLine: (line) => lines.push(line),
  });
  const status = await running.finished();
  const report = parseStreamLoadReport(lines.join('\n'));
  if (status !== 0 || report === null) throw new Error(`h2load ended with ${status} and reported nothing: ${running.errorOutput}`);
  return report;
}

/** Runs of h2load, each on connections of its own, until so many seconds of load are reached; the sum of what they found. */
export async function runStreamLoadFor(processes: ProcessGroup, load: StreamLoadOptions, seconds: number): Promise<StreamLoadReport> {
  let sum: StreamLoadReport = { succeeded: 0, failed: 0, durationMs: 0 };
  while (sum.durationMs < seconds * 1_000) {
    const { succeeded, failed, durationMs } = await runStreamLoad(processes, load);
    sum = { succeeded: sum.succeeded + succeeded, failed: sum.failed + failed, durationMs: sum.durationMs + durationMs };
    if (succeeded === 0) break;
  }
  return sum;
}

/** Returns what h2load must be told of a request. */
export function argumentsOf(request: StreamRequest | undefined): readonly string[] {
  return request === undefined ? [] : [`--data=${request.bodyFile}`, ...request.fields.map((field) => `--header=${field}`)];
}

/**
 * Reads h2load's report; null when it is none.
 *
 * h2load 1.52 counts each request once, as `succeeded` (2xx and 3xx) or as `failed` (all others); `errored`, which are those without a whole answer,
 * and `timeout` are parts of `failed`. An answer of 3xx is a failure here: nobody asks for one.
 */
export function parseStreamLoadReport(text: string): StreamLoadReport | null {
  const requests = /^requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, \d+ errored, \d+ timeout/m.exec(text);
  const statuses = /^status codes: \d+ 2xx, (\d+) 3xx, \d+ 4xx, \d+ 5xx/m.exec(text);
  const duration = /^finished in ([\d.]+)(us|ms|s)\b/m.exec(text);
  if (requests === null || statuses === null || duration === null) return null;
  const redirects = Number(statuses[1]);
  return {
    succeeded: Number(requests[1]) - redirects,
    failed: Number(requests[2]) + redirects,
    durationMs: Number(duration[1]) * (MS_PER_UNIT[duration[2] ?? ''] ?? 1),
  };
}
