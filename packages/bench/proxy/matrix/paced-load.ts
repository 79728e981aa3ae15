/**
 * A load at a fixed rate, by h2load, and the latencies under it.
 *
 * h2load gives each connection its own clock, which ticks every 10 ms at most: a connection with more than 100 requests a second sends several at a tick.
 * So HTTP/1 gets as many connections as have fewer than that, and they begin one after the other, over 10 ms; HTTP/2 gets bursts, as browsers make them.
 * A request that must wait for its connection, as the one before is unanswered, begins when it is sent: that wait is not seen, but the share of
 * the rate that was reached tells of it.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { argumentsOf, parseStreamLoadReport, type StreamRequest } from '../../http2/h2load.ts';
import { percentile } from '../../src/statistics.ts';
import type { ProcessGroup } from '../processes.ts';

/** Requests a second on one connection of HTTP/1: below the 100 from which h2load sends bursts. */
const HTTP1_CONNECTION_RATE = 80;
const HTTP1_CONNECTIONS = { least: 8, most: 512 } as const;
/** Of HTTP/2: connections, streams of each when the load is a closed loop (in all as many as in the load of small responses), and at most at a rate. */
export const PACED_HTTP2 = { connections: 64, streams: 4, mostStreams: 32 } as const;
/** A server may close a connection of HTTP/2 after 10 000 requests, and h2load does not connect again. */
export const HTTP2_CONNECTION_REQUESTS = 9_900;
/** What begins this early is not counted: connections are made then. */
const SETTLE_MS = 1_000;
/** Connections begin in so many steps of a millisecond. */
const START_STEPS = 10;

/** The load to make. */
export interface PacedLoadOptions {
  readonly url: string;
  readonly protocol: 'http1' | 'http2';
  readonly requestsPerSecond: number;
  /** Beside the second in which the connections are made. */
  readonly seconds: number;
  readonly cores: string;
  readonly request?: StreamRequest;
}

/** What was found of the requests that began after the first second. */
export interface PacedLoadReport {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests begun a second, as a share of those that were wanted: below 1 the rate was too much. */
  readonly reachedShare: number;
  /** Requests without an answer, or with another one than 200. */
  readonly failures: number;
  /** How many requests got which status; −1 stands for no answer. */
  readonly statuses: Readonly<Record<string, number>>;
}

/**
 * Runs h2load to its end.
 *
 * @throws {Error} when it fails or reports nothing
 */
export async function runPacedLoad(processes: ProcessGroup, options: PacedLoadOptions): Promise<PacedLoadReport> {
  const logFile = join(processes.makeFolder('paced'), 'requests');
  const lines: string[] = [];
  const running = await processes.start({
    name: 'h2load',
    command: 'h2load',
    args: [...pacedArguments(options), `--log-file=${logFile}`, options.url],
    cores: options.cores,
    onLine: (line) => lines.push(line),
  });
  const status = await running.finished();
  if (status !== 0 || parseStreamLoadReport(lines.join('\n')) === null) {
    throw new Error(`h2load ended with ${status} and reported nothing: ${running.errorOutput}`);
  }
  const report = parsePacedLog(readFileSync(logFile, 'utf8'), options.requestsPerSecond);
  rmSync(logFile);
  return report;
}

/** Returns what h2load must be told of a rate. */
export function pacedArguments({ protocol, requestsPerSecond, seconds, request }: PacedLoadOptions): readonly string[] {
  const isHttp1 = protocol === 'http1';
  const { least, most } = HTTP1_CONNECTIONS;
  const connections = isHttp1
    ? Math.min(most, Math.max(least, Math.ceil(requestsPerSecond / HTTP1_CONNECTION_RATE)))
    : PACED_HTTP2.connections;
  const wanted = Math.max(connections, Math.round(requestsPerSecond * (seconds + SETTLE_MS / 1_000)));
  return [
    ...(isHttp1 ? ['--h1'] : []),
    `-c${connections}`,
    `-m${isHttp1 ? 1 : PACED_HTTP2.mostStreams}`,
    `-n${isHttp1 ? wanted : Math.min(wanted, connections * HTTP2_CONNECTION_REQUESTS)}`,
    '-t1',
    `-r${Math.ceil(connections / START_STEPS)}`,
    '--rate-period=1ms',
    `--rps=${(requestsPerSecond / connections).toFixed(3)}`,
    ...argumentsOf(request),
  ];
}

/**
 * Reads what h2load logs of each request: when it began, in µs, its status or −1, and how long it took, in µs.
 *
 * @throws {Error} when nothing began after the first second
 */
export function parsePacedLog(text: string, requestsPerSecond: number): PacedLoadReport {
  const requests = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t').map(Number))
    .map(([startUs = Number.NaN, status = -1, durationUs = Number.NaN]) => ({ startUs, status, durationUs }));
  const firstUs = requests.reduce((first, { startUs }) => Math.min(first, startUs), Number.POSITIVE_INFINITY);
  const lastUs = requests.reduce((last, { startUs }) => Math.max(last, startUs), 0);
  const settledUs = firstUs + SETTLE_MS * 1_000;
  const counted = requests.filter(({ startUs }) => startUs >= settledUs);
  const latencies = counted.filter(({ status }) => status === 200).map(({ durationUs }) => durationUs / 1_000);
  const statuses: Record<string, number> = {};
  for (const { status } of requests) statuses[status] = (statuses[status] ?? 0) + 1;
  if (latencies.length === 0) throw new Error('no request of the paced load was answered after its first second');
  return {
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    reachedShare: counted.length / ((lastUs - settledUs) / 1e6) / requestsPerSecond,
    failures: requests.filter(({ status }) => status !== 200).length,
    statuses,
  };
}
