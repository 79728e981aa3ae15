/** The suite `websocket`: see `README.md` beside this file. A wrong command line ends with 2 and one sentence. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';
import { converse, ROLES, VARIANTS } from './conversation.ts';

const USAGE = `usage: node conformance/websocket/run.ts [--seed N] [--conversations N]

  --seed N            makes what is said; a run prints its seed
  --conversations N   of each role and variant, 1 to 1000 (default 8)`;

try {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, conversations: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help === true) {
    console.log(USAGE);
  } else {
    const seed = wholeNumber('--seed', values.seed ?? String(randomInt(2 ** 31)), 2 ** 31);
    const count = wholeNumber('--conversations', values.conversations ?? '8', 1_000);
    console.log(`websocket: --seed ${seed}, ${count} conversations of each role and variant`);
    const outcomes: Outcome[] = [];
    for (const role of ROLES) {
      for (const variant of VARIANTS) {
        for (let i = 0; i < count; i++) {
          // One after the other: each has its time limit.
          outcomes.push(await outcomeOf(`${role}/${variant.name}/${i}`, () => converse(role, variant, seed + i)));
        }
      }
    }
    process.exitCode = report('websocket', summarise(outcomes, new Map()));
  }
} catch (error) {
  if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

function wholeNumber(name: string, text: string, max: number): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > max) throw new RangeError(`${name} must be a whole number up to ${max}, not ${text}`);
  return Number(text);
}
