/** Many requests on one connection without waiting for their answers: each answer in its place, each request its own. */
import { seededRandom } from '@ferrata/clock';
import { type Outcome, outcomeOf } from '../runner.ts';
import { compareRequest, compareResponse } from './compare.ts';
import { inTime } from './deadline.ts';
import { lengthOf, type Plan, plan, TOKEN_FIELD, valueOf } from './plan.ts';
import { RawClient } from './raw-client.ts';
import { canTravel, isReusable, type Route } from './routes.ts';
import type { Suite } from './suite.ts';
import { UndiciClient } from './undici-client.ts';

/** Bodies beyond this would only make the run longer. */
const MAX_BODY_BYTES = 20_000;
const GROUP = 12;

/** Runs pipelines of a raw client over a route. */
export async function runRawPipelines(
  suite: Suite,
  route: Route,
  plans: readonly Plan[],
  isWanted: (id: string) => boolean,
): Promise<Outcome[]> {
  const mixed = shuffled(plans.filter((one) => isShort(one) && canTravel(route, one) && isReusable(route, one) === true));
  const outcomes: Outcome[] = [];
  for (const [cut, cutBytes] of Object.entries({ whole: 0, 'in-1460': 1_460, 'in-97': 97 })) {
    for (let at = 0; at < mixed.length; at += GROUP) {
      const id = `${route.name}/pipeline/${cut}/${at / GROUP}`;
      if (isWanted(id)) outcomes.push(await outcomeOf(id, () => pipeline(suite, route, mixed.slice(at, at + GROUP), cutBytes)));
    }
  }
  const many = Array.from({ length: 1_000 }, (_, index) => plan('many', { target: `/many/${index}` }));
  const last = plan('last', { connection: 'close', method: 'POST', framing: 'length', body: 9 });
  const ids = { thousand: `${route.name}/pipeline/1000-requests`, close: `${route.name}/pipeline/behind-close` };
  if (isWanted(ids.thousand)) outcomes.push(await outcomeOf(ids.thousand, () => pipeline(suite, route, many, 0)));
  // RFC 9112 §9.6: what follows a request that closes is not a request any more.
  if (isWanted(ids.close))
    outcomes.push(await outcomeOf(ids.close, () => behindClose(suite, route, [...many.slice(0, 2), last], many.slice(2, 4))));
  return outcomes;
}

/** Runs pipelines of undici over a route. */
export async function runUndiciPipelines(
  suite: Suite,
  route: Route,
  plans: readonly Plan[],
  isWanted: (id: string) => boolean,
): Promise<Outcome[]> {
  // It pipelines what is idempotent and has no body.
  const mixed = shuffled(
    plans.filter((one) => isShort(one) && canTravel(route, one) && one.request.method === 'GET' && one.request.framing === 'none'),
  );
  const outcomes: Outcome[] = [];
  for (let at = 0; at < mixed.length; at += GROUP) {
    const id = `${route.name}/pipeline/${at / GROUP}`;
    if (!isWanted(id)) continue;
    const client = new UndiciClient(route.port, { pipelining: GROUP });
    outcomes.push(
      await outcomeOf(id, async () => {
        const problems = await Promise.all(
          mixed.slice(at, at + GROUP).map(async (one) => {
            const token = suite.token();
            const requested = suite.ledger.expect(one, token);
            const response = await inTime('a response', client.send(one, token));
            const request = await inTime('a request at the server', requested);
            return [...compareRequest(one, token, request, route), ...compareResponse(one, token, response, route)].map(
              (problem) => `${one.id}: ${problem}`,
            );
          }),
        );
        return told([...problems.flat(), ...suite.ledger.takeFaults()]);
      }),
    );
    await client.close();
  }
  return outcomes;
}

async function pipeline(suite: Suite, route: Route, plans: readonly Plan[], cutBytes: number): Promise<string | null> {
  const client = new RawClient(route.port);
  try {
    const all = plans.map((one) => ({ plan: one, token: suite.token() }));
    const requested = all.map(({ plan: one, token }) => suite.ledger.expect(one, token));
    const responses = await inTime('all responses', client.sendAll(all, cutBytes));
    const requests = await inTime('all requests at the server', Promise.all(requested));
    const problems = all.flatMap(({ plan: one, token }, at) => {
      const [request, response] = [requests[at], responses[at]];
      if (request === undefined || response === undefined) return [`${one.id}: no answer`];
      return [...compareRequest(one, token, request, route), ...compareResponse(one, token, response, route)].map(
        (problem) => `${one.id}: ${problem}`,
      );
    });
    return told([...problems, ...suite.ledger.takeFaults()]);
  } finally {
    client.close();
  }
}

/** Requests of which the last closes, and more behind it that must not be answered, nor reach a server. */
async function behindClose(suite: Suite, route: Route, plans: readonly Plan[], beyond: readonly Plan[]): Promise<string | null> {
  const client = new RawClient(route.port);
  const all = [...plans, ...beyond].map((one) => ({ plan: one, token: suite.token() }));
  const wanted = all.slice(0, plans.length);
  for (const { plan: one, token } of wanted) void suite.ledger.expect(one, token);
  try {
    const responses = await inTime('all responses', client.sendAll(all, 0, plans.length));
    const tokens = responses.map(({ fields }) => valueOf(fields, TOKEN_FIELD)).join();
    const planned = wanted.map(({ token }) => token).join();
    return told([...(tokens === planned ? [] : [`answers to ${tokens}, ${planned} planned`]), ...suite.ledger.takeFaults()]);
  } finally {
    client.close();
  }
}

function told(problems: readonly string[]): string | null {
  return problems.length === 0 ? null : problems.slice(0, 5).join('; ');
}

function isShort({ request, response }: Plan): boolean {
  return lengthOf(request.body) <= MAX_BODY_BYTES && lengthOf(response.body) <= MAX_BODY_BYTES;
}

function shuffled(plans: readonly Plan[]): readonly Plan[] {
  const random = seededRandom(1);
  return plans
    .map((one) => ({ one, key: random.next() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ one }) => one);
}
