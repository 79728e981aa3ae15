/** Fifty upgrades and fifty reloads: no thread, no descriptor and no heap may be left over from any of them (I13). */
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
  await reloadOften(target, 5);
  const beforeReloads = await quiet(target);
  await reloadOften(target, stage.isLong ? 50 : 20);
  const afterReloads = await quiet(target);
  stage.check('reloads: the process that serves', growth(beforeReloads.generation, afterReloads.generation));
  stage.check('reloads: the keeper', growth(beforeReloads.keeper, afterReloads.keeper));
  for (let cycle = 0; cycle < 1; cycle++) stage.check(`upgrade ${cycle} to begin with`, await upgrade(target));
  const beforeUpgrades = await quiet(target);
  for (let cycle = 0; cycle < cycles; cycle++) {
    const problem = await upgrade(target);
    if (problem !== null) stage.check(`upgrade ${cycle}`, problem);
  }
  const afterUpgrades = await quiet(target);
  await load.stop();
  stage.check('upgrades: the process that serves', growth(beforeUpgrades.generation, afterUpgrades.generation));
  stage.check('upgrades: the keeper', growth(beforeUpgrades.keeper, afterUpgrades.keeper));
  stage.nothingFailed('nothing failed', load.tally);
  stage.figure(`keeper after ${cycles} upgrades: ${figureText(beforeUpgrades.keeper, afterUpgrades.keeper)}`);
  stage.figure(`generation: ${figureText(beforeUpgrades.generation, afterUpgrades.generation)}`);
  stage.figure(`generation after reloads: ${figureText(beforeReloads.generation, afterReloads.generation)}`);
  stage.check('it stops in order', await target.stop());
}

async function reloadOften(target: Target, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    target.configure({ message: `g${index}` });
    await target.server.admin('POST', '/reload');
  }
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
export const growthScenario: Scenario = { id: 'growth', targets: ['echo-server'], isHeavy: false, run };
