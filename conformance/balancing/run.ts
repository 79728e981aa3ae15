/** The suite `balancing`: see `README.md` beside this file. A wrong command line ends with 2 and one sentence. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { seededRandom } from '@ferrata/clock';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';
import { chartProblem } from './chart.ts';
import { checkClaims } from './claims.ts';
import { chartJobs, jobsOf, runJobs, SEEDS } from './jobs.ts';
import { checkKilledBackend } from './killed-backend.ts';
import { compareWithNginx, NGINX } from './nginx-twin.ts';
import { checkProportions } from './proportion.ts';
import { checkThreads } from './threads.ts';

/** Something wrong on the command line; its message says what to write instead. */
class UsageError extends Error {}

const USAGE = `usage: node conformance/balancing/run.ts [--seed N] [--long]

  --seed N   makes a simulated world beside those of the chart, the weights for nginx, and the proportions; a run prints its seed
  --long     20 such worlds, twice as long`;

const LONG = { seeds: 20, length: 2 } as const;

try {
  const options = readOptions();
  if (options === null) console.log(USAGE);
  else process.exitCode = await run(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

interface Options {
  readonly seed: number;
  readonly isLong: boolean;
}

async function run({ seed, isLong }: Options): Promise<number> {
  console.log(`balancing: --seed ${seed}`);
  const outcomes = [
    ...(await simulateAll(seed, isLong)),
    ...(await checkProportions(seededRandom(seed))),
    ...(await runNginx(seed)),
    ...(await attempt('killed backend', checkKilledBackend)),
    ...(await attempt('threads', checkThreads)),
  ];
  return report('balancing', summarise(outcomes, new Map()));
}

async function simulateAll(seed: number, isLong: boolean): Promise<readonly Outcome[]> {
  const startedAt = performance.now();
  const drawn = chartJobs();
  const own = Array.from({ length: isLong ? LONG.seeds : 1 }, (_, index) =>
    jobsOf(seed + index, { isWhole: true, length: isLong ? LONG.length : 1 }),
  );
  // One of each scenario once more, on whichever thread.
  const again = drawn.filter(
    (job, index) => job.ejects && drawn.findIndex(({ scenario, ejects }) => ejects && scenario === job.scenario) === index,
  );
  const results = await runJobs([...drawn, ...again, ...own.flat()]);
  console.log(`balancing: ${results.length} worlds in ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  const ofChart = results.slice(0, drawn.length);
  const outcomes = [
    await outcomeOf('simulation/the chart and the table of the guide are what was measured', () => chartProblem(ofChart)),
    ...(await Promise.all(
      again.map(async (job, index) =>
        outcomeOf(`simulation/${job.scenario} is the same when it is lived through again`, () => {
          const [once, twice] = [ofChart[drawn.indexOf(job)], results[drawn.length + index]].map((result) => JSON.stringify(result));
          return once === twice ? null : `${String(once)} and ${String(twice)}`;
        }),
      ),
    )),
  ];
  for (const chartSeed of SEEDS)
    outcomes.push(
      ...(await checkClaims(
        `simulation/chart seed ${chartSeed}`,
        ofChart.filter((result) => result.seed === chartSeed),
      )),
    );
  let from = drawn.length + again.length;
  for (const jobs of own) {
    outcomes.push(...(await checkClaims(`simulation/seed ${jobs[0]?.seed ?? seed}`, results.slice(from, from + jobs.length))));
    from += jobs.length;
  }
  return outcomes;
}

async function runNginx(seed: number): Promise<readonly Outcome[]> {
  const missing = providePrograms([NGINX], (line) => console.log(`balancing: ${line}`));
  if (missing.length > 0) {
    const problem = `nginx is missing and could not be installed, so no turns were compared; install it with: ${installCommand(missing)}`;
    if ((process.env['CI'] ?? '') !== '') return [{ id: 'nginx', problem }];
    console.log(`balancing: SKIPPED nginx: ${problem}`);
    return [];
  }
  return await attempt('nginx', async () => await compareWithNginx(seededRandom(seed)));
}

/** What throws is one failure. */
async function attempt(id: string, check: () => Promise<readonly Outcome[]>): Promise<readonly Outcome[]> {
  try {
    return await check();
  } catch (thrown) {
    return [{ id, problem: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }];
  }
}

/** @returns null if only the usage is asked for */
function readOptions(): Options | null {
  const options = {
    seed: { type: 'string' },
    long: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(/\.?\n|\. /)[0] ?? ''}; --help lists the options`);
  }
  const { seed: text, long: isLong, help: isHelp } = values;
  if (isHelp) return null;
  if (text === undefined) return { seed: randomInt(2 ** 31), isLong };
  if (/^\d{1,12}$/.test(text)) return { seed: Number(text), isLong };
  throw new UsageError(`--seed takes a whole number of at most 12 digits, not ${JSON.stringify(text)}`);
}
