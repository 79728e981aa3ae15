/** How suites of peers act plans out: one exchange, and one plan after another with a client. */
import { type Outcome, outcomeOf } from '../runner.ts';
import type { PlanClient } from './client.ts';
import { inTime } from './deadline.ts';
import type { Ledger, SeenRequest, SeenResponse } from './ledger.ts';
import type { Plan } from './plan.ts';

/** An exchange as both ends saw it. */
export interface SeenExchange {
  readonly request: SeenRequest;
  readonly response: SeenResponse;
}

/** One exchange. @throws {Error} when an end did not see it whole */
export async function actOut(ledger: Ledger, client: PlanClient, one: Plan, token: string): Promise<SeenExchange> {
  const requested = ledger.expect(one, token);
  try {
    const response = await inTime('the response', client.send(one, token));
    return { request: await inTime('the request at the server', requested), response };
  } finally {
    ledger.forget(token);
  }
}

/** What `actInTurn` acts out, and how. */
export interface Turns {
  /** What ids begin with. */
  readonly name: string;
  readonly plans: readonly Plan[];
  /** Makes a client. */
  open(): PlanClient;
  /** @returns a problem, or null */
  act(client: PlanClient, one: Plan): Promise<string | null>;
}

/** Acts plans out one after the other with one client; a failure gets the next plan a client of its own. */
export async function actInTurn({ name, plans, open, act }: Turns): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let client: PlanClient | null = null;
  for (const one of plans) {
    const current: PlanClient = client ?? open();
    client = current;
    const outcome = await outcomeOf(`${name}/${one.id}`, () => act(current, one));
    outcomes.push(outcome);
    if (outcome.problem !== null) {
      await current.close();
      client = null;
    }
  }
  await client?.close();
  return outcomes;
}
