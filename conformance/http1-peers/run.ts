/** The suite `http1-peers`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { CURL } from './curl-client.ts';
import { drawnPlans } from './drawn-plans.ts';
import { runParallel } from './parallel.ts';
import { runRawPipelines, runUndiciPipelines } from './pipelines.ts';
import { type PlanOptions, readPlanOptions } from './plan-options.ts';
import { enumeratedPlans } from './shapes.ts';
import { Suite } from './suite.ts';
import { runTunnels } from './tunnels.ts';

const options = readPlanOptions('http1-peers');
if (options === null) process.exitCode = 2;
else process.exitCode = await run(options);

async function run({ only, seed, draws }: PlanOptions): Promise<number> {
  const isWanted = (id: string): boolean => only === null || only.test(id);
  const outcomes: Outcome[] = [];
  const missing = providePrograms([CURL], (line) => console.log(`http1-peers: ${line}`));
  if (missing.length > 0) {
    const problem = `curl is missing and could not be installed, so it asked nothing; install it with: ${installCommand(missing)}`;
    if ((process.env['CI'] ?? '') !== '') outcomes.push({ id: 'curl', problem });
    else console.log(`http1-peers: SKIPPED the routes of curl: ${problem}`);
  }
  const suite = await Suite.start(missing.length === 0);
  const enumerated = enumeratedPlans();
  const drawn = drawnPlans(seed, draws);
  for (const route of suite.routes) {
    const plans = await suite.runRoute(route, [...enumerated, ...drawn], isWanted);
    const pipelines = route.client.name === 'raw' ? runRawPipelines : route.client.name === 'undici' ? runUndiciPipelines : null;
    const pipelined = pipelines === null ? [] : await pipelines(suite, route, [...enumerated, ...drawn], isWanted);
    console.log(`http1-peers: ${route.name}: ${plans.length} exchanges, ${pipelined.length} pipelines`);
    outcomes.push(...plans, ...pipelined);
  }
  for (const end of ['ferrata', 'proxy-node']) {
    const id = `${end}/parallel`;
    const routes = suite.routes.filter(({ name, client }) => name.endsWith(`-${end}`) && !client.isOneShot);
    if (isWanted(id)) outcomes.push(await outcomeOf(id, () => runParallel(suite, routes, [...enumerated, ...drawn])));
  }
  outcomes.push(...(await runTunnels(isWanted)));
  await suite.close();
  const known = readKnownFailures(new URL('known-differences.txt', import.meta.url));
  console.log(`http1-peers: ${enumerated.length} enumerated plans, ${draws} drawn with --seed ${seed}`);
  const ids = new Set(outcomes.map(({ id }) => id));
  return report('http1-peers', summarise(outcomes, only === null ? known : new Map([...known].filter(([id]) => ids.has(id)))));
}
