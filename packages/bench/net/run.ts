/**
 * Streams beside their peers: CPU time and memory of processes that do one thing with connections.
 *
 *   CPU 0:  load ──┐             ┌──▶ what stands behind
 *   CPU 1:         └──▶ subject ─┘
 *
 * As in the comparison of proxies: one at a time, CPU time read from the process, rounds in turns, ratios within a round.
 */
import { writeCertificates } from '../proxy/certificates.ts';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  prepareMachine,
  printBars,
  readScenarioOptions,
  runAsCommand,
  SCENARIO_HELP,
  SCENARIO_OPTIONS,
  type ScenarioOptions,
  say,
  splitByAvailability,
  warnOfOtherWork,
  writeJson,
} from '../proxy/command-line.ts';
import { rotated } from '../proxy/contenders.ts';
import { busyShare } from '../proxy/process-usage.ts';
import { type ProcessGroup, withProcesses } from '../proxy/processes.ts';
import { median, medianRatio, spread } from '../src/statistics.ts';
import { formatFigure, formatTable } from '../src/table.ts';
import { type NetSample, type NetScenario, SCENARIOS } from './scenarios.ts';

const HELP = `pnpm bench net [options]: what TLS, filters, relays and WebSockets cost

  --scenarios a,b    default: ${SCENARIOS.map((one) => one.name).join(',')}
${SCENARIO_HELP}`;

const WATCH_MS = 500;

type Options = ScenarioOptions<NetScenario>;
type Samples = ReadonlyMap<string, readonly NetSample[]>;

async function compare(): Promise<number> {
  const options = readScenarioOptions(SCENARIOS, parseCommandLine(SCENARIO_OPTIONS, HELP));
  const { machine, openFiles } = prepareMachine(16_384);
  const bars: Bar[] = [];
  const figures: object[] = [];
  const busy: number[] = [];
  let hasFailures = false;
  for (const scenario of options.scenarios) {
    await withProcesses(async (processes) => {
      busy.push(await busyShare(WATCH_MS));
      const samples = await measureScenario(scenario, options, processes, openFiles);
      printTable(scenario, samples, options);
      hasFailures ||= judged(scenario).some((name) => samples.get(name)?.some(({ failures }) => failures > 0) === true);
      bars.push(...judge(scenario, samples));
      figures.push({ scenario: scenario.name, unit: scenario.unit, samples: Object.fromEntries(samples) });
    });
  }
  warnOfOtherWork(busy, options);
  printBars(bars, options);
  const results = bars.map((bar) => ({ ...bar, isMet: isMet(bar) }));
  writeJson(options, { bench: 'net', at: new Date().toISOString(), machine, otherWork: busy, figures, bars: results });
  return options.isCheck && (hasFailures || !bars.every(isMet)) ? 1 : 0;
}

async function measureScenario(scenario: NetScenario, options: Options, processes: ProcessGroup, openFiles: number): Promise<Samples> {
  const { only, seconds, rounds, loadCores, proxyCores } = options;
  const { present } = splitByAvailability(scenario.contenders.filter((one) => only === null || only.has(one.name)));
  const certificates = processes.makeFolder('certificates');
  await writeCertificates(certificates);
  const base = { processes, certificates, cores: proxyCores, loadCores, seconds, openFiles };
  const context = { ...base, to: await scenario.startBehind(base) };
  const samples = new Map<string, NetSample[]>(present.map((one) => [one.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contender of rotated(present, round)) {
      try {
        const running = await contender.start(context);
        try {
          // What was never called before is compiled now.
          if (scenario.name !== 'idle-tls') await contender.measure(running, { ...context, seconds: 1 });
          const sample = await contender.measure(running, context);
          samples.get(contender.name)?.push(sample);
          const failures = sample.failures === 0 ? '' : fault(`  ${sample.failures} failed`);
          say(
            `round ${round + 1}/${rounds}  ${scenario.name.padEnd(13)} ${contender.name.padEnd(10)} ${formatFigure(sample.cost)} ${scenario.unit}${failures}`,
          );
        } finally {
          await running.process.stop();
        }
      } catch (error) {
        say(fault(`${scenario.name}: ${contender.name} is left out of this round: ${(error as Error).message}`));
      }
    }
  }
  for (const [name, list] of samples) if (list.length === 0) samples.delete(name);
  return samples;
}

function printTable(scenario: NetScenario, samples: Samples, options: Options): void {
  const subject = samples.get(scenario.subject);
  const cells = [...samples].map(([name, list]) => [
    name === scenario.subject ? { text: name, style: 'bold' as const } : name,
    formatFigure(median(costs(list))),
    subject === undefined ? '-' : medianRatio(costs(subject), costs(list)).toFixed(2),
    `${(spread(costs(list)) * 100).toFixed(0)} %`,
    formatFigure(median(list.map((sample) => sample.perSecond))),
    String(list.reduce((sum, sample) => sum + sample.failures, 0)),
  ]);
  options.print(`\n${scenario.title}: medians of ${options.rounds} rounds\n`);
  options.print(`${formatTable(['', scenario.unit, `${scenario.subject} ÷ it`, 'spread', 'a second', 'failed'], cells)}\n`);
  for (const { name, note } of scenario.contenders) if (samples.has(name)) options.print(`${name}: ${note}\n`);
}

/** The contenders whose figures the bars compare: what failed at a peer flatters the subject. */
function judged({ subject, bars }: NetScenario): readonly string[] {
  return [subject, ...bars.map(({ than }) => than)];
}

function judge(scenario: NetScenario, samples: Samples): readonly Bar[] {
  const subject = samples.get(scenario.subject);
  return scenario.bars.map(({ than, limit }) => {
    const other = samples.get(than);
    const value = subject === undefined || other === undefined ? null : medianRatio(costs(subject), costs(other));
    return { name: `${scenario.title}, x ${than}`, limit, value, unit: 'x' };
  });
}

function costs(samples: readonly NetSample[]): readonly number[] {
  return samples.map((sample) => sample.cost);
}

await runAsCommand(compare);
