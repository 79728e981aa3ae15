/** The suite `http1-peers`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { parseArgs } from 'node:util';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { CURL } from './curl-client.ts';
import { drawnPlans } from './drawn-plans.ts';
import { runParallel } from './parallel.ts';
import { runRawPipelines, runUndiciPipelines } from './pipelines.ts';
import { enumeratedPlans } from './shapes.ts';
import { Suite } from './suite.ts';
import { runTunnels } from './tunnels.ts';

const USAGE = `usage: node conformance/http1-peers/run.ts [--only PATTERN] [--seed N] [--draws N]

  --only PATTERN   a regular expression for ids, as '^node-ferrata/expect/'
  --seed N         draws other plans; default 1
  --draws N        how many; default 120`;

/** A whole number from the command line; null if it is none. */
function wholeNumber(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** Which ids to run; null, and a line on the standard error, if the command line is wrong. */
function readOptions(): { readonly only: RegExp | null; readonly seed: number; readonly draws: number } | null {
  try {
    const { values } = parseArgs({
      options: { only: { type: 'string' }, seed: { type: 'string', default: '1' }, draws: { type: 'string', default: '120' } },
    });
    const [seed, draws] = [wholeNumber(values.seed), wholeNumber(values.draws)];
    if (seed === null || draws === null) throw new RangeError('--seed and --draws take whole numbers');
    return { only: values.only === undefined ? null : new RegExp(values.only), seed, draws };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return null;
  }
}

const options = readOptions();
if (options === null) process.exitCode = 2;
else process.exitCode = await run(options.only, options.seed, options.draws);

async function run(only: RegExp | null, seed: number, draws: number): Promise<number> {
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
