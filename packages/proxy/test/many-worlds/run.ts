/** The suite `worlds`: see `README.md` beside this file. A wrong command line ends with 2 and one sentence. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Tally } from '../world/replay.ts';
import { FAMILIES, type WorldVerdict, worldsOf } from './families.ts';
import { type BatchReport, Totals } from './totals.ts';
import type { WorkerOrder } from './worker.ts';

const USAGE = `usage: node conformance/worlds/run.ts [--seed N] [--worlds N] [--long] [--minutes N] [--as-found]
       node conformance/worlds/run.ts [--long] [--as-found] --replay FAMILY:SEED:WORLD

  --seed N      draws the worlds; 1 unless it is given, so that a change is judged by worlds that whoever makes it can run before
  --worlds N    how many, 100 to 10000000 (default 100000)
  --long        worlds of full length, for ten minutes by the clock
  --minutes N   for as many, 1 to 600
  --as-found    prints a plan that fails as it was drawn, and looks for no smaller one
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
} else process.exitCode = options.replay === null ? await runAll(options) : await replay({ ...options, replay: options.replay });

interface Options {
  readonly seed: number;
  readonly worlds: number;
  readonly isLong: boolean;
  readonly minutes: number;
  readonly shrinks: boolean;
  readonly replay: Replayed | null;
}

/** One world. */
type Replayed = readonly [family: string, seed: number, path: string];

async function runAll({ seed, worlds, isLong, minutes, shrinks }: Options): Promise<number> {
  const what = isLong ? `worlds of full length for ${minutes} minutes` : `${worlds} short worlds`;
  console.log(`worlds: --seed ${seed}, ${what}, in ${WORKERS} processes`);
  const startedAt = performance.now();
  const totals = new Totals();
  const failures: string[] = [];
  const untilMs = isLong ? Date.now() + minutes * 60_000 : null;
  const orders = Array.from(
    { length: WORKERS },
    (_, i): WorkerOrder => ({ seed: seed + i * 500_000_003, worlds: Math.ceil(worlds / WORKERS), untilMs, isShort: !isLong, shrinks }),
  );
  const onBatch = (report: BatchReport): void => {
    totals.add(report);
    if (report.failure !== null) failures.push(failureText(report, isLong));
  };
  await Promise.all(orders.map((order) => runWorker(order, { onBatch, onBroken: (problem) => void failures.push(problem) })));
  const seconds = (performance.now() - startedAt) / 1_000;
  const wanted = (name: string): number =>
    orders.reduce((sum, order) => sum + worldsOf(FAMILIES.find((one) => one.name === name) ?? { share: 0 }, order.worlds), 0);
  failures.push(...totals.problems(isLong ? null : wanted));
  for (const line of totals.lines()) console.log(`worlds: ${line}`);
  console.log(`worlds: ${totals.requests} requests in ${totals.worlds} worlds, ${Math.round(totals.worlds / seconds)} worlds a second`);
  for (const failure of failures) console.log(`FAILED worlds ${failure}`);
  console.log(`${totals.passed} passed, ${failures.length} failed`);
  return failures.length === 0 ? 0 : 1;
}

interface WorkerEvents {
  readonly onBatch: (report: BatchReport) => void;
  /** It has not done what it was told. */
  readonly onBroken: (problem: string) => void;
}

async function runWorker(order: WorkerOrder, { onBatch, onBroken }: WorkerEvents): Promise<void> {
  // It ends by itself when its channel to us does.
  const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), { execArgv: ['--max-semi-space-size=32'] });
  const limitMs = order.untilMs === null ? MAX_SHORT_MS : order.untilMs - Date.now() + MAX_SHORT_MS;
  const stop = setTimeout(() => child.kill('SIGKILL'), limitMs);
  child.on('message', onBatch);
  child.send(order);
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(stop);
  if (code !== 0) onBroken(`a process of --seed ${order.seed} has ended with ${code ?? signal}`);
}

function failureText({ family, seed, failure }: BatchReport, isLong: boolean): string {
  const again = `node conformance/worlds/run.ts${isLong ? ' --long' : ''} --replay ${family}:${seed}:${failure?.path}`;
  return `${family}: ${failure?.why}\n  once more: ${again}\n  plan: ${failure?.plan}`;
}

async function replay({ replay: [name, seed, path], isLong, shrinks }: Options & { readonly replay: Replayed }): Promise<number> {
  const family = FAMILIES.find((one) => one.name === name);
  if (family === undefined) throw new TypeError(`there is no family ${name}`);
  const verdicts: WorldVerdict[] = [];
  const onWorld = (verdict: WorldVerdict): void => void verdicts.push(verdict);
  const tally = new Tally();
  const failure = await family.check({ seed, worlds: 1, only: path, isShort: !isLong, shrinks, tally, onWorld });
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
    'as-found': { type: 'boolean', default: false },
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
      shrinks: !values['as-found'],
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
