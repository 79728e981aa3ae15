/**
 * The soak: load without pause, and halfway the origin is killed, stays away, and comes back.
 *
 *   time     0 ───── load ───── T/2 ── origin gone ── T/2 + D ───── load ───── T ── settle ── look at the memory
 *   allowed         200 only        │  200 502 504   │  + a second of grace │ 200 only
 *
 * wrk counts every status of every response; a client of our own asks fifty times a second and notes when it got which. Sound means: the
 * process lives, every answer is 200, 502 or 504, none but 200 outside the outage, no connection of a client breaks without an answer, and
 * after it all the memory is back within a fifth of what it was under the same load just before the outage.
 */

import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { formatFigure, formatTable } from '../src/table.ts';
import {
  fault,
  parseCommandLine,
  positiveInteger,
  positiveNumber,
  prepareMachine,
  readSharedOptions,
  runAsCommand,
  SHARED_HELP,
  SHARED_OPTIONS,
  type SharedOptions,
  say,
  splitByAvailability,
  warn,
  writeJson,
} from './command-line.ts';
import { CONTENDERS, type Contender } from './contenders.ts';
import { type Origin, startOrigin } from './origin.ts';
import { probe } from './probe.ts';
import { residentBytesOf } from './process-usage.ts';
import { type ProcessGroup, withProcesses } from './processes.ts';
import type { NamedSize } from './sizes.ts';
import { describeErrors, errorCount, type LoadReport, runLoad } from './wrk.ts';

const HELP = `pnpm bench origin-restart [options]: load while the origin is killed and restarted halfway

  --seconds N        of load; default 60
  --down N           seconds that the origin is away; default 3
  --connections N    of wrk; default 256
  --settle N         seconds allowed for the memory to come back; default 10
${SHARED_HELP}

Default proxy: ferrata. All: ${CONTENDERS.map((one) => one.name).join(', ')}`;

const SMALL: NamedSize = { name: '100', bytes: 100 };
const ALLOWED_STATUSES: ReadonlySet<string> = new Set(['200', '502', '504']);
/** How far above its level under load before the outage the memory may be in the end. */
const MAX_MEMORY_RATIO = 1.2;
const PROBE_INTERVAL_MS = 20;
/** After the restart an answer to a request that was sent before it may still come. */
const RECOVERY_GRACE_MS = 1000;
/** Load before the soak, so that its first half already meets a warm process. */
const WARM_UP_SECONDS = 5;

interface SoakOptions extends SharedOptions {
  readonly seconds: number;
  readonly downMs: number;
  readonly connections: number;
  readonly settleMs: number;
}

/** What one proxy did. */
interface Outcome {
  readonly proxy: string;
  /** Responses by status, all of them. */
  readonly statuses: Readonly<Record<string, number>>;
  /** The own client's answers while the origin was away, and in the rest of the time. A broken connection counts under `broken`. */
  readonly probesDuringOutage: Readonly<Record<string, number>>;
  readonly probesOtherwise: Readonly<Record<string, number>>;
  /** From the restart of the origin to the first 200 that the own client got. */
  readonly recoveryMs: number | null;
  readonly requests: number;
  readonly errors: LoadReport['errors'] | null;
  /** Resident bytes after the warm-up, under load just before the outage, and in the end. */
  readonly residentWarm: number;
  readonly residentBefore: number;
  readonly residentAfter: number;
  /** Everything that was not as it should be; empty: sound. */
  readonly faults: readonly string[];
}

/** Runs the soak and returns the exit code. */
async function soak(): Promise<number> {
  const options = readOptions();
  const { machine, openFiles } = prepareMachine(65_536);
  const { present, skipped } = splitByAvailability(options.contenders);
  const outcomes: Outcome[] = [];
  await withProcesses(async (processes) => {
    const origin = await startOrigin(processes, options.loadCores, [SMALL]);
    for (const contender of present) {
      say(
        `${contender.name}: ${WARM_UP_SECONDS} s of warm-up, ${options.seconds} s of load with the origin away for ${options.downMs / 1000} s …`,
      );
      outcomes.push(await soakOne(contender, { processes, origin, openFiles, options }));
    }
  });

  for (const outcome of outcomes) printOutcome(outcome, options);
  const subject = outcomes.find((one) => one.proxy === options.subject);
  const isSound = subject?.faults.length === 0;
  if (subject === undefined) options.print(`${warn(`${options.subject} was not measured, so nothing is judged`)}\n`);
  const { seconds, downMs, connections } = options;
  writeJson(options, {
    bench: 'origin-restart',
    at: new Date().toISOString(),
    machine,
    options: { seconds, downMs, connections },
    outcomes,
    isSound,
    skipped,
  });
  return options.isCheck && !isSound ? 1 : 0;
}

function readOptions(): SoakOptions {
  const values = parseCommandLine(
    {
      ...SHARED_OPTIONS,
      seconds: { type: 'string', default: '60' },
      down: { type: 'string', default: '3' },
      connections: { type: 'string', default: '256' },
      settle: { type: 'string', default: '10' },
    },
    HELP,
  );
  return {
    ...readSharedOptions(values, ['ferrata']),
    seconds: positiveInteger('seconds', values.seconds),
    downMs: positiveNumber('down', values.down) * 1000,
    connections: positiveInteger('connections', values.connections),
    settleMs: positiveNumber('settle', values.settle) * 1000,
  };
}

/** What the soak of one proxy needs. */
interface SoakContext {
  readonly processes: ProcessGroup;
  readonly origin: Origin;
  readonly openFiles: number;
  readonly options: SoakOptions;
}

async function soakOne(contender: Contender, context: SoakContext): Promise<Outcome> {
  const { processes, origin, openFiles, options } = context;
  const faults: string[] = [];
  let proxy: Awaited<ReturnType<Contender['start']>>;
  try {
    proxy = await contender.start({ processes, to: origin.url, cores: options.proxyCores, openFiles });
  } catch (error) {
    return failedOutcome(contender.name, (error as Error).message);
  }
  const { pid } = proxy.process;
  const url = `${proxy.url}/${SMALL.name}`;
  const load = { url, connections: options.connections, cores: options.loadCores, countStatuses: true };
  await runLoad(processes, { ...load, seconds: WARM_UP_SECONDS });
  const residentWarm = residentBytesOf(pid);

  const watch = new Watch(url);
  const watching = watch.run();
  const loading = runLoad(processes, { ...load, seconds: options.seconds });
  await delay(options.seconds * 500);
  const residentBefore = residentBytesOf(pid);
  watch.outageFrom = performance.now();
  await origin.process.kill();
  await delay(options.downMs);
  await origin.restart();
  watch.outageUntil = performance.now();
  const report = await loading;
  watch.stop();
  await watching;

  const residentAfter = await settledMemory(pid, residentBefore, options.settleMs);
  if (proxy.process.exitStatus !== null) faults.push(`the process ended with ${proxy.process.exitStatus}: ${proxy.process.errorOutput}`);
  else await proxy.process.stop();
  faults.push(...faultsOf(report, watch, residentBefore, residentAfter));
  return {
    proxy: contender.name,
    statuses: report.statuses,
    probesDuringOutage: watch.duringOutage,
    probesOtherwise: watch.otherwise,
    recoveryMs: watch.recoveryMs,
    requests: report.requests,
    errors: report.errors,
    residentWarm,
    residentBefore,
    residentAfter,
    faults,
  };
}

/** Waits until the memory is within its bound, at most so long, and returns it. */
async function settledMemory(pid: number, before: number, withinMs: number): Promise<number> {
  const deadline = performance.now() + withinMs;
  let bytes = residentBytesOf(pid);
  while (bytes > before * MAX_MEMORY_RATIO && performance.now() < deadline) {
    await delay(250);
    bytes = residentBytesOf(pid);
  }
  return bytes;
}

function faultsOf(report: LoadReport, watch: Watch, residentBefore: number, residentAfter: number): readonly string[] {
  const faults: string[] = [];
  const strange = Object.keys(report.statuses).filter((status) => !ALLOWED_STATUSES.has(status));
  if (strange.length > 0) faults.push(`answered with ${strange.join(', ')}`);
  const answered = (report.statuses['502'] ?? 0) + (report.statuses['504'] ?? 0);
  if (answered === 0) faults.push('the outage left no 502 and no 504: nothing was proved');
  // wrk counts every status from 400 up as an error too; those are judged above.
  const broken = { ...report.errors, status: 0 };
  if (errorCount(broken) > 0) faults.push(`connections broke without an answer: ${describeErrors(broken)}`);
  const early = Object.entries(watch.otherwise).filter(([kind]) => kind !== '200');
  if (early.length > 0) faults.push(`outside the outage: ${describeCounts(Object.fromEntries(early))}`);
  const strangeProbes = Object.keys(watch.duringOutage).filter((kind) => !ALLOWED_STATUSES.has(kind));
  if (strangeProbes.length > 0) faults.push(`during the outage the own client saw: ${strangeProbes.join(', ')}`);
  if (watch.recoveryMs === null) faults.push('no 200 after the restart of the origin');
  if (residentAfter > residentBefore * MAX_MEMORY_RATIO) {
    faults.push(`memory is ${(residentAfter / residentBefore).toFixed(2)} times what it was, at most ${MAX_MEMORY_RATIO} allowed`);
  }
  return faults;
}

/** The own client: one request at a time over a kept connection, each answer filed under whether the origin was away. */
class Watch {
  readonly duringOutage: Record<string, number> = {};
  readonly otherwise: Record<string, number> = {};
  outageFrom = Number.POSITIVE_INFINITY;
  outageUntil = Number.POSITIVE_INFINITY;
  recoveryMs: number | null = null;
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #isStopped = false;

  constructor(url: string) {
    this.#url = url;
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      const sentAt = performance.now();
      const kind = await this.#ask();
      const answeredAt = performance.now();
      // A request belongs to the outage when any of its time does.
      const isOutage = answeredAt >= this.outageFrom && sentAt <= this.outageUntil + RECOVERY_GRACE_MS;
      const counts = isOutage ? this.duringOutage : this.otherwise;
      counts[kind] = (counts[kind] ?? 0) + 1;
      if (kind === '200' && sentAt > this.outageUntil) this.recoveryMs ??= answeredAt - this.outageUntil;
      await delay(PROBE_INTERVAL_MS);
    }
    this.#agent.destroy();
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #ask(): Promise<string> {
    try {
      const { status } = await probe(this.#url, { agent: this.#agent });
      return String(status);
    } catch {
      return 'broken';
    }
  }
}

function failedOutcome(proxy: string, reason: string): Outcome {
  return {
    proxy,
    statuses: {},
    probesDuringOutage: {},
    probesOtherwise: {},
    recoveryMs: null,
    requests: 0,
    errors: null,
    residentWarm: 0,
    residentBefore: 0,
    residentAfter: 0,
    faults: [reason],
  };
}

function printOutcome(outcome: Outcome, options: SoakOptions): void {
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const ratioOf = (bytes: number): string => (outcome.residentAfter / bytes).toFixed(2);
  const rows = [
    ['responses', formatFigure(outcome.requests)],
    ['by status', describeCounts(outcome.statuses)],
    ['own client, origin away', describeCounts(outcome.probesDuringOutage)],
    ['own client, otherwise', describeCounts(outcome.probesOtherwise)],
    ['first 200 after the restart', outcome.recoveryMs === null ? 'never' : `${outcome.recoveryMs.toFixed(0)} ms`],
    ['RSS after the warm-up', mebibytes(outcome.residentWarm)],
    ['RSS before the outage', mebibytes(outcome.residentBefore)],
    [
      'RSS in the end',
      `${mebibytes(outcome.residentAfter)}, ${ratioOf(outcome.residentBefore)} x before the outage, ${ratioOf(outcome.residentWarm)} x warm`,
    ],
  ];
  options.print(`\n${formatTable([outcome.proxy, ''], rows)}\n`);
  if (outcome.faults.length === 0) options.print('sound\n');
  for (const one of outcome.faults) options.print(`${fault(`fault: ${one}`)}\n`);
}

function describeCounts(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return parts.length === 0 ? 'none' : parts.map(([kind, count]) => `${kind}: ${count}`).join(', ');
}

await runAsCommand(soak);
