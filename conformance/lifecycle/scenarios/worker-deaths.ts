/** A worker that dies every second: only its own connections may notice, and nobody is ever refused (M4). */
import { setTimeout as delay } from 'node:timers/promises';
import { unexplained } from '../culprits.ts';
import { everything, unanswered } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import type { Tally } from '../tally.ts';
import type { Target } from '../targets.ts';

/** Not so a connection that breaks in the handshake of TLS: it was the dead worker's. */
const REFUSED = /ECONNREFUSED|EAGAIN|no connection in time/;

/** What a death may cost of which nobody sees whose it was: three clients (a Unix socket, datagrams of two), and a connection for each of four listening sockets. */
const MOST_UNSEEN = 3 + 4;

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: 60_000, tellsAccepted: true });
  const load = stage.load(target, everything({ lostAfterMs: 5_000 }));
  await load.hasBegun();
  const kills = stage.isLong ? 60 : 6;
  for (let number = 0; number < kills; number++) {
    const next = performance.now() + 1_000;
    // One that dies before it has served is another matter: whoever fails at the start is waited for longer and longer.
    await target.server.until(async () => {
      const states = await statesOf(target);
      return states.includes('running') && !states.includes('starting');
    }, 30_000);
    target.sabotageWorker(number % 2 === 0 ? 'die' : 'reject');
    await target.server.until(() => target.sabotaged().length > number, 30_000);
    await delay(Math.max(0, next - performance.now()));
  }
  await load.stop();
  const dead = target.sabotaged();
  stage.count(load.tally);
  stage.figure(`${dead.length} workers killed`);
  stage.must('workers died', dead.length === kills, `${dead.length} of ${kills}`);
  stage.check('counts', load.tally.imbalance());
  stage.check('clients of every kind were answered', unanswered(load.tally, stage.targetName === 'echo-server'));
  stage.check('nobody was refused', refusals(load.tally));
  const wrong = unexplained(load.tally.failures, target.accepted(), (by) => target.sabotagedAt(by), dead.length * MOST_UNSEEN);
  stage.check('only connections of dead workers failed', wrong);
  stage.must('some were under way at a death', load.tally.failures.length > 0, 'nothing failed: nobody died, or nothing was sent');
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

/** A worker killed every second. */
export const workerDeaths: Scenario = { id: 'worker-deaths', targets: ['echo-server', 'reverse'], isHeavy: true, run };
