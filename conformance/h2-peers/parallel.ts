/** Many exchanges at once on one connection, each with its own token, while others are given up among them (invariant I7). */
import { type Random, seededRandom } from '@ferrata/clock';
import type { PlanClient } from '../http1-peers/client.ts';
import { type Plan, plan } from '../http1-peers/plan.ts';
import { bodyBytesOf } from './plans.ts';
import type { Route } from './routes.ts';
import { canTravel, type Suite } from './suite.ts';

/** So many streams at once, so many times. */
const STREAMS = 100;
const ROUNDS = 3;
/** Bodies beyond this would only make the run longer. */
const MAX_BODY_BYTES = 140_000;

/** @returns a problem, or null */
export async function runParallel(suite: Suite, route: Route, plans: readonly Plan[], seed: number): Promise<string | null> {
  const random = seededRandom(seed);
  const own = plans.filter((one) => canTravel(route, one) && bodyBytesOf(one) <= MAX_BODY_BYTES && one.response.when === 'whole');
  const client = route.client.open(route.where);
  const problems: string[] = [];
  const connections = new Set<number | null>();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const drawn = Array.from({ length: STREAMS }, () => draw(own, random));
      for (const { problems: found, connection } of await Promise.all(drawn.map((one) => acted(suite, client, one)))) {
        problems.push(...found);
        connections.add(connection);
      }
    }
  } finally {
    await client.close();
  }
  problems.push(...suite.ledger.takeFaults());
  if (route.client.keepsConnection && connections.size > 1) problems.push(`${connections.size} connections were used`);
  return problems.length === 0 ? null : `${problems.length} problems: ${[...new Set(problems)].slice(0, 5).join('; ')}`;
}

async function acted(suite: Suite, client: PlanClient, one: Plan): ReturnType<Suite['tried']> {
  const { problems, connection } = await suite.tried(client, one);
  return { problems: problems.map((problem) => `${one.id}: ${problem}`), connection };
}

function draw(plans: readonly Plan[], random: Random): Plan {
  return plans[Math.floor(random.next() * plans.length)] ?? plan('none');
}
