/** The suite `h2-peers`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { installCommand, type PeerProgram, providePrograms } from '@ferrata/tools/peers';
import { CURL } from '../http1-peers/curl-client.ts';
import { type PlanOptions, readPlanOptions } from '../http1-peers/plan-options.ts';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { HAPROXY, NGHTTPX } from './intermediaries.ts';
import { runParallel } from './parallel.ts';
import { drawnHttp2Plans, enumeratedHttp2Plans } from './plans.ts';
import { H2LOAD, NGHTTP, runPrograms } from './programs.ts';
import { PYTHON_H2 } from './python.ts';
import { runResets } from './resets.ts';
import { startRig } from './rig.ts';
import { Suite } from './suite.ts';

const PROGRAMS: readonly PeerProgram[] = [CURL, NGHTTP, H2LOAD, PYTHON_H2, HAPROXY, NGHTTPX];

const options = readPlanOptions('h2-peers');
if (options === null) process.exitCode = 2;
else process.exitCode = await run(options);

async function run({ only, seed, draws }: PlanOptions): Promise<number> {
  const isWanted = (id: string): boolean => only === null || only.test(id);
  const outcomes: Outcome[] = [];
  const missing = providePrograms(PROGRAMS, (line) => console.log(`h2-peers: ${line}`));
  for (const program of missing) {
    const problem = `${program.debianPackage} is missing and could not be installed; install it with: ${installCommand([program])}`;
    if ((process.env['CI'] ?? '') !== '') outcomes.push({ id: program.debianPackage, problem });
    else console.log(`h2-peers: SKIPPED what it takes part in: ${problem}`);
  }
  const suite = new Suite();
  const rig = await startRig(suite.ledger, (program) => !missing.includes(program));
  const plans = [...enumeratedHttp2Plans(), ...drawnHttp2Plans(seed, draws)];
  for (const route of rig.routes) {
    const since = performance.now();
    const own = await suite.runRoute(route, plans, isWanted);
    if (own.length > 0) console.log(`h2-peers: ${route.name}: ${own.length} exchanges, ${Math.round(performance.now() - since)} ms`);
    outcomes.push(...own);
  }
  for (const route of rig.routes.filter(({ client, isSteady }) => client.isParallel && isSteady)) {
    const id = `${route.name}/parallel`;
    if (isWanted(id)) outcomes.push(await outcomeOf(id, () => runParallel(suite, route, plans, seed)));
  }
  for (const route of rig.actRoutes) outcomes.push(...(await runResets(route, () => suite.token(), isWanted)));
  const has = { curl: !missing.includes(CURL), nghttp: !missing.includes(NGHTTP), h2load: !missing.includes(H2LOAD) };
  for (const target of rig.programTargets) outcomes.push(...(await runPrograms(target, has, isWanted)));
  outcomes.push(...(await rig.close()).filter(({ id, problem }) => isWanted(id) || problem !== null));
  const known = readKnownFailures(new URL('known-failures.txt', import.meta.url));
  console.log(`h2-peers: ${plans.length} plans, ${draws} drawn with --seed ${seed}`);
  const ids = new Set(outcomes.map(({ id }) => id));
  return report('h2-peers', summarise(outcomes, only === null ? known : new Map([...known].filter(([id]) => ids.has(id)))));
}
