/** Fifty reloads, fifty upgrades and fifty deaths of workers: no thread, no descriptor and no heap may be left over from any of them (I13). */
import { keptConnections } from '../clients/http1.ts';
import { figuresOf, type ProcessFigures } from '../process-figures.ts';
import type { Scenario, Stage } from '../scenario.ts';
import type { Target } from '../targets.ts';
import { upgrade } from './upgrades.ts';

const MIB = 1_048_576;

/** What is taken for noise: code that was compiled meanwhile, a descriptor of a timer. Resident memory says little: pages stay with the allocator. */
const MAX_HEAP_GROWTH = 4 * MIB;
const MAX_RESIDENT_GROWTH = 64 * MIB;
const MAX_DESCRIPTOR_GROWTH = 3;
const MAX_THREAD_GROWTH = 1;

async function run(stage: Stage): Promise<void> {
  const cycles = stage.isLong ? 50 : 4;
  const target = await stage.start({ threads: 2, graceMs: 60_000 });
  const load = stage.load(target, [keptConnections({ pauseMs: 20 }), keptConnections({ pauseMs: 20 })]);
  stage.check('reloads to begin with', await reloadOften(target, 2, 6));
  const beforeReloads = await quiet(target);
  stage.check('reloads', await reloadOften(target, 7, stage.isLong ? 56 : 26));
  judge(stage, 'reloads', beforeReloads, await quiet(target));
  stage.check('an upgrade to begin with', await upgrade(target));
  const beforeUpgrades = await quiet(target);
  for (let cycle = 0; cycle < cycles; cycle++) {
    const problem = await upgrade(target);
    if (problem !== null) stage.check(`upgrade ${cycle}`, problem);
  }
  const afterUpgrades = await quiet(target);
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  judge(stage, 'upgrades', beforeUpgrades, afterUpgrades);
  // The first death has the process learn what it needs to replace a worker.
  stage.check('a death to begin with', await killWorkers(target, 1));
  const beforeDeaths = await quiet(target);
  stage.check('deaths', await killWorkers(target, cycles));
  judge(stage, 'deaths', beforeDeaths, await quiet(target));
  stage.check('it stops in order', await target.stop());
}

function judge(stage: Stage, what: string, before: Both, after: Both): void {
  for (const which of ['generation', 'keeper'] as const) {
    stage.check(`${what}: the ${which}`, growth(before[which], after[which]));
    stage.figure(`${which} after ${what}: ${figureText(before[which], after[which])}`);
  }
}

/** @returns why not all of them came into force, or null */
async function reloadOften(target: Target, first: number, last: number): Promise<string | null> {
  for (let number = first; number <= last; number++) {
    target.configureNumber(number);
    const { status, value } = await target.server.admin('POST', '/reload');
    if (status !== 200 || value['outcome'] !== 'reloaded') return `reload ${number}: ${status} ${JSON.stringify(value)}`;
  }
  return null;
}

/** Has one worker after the other die, each when all are there. @returns why not, or null */
async function killWorkers(target: Target, count: number): Promise<string | null> {
  for (let number = 0; number < count; number++) {
    const deaths = target.sabotaged().length;
    target.sabotageWorker('die');
    const isTaken = await target.server.until(() => target.sabotaged().length > deaths, 30_000);
    const isWhole = await target.server.until(async () => await areAllRunning(target), 60_000);
    if (!isTaken || !isWhole) return `death ${number}: ${isTaken ? 'it was not replaced' : 'nobody died'}`;
  }
  return null;
}

/** Another thread in the place of each that died. */
async function areAllRunning(target: Target): Promise<boolean> {
  const [pid, other] = target.server.descendants();
  // One whose spare descriptors are used up has another in its place, which counts anew.
  if (other !== undefined) return false;
  const { value } = await target.server.admin('GET', '/workers');
  const workers = value['workers'] as readonly { readonly state: string; readonly restarts: number }[];
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  const deaths = target.sabotaged().filter((by) => by.startsWith(`${pid}.`)).length;
  return restarts >= deaths && workers.every(({ state }) => state === 'running');
}

/** What a process holds. */
export interface Held extends ProcessFigures {
  /** Of all of its threads, without garbage. */
  readonly heapBytes: number;
}

interface Both {
  readonly keeper: Held;
  readonly generation: Held;
}

let measurements = 0;

/** Figures when only one process serves, and the predecessor has gone. @throws {Error} when that does not become so */
async function quiet(target: Target): Promise<Both> {
  const { server } = target;
  if (!(await server.until(() => server.descendants().length === 1, 90_000))) throw new Error('a predecessor stays');
  const heaps = await target.measureHeaps(`${process.pid}-${++measurements}`);
  const held = (pid: number): Held => {
    const figures = figuresOf(pid);
    const own = heaps.filter((heap) => heap.pid === pid);
    if (figures === null || own.length === 0) throw new Error(`there are no figures of process ${pid}`);
    return { ...figures, heapBytes: own.reduce((sum, { bytes }) => sum + bytes, 0) };
  };
  return { keeper: held(server.pid), generation: held(server.descendants()[0] ?? 0) };
}

/** @returns what has grown beyond noise, or null */
export function growth(before: Held, after: Held): string | null {
  const text = `${JSON.stringify(before)}, then ${JSON.stringify(after)}`;
  if (after.threads > before.threads + MAX_THREAD_GROWTH) return `more threads: ${text}`;
  if (after.descriptors > before.descriptors + MAX_DESCRIPTOR_GROWTH) return `more descriptors: ${text}`;
  if (after.heapBytes > before.heapBytes + MAX_HEAP_GROWTH) return `more heap: ${text}`;
  return after.residentBytes > before.residentBytes + MAX_RESIDENT_GROWTH ? `more memory: ${text}` : null;
}

function figureText(before: Held, after: Held): string {
  const more = (count: number): string => (count < 0 ? `${count}` : `+${count}`);
  const mib = (of: 'heapBytes' | 'residentBytes'): string =>
    `${(after[of] / MIB).toFixed(1)} MiB (${more(Number(((after[of] - before[of]) / MIB).toFixed(1)))})`;
  const count = (of: 'threads' | 'descriptors'): string => `${after[of]} ${of} (${more(after[of] - before[of])})`;
  return `${count('threads')}, ${count('descriptors')}, heap ${mib('heapBytes')}, resident ${mib('residentBytes')}`;
}

/** Fifty cycles. */
export const growthScenario: Scenario = { id: 'growth', targets: ['echo-server', 'reverse'], isHeavy: false, run };
