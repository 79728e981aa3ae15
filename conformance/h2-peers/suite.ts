/** The suite at work: plans acted out on a route, one by one or many at once. */
import { actInTurn, actOut } from '../http1-peers/acting.ts';
import type { PlanClient } from '../http1-peers/client.ts';
import { Ledger } from '../http1-peers/ledger.ts';
import { type Plan, plan } from '../http1-peers/plan.ts';
import type { Outcome } from '../runner.ts';
import { compareRequest, compareResponse } from './compare.ts';
import type { Route } from './routes.ts';

/** Asked after each exchange: its answer must be its own, on the same connection. */
const probe: Plan = plan('probe', { target: '/probe' }, { reason: '' });

/** What became of an exchange. */
export interface Exchanged {
  readonly problems: readonly string[];
  /** Of the client; null if there was no whole answer. */
  readonly connection: number | null;
}

/** Tokens and what is under way. */
export class Suite {
  readonly ledger = new Ledger();
  #tokens = 0;

  /** A token nobody had before. */
  token(): string {
    return `t${++this.#tokens}`;
  }

  /** Acts each plan out that can travel a route, one after the other with one client; a failure gets the next plan a client of its own. */
  async runRoute(route: Route, plans: readonly Plan[], isWanted: (id: string) => boolean): Promise<Outcome[]> {
    return await actInTurn({
      name: route.name,
      plans: plans.filter((one) => canTravel(route, one) && isWanted(`${route.name}/${one.id}`)),
      open: () => route.client.open(route.where),
      act: (client, one) => this.#act(route, client, one),
    });
  }

  /** One exchange, and the probe behind it. */
  async #act(route: Route, client: PlanClient, one: Plan): Promise<string | null> {
    const first = await this.tried(client, one);
    const problems = [...first.problems];
    if (route.client.keepsConnection && first.connection !== null) {
      const second = await this.tried(client, probe);
      problems.push(...second.problems.map((problem) => `the request behind it: ${problem}`));
      if (second.connection !== null && second.connection !== first.connection) problems.push('the connection was given up');
    }
    problems.push(...this.ledger.takeFaults());
    return problems.length === 0 ? null : problems.join('; ');
  }

  /** One exchange. @returns all that is wrong with it; the connection is null when an end did not see it whole */
  async tried(client: PlanClient, one: Plan): Promise<Exchanged> {
    const token = this.token();
    try {
      const { request, response } = await actOut(this.ledger, client, one, token);
      return {
        problems: [...compareRequest(one, token, request), ...compareResponse(one, token, response)],
        connection: response.connection,
      };
    } catch (error) {
      return { problems: [error instanceof Error ? error.message : String(error)], connection: null };
    }
  }
}

/** Whether both ends, and what is between them, can act a plan out. */
export function canTravel({ client, canCarry }: Route, one: Plan): boolean {
  return client.canSend(one) && canCarry(one);
}
