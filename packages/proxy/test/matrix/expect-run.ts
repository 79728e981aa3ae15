/** Requests with `Expect`, whatever their clients and origins make of it: C7 of the fault list (RFC 9110 §10.1.1). */

import { latin1Encode } from '@ferrata/bytes';
import type { Outcome } from '@ferrata/proxy';
import type { Asking, ClientEnd } from './client-end.ts';
import { type Cell, type Sampling, sampledRows } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, bodyOf, type Request } from './scripts.ts';

/** What a client does with its body: there is none, it waits for what the origin says, or it does not. */
const BODIES = ['no body', 'a body held back', 'a body sent at once'] as const;
const EXPECTATIONS = ['100-continue', 'tea'] as const;
/** What an origin does: says 100 and, when it has all, 200; one of these at once; or nothing at all. */
const ORIGINS = ['continues', 'answers 200', 'answers 417', 'is silent'] as const;

const PIECES = ['first ', 'last!'];

/** Of the cases, one in so many is run in cells with TLS. */
const TLS_STRIDE = 5;

export interface ExpectCase {
  readonly name: string;
  readonly cell: Cell;
  readonly target: string;
  readonly body: (typeof BODIES)[number];
  readonly expectation: (typeof EXPECTATIONS)[number];
  readonly origin: (typeof ORIGINS)[number];
}

export function expectBatches(cell: Cell, sampling: Sampling): ExpectCase[][] {
  const cases = BODIES.flatMap((body) =>
    EXPECTATIONS.flatMap((expectation) =>
      ORIGINS.map((origin) => ({
        name: `${cell.name}: Expect: ${expectation}, ${body}; the origin ${origin}`,
        cell,
        body,
        expectation,
        origin,
      })),
    ),
  );
  return [sampledRows(cell, cases, TLS_STRIDE, sampling).map((it, index) => ({ ...it, target: `/case/${index}` }))];
}

/** What the rules say. */
interface Expected {
  /** 0: the client hears nothing. */
  readonly status: number;
  readonly outcome: Outcome;
  readonly interims: number;
  /** What the origin is told. */
  readonly expectation: string | undefined;
}

export function expectedOf({ cell, body, expectation, origin }: ExpectCase): Expected {
  const told = {
    // Without a body there is nothing to wait for. Other expectations only the origin knows.
    expectation: body === 'no body' && expectation === '100-continue' ? undefined : expectation,
    interims: origin === 'continues' ? 1 : 0,
  };
  if (origin !== 'is silent') return { ...told, status: origin === 'answers 417' ? 417 : 200, outcome: 'completed' };
  // Nobody goes on: it is the client that ought not to wait for ever. Where it has said all, it is the origin.
  if (body !== 'a body held back') return { ...told, status: 504, outcome: 'timeout' };
  return { ...told, status: cell.down.protocol === 'http1' ? 408 : 0, outcome: 'timeout' };
}

/** One case under way. */
interface Run {
  readonly it: ExpectCase;
  readonly origin: Origin;
  readonly requests: OriginRequest[];
  readonly client: ClientEnd;
  readonly asking: Asking;
}

export async function runExpect(cases: readonly ExpectCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const world = new MatrixWorld(cell, { plant });
  const begin = async (it: ExpectCase): Promise<Run> => {
    const requests: OriginRequest[] = [];
    const origin = world.origin(cell.up, [it.target], (request) => void requests.push(request));
    const hasBody = it.body !== 'no body';
    const request: Request = {
      method: 'PUT',
      framing: hasBody ? 'length' : 'none',
      pieces: hasBody ? PIECES : [],
      trailers: [],
      fields: [['expect', it.expectation]],
    };
    const client = await world.connect();
    return { it, origin, requests, client, asking: client.ask(it.target, request, it.body === 'a body sent at once' ? PIECES.length : 0) };
  };
  const runs = await Promise.all(cases.map(begin));
  await world.settle();
  for (const run of runs) actFirst(run);
  await world.settle();
  // Whoever is told to go on does.
  for (const { it, asking } of runs) if (it.body === 'a body held back' && it.origin === 'continues') asking.finish();
  await world.settle();
  for (const { it, requests } of runs)
    for (const request of requests) if (it.origin === 'continues') request.play(answerScript(cell.up.protocol, answerOf(200)));
  await world.settle();
  await world.pass(62_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: breachesOf(world, run) }));
  return findingsOf(findings, { name: `the world of ${cell.name}`, breaches: await world.finish() });
}

function answerOf(status: number): Answer {
  return { status, hasInterim: false, framing: 'length', pieces: ['judged'], trailers: [] };
}

function actFirst({ it, origin, requests }: Run): void {
  const { protocol } = it.cell.up;
  for (const request of requests) {
    if (it.origin === 'continues' && protocol === 'http1') request.write(latin1Encode('HTTP/1.1 100 Continue\r\n\r\n'));
    else if (it.origin === 'continues') origin.connections.at(-1)?.h2?.headers(request.streamId, [[':status', '100']], { isEnd: false });
    else if (it.origin !== 'is silent') request.play(answerScript(protocol, answerOf(it.origin === 'answers 417' ? 417 : 200)));
  }
}

function breachesOf(world: MatrixWorld, { it, requests, asking }: Run): string[] {
  const expected = expectedOf(it);
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const seen = asking.seen();
  const [log, ...more] = world.logsOf(it.target);
  check(seen.status === expected.status, `answered ${seen.status}, not ${expected.status}`);
  check(seen.ending === (expected.status === 0 ? 'cut' : 'whole'), `the answer is ${seen.ending}`);
  check(seen.interims === expected.interims, `${seen.interims} interim responses, not ${expected.interims}`);
  check(log?.outcome === expected.outcome && more.length === 0, `logged ${JSON.stringify([log, ...more])}, not ${expected.outcome}`);
  check(requests.length === 1, `${requests.length} requests have come to the origin`);
  const told = requests[0]?.fieldOf('expect');
  check(told === expected.expectation, `the origin is told to expect ${told}, not ${expected.expectation}`);
  const hasAll = it.body === 'a body sent at once' || (it.body === 'a body held back' && it.origin === 'continues');
  if (hasAll && it.origin === 'continues') check(requests[0]?.body === bodyOf({ pieces: PIECES }), `the origin has ${requests[0]?.body}`);
  return breaches;
}
