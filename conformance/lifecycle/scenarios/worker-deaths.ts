/** A worker that dies every second: only its own connections may notice, and nobody is ever refused (M4). */
import { setTimeout as delay } from 'node:timers/promises';
import { everything } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import type { FailureRecord, Tally } from '../tally.ts';
import type { Target } from '../targets.ts';

/** Not so a connection that breaks in the handshake of TLS: it was the dead worker's. */
const REFUSED = /ECONNREFUSED|EAGAIN|no connection in time/;

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: 60_000 });
  const load = stage.load(target, everything());
  await delay(500);
  const kills = stage.isLong ? 60 : 6;
  for (let number = 0; number < kills; number++) {
    const next = performance.now() + 1_000;
    // One that dies before it has served is another matter: whoever fails at the start is waited for longer and longer.
    await target.server.until(async () => {
      const states = await statesOf(target);
      return states.includes('running') && !states.includes('starting');
    }, 30_000);
    target.sabotageWorker(number % 2 === 0 ? 'die' : 'reject');
    await delay(Math.max(0, next - performance.now()));
  }
  await load.stop();
  const dead = target.sabotaged();
  stage.count(load.tally);
  stage.figure(`${dead.length} workers killed`);
  stage.must('workers died', dead.length >= kills / 2, `${dead.length} of ${kills}`);
  stage.check('counts', load.tally.imbalance());
  stage.check('nobody was refused', refusals(load.tally));
  stage.check('only connections of dead workers failed', strangers(load.tally, stage.targetName === 'echo-server' ? dead : null));
  // What fails is what was under way on a worker: some tens of connections at each death, not what comes behind.
  const most = dead.length * 60;
  const failed = load.tally.failed + load.tally.cut;
  stage.must('few failed', failed <= most, `${failed} failed in ${dead.length} deaths: ${load.tally.failureText()}`);
  // At the end the dead are replaced.
  const isWhole = await target.server.until(async () => (await statesOf(target)).every((state) => state === 'running'), 60_000);
  stage.must('all workers are there again', isWhole, (await statesOf(target)).join(', '));
  stage.must('it told of it', target.server.output.includes('sabotaged'), target.server.output.slice(-400));
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

async function statesOf(target: Target): Promise<readonly string[]> {
  const { value } = await target.server.admin('GET', '/workers');
  return (value['workers'] as readonly { readonly state: string }[]).map(({ state }) => state);
}

function refusals({ failures }: Tally): string | null {
  const refused = failures.filter(({ reason }) => REFUSED.test(reason));
  return refused.length === 0 ? null : `${refused.length} were: ${refused[0]?.reason ?? ''}`;
}

/** Failures on connections of workers that did not die. @param dead null: answers do not say who served */
function strangers({ failures }: Tally, dead: readonly string[] | null): string | null {
  if (dead === null) return null;
  const wrong = failures.filter(({ servedBy }: FailureRecord) => servedBy !== null && !dead.includes(servedBy));
  return wrong.length === 0 ? null : `${wrong.length} were of living ones, as ${JSON.stringify(wrong[0])}`;
}

/** A worker killed every second. */
export const workerDeaths: Scenario = { id: 'worker-deaths', targets: ['echo-server', 'reverse'], isHeavy: true, run };
