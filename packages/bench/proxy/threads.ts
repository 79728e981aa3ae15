/**
 * What a second worker is worth: the same load on one worker and on two, of ferrata and of nginx.
 *
 * Requests/s only tell where cores are free for the load, which they are not on a small machine. CPU accounting tells it anywhere: a request must not cost more CPU time
 * because there are two workers, and the busiest thread, which limits the whole, must have spent half as much of it. So the scaling is
 *
 *   CPU time of the busiest thread for one request of the server, with one worker ÷ the same with two
 *
 * which is 2 when the work is halved and nothing is added. Times are those of the scheduler, by thread (`/proc/PID/task/TID/schedstat`).
 */

import { median, spread } from '../src/statistics.ts';
import { type Cell, formatFigure, formatTable } from '../src/table.ts';
import {
  type Bar,
  isMet,
  parseCommandLine,
  positiveInteger,
  prepareMachine,
  printBars,
  readSharedOptions,
  runAsCommand,
  SHARED_HELP,
  SHARED_OPTIONS,
  type SharedOptions,
  say,
  splitByAvailability,
  warnOfOtherWork,
  writeJson,
} from './command-line.ts';
import { startFerrata, startNginx } from './contenders.ts';
import { type Origin, startOrigin } from './origin.ts';
import { expectBody } from './probe.ts';
import { busyShare, residentBytesOf, threadUsageOf, usageOf } from './process-usage.ts';
import { type ProcessGroup, withProcesses } from './processes.ts';
import type { RunningProxy, StartContext } from './start.ts';
import { describeErrors, errorCount, runLoad } from './wrk.ts';

const HELP = `pnpm bench threads [options]: requests and CPU time with one worker and with two, of ferrata and nginx

  --seconds N        of load in each round; default 3
  --rounds N         default 3
  --connections N    of wrk; default 64
${SHARED_HELP}`;

const SIZE = { name: '100', bytes: 100 };
const WARM_UP_SECONDS = 2;
const WATCH_MS = 500;
/** What the second worker has to be worth, and what a request may cost more. */
const LEAST_SCALING = 1.7;
const MOST_CPU_RATIO = 1.1;

interface Subject {
  readonly name: string;
  start(context: StartContext, workers: number): Promise<RunningProxy>;
}

const SUBJECTS: readonly Subject[] = [
  { name: 'ferrata', start: startFerrata },
  { name: 'nginx', start: (context, workers) => startNginx({ name: 'nginx', workers, isReusingPort: workers > 1 }, context) },
];

interface Sample {
  readonly requestsPerSecond: number;
  readonly cpuUs: number;
  /** Of the thread that has worked most, for one request of the whole server. */
  readonly busiestUs: number;
  /** CPU time of the busiest threads as shares of all of it, the first one first. */
  readonly shares: readonly number[];
  /** CPUs in use: CPU time ÷ time. */
  readonly cpus: number;
  readonly residentBytes: number;
  readonly errors: number;
}

interface Result {
  readonly name: string;
  readonly workers: number;
  readonly samples: readonly Sample[];
}

interface ThreadsOptions extends SharedOptions {
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
}

async function measureThreads(): Promise<number> {
  const options = readOptions();
  const { machine, openFiles } = prepareMachine(16_384);
  const { present } = splitByAvailability(options.contenders);
  const subjects = SUBJECTS.filter(({ name }) => present.some((one) => one.name === name));
  const results = subjects.flatMap(({ name }) => [1, 2].map((workers) => ({ name, workers, samples: new Array<Sample>() })));
  const busy: number[] = [];
  await withProcesses(async (processes) => {
    const origin = await startOrigin(processes, options.loadCores, [SIZE]);
    for (let round = 0; round < options.rounds; round++) {
      busy.push(await busyShare(WATCH_MS));
      for (const result of results) {
        const subject = subjects.find(({ name }) => name === result.name) as Subject;
        const sample = await measureOne(subject, result.workers, { processes, origin, openFiles, options });
        result.samples.push(sample);
        say(
          `round ${round + 1}/${options.rounds}  ${result.name.padEnd(8)} ${result.workers}  ${formatFigure(sample.cpuUs)} us/request, busiest thread ${formatFigure(sample.busiestUs)}, ${formatFigure(sample.requestsPerSecond)} requests/s`,
        );
      }
    }
  });
  printResults(results, options);
  warnOfOtherWork(busy, options);
  const bars = judge(results, options.subject);
  printBars(bars, options);
  const { seconds, rounds, connections } = options;
  writeJson(options, {
    bench: 'threads',
    at: new Date().toISOString(),
    machine,
    options: { seconds, rounds, connections },
    results,
    bars: bars.map((bar) => ({ ...bar, isMet: isMet(bar) })),
  });
  return options.isCheck && !bars.every(isMet) ? 1 : 0;
}

function readOptions(): ThreadsOptions {
  const number = (fallback: string) => ({ type: 'string', default: fallback }) as const;
  const values = parseCommandLine(
    {
      ...SHARED_OPTIONS,
      // All of them: two workers on one CPU would only show that they share it.
      'proxy-cores': { type: 'string', default: '0,1' },
      seconds: number('3'),
      rounds: number('3'),
      connections: number('64'),
    },
    HELP,
  );
  return {
    ...readSharedOptions(values, ['ferrata', 'nginx']),
    seconds: positiveInteger('seconds', values.seconds),
    rounds: positiveInteger('rounds', values.rounds),
    connections: positiveInteger('connections', values.connections),
  };
}

interface Measurement {
  readonly processes: ProcessGroup;
  readonly origin: Origin;
  readonly openFiles: number;
  readonly options: ThreadsOptions;
}

async function measureOne(subject: Subject, workers: number, { processes, origin, openFiles, options }: Measurement): Promise<Sample> {
  const proxy = await subject.start({ processes, to: origin.url, cores: options.proxyCores, openFiles }, workers);
  try {
    const url = `${proxy.url}/${SIZE.name}`;
    const { pid } = proxy.process;
    await expectBody(url, SIZE.bytes);
    const load = { url, connections: options.connections, cores: options.loadCores };
    await runLoad(processes, { ...load, seconds: WARM_UP_SECONDS });
    const before = threadUsageOf(pid);
    const totalBefore = usageOf(pid).cpuMs;
    const report = await runLoad(processes, { ...load, seconds: options.seconds });
    const cpuMs = usageOf(pid).cpuMs - totalBefore;
    const byThread = [...threadUsageOf(pid)].map(([thread, usedMs]) => usedMs - (before.get(thread) ?? 0)).toSorted((a, b) => b - a);
    if (report.requests === 0) throw new Error(`${subject.name} answered nothing: ${describeErrors(report.errors)}`);
    return {
      requestsPerSecond: (report.requests / report.durationMs) * 1_000,
      cpuUs: (cpuMs * 1_000) / report.requests,
      busiestUs: ((byThread[0] ?? 0) * 1_000) / report.requests,
      shares: byThread.slice(0, 3).map((usedMs) => usedMs / cpuMs),
      cpus: cpuMs / report.durationMs,
      residentBytes: residentBytesOf(pid),
      errors: errorCount(report.errors),
    };
  } finally {
    await proxy.process.stop();
  }
}

function middle(result: Result, pick: (sample: Sample) => number): number {
  return median(result.samples.map(pick));
}

function printResults(results: readonly Result[], options: ThreadsOptions): void {
  const { seconds, rounds, connections } = options;
  const rows: Cell[][] = results.map((result) => [
    result.name,
    String(result.workers),
    formatFigure(middle(result, ({ cpuUs }) => cpuUs)),
    formatFigure(middle(result, ({ busiestUs }) => busiestUs)),
    [0, 1, 2].map((at) => `${(middle(result, ({ shares }) => shares[at] ?? 0) * 100).toFixed(0)} %`).join(' '),
    middle(result, ({ cpus }) => cpus).toFixed(2),
    formatFigure(middle(result, ({ requestsPerSecond }) => requestsPerSecond)),
    (middle(result, ({ residentBytes }) => residentBytes) / 2 ** 20).toFixed(0),
    `${(spread(result.samples.map(({ cpuUs }) => cpuUs)) * 100).toFixed(0)} %`,
    String(result.samples.reduce((sum, { errors }) => sum + errors, 0)),
  ]);
  const headings = [
    'proxy',
    'workers',
    'CPU us/req',
    'busiest us/req',
    'shares of threads',
    'CPUs',
    'req/s',
    'RSS MiB',
    'spread',
    'errors',
  ];
  options.print(`\n${SIZE.bytes} B bodies, ${connections} connections, medians of ${rounds} rounds of ${seconds} s\n`);
  options.print(`${formatTable(headings, rows)}\n\n`);
}

function judge(results: readonly Result[], subject: string): readonly Bar[] {
  const one = results.find(({ name, workers }) => name === subject && workers === 1);
  const two = results.find(({ name, workers }) => name === subject && workers === 2);
  const ratio = (pick: (sample: Sample) => number): number | null =>
    one === undefined || two === undefined ? null : middle(two, pick) / middle(one, pick);
  return [
    { name: `${subject}, CPU per request of two workers`, limit: MOST_CPU_RATIO, value: ratio(({ cpuUs }) => cpuUs), unit: 'x one' },
    {
      name: `${subject}, the busiest of two workers (scaling of ${LEAST_SCALING})`,
      limit: 1 / LEAST_SCALING,
      value: ratio(({ busiestUs }) => busiestUs),
      unit: 'x one',
    },
  ];
}

await runAsCommand(measureThreads);
