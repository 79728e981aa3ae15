/** The suite `ketama`: see `README.md` beside this file. */
import { randomInt } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import { seededRandom } from '@ferrata/clock';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';
import { NGINX, type RunningNginx, startNginx } from './nginx.ts';
import { randomKey, randomRing } from './rings.ts';
import { answeredAddresses, compareRing, readVectors } from './vectors.ts';

const LIVE_RINGS = 12;
const LIVE_KEYS = 300;

const { values } = parseArgs({
  options: {
    /** Of the random rings and keys; a failure prints it. */
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  },
});

const { keys, rings } = readVectors();
const committed = rings.map((ring) => outcomeOf(`vectors/${ring.id}`, () => compareRing(ring, keys, answeredAddresses(ring))));
const outcomes = [...(await Promise.all(committed)), ...(await runLive(Number(values.seed)))];
process.exitCode = report('ketama', summarise(outcomes, new Map()));

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
