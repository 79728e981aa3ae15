/** The suite `ketama`: see `README.md` beside this file. A wrong command line ends with 2 and one sentence. */
import { randomInt } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import { seededRandom } from '@ferrata/clock';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';
import { NGINX, type RunningNginx, startNginx } from './nginx.ts';
import { randomKey, randomRing } from './rings.ts';
import { answeredAddresses, compareRing, readVectors } from './vectors.ts';

/** Something wrong on the command line; its message says what to write instead. */
class UsageError extends Error {}

const LIVE_RINGS = 12;
const LIVE_KEYS = 300;

const USAGE = `usage: node conformance/ketama/run.ts [--seed N]

  --seed N   makes the random rings and keys of the live part; a run prints its seed`;

try {
  const seed = readSeed();
  if (seed === null) {
    console.log(USAGE);
  } else {
    const { keys, rings } = readVectors();
    const committed = rings.map((ring) => outcomeOf(`vectors/${ring.id}`, () => compareRing(ring, keys, answeredAddresses(ring))));
    const outcomes = [...(await Promise.all(committed)), ...(await runLive(seed))];
    process.exitCode = report('ketama', summarise(outcomes, new Map()));
  }
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

async function runLive(seed: number): Promise<readonly Outcome[]> {
  const missing = providePrograms([NGINX], (line) => console.log(`ketama: ${line}`));
  if (missing.length > 0) {
    const problem = `nginx is missing and could not be installed, so no ring was compared with a live one; install it with: ${installCommand(missing)}`;
    if ((process.env['CI'] ?? '') !== '') return [{ id: 'live', problem }];
    console.log(`ketama: SKIPPED the live part: ${problem}`);
    return [];
  }
  const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1') === true);
  if (!hasIpv6) console.log('ketama: this machine has no [::1]: the random rings are without IPv6');

  const random = seededRandom(seed);
  const liveRings = Array.from({ length: LIVE_RINGS }, (_, index) => randomRing(`live-${index}`, random, { hasIpv6 }));
  const liveKeys = Array.from({ length: LIVE_KEYS }, () => randomKey(random));
  let nginx: RunningNginx;
  try {
    nginx = await startNginx(liveRings);
  } catch (error) {
    return [{ id: 'live', problem: error instanceof Error ? error.message : String(error) }];
  }
  console.log(`ketama: a live nginx ${nginx.version}, ${LIVE_RINGS} random rings of ${LIVE_KEYS} keys, --seed ${seed}`);
  const results: Outcome[] = [];
  for (const ring of liveRings) {
    const id = `live/${seed}/${ring.id}`;
    results.push(await outcomeOf(id, async () => compareRing(ring, liveKeys, await nginx.ask(ring, liveKeys))));
  }
  await nginx.stop();
  return results;
}

/** @returns the seed; null if only the usage is asked for */
function readSeed(): number | null {
  const options = { seed: { type: 'string' }, help: { type: 'boolean', default: false } } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(/\.?\n|\. /)[0] ?? ''}; --help lists the options`);
  }
  const { seed: text, help: isHelp } = values;
  if (isHelp) return null;
  if (text === undefined) return randomInt(2 ** 31);
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`--seed takes a whole number of at most 15 digits, not ${JSON.stringify(text)}`);
}
