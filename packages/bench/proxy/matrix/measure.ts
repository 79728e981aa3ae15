/** One measurement of one proxy of the matrix: CPU time under all the load there can be, latencies at a rate, bytes allocated. */
import { createReadStream, rmSync } from 'node:fs';
import { runStreamLoadFor, type StreamRequest } from '../../http2/h2load.ts';
import { expectHttp2Answer } from '../../http2/probe.ts';
import { GRPC } from '../../http2/scenarios.ts';
import { cpuSampleOf } from '../cpu-sample.ts';
import { expectBody } from '../probe.ts';
import { errorCount, runLoad } from '../wrk.ts';
import { AllocationMeter } from './allocation.ts';
import type { AllocationPerRequest, MatrixSample } from './figures.ts';
import { HTTP2_CONNECTION_REQUESTS, PACED_HTTP2, type PacedLoadReport, runPacedLoad } from './paced-load.ts';
import type { MatrixContender, MatrixContext, MatrixProxy } from './proxies.ts';
import type { MatrixScenario } from './scenarios.ts';

/** Where and how long it is measured. */
export interface MeasureContext extends MatrixContext {
  readonly loadCores: string;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** The file with the message of gRPC. */
  readonly messageFile: string;
}

/** What a load found. */
interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly durationMs: number;
}

/** CPU time per request, under a closed loop. @throws {Error} when the proxy answers wrongly, ends, or does not log what it should */
export async function measureCpu(scenario: MatrixScenario, contender: MatrixContender, context: MeasureContext): Promise<MatrixSample> {
  return await withWarmProxy(scenario, contender, context, async (proxy, before) => {
    const { sample, load } = await cpuSampleOf(proxy.process, () => loadFully(scenario, proxy, context));
    // What waits in a buffer is written at the end.
    await proxy.process.stop();
    if (proxy.logFile !== null) await expectLines(proxy.logFile, before + load.requests);
    return { ...sample, failures: load.failures };
  });
}

/** Where, and at which rate; for a closed loop the rate that is known, which says how many requests there are to be. */
export type RateContext = MeasureContext & { readonly requestsPerSecond: number };

/** Requests a second of a closed loop made as the loads at a rate are: h2load takes more of its CPU than wrk, and on more connections less goes into one write. */
export async function measureThroughput(scenario: MatrixScenario, contender: MatrixContender, context: RateContext): Promise<number> {
  return await withWarmProxy(scenario, contender, context, async (proxy) => {
    const { processes, seconds, loadCores: cores, requestsPerSecond } = context;
    const isHttp1 = scenario.load.kind === 'http1';
    const { connections, streams } = isHttp1 ? { connections: scenario.load.connections, streams: 1 } : PACED_HTTP2;
    const known = Math.max(connections, Math.round(requestsPerSecond * seconds));
    const requests = isHttp1 ? known : Math.min(known, connections * HTTP2_CONNECTION_REQUESTS);
    const load = { url: `${proxy.url}${scenario.path}`, connections, streams, requests, cores, isHttp1, ...requestOf(scenario, context) };
    const { succeeded, durationMs } = await runStreamLoadFor(processes, load, seconds);
    if (succeeded === 0) throw new Error('not one request was answered');
    return (succeeded / durationMs) * 1_000;
  });
}

/** Latencies at a rate. */
export async function measureLatency(scenario: MatrixScenario, contender: MatrixContender, context: RateContext): Promise<PacedLoadReport> {
  return await withWarmProxy(scenario, contender, context, async (proxy) => {
    const { processes, requestsPerSecond, seconds, loadCores: cores } = context;
    const protocol = scenario.load.kind;
    const url = `${proxy.url}${scenario.path}`;
    return await runPacedLoad(processes, { url, protocol, requestsPerSecond, seconds, cores, ...requestOf(scenario, context) });
  });
}

/** Bytes allocated per request, of all threads together; with V8's own counting on, so in a process of its own. */
export async function measureAllocation(
  scenario: MatrixScenario,
  contender: MatrixContender,
  context: MeasureContext,
): Promise<AllocationPerRequest> {
  const meter = await AllocationMeter.open(context.processes.makeFolder('allocation'));
  try {
    return await withWarmProxy(scenario, contender, { ...context, nodeFlags: meter.nodeFlags }, async (proxy) => {
      const { result, count } = await meter.measure(() => loadFully(scenario, proxy, context));
      if (result.requests === 0) throw new Error('not one request was answered');
      return { heapBytes: count.heapBytes / result.requests, externalBytes: count.externalBytes / result.requests };
    });
  } finally {
    meter.close();
  }
}

/**
 * Starts a proxy, checks what it answers (a port may accept before the threads behind it are up), loads it until its code is compiled, hands it on, and ends it.
 *
 * @param use is told how many requests it has answered before
 */
async function withWarmProxy<Result>(
  scenario: MatrixScenario,
  contender: MatrixContender,
  context: MeasureContext,
  use: (proxy: MatrixProxy, answered: number) => Promise<Result>,
): Promise<Result> {
  const proxy = await contender.start(context);
  try {
    await expectAnswer(scenario, proxy);
    const { requests } = await loadFully(scenario, proxy, { ...context, seconds: context.warmUpSeconds });
    return await use(proxy, 1 + requests);
  } finally {
    await proxy.process.stop();
    if (proxy.logFile !== null) rmSync(proxy.logFile, { force: true });
  }
}

async function loadFully(scenario: MatrixScenario, proxy: MatrixProxy, context: MeasureContext): Promise<LoadResult> {
  const { processes, loadCores: cores, seconds } = context;
  const url = `${proxy.url}${scenario.path}`;
  const { load } = scenario;
  if (load.kind === 'http1') {
    const { requests, durationMs, errors } = await runLoad(processes, { url, connections: load.connections, seconds, cores });
    return { requests, durationMs, failures: errorCount(errors) };
  }
  const { connections, streams, requests } = load;
  const options = { url, connections, streams, requests, cores, ...requestOf(scenario, context) };
  const { succeeded, failed, durationMs } = await runStreamLoadFor(processes, options, seconds);
  return { requests: succeeded, failures: failed, durationMs };
}

/** What h2load is to ask, where it is no plain GET. */
function requestOf({ origin }: MatrixScenario, { messageFile }: MeasureContext): { readonly request?: StreamRequest } {
  if (origin !== 'grpc') return {};
  return { request: { bodyFile: messageFile, fields: Object.entries(GRPC.fields).map(([name, value]) => `${name}: ${value}`) } };
}

/** Asks once, so that a wrong answer is not counted as a fast one. */
async function expectAnswer({ load, origin, path, bytes }: MatrixScenario, { url }: MatrixProxy): Promise<void> {
  const target = `${url}${path}`;
  if (load.kind === 'http2') {
    const grpc = { post: { fields: GRPC.fields, body: GRPC.request }, trailers: GRPC.trailers };
    await expectHttp2Answer(target, { bytes, ...(origin === 'grpc' ? grpc : {}) });
  } else {
    await expectBody(target, bytes);
  }
}

/**
 * A log that is not written costs nothing: it must have a line for each request that was answered, those before the measurement among them.
 *
 * @throws {Error} when it has fewer
 */
export async function expectLines(logFile: string, requests: number): Promise<void> {
  let lines = 0;
  for await (const chunk of createReadStream(logFile, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) lines++;
  }
  if (lines < requests) throw new Error(`it wrote ${lines} lines for ${requests} requests`);
}
