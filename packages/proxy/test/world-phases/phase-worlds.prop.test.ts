/**
 * The invariants of the proxy with all that its user may do to it: every hook, at once, later, or hostile; modules; subrequests; time-outs of tries
 * and requests; tries side by side; few connections, of several identities, that grow old.
 *
 * | invariant | what it says                                                                                                           |
 * |-----------|------------------------------------------------------------------------------------------------------------------------|
 * | I1 … I23  | as in `../world-http2/mixed-worlds.prop.test.ts`, also for bodies that go through filters and modules                  |
 * | I7        | what a connection has left is found on that connection; a subrequest has the answer to itself                          |
 * | I8        | a connection is used for the peer it was made for, and not beyond its age                                              |
 * | I12       | each connection to an origin has one beginning and one end                                                             |
 * | I13       | each module is closed once                                                                                             |
 * | I14       | no more tries than allowed, and retries within the budget                                                              |
 * | I15       | phases in their order, each as often as documented, one piece of a body at a time, none after the failure or the end   |
 * | I19       | a request has its answer or its failure within its time                                                                |
 * | I22       | what filters have seen is what is sent                                                                                 |
 *
 * `../world/replay.ts` says how to run more of them, and how to run one again. That each can fail is proved in `phase-planted.test.ts`.
 */
import { describe, test } from 'node:test';
import { assertRepeats, assertUnbroken, holds, Tally } from '../world/replay.ts';
import { kindPhaseWorlds, PHASES, rudePhaseWorlds } from './behaviour-plan.ts';
import { kindPhaseBreachesOf, phaseBreachesOf } from './phase-invariants.ts';
import { runPhaseWorld } from './phase-world.ts';

const FILE = 'packages/proxy/test/world-phases/phase-worlds.prop.test.ts';

/** Few requests come as far as these with a hostile hook. */
const RARELY_STRIKING: ReadonlySet<string> = new Set([
  'upstreamResponseTrailerFilter',
  'responseTrailerFilter',
  'persistConnectionContext',
  'onConnectionReuse',
]);

const STRIKING = PHASES.filter((phase) => !RARELY_STRIKING.has(phase)).map((phase) => `hostile ${phase}`);

describe('the proxy with hooks', () => {
  test('keeps its invariants whatever hooks, clients, origins and the network do (I1, I7, I8, I12–I15, I17–I19, I22)', async () => {
    const tally = new Tally();
    await holds('keeps its invariants', rudePhaseWorlds, 600, FILE, async (plan) => {
      const report = await runPhaseWorld(plan);
      assertUnbroken(report, phaseBreachesOf(report));
      for (const record of report.records) tally.countEnd(record);
      for (const [what, count] of report.books.seen) tally.count(what, count);
      tally.count('modules', report.moduleCount);
      tally.count('subrequests', report.records.filter(({ isSubrequest }) => isSubrequest).length);
    });
    tally.assertSeenAll(['whole', 'retries', 'modules', 'subrequests', ...PHASES, ...STRIKING]);
  });

  test('answers everything whole where everybody keeps to the rules (I1, I19)', async () => {
    await holds('answers everything whole', kindPhaseWorlds, 150, FILE, async (plan) => {
      const report = await runPhaseWorld(plan);
      assertUnbroken(report, kindPhaseBreachesOf(report));
    });
  });

  test('does the same again for the same plan (I23)', async () => {
    await assertRepeats(rudePhaseWorlds, 30, FILE, runPhaseWorld);
  });
});
