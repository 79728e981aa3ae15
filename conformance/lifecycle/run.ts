/** The suite `lifecycle`: see `README.md` beside this file. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAuthority } from '@ferrata/dev-certificates';
import { providePrograms } from '@ferrata/tools/peers';
import { TemporaryFolder } from '../rig/clean-up.ts';
import { type KnownFailures, type Outcome, readKnownFailures, report, summarise } from '../runner.ts';
import { figureTable } from './figure-table.ts';
import { type FigureLine, type Scenario, Stage } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { type TargetName, TargetRig } from './targets.ts';

const { values } = parseArgs({
  options: {
    /** The whole minutes; else some seconds of each. */
    long: { type: 'boolean', default: false },
    /** Scenarios whose ids begin so; may be repeated. */
    only: { type: 'string', multiple: true },
    /** One server of the two. */
    target: { type: 'string' },
    /** Each check as soon as its scenario is over, those that passed too. */
    verbose: { type: 'boolean', default: false },
  },
});

/** How many scenarios run at once that are not heavy: most of them is waiting. */
const AT_ONCE = 4;

/** One that takes longer hangs. */
const LIMIT_MS = values.long ? 900_000 : 300_000;

const folder = new TemporaryFolder('ferrata-lifecycle-');
// One scenario runs its server as another user.
chmodSync(folder.path, 0o755);
const outcomes: Outcome[] = [];
const figures: FigureLine[] = [];
const rig = new TargetRig(folder.path, await makeCertificates());

const runs = SCENARIOS.filter(({ id }) => values.only === undefined || values.only.some((only) => id.startsWith(only))).flatMap(
  (scenario) =>
    scenario.targets.filter((target) => values.target === undefined || target === values.target).map((target) => ({ scenario, target })),
);
providePrograms([...new Set(runs.flatMap(({ scenario }) => scenario.programs ?? []))], say);
const waiting = runs.filter(({ scenario }) => !scenario.isHeavy);
await Promise.all(Array.from({ length: AT_ONCE }, runNext));
for (const { scenario, target } of runs.filter((run) => run.scenario.isHeavy)) await play(scenario, target);

await rig.close();
folder.remove();
console.log(figureTable(figures));
const whole = values.only === undefined && values.target === undefined;
const known = readKnownFailures(new URL('known-failures.txt', import.meta.url));
// A client that a scenario has given up may wait for its time-out still.
setTimeout(() => process.exit(), 2_000).unref();
process.exitCode = report('lifecycle', summarise(outcomes, whole ? known : relevant(known)));

function say(line: string): void {
  console.log(`lifecycle: ${line}`);
}

async function runNext(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await play(next.scenario, next.target);
}

async function play(scenario: Scenario, targetName: TargetName): Promise<void> {
  const stage = new Stage({ rig, isLong: values.long, targetName, scenario, say });
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  });
  try {
    await Promise.race([scenario.run(stage), tooLong]);
  } catch (error) {
    stage.check('runs', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  clearTimeout(timer);
  figures.push(await stage.end());
  outcomes.push(...stage.outcomes);
  if (stage.outcomes.some(({ problem }) => problem !== null))
    console.log(`lifecycle: ${targetName}/${scenario.id}: the server said last\n${stage.lastWords()}`);
  if (!values.verbose) return;
  for (const { id, problem } of stage.outcomes) console.log(`lifecycle: ${problem === null ? `ok ${id}` : `PROBLEM ${id}: ${problem}`}`);
}

async function makeCertificates(): Promise<ConstructorParameters<typeof TargetRig>[1]> {
  const authority = await createAuthority();
  const [ours, again] = [await authority.issue({ names: ['localhost'] }), await authority.issue({ names: ['localhost'] })];
  const other = await authority.issue({ names: ['other.test'] });
  const day = 86_400_000;
  const old = await authority.issue({
    names: ['localhost'],
    validFrom: new Date(Date.now() - 30 * day),
    validTo: new Date(Date.now() - day),
  });
  const write = (name: string, text: string): string => {
    const file = join(folder.path, name);
    writeFileSync(file, text);
    return file;
  };
  return {
    ca: authority.certificate,
    file: write('server.pem', ours.chain),
    keyFile: write('server.key', ours.key),
    expired: { certificateFile: write('expired.pem', old.chain), keyFile: write('expired.key', old.key) },
    otherKeyFile: write('other.key', other.key),
    pairs: [ours.chain + ours.key, again.chain + again.key],
  };
}

/** The known failures of the cases that ran. */
function relevant(all: KnownFailures): KnownFailures {
  const ids = new Set(outcomes.map(({ id }) => id));
  return new Map([...all].filter(([id]) => ids.has(id)));
}
