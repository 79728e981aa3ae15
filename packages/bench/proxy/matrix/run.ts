/**
 * `pnpm bench proxy --matrix`: the bars of the proxy in one run, a table for each scenario.
 *
 *   CPU 0:  wrk, h2load ──┐            ┌──▶ nginx or nghttpd as origin
 *   CPU 1:                └──▶ proxy ──┘
 *
 * Of each scenario first CPU time per request under a closed loop, in rounds: every proxy once a round, afresh, in turns. Then nginx's throughput
 * under the program that makes loads at a rate, and latencies at 70 % of it, in rounds again. Then, once, what each program on Node allocates.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PeerProgram, providePrograms } from '@ferrata/tools/peers';
import { GRPC, startOriginOf } from '../../http2/scenarios.ts';
import { median } from '../../src/statistics.ts';
import { formatFigure, formatTable } from '../../src/table.ts';
import { writeCertificates } from '../certificates.ts';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  positiveInteger,
  prepareMachine,
  printBars,
  readScenarioOptions,
  SCENARIO_HELP,
  SCENARIO_OPTIONS,
  type ScenarioOptions,
  say,
  splitByAvailability,
  warn,
  warnOfOtherWork,
  writeJson,
} from '../command-line.ts';
import { rotated } from '../contenders.ts';
import { busyShare } from '../process-usage.ts';
import { type ProcessGroup, withProcesses } from '../processes.ts';
import {
  type AllocationPerRequest,
  barsOf,
  hasFailures,
  MATRIX_HEADINGS,
  type MatrixResult,
  type MatrixSample,
  rowsOf,
} from './figures.ts';
import { type MeasureContext, measureAllocation, measureCpu, measureLatency, measureThroughput } from './measure.ts';
import type { PacedLoadReport } from './paced-load.ts';
import type { MatrixContender } from './proxies.ts';
import { MATRIX, type MatrixScenario, PACE } from './scenarios.ts';

const HELP = `pnpm bench proxy --matrix [options]: the bars of the proxy, by what comes in and what goes out

  --scenarios a,b    default: ${MATRIX.map((one) => one.name).join(',')}; says --matrix by itself
  --warm-up N        seconds of load before each measurement; default 1
  --cpu-only         neither latencies nor allocation
${SCENARIO_HELP}`;

/** Programs that the other comparison of proxies does not need. */
const PEERS: readonly PeerProgram[] = [
  { command: 'h2load', debianPackage: 'nghttp2-client', purpose: 'loads of HTTP/2, and loads at a rate' },
  { command: 'nghttpd', debianPackage: 'nghttp2-server', purpose: 'the origin that speaks HTTP/2' },
  { command: 'nghttpx', debianPackage: 'nghttp2-proxy', purpose: 'one of the proxies compared' },
];
/** Without it the others are measured. */
const OPTIONAL_PEER = 'nghttpx';
const OPEN_FILES = 65_536;
const WATCH_MS = 500;

/** The options of this bench. */
export interface MatrixOptions extends ScenarioOptions<MatrixScenario> {
  readonly warmUpSeconds: number;
  readonly isCpuOnly: boolean;
}

/** Where and how long, before there is an origin. */
type BaseContext = Omit<MeasureContext, 'to'>;

/** Returns whether a command line of `pnpm bench proxy` asks for the matrix. */
export function asksForMatrix(args: readonly string[]): boolean {
  return args.some((argument) => argument === '--matrix' || argument === '--scenarios' || argument.startsWith('--scenarios='));
}

/**
 * Reads the options of the matrix.
 *
 * @throws {UsageError} when one is unknown, lacks its value, or names what there is not
 */
export function readMatrixOptions(args?: readonly string[]): MatrixOptions {
  const flag = { type: 'boolean', default: false } as const;
  const values = parseCommandLine(
    { ...SCENARIO_OPTIONS, matrix: flag, 'cpu-only': flag, 'warm-up': { type: 'string', default: '1' } },
    HELP,
    args,
  );
  return {
    ...readScenarioOptions(MATRIX, values),
    warmUpSeconds: positiveInteger('warm-up', values['warm-up']),
    isCpuOnly: values['cpu-only'],
  };
}

/** Runs the matrix and returns the exit code. */
export async function measureMatrix(): Promise<number> {
  const options = readMatrixOptions();
  const missing = providePrograms(PEERS, say).filter(({ command }) => command !== OPTIONAL_PEER);
  if (missing.length > 0) throw new Error(missing.map(({ command, purpose }) => `${command} is missing: ${purpose}`).join('\n'));
  const { machine, openFiles } = prepareMachine(OPEN_FILES);
  const busy: number[] = [];
  const bars: Bar[] = [];
  const figures: object[] = [];
  let isFaulty = false;
  for (const scenario of options.scenarios) {
    await withProcesses(async (processes) => {
      busy.push(await busyShare(WATCH_MS));
      const base = await baseContext(processes, openFiles, options);
      const { results, requestsPerSecond, leftOut } = await new ScenarioRun(scenario, options, base).measure();
      printScenario(scenario, { results, requestsPerSecond, leftOut }, options);
      isFaulty ||= hasFailures(scenario, results);
      bars.push(...barsOf(scenario, results));
      figures.push({ scenario: scenario.name, pacedRequestsPerSecond: requestsPerSecond, results, leftOut });
    });
  }
  warnOfOtherWork(busy, options);
  printBars(bars, options);
  const { seconds, rounds, warmUpSeconds } = options;
  writeJson(options, {
    bench: 'proxy-matrix',
    at: new Date().toISOString(),
    machine,
    options: { seconds, rounds, warmUpSeconds },
    otherWork: busy,
    figures,
    bars: bars.map((bar) => ({ ...bar, isMet: isMet(bar) })),
  });
  return options.isCheck && (isFaulty || !bars.every(isMet)) ? 1 : 0;
}

async function baseContext(processes: ProcessGroup, openFiles: number, options: MatrixOptions): Promise<BaseContext> {
  const certificates = processes.makeFolder('certificates');
  await writeCertificates(certificates);
  const messageFile = join(certificates, 'message');
  writeFileSync(messageFile, GRPC.request);
  const { proxyCores: cores, loadCores, seconds, warmUpSeconds } = options;
  return { processes, certificates, messageFile, cores, loadCores, seconds, warmUpSeconds, openFiles };
}

/** What a scenario gave. */
interface ScenarioFigures {
  readonly results: readonly MatrixResult[];
  /** The rate of the latencies; null: there are none. */
  readonly requestsPerSecond: number | null;
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
}

/** One scenario under way. A proxy that fails once takes part no more: rounds are compared with each other. */
class ScenarioRun {
  readonly #scenario: MatrixScenario;
  readonly #options: MatrixOptions;
  readonly #base: BaseContext;
  readonly #samples = new Map<string, MatrixSample[]>();
  readonly #paced = new Map<string, PacedLoadReport[]>();
  readonly #allocations = new Map<string, AllocationPerRequest>();
  readonly #leftOut: { readonly name: string; readonly reason: string }[] = [];

  constructor(scenario: MatrixScenario, options: MatrixOptions, base: BaseContext) {
    this.#scenario = scenario;
    this.#options = options;
    this.#base = base;
  }

  async measure(): Promise<ScenarioFigures> {
    const { only, isCpuOnly } = this.#options;
    const { present, skipped } = splitByAvailability(this.#scenario.contenders.filter(({ name }) => only === null || only.has(name)));
    this.#leftOut.push(...skipped);
    const { origin, path } = this.#scenario;
    const context = { ...this.#base, to: await startOriginOf(origin, path.slice(1), this.#base) };
    await this.#inRounds(present, 'CPU', async (contender) => {
      const sample = await measureCpu(this.#scenario, contender, context);
      listIn(this.#samples, contender.name).push(sample);
      return `${formatFigure(sample.cpuUs)} us/request${sample.failures === 0 ? '' : fault(`  ${sample.failures} failed`)}`;
    });
    const requestsPerSecond = isCpuOnly ? null : await this.#measurePace(present, context);
    if (requestsPerSecond !== null) await this.#measureLatencies(present, { ...context, requestsPerSecond });
    if (!isCpuOnly) await this.#measureAllocations(present, context);
    const results = present.flatMap(({ name }) => {
      const samples = this.#samples.get(name) ?? [];
      if (samples.length === 0) return [];
      return [{ name, samples, paced: this.#paced.get(name) ?? [], allocation: this.#allocations.get(name) ?? null }];
    });
    return { results, requestsPerSecond, leftOut: this.#leftOut };
  }

  /** Returns the rate at which latencies are compared; null where its setter is not among those measured. */
  async #measurePace(present: readonly MatrixContender[], context: MeasureContext): Promise<number | null> {
    const setter = present.find(({ name }) => name === PACE.setter);
    const samples = this.#samples.get(PACE.setter);
    if (setter === undefined || samples === undefined) return null;
    const known = median(samples.map(({ requestsPerSecond }) => requestsPerSecond));
    let pace: number | null = null;
    await this.#attempt(setter, 'throughput', async () => {
      const found = await measureThroughput(this.#scenario, setter, { ...context, requestsPerSecond: known });
      pace = PACE.share * found;
      return `${formatFigure(found)} requests/s under h2load`;
    });
    return pace;
  }

  async #measureLatencies(present: readonly MatrixContender[], context: Parameters<typeof measureLatency>[2]): Promise<void> {
    await this.#inRounds(present, 'latency', async (contender) => {
      const report = await measureLatency(this.#scenario, contender, context);
      listIn(this.#paced, contender.name).push(report);
      const failures = report.failures === 0 ? '' : fault(`  answers by status: ${JSON.stringify(report.statuses)}`);
      return `p99 ${formatFigure(report.p99Ms)} ms at ${formatFigure(context.requestsPerSecond * report.reachedShare)} requests/s${failures}`;
    });
  }

  async #measureAllocations(present: readonly MatrixContender[], context: MeasureContext): Promise<void> {
    for (const contender of present.filter(({ isNode }) => isNode)) {
      await this.#attempt(contender, 'allocation', async () => {
        const found = await measureAllocation(this.#scenario, contender, context);
        this.#allocations.set(contender.name, found);
        return `${formatFigure(found.heapBytes)} bytes/request in the heap, ${formatFigure(found.externalBytes)} beside it`;
      });
    }
  }

  async #inRounds(
    present: readonly MatrixContender[],
    what: string,
    measure: (contender: MatrixContender) => Promise<string>,
  ): Promise<void> {
    const { rounds } = this.#options;
    for (let round = 0; round < rounds; round++) {
      for (const contender of rotated(present, round)) {
        await this.#attempt(contender, `${what} ${round + 1}/${rounds}`, () => measure(contender));
      }
    }
  }

  async #attempt({ name }: MatrixContender, what: string, measure: () => Promise<string>): Promise<void> {
    if (this.#leftOut.some((one) => one.name === name)) return;
    try {
      say(`${this.#scenario.name.padEnd(10)}  ${what.padEnd(12)}  ${name.padEnd(18)}  ${await measure()}`);
    } catch (error) {
      const reason = `${what}: ${(error as Error).message}`;
      this.#leftOut.push({ name, reason });
      say(fault(`${this.#scenario.name}: ${name} is left out from here on: ${reason}`));
    }
  }
}

function printScenario(scenario: MatrixScenario, { results, requestsPerSecond, leftOut }: ScenarioFigures, options: MatrixOptions): void {
  const { load, name, title, subject, contenders } = scenario;
  const shape = load.kind === 'http1' ? `wrk -c${load.connections}` : `h2load -c${load.connections} -m${load.streams}`;
  const pace =
    requestsPerSecond === null
      ? 'no latencies at a rate'
      : `latencies at ${formatFigure(requestsPerSecond)} requests/s, 70 % of what nginx does under h2load`;
  options.print(`\n${name}: ${title}; ${shape}, medians of ${options.rounds} rounds of ${options.seconds} s; ${pace}\n`);
  if (results.length > 0) options.print(`${formatTable(MATRIX_HEADINGS, rowsOf(scenario, results))}\n`);
  options.print(`subject: ${subject}\n`);
  for (const { name: shown, note } of contenders) if (results.some((result) => result.name === shown)) options.print(`${shown}: ${note}\n`);
  for (const one of leftOut) options.print(`${warn(`${one.name} was left out`)}: ${one.reason}\n`);
}

function listIn<Item>(lists: Map<string, Item[]>, name: string): Item[] {
  const found = lists.get(name);
  if (found !== undefined) return found;
  const list: Item[] = [];
  lists.set(name, list);
  return list;
}
