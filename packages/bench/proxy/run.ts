/**
 * The comparison of proxies: CPU time of the proxy's process for one request, beside nginx and the libraries of npm.
 *
 *   CPU 0:  wrk (64 connections) ──┐            ┌──▶ nginx as origin
 *   CPU 1:                         └──▶ proxy ──┘
 *
 * One proxy runs at a time. In each round every proxy is started afresh, warmed up and measured at every body size; the order turns from
 * round to round. CPU time is read from the process, so that what else the machine does matters little; requests/s and latencies are
 * those of a closed loop on a shared CPU and only good for comparing within one table.
 */

import { median, medianRatio, spread } from '../src/statistics.ts';
import { type Cell, formatFigure, formatTable } from '../src/table.ts';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  positiveInteger,
  positiveNumber,
  prepareMachine,
  printBars,
  readSharedOptions,
  runAsCommand,
  SHARED_HELP,
  SHARED_OPTIONS,
  type SharedOptions,
  say,
  splitByAvailability,
  UsageError,
  warn,
  writeJson,
} from './command-line.ts';
import { CONTENDERS, type Contender, rotated } from './contenders.ts';
import { type CpuSample, cpuSampleOf } from './cpu-sample.ts';
import { asksForMatrix, measureMatrix } from './matrix/run.ts';
import { type Origin, startOrigin } from './origin.ts';
import { expectBody } from './probe.ts';
import { busyShare } from './process-usage.ts';
import { type ProcessGroup, withProcesses } from './processes.ts';
import { formatBytes, type NamedSize, parseSize } from './sizes.ts';
import { describeErrors, errorCount, type LoadErrors, runLoad } from './wrk.ts';

const HELP = `pnpm bench proxy [options]: CPU time per request of ferrata, nginx, haproxy and the proxies of npm

  --sizes 100,16k,1m body sizes; default these
  --seconds N        of load in each round and size; default 3
  --warm-up N        seconds of load before the first measurement of each size; default 1
  --rounds N         default 3
  --connections N    of wrk; default 64
${SHARED_HELP}

  --matrix           instead: all bars of the proxy in one run (hooks, log, TLS, HTTP/2, gRPC, 1 MiB); --matrix --help tells of its options

Proxies: ${CONTENDERS.map((one) => one.name).join(', ')}`;

/** Up to this size a response counts as small in the bars. */
const SMALL_BODY_BYTES = 1024;
const LARGE_BODY_BYTES = 2 ** 20;
/** How long the machine is watched before each round, and from which share of other work on the figures are not to be trusted. */
const WATCH_MS = 500;
const MAX_OTHER_WORK = 0.05;
/** What the subject may cost, in CPU time per request, as a multiple of another's. */
const BARS = [
  { kind: 'small', than: 'nginx', limit: 1.5 },
  { kind: 'small', than: 'http-proxy', limit: 0.4 },
  { kind: 'large', than: 'nginx', limit: 1 },
] as const;

/** The options of this bench. */
interface ComparisonOptions extends SharedOptions {
  readonly sizes: readonly NamedSize[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  readonly connections: number;
}

/** One proxy, one size, one round. */
interface Sample extends CpuSample {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: LoadErrors;
}

/** One proxy at one size: its rounds and their medians. */
interface Result {
  readonly proxy: string;
  readonly size: string;
  readonly bodyBytes: number;
  readonly samples: readonly Sample[];
  readonly median: Omit<Sample, 'errors'>;
  /** (Largest − smallest) ÷ median of the CPU time. */
  readonly spread: number;
  readonly errorCount: number;
  readonly ratioToNginx: number | null;
  readonly ratioToHttpProxy: number | null;
}

/** Runs the whole comparison and returns the exit code. */
async function compareProxies(): Promise<number> {
  const options = readOptions();
  const { machine, openFiles } = prepareMachine(65_536);
  const { present, skipped } = splitByAvailability(options.contenders);
  const samples = new SampleTable();
  const otherWork: number[] = [];
  const failed: { name: string; reason: string }[] = [];

  await withProcesses(async (processes) => {
    const origin = await startOrigin(processes, options.loadCores, options.sizes);
    for (let round = 0; round < options.rounds; round++) {
      otherWork.push(await busyShare(WATCH_MS));
      for (const contender of rotated(present, round)) {
        if (failed.some((one) => one.name === contender.name)) continue;
        try {
          await measureRound(contender, { options, processes, origin, openFiles, round, samples });
        } catch (error) {
          const reason = (error as Error).message;
          failed.push({ name: contender.name, reason });
          say(fault(`${contender.name} is left out: ${reason}`));
        }
      }
    }
  });

  const results = summarise(samples, options, present);
  printTables(results, options);
  for (const { name, reason } of [...skipped, ...failed]) options.print(`${warn(`${name} is not in the table`)}: ${reason}\n`);
  printOtherWork(otherWork, options);
  const bars = judge(results, options.subject);
  printBars(bars, options);
  const { sizes, seconds, warmUpSeconds, rounds, connections } = options;
  writeJson(options, {
    bench: 'proxy',
    at: new Date().toISOString(),
    machine,
    options: { sizes: sizes.map((size) => size.name), seconds, warmUpSeconds, rounds, connections },
    otherWork,
    results,
    bars: bars.map((bar) => ({ ...bar, isMet: isMet(bar) })),
    skipped: [...skipped, ...failed],
  });
  const hasErrors = results.some((result) => result.proxy === options.subject && result.errorCount > 0);
  return options.isCheck && (hasErrors || !bars.every(isMet)) ? 1 : 0;
}

function readOptions(): ComparisonOptions {
  const values = parseCommandLine(
    {
      ...SHARED_OPTIONS,
      sizes: { type: 'string', default: '100,16k,1m' },
      seconds: { type: 'string', default: '3' },
      'warm-up': { type: 'string', default: '1' },
      rounds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '64' },
    },
    HELP,
  );
  let sizes: NamedSize[];
  try {
    sizes = values.sizes.split(',').map(parseSize);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return {
    ...readSharedOptions(values),
    sizes,
    seconds: positiveInteger('seconds', values.seconds),
    warmUpSeconds: positiveInteger('warm-up', values['warm-up']),
    rounds: positiveInteger('rounds', values.rounds),
    connections: positiveNumber('connections', values.connections),
  };
}

/** All samples so far, by proxy and size. */
class SampleTable {
  readonly #samples = new Map<string, Sample[]>();

  add(proxy: string, size: string, sample: Sample): void {
    const key = `${proxy} ${size}`;
    const list = this.#samples.get(key);
    if (list === undefined) this.#samples.set(key, [sample]);
    else list.push(sample);
  }

  of(proxy: string, size: string): readonly Sample[] {
    return this.#samples.get(`${proxy} ${size}`) ?? [];
  }
}

/** What one round of one proxy needs to know. */
interface RoundContext {
  readonly options: ComparisonOptions;
  readonly processes: ProcessGroup;
  readonly origin: Origin;
  readonly openFiles: number;
  readonly round: number;
  readonly samples: SampleTable;
}

async function measureRound(contender: Contender, context: RoundContext): Promise<void> {
  const { options, processes, origin, openFiles, round, samples } = context;
  const proxy = await contender.start({ processes, to: origin.url, cores: options.proxyCores, openFiles });
  try {
    for (const size of options.sizes) {
      const url = `${proxy.url}/${size.name}`;
      await expectBody(url, size.bytes);
      const load = { url, connections: options.connections, cores: options.loadCores };
      await runLoad(processes, { ...load, seconds: options.warmUpSeconds });
      const measured = await cpuSampleOf(proxy.process, () => runLoad(processes, { ...load, seconds: options.seconds }));
      const { p50Ms, p99Ms, errors: failed } = measured.load;
      const sample = { ...measured.sample, p50Ms, p99Ms, errors: failed };
      samples.add(contender.name, size.name, sample);
      const figure = `${formatFigure(sample.cpuUs)} us/request, ${formatFigure(sample.requestsPerSecond)} requests/s`;
      const errors = errorCount(sample.errors) > 0 ? fault(`  errors: ${describeErrors(sample.errors)}`) : '';
      say(`round ${round + 1}/${options.rounds}  ${contender.name.padEnd(18)} ${size.name.padStart(5)}  ${figure}${errors}`);
    }
  } finally {
    await proxy.process.stop();
  }
}

function summarise(samples: SampleTable, options: ComparisonOptions, contenders: readonly Contender[]): readonly Result[] {
  const results: Result[] = [];
  for (const size of options.sizes) {
    for (const { name } of contenders) {
      const rounds = samples.of(name, size.name);
      if (rounds.length === 0) continue;
      const middle = (pick: (sample: Sample) => number): number => median(rounds.map(pick));
      const ratioTo = (other: string): number | null => {
        const others = samples.of(other, size.name);
        return others.length === 0 ? null : medianRatio(cpuTimes(rounds), cpuTimes(others));
      };
      results.push({
        proxy: name,
        size: size.name,
        bodyBytes: size.bytes,
        samples: rounds,
        median: {
          requestsPerSecond: middle((sample) => sample.requestsPerSecond),
          cpuUs: middle((sample) => sample.cpuUs),
          userUs: middle((sample) => sample.userUs),
          systemUs: middle((sample) => sample.systemUs),
          p50Ms: middle((sample) => sample.p50Ms),
          p99Ms: middle((sample) => sample.p99Ms),
          residentBytes: middle((sample) => sample.residentBytes),
          coreUse: middle((sample) => sample.coreUse),
        },
        spread: spread(cpuTimes(rounds)),
        errorCount: rounds.reduce((sum, sample) => sum + errorCount(sample.errors), 0),
        ratioToNginx: ratioTo('nginx'),
        ratioToHttpProxy: ratioTo('http-proxy'),
      });
    }
  }
  return results;
}

function cpuTimes(samples: readonly Sample[]): readonly number[] {
  return samples.map((sample) => sample.cpuUs);
}

function printTables(results: readonly Result[], options: ComparisonOptions): void {
  const { seconds, rounds, connections, sizes } = options;
  const headings = [
    'proxy',
    'CPU us/req',
    'user',
    'system',
    'x nginx',
    'x http-proxy',
    'spread',
    'req/s',
    'p50 ms',
    'p99 ms',
    'RSS MiB',
    'core',
    'errors',
  ];
  for (const size of sizes) {
    const rows = results.filter((result) => result.size === size.name).map((result) => rowOf(result, options.subject));
    if (rows.length === 0) continue;
    options.print(`\n${formatBytes(size.bytes)} bodies, ${connections} connections, medians of ${rounds} rounds of ${seconds} s\n`);
    options.print(`${formatTable(headings, rows)}\n`);
  }
  options.print('\n');
  const shown = CONTENDERS.filter((one) => results.some((result) => result.proxy === one.name));
  for (const { name, note } of shown) options.print(`${name}: ${note}\n`);
  options.print('\n');
}

function printOtherWork(shares: readonly number[], options: ComparisonOptions): void {
  const most = Math.max(0, ...shares);
  const percent = shares.map((share) => `${(share * 100).toFixed(0)} %`).join(', ');
  const line = `other work on this machine before each round: ${percent} of its CPUs`;
  options.print(
    most > MAX_OTHER_WORK
      ? `${warn(`${line}; the figures are too high and the ratios uncertain: measure again on a quiet machine`)}\n`
      : `${line}\n`,
  );
}

function rowOf(result: Result, subject: string): readonly Cell[] {
  const { median: middle } = result;
  const ratio = (value: number | null): string => (value === null ? '-' : value.toFixed(2));
  const name: Cell = result.proxy === subject ? { text: result.proxy, style: 'bold' } : result.proxy;
  return [
    name,
    formatFigure(middle.cpuUs),
    formatFigure(middle.userUs),
    formatFigure(middle.systemUs),
    ratio(result.ratioToNginx),
    ratio(result.ratioToHttpProxy),
    `${(result.spread * 100).toFixed(0)} %`,
    formatFigure(middle.requestsPerSecond),
    formatFigure(middle.p50Ms),
    formatFigure(middle.p99Ms),
    (middle.residentBytes / 2 ** 20).toFixed(0),
    `${(middle.coreUse * 100).toFixed(0)} %`,
    result.errorCount === 0 ? '0' : { text: String(result.errorCount), style: 'red' },
  ];
}

function judge(results: readonly Result[], subject: string): readonly Bar[] {
  return BARS.map(({ kind, than, limit }) => {
    const fits = (bytes: number): boolean => (kind === 'small' ? bytes <= SMALL_BODY_BYTES : bytes >= LARGE_BODY_BYTES);
    const ratios = results
      .filter((result) => result.proxy === subject && fits(result.bodyBytes))
      .map((result) => (than === 'nginx' ? result.ratioToNginx : result.ratioToHttpProxy))
      .filter((ratio) => ratio !== null);
    const value = ratios.length === 0 ? null : Math.max(...ratios);
    return { name: `${subject}, CPU per request, ${kind} bodies, x ${than}`, limit, value, unit: 'x' };
  });
}

await runAsCommand(asksForMatrix(process.argv.slice(2)) ? measureMatrix : compareProxies);
