/** What a process that serves costs under a load. */
import { residentBytesOf, usageBetween, usageOf } from './process-usage.ts';
import type { RunningProcess } from './processes.ts';

/** One process, one load. */
export interface CpuSample {
  readonly cpuUs: number;
  readonly userUs: number;
  readonly systemUs: number;
  readonly requestsPerSecond: number;
  readonly residentBytes: number;
  /** Share of the time that its CPU worked for it: near 1 means that it was what limited the load. */
  readonly coreUse: number;
}

/** What a load has found. */
export interface CountedLoad {
  /** That were answered. */
  readonly requests: number;
  readonly durationMs: number;
}

/**
 * CPU time of a process and its children for each request of a load.
 *
 * @throws {Error} when it has ended meanwhile, or answered nothing
 */
export async function cpuSampleOf<Load extends CountedLoad>(
  running: RunningProcess,
  load: () => Promise<Load>,
): Promise<{ readonly sample: CpuSample; readonly load: Load }> {
  const before = usageOf(running.pid);
  const found = await load();
  const used = usageBetween(before, usageOf(running.pid));
  if (running.exitStatus !== null) throw new Error(`it ended under load with ${running.exitStatus}`);
  const { requests, durationMs } = found;
  if (requests === 0) throw new Error('not one request was answered');
  const sample = {
    cpuUs: (used.cpuMs * 1_000) / requests,
    userUs: (used.userMs * 1_000) / requests,
    systemUs: (used.systemMs * 1_000) / requests,
    requestsPerSecond: (requests / durationMs) * 1_000,
    residentBytes: residentBytesOf(running.pid),
    coreUse: used.cpuMs / durationMs,
  };
  return { sample, load: found };
}
