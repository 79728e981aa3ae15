/** Runs a batch of cases of faults of the client, side by side in one world. */
import type { Asking, ClientEnd } from './client-end.ts';
import { clientBreaches } from './client-judge.ts';
import type { ClientCase } from './client-plan.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript } from './scripts.ts';

const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

/** One case under way. */
interface Run {
  readonly it: ClientCase;
  readonly client: ClientEnd;
  readonly requests: OriginRequest[];
  asking: Asking | null;
}

/** Runs the cases of one batch. @returns those that are not as they must be, and what is wrong with their world */
export async function runClient(cases: readonly ClientCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell, { plant });
  const begin = async (it: ClientCase): Promise<Run> => {
    const requests: OriginRequest[] = [];
    world.origin(it.cell.up, [it.target], (request) => void requests.push(request));
    return { it, client: await world.connect(), requests, asking: null };
  };
  const runs = await Promise.all(cases.map(begin));
  for (const run of runs) {
    const { script, position, isAlive } = run.it;
    run.asking = run.client.askRaw(script.bytes.slice(0, position), isAlive);
  }
  await world.settle();
  for (const { it, client } of runs) if (it.fault !== 'stall') client[it.fault]();
  await world.settle();
  // Within the grace of a half-closed connection.
  for (const { it, requests } of runs) {
    if (it.position !== it.script.end) continue;
    const script = answerScript(it.cell.up.protocol, FINE);
    for (const request of requests) if (!request.isCancelled) request.play(script);
  }
  await world.settle();
  await world.pass(first.fault === 'stall' ? 36_000 : 4_000);
  const findings = runs.map(({ it, client, requests, asking }) => {
    if (asking === null) throw new Error(`${it.name}: nothing was asked`);
    const seen = { client: asking.seen(), isClientOver: client.isOver, logs: world.logsOf(it.target), requests };
    return { name: it.name, breaches: clientBreaches(it, seen) };
  });
  return findingsOf(findings, { name: `the world of ${first.name} and its like`, breaches: await world.finish() });
}
