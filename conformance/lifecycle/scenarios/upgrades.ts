/** Upgrades under load: the bar is that no client notices. */
import { everything, unanswered } from '../mixes.ts';
import { sumOf } from '../process-figures.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { type Target, writeOptions } from '../targets.ts';

/** So long that no download is cut by it on a slow machine. */
const GRACE_MS = 120_000;

const UPGRADE_MS = 90_000;

/** Has a server replace its process, and waits until it has. @returns why not, or null */
export async function upgrade(target: Target, signal: NodeJS.Signals | 'admin' = 'SIGUSR2'): Promise<string | null> {
  let before = 0;
  // Nobody's number is 0, and any would be higher.
  await target.server.until(async () => (before = await generationOf(target)) > 0, UPGRADE_MS);
  if (before === 0) return `nobody says which generation serves, for ${UPGRADE_MS / 1000} s`;
  if (signal === 'admin') {
    const { status, value } = await target.server.admin('POST', '/upgrade', UPGRADE_MS);
    if (status !== 200) return `the admin endpoint answers ${status} ${JSON.stringify(value)}`;
  } else {
    target.server.signal(signal);
  }
  const isDone = await target.server.until(async () => (await generationOf(target)) > before, UPGRADE_MS);
  return isDone ? null : `still generation ${before} after ${UPGRADE_MS / 1000} s: ${target.server.output.trim().slice(-400)}`;
}

/** The number of the process that serves; 0: nobody says so just now. */
export async function generationOf(target: Target): Promise<number> {
  try {
    const { value } = await target.server.admin('GET', '/phase', 5_000);
    return Number(value['generation']);
  } catch {
    return 0;
  }
}

async function run(stage: Stage): Promise<void> {
  const isEcho = stage.targetName === 'echo-server';
  const target = await stage.start({ threads: 2, graceMs: GRACE_MS });
  const load = stage.load(target, everything());
  await load.hasBegun();
  const first = await generationOf(target);
  const since = performance.now();
  // By the proxy the same is tried again: in the short form not as often.
  const count = isEcho || stage.isLong ? 10 : 6;
  for (let number = 1; number <= count; number++) {
    // By each of the ways there are, and to another number of threads and back.
    const way = number % 3 === 0 ? 'admin' : number % 2 === 0 ? 'SIGQUIT' : 'SIGUSR2';
    const threads = isEcho && number % 4 === 0 ? 3 : 2;
    if (isEcho) writeOptions(target.folder, { threads, graceMs: GRACE_MS });
    stage.check(`upgrade ${number} by ${way}`, await upgrade(target, way));
    const { value } = await target.server.admin('GET', '/workers');
    const workers = (value['workers'] as readonly unknown[]).length;
    stage.must(`upgrade ${number}: ${threads} workers`, workers === threads, `${workers} are`);
    await load.goesOn(stage.isLong ? 2_000 : 200);
  }
  stage.figure(`${count} upgrades in ${((performance.now() - since) / 1000).toFixed(1)} s`);
  const last = await generationOf(target);
  stage.must('each made one generation', last === first + count, `${first} at first, then ${last}`);
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  stage.check('clients of every kind were answered', unanswered(load.tally, isEcho));
  await stage.settles(target);
  const alone = await target.server.until(() => target.server.descendants().length === 1, GRACE_MS + 30_000);
  stage.must('one process serves at the end', alone, `${target.server.descendants().length} do`);
  stage.figure(`${sumOf([target.server.pid]).descriptors} descriptors in the keeper`);
  stage.check('it stops in order', await target.stop());
}

/** Ten upgrades in a row. */
export const upgrades: Scenario = { id: 'upgrades', targets: ['echo-server', 'reverse'], isHeavy: true, run };
