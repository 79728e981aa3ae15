/** The suite `worlds`: see `README.md` beside this file. A wrong command line ends with 2 and one sentence. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FAMILIES, type WorldVerdict } from './families.ts';
import type { BatchReport, WorkerOrder } from './worker.ts';

const USAGE = `usage: node conformance/worlds/run.ts [--seed N] [--worlds N] [--long] [--minutes N]
       node conformance/worlds/run.ts [--long] --replay FAMILY:SEED:WORLD

  --seed N      draws the worlds; 1 unless it is given, so that a change is judged by worlds that whoever makes it can run before
  --worlds N    how many, 100 to 10000000 (default 100000)
  --long        worlds of full length, for ten minutes by the clock
  --minutes N   for as many, 1 to 600
  --replay F:S:W  that world only, as the line of a failure says`;

/** Two at a time: a machine has that many cores at least. */
const WORKERS = 2;

/** Two and a half minutes are usual: a worker that takes longer than this is stuck. */
const MAX_SHORT_MS = 900_000;

const options = readOptions();
if (options === null) console.log(USAGE);
else if (typeof options === 'string') {
  console.error(options);
  process.exitCode = 2;
} else process.exitCode = options.replay === null ? await runAll(options) : await replay(options.replay, options.isLong);

interface Options {
  readonly seed: number;
  readonly worlds: number;
  readonly isLong: boolean;
  readonly minutes: number;
  readonly replay: readonly [family: string, seed: number, path: string] | null;
}

interface Totals {
  passed: number;
  failed: number;
  requests: number;
  readonly byFamily: Map<string, number>;
}

async function runAll({ seed, worlds, isLong, minutes }: Options): Promise<number> {
  const what = isLong ? `worlds of full length for ${minutes} minutes` : `${worlds} short worlds`;
  console.log(`worlds: --seed ${seed}, ${what}, in ${WORKERS} processes`);
  const startedAt = performance.now();
  const totals: Totals = { passed: 0, failed: 0, requests: 0, byFamily: new Map() };
  const untilMs = isLong ? Date.now() + minutes * 60_000 : null;
  const orders = Array.from(
    { length: WORKERS },
    (_, i): WorkerOrder => ({ seed: seed + i * 500_000_003, worlds: Math.ceil(worlds / WORKERS), untilMs, isShort: !isLong }),
  );
  await Promise.all(orders.map((order) => runWorker(order, totals)));
  const seconds = (performance.now() - startedAt) / 1_000;
  const ran = totals.passed + totals.failed;
  for (const [family, count] of totals.byFamily) console.log(`worlds: ${count} of ${family}`);
  console.log(`worlds: ${totals.requests} requests in ${ran} worlds, ${Math.round(ran / seconds)} worlds a second`);
  if (ran === 0) totals.failed++;
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed === 0 ? 0 : 1;
}

async function runWorker(order: WorkerOrder, totals: Totals): Promise<void> {
  const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), { execArgv: ['--max-semi-space-size=32'] });
  const limitMs = order.untilMs === null ? MAX_SHORT_MS : order.untilMs - Date.now() + MAX_SHORT_MS;
  const stop = setTimeout(() => child.kill('SIGKILL'), limitMs);
  child.on('message', (report: BatchReport) => tally(report, order, totals));
  child.send(order);
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(stop);
  if (code === 0) return;
  totals.failed++;
  console.log(`FAILED worlds: a process of --seed ${order.seed} has ended with ${code ?? signal}`);
}

function tally({ family, seed, worlds, requests, failure }: BatchReport, { isShort }: WorkerOrder, totals: Totals): void {
  totals.byFamily.set(family, (totals.byFamily.get(family) ?? 0) + worlds);
  totals.requests += requests;
  totals.passed += worlds - (failure === null ? 0 : 1);
  if (failure === null) return;
  totals.failed++;
  const again = `node conformance/worlds/run.ts${isShort ? '' : ' --long'} --replay ${family}:${seed}:${failure.path}`;
  console.log(`FAILED worlds ${family}: ${failure.why}\n  once more: ${again}\n  plan: ${failure.plan}`);
}

async function replay([name, seed, path]: readonly [string, number, string], isLong: boolean): Promise<number> {
  const family = FAMILIES.find((one) => one.name === name);
  if (family === undefined) throw new TypeError(`there is no family ${name}`);
  const verdicts: WorldVerdict[] = [];
  const onWorld = (verdict: WorldVerdict): void => void verdicts.push(verdict);
  const failure = await family.check({ seed, worlds: 1, only: path, isShort: !isLong, onWorld });
  if (failure !== null) console.log(`FAILED worlds ${name}: ${failure.why}\n  plan: ${failure.plan}`);
  else console.log(verdicts[0]?.trace.join('\n'));
  console.log(failure === null ? '1 passed, 0 failed' : '0 passed, 1 failed');
  return failure === null ? 0 : 1;
}

/** @returns null if only the usage is asked for, a sentence if something is wrong */
function readOptions(): Options | string | null {
  const known = {
    seed: { type: 'string' },
    worlds: { type: 'string' },
    long: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    replay: { type: 'string' },
    help: { type: 'boolean', default: false },
  } as const;
  try {
    const { values } = parseArgs({ options: known });
    if (values.help) return null;
    const names = FAMILIES.map(({ name }) => name);
    const replayed = /^([a-z0-9-]+):(\d{1,10}):(\d{1,7})$/.exec(values.replay ?? '');
    if (values.replay !== undefined && (replayed === null || !names.includes(replayed[1] ?? '')))
      throw new RangeError(`--replay takes FAMILY:SEED:WORLD, where the family is one of ${names.join(', ')}`);
    return {
      seed: wholeNumber('--seed', values.seed ?? '1', 0, 2 ** 31),
      worlds: wholeNumber('--worlds', values.worlds ?? '100000', 100, 10_000_000),
      isLong: values.long || values.minutes !== undefined,
      minutes: wholeNumber('--minutes', values.minutes ?? '10', 1, 600),
      replay: replayed === null ? null : [replayed[1] ?? '', Number(replayed[2]), replayed[3] ?? '0'],
    };
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return `${error.message.split('\n')[0] ?? ''}; --help lists the options`;
    throw error;
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > max || Number(text) < min)
    throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${text}`);
  return Number(text);
}
