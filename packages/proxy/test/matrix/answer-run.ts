/** Runs the table of answers that break the rules in one cell, side by side, and judges what became of each. */
import { latin1Encode } from '@ferrata/bytes';
import { type AnswerCase, EVIL } from './answer-plan.ts';
import type { Asking } from './client-end.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin } from './matrix-world.ts';
import type { Request } from './scripts.ts';

/** One row under way. */
interface Run {
  readonly it: AnswerCase;
  readonly target: string;
  readonly origin: Origin;
  readonly asking: Asking;
}

export async function runAnswers(cases: readonly AnswerCase[]): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell, { proxy: { maxRetries: 0 } });
  const begin = async (it: AnswerCase, index: number): Promise<Run> => {
    const target = `/case/${index}`;
    const origin = world.origin(it.cell.up, [target], (request) => request.write(latin1Encode(it.row.bytes)));
    const request: Request = { method: it.row.method, framing: 'none', pieces: [], trailers: [] };
    const client = await world.connect();
    return { it, target, origin, asking: client.ask(target, request) };
  };
  const runs = await Promise.all(cases.map(begin));
  await world.settle();
  await world.pass(3_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: breachesOf(world, run) }));
  const dirty = cases.filter(({ row }) => row.expected.isDirty).length;
  const counted = world.proxy.connector.counts.dirty;
  const ends = await world.finish();
  if (counted !== dirty) ends.push(`${counted} connections are counted as dirty, not ${dirty}`);
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: ends });
}

function breachesOf(world: MatrixWorld, { it, target, origin, asking }: Run): string[] {
  const { method, expected } = it.row;
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const seen = asking.seen();
  const [log, ...more] = world.logsOf(target);
  check(log !== undefined && more.length === 0, `logged ${more.length + (log === undefined ? 0 : 1)} times`);
  check(log?.outcome === expected.outcome, `logged as ${log?.outcome} (${log?.reason}), not ${expected.outcome}`);
  check(log?.source === (expected.outcome === 'completed' ? '' : 'upstream'), `blamed on ${log?.source}`);
  check(log?.status === expected.status, `logged with status ${log?.status}, not ${expected.status}`);
  check(seen.status === expected.status, `answered ${seen.status}, not ${expected.status}`);
  // An HTTP/1 client that has asked by HEAD knows that no body comes; the reader of this test takes the length for one.
  check(method === 'HEAD' || seen.ending === expected.ending, `the answer is ${seen.ending}, not ${expected.ending}`);
  if (expected.body !== null)
    check(seen.body === expected.body, `a body of ${JSON.stringify(seen.body)}, not ${JSON.stringify(expected.body)}`);
  check(!JSON.stringify(seen).includes(EVIL), `the client has seen ${JSON.stringify(seen)}`);
  check(origin.connections.length === 1, `${origin.connections.length} connections`);
  check(
    origin.connections.every(({ isOver }) => isOver),
    'the connection to the origin is still open',
  );
  return breaches;
}
