/**
 * How well upstream connections are used again: connections that the origin accepts for 1 000 requests, beside nginx with the same number of workers and the same load.
 *
 * Each proxy is started afresh for each load, and gets it twice: the first time it has no connection yet (`cold`), the second time it has what it kept
 * (`warm`). The origin counts. nginx is tried with several sizes of its pool, with requests for one connection without end, with a listening socket for all workers and with one for each;
 * what is compared with is the best of these over all loads.
 *
 * With several workers the kernel shares connections out by chance, and a worker opens connections to the origin whenever it has more to do at once than ever before: the
 * figures scatter. So they are means, and the bar allows for two standard errors of the two means that it compares.
 */

import { type Cell, formatTable } from '../src/table.ts';
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
  UsageError,
  writeJson,
} from './command-line.ts';
import { type NginxVariant, startFerrata, startNginx } from './contenders.ts';
import { countsBetween, type Origin, startOrigin } from './origin.ts';
import { withProcesses } from './processes.ts';
import { REUSE_LOADS, type ReuseLoad } from './reuse-load.ts';
import type { RunningProxy, StartContext } from './start.ts';

const HELP = `pnpm bench reuse [options]: new upstream connections per 1 000 requests, of ferrata and nginx

  --workers 1,2      numbers of worker threads or processes; default these
  --rounds N         default 3
${SHARED_HELP}

Loads: ${REUSE_LOADS.map(({ name, note }) => `${name} (${note})`).join('; ')}`;

const SIZE = { name: '100', bytes: 100 };
const NGINX_POOLS = [64, 128, 256] as const;

/** A proxy as it is started here. */
interface Setting {
  readonly name: string;
  readonly isSubject: boolean;
  start(context: StartContext, workers: number): Promise<RunningProxy>;
}

const SETTINGS: readonly Setting[] = [
  { name: 'ferrata', isSubject: true, start: startFerrata },
  ...[false, true].flatMap((isReusingPort) => [
    ...NGINX_POOLS.map((keepalive) => nginx({ keepalive, isReusingPort })),
    nginx({ keepalive: 128, keepaliveRequests: 1_000_000, isReusingPort }),
  ]),
];

function nginx(variant: Omit<NginxVariant, 'name' | 'workers'>): Setting {
  const { keepalive = 0, keepaliveRequests, isReusingPort } = variant;
  const name = `nginx ${keepalive}${keepaliveRequests === undefined ? '' : ', 1m requests'}${isReusingPort === true ? ', reuseport' : ''}`;
  return { name, isSubject: false, start: (context, workers) => startNginx({ ...variant, name: 'nginx', workers }, context) };
}

/** New connections per 1 000 requests. */
interface Figures {
  readonly cold: number;
  readonly warm: number;
}

/** One setting under one load. */
interface Result extends Figures {
  readonly workers: number;
  readonly load: string;
  readonly proxy: string;
  readonly samples: readonly Figures[];
}

interface ReuseOptions extends SharedOptions {
  readonly workers: readonly number[];
  readonly rounds: number;
}

async function measureReuse(): Promise<number> {
  const options = readOptions();
  const { machine, openFiles } = prepareMachine(16_384);
  const results: Result[] = [];
  await withProcesses(async (processes) => {
    const origin = await startOrigin(processes, options.loadCores, [SIZE]);
    const context = { processes, to: origin.url, cores: null, openFiles };
    for (const workers of options.workers) {
      for (const load of REUSE_LOADS) {
        for (const setting of SETTINGS) {
          const samples: Figures[] = [];
          for (let round = 0; round < options.rounds; round++) samples.push(await measureOne(setting, { context, origin, workers, load }));
          const result = {
            workers,
            load: load.name,
            proxy: setting.name,
            cold: mean(samples.map(({ cold }) => cold)),
            warm: mean(samples.map(({ warm }) => warm)),
            samples,
          };
          results.push(result);
          say(
            `${workers} workers  ${load.name.padEnd(14)} ${setting.name.padEnd(34)} cold ${shown(result.cold)}  warm ${shown(result.warm)}`,
          );
        }
      }
    }
  });
  const bars = printResults(results, options);
  printBars(bars, options);
  const { workers, rounds } = options;
  writeJson(options, {
    bench: 'reuse',
    at: new Date().toISOString(),
    machine,
    options: { workers, rounds },
    results,
    bars: bars.map((bar) => ({ ...bar, isMet: isMet(bar) })),
  });
  return options.isCheck && !bars.every(isMet) ? 1 : 0;
}

function readOptions(): ReuseOptions {
  const values = parseCommandLine(
    { ...SHARED_OPTIONS, workers: { type: 'string', default: '1,2' }, rounds: { type: 'string', default: '3' } },
    HELP,
  );
  const workers = values.workers.split(',').map((text) => positiveInteger('workers', text));
  if (workers.some((count) => count > 64)) throw new UsageError('--workers takes numbers up to 64');
  return { ...readSharedOptions(values, ['ferrata', 'nginx']), workers, rounds: positiveInteger('rounds', values.rounds) };
}

/** What one measurement needs. */
interface Measurement {
  readonly context: StartContext;
  readonly origin: Origin;
  readonly workers: number;
  readonly load: ReuseLoad;
}

async function measureOne(setting: Setting, { context, origin, workers, load }: Measurement): Promise<Figures> {
  const proxy = await setting.start(context, workers);
  try {
    const port = Number(new URL(proxy.url).port);
    const perThousand = async (): Promise<number> => {
      const before = await origin.counts();
      const requests = await load.run(port, `/${SIZE.name}`);
      const { connections, requests: arrived } = countsBetween(before, await origin.counts());
      if (arrived !== requests) throw new Error(`${setting.name}: ${requests} requests were sent, and ${arrived} came to the origin`);
      return (connections / requests) * 1_000;
    };
    return { cold: await perThousand(), warm: await perThousand() };
  } finally {
    await proxy.process.stop();
  }
}

/** Prints a table for each number of workers. @returns the bars: over all loads together, not above the best of nginx */
function printResults(results: readonly Result[], options: ReuseOptions): Bar[] {
  const bars: Bar[] = [];
  for (const workers of options.workers) {
    const here = results.filter((result) => result.workers === workers);
    const rows: Cell[][] = here.map((result) => {
      const name: Cell = result.proxy === 'ferrata' ? { text: result.proxy, style: 'bold' } : result.proxy;
      return [result.load, name, shown(result.cold), shown(result.warm)];
    });
    const totals = SETTINGS.map((setting) => ({
      ...setting,
      cold: totalsOf(here, setting.name, 'cold'),
      warm: totalsOf(here, setting.name, 'warm'),
    }));
    // One configuration for all loads: the best of each load would be whoever was lucky there.
    const sumOf = ({ cold, warm }: (typeof totals)[number]): number => mean(cold) + mean(warm);
    const best = totals.filter(({ isSubject }) => !isSubject).toSorted((one, other) => sumOf(one) - sumOf(other))[0];
    const ours = totals.find(({ isSubject }) => isSubject);
    for (const kind of ['cold', 'warm'] as const) {
      if (best === undefined || ours === undefined || here.length === 0) continue;
      const margin = 2 * Math.hypot(standardError(best[kind]), standardError(ours[kind]));
      bars.push({
        name: `${workers} workers, ${kind}: new connections per 1 000 requests, summed over the loads; ${best.name} has ${shown(mean(best[kind]))}`,
        limit: mean(best[kind]) + margin,
        value: mean(ours[kind]),
        unit: '',
      });
    }
    options.print(
      `\nnew upstream connections per 1 000 requests, ${workers} ${workers === 1 ? 'worker' : 'workers'}, means of ${options.rounds} rounds\n`,
    );
    options.print(`${formatTable(['load', 'proxy', 'cold', 'warm'], rows)}\n`);
  }
  for (const { name, note } of REUSE_LOADS) options.print(`${name}: ${note}\n`);
  return bars;
}

/** For each round, the sum over all loads. */
function totalsOf(results: readonly Result[], proxy: string, kind: 'cold' | 'warm'): readonly number[] {
  const own = results.filter((result) => result.proxy === proxy);
  const rounds = Math.min(...own.map(({ samples }) => samples.length));
  return Array.from({ length: Number.isFinite(rounds) ? rounds : 0 }, (_, round) =>
    own.reduce((sum, { samples }) => sum + (samples[round]?.[kind] ?? 0), 0),
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** Of a mean; 0 for a single value, of which nothing is known. */
function standardError(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

function shown(perThousand: number): string {
  return perThousand.toFixed(2);
}

await runAsCommand(measureReuse);
