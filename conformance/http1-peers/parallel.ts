/**
 * Many clients of every kind at once on one route, and among them some that leave in the middle of a request: connections to the origin are shared,
 * given up and made anew all the time, and still each client must get its own answers (invariant I7).
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { type Random, seededRandom } from '@ferrata/clock';
import type { PlanClient } from './client.ts';
import { inTime } from './deadline.ts';
import { lengthOf, type Plan, plan } from './plan.ts';
import { wireOf } from './raw-client.ts';
import { canTravel, type Route } from './routes.ts';
import type { Suite } from './suite.ts';

/** Clients of each kind, and what each of them does. */
const CLIENTS = 6;
const EXCHANGES = 25;
/** Requests that are begun and never finished. */
const ABANDONED = 60;
/** Bodies beyond this would only make the run longer. */
const MAX_BODY_BYTES = 70_000;

/** @param routes ways to one server, each with a client of its own kind @returns a problem, or null */
export async function runParallel(suite: Suite, routes: readonly Route[], plans: readonly Plan[]): Promise<string | null> {
  const random = seededRandom(7);
  const isDone = { value: false };
  const short = plans.filter(
    ({ request, response }) => lengthOf(request.body) <= MAX_BODY_BYTES && lengthOf(response.body) <= MAX_BODY_BYTES,
  );
  const working = routes.flatMap((route) => {
    const own = short.filter((one) => canTravel(route, one) && isSettled(one));
    return Array.from({ length: CLIENTS }, () => work(suite, route, drawSome(own, random)));
  });
  const leaving = leave(suite, routes[0]?.port ?? 0, random, isDone);
  const problems = (await Promise.all(working)).flat();
  isDone.value = true;
  await leaving;
  const all = [...problems, ...suite.ledger.takeFaults()];
  return all.length === 0 ? null : `${all.length} problems: ${all.slice(0, 5).join('; ')}`;
}

/** Nothing in the answer depends on who is faster. */
function isSettled({ response, request }: Plan): boolean {
  return response.when === 'whole' && request.connection !== 'close';
}

function drawSome(plans: readonly Plan[], random: Random): readonly Plan[] {
  return Array.from({ length: EXCHANGES }, () => plans[Math.floor(random.next() * plans.length)] ?? plan('none'));
}

async function work(suite: Suite, route: Route, plans: readonly Plan[]): Promise<readonly string[]> {
  const client: PlanClient = route.client.open(route.port);
  const problems: string[] = [];
  try {
    for (const one of plans) {
      try {
        problems.push(...(await suite.exchange(route, client, one)).problems.map((problem) => `${route.name} ${one.id}: ${problem}`));
      } catch (error) {
        problems.push(`${route.name} ${one.id}: ${error instanceof Error ? error.message : String(error)}`);
        break;
      }
    }
  } finally {
    await client.close();
  }
  return problems;
}

/** Begins requests and resets the connection somewhere within them, until the others are done. */
async function leave(suite: Suite, port: number, random: Random, isDone: { readonly value: boolean }): Promise<void> {
  const abandoned = plan(
    'abandoned',
    { method: 'POST', framing: 'chunked', body: 5_000, pieceBytes: 999 },
    { framing: 'chunked', body: 50_000, pieceBytes: 5_000 },
  );
  for (let count = 0; count < ABANDONED && !isDone.value; count++) {
    const token = suite.token();
    void suite.ledger.expect(abandoned, token);
    const wire = wireOf(abandoned, token);
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    await inTime('a connection', once(socket, 'connect'));
    socket.write(wire.subarray(0, Math.floor(random.next() * (wire.length + 1))));
    for (let turn = 0; turn < random.next() * 4; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    socket.resetAndDestroy();
    await inTime('the close', once(socket, 'close'));
  }
}
