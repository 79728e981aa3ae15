/**
 * HTTP/2 beside its peers: CPU time of the server's or proxy's process for one request, under h2load.
 *
 *   CPU 0:  h2load ──┐             ┌──▶ origin
 *   CPU 1:           └──▶ subject ─┘
 *
 * As in the comparison of proxies: one at a time, CPU time read from the process, rounds in turns, ratios within a round.
 */
import { type PeerProgram, providePrograms } from '@ferrata/tools/peers';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  positiveInteger,
  prepareMachine,
  printBars,
  readScenarioOptions,
  runAsCommand,
  SCENARIO_HELP,
  SCENARIO_OPTIONS,
  type ScenarioOptions,
  say,
  splitByAvailability,
  warn,
  warnOfOtherWork,
  writeJson,
} from '../proxy/command-line.ts';
import { type Contender, rotated } from '../proxy/contenders.ts';
import { type CpuSample, cpuSampleOf } from '../proxy/cpu-sample.ts';
import { busyShare } from '../proxy/process-usage.ts';
import { type ProcessGroup, withProcesses } from '../proxy/processes.ts';
import { parseSize } from '../proxy/sizes.ts';
import { median, medianRatio, spread } from '../src/statistics.ts';
import { formatFigure, formatTable } from '../src/table.ts';
import { runStreamLoadFor } from './h2load.ts';
import { expectHttp2Answer } from './probe.ts';
import { SCENARIOS, type Scenario, startOriginOf } from './scenarios.ts';

const HELP = `pnpm bench http2 [options]: CPU time per request of HTTP/2 servers and proxies

  --scenarios a,b    default: ${SCENARIOS.map((one) => one.name).join(',')}
  --warm-up N        seconds of load before the first measurement; default 1
${SCENARIO_HELP}`;

/** Peers that only this bench needs. Without one, it is left out of the table. */
const PEERS: readonly PeerProgram[] = [
  { command: 'h2load', debianPackage: 'nghttp2-client', purpose: 'the load' },
  { command: 'nghttpd', debianPackage: 'nghttp2-server', purpose: 'the HTTP/2 origin, and one of the servers compared' },
  { command: 'nghttpx', debianPackage: 'nghttp2-proxy', purpose: 'one of the proxies compared' },
];

const WATCH_MS = 500;

interface Options extends ScenarioOptions<Scenario> {
  readonly warmUpSeconds: number;
}

/** One contender, one round. */
interface Sample extends CpuSample {
  readonly failures: number;
}

async function compare(): Promise<number> {
  const options = readOptions();
  const missing = providePrograms(PEERS, say);
  for (const tool of missing) say(warn(`${tool.command} is missing: ${tool.purpose}`));
  if (missing.some((tool) => tool.command === 'h2load')) throw new Error('without h2load there is no load: install nghttp2-client');
  const { machine, openFiles } = prepareMachine(16_384);
  const busy: number[] = [];
  const bars: Bar[] = [];
  const figures: object[] = [];
  let hasFailures = false;
  for (const scenario of options.scenarios) {
    await withProcesses(async (processes) => {
      busy.push(await busyShare(WATCH_MS));
      const samples = await measureScenario(scenario, options, processes, openFiles);
      const rows = [...samples].map(([name, list]) => ({ name, list }));
      printTable(scenario, rows, options);
      const subject = samples.get(scenario.subject);
      hasFailures ||= subject?.some((sample) => sample.failures > 0) === true;
      bars.push(...judge(scenario, samples));
      figures.push({ scenario: scenario.name, samples: Object.fromEntries(samples) });
    });
  }
  warnOfOtherWork(busy, options);
  printBars(bars, options);
  writeJson(options, {
    bench: 'http2',
    at: new Date().toISOString(),
    machine,
    otherWork: busy,
    figures,
    bars: bars.map((bar) => ({ ...bar, isMet: isMet(bar) })),
  });
  return options.isCheck && (hasFailures || !bars.every(isMet)) ? 1 : 0;
}

function readOptions(): Options {
  const values = parseCommandLine({ ...SCENARIO_OPTIONS, 'warm-up': { type: 'string', default: '1' } }, HELP);
  return { ...readScenarioOptions(SCENARIOS, values), warmUpSeconds: positiveInteger('warm-up', values['warm-up']) };
}

async function measureScenario(
  scenario: Scenario,
  options: Options,
  processes: ProcessGroup,
  openFiles: number,
): Promise<ReadonlyMap<string, readonly Sample[]>> {
  const { only, loadCores, proxyCores } = options;
  const { present } = splitByAvailability(scenario.contenders.filter((one) => only === null || only.has(one.name)));
  const to = await startOriginOf(scenario.origin, scenario.size, { processes, loadCores, openFiles });
  const samples = new Map<string, Sample[]>(present.map((one) => [one.name, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const contender of rotated(present, round)) {
      try {
        const sample = await measureOne(contender, scenario, options, { processes, to, cores: proxyCores, openFiles });
        samples.get(contender.name)?.push(sample);
        const failures = sample.failures === 0 ? '' : fault(`  ${sample.failures} failed`);
        say(
          `round ${round + 1}/${options.rounds}  ${scenario.name.padEnd(9)} ${contender.name.padEnd(11)} ${formatFigure(sample.cpuUs)} us/request${failures}`,
        );
      } catch (error) {
        say(fault(`${scenario.name}: ${contender.name} is left out of this round: ${(error as Error).message}`));
      }
    }
  }
  for (const [name, list] of samples) if (list.length === 0) samples.delete(name);
  return samples;
}

async function measureOne(
  contender: Contender,
  scenario: Scenario,
  options: Options,
  context: Parameters<Contender['start']>[0],
): Promise<Sample> {
  const { process: running, url } = await contender.start(context);
  try {
    const target = `${url}/${scenario.size}`;
    await expectHttp2Answer(target, { bytes: parseSize(scenario.size).bytes });
    const { connections, streams, requests } = scenario;
    const load = { url: target, connections, streams, requests, cores: options.loadCores };
    await runStreamLoadFor(context.processes, load, options.warmUpSeconds);
    const { sample, load: counted } = await cpuSampleOf(running, async () => {
      const { succeeded, failed, durationMs } = await runStreamLoadFor(context.processes, load, options.seconds);
      return { requests: succeeded, failed, durationMs };
    });
    return { ...sample, failures: counted.failed };
  } finally {
    await running.stop();
  }
}

function printTable(scenario: Scenario, rows: readonly { name: string; list: readonly Sample[] }[], options: Options): void {
  const subject = rows.find((row) => row.name === scenario.subject);
  const headings = ['', 'CPU us/req', 'user', 'system', `${scenario.subject} ÷ it`, 'spread', 'req/s', 'RSS MiB', 'core', 'failed'];
  const cells = rows.map(({ name, list }) => {
    const middle = (pick: (sample: Sample) => number): number => median(list.map(pick));
    const ratio = subject === undefined ? '-' : medianRatio(cpuTimes(subject.list), cpuTimes(list)).toFixed(2);
    return [
      name === scenario.subject ? { text: name, style: 'bold' as const } : name,
      formatFigure(middle((sample) => sample.cpuUs)),
      formatFigure(middle((sample) => sample.userUs)),
      formatFigure(middle((sample) => sample.systemUs)),
      ratio,
      `${(spread(cpuTimes(list)) * 100).toFixed(0)} %`,
      formatFigure(middle((sample) => sample.requestsPerSecond)),
      (middle((sample) => sample.residentBytes) / 2 ** 20).toFixed(0),
      `${(middle((sample) => sample.coreUse) * 100).toFixed(0)} %`,
      String(list.reduce((sum, sample) => sum + sample.failures, 0)),
    ];
  });
  const { connections, streams, title } = scenario;
  const { rounds, seconds } = options;
  options.print(`\n${title}: h2load -c${connections} -m${streams}, medians of ${rounds} rounds of ${seconds} s\n`);
  options.print(`${formatTable(headings, cells)}\n`);
  for (const { name, note } of scenario.contenders) if (rows.some((row) => row.name === name)) options.print(`${name}: ${note}\n`);
  options.print('\n');
}

function judge(scenario: Scenario, samples: ReadonlyMap<string, readonly Sample[]>): readonly Bar[] {
  const subject = samples.get(scenario.subject);
  return scenario.bars.map(({ than, limit }) => {
    const other = samples.get(than);
    const value = subject === undefined || other === undefined ? null : medianRatio(cpuTimes(subject), cpuTimes(other));
    return { name: `${scenario.title}, CPU per request, x ${than}`, limit, value, unit: 'x' };
  });
}

function cpuTimes(samples: readonly Sample[]): readonly number[] {
  return samples.map((sample) => sample.cpuUs);
}

await runAsCommand(compare);
